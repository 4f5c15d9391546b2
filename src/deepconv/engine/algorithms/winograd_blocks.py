"""How a Winograd convolution is cut into blocks, and what memory that takes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.kernels.winograd_sizes import Sizes
from deepconv.engine.problem import Problem

POINTS = 36
_DEPTH = 512
"""Channels that are multiplied at once; a quarter of it where a kernel is in pieces, each of which counts. That costs
nothing there, and sums of sums are more exact: 9×9 taps of 32 channels have half the error."""
_TILES = 48
"""Tiles of a block: the transformed filters are read once a block. On Zen 3, two layers, 14, 28, 48 tiles: 73, 89, 92
GFLOP/s at 64 channels, 71, 92, 95 at 128; at 96 the block falls out of the second cache and it is 77."""
_GROUP = 2
"""Panels that a task of the wide way transforms and multiplies: 1 to 4 differ by 5 %, 8 take a quarter longer."""


@dataclass(frozen=True)
class Cut:
    """A problem, cut.

    There are two ways. With blocks, the filters are transformed once, and each task takes a block of tiles through
    all steps. The *wide* way has one block of all tiles, which is transformed first; then each task transforms a group
    of panels of filters for itself and multiplies: where there are more filters than tiles, they never leave the
    caches (8×512×7², 512 filters: 13.4 ms instead of 21).

    Attributes:
        sizes: what the kernels are told.
        wide: the way.
        lanes: numbers of a vector.
        itemsize: bytes of a number.
        taps: of a kernel.
    """

    sizes: Sizes
    wide: bool
    lanes: int
    itemsize: int
    taps: int

    @cached_property
    def table(self) -> Array:
        """The sizes as the kernels read them."""
        return np.array(self.sizes, np.int64)

    @cached_property
    def blocks(self) -> int:
        """How many blocks there are."""
        s = self.sizes
        return (
            -(-s.planes // s.block_planes)
            * -(-s.row_tiles // s.block_rows)
            * -(-s.column_tiles // s.block_columns)
        )

    @cached_property
    def panels(self) -> int:
        """Panels of two vectors of filters."""
        return -(-self.sizes.filters // (2 * self.lanes))

    @cached_property
    def tiles(self) -> int:
        """All tiles, those that stand out over the image's edge included."""
        return self.sizes.planes * self.sizes.row_tiles * self.sizes.column_tiles * self.sizes.dx

    @cached_property
    def pieces(self) -> int:
        """Pieces of 3×3 that the kernel is cut into."""
        return self.sizes.pieces_y * self.sizes.pieces_x

    @cached_property
    def v(self) -> int:
        """Bytes of a block's tiles at all points."""
        return POINTS * self.sizes.v_point * self.itemsize

    @cached_property
    def m(self) -> int:
        """Bytes of the products that are held at once."""
        return self.sizes.group * POINTS * self.sizes.m_point * self.itemsize

    @cached_property
    def u(self) -> int:
        """Bytes of a panel of filters at all points."""
        return POINTS * self.sizes.u_point * self.itemsize

    @cached_property
    def slab(self) -> int:
        """Bytes of a slab of pixels, or of taps."""
        s = self.sizes
        rows = 4 * s.block_rows + 3 * s.pieces_y - 1
        columns = s.dx * (4 * s.block_columns + 3 * s.pieces_x - 1)
        vectors = max(rows * columns, 9 + 8 * self.taps) + self.lanes
        return _apart(vectors * self.lanes, self.itemsize) * self.itemsize

    @cached_property
    def held(self) -> int:
        """Bytes that each thread holds for itself."""
        return self.m + self.slab + (self.u * self.sizes.group if self.wide else self.v)

    @cached_property
    def shared(self) -> int:
        """Bytes that are there once: all tiles at all points, or all filters."""
        return self.v if self.wide else self.u * self.panels


