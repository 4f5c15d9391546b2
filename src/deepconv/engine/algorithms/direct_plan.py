"""How a direct convolution falls into blocks, and the table that tells its kernel so.

Both passes are the same product: each place of the result meets, in planes of what is read, some kernel
cells at fixed distances. Forward, the planes are x's, one for each remainder of the stride. The gradient of the
input reads dy; the pixels of dx that leave the same remainder when divided by the stride meet the same
cells, so each remainder is a *job* of its own, a convolution with stride 1.

Tried for strided layers on Zen 3 and no faster: an image or a strip of 6 to 14 rows at a time, so that its planes stay
in the second cache (0.86 to 1.01 of the rate: weights come more often); asking for all lines of a result's strided
runs before they are written.
"""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms.direct_axes import Part, Space, axes
from deepconv.engine.algorithms.direct_panels import put, runs_of, vectors_of
from deepconv.engine.kernels import fields as f
from deepconv.engine.kernels import threads
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width


class Product(NamedTuple):
    """The sizes of the product: channels read and written by a group, and each job's cells and places."""

    groups: int
    channels: int
    filters: int
    jobs: tuple[tuple[Part, Part, Part], ...]

    def depths(self) -> list[int]:
        """Return the rows of each job's product."""
        return [self.channels * math.prod(len(part.cells) for part in job) for job in self.jobs]


class Blocks(NamedTuple):
    """How the work is cut: images of a block, places of a strip on its axis, and what that takes."""

    images: int
    strip: int
    planes: int
    cost: float


class Layout(NamedTuple):
    """How a direct convolution is cut, as far as choosing needs to know.

    Attributes:
        space: depth, height and width.
        product: the sizes of the product.
        blocks: how the work is cut; None where there is nothing to compute.
        most: rows of a packed panel, panels and filter tiles whose sums are kept at once.
        starts: where in a thread's scratch the panel, the sums, the tile, the bias and the planes begin; the end.
        units: what threads share.
        scratch: bytes of each thread.
        weights: numbers that the prepared weight has.
        covers: whether every number of the result is written.
        cost: nanoseconds on one thread, as far as a formula can tell.
    """

    space: Space
    product: Product
    blocks: Blocks | None
    most: tuple[int, int, int]
    starts: tuple[int, ...]
    units: int
    scratch: int
    weights: int
    covers: bool
    cost: float


def _product(problem: Problem, space: Space) -> Product:
    """Return the product's sizes."""
    read, written = problem.in_channels // problem.groups, problem.out_channels // problem.groups
    if problem.which == "input_grad":
        read, written = written, read
    deep, high, wide = space
    jobs = tuple(itertools.product(deep.parts, high.parts, wide.parts))
    return Product(problem.groups, read, written, jobs)


def _strip_axis(space: Space) -> int:
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


def _cut(
    problem: Problem, space: Space, product: Product, most: int, *, smallest: bool = False
) -> Blocks | None:
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
    candidates = _enough(candidates, problem, length) or candidates
    best, reckon = None, _costs(problem, product, axis)
    for images, strip in candidates:
        planes = images * around * (strip + reach)
        if copied and planes > most:
            continue
        cost = planes if smallest else reckon(images, strip, planes * copied)
        if best is None or cost < best.cost:
            best = Blocks(images, strip, planes * copied, cost)
    return best


