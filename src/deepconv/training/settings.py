"""What training's settings must be before they are compared: numbers, and whole ones where things are counted."""

from __future__ import annotations

import numbers
from typing import Any

from deepconv.geometry import whole_number

__all__ = ["number", "whole"]


def number(op: str, name: str, value: Any) -> float:
    """Return `value`, which must be a number; True is none.

    Args:
        op: who asks, for the message.
        name: the setting's name, for the message.
        value: what the caller gave.

    Raises:
        TypeError: anything else.

    Example:
        >>> number("SGD", "learning_rate", "0.1")
        Traceback (most recent call last):
        ...
        TypeError: SGD: learning_rate='0.1' is not a number
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{op}: {name}={value!r:.100} is not a number")
    return value  # type: ignore[return-value]


def whole(op: str, name: str, value: Any) -> int:
    """Return `value` as a whole number; 1.5 is not rounded, and True is none.

    Args:
        op: who asks, for the message.
        name: the setting's name, for the message.
        value: what the caller gave.

    Raises:
        TypeError: anything else.

    Example:
        >>> whole("Trainer.fit", "epochs", 1.5)
        Traceback (most recent call last):
        ...
        TypeError: Trainer.fit: epochs=1.5 is not a whole number
    """
    found = whole_number(value)
    if found is None:
        raise TypeError(f"{op}: {name}={value!r:.100} is not a whole number")
    return found
