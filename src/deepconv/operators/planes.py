"""One kernel over every channel of a picture, height × width × channels as pictures come."""

from typing import Any

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.engine.pictures import choice
from deepconv.engine.pictures.choice import PlanePlan
from deepconv.engine.pictures.problem import BORDERS, PlaneProblem, kernel_of
from deepconv.geometry import whole_number

_OP = "correlate_planes"
_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def correlate_planes(
    image: Array,
    kernel: Any,
    *,
    border: str = "reflect",
    constant: float = 0.0,
    anchor: tuple[int, int] | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    exact: bool = False,
) -> Array:
    """Slide a kernel over each channel of a picture and return the sums of products.

    `y[i, j, c] = Σ kernel[r, s] · image[i + r - ay, j + s - ax, c]`. What lies beyond the picture is told by
    `border`, in the words of `scipy.ndimage`:

    | border | beyond `a b c d` lies |
    | --- | --- |
    | `"reflect"` | `d c b a`, `a b c d`, `d c b a`: the pixel at the edge twice |
    | `"mirror"` | `d c b`, `a b c d`, `c b a`: the pixel at the edge once |
    | `"edge"` | `a a a a`, `a b c d`, `d d d d` |
    | `"wrap"` | `a b c d`, `a b c d`, `a b c d` |
    | `"zero"` | zeros |
    | `"constant"` | the number `constant` |
    | `"crop"` | nothing: the result has only pixels whose kernel lies within the picture |

    A cell of the kernel that is zero is not looked at, as in SciPy: a NaN beneath it doesn't count. A kernel that is
    an outer product, as far as its type's rounding allows, runs down the columns and then across; a large one may go
    through Fourier space, whose errors are of the size of float64's last place of the largest number near it.

    Args:
        image: `(H, W, C)` or `(H, W)`, float32 or float64, which the result has too; any strides.
        kernel: `(R, S)`, each from 1 on, odd or even.
        border: see above.
        constant: for `border="constant"`.
        anchor: `(ay, ax)`, the cell that stands on the pixel which is computed; `(R // 2, S // 2)` if None. It
            doesn't matter for `"crop"`.
        out: receives the result, if given.
        algorithm: `"auto"`, or one by its name; see `explain_planes`.
        exact: only products and sums of whole numbers where picture and kernel are of whole numbers: exact, as long
            as they stay below 2^24 in float32 and 2^53 in float64. No Fourier transform then.

    Returns:
        An array of the picture's shape (smaller by `R - 1` and `S - 1` for `"crop"`), or `out`.

    Raises:
        TypeError: the picture is not of float32 or float64, or the kernel not of numbers.
        ValueError: shapes, the border or the anchor don't fit, or the algorithm named can't compute this.

    Example:
        >>> picture = np.arange(12.0).reshape(3, 4)
        >>> correlate_planes(picture, [[-1, 0, 1]], border="edge")
        array([[1., 2., 2., 1.],
               [1., 2., 2., 1.],
               [1., 2., 2., 1.]])
        >>> correlate_planes(picture, np.ones((2, 2)), border="crop")
        array([[10., 14., 18.],
               [26., 30., 34.]])
    """
    image, cells = _operands(image, kernel)
    problem = _problem(image.shape, image.dtype, cells, border, anchor, exact)
    shape = (*problem.out, *image.shape[2:])
    result = _result(out, shape, image.dtype)
    told = kernel_of(cells, exact)
    plan = choice.choose(choice.completed(problem, told), algorithm)
    into = result
    if out is not None and (np.may_share_memory(out, image) or np.may_share_memory(out, cells)):
        into = np.empty(shape, image.dtype)
    outside = float(constant) if border == "constant" else 0.0
    if image.ndim == 2:
        choice.correlate(plan, image[:, :, None], told, outside, into[:, :, None])
    else:
        choice.correlate(plan, image, told, outside, into)
    if into is not result:
        result[...] = into
    return result


