"""Max pooling in training: the output with the pixels that won it, from which its gradient is found sooner."""

from __future__ import annotations

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.engine import pooling as engine
from deepconv.engine.planes import Winners
from deepconv.geometry import Padding, Sizes
from deepconv.operators import checks
from deepconv.operators.pooled import pooling


def max_pool(
    x: Array,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Winners | None]:
    """Return what `pooling.max_pool` does, and the winners, or None where the gradient is to search for them in x.

    Args:
        x, kernel_size, stride, padding, dilation, ceil_mode: as there.
    """
    x = as_array("max_pool", "x", x)
    case = pooling("max_pool", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    (x,), result = checks.numbers("max_pool", x)
    y, won = engine.max_pool_winners(x, case.axes)
    return y.astype(result, copy=False), won


def max_pool_input_grad(dy: Array, won: Winners, like: np.dtype) -> Array:
    """Return the gradient of `max_pool`, of the dtype that `dy` and x promote to.

    Args:
        dy: the gradient, checked to have the output's shape.
        won: the winners.
        like: the dtype of x, which is floats.
    """
    if checks.is_plain(dy) and dy.dtype is like:
        return engine.max_pool_input_grad_of(dy, won)
    (dy, _), result = checks.numbers("max_pool_input_grad", dy, np.empty(0, like))
    return engine.max_pool_input_grad_of(dy, won).astype(result, copy=False)
