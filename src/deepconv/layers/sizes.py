"""What the layers' constructors and inputs are checked for, in one form of words."""

from __future__ import annotations

from typing import Any

from deepconv.arrays import Array
from deepconv.geometry import meant, split_batch, whole_number


def count(op: str, name: str, value: Any) -> int:
    """Return `value` as a whole number of at least 1.

    Args:
        op: the layer that asks, for the message.
        name: the argument's name, for the message.
        value: what the caller gave.

    Raises:
        TypeError: not a whole number.
        ValueError: under 1.

    Example:
        >>> count("Conv2d", "out_channels", 0)
        Traceback (most recent call last):
        ...
        ValueError: Conv2d: out_channels=0 must be at least 1
    """
    number = whole_number(value)
    if number is None:
        raise TypeError(f"{op}: {name}={value!r} is not a whole number")
    if number < 1:
        raise ValueError(f"{op}: {name}={value!r} must be at least 1")
    return number


def count_or_none(op: str, name: str, value: Any) -> int | None:
    """Return `value` as a whole number of at least 1, or None where it is left to be inferred.

    Args:
        op: the layer that asks, for the message.
        name: the argument's name, for the message.
        value: what the caller gave.

    Raises:
        TypeError: neither a whole number nor None.
        ValueError: under 1.

    Example:
        >>> count_or_none("Conv2d", "in_channels", None) is None
        True
    """
    return None if value is None else count(op, name, value)


def flag(op: str, name: str, value: Any) -> bool:
    """Return `value`, which must be True or False.

    Args:
        op: the layer that asks, for the message.
        name: the argument's name, for the message.
        value: what the caller gave.

    Raises:
        TypeError: anything else.

    Example:
        >>> flag("Conv2d", "bias", True)
        True
    """
    if not isinstance(value, bool):
        raise TypeError(f"{op}: {name}={value!r} is neither True nor False")
    return value


def number(op: str, name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """Return `value` as a finite float from `low` to `high`.

    Args:
        op: the layer that asks, for the message.
        name: the argument's name, for the message.
        value: what the caller gave.
        low: the least that makes sense.
        high: the most that makes sense.

    Raises:
        TypeError: not a number.
        ValueError: out of range.

    Example:
        >>> number("Dropout", "p", 1.5, 0, 1)
        Traceback (most recent call last):
        ...
        ValueError: Dropout: p=1.5 is not between 0 and 1
    """
    if isinstance(value, bool | str):
        raise TypeError(f"{op}: {name}={value!r} is not a number")
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{op}: {name}={value!r} is not a number") from None
    if not (low <= result <= high) or result == float("inf"):
        raise ValueError(f"{op}: {name}={value!r} is not between {low:g} and {high:g}")
    return result


def choice(op: str, name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """Return `value`, which must be one of the words allowed.

    Args:
        op: the layer that asks, for the message.
        name: the argument's name, for the message.
        value: what the caller gave.
        allowed: the words.

    Raises:
        ValueError: anything else.

    Example:
        >>> choice("Upsample", "mode", "nearest", ("nearest", "linear"))
        'nearest'
    """
    if not isinstance(value, str) or value not in allowed:
        remark = meant(value, allowed)
        raise ValueError(f"{op}: {name}={value!r} is not known; use {', '.join(map(repr, allowed))}{remark}")
    return value


def infer_channels(op: str, x: Array, rank: int) -> int:
    """Return how many channels a layer meets in its first input.

    Args:
        op: the layer that asks, for the message.
        x: the input, `(N, C, *spatial)` or `(C, *spatial)`.
        rank: the layer's number of spatial axes.

    Raises:
        ValueError: none, as where a batch of grey pictures comes without the channels' axis.

    Example:
        >>> import numpy as np
        >>> infer_channels("Conv2d", np.zeros((4, 3, 28, 28)), 2)
        3
        >>> infer_channels("Conv2d", np.zeros((0, 28, 28)), 2)
        Traceback (most recent call last):
        ...
        ValueError: Conv2d: x has no channels (shape (0, 28, 28)); pass (N, C, H, W), as x[:, None] makes of ...
    """
    channels: int = split_batch(op, x, rank)[0].shape[1]
    if channels < 1:
        axes = ", ".join("DHW"[3 - rank :])
        raise ValueError(
            f"{op}: x has no channels (shape {x.shape}); pass (N, C, {axes}), as x[:, None] makes of (N, {axes})"
        )
    return channels


def check_channels(op: str, name: str, expected: int, x: Array, axis: int) -> None:
    """Raise ValueError unless `x` has the channels that the layer was made for.

    Args:
        op: the layer that asks, for the message.
        name: the constructor's argument that says how many, for the message.
        expected: how many.
        x: the input.
        axis: which of its axes holds the channels.

    Example:
        >>> import numpy as np
        >>> check_channels("Conv2d", "in_channels", 3, np.zeros((4, 28, 28, 3)), 1)
        Traceback (most recent call last):
        ...
        ValueError: Conv2d: x has 28 channels (shape (4, 28, 28, 3)) but in_channels=3; x looks channels-last, so
        use np.moveaxis(x, -1, 1)
    """
    got = x.shape[axis]
    if got == expected:
        return
    remedy = f"pass {expected} channels or make the layer with {name}={got}"
    if x.shape[-1] == expected:
        remedy = f"x looks channels-last, so use np.moveaxis(x, -1, {axis})"
    raise ValueError(f"{op}: x has {got} channels (shape {x.shape}) but {name}={expected}; {remedy}")
