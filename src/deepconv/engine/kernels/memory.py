"""Where an array's numbers lie, as kernels want to be told."""

from typing import Any

import numpy as np

from deepconv.arrays import Array


def plain(a: Array, dtype: np.dtype[Any]) -> Array:
    """Return `a` itself, or a copy that lies in order, aligned and in the machine's own `dtype`.

    Example:
        >>> a = np.arange(6.0).reshape(2, 3)
        >>> plain(a, a.dtype) is a, plain(a.T, a.dtype).flags.c_contiguous
        (True, True)
    """
    flags = a.flags
    if a.dtype == dtype and a.dtype.isnative and flags.c_contiguous and flags.aligned:
        return a
    return np.require(a, dtype, ["C", "A"])


def address(a: Array) -> int:
    """Return the address of an array's first number; keep the array alive while it is used."""
    return int(a.__array_interface__["data"][0])
