"""What an array may be: its numbers, the type it is computed in and the type it comes back as."""

from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))


def as_array(op: str, name: str, value: Any) -> Array:
    """Return `value` as a NumPy array of numbers, or say why it can't be one.

    Args:
        op: the operation that asks, for the message.
        name: the argument's name, for the message.
        value: an array, or anything that NumPy turns into one.

    Returns:
        The array itself where it is one already: nothing is copied or converted.

    Raises:
        TypeError: its numbers are not booleans, integers or floats of 16 to 64 bits.

    Example:
        >>> as_array("conv", "x", [[1, 2], [3, 4]]).shape
        (2, 2)
    """
    if type(value) is np.ndarray and value.dtype in _FLOATS:
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{op}: {name} can't be read as an array: {error}") from error
    if value is None:
        raise TypeError(f"{op}: {name} is None; pass an array of numbers")
    dtype = array.dtype
    if dtype in _FLOATS or dtype.kind in "biu" or dtype.newbyteorder("=") in _FLOATS:
        return array
    raise TypeError(
        f"{op}: {name} has dtype {array.dtype} (shape {array.shape}), which is not supported; "
        f"use booleans, integers, float16, float32 or float64"
    )


def dtypes(op: str, *arrays: Array) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the type an operation computes in and the type of its result.

    Floats promote as in NumPy; float16 is computed in float32; integers and booleans are
    computed in int64 and stay int64.

    Args:
        op: the operation that asks, for the message.
        arrays: its operands.

    Returns:
        `(compute, result)`.

    Example:
        >>> [str(t) for t in dtypes("conv", np.zeros(1, np.float16))]
        ['float32', 'float16']
        >>> [str(t) for t in dtypes("conv", np.zeros(1, np.uint8), np.zeros(1, bool))]
        ['int64', 'int64']
    """
    compute, result = _promoted(*(a.dtype for a in arrays))
    if compute is None:  # uint64 with int64 is float64 to NumPy, and so to us
        raise TypeError(f"{op}: can't compute in {result}; use float16, float32 or float64")
    return compute, result


@lru_cache(maxsize=256)  # NumPy takes 5 µs for it, a third of a small operator
def _promoted(*given: np.dtype[Any]) -> tuple[np.dtype[Any] | None, np.dtype[Any]]:
    """Return the type that is computed in, None where there is none, and the result's, of those of the operands."""
    result = np.result_type(*given)
    if result.kind in "biu":
        return np.dtype(np.int64), np.dtype(np.int64)
    if result not in _FLOATS:
        return None, result
    return (np.dtype(np.float32) if result == np.float16 else result), result


def is_integer(*arrays: Array) -> bool:
    """Tell whether every array holds integers or booleans, so that the result must be exact.

    Example:
        >>> is_integer(np.zeros(1, np.uint8), np.zeros(1, bool))
        True
    """
    return all(a.dtype.kind in "biu" for a in arrays)
