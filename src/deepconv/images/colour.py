"""Light and its encoding: sRGB's curve, both ways, so that a picture can be filtered in linear light."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from deepconv.arrays import Array

__all__ = ["from_linear", "linear_table", "to_linear"]


def to_linear(encoded: Any) -> Array:
    """Return the light that sRGB numbers stand for, by the exact formula of IEC 61966-2-1.

    `c / 12.92` up to 0.04045 and `((c + 0.055) / 1.055) ** 2.4` above; a negative number gives the negative
    of its opposite's, so that what lies beyond 0 to 1 has a meaning too.

    Args:
        encoded: numbers of which 0 is black and 1 white; float64 stays, all else is taken as float32.

    Returns:
        Light, from 0 to 1 for those.

    Example:
        >>> to_linear([0.0, 0.5, 1.0]).round(4).tolist()
        [0.0, 0.214, 1.0]
    """
    values = _floats(encoded)
    size = np.abs(values)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(light, values).astype(values.dtype, copy=False)


def from_linear(light: Any) -> Array:
    """Return the sRGB numbers of light: `to_linear` backwards.

    `12.92 · l` up to 0.0031308 and `1.055 · l ** (1 / 2.4) - 0.055` above; negative light as in `to_linear`.

    Args:
        light: 0 for none, 1 for white; float64 stays, all else is taken as float32.

    Returns:
        sRGB numbers, from 0 to 1 for those.

    Example:
        >>> from_linear(np.array([0.0, 0.25, 1.0])).round(4).tolist()
        [0.0, 0.5371, 1.0]
    """
    values = _floats(light)
    size = np.abs(values)
    encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    return np.copysign(encoded, values).astype(values.dtype, copy=False)


@lru_cache(maxsize=2)
def linear_table(top: int) -> Array:
    """Return the light of each whole number from 0 to `top`, in float32 for 255 and float64 for more.

    Example:
        >>> linear_table(255)[[0, 255]].tolist()
        [0.0, 1.0]
    """
    table = to_linear(np.arange(top + 1) / top).astype(np.float32 if top == 255 else np.float64)
    table.flags.writeable = False
    return table


def _floats(values: Any) -> Array:
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
