"""The gradient of the weights, compiled: any stride, dilation and groups, one to three axes.

What `direct` takes for this pass; how it goes stands in kernels/direct_weights.py. No columns are written:
beside the sums it takes a panel of the output's gradient and, with padding, a band of padded images.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

KERNELS = library("direct_weights")

_LINE = 64
"""Bytes; every part of the scratch memory begins at a multiple."""

_FEWEST, _MOST = 256, 4096
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
    work = _work(problem)
    return work.threads * work.bytes


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: sums of whole tiles, dy turned, x padded and read for every block."""
    rate, plan = rates(), _work(problem)
    item = problem.dtype.itemsize
    per_group = problem.batch * problem.places * plan.tile_rows * plan.blocks * plan.filters
    multiply_adds = problem.groups * per_group
    turned = 2 * math.prod(problem.y_shape) * item
    padded = plan.padded * 2 * math.prod(problem.x_shape) * item
    sums = 4 * problem.groups * plan.tile_rows * plan.blocks * plan.filters * item
    return (
        rate.call
        + 2 * multiply_adds / rate.tile * width(problem.dtype)
        + (turned + padded + sums) / rate.copy
    )


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    if not problem.batch:
        return np.zeros(problem.weight_shape, problem.dtype)
    dy, x, dw = (
        plain(dy, problem.dtype),
        plain(x, problem.dtype),
        np.empty(problem.weight_shape, problem.dtype),
    )
    work, kernel = _work(problem), KERNELS.weight_grad[problem.dtype]
    operands = (address(dy), address(x), address(dw), work.table_address)

    def run(first: int, stop: int) -> None:
        kernel(*operands, scratch(work.bytes), work.facts_address, first, stop)

    threads.share(run, work.blocks * problem.groups, work.threads)
    return dw


def bias_grad(dy: Array, number_of_threads: int = 1) -> Array:
    """Return the sums of `dy (N, K, *out)`, float32 or float64, over batch and places: `(K,)`."""
    dtype = dy.dtype.newbyteorder("=")
    dy, db = plain(dy, dtype), np.empty(dy.shape[1], dtype)
    batch, filters, places = len(dy), dy.shape[1], math.prod(dy.shape[2:])
    kernel, operands = KERNELS.bias_grad[dtype], (address(dy), address(db), batch, filters, places)
    threads.share(
        lambda first, stop: kernel(*operands, first, stop),
        filters,
        threads.worth(number_of_threads, dy.size),
    )
    return db


