"""Pooling by kernels that give each lane of a vector a plane: how windows lie is said in tables, kept for each case."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine, passes, settings
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.windowed import Axis

KERNELS = library("pooling")

# The kernels walk three axes; below so many numbers NumPy's calls cost less.
_RANK = 3
_LEAST = 1 << 11

# Pixels of a band are counted in the type that is computed in: float32 has so many whole numbers.
_MOST = 1 << 24


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
        axes: how the windows lie.
        table: `first` and `count` of each axis.
        bands: pieces of the work, four numbers each; see the kernels.
        cells: pixels that a window holds at most.
        room: pixels that a band sees at most.
        windows: windows that it has at most.
        sizes: pixels and windows of a plane, windows of each axis, pixels of the last two, steps.
    """

    axes: tuple[Axis, ...]
    table: Array
    bands: Array
    cells: int
    room: int
    windows: int
    sizes: tuple[int, ...]

    @cached_property
    def pairs(self) -> bool:
        """Whether planes are all windows of two by two pixels, one beside the other."""
        pixels, outputs, out_a, out_b, out_c = self.sizes[:5]
        on_a, b, c = np.split(self.table, np.cumsum([2 * out_a, 2 * out_b]))
        twos = np.concatenate([2 * on_a[out_a:], b[out_b:], c[out_c:]])
        alone = all(axis.disjoint for axis in self.axes) and self.sizes[-2:] == (1, 1)
        return alone and pixels == 4 * outputs and bool(np.all(twos == 2))

    @cached_property
    def scratch(self) -> int:
        """The bytes of scratch that a thread needs."""
        return 8 * self.cells + (self.room + 2 * self.windows) * machine.target().vector_bytes


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


def _bands(rows: Array, length: int, c: Windows, all_rows: int) -> list[tuple[int, int, int, int]]:
    """Return bands of `length` rows of windows: these rows, and pixels from the first to the last that they see.

    Those between bands, which no window sees, are the later one's: each pixel's gradient is written by some band.
    """
    bands = []
    low = high = 0
    for start in range(0, len(rows), length):
        stop = min(start + length, len(rows))
        first, last = _seen(rows, start, stop)
        if first < last:
            low, high = (min(first, high) if start else 0), max(last, high)
        if stop == len(rows):
            high = all_rows
        bands.append((start, stop, low * c.size, high * c.size))
    return bands


