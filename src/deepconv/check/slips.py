"""The slips people make, each as what it would have given: what theirs equals tells the likely reason.

Each entry is a sentence and a function of a `Case` that returns the wrong array, or None where the slip makes no
difference or can't be made. The sentence is what the person reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.check.cases import Case
from deepconv.operators.windows import col2im, im2col, pad

__all__ = ["SLIPS", "reason"]

Slip = Callable[[Case], Array | None]


def reason(
    result: str, failed: Sequence[tuple[Case, Array | None]], passed: Sequence[Case] = ()
) -> str | None:
    """Return the sentence of the slip that explains the most of what is wrong, and nothing that is right.

    Args:
        result: y, dx, dw, db, cols or image.
        failed: the cases that failed, each with what the person's code returned; None where it raised IndexError.
        passed: the cases that came out right; a slip that would have shown there was not made.

    Example:
        >>> case = Case("plain", image=(4, 5))
        >>> print(reason("y", [(case, case.expected("y", flip=True))]))
        the kernel is flipped: ...
    """
    best, most = None, 0
    for sentence, slip in SLIPS[result]:
        hits = sum(_explains(slip, case, theirs, result) for case, theirs in failed)
        if hits > most and not any(_shows(slip, case, result) for case in passed):
            best, most = sentence, hits
    return best


def _explains(slip: Slip, case: Case, theirs: Array | None, result: str) -> bool:
    try:
        wrong = slip(case)
    except IndexError:
        return theirs is None
    except ValueError:  # the slip can't be made here
        return False
    if wrong is None or theirs is None or same(wrong, case.expected(result)):
        return False
    return same(wrong, theirs)


def _shows(slip: Slip, case: Case, result: str) -> bool:
    """Say whether a slip would have made a case fail."""
    try:
        wrong = slip(case)
    except IndexError:
        return True
    except ValueError:
        return False
    return wrong is not None and not same(wrong, case.expected(result))


def same(a: Array, b: Array) -> bool:
    """Say whether two arrays are equal up to float32's rounding."""
    if a.shape != b.shape:
        return False
    scale = max(1.0, float(np.abs(a).max(initial=0.0)))
    return bool(np.allclose(a, b, rtol=0, atol=2e-5 * scale))


def _with(result: str, **changes: Any) -> Slip:
    return lambda case: case.expected(result, **changes)


def _transposed_kernel(result: str) -> Slip:
    return lambda case: (
        case.expected(result, weight=case.operands()["weight"].swapaxes(2, 3))
        if case.kernel[0] == case.kernel[1]
        else None
    )


def _scaled(result: str, divisor: Callable[[Case], float]) -> Slip:
    return lambda case: case.expected(result) / divisor(case)


def _places(case: Case) -> int:
    return int(case.expected("cols").shape[1])


def _one_axis(result: str, axis: int, name: str, plain: int) -> Slip:
    """The setting is heeded on one axis only."""

    def slip(case: Case) -> Array:
        both = [case.words[name]] * 2
        both[axis] = plain
        value = tuple((p, p) for p in both) if name == "padding" else tuple(both)
        return case.expected(result, **{name: value})

    return slip


def _cells(case: Case) -> Array:
    """Return the matrix's axes apart: `(N, rows, columns, C, R, S)`."""
    columns = case.expected("cols")
    rows, wide = case.expected("y").shape[2:]
    return columns.reshape(case.n, rows, wide, case.c, *case.kernel)


def _reordered(*axes: int) -> Slip:
    return lambda case: _cells(case).transpose(0, *axes).reshape(case.expected("cols").shape)


def _columns_with_a_wrong_row_length(case: Case) -> Array | None:
    """Rows of the padded image counted as if they were as long as the image's own."""
    if not case.padding:
        return None
    padded = pad(case.operands()["x"], case.padding)
    height, wide = padded.shape[2:]
    index = im2col(
        np.arange(case.c * height * wide).reshape(1, case.c, height, wide), case.kernel, stride=case.stride
    )[0]
    channel, rest = np.divmod(index, height * wide)
    row, column = np.divmod(rest, wide)
    own = case.image[1]
    flat = channel * case.image[0] * own + row * own + column
    found: Array = padded.reshape(case.n, -1)[:, np.minimum(flat, case.c * height * wide - 1)]
    return found


