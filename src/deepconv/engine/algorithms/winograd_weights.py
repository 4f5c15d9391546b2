"""The gradient of the weights for `winograd`: how its tiles, panels and blocks lie; see kernels/winograd_weights.py.

Tiles are transformed for as many rows at once as `_AT_ONCE` holds: where these are all, a block's sums are mapped
back as soon as they are there and never leave the caches. Otherwise the sums of all blocks are kept, four times
the weight for 3×3, and added to.

The error is 0.3 to 2 times that of PyTorch's sums (root mean square, unit-normal data), 3 with a dilation: chunks of
tiles are summed by themselves. A NaN or an infinity in x reaches all taps of its channel, one in dy all taps of its
filter, also those that the definition would spare; no other channel or filter.

Tried on Zen 3 and measured worse: asking for the next panels before they are needed (2 to 8 %).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from threading import get_ident

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms.winograd_blocks import unfit
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

KERNELS = library("winograd_weights")

POINTS = 36

_AT_ONCE = 4 * 2**20
"""Bytes of transformed tiles that are made before their products are taken, or as many as the kept sums would take.

Tried from 2 to 64 MB on Zen 3 with 32 MB of third cache: 3 to 4 MB is best for all layers but those of 256 and 512
channels, whose sums are larger than their tiles, and from 12 MB on a neighbour on the other core is felt.
"""

_CHUNK = 128
"""Tiles that are summed by themselves before they are added to the sums, in whole rows: a panel of d of so many
stays in the first cache, and a sum of sums is rounded less than one of all. It depends on the geometry alone, and
parts hold whole chunks, so that neither threads nor the workspace limit change a bit of the result.
"""

_PIECES = 4
"""Ranges that each thread's part falls into; whoever has done with his takes some of the others'."""

_SLAB = 96 * 2**10
"""Bytes of a slab that takes several rows of tiles; the pixel rows at its ends are turned twice."""


@dataclass(frozen=True)
class Plan:
    """How one problem is cut up.

    Attributes:
        groups: of channels and of filters, a vector each, that are transformed.
        row_tiles: tiles of a row.
        rows: of tiles, of all images.
        at_once: how many of them are transformed before their products are taken.
        tasks: blocks of channels times panels of filters, whose products are taken.
        from_x: what `transform` is told of x.
        from_dy: and of dy.
        facts: what `products` is told.
        bytes_v: of the transformed x.
        bytes_d: of the transformed dy.
        bytes_kept: of all sums, zero where they aren't kept.
        bytes_sums: of one task's sums where they aren't kept.
        own: bytes of each thread.
        threads: how many are worth it.
        tables: kept alive, as the facts hold their addresses.
    """

    groups: tuple[int, int]
    row_tiles: int
    rows: int
    at_once: int
    tasks: int
    from_x: tuple[int, ...]
    from_dy: tuple[int, ...]
    facts: tuple[int, ...]
    bytes_v: int
    bytes_d: int
    bytes_kept: int
    bytes_sums: int
    own: int
    threads: int
    tables: tuple[Array, ...]

    @property
    def shared(self) -> int:
        """Bytes that all threads see."""
        return self.bytes_v + self.bytes_d + self.bytes_kept

    @property
    def workspace(self) -> int:
        """Bytes beside operands and result."""
        return self.shared + self.threads * self.own


def _starts(out: int, dilation: int) -> list[tuple[int, int]]:
    """Return for each tile of an axis its first place, and how many of its phase begin there or behind."""
    found = []
    for phase in range(min(dilation, out)):
        tiles = -(-(out - phase) // (4 * dilation))
        found += [(phase + 4 * dilation * i, tiles - i) for i in range(tiles)]
    return found


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
    from_x = [
        ((piece * cut.deeps + c // cut.deep) * room * cut.deep + c % cut.deep, cut.deep)
        for c in range(0, problem.in_channels, cut.lanes)
        for piece in range(math.prod(cut.pieces))
    ]
    from_dy = [
        ((sum(cut.widths[:panel]) * room + v) * cut.lanes, wide * cut.lanes)
        for panel, wide in enumerate(cut.widths)
        for v in range(wide)
    ]
    return np.array(from_x, np.int64), np.array(from_dy, np.int64)


def _blocks(problem: Problem, cut: Cut, used: int) -> list[int]:
    """Return where blocks of channels begin, whose sums fit half of the second cache, and where the last one ends.

    They are of equal size, and as many for each thread: three panels of filters alone would be shared two to one.
    """
    wide = max(cut.widths) * cut.lanes * problem.dtype.itemsize
    most = max(1, machine.caches().l2 // 2 // ((POINTS + problem.window.taps) * wide) // cut.deep)
    least = -(-cut.deeps // most)
    count = min(cut.deeps, -(-least // used) * used)
    return [cut.deeps * i // count * cut.deep for i in range(count + 1)]


def _tasks(problem: Problem, cut: Cut, room: int, blocks: list[int]) -> Array:
    """Return for each task of products what its kernel says that it reads."""
    taps = problem.window.taps
    rows = []
    for c, end in pairwise(blocks):
        count = min(end, problem.in_channels) - c
        for panel, wide in enumerate(cut.widths):
            vector = sum(cut.widths[:panel])
            k = vector * cut.lanes
            sizes = (-(-count // cut.deep), count, wide, problem.out_channels - k)
            rows.append((c * room, vector * room * cut.lanes, *sizes, (k * problem.in_channels + c) * taps))
    return np.array(rows, np.int64)


def _point_step(numbers: int, item: int) -> int:
    """Return so many numbers and some more: the places of one tile at all points must not share a cache set."""
    return (-(-numbers * item // 4096) * 4096 + 192) // item


@lru_cache(maxsize=512)
def plan(problem: Problem) -> Plan:
    """Return how a problem is cut up, in more parts than is best where the workspace limit wants it."""
    cut, limit = _cut(problem), problem.workspace_limit
    starts = [_starts(out, d) for out, d in zip(problem.out, problem.window.dilation, strict=True)]
    rows = problem.batch * len(starts[0])
    item = problem.dtype.itemsize
    row_bytes = len(starts[1]) * POINTS * (cut.depth + cut.vectors * cut.lanes) * item
    sums = POINTS * cut.depth * cut.vectors * cut.lanes * item
    chunks = -(-rows // max(1, _CHUNK // len(starts[1])))
    chunk = -(-rows // chunks)
    at_once = _AT_ONCE * min(problem.threads, 4)  # more threads meet less often
    most = max(1, max(at_once, min(sums, machine.caches().l3)) // (row_bytes * chunk))
    while True:
        at_once = -(-chunks // -(-chunks // most)) * chunk
        found = _plan(problem, cut, starts, min(rows, at_once), chunk)
        if most == 1 or found.workspace <= limit:
            return found
        most = max(1, min(most, chunks) // 2)


def _plan(problem: Problem, cut: Cut, starts: list[list[tuple[int, int]]], at_once: int, chunk: int) -> Plan:
    """Return how a problem is cut up where so many rows of tiles are transformed at once."""
    item, window = problem.dtype.itemsize, problem.window
    rows = np.array(starts[0], np.int64)
    columns = np.array([start for start, _ in starts[1]], np.int64)
    tiles, all_rows = len(columns), problem.batch * len(rows)
    room = at_once * tiles
    v_step, d_step = (_point_step(n * room, item) for n in (cut.depth, cut.vectors * cut.lanes))

    wide = max(cut.widths) * cut.lanes
    multiply_adds = POINTS * all_rows * tiles * cut.depth * cut.vectors * cut.lanes
    used = threads.worth(problem.threads, multiply_adds)
    blocks = _blocks(problem, cut, used)
    block = max(end - c for c, end in pairwise(blocks))
    tasks = _tasks(problem, cut, room, blocks)
    sums = math.prod(cut.pieces) * POINTS * block * wide
    kept = sums * len(tasks) if at_once < all_rows else 0

    x_places, dy_places = _places(problem, cut, room)
    common = (address(rows), len(rows), address(columns), tiles, *window.dilation)
    before, apart = (window.padding[0][0], window.padding[1][0]), window.dilation[1]
    x_slab, x_facts = _slab(problem.image, before, cut, starts, apart, cut.pieces, 6)
    dy_slab, dy_facts = _slab(problem.out, (0, 0), cut, starts, apart, (1, 1), 4)
    step = problem.in_channels * window.taps
    own = max(x_slab, dy_slab, (0 if kept else sums) + block * window.taps * wide) * item
    return Plan(
        groups=(-(-problem.in_channels // cut.lanes), -(-problem.out_channels // cut.lanes)),
        row_tiles=tiles,
        rows=all_rows,
        at_once=at_once,
        tasks=len(tasks),
        from_x=(problem.in_channels, *x_facts, *common, *cut.pieces, v_step, address(x_places), 6),
        from_dy=(problem.out_channels, *dy_facts, *common, 1, 1, d_step, address(dy_places), 4),
        facts=(
            v_step,
            cut.deeps * cut.deep * room,
            d_step,
            room,
            chunk * tiles,
            sums if kept else 0,
            step,
            *window.kernel,
            address(tasks),
        ),
        bytes_v=v_step * POINTS * item,
        bytes_d=d_step * POINTS * item,
        bytes_kept=-(-kept * item // 64) * 64,
        bytes_sums=0 if kept else sums * item,
        own=own,
        threads=used,
        tables=(rows, columns, x_places, dy_places, tasks),
    )


def _slab(
    image: tuple[int, ...],
    before: tuple[int, int],
    cut: Cut,
    starts: list[list[tuple[int, int]]],
    dilation: int,
    pieces: tuple[int, int],
    patch: int,
) -> tuple[int, tuple[int, ...]]:
    """Return the numbers of a slab, and what `transform` is told of it and of the images.

    Args:
        image: height and width.
        before: rows and columns of zeros before it.
        cut: the sizes.
        starts: of the tiles on each axis.
        dilation: of columns.
        pieces: that the kernel is cut into.
        patch: pixels of a tile's patch on an axis.
    """
    last = max(start for start, _ in starts[1])
    columns = last + dilation * (patch - 1 + 3 * (pieces[1] - 1)) + 1
    more = patch - 4 + 3 * (pieces[0] - 1)
    strip = (_SLAB // (columns * machine.target().vector_bytes) - more) // 4
    strip = min(max(1, strip), starts[0][0][1])
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
    rate, p, cut = rates(), plan(problem), _cut(problem)
    filters = cut.vectors * cut.lanes
    products = 2 * POINTS * p.rows * p.row_tiles * cut.depth * filters
    tiles = POINTS * p.rows * p.row_tiles * (cut.depth + filters)
    sums = POINTS * cut.depth * filters * -(-p.rows // p.at_once)
    moved = 2 * (tiles + sums) * problem.dtype.itemsize
    return float(rate.call + products / rate.tile * width(problem.dtype) + moved / rate.copy)


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    dtype = problem.dtype
    dy, x, dw = plain(dy, dtype), plain(x, dtype), np.empty(problem.weight_shape, dtype)
    p = plan(problem)
    transform, products = KERNELS.transform[dtype], KERNELS.products[dtype]
    x_at, dy_at, dw_at = address(x), address(dy), address(dw)
    v = scratch(p.shared + p.own)
    d, m = v + p.bytes_v, v + p.bytes_v + p.bytes_d
    mine, caller = v + p.shared, get_ident()
    groups, filters = p.groups
    slices = max(p.groups)  # each with some of x and of dy: a thread has what it transformed in its caches
    for row in range(0, p.rows, p.at_once):
        end = min(row + p.at_once, p.rows)

        def transformed(first: int, stop: int, row: int = row, end: int = end) -> None:
            own = mine if get_ident() == caller else scratch(p.own)
            x_groups, dy_groups = ((n * first // slices, n * stop // slices) for n in (groups, filters))
            transform(x_at, v, own, row, end, *x_groups, *p.from_x)
            transform(dy_at, d, own, row, end, *dy_groups, *p.from_dy)

        def multiplied(first: int, stop: int, row: int = row, end: int = end) -> None:
            own = mine if get_ident() == caller else scratch(p.own)
            tiles, sums = (end - row) * p.row_tiles, m if p.bytes_kept else own
            taps = own + p.bytes_sums
            products(v, d, sums, taps, dw_at, tiles, row == 0, end == p.rows, first, stop, *p.facts)

        threads.share(transformed, slices, p.threads, _PIECES)
        threads.share(multiplied, p.tasks, p.threads, _PIECES)
    return dw
