"""The gradient of the weights for `winograd`: how its tiles, panels and blocks lie; see kernels/winograd_weights.py.

Tiles are transformed for as many rows at once as `_AT_ONCE` holds: where these are all, a block's sums are mapped
back as soon as they are there and never leave the caches. Otherwise the sums of all blocks are kept, four times
the weight for 3×3, and added to.

All rows are parts, as many as the geometry gives, each with sums of its own that are added at the end. Where there are
parts for all threads, each thread takes whole ones and meets the others once, to map the sums back: to wait for each
other after every few rows took two threads 1.2 to 1.6 times the CPU time of one, and sometimes longer. More
threads than parts share the work on each.

The error is 0.3 to 2 times that of PyTorch's sums (root mean square, unit-normal data), 3 with a dilation: chunks of
tiles are summed by themselves. A NaN or an infinity in x reaches all taps of its channel, one in dy all taps of its
filter, also those that the definition would spare; no other channel or filter.

Tried on Zen 3 and measured worse: asking for the next panels before they are needed (2 to 8 %).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms.winograd_blocks import unfit
from deepconv.engine.kernels import team, threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

KERNELS = library("winograd_weights")

POINTS = 36

_AT_ONCE = 4 * 2**20
"""Bytes of transformed tiles that are made before their products are taken, or as many as the kept sums would take.

Tried from 2 to 64 MB on Zen 3 with 32 MB of third cache: 3 to 4 MB is best for all layers but those of 256 and 512
channels, whose sums are larger than their tiles, and from 12 MB on a neighbour on the other core is felt. Twice as
much for two threads, which then met half as often, cost them 10 to 25 % of CPU time more.
"""

_CHUNK = 128
"""Tiles that are summed by themselves before they are added to the sums, in whole rows: a panel of d of so many
stays in the first cache, and a sum of sums is rounded less than one of all. It depends on the geometry alone, and
parts hold whole chunks, so that neither threads nor the workspace limit change a bit of the result.
"""

_PARTS = 4
"""The most parts of a problem's rows, whose sums are added at the end; they depend on the geometry alone."""

_PART = 192
"""The fewest tiles of a part: with half as many, one thread took a tenth longer, the sums being kept and added."""

_PARTS_BYTES = 8 * 2**20
"""The most that the sums of all parts may take: larger ones cost more than they save."""

_TRANSFORMED = 20
"""Multiply-adds that take as long as to transform one number, or to add it to the others' and map it back."""

_SLAB = 96 * 2**10
"""Bytes of a slab that takes several rows of tiles; the pixel rows at its ends are turned twice."""


@dataclass(frozen=True)
class Plan:
    """How one problem is cut up; tables of all tiles and tasks are made where it runs.

    Attributes:
        cut: the sizes that problem and target give.
        groups: of channels and of filters, a vector each, that are transformed.
        row_tiles: tiles of a row.
        rows: of tiles, of all images.
        parts: where parts of the rows begin, and where the last one ends.
        apart: whether each thread takes whole parts.
        at_once: how many of them are transformed before their products are taken.
        chunk: rows of tiles that are summed by themselves.
        blocks: where blocks of channels begin, and where the last one ends.
        tasks: blocks of channels times panels of filters, whose products are taken.
        slabs: what `transform` is told of the slabs of x and of dy.
        steps: from a point's transformed numbers to the next's, of x and of dy.
        sums: numbers of one task's sums.
        bytes_v: of the transformed x.
        bytes_d: of the transformed dy.
        bytes_kept: of all sums, of each part, zero where they aren't kept.
        bytes_sums: of one task's sums where they aren't kept.
        own: bytes of each thread.
        threads: how many are worth it.
    """

    cut: "Cut"
    groups: tuple[int, int]
    row_tiles: int
    rows: int
    parts: tuple[int, ...]
    apart: bool
    at_once: int
    chunk: int
    blocks: tuple[int, ...]
    tasks: int
    slabs: tuple[tuple[int, ...], tuple[int, ...]]
    steps: tuple[int, int]
    sums: int
    bytes_v: int
    bytes_d: int
    bytes_kept: int
    bytes_sums: int
    own: int
    threads: int

    @property
    def shared(self) -> int:
        """Bytes that all threads see."""
        return self.bytes_kept + (0 if self.apart else self.bytes_v + self.bytes_d)

    @property
    def alone(self) -> int:
        """Bytes that each thread has."""
        return self.own + (self.bytes_v + self.bytes_d if self.apart else 0)

    @property
    def workspace(self) -> int:
        """Bytes beside operands and result."""
        return self.shared + self.threads * self.alone


