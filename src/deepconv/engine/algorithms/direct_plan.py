"""How a direct convolution falls into blocks, and the table that tells its kernel so.

Both passes are the same product: each place of the result meets, in planes of what is read, some kernel
cells at fixed distances. Forward, the planes are x's, one for each remainder of the stride. The gradient of the
input reads dy; the pixels of dx that leave the same remainder when divided by the stride meet the same
cells, so each remainder is a *job* of its own, a convolution with stride 1.
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.kernels import fields as f
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width


@dataclass(frozen=True)
class Part:
    """A job, as far as one axis goes.

    Attributes:
        places: how many.
        first: where in the result the first stands.
        cells: for each kernel cell that is met its number, the plane's remainder and the distance in the plane.
    """

    places: int
    first: int
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Axis:
    """One spatial axis.

    Attributes:
        size: of what is read.
        pick: the stride with which its planes are picked.
        low: the pixel that index 0 of the planes stands for.
        result: the size of the result.
        step: from a place of a job to its next in the result.
        parts: the jobs.
        covers: whether the jobs write every number of the result.
    """

    size: int
    pick: int
    low: int
    result: int
    step: int
    parts: tuple[Part, ...]
    covers: bool = True

    @property
    def places(self) -> int:
        """The most places of a job."""
        return max((part.places for part in self.parts), default=0)

    @property
    def reach(self) -> int:
        """How far a plane must be longer than the places it serves."""
        return max((cell[2] for part in self.parts for cell in part.cells), default=0)

    @property
    def phases(self) -> tuple[int, ...]:
        """The remainders of which there are planes."""
        return tuple(sorted({cell[1] for part in self.parts for cell in part.cells}))

    @property
    def inside(self) -> bool:
        """Whether places read nothing but what is there, side by side: no planes are needed."""
        return self.pick == 1 and self.low >= 0 and self.low + self.places + self.reach <= self.size


def _forward_axis(size: int, kernel: int, stride: int, dilation: int, before: int, out: int) -> Axis:
    """Return an axis of a forward pass."""
    cells = tuple((r, r * dilation % stride, r * dilation // stride) for r in range(kernel))
    if kernel == 1 and before == 0 and out == 1:
        stride = 1
    return Axis(size, stride, -before, out, 1, (Part(out, 0, cells),))


def _grad_axis(size: int, kernel: int, stride: int, dilation: int, before: int, out: int) -> Axis:
    """Return an axis of an input gradient: `i + before = stride·m + a` meets the cells with `r·d ≡ a`."""
    found, bare = [], False
    for a in range(stride):
        start = -((a - before) // stride)  # the first m of a pixel that isn't padding
        first = stride * start + a - before
        places = -((first - size) // stride)
        cells = [
            (r, start - (r * dilation - a) // stride)
            for r in range(kernel)
            if (r * dilation - a) % stride == 0
        ]
        if places > 0 and cells:
            found.append((places, first, cells[::-1]))
        bare |= places > 0 and not cells
    low = min((cell[1] for *_, cells in found for cell in cells), default=0)
    parts = tuple(Part(n, first, tuple((r, 0, at - low) for r, at in cells)) for n, first, cells in found)
    return Axis(out, 1, low, size, stride, parts, covers=not bare)


def axes(problem: Problem) -> tuple[Axis, Axis, Axis]:
    """Return depth, height and width of a problem; one long axis where every pixel meets one cell."""
    window, image, out = problem.window, problem.image, problem.out
    padding = [before for before, _ in window.padding]
    plain = window.taps == 1 and max(window.stride) == 1 and not any(map(any, window.padding))
    make = _forward_axis if problem.which == "forward" else _grad_axis
    if plain:
        rows = [(problem.places, 1, 1, 1, 0, problem.places)]
    else:
        rows = list(zip(image, window.kernel, window.stride, window.dilation, padding, out, strict=True))
    d, h, w = [make(*row) for row in [(1, 1, 1, 1, 0, 1)] * (3 - len(rows)) + rows]
    return d, h, w


@dataclass(frozen=True)
class Layout:
    """A direct convolution, ready to run.

    Attributes:
        table: what the kernel reads, see `kernels/fields.py`.
        units: what threads share.
        scratch: bytes of each thread.
        weights: numbers that the prepared weight has.
        covers: whether every number of the result is written.
        cost: nanoseconds on one thread, as far as a formula can tell.
    """

    table: Array
    units: int
    scratch: int
    weights: int
    covers: bool
    cost: float


@dataclass(frozen=True)
class _Product:
    """The sizes of the product: channels read and written by a group, and each job's cells and places."""

    groups: int
    channels: int
    filters: int
    jobs: tuple[tuple[Part, Part, Part], ...]

    def depths(self) -> list[int]:
        """Return the rows of each job's product."""
        return [self.channels * math.prod(len(part.cells) for part in job) for job in self.jobs]


