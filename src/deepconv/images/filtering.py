"""A kernel over a picture, named truly: `correlate` lays it on as it is written, `convolve` turned by half a turn.

Each channel is filtered by itself; nothing is known here of alpha, of bits or of colour spaces, which are the
business of `deepconv.images.effects`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array, as_array, is_integer
from deepconv.geometry import whole_number
from deepconv.images.borders import check_border, extended, places
from deepconv.operators.planes import correlate_planes

__all__ = ["convolve", "correlate"]

# Sums of whole numbers up to here come out of floats right once they are rounded, whatever way the engine
# takes them. A large kernel may go by Fourier, whose error is one of all the numbers at once: not in float32.
_EXACT_IN_FLOAT32 = 2**18
_EXACT_IN_FLOAT64 = 2**40
_SMALL = 64  # cells


def correlate(
    picture: Any,
    kernel: Any,
    *,
    border: str = "reflect",
    constant: float = 0.0,
    divisor: float | None = None,
    offset: float = 0.0,
    anchor: tuple[int, int] | None = None,
) -> Array:
    """Slide a kernel over a picture as it is written, and sum the products; each channel by itself.

    `y[i, j] = Σ kernel[r, s] · picture[i + r - ay, j + s - ax] / divisor + offset`, with `(ay, ax)` the anchor.
    It is what OpenCV's `filter2D`, SciPy's `ndimage.correlate` and neural networks compute.

    Args:
        picture: `(height, width)` or `(height, width, channels)`, of any number type.
        kernel: `(rows, columns)`, of any size, even ones too.
        border: what stands beyond the picture: `reflect`, `mirror`, `edge`, `wrap`, `zero`, `constant`, or
            `crop`, which leaves out the pixels whose kernel would reach there.
        constant: the number that stands there for `border="constant"`.
        divisor: what the sums are divided by; 1 if None.
        offset: what is added after that.
        anchor: `(row, column)` of the kernel's cell that stands on the pixel being computed;
            `(rows // 2, columns // 2)` if None: the middle, and of an even kernel the cell after it, as in
            OpenCV (anchor (-1, -1)) and SciPy (origin 0).

    Returns:
        The picture's shape, less `rows - 1` and `columns - 1` for `crop`. A float picture keeps its dtype.
        Integers give exact int64 where kernel, constant, divisor and offset are whole and it divides by 1,
        otherwise float32 (float64 where they have more than 16 bits). Nothing wraps or is clipped.

    Raises:
        TypeError: the picture or the kernel does not hold real numbers.
        ValueError: shapes, the border, the anchor or the divisor don't fit.
        OverflowError: exact sums could pass what int64 holds.

    Example:
        >>> correlate([[1, 5, 2]], [[-1, 0, 1]], border="edge")
        array([[ 4,  1, -3]])
        >>> correlate(np.uint8([[200, 200]]), np.ones((3, 3), int)).tolist()
        [[1800, 1800]]
        >>> correlate(np.float32([[1, 5, 3]]), [[1, 2, 1]], divisor=4).tolist()
        [[2.0, 3.5, 3.5]]
    """
    return _filter(
        "correlate", picture, kernel, anchor, border=border, constant=constant, divisor=divisor, offset=offset
    )


def convolve(
    picture: Any,
    kernel: Any,
    *,
    border: str = "reflect",
    constant: float = 0.0,
    divisor: float | None = None,
    offset: float = 0.0,
    anchor: tuple[int, int] | None = None,
) -> Array:
    """Slide a kernel over a picture turned by half a turn, as mathematics and signal processing do.

    `y[i, j] = Σ kernel[r, s] · picture[i - r + ay, j - s + ax] / divisor + offset`. It is `correlate` with
    `kernel[::-1, ::-1]` and the anchor in the mirrored cell, SciPy's `ndimage.convolve` with origin 0. For a
    kernel that looks the same after half a turn, such as a blur, both are one.

    Args:
        picture: as for `correlate`.
        kernel: as for `correlate`, in its own, unturned order.
        border: as for `correlate`.
        constant: as for `correlate`.
        divisor: as for `correlate`.
        offset: as for `correlate`.
        anchor: as for `correlate`, counted in the unturned kernel.

    Returns:
        As for `correlate`.

    Raises:
        TypeError: as for `correlate`.
        ValueError: as for `correlate`.
        OverflowError: as for `correlate`.

    Example:
        >>> convolve([[0, 0, 1, 0, 0]], [[1, 2, 3]]).tolist()
        [[0, 1, 2, 3, 0]]
        >>> correlate([[0, 0, 1, 0, 0]], [[1, 2, 3]]).tolist()
        [[0, 3, 2, 1, 0]]
    """
    cells = check_kernel("convolve", kernel)
    ay, ax = check_anchor("convolve", anchor, cells)
    turned = (cells.shape[0] - 1 - ay, cells.shape[1] - 1 - ax)
    return _filter(
        "convolve", picture, cells[::-1, ::-1], turned, border=border, constant=constant, divisor=divisor, offset=offset
    )  # fmt: skip


def check_kernel(op: str, kernel: Any) -> Array:
    """Return a kernel as an array of finite numbers, or say what is wrong with it.

    Args:
        op: the operation that asks, for the message.
        kernel: `(rows, columns)`, an array or nested lists.

    Raises:
        TypeError: it holds anything but real numbers.
        ValueError: it has not two axes, is empty, or holds NaN or infinity.

    Example:
        >>> check_kernel("correlate", [[1, 2, 1]]).shape
        (1, 3)
    """
    cells = as_array(op, "kernel", kernel)
    if cells.ndim != 2 or 0 in cells.shape:
        raise ValueError(f"{op}: kernel has shape {cells.shape}; use (rows, columns), at least 1 × 1")
    if not np.isfinite(cells).all():
        row, column = np.argwhere(~np.isfinite(cells))[0].tolist()
        raise ValueError(f"{op}: kernel[{row}, {column}] is {cells[row, column]}; use finite numbers")
    return cells


def check_anchor(op: str, anchor: Any, kernel: Array) -> tuple[int, int]:
    """Return the kernel's cell that stands on the pixel being computed.

    Args:
        op: the operation that asks, for the message.
        anchor: `(row, column)`, or None for `(rows // 2, columns // 2)`.
        kernel: `(rows, columns)`.

    Raises:
        ValueError: it is not a cell of the kernel.

    Example:
        >>> check_anchor("correlate", None, np.ones((2, 5)))
        (1, 2)
    """
    rows, columns = kernel.shape
    if anchor is None:
        return rows // 2, columns // 2
    cell = [whole_number(n) for n in anchor] if isinstance(anchor, (tuple, list)) else []
    if len(cell) == 2 and cell[0] is not None and cell[1] is not None:
        ay, ax = cell[0], cell[1]
        if 0 <= ay < rows and 0 <= ax < columns:
            return ay, ax
    raise ValueError(
        f"{op}: anchor={anchor!r} is not a cell of a kernel of {rows} × {columns}; "
        f"use (row, column) from (0, 0) to ({rows - 1}, {columns - 1}), or None for ({rows // 2}, {columns // 2})"
    )


def check_number(op: str, name: str, value: Any) -> float:
    """Return a finite number, a whole one as int, or say that it is none.

    Args:
        op: the operation that asks, for the message.
        name: the argument's name, for the message.
        value: what was given.

    Raises:
        TypeError: it is no real number.
        ValueError: it is NaN or infinite.

    Example:
        >>> check_number("correlate", "offset", np.float32(0.5))
        0.5
    """
    whole = whole_number(value)
    if whole is not None:
        return whole
    try:
        number = math.nan if isinstance(value, (str, bytes, bool)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, (str, bytes, bool)) or (
        math.isnan(number) and not isinstance(value, float | np.floating)
    ):
        raise TypeError(f"{op}: {name}={value!r} is not a number")
    if not math.isfinite(number):
        raise ValueError(f"{op}: {name}={value!r}; use a finite number")
    return number


def _filter(
    op: str,
    picture: Any,
    kernel: Any,
    anchor: tuple[int, int] | None,
    *,
    border: str,
    constant: float,
    divisor: float | None,
    offset: float,
) -> Array:
    """Check everything and compute, exactly or in floats."""
    image, cells = as_array(op, "picture", picture), check_kernel(op, kernel)
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"{op}: picture has shape {image.shape}; use (height, width) or (height, width, channels), none of them 0"
        )
    check_border(op, border, image.shape, cells.shape)
    cell = check_anchor(op, anchor, cells)
    beyond = check_number(op, "constant", constant)
    scale = 1 if divisor is None else check_number(op, "divisor", divisor)
    shift = check_number(op, "offset", offset)
    if scale == 0:
        raise ValueError(f"{op}: divisor={divisor!r}; divide by another number than 0, or leave it out")
    whole = float(beyond).is_integer() and float(shift).is_integer() and abs(shift) < 2**62
    if is_integer(image, cells) and scale in (1, -1) and whole:
        return int(scale) * _exactly(op, image, cells, border, int(beyond), cell) + int(shift)
    kind = _float_for(image)
    result = correlate_planes(
        image.astype(np.promote_types(kind, np.float32), copy=False),
        cells / scale,
        border=border,
        constant=beyond,
        anchor=cell,
    )
    if shift:
        result += result.dtype.type(shift)
    return result.astype(kind, copy=False)


def _float_for(image: Array) -> np.dtype[Any]:
    """Return the float type of the result: the picture's own, or one that holds its integers."""
    if image.dtype.kind == "f":
        return image.dtype.newbyteorder("=")
    return np.dtype(np.float32 if image.dtype.itemsize <= 2 else np.float64)