def explain_planes(
    shape: tuple[int, ...],
    kernel: Any,
    *,
    border: str = "reflect",
    anchor: tuple[int, int] | None = None,
    dtype: Any = np.float32,
    exact: bool = False,
) -> PlanePlan:
    """Tell how `correlate_planes` would filter a picture, and why not otherwise.

    Args:
        shape: of the picture, `(H, W, C)` or `(H, W)`.
        kernel, border, anchor, exact: as for `correlate_planes`.
        dtype: of the picture.

    Returns:
        What is told: `.algorithm`, `.not_chosen`, `.workspace_bytes`; `print` shows all of it.

    Raises:
        TypeError, ValueError: as for `correlate_planes`.

    Example:
        >>> told = explain_planes((300, 400, 3), np.ones((9, 9)))
        >>> told.problem.sides, sorted(told.not_chosen | {told.algorithm: ""})
        ((9, 9), ['direct', 'fourier', 'separable', 'taps'])
    """
    image, cells = _operands(np.broadcast_to(np.zeros((), dtype), shape), kernel)
    problem = _problem(image.shape, image.dtype, cells, border, anchor, exact)
    return choice.choose(choice.completed(problem, kernel_of(cells, exact)))


def _problem(
    shape: tuple[int, ...], dtype: np.dtype[Any], cells: Array, border: str, anchor: Any, exact: bool
) -> PlaneProblem:
    """Return what is to be computed, or raise what doesn't fit."""
    size = (cells.shape[0], cells.shape[1])
    _check_border(shape, size, border)
    height, width, channels = shape if len(shape) == 3 else (*shape, 1)
    return PlaneProblem(
        height, width, channels, size, _anchor(anchor, size), border, dtype, cells.size, exact=exact
    )


def _operands(image: Any, kernel: Any) -> tuple[Array, Array]:
    """Return the picture and the kernel in its type, or raise what is wrong with them."""
    image, cells = as_array(_OP, "image", image), as_array(_OP, "kernel", kernel)
    if image.dtype not in _TYPES:
        raise TypeError(
            f"{_OP}: image has dtype {image.dtype} (shape {image.shape}); convert it to float32 or float64"
        )
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"{_OP}: image has shape {image.shape}; use (height, width) or (height, width, channels), none of them 0"
        )
    if cells.ndim != 2 or 0 in cells.shape:
        raise ValueError(f"{_OP}: kernel has shape {cells.shape}; use (rows, columns), at least 1 x 1")
    return image, np.ascontiguousarray(cells, image.dtype)


def _check_border(shape: tuple[int, ...], size: tuple[int, int], border: str) -> None:
    """Raise ValueError for a border that is not known, or one that leaves nothing."""
    if border not in BORDERS:
        raise ValueError(f"{_OP}: border={border!r} is not known; use {', '.join(map(repr, BORDERS))}")
    if border == "crop" and (shape[0] < size[0] or shape[1] < size[1]):
        raise ValueError(
            f"{_OP}: border='crop' leaves nothing of an image of shape {shape} with a kernel of shape {size}; "
            f"use another border or a smaller kernel"
        )


def _anchor(anchor: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Return the anchor as two whole numbers within the kernel."""
    if anchor is None:
        return size[0] // 2, size[1] // 2
    numbers = tuple(map(whole_number, anchor)) if isinstance(anchor, (tuple, list)) else ()
    ay, ax = numbers if len(numbers) == 2 else (None, None)
    if ay is None or ax is None:
        raise TypeError(f"{_OP}: anchor={anchor!r} is not two whole numbers (row, column) of the kernel")
    if not (0 <= ay < size[0] and 0 <= ax < size[1]):
        raise ValueError(f"{_OP}: anchor={anchor!r} is not a cell of a kernel of shape {size}")
    return ay, ax


def _result(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the array that receives the result."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{_OP}: out is a {type(out).__name__}; pass a NumPy array of shape {shape} or None")
    if out.shape != shape or out.dtype != dtype or not out.flags.writeable:
        raise ValueError(
            f"{_OP}: out has shape {out.shape} and dtype {out.dtype}"
            f"{'' if out.flags.writeable else ', read-only'}; use a writeable one of {shape} and {dtype}"
        )
    return out
