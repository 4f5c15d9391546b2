"""Sums in registers, rows of the picture read where they are (`kernels/pictures`), in one pass or in two.

Each band of rows is a task: its size depends on nothing but the picture and the kernel. Of the picture only the
columns near the left and the right edge are copied. Cells that are zero are left out.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.pictures.problem import Kernel, PlaneProblem

KERNELS = library("pictures")

MEMORY = 12
"""Bytes that a number costs: read, written, and its line fetched to be written."""

APART = 2.0
"""How many times a cell of a kernel in the dense form one costs that is added by itself."""

_BAND = 64
_TILE = 4
_WIDTH = 3
"""Rows of a tile and vectors of the widest, the kernels' own numbers.

Measured on Zen 3: three vectors a row for dense kernels a tenth faster than two; no faster for single cells.
"""


def _up(number: int, unit: int) -> int:
    """Return the least multiple of `unit` that is not below `number`."""
    return -(-number // unit) * unit


@dataclass(frozen=True)
class Layout:
    """How the rows of a problem are cut.

    Attributes:
        left, right: numbers of a row that are computed from copies, at its two ends.
        narrow: whether all of the row is.
        lead: how many numbers before its own a number's first cell stands.
        panel: numbers that are computed from all rows before the next.
        places: where the numbers of the copies come from, -1 for the constant.
        between: numbers of scratch memory between the two passes.
        scratch: bytes of scratch memory of a thread.
        bands: the first row of each band, and the end of the last.
    """

    left: int
    right: int
    narrow: bool
    lead: int
    panel: int
    places: tuple[Array, Array]
    between: int
    scratch: int
    bands: tuple[int, ...]


@lru_cache(maxsize=64)
def layout(problem: PlaneProblem, two: bool) -> Layout:
    """Return how the rows of a problem are cut."""
    (height, across), channels = problem.out, problem.channels
    tile = _WIDTH * machine.target().vector_bytes // problem.dtype.itemsize
    columns, behind = across * channels, (problem.kernel[1] - 1) * channels
    lead = 0 if problem.border == "crop" else problem.anchor[1] * channels
    trail = 0 if problem.border == "crop" else behind - lead
    left, right = _up(lead, tile), _up(trail, tile)
    narrow = columns < left + right + tile
    source = problem.columns[:, None] * channels + np.arange(channels)
    source[problem.columns < 0] = -1
    source = source.reshape(-1)
    if narrow:
        left, right = _up(columns, tile), 0
        padded = np.full(left + behind, -1)
        padded[: len(source)] = source
        places = (padded, source[:0].copy())
    else:
        ends = (source[: left + behind], source[len(source) - right - behind :])
        places = (ends[0].copy(), ends[1][: right + behind if right else 0].copy())
    inside = max(tile, columns - left - right)
    wide = max(1024, 4 * behind) if two else max(4096, 4 * behind)
    panel = _up(-(-inside // -(-inside // wide)), tile)
    between = 4 * (max(panel if not narrow else 0, left, right) + behind) if two else 0
    bands = max(1, height // max(_BAND, 2 * problem.kernel[0]))
    starts = tuple(height * i // bands for i in range(bands + 1))
    rows = max(_TILE, -(-height // bands))
    seen = rows + problem.kernel[0] - 1
    strip = max(len(places[0]), len(places[1]))
    numbers = between + seen * strip + (rows * left if narrow else 0)
    size = 8 * seen + numbers * problem.dtype.itemsize
    return Layout(left, right, narrow, lead, panel, places, between, size, starts)


@dataclass(frozen=True)
class Cells:
    """A kernel as the compiled code takes it: numbers, where cells stand, how many; dense where none is zero."""

    dense: bool
    numbers: Array
    places: Array

    @property
    def count(self) -> int:
        """How many cells there are."""
        return len(self.places)


@lru_cache(maxsize=16)
def _prepared(kernel: Kernel, channels: int, two: bool) -> tuple[Cells, Cells]:
    """Return the cells of each pass; of one pass, none of the second."""
    if two and kernel.factors is not None:
        down, across = kernel.factors
        return _cells(down[:, None], channels), _cells(across[None], channels)
    return _cells(kernel.numbers, channels), _cells(kernel.numbers[:0], channels)


def _cells(kernel: Array, channels: int) -> Cells:
    """Return the cells of a kernel that are not zero."""
    height, width = kernel.shape
    if height >= _TILE - 1 and bool((kernel != 0).all()):
        numbers = np.zeros((height + _TILE - 1, width, _TILE), kernel.dtype)
        for i in range(_TILE):
            numbers[i : i + height, :, i] = kernel
        return Cells(True, numbers, np.zeros((0, 2), np.int64))
    places = np.argwhere(kernel != 0)
    numbers = np.ascontiguousarray(kernel[tuple(places.T)])
    return Cells(False, numbers, np.ascontiguousarray(places * (1, channels), np.int64))


def sums(height: int, width: int, cells: int) -> float:
    """Return how many cells of a dense kernel cost as much as `cells` of one of `height` by `width`."""
    return cells if height >= _TILE - 1 and cells == height * width else APART * cells


def workspace(problem: PlaneProblem, *, two: bool) -> int:
    """Return the bytes of all threads' scratch memory.

    Where rows of the picture or of the result don't lie in one piece, a copy of a band comes on top.
    """
    cut = layout(problem, two)
    return cut.scratch * min(problem.threads, len(cut.bands) - 1)


def correlate(
    problem: PlaneProblem, image: Array, kernel: Kernel, constant: float, out: Array, *, two: bool
) -> None:
    """Write the sums of products to `out`; see `choice.correlate`.

    Args:
        problem: what the arrays are.
        image, kernel, constant, out: as there.
        two: in two passes, down and across.
    """
    cut, run = layout(problem, two), KERNELS.correlate[problem.dtype]
    first, second = _prepared(kernel, problem.channels, two)
    height, width = problem.kernel
    form = np.array([
        problem.out[1] * problem.channels, cut.left, cut.right, height, width, problem.channels, two, first.dense,
        address(first.numbers), address(first.places), first.count,
        address(second.numbers), address(second.places), second.count,
        cut.panel, cut.narrow, cut.lead,
        address(cut.places[0]), len(cut.places[0]), address(cut.places[1]), len(cut.places[1]), cut.between,
    ], np.int64)  # fmt: skip
    there = _Rows(problem, image, constant)
    direct = _in_rows(out) and problem.out[0] >= _TILE

    def work(start: int, stop: int) -> None:
        room = scratch(cut.scratch)
        for task in range(start, stop):
            top, end = cut.bands[task : task + 2]
            count = max(_TILE, end - top)
            with_copy, places = there.seen(top, count + height - 1)
            to = out[top:end] if direct else np.empty((count, *out.shape[1:]), out.dtype)
            step = to.strides[0] // to.itemsize
            run(address(form), address(places), address(to), step, count, room, constant)
            if not direct:
                out[top:end] = to[: end - top]
            del with_copy

    used = threads.worth(problem.threads, problem.numbers * (10 + problem.cells))
    threads.share(work, len(cut.bands) - 1, used)


def _in_rows(a: Array) -> bool:
    """Tell whether each row of an array lies in one piece, a whole number of numbers from the next."""
    item = a.itemsize
    inner = a.strides[2] == item or a.shape[2] == 1
    across = a.strides[1] == item * a.shape[2] or a.shape[1] == 1
    return inner and across and a.strides[0] % item == 0 and a.flags.aligned


class _Rows:
    """Where the rows of the padded picture stand, one row of the constant among them."""

    def __init__(self, problem: PlaneProblem, image: Array, constant: float) -> None:
        """Take the picture, which is copied band by band where its rows aren't in one piece."""
        self.image, self.rows, self.constant = image, problem.rows, constant
        self.outside: Array = np.full(image.shape[1:], constant, image.dtype)
        self.places: Any = None
        if _in_rows(image):
            self.places = address(image) + self.rows * image.strides[0]
            self.places[self.rows < 0] = address(self.outside)
            self.places = np.concatenate([self.places, self.places[-1:].repeat(_TILE - 1)])

    def seen(self, top: int, count: int) -> tuple[Array, Array]:
        """Return the array that holds `count` rows from `top` on, to be kept for so long, and their addresses."""
        if self.places is not None:
            return self.image, self.places[top : top + count]
        there = self.rows[top : top + count]
        copy = np.ascontiguousarray(self.image[there])
        copy[there < 0] = self.constant
        places = address(copy) + np.arange(len(there)) * copy.strides[0]
        return copy, np.concatenate([places, places[-1:].repeat(count - len(there))])
