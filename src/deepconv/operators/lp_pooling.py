"""Lp pooling: the p-norm of each window, or of the whole image, with gradients."""

import math

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.engine import global_pooling
from deepconv.engine import pooling as engine
from deepconv.geometry import Padding, Sizes
from deepconv.operators import checks
from deepconv.operators.pooled import pooling
from deepconv.operators.pooling import check_global

_NO_ROOT = "a root is seldom a whole number"


def lp_pool(
    x: Array,
    kernel_size: Sizes,
    *,
    p: float = 2,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Array:
    """Return the p-norm of each window: `y[n, c, o] = (Σ_r |x[n, c, o·stride + r·dilation - before]|^p)^(1/p)`.

    This is ONNX's LpPool. PyTorch's forgets the absolute value, which gives NaN for odd p, and enlarges
    windows that `ceil_mode` cuts off.

    Args:
        x, kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool`; padding counts as zeros.
        p: the norm's exponent, at least 1; 1 sums absolute values, 2 is the Euclidean norm.

    Returns:
        `(N, C, *out)` or `(C, *out)` as `max_pool`.

    Raises:
        TypeError: whole numbers, whose root isn't one: convert them to floats first.
        ValueError: an argument that can't work; the message says what would.

    Example:
        >>> lp_pool(np.array([[[3.0, -4.0, 0.0, 1.0]]]), 2)
        array([[[5., 1.]]])
    """
    x = as_array("lp_pool", "x", x)
    exponent = _exponent("lp_pool", p)
    case = pooling("lp_pool", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    (x,), result = checks.floats("lp_pool", _NO_ROOT, x)
    return engine.lp_pool(x, case.axes, exponent).astype(result, copy=False)


def lp_pool_input_grad(
    dy: Array,
    x: Array,
    kernel_size: Sizes,
    *,
    p: float = 2,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Array:
    """Return the gradient of `lp_pool`'s input: `dx = Σ dy · sign(x) · (|x| / y)^(p-1)` over a pixel's windows.

    Args:
        dy: the gradient of the output, of its shape.
        x, kernel_size, p, stride, padding, dilation, ceil_mode: as in `lp_pool`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to; 0 where a window is all zeros.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> lp_pool_input_grad(np.array([[[10.0]]]), np.array([[[3.0, -4.0]]]), 2)
        array([[[ 6., -8.]]])
    """
    op = "lp_pool_input_grad"
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    exponent = _exponent(op, p)
    case = pooling(op, x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    case.check_gradient(op, dy)
    (dy, x), result = checks.floats(op, _NO_ROOT, dy, x)
    return engine.lp_pool_input_grad(dy, x, case.axes, exponent).astype(result, copy=False)


def global_lp_pool(x: Array, *, p: float = 2) -> Array:
    """Return the p-norm of each channel of each image, the spatial axes kept with size 1.

    Args:
        x: images, `(N, C, *spatial)`, not empty.
        p: the norm's exponent, at least 1.

    Returns:
        `(N, C, 1, ...)`, of x's type.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> global_lp_pool(np.array([[[3.0, -4.0]]]))
        array([[[5.]]])
    """
    x = as_array("global_lp_pool", "x", x)
    exponent = _exponent("global_lp_pool", p)
    check_global("global_lp_pool", x.shape)
    (x,), result = checks.floats("global_lp_pool", _NO_ROOT, x)
    return global_pooling.lp(x, exponent).astype(result, copy=False)


def global_lp_pool_input_grad(dy: Array, x: Array, *, p: float = 2) -> Array:
    """Return the gradient of `global_lp_pool`'s input: `dx = dy · sign(x) · (|x| / y)^(p-1)`.

    Args:
        dy: the gradient of the output, `(N, C, 1, ...)`.
        x, p: as in `global_lp_pool`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to; 0 where an image is all zeros.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> global_lp_pool_input_grad(np.array([[[10.0]]]), np.array([[[3.0, -4.0]]]))
        array([[[ 6., -8.]]])
    """
    op = "global_lp_pool_input_grad"
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    exponent = _exponent(op, p)
    checks.check_gradient(op, dy, check_global(op, x.shape))
    (dy, x), result = checks.floats(op, _NO_ROOT, dy, x)
    return global_pooling.lp_input_grad(dy, x, exponent).astype(result, copy=False)


def _exponent(op: str, p: float) -> float:
    """Return p, checked."""
    if isinstance(p, bool) or not isinstance(p, int | float | np.integer | np.floating):
        raise TypeError(f"{op}: p={p!r} is not a number")
    if not 1 <= p < math.inf:
        raise ValueError(f"{op}: p={p} is no norm's exponent; use 1 or more, and max_pool for the limit")
    return float(p)