def _windows_without_padding(case: Case) -> Array | None:
    """Padded, but the window stops where the image without padding would end."""
    if not case.padding:
        return None
    x = pad(case.operands()["x"], case.padding)[:, :, : case.image[0], : case.image[1]]
    return im2col(x, case.kernel, stride=case.stride)


def _written_over(case: Case) -> Array:
    """Each pixel keeps the last window's cell instead of the sum."""
    o = case.operands()
    height, wide = (size + 2 * case.padding for size in case.image)
    numbers = np.arange(case.c * height * wide).reshape(1, case.c, height, wide)
    index = im2col(numbers, case.kernel, stride=case.stride)[0]
    image = np.zeros((case.n, numbers.size))
    for row, cells in enumerate(index):
        image[:, cells] = o["columns"][:, row]
    p = case.padding
    full = image.reshape(case.n, case.c, height, wide)
    return full[:, :, p : height - p or None, p : wide - p or None]


def _corner(part: Array, shape: Sequence[int]) -> Array:
    """Return zeros of a shape with an array in their first corner."""
    whole = np.zeros(shape)
    whole[tuple(slice(size) for size in part.shape)] = part
    return whole


def _in_place(result: str) -> Slip:
    """As many windows as the stride gives, but each a single cell after the one before."""

    def slip(case: Case) -> Array | None:
        if case.stride == 1:
            return None
        o, (rows, wide) = case.operands(), case.expected("y").shape[2:]
        every = case.expected("y", stride=1).shape  # at a stride of 1
        if result == "y":
            return case.expected("y", stride=1)[:, :, :rows, :wide]
        if result in {"dx", "dw"}:
            return case.expected(result, stride=1, dy=_corner(o["dy"], every))
        if result == "cols":
            found = case.expected("cols", stride=1).reshape(case.n, *every[2:], -1)[:, :rows, :wide]
            return found.reshape(case.n, rows * wide, -1)
        columns = o["columns"].reshape(case.n, rows, wide, -1)
        all_columns = _corner(columns, (case.n, *every[2:], columns.shape[-1]))
        return case.expected("image", stride=1, columns=all_columns.reshape(case.n, -1, columns.shape[-1]))

    return slip


def _padded(case: Case, result: str) -> Array | None:
    """Return the gradient of the padded image, or what is put back into it, with its padding."""
    if not case.padding:
        return None
    o = case.operands()
    if result == "dx":
        return case.expected("dx", padding=0, x=pad(o["x"], case.padding))
    height, wide = (size + 2 * case.padding for size in case.image)
    return col2im(o["columns"], (height, wide), case.kernel, stride=case.stride)


def _uncut(result: str) -> Slip:
    return lambda case: _padded(case, result)


def _cut_at_the_corner(result: str) -> Slip:
    def slip(case: Case) -> Array | None:
        whole = _padded(case, result)
        return None if whole is None else whole[:, :, : case.image[0], : case.image[1]]

    return slip


def _averaged_over_windows(case: Case) -> Array:
    seen = case.expected("image", columns=np.ones_like(case.operands()["columns"]))
    return case.expected("image") / np.maximum(seen, 1)


def _given_columns(case: Case) -> Array:
    found: Array = case.operands()["columns"]
    return found


def _gradient_columns(case: Case) -> Array:
    """Return dy · Wᵀ, a row for each window: what goes back into the image."""
    o = case.operands()
    rows = o["dy"].reshape(case.n, case.k, -1).swapaxes(1, 2)
    found: Array = rows @ o["weight"].reshape(case.k, -1)
    return found