def _exactly(
    op: str, image: Array, kernel: Array, border: str, constant: int, anchor: tuple[int, int]
) -> Array:
    """Return exact int64 sums, by floats where those hold them all."""
    largest = max(abs(int(image.min())), abs(int(image.max())), abs(constant), 1)
    bound = largest * int(np.abs(kernel.astype(np.float64)).sum() * (1 + 1e-9) + 1)
    if bound >= 2**62:
        raise OverflowError(
            f"{op}: sums of up to {bound:.3g} could pass what int64 holds; pass the picture or the kernel as float64"
        )
    if bound <= _EXACT_IN_FLOAT64:
        kind = np.float32 if bound <= _EXACT_IN_FLOAT32 and kernel.size <= _SMALL else np.float64
        sums = correlate_planes(
            image.astype(kind), kernel, border=border, constant=constant, anchor=anchor, exact=True
        )
        return np.rint(sums).astype(np.int64)
    rows, columns = places(image.shape, kernel.shape, anchor, border)
    wide = extended(image.astype(np.int64), rows, columns, constant)
    height, width = len(rows) - kernel.shape[0] + 1, len(columns) - kernel.shape[1] + 1
    total = np.zeros((height, width, *image.shape[2:]), np.int64)
    cells = kernel.astype(np.int64)
    for r, s in np.argwhere(cells != 0):
        total += cells[r, s] * wide[r : r + height, s : s + width]
    return total
