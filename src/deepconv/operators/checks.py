"""What several operators check: shapes given as arguments, gradients, numbers that must not be whole."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepconv.arrays import Array, dtypes, is_integer


def shape_of(op: str, name: str, value: Sequence[int]) -> tuple[int, ...]:
    """Return a shape given as an argument, checked.

    Args:
        op: the operation that asks, for the message.
        name: the argument's name, for the message.
        value: a sequence of whole numbers that aren't negative.

    Raises:
        TypeError, ValueError: it isn't.

    Example:
        >>> shape_of("avg_pool_input_grad", "x_shape", [1, 3, 8])
        (1, 3, 8)
    """
    if isinstance(value, np.ndarray) and value.ndim != 1:
        raise TypeError(f"{op}: {name} is an array of shape {value.shape}; pass its shape, not the array")
    try:
        shape = tuple(operator.index(n) for n in value)
    except TypeError:
        raise TypeError(f"{op}: {name}={value!r} is not a shape; pass a sequence of whole numbers") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"{op}: {name}={shape} has a negative size; use sizes of 0 and more")
    return shape


def check_gradient(op: str, dy: Array, expected: Sequence[int], why: str = "") -> None:
    """Raise unless `dy` has the shape of the output it is the gradient of.

    Args:
        op: the operation that asks, for the message.
        dy: the gradient.
        expected: the output's shape.
        why: where that shape comes from, for the message.

    Raises:
        ValueError: another shape; nothing is broadcast.

    Example:
        >>> check_gradient("relu_input_grad", np.zeros(3), (4,))
        Traceback (most recent call last):
        ...
        ValueError: relu_input_grad: dy has shape (3,) but the output has (4,); pass the gradient of that output
    """
    if dy.shape != tuple(expected):
        reason = f", {why}" if why else ""
        raise ValueError(
            f"{op}: dy has shape {dy.shape} but the output has {tuple(expected)}{reason}; "
            f"pass the gradient of that output"
        )


_PLAIN = (np.dtype(np.float32), np.dtype(np.float64))


def is_plain(x: Any) -> bool:
    """Tell whether x is what needs no look and no conversion: an array of float32 or float64 with axes.

    Example:
        >>> is_plain(np.zeros(3)), is_plain([0.0]), is_plain(np.zeros(())), is_plain(np.zeros(3, np.float16))
        (True, False, False, False)
    """
    return type(x) is np.ndarray and x.dtype in _PLAIN and x.ndim > 0


def are_plain(a: Any, x: Any) -> bool:
    """Tell whether both are `is_plain`, of one type and one shape.

    Example:
        >>> (
        ...     are_plain(np.zeros(3), np.zeros(3)),
        ...     are_plain(np.zeros(3), np.zeros(4)),
        ...     are_plain([0.0], np.zeros(1)),
        ... )
        (True, False, False)
    """
    return (
        type(a) is np.ndarray and type(x) is np.ndarray and (dtype := x.dtype) in _PLAIN and a.dtype is dtype
        and a.shape == x.shape != ()
    )  # fmt: skip


def floats(op: str, why: str, *arrays: Array) -> tuple[list[Array], np.dtype[Any]]:
    """Return the arrays in the type they are computed in, and the result's; whole numbers are refused.

    Args:
        op: the operation that asks, for the message.
        why: what the operation does that whole numbers can't hold, for the message.
        arrays: its operands, of any supported type.

    Raises:
        TypeError: all of them hold integers or booleans.

    Example:
        >>> operands, result = floats("tanh", "tanh is a fraction", np.zeros(2, np.float16))
        >>> str(operands[0].dtype), str(result)
        ('float32', 'float16')
    """
    working, result = dtypes(op, *arrays)
    if is_integer(*arrays):
        given = " and ".join(f"{a.dtype} {a.shape}" for a in arrays)
        raise TypeError(f"{op}: got {given}, but {why}; convert first: x.astype(np.float32)")
    return [a.astype(working, copy=False) for a in arrays], result


def numbers(op: str, *arrays: Array, terms: int = 1) -> tuple[list[Array], np.dtype[Any]]:
    """Return the arrays in the type they are computed in, and the result's; whole numbers stay exact.

    Args:
        op: the operation that asks, for the message.
        arrays: its operands, of any supported type; integers come back as int64.
        terms: how many of the first operand's numbers are added up at most.

    Raises:
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> operands, result = numbers("relu", np.array([3], np.uint8))
        >>> str(operands[0].dtype), str(result)
        ('int64', 'int64')
    """
    working, result = dtypes(op, *arrays)
    if working.kind == "i":
        for count, a in zip((terms, *[1] * len(arrays)), arrays, strict=False):
            if (largest := count * largest_of(a)) >= 2**63:
                raise OverflowError(
                    f"{op}: a sum of {count} numbers of {a.dtype} {a.shape} may reach {largest}, which exceeds "
                    f"int64; use float64, which rounds, or scale down"
                )
    return [a.astype(working, copy=False) for a in arrays], result


def largest_of(x: Array) -> int:
    """Return the largest absolute value of integers, as a Python number that can't overflow; 0 if empty.

    Example:
        >>> largest_of(np.array([-128, 3], np.int8))
        128
    """
    if not x.size or x.dtype == np.bool_:
        return int(x.size > 0)
    return max(abs(int(x.max())), abs(int(x.min())))