def _as_the_post(
    *, rows: bool, padding: bool, stride: bool, columns_of: Callable[[Case], Array] = _given_columns
) -> Slip:
    """The post's `vec2arr`: kernel positions taken for rows, with further slips of its own."""

    def slip(case: Case) -> Array:
        columns, (k1, k2), (n, p) = columns_of(case), case.kernel, case.image
        taps, width = k1 * k2, case.c * k1 * k2
        places = case.expected("y").shape[3]
        i, j, a, b = np.ix_(range(n), range(p), range(k1), range(k2))
        top, left = i - a, j - b
        fits = (top >= -case.padding) & (top <= n - k1 + case.padding)
        fits = fits & (left >= -case.padding) & (left <= p - k2 + case.padding)
        fits = fits & ((top + case.padding) % case.stride == 0) & ((left + case.padding) % case.stride == 0)
        shift, step = case.padding * padding, case.stride if stride else 1
        window = (top + shift) // step * (places if rows else k2) + (left + shift) // step
        tap = a * k2 + b
        image = np.zeros((case.n, case.c, n, p))
        for c in range(case.c):
            flat = width * tap + c * taps + window if not rows else width * window + c * taps + tap
            image[:, c] = (columns.reshape(case.n, -1)[:, np.where(fits, flat, 0)] * fits).sum(axis=(3, 4))
        return image

    return slip


def _wrong_axes(case: Case) -> Iterator[Array]:
    dy = case.operands()["dy"]
    for axes in (
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (2, 3),
        (0, 1, 2),
        (0, 1, 3),
        (1, 2, 3),
        (0, 1, 2, 3),
        (0,),
        (1,),
    ):
        yield dy.sum(axis=axes)


def wrong_axes(case: Case, theirs: Array) -> bool:
    """Say whether a bias's gradient is a sum over other axes than images and places."""
    right = case.expected("db")
    return any(same(found, theirs) and not same(found, right) for found in _wrong_axes(case))


_FLIPPED = (
    "the kernel is flipped: this is signal processing's convolution, networks slide the kernel as it stands (use w, "
    "not w[::-1, ::-1])"
)
_SWAPPED = "rows and columns of the kernel are swapped"
_NO_STRIDE = "the stride is missing: the window moves by one cell at a step"
_IN_PLACE = (
    "a missing stride: the output's size heeds it, the window's place doesn't; window i begins at i·stride"
)
_UNCUT = "padding left in: this is of the padded image; give [:, :, padding:padding + n1, padding:padding + n2] of it"
_CORNER = (
    "padding is left out of an index: the image begins at [padding, padding] of the padded one, so give "
    "[:, :, padding:padding + n1, padding:padding + n2], not [:, :, :n1, :n2]"
)
_NO_PADDING = "the padding is missing: the image is not padded"
_AVERAGED = "the gradients are averaged over the batch instead of summed; the loss divides, not the layer"


def _settings(result: str) -> list[tuple[str, Slip]]:
    return [
        (_NO_STRIDE, _with(result, stride=1)),
        (_NO_PADDING, _with(result, padding=0)),
        ("the stride is heeded down the rows only", _one_axis(result, 1, "stride", 1)),
        ("the stride is heeded along the columns only", _one_axis(result, 0, "stride", 1)),
        ("the padding is added above and below only", _one_axis(result, 1, "padding", 0)),
        ("the padding is added left and right only", _one_axis(result, 0, "padding", 0)),
        ("both the stride and the padding are missing", _with(result, stride=1, padding=0)),
        (_IN_PLACE, _in_place(result)),
    ]