@lru_cache(maxsize=256)
def _plan(axes: tuple[Axis, ...], turned: bool, budget: int) -> Plan | None:
    """Return the plan of a case, or None where the kernels can't take it.

    Args:
        axes: of the windows; the same object for the same case, which is what is remembered.
        turned: whether pixels sum over the windows that hold them.
        budget: how many pixels a band may see, if it can be cut so small.
    """
    if len(axes) > _RANK:
        return None
    one = Windows(np.zeros(1, np.int64), np.ones(1, np.int64), 1, 1)
    found = [_windows(axis, turned) for axis in axes]
    if None in found:
        return None
    a, b, c = three = [*[one] * (_RANK - len(axes)), *(w for w in found if w)]
    rows = _rows(a, b)
    # Where there are three axes a band is of whole steps along the first: less would see as many pixels.
    unit = 1 if len(a.first) == 1 else len(b.first)
    length = len(rows)
    while True:
        bands = _bands(rows, length, c, a.size * b.size)
        room = max(high - low for _, _, low, high in bands)
        if room <= budget or length <= unit:
            break
        length = max(unit, -(-length // unit // 2) * unit)
    outs = [len(w.first) for w in three]
    sizes = (a.size * b.size * c.size, math.prod(outs), *outs, b.size, c.size, *(w.step for w in three))
    table = np.concatenate([part for w in three for part in (w.first, w.count)]).astype(np.int64)
    windows = max(stop - start for start, stop, _, _ in bands) * len(c.first)
    cells = math.prod(int(w.count.max(initial=0)) for w in three)
    return Plan(axes, table, np.array(bands, np.int64), cells, room, windows, sizes)


def plan(x: Array, axes: Sequence[Axis], *, turned: bool = False) -> Plan | None:
    """Return the plan for x, or None where NumPy's calls are to do it.

    Args:
        x: what is summed over: `(N, C, *spatial)`.
        axes: of the windows.
        turned: whether pixels sum over the windows that hold them.
    """
    if not passes.suits(x, _LEAST):
        return None
    lanes = machine.target().vector_bytes // x.itemsize
    found = _plan(tuple(axes), turned, machine.caches().l2 // 4 // lanes // x.itemsize)
    if found is None or found.room >= _MOST or x.size < lanes * found.sizes[0]:
        return None
    return found if found.scratch * settings.get_threads() <= settings.get_workspace_limit() else None


def _run(
    kernel: Callable[..., None], given: tuple[Any, ...], case: Plan, x: Array, *, by_planes: bool = False
) -> None:
    """Call a kernel for all groups of planes and all bands, on threads.

    Args:
        kernel: that of x's type.
        given: its arguments before scratch.
        case: how the windows lie.
        x: what the windows lie on.
        by_planes: whether a task is a plane, in place of a band of a group of planes.
    """
    lanes = machine.target().vector_bytes // x.itemsize
    planes, bands = x.size // case.sizes[0], len(case.bands)
    fixed = (case.cells, case.room, case.table, case.bands, bands)

    def work(start: int, stop: int) -> None:
        kernel(*given, scratch(case.scratch), *fixed, start, stop, planes, *case.sizes)

    passes.shared(work, planes if by_planes else -(-planes // lanes) * bands, 2 * x.size)


def largest(x: Array, case: Plan, shape: Sequence[int]) -> Array:
    """Return the largest pixel of every window.

    Args:
        x: `(N, C, *spatial)`.
        case: its plan.
        shape: of the output.
    """
    x, y = plain(x, x.dtype), np.empty(shape, x.dtype)
    _run(KERNELS.largest[x.dtype], (x, y, 0, False, False), case, x)
    return y


def sums(x: Array, case: Plan, shape: Sequence[int], divisor: Array | float, *, before: bool) -> Array:
    """Return the sum of every window, divided.

    Args:
        x, case, shape: as in `largest`.
        divisor: a number, or one for each window (`before`: for each pixel).
        before: whether pixels are divided, in place of sums.
    """
    x, y = plain(x, x.dtype), np.empty(shape, x.dtype)
    by = plain(np.asarray(divisor, x.dtype), x.dtype)
    given = (x, y, by, before, np.ndim(divisor) > 0)
    _run(KERNELS.sums[x.dtype], given, case, x)
    return y


@dataclass(frozen=True)
class Winners:
    """Which pixel of every window is the largest.

    Attributes:
        case: how the windows lie.
        shape: that of the images.
        places: `(planes, windows)`, how many pixels behind the window's first, in the images' type.
    """

    case: Plan
    shape: tuple[int, ...]
    places: Array

    def in_planes(self) -> Array:
        """Return where in its plane each winner stands, `(planes, windows)`; -1 for windows without a pixel."""
        *outs, size_b, size_c = self.case.sizes[2:7]
        ends = np.cumsum([2 * out for out in outs])
        a, b, c = (self.case.table[end - 2 * out : end - out] for end, out in zip(ends, outs, strict=True))
        first = ((a[:, None, None] * size_b + b[:, None]) * size_c + c).reshape(-1)
        found = self.places.astype(np.int64)
        empty = found < 0
        found += first
        found[empty] = -1
        return found


def winners(x: Array, case: Plan, shape: Sequence[int]) -> tuple[Array, Winners]:
    """Return what `largest` returns, and which pixels these are."""
    x, y = plain(x, x.dtype), np.empty(shape, x.dtype)
    places = np.empty((x.size // case.sizes[0], case.sizes[1]), x.dtype)
    _run(KERNELS.winners[x.dtype], (x, y, places), case, x)
    return y, Winners(case, x.shape, places)


def largest_grad(dy: Array, won: Winners) -> Array:
    """Return the gradient of `largest`: dy of each window for the pixel that won it.

    Args:
        dy: the gradient of the output, of the winners' type.
        won: the winners.
    """
    places = won.places
    dy, dx = plain(dy, places.dtype), np.empty(won.shape, places.dtype)
    given = (dy, places, dx, won.case.pairs, passes.streams(2 * dy.size + dx.size, dx.itemsize))
    _run(KERNELS.largest_grad[dx.dtype], given, won.case, dx, by_planes=True)
    return dx


def means(x: Array, planes: int) -> Array | None:
    """Return the mean of each plane, or None where NumPy's call is to do it."""
    if not passes.suits(x, _LEAST):
        return None
    x, y = plain(x, x.dtype), np.empty(planes, x.dtype)
    run, pixels = KERNELS.means[x.dtype], x.size // planes
    room = 2 * machine.target().vector_bytes ** 2 // x.itemsize
    passes.shared(lambda start, stop: run(x, y, scratch(room), start, stop, pixels), planes, x.size)
    return y


def means_grad(dy: Array, shape: Sequence[int]) -> Array | None:
    """Return `dy / pixels` for every pixel of each plane, or None where NumPy's calls are to do it."""
    dx = np.empty(shape, dy.dtype)
    if not passes.suits(dx, _LEAST):
        return None
    dy = plain(dy, dy.dtype)
    run, pixels = KERNELS.means_grad[dy.dtype], dx.size // dy.size
    passes.shared(lambda start, stop: run(dy, dx, start, stop, pixels), dy.size, dx.size)
    return dx
