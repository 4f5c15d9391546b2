"""Upsample: an image made larger by repeating or by interpolating."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import Sizes
from deepconv.layers import sizes
from deepconv.layers.base import Layer, Pullback
from deepconv.operators.resampling import upsample, upsample_input_grad


class Upsample(Layer):
    """Make each spatial axis of `x (N, C, *spatial)` `scale_factor` times as long.

    Args:
        scale_factor: how many times, one whole number or one per axis.
        mode: `"nearest"` repeats pixels; `"linear"` interpolates between their centres.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> Upsample(2)(np.array([[[1.0, 2.0]]]))
        array([[[1., 1., 2., 2.]]])
    """

    first_axis_is_batch = True

    def __init__(self, scale_factor: Sizes, *, mode: str = "nearest") -> None:
        several = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor,)
        for factor in several:
            sizes.count("Upsample", "scale_factor", factor)
        self.scale_factor = scale_factor
        self.mode = sizes.choice("Upsample", "mode", mode, ("nearest", "linear"))

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        scale, mode, shape = self.scale_factor, self.mode, x.shape
        y = upsample(x, scale, mode=mode)
        return y, Pullback("Upsample", y, lambda dy: (upsample_input_grad(dy, shape, scale, mode=mode), {}))
