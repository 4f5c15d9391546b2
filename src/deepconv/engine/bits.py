"""Choosing numbers by a mask without a branch: a number's bits, kept whole or cleared.

`np.where` guesses at a branch per number and guesses wrong half the time; a product with 0 turns
infinity into NaN. A bitwise AND with all ones or all zeros does neither.
"""

from typing import Any

import numpy as np

from deepconv.arrays import Array

_SIGNED: dict[int, np.dtype[Any]] = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}


def bits_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the signed integer as wide as `dtype`, to look at its numbers as bits.

    Example:
        >>> bits_type(np.dtype(np.float32))
        dtype('int32')
    """
    return _SIGNED[dtype.itemsize]


def as_bits(x: Array) -> Array:
    """Return the same memory seen as signed integers.

    Example:
        >>> int(as_bits(np.zeros(1, np.float32))[0])
        0
    """
    return x.view(bits_type(x.dtype))


def all_ones(mask: Array, dtype: np.dtype[Any]) -> Array:
    """Return, for each truth value, a number as wide as `dtype` with every bit set or none.

    Example:
        >>> all_ones(np.array([True, False]), np.dtype(np.float64)).tolist()
        [-1, 0]
    """
    small = mask.view(np.int8)
    return np.negative(small, out=np.empty_like(small)).astype(bits_type(dtype))


def choose(mask: Array, a: Array, b: Array) -> Array:
    """Return `a` where `mask` holds and `b` elsewhere; `b` is overwritten with the result.

    Args:
        mask: truth values.
        a: floats or int64, of the mask's shape.
        b: as `a`, contiguous.

    Example:
        >>> choose(np.array([True, False]), np.array([1.0, 2.0]), np.array([3.0, np.nan])).tolist()
        [1.0, nan]
    """
    difference = as_bits(a) ^ as_bits(b)
    difference &= all_ones(mask, a.dtype)
    bits = as_bits(b)
    bits ^= difference
    return b