_POST = (
    "rows and columns are swapped, as in the post: the kernel's place is taken for the row of the matrix and the "
    "window's for the column; the row is the window, (i // stride)·nb2 + j // stride"
)
_NO_SHIFT = "padding is left out of an index: a window's number counts from −padding, so add padding before you divide"
_NO_DIVISION = "a missing stride: divide a window's start by the stride to get its number"
_PITCH = "padding is left out of an index: rows of the padded image are n2 + 2·padding long, not n2"
_LAST = "padding is left out of an index: the last place is n + 2·padding − k, not n − k"
_TURNED = "the products are reshaped before they are turned around: (N, L, K) must become (N, K, L) first"
_BACK = (
    "the kernel is the wrong way round: going back, a window's share is added where it was read, which is a "
    "convolution with the flipped kernel"
)
_OVER_PLACES = "the gradients are averaged over the places of the window instead of summed"
_OVER_BOTH = "the gradients are averaged over images and places instead of summed"


def _everything(case: Case) -> float:
    return case.n * _places(case)


def _turned(case: Case) -> Array:
    y = case.expected("y")
    return y.transpose(0, 2, 3, 1).reshape(y.shape)


def _turned_gradient(case: Case) -> Array | None:
    return case.expected("dw").swapaxes(2, 3) if case.kernel[0] == case.kernel[1] else None


SLIPS: dict[str, list[tuple[str, Slip]]] = {
    "y": [
        (_FLIPPED, _with("y", flip=True)),
        (_SWAPPED, _transposed_kernel("y")),
        ("the bias is missing", lambda case: case.expected("y", bias=np.zeros(case.k))),
        (
            "the channels are averaged, not summed",
            lambda case: case.expected("y", x=case.operands()["x"] / case.c),
        ),
        ("rows and columns of the output are swapped", lambda case: case.expected("y").swapaxes(2, 3)),
        (_TURNED, _turned),
        *_settings("y"),
    ],
    "cols": [
        ("rows and columns of the window are swapped", _reordered(1, 2, 3, 5, 4)),
        (
            "the places are listed column by column; the rows of the image come first",
            _reordered(2, 1, 3, 4, 5),
        ),
        (
            "the channels stand last in each row; all of one channel's cells come first",
            _reordered(1, 2, 4, 5, 3),
        ),
        (_PITCH, _columns_with_a_wrong_row_length),
        (_LAST, _windows_without_padding),
        *_settings("cols"),
    ],
    "image": [
        (_POST, _as_the_post(rows=False, padding=False, stride=False)),
        (_NO_SHIFT, _as_the_post(rows=True, padding=False, stride=True)),
        (_NO_DIVISION, _as_the_post(rows=True, padding=True, stride=False)),
        ("cells are written over each other instead of added up (use += or np.add.at)", _written_over),
        ("cells are averaged instead of summed", _averaged_over_windows),
        *_settings("image"),
        (_UNCUT, _uncut("image")),
        (_CORNER, _cut_at_the_corner("image")),
    ],
    "dx": [
        (_BACK, _with("dx", flip=True)),
        (_POST, _as_the_post(rows=False, padding=False, stride=False, columns_of=_gradient_columns)),
        (_NO_SHIFT, _as_the_post(rows=True, padding=False, stride=True, columns_of=_gradient_columns)),
        (_NO_DIVISION, _as_the_post(rows=True, padding=True, stride=False, columns_of=_gradient_columns)),
        (_SWAPPED, _transposed_kernel("dx")),
        (_AVERAGED, _scaled("dx", lambda case: case.n)),
        *_settings("dx"),
        (_UNCUT, _uncut("dx")),
        (_CORNER, _cut_at_the_corner("dx")),
    ],
    "dw": [
        (_AVERAGED, _scaled("dw", lambda case: case.n)),
        (_OVER_PLACES, _scaled("dw", _places)),
        (_OVER_BOTH, _scaled("dw", _everything)),
        ("the kernel's gradient is flipped", lambda case: case.expected("dw")[:, :, ::-1, ::-1]),
        (_SWAPPED, _turned_gradient),
        (_IN_PLACE, _in_place("dw")),
    ],
    "db": [
        (_AVERAGED, _scaled("db", lambda case: case.n)),
        (_OVER_PLACES, _scaled("db", _places)),
        (_OVER_BOTH, _scaled("db", _everything)),
    ],
}
"""For each result, the slips in the order in which they are thought of."""