def _apart(numbers: int, itemsize: int) -> int:
    """Return a step of at least so many numbers, an odd number of cache lines: neighbours don't collide in a cache."""
    line = 64 // itemsize
    return (-(-numbers // line) | 1) * line


def _part(total: int, most: int) -> int:
    """Return the size of equal parts of `total`, none larger than `most`, but at least 1."""
    return -(-total // -(-total // max(1, most)))


def _whole(problem: Problem) -> Cut:
    """Return a problem as one block."""
    item = problem.dtype.itemsize
    lanes = machine.target().vector_bytes // item
    (height, width), (dy, dx) = problem.window.kernel, problem.window.dilation
    channels, filters, image, out = problem.in_channels, problem.out_channels, problem.image, problem.out
    top, left = (-before for before, _ in problem.window.padding)
    if problem.which == "input_grad":
        channels, filters, image, out = filters, channels, out, image
        top, left = -dy * (height - 1) - top, -dx * (width - 1) - left
    row_tiles, column_tiles = -(-out[0] // (4 * dy)), -(-out[1] // (4 * dx))
    sizes = Sizes(
        planes=problem.batch * dy,
        channels=channels,
        height=image[0],
        width=image[1],
        filters=filters,
        out_height=out[0],
        out_width=out[1],
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        top=top,
        left=left,
        dy=dy,
        dx=dx,
        pieces_y=-(-height // 3),
        pieces_x=-(-width // 3),
        block_planes=problem.batch * dy,
        block_rows=row_tiles,
        block_columns=column_tiles,
        group=-(-filters // (2 * lanes)),
        chunk=-(-channels // lanes) * lanes,
    )
    return _with_steps(Cut(sizes, False, lanes, item, height * width))


def _with_steps(cut: Cut) -> Cut:
    """Return a cut with the steps of its arrays."""
    s, item = cut.sizes, cut.itemsize
    rows = s.block_planes * s.block_rows * s.block_columns * s.dx + (machine.target().registers - 4) // 2
    v_row = _apart(s.chunk * cut.pieces, item)
    padded = -(-s.channels // cut.lanes) * cut.lanes
    sizes = s._replace(
        v_row=v_row,
        v_point=_apart(rows * v_row, item),
        m_point=_apart(rows * 2 * cut.lanes, item),
        u_point=_apart(padded * cut.pieces * 2 * cut.lanes, item),
    )
    return replace(cut, sizes=sizes)


def _in_blocks(whole: Cut, tiles: int) -> Cut:
    """Return a cut into blocks of about so many tiles, whole images, whole rows or parts of a row."""
    s = whole.sizes
    columns = _part(s.column_tiles, tiles // s.dx)
    rows = _part(s.row_tiles, tiles // (s.dx * columns)) if columns == s.column_tiles else 1
    one = columns == s.column_tiles and rows == s.row_tiles
    planes = _part(s.planes, tiles // (s.dx * columns * rows)) if one else 1
    depth = _DEPTH // whole.pieces // (1 if whole.pieces == 1 else 4)
    chunk = _part(s.chunk // whole.lanes, depth // whole.lanes) * whole.lanes
    sizes = s._replace(block_planes=planes, block_rows=rows, block_columns=columns, chunk=chunk)
    return _with_steps(replace(whole, sizes=sizes))


def _widely(whole: Cut, group: int) -> Cut:
    """Return the wide way, with so many panels of filters a task."""
    return replace(whole, sizes=whole.sizes._replace(group=min(group, whole.sizes.group)), wide=True)


def _cuts(problem: Problem) -> Iterator[Cut]:
    """Yield the ways to cut a problem, the fastest first, then those that take less and less memory."""
    whole = _whole(problem)
    wide = [_widely(whole, group) for group in (_GROUP, 1)]
    if whole.u * whole.panels > whole.v:
        yield wide[0]
    for tiles in (_TILES, _TILES // 2, _TILES // 4, 1):
        yield _in_blocks(whole, tiles)
    yield from wide


@lru_cache(maxsize=1024)
def cut(problem: Problem) -> Cut:
    """Return how a problem is cut: the fastest way within its workspace limit, or the last that was tried."""
    for way in _cuts(problem):
        if bytes_of(way, problem) <= problem.workspace_limit:
            break
    return way


def bytes_of(way: Cut, problem: Problem) -> int:
    """Return the bytes that a cut takes beside operands and result, on all threads."""
    return way.shared + way.held * problem.threads


def unfit(problem: Problem) -> str | None:
    """Say why Winograd's way can't compute a problem in any pass, or None; memory is not looked at."""
    window = problem.window
    reasons = {
        machine.why_not_compiled() or "": machine.why_not_compiled() is not None,
        f"it computes in float32 and float64, not in {problem.dtype}": problem.dtype.char not in "fd",
        "its sums are rounded, and these must be exact": problem.exact,
        f"there are {window.rank} spatial axes, not two": window.rank != 2,
        f"the stride is {window.stride}, not 1": max(window.stride) > 1,
        f"there are {problem.groups} groups of channels": problem.groups > 1,
        "a kernel of one cell leaves no product to save": window.taps == 1,
    }
    for why, holds in reasons.items():
        if holds:
            return why
    numbers = problem.places * math.prod(problem.x_shape) * problem.out_channels
    return None if numbers else "there is nothing to compute"