def _phases(out: int, dilation: int) -> tuple[Array, Array]:
    """Return the phases of an axis, and how many tiles each has."""
    phases = np.arange(min(dilation, out))
    return phases, -(-(out - phases) // (4 * dilation))


def _starts(out: int, dilation: int) -> Array:
    """Return for each tile of an axis its first place, and how many of its phase begin there or behind."""
    phases, tiles = _phases(out, dilation)
    number = np.arange(tiles.sum()) - np.repeat(np.cumsum(tiles) - tiles, tiles)
    starts = np.repeat(phases, tiles) + 4 * dilation * number
    return np.stack([starts, np.repeat(tiles, tiles) - number], 1).astype(np.int64)


@dataclass(frozen=True)
class Cut:
    """The sizes that a problem and a target give; channels of v and filters of d are padded to whole vectors."""

    lanes: int
    deep: int
    pieces: tuple[int, int]
    deeps: int
    vectors: int
    widths: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Channels of v, pieces counted."""
        return self.deeps * self.deep * math.prod(self.pieces)


def _cut(problem: Problem) -> Cut:
    """Return how channels and filters are cut: into panels of v and d, the latter of two or three vectors."""
    target = machine.target()
    lanes = target.vector_bytes // problem.dtype.itemsize
    deep = max(lanes, target.rows)
    pieces = tuple(-(-k // 3) for k in problem.window.kernel)
    vectors = max(2, -(-problem.out_channels // lanes))
    panels = -(-vectors // target.vectors)
    widths = tuple(vectors // panels + (i < vectors % panels) for i in range(panels))
    return Cut(lanes, deep, (pieces[0], pieces[1]), -(-problem.in_channels // deep), vectors, widths)


def _places(problem: Problem, cut: Cut, room: int) -> tuple[Array, Array]:
    """Return for groups of x (and pieces) and of dy where their first tile is written, and the next how far on."""
    c = np.arange(0, problem.in_channels, cut.lanes)[:, None]
    at = (np.arange(math.prod(cut.pieces)) * cut.deeps + c // cut.deep) * room * cut.deep + c % cut.deep
    from_x = np.stack([at.ravel(), np.full(at.size, cut.deep)], 1)
    wide = np.repeat(cut.widths, cut.widths)  # of the panel that each vector is in
    first = np.repeat(np.cumsum(cut.widths) - cut.widths, cut.widths)
    vector = np.arange(cut.vectors)
    from_dy = np.stack([(first * room + vector - first) * cut.lanes, wide * cut.lanes], 1)
    return from_x.astype(np.int64), from_dy.astype(np.int64)


def _blocks(problem: Problem, cut: Cut, used: int) -> tuple[int, ...]:
    """Return where blocks of channels begin, whose sums fit half of the second cache, and where the last one ends.

    They are of equal size, and as many for each thread: three panels of filters alone would be shared two to one.
    """
    wide = max(cut.widths) * cut.lanes * problem.dtype.itemsize
    most = max(1, machine.caches().l2 // 2 // ((POINTS + problem.window.taps) * wide) // cut.deep)
    least = -(-cut.deeps // most)
    count = min(cut.deeps, -(-least // used) * used)
    return tuple(cut.deeps * i // count * cut.deep for i in range(count + 1))


def _tasks(problem: Problem, cut: Cut, room: int, blocks: tuple[int, ...]) -> Array:
    """Return for each task of products what its kernel says that it reads."""
    bounds, wide = np.array(blocks)[:, None], np.array(cut.widths)
    c, vector = bounds[:-1], np.cumsum(wide) - wide
    count = np.minimum(bounds[1:], problem.in_channels) - c
    k = vector * cut.lanes
    at = (k * problem.in_channels + c) * problem.window.taps
    columns = (c * room, k * room, -(-count // cut.deep), count, wide, problem.out_channels - k, at)
    return np.stack(np.broadcast_arrays(*columns), -1).reshape(-1, len(columns)).astype(np.int64)


def _point_step(numbers: int, item: int) -> int:
    """Return so many numbers and some more: the places of one tile at all points must not share a cache set."""
    return (-(-numbers * item // 4096) * 4096 + 192) // item


@lru_cache(maxsize=512)
def plan(problem: Problem) -> Plan:
    """Return how a problem is cut up, in more parts than is best where the workspace limit wants it."""
    cut, limit = _cut(problem), problem.workspace_limit
    sides = zip(problem.out, problem.window.dilation, strict=True)
    lines, tiles = (int(_phases(out, d)[1].sum()) for out, d in sides)
    rows = problem.batch * lines
    item = problem.dtype.itemsize
    row_bytes = tiles * POINTS * (cut.depth + cut.vectors * cut.lanes) * item
    sums = POINTS * cut.depth * cut.vectors * cut.lanes * item
    chunks = -(-rows // max(1, _CHUNK // tiles))
    chunk = -(-rows // chunks)
    parts = _parts(rows, tiles, chunk, sums)
    longest = max(end - start for start, end in pairwise(parts)) // chunk + 1
    first = max(1, max(_AT_ONCE, min(sums, machine.caches().l3)) // (row_bytes * chunk))
    for apart in (len(parts) > 2, False):
        most = max(1, first // problem.threads) if apart else first
        while True:
            at_once = min(rows, min(longest, -(-longest // -(-longest // most))) * chunk)
            found = _plan(problem, cut, (parts, tiles), at_once, chunk, apart)
            if found.workspace <= limit:
                return found
            if most == 1:
                break
            most = max(1, min(most, longest) // 2)
    return found


def _parts(rows: int, row_tiles: int, chunk: int, sums: int) -> tuple[int, ...]:
    """Return where parts begin, and where the last one ends: whole chunks, one part where there are few tiles."""
    chunks = -(-rows // chunk)
    most = min(_PARTS, chunks, rows * row_tiles // _PART, _PARTS_BYTES // sums)
    count = 1 << max(1, most).bit_length() - 1
    return tuple(min(rows, chunks * i // count * chunk) for i in range(count + 1))


def _plan(
    problem: Problem, cut: Cut, tiles: tuple[tuple[int, ...], int], at_once: int, chunk: int, apart: bool
) -> Plan:
    """Return how a problem is cut up: parts of the rows and a row's tiles, `at_once` of the rows transformed."""
    item, window, (parts, row_tiles) = problem.dtype.itemsize, problem.window, tiles
    all_rows, count = parts[-1], len(parts) - 1
    room = at_once * row_tiles
    v_step, d_step = (_point_step(n * room, item) for n in (cut.depth, cut.vectors * cut.lanes))

    wide = max(cut.widths) * cut.lanes
    multiply_adds = POINTS * all_rows * row_tiles * cut.depth * cut.vectors * cut.lanes
    used = threads.worth(problem.threads, multiply_adds)
    apart = apart and used <= count
    blocks = _blocks(problem, cut, 1 if apart else used)
    block = max(end - c for c, end in pairwise(blocks))
    tasks = (len(blocks) - 1) * len(cut.widths)
    sums = math.prod(cut.pieces) * POINTS * block * wide
    kept = sums * tasks * count if count > 1 or at_once < all_rows else 0

    before = (window.padding[0][0], window.padding[1][0])
    x_slab, x_facts = _slab(problem, problem.image, before, cut, cut.pieces, 6)
    dy_slab, dy_facts = _slab(problem, problem.out, (0, 0), cut, (1, 1), 4)
    own = max(x_slab, dy_slab, (0 if kept else sums) + block * window.taps * wide) * item
    return Plan(
        cut=cut,
        groups=(-(-problem.in_channels // cut.lanes), -(-problem.out_channels // cut.lanes)),
        row_tiles=row_tiles,
        rows=all_rows,
        parts=parts,
        apart=apart,
        at_once=at_once,
        chunk=chunk,
        blocks=blocks,
        tasks=tasks,
        slabs=(x_facts, dy_facts),
        steps=(v_step, d_step),
        sums=sums,
        bytes_v=v_step * POINTS * item,
        bytes_d=d_step * POINTS * item,
        bytes_kept=-(-kept * item // 64) * 64,
        bytes_sums=0 if kept else sums * item,
        own=own,
        threads=used,
    )


@lru_cache(maxsize=512)
def _told(problem: Problem) -> tuple[team.Words, team.Words, team.Words]:
    """Return what `transform` is told of x and of dy, and what `products` is."""
    p, window = plan(problem), problem.window
    cut, room = p.cut, p.at_once * p.row_tiles
    rows, columns = (_starts(out, d) for out, d in zip(problem.out, window.dilation, strict=True))
    x_places, dy_places = _places(problem, cut, room)
    common: team.Words = (rows, len(rows), columns[:, 0].copy(), len(columns), *window.dilation)
    (v_step, d_step), (of_x, of_dy) = p.steps, p.slabs
    from_x: team.Words = (problem.in_channels, *of_x, *common, *cut.pieces, v_step, x_places, 6)
    from_dy: team.Words = (problem.out_channels, *of_dy, *common, 1, 1, d_step, dy_places, 4)
    kept = p.sums if p.bytes_kept else 0
    strides = (v_step, cut.deeps * cut.deep * room, d_step, room, p.chunk * p.row_tiles, kept)
    tasks = _tasks(problem, cut, room, p.blocks)
    facts: team.Words = (*strides, problem.in_channels * window.taps, *window.kernel, tasks)
    return from_x, from_dy, facts


def _slab(
    problem: Problem,
    image: tuple[int, ...],
    before: tuple[int, int],
    cut: Cut,
    pieces: tuple[int, int],
    patch: int,
) -> tuple[int, tuple[int, ...]]:
    """Return the numbers of a slab, and what `transform` is told of it and of the images.

    Args:
        problem: whose tiles they are.
        image: height and width.
        before: rows and columns of zeros before it.
        cut: the sizes.
        pieces: that the kernel is cut into.
        patch: pixels of a tile's patch on an axis.
    """
    (high, wide), (down, across) = problem.out, problem.window.dilation
    phases, tiles = _phases(wide, across)
    last = int((phases + 4 * across * (tiles - 1)).max())
    columns = last + across * (patch - 1 + 3 * (pieces[1] - 1)) + 1
    more = patch - 4 + 3 * (pieces[0] - 1)
    strip = (_SLAB // (columns * machine.target().vector_bytes) - more) // 4
    strip = min(max(1, strip), -(-high // (4 * down)))
    numbers = (columns * (4 * strip + more) + cut.lanes) * cut.lanes
    return numbers, (*image, -before[0], -before[1], columns, strip)


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None."""
    if (why := unfit(problem)) is not None:
        return why
    need, limit = workspace(problem), problem.workspace_limit
    return f"it needs {need:,} bytes and the workspace limit is {limit:,}" if need > limit else None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result, all threads."""
    return plan(problem).workspace


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: 36 products a tile, tiles transformed, sums kept and mapped back."""
    rate, p = rates(), plan(problem)
    cut = p.cut
    filters = cut.vectors * cut.lanes
    products = 2 * POINTS * p.rows * p.row_tiles * cut.depth * filters
    tiles = POINTS * p.rows * p.row_tiles * (cut.depth + filters)
    sums = POINTS * cut.depth * filters * -(-p.rows // p.at_once)
    moved = 2 * (tiles + sums) * problem.dtype.itemsize
    return float(rate.call + products / rate.tile * width(problem.dtype) + moved / rate.copy)


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    return _Call(problem, dy, x).result()


class _Call:
    """One call: its operands, its memory, and what its threads do with ranges of slices, of parts and of tasks."""

    def __init__(self, problem: Problem, dy: Array, x: Array) -> None:
        dtype = problem.dtype
        self._dy, self._x = plain(dy, dtype), plain(x, dtype)
        self._dw = np.empty(problem.weight_shape, dtype)
        self._transform, self._products = KERNELS.transform[dtype], KERNELS.products[dtype]
        self._add_parts = KERNELS.add_parts[dtype]
        self._plan, self._told = plan(problem), _told(problem)
        p = self._plan
        # Each with some of x and of dy: what a thread transformed is in its caches.
        self._slices = max(p.groups)
        self._parts = len(p.parts) - 1
        self._part = p.bytes_kept // self._parts
        self._kept = scratch(p.shared + p.alone)
        self._values = self._kept + p.bytes_kept  # of all threads together; each apart begins with its own

    def result(self) -> Array:
        """Return `dw`."""
        p = self._plan
        if p.apart:
            self._run(self._sum_parts, self._parts, p.threads)
        else:
            for part in range(self._parts):
                for rows in _turns(p, part):
                    numbers = POINTS * (rows[1] - rows[0]) * p.row_tiles * p.cut.lanes * sum(p.groups)
                    count = threads.worth(p.threads, _TRANSFORMED * numbers)
                    self._run(partial(self._prepare, self._values, rows), self._slices, count)
                    self._run(partial(self._add, self._values, part, rows), p.tasks, p.threads)
        if self._parts > 1:
            numbers = self._parts * p.sums * p.tasks
            self._run(self._finish, p.tasks, threads.worth(p.threads, _TRANSFORMED * numbers))
        return self._dw

    def _run(self, calls: Callable[[int, int, int], team.Calls], tasks: int, count: int) -> None:
        """Let so many threads make calls."""
        p = self._plan
        team.run(calls, tasks, count, (self._kept + p.shared, p.alone), team.PIECES)

    def _sum_parts(self, first: int, stop: int, own: int) -> team.Calls:
        """Take whole parts, in a thread's own memory."""
        p = self._plan
        mine = own + p.bytes_v + p.bytes_d
        for part in range(first, stop):
            for rows in _turns(p, part):
                yield from self._prepare(own, rows, 0, self._slices, mine)
                yield from self._add(own, part, rows, 0, p.tasks, mine)

    def _prepare(self, values: int, rows: tuple[int, int], first: int, stop: int, own: int) -> team.Calls:
        """Transform slices of some rows of tiles."""
        p, (from_x, from_dy, _) = self._plan, self._told
        x_groups, dy_groups = ((n * first // self._slices, n * stop // self._slices) for n in p.groups)
        yield self._transform, (self._x, values, own, *rows, *x_groups, *from_x)
        yield self._transform, (self._dy, values + p.bytes_v, own, *rows, *dy_groups, *from_dy)

    def _add(
        self, values: int, part: int, rows: tuple[int, int], first: int, stop: int, own: int
    ) -> team.Calls:
        """Add the products of these rows to a part's sums; the sums of a single part are mapped back at its end."""
        p, facts = self._plan, self._told[2]
        ends = rows[1] == p.rows and self._parts == 1
        flags = int(rows[0] == p.parts[part]), int(ends)
        sums = self._kept + part * self._part if p.bytes_kept else own
        d, taps, tiles = values + p.bytes_v, own + p.bytes_sums, (rows[1] - rows[0]) * p.row_tiles
        yield self._products, (values, d, sums, taps, self._dw, tiles, *flags, first, stop, *facts)

    def _finish(self, first: int, stop: int, own: int) -> team.Calls:
        """Add the sums of all parts, and map them back, products of no tiles, while they are in the caches."""
        p, m, facts = self._plan, self._kept, self._told[2]
        step, taps = self._part // self._dw.itemsize, own + p.alone - p.own
        for task in range(first, stop):
            yield self._add_parts, (m, self._parts, step, task * p.sums, (task + 1) * p.sums)
            yield self._products, (m, m, m, taps, self._dw, 0, 0, 1, task, task + 1, *facts)


def _turns(p: Plan, part: int) -> Iterator[tuple[int, int]]:
    """Yield the rows of a part that are transformed before their products are taken."""
    start, end = p.parts[part : part + 2]
    for row in range(start, end, p.at_once):
        yield row, min(row + p.at_once, end)
