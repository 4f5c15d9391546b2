"""Small arrays on their way to and from the page."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array

__all__ = ["from_page", "to_page"]


def to_page(array: Array) -> Any:
    """Return an array as nested lists; NaN and infinity, which JSON lacks, as words.

    Args:
        array: numbers, few enough to be shown.

    Example:
        >>> to_page(np.array([[1.0, np.inf], [np.nan, -2.5]]))
        [[1.0, '∞'], ['NaN', -2.5]]
    """
    if np.isfinite(array).all():
        return array.tolist()
    words = {np.inf: "∞", -np.inf: "−∞"}
    if array.ndim:
        return [to_page(part) for part in array]
    value = float(array)
    return words.get(value, "NaN")


def from_page(name: str, value: Any, axes: str, most: int) -> Array:
    """Return nested lists as a float64 array.

    Args:
        name: what it is called on the page, for messages.
        value: nested lists of numbers.
        axes: a letter for each axis, such as "CHW".
        most: how many numbers there may be.

    Raises:
        ValueError: it isn't of these axes, is ragged, or has too many numbers or none.

    Example:
        >>> from_page("image", [[1, 2], [3, 4]], "HW", 10).shape
        (2, 2)
    """
    try:
        array = np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{name}: expected equally long lists of numbers, axes {', '.join(axes)}") from None
    if array.ndim != len(axes) or not 0 < array.size <= most:
        raise ValueError(
            f"{name}: has shape {array.shape}; give axes {', '.join(axes)} with up to {most} numbers in all"
        )
    return array
