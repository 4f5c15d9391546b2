"""What a picture is taken to be beyond its edge, by the names that SciPy gives.

For the row `a b c d`, what stands before and after it:

| rule | before | after | elsewhere |
| --- | --- | --- | --- |
| `reflect` | `c b a` | `d c b` | the edge repeated: OpenCV's REFLECT, SciPy's reflect, NumPy's symmetric |
| `mirror` | `d c b` | `c b a` | not repeated: OpenCV's REFLECT_101, SciPy's mirror, NumPy's reflect |
| `edge` | `a a a` | `d d d` | OpenCV's REPLICATE, SciPy's nearest, NumPy's edge |
| `wrap` | `b c d` | `a b c` | OpenCV's WRAP, SciPy's wrap |
| `zero` | `0 0 0` | `0 0 0` | SciPy's constant with cval=0 |
| `constant` | `k k k` | `k k k` | a number of yours: OpenCV's CONSTANT, SciPy's constant |
| `crop` | – | – | only places where the whole kernel fits: NumPy's valid |

Where the kernel is wider than the picture the rules go on: `reflect` and `mirror` swing back and forth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.pictures.problem import BORDERS, beyond

__all__ = ["BORDERS", "check_border", "extended", "places"]


def check_border(op: str, border: str, picture: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    """Refuse a word that is no border rule, and `crop` where nothing would be left.

    Args:
        op: the operation that asks, for the message.
        border: the word.
        picture: the picture's shape, height and width first.
        kernel: the kernel's shape.

    Raises:
        ValueError: it is none of `BORDERS`, or leaves no pixel.

    Example:
        >>> check_border("correlate", "symmetric", (4, 5), (3, 3))
        Traceback (most recent call last):
        ValueError: correlate: border='symmetric' is not known; use one of reflect, mirror, edge, ...
    """
    if border not in BORDERS:
        raise ValueError(f"{op}: border={border!r} is not known; use one of {', '.join(BORDERS)}")
    if border == "crop" and (picture[0] < kernel[0] or picture[1] < kernel[1]):
        raise ValueError(
            f"{op}: border='crop' leaves nothing of a picture of height × width {picture[0]} × {picture[1]} "
            f"with a kernel of {kernel[0]} × {kernel[1]}; use another border or a smaller kernel"
        )


def places(
    picture: tuple[int, ...], kernel: tuple[int, ...], anchor: tuple[int, int], border: str
) -> tuple[Array, Array]:
    """Return which rows and columns of a picture stand where the kernel reaches, row by row of the result.

    Args:
        picture: its shape, height and width first.
        kernel: its shape.
        anchor: the kernel's cell that stands on the pixel being computed.
        border: one of `BORDERS`.

    Returns:
        Rows and columns, each as many as the result has plus the kernel's less one; -1 for the constant.

    Example:
        >>> [n.tolist() for n in places((3, 2), (3, 3), (1, 1), "mirror")]
        [[1, 0, 1, 2, 1], [1, 0, 1, 0]]
    """
    if border == "crop":
        return beyond(picture[0], 0, 0, border), beyond(picture[1], 0, 0, border)
    ay, ax = anchor
    return (
        beyond(picture[0], ay, kernel[0] - 1 - ay, border),
        beyond(picture[1], ax, kernel[1] - 1 - ax, border),
    )


def extended(picture: Array, rows: Array, columns: Array, constant: Any = 0) -> Array:
    """Return the picture's pixels at the given places, and the constant where there is none.

    Args:
        picture: `(height, width)` or `(height, width, channels)`.
        rows: which rows; -1 for a row beyond the picture.
        columns: which columns.
        constant: what stands beyond the picture: a number, or one per channel.

    Returns:
        `(rows, columns)` or `(rows, columns, channels)`, of the picture's dtype; a copy.

    Example:
        >>> extended(np.array([[1, 2]]), np.array([-1, 0]), np.array([0, 0, 1, 1]), 7).tolist()
        [[7, 7, 7, 7], [1, 1, 2, 2]]
    """
    result = np.empty((len(rows), len(columns), *picture.shape[2:]), picture.dtype)
    (top, stop), (left, right) = _longest_run(rows), _longest_run(columns)
    if top == stop or left == right:
        top, stop, left, right = 0, 0, 0, 0
    # The middle is copied as it lies; only what is beyond the edges is gathered, number by number.
    if stop > top:
        middle = picture[rows[top] : rows[top] + stop - top]
        result[top:stop, left:right] = middle[:, columns[left] : columns[left] + right - left]
        for part in (slice(0, left), slice(right, len(columns))):
            result[top:stop, part] = middle[:, columns[part]]
    for part in (slice(0, top), slice(stop, len(rows))):
        result[part] = picture[rows[part]][:, columns]
    result[rows < 0] = constant
    result[:, columns < 0] = constant
    return result


def _longest_run(places: Array) -> tuple[int, int]:
    """Return where the longest run of neighbouring pixels begins and ends."""
    breaks = np.flatnonzero((np.diff(places) != 1) | (places[1:] <= 0)) + 1
    ends = np.concatenate([[0], breaks, [len(places)]])
    first = int(np.diff(ends).argmax())
    if places[ends[first]] < 0:  # nothing but the constant
        return 0, 0
    return int(ends[first]), int(ends[first + 1])
