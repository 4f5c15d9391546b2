"""Pooling by kernels that give each lane of a vector a plane: how windows lie is said in tables, kept for each case."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine, passes, settings
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.windowed import Axis

KERNELS = library("pooling")

# The kernels walk three axes; below so many numbers NumPy's calls cost less.
_RANK = 3
_LEAST = 1 << 11


@dataclass(frozen=True)
class Windows:
    """Which pixels each window of an axis holds: `first[o] + step · m` for m below `count[o]`.

    Attributes:
        first, count: a number for each window.
        step: from one pixel to the next.
        size: pixels of the axis.
    """

    first: Array
    count: Array
    step: int
    size: int


@dataclass(frozen=True)
class Plan:
    """What a kernel is told of a case, the arrays' addresses apart.

    Attributes:
        table: `first` and `count` of each axis.
        bands: pieces of the work, four or six numbers each; see the kernels.
        room: pixels that a band sees at most.
        windows: windows that it has at most.
        sizes: pixels and windows of a plane, windows of each axis, pixels of the last two, steps.
    """

    table: Array
    bands: Array
    room: int
    windows: int
    sizes: tuple[int, ...]


def _windows(axis: Axis, turned: bool) -> Windows | None:
    """Return the windows of an axis, or None where they can't be said so.

    Args:
        axis: how the windows lie.
        turned: of each pixel the windows that hold it, in place of each window's pixels.
    """
    pairs = [np.zeros((2, 0), np.int64)]
    for out, pixels in axis.moves:
        pairs.append(np.stack([np.arange(s.start, s.stop, s.step or 1) for s in (out, pixels)]))
    holders, held = np.concatenate(pairs, axis=1)[:: -1 if turned else 1]
    count = np.bincount(holders, minlength=axis.size if turned else axis.out)
    order = np.lexsort((held, holders))
    held = held[order]
    steps = np.unique(np.diff(held)[np.diff(holders[order]) == 0])
    if len(steps) > 1:
        return None
    ends = np.cumsum(count)
    first = np.append(held, 0)[np.minimum(ends - count, len(held))]
    return Windows(first, count, int(steps[0]) if len(steps) else 1, axis.out if turned else axis.size)


def _rows(a: Windows, b: Windows) -> Array:
    """Return the first row of pixels that each row of windows sees, and the one behind its last; `(rows, 2)`."""
    starts = a.first[:, None] * b.size + b.first
    stops = (a.first + (a.count - 1) * a.step)[:, None] * b.size + b.first + (b.count - 1) * b.step + 1
    nothing = (a.count[:, None] == 0) | (b.count == 0)
    starts[nothing], stops[nothing] = a.size * b.size, 0
    return np.stack([starts.reshape(-1), stops.reshape(-1)], axis=1)


def _seen(rows: Array, start: int, stop: int) -> tuple[int, int]:
    """Return the rows of pixels that the rows of windows from `start` to `stop` see."""
    low, high = int(rows[start:stop, 0].min(initial=1 << 62)), int(rows[start:stop, 1].max(initial=0))
    return (low, high) if low < high else (0, 0)


def _by_windows(rows: Array, length: int, c: Windows) -> list[tuple[int, ...]]:
    """Return bands of `length` rows of windows: these rows, and the pixels they see."""
    bands: list[tuple[int, ...]] = []
    for start in range(0, len(rows), length):
        stop = min(start + length, len(rows))
        bands.append((start, stop, *(row * c.size for row in _seen(rows, start, stop))))
    return bands


def _by_pixels(rows: Array, length: int, all_rows: int, c: Windows) -> list[tuple[int, ...]]:
    """Return bands of `length` rows of pixels: these pixels, the rows of windows that see them, all that those see."""
    bands: list[tuple[int, ...]] = []
    for start in range(0, all_rows, length):
        stop = min(start + length, all_rows)
        (reach,) = np.nonzero((rows[:, 0] < stop) & (rows[:, 1] > start))
        first, last = (int(reach[0]), int(reach[-1]) + 1) if len(reach) else (0, 0)
        low, high = _seen(rows, first, last) if len(reach) else (start, stop)
        own = start * c.size, stop * c.size
        bands.append((*own, first, last, min(start, low) * c.size, max(stop, high) * c.size))
    return bands


@lru_cache(maxsize=256)
def _plan(axes: tuple[Axis, ...], turned: bool, by_pixels: bool, budget: int) -> Plan | None:
    """Return the plan of a case, or None where the kernels can't take it.

    Args:
        axes: of the windows; the same object for the same case, which is what is remembered.
        turned: whether pixels sum over the windows that hold them.
        by_pixels: whether bands are of pixels, in place of windows.
        budget: how many pixels a band may see, if it can be cut so small.
    """
    if len(axes) > _RANK:
        return None
    one = Windows(np.zeros(1, np.int64), np.ones(1, np.int64), 1, 1)
    found = [_windows(axis, turned) for axis in axes]
    if None in found:
        return None
    a, b, c = three = [*[one] * (_RANK - len(axes)), *(w for w in found if w)]
    rows, all_rows = _rows(a, b), a.size * b.size
    # Where there are three axes a band is of whole steps along the first: less would see as many pixels.
    unit = 1 if a.size == 1 else b.size if by_pixels else len(b.first)
    length = all_rows if by_pixels else len(rows)
    while True:
        bands = _by_pixels(rows, length, all_rows, c) if by_pixels else _by_windows(rows, length, c)
        room = max(band[-1] - band[-2] for band in bands)
        if room <= budget or length <= unit:
            break
        length = max(unit, -(-length // unit // 2) * unit)
    which = (2, 3) if by_pixels else (0, 1)
    windows = max(band[which[1]] - band[which[0]] for band in bands) * len(c.first)
    outs = [len(w.first) for w in three]
    sizes = (all_rows * c.size, math.prod(outs), *outs, b.size, c.size, *(w.step for w in three))
    table = np.concatenate([part for w in three for part in (w.first, w.count)]).astype(np.int64)
    return Plan(table, np.array(bands, np.int64), room, windows, sizes)


def plan(x: Array, axes: Sequence[Axis], *, turned: bool = False, by_pixels: bool = False) -> Plan | None:
    """Return the plan for x, or None where NumPy's calls are to do it.

    Args:
        x: what is summed over: `(N, C, *spatial)`.
        axes: of the windows.
        turned, by_pixels: as the kernels want it.
    """
    lanes = machine.target().vector_bytes // x.itemsize
    if not passes.suits(x, _LEAST):
        return None
    found = _plan(tuple(axes), turned, by_pixels, machine.caches().l2 // 4 // lanes // x.itemsize)
    if found is None or x.size < lanes * found.sizes[0]:
        return None
    need = (2 * found.room + found.windows) * lanes * x.itemsize * settings.get_threads()
    return found if need <= settings.get_workspace_limit() else None


def _run(
    kernel: Callable[..., None], given: tuple[Any, ...], case: Plan, planes: int, x: Array, room: int
) -> None:
    """Call a kernel for all groups of planes and all bands, on threads.

    Args:
        kernel: that of x's type.
        given: its arguments before scratch.
        case: how the windows lie.
        planes: how many there are.
        x: the array that tells the type and the work.
        room: vectors of scratch.
    """
    lanes = machine.target().vector_bytes // x.itemsize
    bands = len(case.bands)
    fixed = (case.room, address(case.table), address(case.bands), bands)

    def work(start: int, stop: int) -> None:
        place = scratch(room * lanes * x.itemsize)
        kernel(*given, place, *fixed, start, stop, planes, *case.sizes)

    passes.shared(work, -(-planes // lanes) * bands, 2 * x.size)


def largest(x: Array, case: Plan, shape: Sequence[int]) -> Array:
    """Return the largest pixel of every window.

    Args:
        x: `(N, C, *spatial)`.
        case: its plan.
        shape: of the output.
    """
    x, y = plain(x, x.dtype), np.empty(shape, x.dtype)
    planes = x.size // case.sizes[0]
    _run(KERNELS.largest[x.dtype], (address(x), address(y)), case, planes, x, case.room + case.windows)
    return y


def sums(x: Array, case: Plan, shape: Sequence[int], divisor: Array | float, *, before: bool) -> Array:
    """Return the sum of every window, divided.

    Args:
        x, case, shape: as in `largest`.
        divisor: a number, or one for each window (`before`: for each pixel).
        before: whether pixels are divided, in place of sums.
    """
    x, y = plain(x, x.dtype), np.empty(shape, x.dtype)
    by = np.ascontiguousarray(divisor, x.dtype)
    planes = x.size // case.sizes[0]
    given = (address(x), address(y), address(by), before, np.ndim(divisor) > 0)
    _run(KERNELS.sums[x.dtype], given, case, planes, x, case.room + case.windows)
    return y


def largest_grad(dy: Array, x: Array, case: Plan) -> Array:
    """Return the gradient of `largest`.

    Args:
        dy: the gradient of the output.
        x: `(N, C, *spatial)`.
        case: its plan, by pixels.
    """
    dy, x, dx = plain(dy, x.dtype), plain(x, x.dtype), np.empty(x.shape, x.dtype)
    planes = x.size // case.sizes[0]
    given = (address(dy), address(x), address(dx))
    _run(KERNELS.largest_grad[x.dtype], given, case, planes, x, 2 * case.room + case.windows)
    return dx


def means(x: Array, planes: int) -> Array | None:
    """Return the mean of each plane, or None where NumPy's call is to do it."""
    if not passes.suits(x, _LEAST):
        return None
    x, y = plain(x, x.dtype), np.empty(planes, x.dtype)
    run, at, to, pixels = KERNELS.means[x.dtype], address(x), address(y), x.size // planes
    passes.shared(lambda start, stop: run(at, to, start, stop, pixels), planes, x.size)
    return y


def means_grad(dy: Array, shape: Sequence[int]) -> Array | None:
    """Return `dy / pixels` for every pixel of each plane, or None where NumPy's calls are to do it."""
    dx = np.empty(shape, dy.dtype)
    if not passes.suits(dx, _LEAST):
        return None
    dy = plain(dy, dy.dtype)
    run, at, to, pixels = KERNELS.means_grad[dy.dtype], address(dy), address(dx), dx.size // dy.size
    passes.shared(lambda start, stop: run(at, to, start, stop, pixels), dy.size, dx.size)
    return dx
