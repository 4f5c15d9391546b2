"""Flatten: an image becomes one row of numbers, as a linear layer wants it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.layers.base import Layer, Pullback


class Flatten(Layer):
    """`(N, …)` to `(N, product of the rest)`, row-major: channels, then rows, then columns.

    Example:
        >>> Flatten()(np.zeros((5, 3, 4, 4))).shape
        (5, 48)
    """

    first_axis_is_batch = True

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        if x.ndim < 1:
            raise ValueError("Flatten: x is a single number, without a batch axis; pass (N, …)")
        shape = x.shape
        y = x.reshape(shape[0], math.prod(shape[1:]))  # not -1: an empty batch leaves that open
        return y, Pullback("Flatten", y, lambda dy: (dy.reshape(shape), {}))