@dataclass(frozen=True)
class _Blocks:
    """How the work is cut: images of a block, places of a strip on its axis, and what that takes."""

    images: int
    strip: int
    planes: int
    cost: float


def _product(problem: Problem, space: tuple[Axis, Axis, Axis]) -> _Product:
    """Return the product's sizes."""
    read, written = problem.in_channels // problem.groups, problem.out_channels // problem.groups
    if problem.which == "input_grad":
        read, written = written, read
    jobs = tuple(itertools.product(*(axis.parts for axis in space)))
    return _Product(problem.groups, read, written, jobs)


def _strip_axis(space: tuple[Axis, Axis, Axis]) -> int:
    """Return the first axis with more than one place."""
    return next((i for i, axis in enumerate(space) if axis.places > 1), 2)


def _up(number: int, unit: int = 16) -> int:
    """Return the next multiple: scratch is laid out in whole cache lines."""
    return -(-number // unit) * unit


def _parts_of(whole: int) -> list[int]:
    """Return sizes into which a length is cut evenly: 1, 2, 3 … parts, ever fewer sizes of them."""
    counts = [n for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32) if n < whole]
    n = 48
    while n < whole:
        counts.append(n)
        n += n // 2
    return sorted({-(-whole // n) for n in counts} | {1}, reverse=True)


def _cut(problem: Problem, space: tuple[Axis, Axis, Axis], product: _Product, most: int) -> _Blocks | None:
    """Return the cheapest blocks whose planes take at most `most` numbers, or None where none are so small."""
    axis, lines = _strip_axis(space), _across(problem)
    copied = not all(a.inside for a in space)
    around = math.prod(a.places + a.reach for i, a in enumerate(space) if i != axis)
    around *= math.prod(len(a.phases) for a in space) * product.channels
    length, reach = space[axis].places, space[axis].reach
    strips = _parts_of(length)
    if axis == 2:  # whole panels
        strips = sorted({min(length, _up(strip, lines)) for strip in strips})
    candidates = [(n, length) for n in _parts_of(problem.batch)] + [(1, strip) for strip in strips]
    best = None
    for images, strip in candidates:
        planes = images * around * (strip + reach)
        if copied and planes > most:
            continue
        cost = _cost(problem, product, axis, images, strip, planes * copied)
        if best is None or cost < best.cost:
            best = _Blocks(images, strip, planes * copied, cost)
    return best


def _across(problem: Problem) -> int:
    """Return the places of a panel."""
    target = machine.target()
    return target.vectors * target.vector_bytes // problem.dtype.itemsize


def _cost(problem: Problem, product: _Product, axis: int, images: int, strip: int, planes: int) -> float:
    """Return the nanoseconds that blocks of a size take, panels that are not full counted as full."""
    rate, across, filters = rates(), _across(problem), _up(product.filters, machine.target().rows)
    size, length = problem.dtype.itemsize, max(job[axis].places for job in product.jobs)
    far = planes * size > machine.caches().l2 // 2  # packing reads them from the next cache
    cost = 0.0
    for job, depth in zip(product.jobs, product.depths(), strict=True):
        other = math.prod(part.places for i, part in enumerate(job) if i != axis)
        panels = 0
        for blocks, n in ((problem.batch // images, images), (1, problem.batch % images)):
            whole, rest = divmod(job[axis].places, strip)
            panels += blocks * (whole * -(-n * other * strip // across) + -(-n * other * rest // across))
        row = across * filters * 2 / rate.tile * width(problem.dtype) + (4 if far else 2)
        cost += panels * (depth * row + filters * across * size / rate.copy / 2 + 30)
    blocks = -(-problem.batch // images) * -(-length // strip)
    cost += blocks * (planes * size / rate.copy * (2 if far else 1) + 100)
    return cost * product.groups


@lru_cache(maxsize=4096)
def layout(problem: Problem) -> Layout | int:
    """Return the layout of a problem, or the bytes that would be needed where the workspace limit is less."""
    space = axes(problem)
    product = _product(problem, space)
    size, across, rows = problem.dtype.itemsize, _across(problem), machine.target().rows
    tiles = -(-product.filters // rows)
    depths = product.depths()
    weights = product.groups * tiles * rows * sum(depths)
    if not depths or not problem.batch:  # nothing but zeros
        return Layout(np.zeros(f.FIELDS, np.int64), 0, 0, weights, False, rates().call)
    deepest, caches = max(depths), machine.caches()
    most_depth = max(16, caches.l1 * 5 // 8 // (across * size))
    most_depth = -(-deepest // -(-deepest // most_depth))
    pieces = -(-deepest // most_depth)
    most_filters = max(1, caches.l2 // 2 // (most_depth * size * rows))
    most_filters = -(-tiles // -(-tiles // most_filters))
    most_panels = 1 << 40 if pieces == 1 else max(1, caches.l2 // 4 // (most_filters * rows * across * size))
    numbers = [most_depth * across + across, 0 if pieces == 1 else most_panels * most_filters * rows * across,
               rows * across, tiles * rows]  # fmt: skip
    fixed = sum(map(_up, numbers)) + _up(5 * across * 8 // size)
    room = (problem.workspace_limit - weights * size) // problem.threads // size - fixed - across
    blocks = _cut(problem, space, product, min(room, max(caches.l3 // 4, 1 << 20) // size))
    blocks = blocks or _cut(problem, space, product, room)
    if room < 0 or blocks is None:
        least = _cut(problem, space, product, 1 << 60)
        return weights * size + problem.threads * (fixed + across + (least.planes if least else 0)) * size
    starts = [0, *itertools.accumulate(map(_up, [*numbers, blocks.planes + across]))]
    table = _table(problem, space, product, blocks)
    table[f.MOST_DEPTH], table[f.MOST_PANELS], table[f.MOST_FILTERS] = most_depth, most_panels, most_filters
    table[f.PANEL_AT], table[f.SUMS_AT], table[f.TILE_AT], table[f.BIAS_AT], table[f.PLANES_AT] = starts[:5]
    table[f.RUNS_AT] = starts[5] * size // 8
    units = tiles * product.groups * -(-problem.batch // blocks.images) * int(table[f.STRIPS])
    scratch = starts[5] * size + 5 * across * 8
    packed = 2 * weights * size / rates().copy
    cost = blocks.cost + packed + rates().call
    return Layout(table, units, scratch, weights, all(a.covers for a in space), cost)


def _table(problem: Problem, space: tuple[Axis, Axis, Axis], product: _Product, blocks: _Blocks) -> Array:
    """Return the table but for what depends on the caches."""
    axis, rows = _strip_axis(space), machine.target().rows
    read, written = math.prod(a.size for a in space), math.prod(a.result for a in space)
    phases = list(itertools.product(*(a.phases for a in space)))
    planes = _plane_steps(space, product, blocks, axis, len(phases))
    t = np.zeros(f.FIELDS, np.int64)
    t[f.SOURCE_IMAGE], t[f.SOURCE_CHANNEL] = product.groups * product.channels * read, read
    t[f.RESULT_IMAGE], t[f.RESULT_CHANNEL] = product.groups * product.filters * written, written
    for i, a in enumerate(space):
        t[f.SOURCE_SIZE + i], t[f.STEP + i], t[f.LOW + i] = a.size, a.pick, a.low
        t[f.REACH + i], t[f.PLACES + i] = a.reach, a.places
    t[f.PLANE_IMAGE : f.PLANE_ROW + 1] = planes
    t[f.COPIED] = not all(a.inside for a in space)
    t[f.BATCH], t[f.GROUPS], t[f.CHANNELS], t[f.FILTERS] = (
        problem.batch, product.groups, product.channels, product.filters)  # fmt: skip
    t[f.BLOCK_IMAGES], t[f.STRIP], t[f.STRIP_AXIS] = blocks.images, blocks.strip, axis
    t[f.STRIPS], t[f.UNITS] = -(-space[axis].places // blocks.strip), -(-product.filters // rows)
    t[f.RELU] = problem.relu
    taps = problem.window.taps
    steps = (product.channels * taps, taps) if problem.which == "forward" else (taps, product.filters * taps)
    t[f.WEIGHT_FILTER], t[f.WEIGHT_CHANNEL] = steps
    t[f.WEIGHT_GROUP] = product.channels * product.filters * taps
    t[f.PHASES], t[f.PHASE_LIST] = len(phases), f.FIELDS
    lists = [np.array(phases, np.int64).ravel()]
    t[f.JOBS], t[f.JOB_LIST] = len(product.jobs), f.FIELDS + 3 * len(phases)
    lists += _jobs(problem, space, product, planes, phases, int(t[f.JOB_LIST]))
    return np.concatenate([t, *lists])


def _plane_steps(
    space: tuple[Axis, Axis, Axis], product: _Product, blocks: _Blocks, axis: int, phases: int
) -> tuple[int, int, int, int, int]:
    """Return the steps in the planes to the next image, channel, phase, depth and row."""
    deep, high, wide = (a.size for a in space)
    if all(a.inside for a in space):
        return (
            product.groups * product.channels * deep * high * wide,
            deep * high * wide,
            0,
            high * wide,
            wide,
        )
    deep, high, wide = ((blocks.strip if i == axis else a.places) + a.reach for i, a in enumerate(space))
    plane = deep * high * wide
    return product.channels * phases * plane, phases * plane, plane, high * wide, wide


def _jobs(
    problem: Problem,
    space: tuple[Axis, Axis, Axis],
    product: _Product,
    planes: tuple[int, int, int, int, int],
    phases: list[tuple[int, ...]],
    start: int,
) -> list[Array]:
    """Return the jobs' entries, and behind them their rows' offsets and their kernel cells."""
    _, channel_step, phase_step, *plane = planes
    row, kernel = (
        (space[1].result * space[2].result, space[2].result, 1),
        (1, 1, 1, *problem.window.kernel)[-3:],
    )
    entries, lists = [], []
    weight, at = 0, start + f.JOB_FIELDS * len(product.jobs)
    tiles = -(-product.filters // machine.target().rows) * machine.target().rows
    for job, depth in zip(product.jobs, product.depths(), strict=True):
        met = list(itertools.product(*(part.cells for part in job)))
        cells = [(d[0] * kernel[1] + h[0]) * kernel[2] + w[0] for d, h, w in met]
        places = [phases.index((d[1], h[1], w[1])) * phase_step + d[2] * plane[0] + h[2] * plane[1] + w[2]
                  for d, h, w in met]  # fmt: skip
        offsets = np.add.outer(np.arange(product.channels) * channel_step, np.array(places)).ravel()
        first = sum(part.first * step for part, step in zip(job, row, strict=True))
        steps = [axis.step * step for axis, step in zip(space, row, strict=True)]
        ordered = all(
            axis.step == 1 or part.places == 1 for axis, part in zip(space, job, strict=True)
        ) and all(
            part.places == axis.result
            for axis, part in list(zip(space, job, strict=True))[_strip_axis(space) + 1 :]
        )
        sizes = [part.places for part in job]
        entries.append([depth, weight, at, *sizes, first, *steps, ordered, at + depth])
        lists += [offsets.astype(np.int64), np.array(cells, np.int64)]
        weight += product.groups * tiles * depth
        at += depth + len(cells)
    return [np.array(entries, np.int64).ravel(), *lists]