@dataclass(frozen=True)
class _Axes:
    """The spatial axes as the kernel has them: (outer, middle, inner), those that are missing of size one."""

    image: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]

    @property
    def span(self) -> tuple[int, ...]:
        """How far the window reaches."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def seen(self) -> tuple[int, ...]:
        """How much of the padded image all places see."""
        return tuple((o - 1) * s + n for o, s, n in zip(self.out, self.stride, self.span, strict=True))


def _axes(problem: Problem) -> _Axes:
    """Return the axes of a problem; of two axes the middle one is missing, as bands are cut along the outer."""
    w = problem.window

    def three(numbers: tuple[int, ...], missing: int) -> tuple[int, ...]:
        *outer, inner = numbers
        return (*(outer or [missing]), missing, inner) if len(numbers) < 3 else numbers

    before = tuple(b for b, _ in w.padding)
    return _Axes(
        three(problem.image, 1), three(problem.out, 1), three(w.kernel, 1),
        three(w.stride, 1), three(w.dilation, 1), three(before, 0),
    )  # fmt: skip


@dataclass(frozen=True)
class _Work:
    """What the kernel is told about a problem, and what it takes.

    Attributes:
        table: where each row (channel, tap) of dwᵀ lies in x from a place on.
        facts: the numbers that kernels/direct_weights.py names.
        blocks: blocks of filters in a group, each a task.
        filters: filters of a block.
        tile_rows: rows of dwᵀ in whole tiles.
        padded: whether x is copied.
        bytes: scratch memory of a thread.
        threads: how many take part.
    """

    table: Array
    facts: Array
    blocks: int
    filters: int
    tile_rows: int
    padded: bool
    bytes: int
    threads: int
    table_address: int
    facts_address: int


def _tile(problem: Problem) -> tuple[bool, int, int]:
    """Return whether the narrow tile is taken, its rows and its filters."""
    target = machine.target()
    lanes, filters = target.vector_bytes // problem.dtype.itemsize, problem.out_channels // problem.groups
    half = target.registers // 16 * lanes
    narrow = -(-filters // half) % 2 == 1 and filters <= 3 * half
    return (True, 12, half) if narrow else (False, 6, 2 * half)


def _band(problem: Problem, axes: _Axes, padded: bool) -> tuple[int, int]:
    """Return how many images, and how many places of each, are taken at once.

    A band's x should stay in half of the second cache while all filters go by, but sums want places.
    """
    places, row = problem.places, math.prod(axes.out[1:])
    per_place = problem.in_channels // problem.groups * problem.dtype.itemsize * math.prod(axes.stride)
    wanted = min(_MOST, max(_FEWEST, machine.caches().l2 // 2 // per_place))
    if places <= wanted:
        return min(max(1, problem.batch), max(1, wanted // places)), places
    unit = row if padded else 1
    bands = max(1, round(places / wanted))
    return 1, -(-places // (bands * unit)) * unit


@lru_cache(maxsize=1024)
def _work(problem: Problem) -> _Work:
    """Return how a problem is computed."""
    axes, item = _axes(problem), problem.dtype.itemsize
    channels, filters = problem.in_channels // problem.groups, problem.out_channels // problem.groups
    narrow, rows, block = _tile(problem)
    blocks, total = -(-filters // block), channels * problem.window.taps
    tile_rows = -(-total // rows) * rows
    padded = any(b > 0 for b in axes.before) or any(n > i for n, i in zip(axes.seen, axes.image, strict=True))
    images, band = _band(problem, axes, padded)
    lines = math.prod(axes.seen[1:])
    band_rows = (min(axes.out[0], -(-band // math.prod(axes.out[1:]))) - 1) * axes.stride[0] + axes.span[0]
    plane = band_rows * lines if padded else math.prod(axes.image)
    panel = max(16, machine.caches().l1 // 2 // (block * item))
    panel = -(-images * band // -(-images * band // panel))  # of equal size
    used = threads.worth(problem.threads, problem.flops // 2)
    used = min(used, blocks * problem.groups)
    parts = [panel * block * item, images * band * 8, images * channels * plane * item * padded]
    slack = machine.target().vector_bytes
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + -(-(part + slack) // _LINE) * _LINE)
    one = tile_rows * block * item
    room = problem.workspace_limit // used - starts[-1]
    chunk = max(1, min(blocks, -(-blocks * problem.groups // used), room // one))
    facts = np.array(
        [
            problem.batch, problem.in_channels, problem.out_channels, problem.groups, *axes.image, *axes.out,
            *axes.stride, axes.span[0], *axes.before, *axes.seen[1:], padded, narrow, total, tile_rows,
            images, band, plane, panel, chunk, *starts,
        ],
        np.int64,
    )  # fmt: skip
    steps = (lines, axes.seen[2], 1) if padded else (math.prod(axes.image[1:]), axes.image[2], 1)
    table = np.zeros(tile_rows, np.int64)
    table[:total] = _offsets(channels, plane, axes, steps)
    return _Work(
        table, facts, blocks, block, tile_rows, padded, starts[-1] + chunk * one, used, address(table), address(facts)
    )  # fmt: skip


def _offsets(channels: int, plane: int, axes: _Axes, steps: tuple[int, ...]) -> Array:
    """Return how far each (channel, tap) lies from the first."""
    cells = np.indices((channels, *axes.kernel)).reshape(4, -1)
    scale = np.array([plane, *(d * s for d, s in zip(axes.dilation, steps, strict=True))])
    offsets: Array = scale @ cells
    return offsets