def _enough(candidates: list[tuple[int, int]], problem: Problem, length: int) -> list[tuple[int, int]]:
    """Return the blocks that give each thread its own: two that share one would both pack its panels."""
    wanted = threads.worth(problem.threads, problem.flops // 2)
    return [(n, strip) for n, strip in candidates if -(-problem.batch // n) * -(-length // strip) >= wanted]


def _across(problem: Problem) -> int:
    """Return the places of a panel."""
    target = machine.target()
    return target.vectors * target.vector_bytes // problem.dtype.itemsize


def _costs(problem: Problem, product: Product, axis: int) -> Callable[[int, int, int], float]:
    """Return what reckons the nanoseconds of blocks of so many images, places and numbers of planes.

    Panels that are not full are counted as full.
    """
    rate, across, filters = rates(), _across(problem), _up(product.filters, machine.target().rows)
    size, length, batch = problem.dtype.itemsize, max(job[axis].places for job in product.jobs), problem.batch
    row, l2 = across * filters * 2 / rate.tile * width(problem.dtype), machine.caches().l2
    depths = product.depths()
    weights = filters * sum(depths)  # fetched anew for each block
    jobs = [(job[axis].places, math.prod(part.places for i, part in enumerate(job) if i != axis), depth)
            for job, depth in zip(product.jobs, depths, strict=True)]  # fmt: skip

    def cost(images: int, strip: int, planes: int) -> float:
        whole_blocks, left = divmod(batch, images)
        packed = row + (5 if planes * size > l2 // 2 else 4)  # packing reads them from the next cache
        total = 0.0
        for places, other, depth in jobs:
            whole, rest = divmod(places, strip)
            panels = 0
            for blocks, n in ((whole_blocks, images * other), (1, left * other)):
                panels += blocks * (whole * -(-n * strip // across) + -(-n * rest // across))
            total += panels * (depth * packed + filters * across * size / rate.copy / 2 + 30)
        blocks = -(-batch // images) * -(-length // strip)
        total += blocks * ((planes + weights / 2) * size / rate.copy + 100)
        return total * product.groups

    return cost


@lru_cache(maxsize=4096)
def layout(problem: Problem) -> Layout | int:
    """Return the layout of a problem, or the bytes that would be needed where the workspace limit is less."""
    space = axes(problem)
    product = _product(problem, space)
    size, across, rows = problem.dtype.itemsize, _across(problem), machine.target().rows
    tiles, depths, covers = -(-product.filters // rows), product.depths(), all(a.covers for a in space)
    weights = product.groups * tiles * rows * sum(depths)
    if not depths or not problem.batch:  # nothing but zeros
        return Layout(space, product, None, (1, 1, 1), (), 0, 0, weights, False, rates().call)
    most = _most(max(depths), tiles, size, across)
    sums = 0 if most[0] >= max(depths) else most[1] * most[2] * rows * across
    numbers = [_up(n) for n in ((most[0] + 1) * across, sums, rows * across, tiles * rows)]
    fixed = sum(numbers) + 2 * across
    room = (problem.workspace_limit - weights * size) // problem.threads // size - fixed
    blocks = _cut(problem, space, product, min(room, max(machine.caches().l3 // 4, 1 << 20) // size))
    blocks = blocks or _cut(problem, space, product, room)
    if room < 0 or blocks is None:
        least = _cut(problem, space, product, 1 << 60, smallest=True)
        return weights * size + problem.threads * (fixed + (least.planes if least else 0)) * size
    starts = (0, *itertools.accumulate([*numbers, blocks.planes + across]))
    strips = -(-space[_strip_axis(space)].places // blocks.strip)
    units = tiles * product.groups * -(-problem.batch // blocks.images) * strips
    cost = blocks.cost + 2 * weights * size / rates().copy + rates().call
    return Layout(space, product, blocks, most, starts, units, starts[-1] * size, weights, covers, cost)


def _most(deepest: int, tiles: int, size: int, across: int) -> tuple[int, int, int]:
    """Return how many rows of a panel, panels and tiles of filters are taken at once."""
    caches, rows = machine.caches(), machine.target().rows
    # Rows of a panel on Zen 3, GFLOP/s of a 3x3 body of 64 channels: 144 77, 192 83, 288 (27 KB of 32) 84.
    depth = max(16, caches.l1 * 7 // 8 // (across * size))
    depth = -(-deepest // -(-deepest // depth))
    filters = max(1, caches.l2 // 2 // (depth * size * rows))
    filters = -(-tiles // -(-tiles // filters))
    if depth >= deepest:
        return depth, 1 << 40, filters
    return depth, max(1, caches.l2 // 4 // (filters * rows * across * size)), filters


@lru_cache(maxsize=512)
def table(problem: Problem) -> Array:
    """Return the table that describes a problem to its kernel, see `kernels/fields.py`."""
    plan = layout(problem)
    t = np.zeros(f.FIELDS, np.int64)
    if not isinstance(plan, Layout) or plan.blocks is None:
        return t
    space, product, blocks = plan.space, plan.product, plan.blocks
    read, written = math.prod(a.size for a in space), math.prod(a.result for a in space)
    phases = list(itertools.product(*(a.phases for a in space)))
    planes = _plane_steps(space, product, blocks)
    t[f.SOURCE_IMAGE], t[f.SOURCE_CHANNEL] = product.groups * product.channels * read, read
    for i, a in enumerate(space):
        t[f.SOURCE_SIZE + i], t[f.STEP + i] = a.size, a.pick
    t[f.PLANE_IMAGE : f.PLANE_ROW + 1] = planes
    far = blocks.planes * problem.dtype.itemsize > machine.caches().l2 // 2
    t[f.FAR] = far or all(a.inside for a in space)
    t[f.COPIED], t[f.RELU], t[f.RESULT_CHANNEL] = not all(a.inside for a in space), problem.relu, written
    t[f.GROUPS], t[f.CHANNELS], t[f.FILTERS] = product.groups, product.channels, product.filters
    t[f.TILES] = -(-product.filters // machine.target().rows)
    t[f.MOST_DEPTH : f.MOST_TILES + 1] = plan.most
    t[f.PANEL_AT : f.PLANES_AT + 1] = plan.starts[:-1]
    taps = problem.window.taps
    steps = (product.channels * taps, taps) if problem.which == "forward" else (taps, product.filters * taps)
    t[f.WEIGHT_FILTER], t[f.WEIGHT_CHANNEL] = steps
    t[f.WEIGHT_GROUP], t[f.JOBS] = product.channels * product.filters * taps, len(product.jobs)
    t[f.WEIGHT_CHANNELS] = 1 if problem.which == "forward" else product.channels
    t[f.WEIGHT_TOGETHER] = max(8, 64 // taps)  # each row lies on a page of its own
    t[f.WEIGHT_ORDERED] = problem.which == "forward" or max(problem.window.stride) == 1
    lists = _Lists(t)
    t[f.PHASES], t[f.PHASE_LIST] = len(phases), lists.add(np.array(phases, np.int64))
    common = _common(problem, plan, planes, phases, lists)
    _add_blocks(problem, plan, blocks, planes, common, lists)
    t[f.JOB_LIST] = lists.array()[int(t[f.BLOCK_LIST]) + f.BLOCK_JOBS]
    return lists.array()


class _Lists:
    """A table that grows behind its fields."""

    def __init__(self, fields: Array) -> None:
        """Take the fields, which may still be filled in."""
        self._parts = [fields]
        self._length = len(fields)

    def add(self, numbers: Array) -> int:
        """Append numbers and return where they stand."""
        at = self._length
        self._parts.append(numbers.ravel())
        self._length += numbers.size
        return at

    def array(self) -> Array:
        """Return the whole table."""
        return np.concatenate(self._parts)


def _plane_steps(space: Space, product: Product, blocks: Blocks) -> tuple[int, int, int, int, int]:
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
    axis = _strip_axis(space)
    deep, high, wide = ((blocks.strip if i == axis else a.places) + a.reach for i, a in enumerate(space))
    plane = deep * high * wide
    image = product.channels * plane
    return image, plane, blocks.images * image, high * wide, wide


def _common(
    problem: Problem, plan: Layout, planes: tuple[int, ...], phases: list[tuple[int, ...]], lists: _Lists
) -> list[list[int]]:
    """Return of each job what is the same in all blocks: depth, weights, offsets, cells, first place, step."""
    _, channel_step, phase_step, *plane = planes
    space, product = plan.space, plan.product
    row, kernel = (
        (space[1].result * space[2].result, space[2].result, 1),
        (1, 1, 1, *problem.window.kernel)[-3:],
    )
    rows = machine.target().rows
    found, weight = [], 0
    for job, depth in zip(product.jobs, product.depths(), strict=True):
        met = list(itertools.product(*(part.cells for part in job)))
        cells = [(d[0] * kernel[1] + h[0]) * kernel[2] + w[0] for d, h, w in met]
        places = [phases.index((d[1], h[1], w[1])) * phase_step + d[2] * plane[0] + h[2] * plane[1] + w[2]
                  for d, h, w in met]  # fmt: skip
        if problem.which == "forward":
            cells = list(range(depth))
        offsets = np.add.outer(np.arange(product.channels) * channel_step, np.array(places))
        first = sum(part.first * step for part, step in zip(job, row, strict=True))
        found.append([depth, weight, lists.add(offsets), lists.add(np.array(cells)), first, space[2].step])
        weight += product.groups * -(-product.filters // rows) * rows * depth
    return found


def _kinds(rows: Array) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return the different rows of a matrix and which of them each row is: few rows, for which NumPy's call is slow.

    Example:
        >>> _kinds(np.array([[4, 2], [4, 2], [1, 0]]))
        ([(4, 2), (1, 0)], [0, 0, 1])
    """
    found: dict[tuple[int, ...], int] = {}
    which = [found.setdefault(tuple(row), len(found)) for row in rows.tolist()]
    return list(found), which


def _add_blocks(
    problem: Problem,
    plan: Layout,
    blocks: Blocks,
    planes: tuple[int, ...],
    common: list[list[int]],
    lists: _Lists,
) -> None:
    """Append the blocks, and the jobs with their panels for each size of block."""
    space, product, axis = plan.space, plan.product, _strip_axis(plan.space)
    row = (space[1].result * space[2].result, space[2].result, 1)
    read, written = math.prod(a.size for a in space), math.prod(a.result for a in space)
    read_image = product.groups * product.channels * read
    written_image = product.groups * product.filters * written
    copied = not all(a.inside for a in space)
    skip = 0 if copied else sum(a.low * step for a, step in zip(space, (*planes[3:], 1), strict=True))
    images = np.arange(0, problem.batch, blocks.images)
    begins = np.arange(0, space[axis].places, blocks.strip)
    counts = np.minimum(blocks.images, problem.batch - images)
    lengths = np.stack([np.clip(job[axis].places - begins, 0, blocks.strip) for job in product.jobs], 1)
    several, of = _kinds(counts[:, None])  # two at most
    kinds, which = _kinds(lengths)  # as few

    def entries(count: int, kind: tuple[int, ...]) -> list[list[int]]:
        here = [tuple(n if i == axis else part.places for i, part in enumerate(job))
                for job, n in zip(product.jobs, kind, strict=True)]  # fmt: skip
        return [[*facts, *_add_panels(problem, plan, planes, count, size, lists)]
                for facts, size in zip(common, here, strict=True)]  # fmt: skip

    sizes = itertools.product(several, kinds)
    jobs = np.array([lists.add(np.array(entries(count, kind), np.int64)) for (count,), kind in sizes])
    image, begin = images[:, None], begins[None]
    source = image * read_image + skip + (0 if copied else begin * (*planes[3:], 1)[axis])
    result = image * written_image + begin * space[axis].step * row[axis]
    low = [a.low + (begin * a.pick if i == axis else 0) for i, a in enumerate(space)]
    extent = [a.reach + (np.minimum(blocks.strip, a.places - begin) if i == axis else a.places)
              for i, a in enumerate(space)]  # fmt: skip
    at = jobs.reshape(len(several), -1)[of][:, which]
    columns = (counts[:, None], source, problem.batch * read_image - source, result, at, *low, *extent)
    found = np.stack(np.broadcast_arrays(*columns), -1).astype(np.int64)
    lists._parts[0][f.BLOCK_LIST] = lists.add(found)


def _places(shape: tuple[int, ...], steps: tuple[int, ...]) -> Array:
    """Return how far each place of an array lies from its first, by the step of each axis.

    Example:
        >>> _places((2, 3), (10, 1))
        array([ 0,  1,  2, 10, 11, 12])
    """
    at = np.zeros(1, np.int64)
    for count, step in zip(shape, steps, strict=True):
        at = np.add.outer(at, np.arange(count) * step).ravel()
    return at


def _add_panels(
    problem: Problem, plan: Layout, planes: tuple[int, ...], images: int, size: tuple[int, ...], lists: _Lists
) -> tuple[int, int]:
    """Append the panels of a job in a block, and return how many they are and where they stand."""
    space, product, across = plan.space, plan.product, _across(problem)
    row = (space[1].result * space[2].result, space[2].result, 1)
    written = product.groups * product.filters * math.prod(a.result for a in space)
    shape = images, *size
    source = _places(shape, (planes[0], planes[3], planes[4], 1))
    target = _places(shape, (written, *(a.step * step for a, step in zip(space, row, strict=True))))
    copies, copy_bounds = runs_of(source, across, 1, across // machine.target().vectors)
    runs, run_bounds = runs_of(target, across, space[2].step, across)
    copied, ran = np.diff(copy_bounds), np.diff(run_bounds)
    whole = (ran == 1) & (runs[run_bounds[:-1], 2] == across) & (space[2].step == 1)
    joined, parts = vectors_of(source, across, len(copied))
    starts = np.cumsum([0, *(f.PANEL_FIELDS + 3 * (copied + ran))])
    numbers = np.empty(starts[-1], np.int64)
    for i, head in enumerate((3 * copied, 3 * ran, whole, joined, *parts.T)):
        numbers[starts[:-1] + i] = head
    put(numbers, starts[:-1] + f.PANEL_FIELDS, copies, copy_bounds)
    put(numbers, starts[:-1] + f.PANEL_FIELDS + 3 * copied, runs, run_bounds)
    return len(copied), lists.add(lists.add(numbers) + starts[:-1])
