"""The gradient of the weights, compiled: any stride, dilation and groups, one to three axes.

What `direct` takes for this pass; how it goes stands in kernels/direct_weights.py. No columns are written:
beside the sums it takes a panel of the output's gradient and, with padding, a band of padded images.
"""

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms import pointwise_weights
from deepconv.engine.kernels import team, threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

KERNELS = library("direct_weights")

_LINE = 64
"""Bytes; every part of the scratch memory begins at a multiple."""

_FEWEST, _MOST = 256, 2048
"""Places of a band: so many at least, where there are so many; and at most, if that leaves a row."""


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None."""
    why = machine.why_not_compiled()
    if why is not None:
        return why
    if problem.dtype.char not in "fd":
        return f"it computes in float32 and float64, not {problem.dtype}"
    if problem.exact:
        return "its sums are rounded, and these must be exact"
    if problem.window.rank > 3:
        return f"it takes up to 3 axes, not {problem.window.rank}"
    need, limit = workspace(problem), problem.workspace_limit
    return f"it needs {need:,} bytes and the workspace limit is {limit:,}" if need > limit else None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result, all threads."""
    work = pointwise_weights.work(problem) or _work(problem)
    return work.threads * work.bytes


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: sums of whole tiles, dy turned, x padded and read for every block."""
    if (found := pointwise_weights.work(problem)) is not None:
        return pointwise_weights.cost(problem, found)
    rate, plan = rates(), _work(problem)
    item = problem.dtype.itemsize
    per_group = problem.batch * problem.places * plan.tile_rows * plan.blocks * plan.filters
    multiply_adds = problem.groups * per_group
    turned = 2 * math.prod(problem.y_shape) * item
    copied = plan.copied * 2 * math.prod(problem.x_shape) * item
    if problem.window.taps == 1 and max(problem.window.stride) > 1:
        copied *= 4  # picked out of lines of which most are skipped, as measured for 256 to 512 channels
    sums = 4 * problem.groups * plan.tile_rows * plan.blocks * plan.filters * item
    return (
        rate.call
        + 2 * multiply_adds / rate.tile * width(problem.dtype)
        + (turned + copied + sums) / rate.copy
    )


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    if not problem.batch:
        return np.zeros(problem.weight_shape, problem.dtype)
    if (found := pointwise_weights.work(problem)) is not None:
        return pointwise_weights.weight_grad(problem, found, dy, x)
    dy, x, dw = (
        plain(dy, problem.dtype),
        plain(x, problem.dtype),
        np.empty(problem.weight_shape, problem.dtype),
    )
    work, kernel = _work(problem), KERNELS.weight_grad[problem.dtype]
    turned, read = (x, dy) if work.swapped else (dy, x)
    table, facts = _told(problem)
    operands = (turned, read, dw, table)

    def calls(first: int, stop: int, own: int) -> team.Calls:
        yield kernel, (*operands, own, facts, first, stop)

    own, tasks = (scratch(work.bytes), work.bytes), work.blocks * problem.groups
    team.run(calls, tasks, work.threads, own, multiply_adds=problem.flops // 2)
    return dw


def bias_grad(dy: Array, number_of_threads: int = 1) -> Array:
    """Return the sums of `dy (N, K, *out)`, float32 or float64, over batch and places: `(K,)`."""
    dtype = dy.dtype.newbyteorder("=")
    dy, db = plain(dy, dtype), np.empty(dy.shape[1], dtype)
    batch, filters, places = len(dy), dy.shape[1], math.prod(dy.shape[2:])
    kernel, operands = KERNELS.bias_grad[dtype], (dy, db, batch, filters, places)

    def calls(first: int, stop: int, own: int) -> team.Calls:
        yield kernel, (*operands, first, stop)

    team.run(calls, filters, threads.worth(number_of_threads, dy.size), (0, 0))
    return db


class _Axis(NamedTuple):
    """One spatial axis as the kernel has it.

    Attributes:
        image: the image's size.
        out: how many places the window takes.
        kernel: how many cells it looks at.
        cell: the distance between two of them.
        move: the window's step, over the numbers that are taken.
        take: every which number of the image is taken; the stride, where the window has but one cell.
        before: the zeros before the image, not taken ones counted too.
    """

    image: int = 1
    out: int = 1
    kernel: int = 1
    cell: int = 1
    move: int = 1
    take: int = 1
    before: int = 0

    @property
    def span(self) -> int:
        """How far the window reaches."""
        return self.cell * (self.kernel - 1) + 1

    @property
    def seen(self) -> int:
        """How many numbers all places see."""
        return (self.out - 1) * self.move + self.span

    @property
    def zeros(self) -> int:
        """How many of those stand before the image."""
        return min(self.seen, -(-self.before // self.take))

    @property
    def inside(self) -> int:
        """How many of them stand in the image."""
        return max(0, min(self.seen, (self.image - 1 + self.before) // self.take + 1) - self.zeros)

    @property
    def as_it_is(self) -> bool:
        """Whether they can be read where they are."""
        return self.take == 1 and self.before == 0 and self.seen <= self.image


_MISSING = _Axis()


def _axes(problem: Problem) -> tuple[_Axis, _Axis, _Axis]:
    """Return outer, middle and inner axis; of two axes the middle one is missing, as bands are cut along the outer."""
    w = problem.window
    axes = [
        _Axis(image, out, k, d, 1 if k == 1 else s, s if k == 1 else 1, before)
        for image, out, k, d, s, (before, _) in zip(
            problem.image, problem.out, w.kernel, w.dilation, w.stride, w.padding, strict=True
        )
    ]
    *outer, inner = axes
    outer = [*outer, _MISSING, _MISSING]
    return outer[0], outer[1], inner


class _Work(NamedTuple):
    """How a problem is computed, and what that takes; the table of its rows is made where it runs.

    Attributes:
        facts: the numbers that kernels/direct_weights.py names.
        steps: from a channel of x, as it is read, to the next; from a kernel cell to the next on each axis.
        cells: channels of a group, and kernel cells on each axis.
        blocks: blocks of filters in a group, each a task.
        filters: filters of a block.
        tile_rows: rows of dwᵀ in whole tiles.
        copied: whether x is.
        swapped: whether x stands for dy and dy for x.
        bytes: scratch memory of a thread.
        threads: how many take part.
    """

    facts: tuple[int, ...]
    steps: tuple[int, ...]
    cells: tuple[int, ...]
    blocks: int
    filters: int
    tile_rows: int
    copied: bool
    swapped: bool
    bytes: int
    threads: int


def _tile(problem: Problem) -> tuple[int, int]:
    """Return the rows and the filters of a tile, as the kernel has them."""
    target = machine.target()
    return target.registers * 3 // 8, 2 * target.vector_bytes // problem.dtype.itemsize


def _band(problem: Problem, axes: tuple[_Axis, _Axis, _Axis], copied: bool) -> tuple[int, int]:
    """Return how many images, and how many places of each, are taken at once.

    A band's x should stay in half of the second cache while all filters go by, but sums want places.
    """
    places, row = problem.places, axes[1].out * axes[2].out
    per_place = (
        problem.in_channels // problem.groups * problem.dtype.itemsize * math.prod(a.move for a in axes)
    )
    wanted = min(_MOST, max(_FEWEST, machine.caches().l2 // 2 // per_place))
    if places <= wanted:
        return min(max(1, problem.batch), max(1, wanted // places)), places
    unit = row if copied else 1
    bands = max(1, round(places / wanted))
    return 1, -(-places // (bands * unit)) * unit


def _swapped(problem: Problem) -> bool:
    """Tell whether x is turned and dy is broadcast: for single cells that see all of x, if that is the smaller."""
    plain_cells = (
        problem.window.taps == 1
        and problem.out == problem.image
        and not any(map(any, problem.window.padding))
    )
    return plain_cells and problem.in_channels < problem.out_channels


def _with_operands_swapped(problem: Problem) -> Problem:
    """Return the problem whose input is dy and whose output's gradient is x."""
    return replace(problem, in_channels=problem.out_channels, out_channels=problem.in_channels)


