"""Dropout: in training, each value is left out by chance, so that none is relied upon."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.layers import sizes
from deepconv.layers.base import Layer, Pullback


class Dropout(Layer):
    """Set each value to 0 with probability `p` in training, and multiply the others by `1/(1-p)`.

    So the expected value is the input, and inference changes nothing. Srivastava et al. 2014.

    Args:
        p: the probability of being left out, from 0 to 1.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> y, pullback = Dropout(0.5).apply(np.ones(6), rng=np.random.default_rng(0))
        >>> y
        array([2., 2., 2., 0., 0., 0.])
        >>> pullback(np.ones(6))[0]
        array([2., 2., 2., 0., 0., 0.])
        >>> Dropout(0.5)(np.ones(3))
        array([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = sizes.number("Dropout", "p", p, 0, 1)

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        if not training or self.p == 0:
            return x, Pullback("Dropout", x, lambda dy: (dy, {}))
        kept = (np.random.default_rng() if rng is None else rng).random(x.shape, np.float32) >= self.p
        scale = x.dtype.type(0 if self.p == 1 else 1 / (1 - self.p))
        # Not x * kept: an infinity that is left out is 0, not NaN.
        y = np.where(kept, x, x.dtype.type(0)) * scale
        return y, Pullback("Dropout", y, lambda dy: (np.where(kept, dy, dy.dtype.type(0)) * scale, {}))