@lru_cache(maxsize=1024)
def _work(problem: Problem) -> _Work:
    """Return how a problem is computed."""
    item, swapped = problem.dtype.itemsize, _swapped(problem)
    if swapped:
        problem = _with_operands_swapped(problem)
    outer, middle, inner = axes = _axes(problem)
    channels, filters = problem.in_channels // problem.groups, problem.out_channels // problem.groups
    rows, block = _tile(problem)
    blocks, total = -(-filters // block), channels * problem.window.taps
    tile_rows = -(-total // rows) * rows
    copied = not all(a.as_it_is for a in axes)
    images, band = _band(problem, axes, copied)
    lines = middle.seen * inner.seen
    plane = math.prod(a.image for a in axes)
    if copied:
        plane = ((min(outer.out, -(-band // (middle.out * inner.out))) - 1) * outer.move + outer.span) * lines
    panel = max(16, machine.caches().l1 // 3 // (block * item))
    panel = -(-images * band // max(1, round(images * band / panel)))  # of equal size
    used = min(threads.worth(problem.threads, problem.flops // 2), blocks * problem.groups)
    starts = [0]
    for part in (panel * block * item, images * band * 9 + 16, images * channels * plane * item * copied):
        starts.append(starts[-1] + -(-(part + machine.target().vector_bytes) // _LINE) * _LINE)
    one = tile_rows * block * item
    room = (problem.workspace_limit // used - starts[-1]) // one
    chunk = max(1, min(blocks, -(-blocks * problem.groups // used), room))
    numbers = [problem.batch, problem.in_channels, problem.out_channels, problem.groups]
    for name in ("image", "out", "move", "take"):
        numbers += [getattr(a, name) for a in axes]
    numbers += [outer.before, middle.before, outer.span, middle.seen, inner.seen]
    numbers += [inner.zeros, inner.inside, inner.zeros * inner.take - inner.before, copied, swapped]
    numbers += [total, tile_rows, images, band, plane, panel, chunk, *starts]
    steps = (lines, inner.seen, 1) if copied else (middle.image * inner.image, inner.image, 1)
    cell_steps = plane, *(a.cell * step for a, step in zip(axes, steps, strict=True))
    cells, taken = (channels, *(a.kernel for a in axes)), starts[-1] + chunk * one
    return _Work(
        tuple(map(int, numbers)), cell_steps, cells, blocks, block, tile_rows, copied, swapped, taken, used
    )  # fmt: skip


@lru_cache(maxsize=512)
def _told(problem: Problem) -> tuple[Array, Array]:
    """Return what the kernel is told: where each row (channel, tap) of dwᵀ lies in x from a place on, and the facts."""
    work, at = _work(problem), np.zeros(1, np.int64)
    for count, step in zip(work.cells, work.steps, strict=True):
        at = (at[:, None] + np.arange(count) * step).ravel()
    table = np.zeros(work.tile_rows + _tile(problem)[0], np.int64)  # the last tile asks for one behind it
    table[: at.size] = at
    return table, np.array(work.facts, np.int64)
