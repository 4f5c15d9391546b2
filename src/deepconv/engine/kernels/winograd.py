"""Winograd's convolution: pixels to points, products at each point, points back to pixels.

For each *block* of tiles, planned so that what it needs stays in the caches:

1. Rows of the input become a slab, a vector of channels for each pixel, with zeros around the image; every tile's
   patch is transformed to `v[point][tile][channel]`.
2. At each point, `m[panel][point][tile][filter] = Σ v[point][tile][channel] · u[panel][point][channel][filter]`, in
   register tiles of LARGE or SMALL image tiles by a *panel* of two vectors of filters.
3. Every tile's products become 4×4 pixels of a slab, which is written to the output.

A dilated convolution is one on every d-th pixel: each *plane* of the batch is the rows y with the same y mod d of an
image, and d tiles that interleave stand where one would. A larger kernel is cut into *pieces* of 3×3, each so many
channels more that read the input shifted by 3 pixels. `Sizes` says what the sizes are.
"""

from typing import NamedTuple

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.simd import (
    TARGET,
    add_tiles,
    as_number,
    lanes,
    load,
    load_part,
    load_tile,
    offsets,
    outer,
    pointer,
    shift,
    splat,
    store,
    store_tile,
    zeros_tile,
)
from deepconv.engine.kernels.squares import pack_row, unpack_row
from deepconv.engine.kernels.winograd_sizes import Sizes
from deepconv.engine.kernels.winograd_transforms import (
    filter_tile,
    input_tile,
    inverse_tile,
)

# Rows of a register tile: its sums, two vectors of u and one broadcast number fill the registers.
LARGE = (TARGET.registers - 4) // 2
SMALL = LARGE * 2 // 3
PANEL = 2
POINTS = 36
DEEP = 128  # products that are added up before the sum is: at 512 channels half the error, in the same time
_FIELDS = len(Sizes._fields)
_NO_FLOOR = -float("inf")


class Block(NamedTuple):
    """The tiles of a block: planes `plane` to `stop`, `rows` rows of `tiles` tiles from `row` and `column` on."""

    plane: int
    stop: int
    row: int
    rows: int
    column: int
    tiles: int


@part
def _block(s, number):
    """Return the block of that number."""
    across, down = -(-s.column_tiles // s.block_columns), -(-s.row_tiles // s.block_rows)
    plane = number // (across * down) * s.block_planes
    row = number // across % down * s.block_rows
    column = number % across * s.block_columns
    return Block(
        plane,
        min(s.planes, plane + s.block_planes),
        row,
        min(s.row_tiles - row, s.block_rows),
        column,
        min(s.column_tiles - column, s.block_columns) * s.dx,
    )


@part
def _piece(s, c, width):
    """Return the channels of a piece in v and u, for the chunk that begins with channel c.

    Where pieces follow each other, each is padded to whole vectors, with zeros in u.
    """
    channels = min(s.chunk, s.channels - c)
    return channels if s.pieces_y * s.pieces_x == 1 else -(-channels // width) * width


# ---- pixels to points -------------------------------------------------------------------------------------


@part
def _pack(x, plane, c, block, s, slab, columns, zero):
    """Write to a slab the pixels that the tiles of a plane need, for the vector of channels from c on."""
    size = s.height * s.width
    last = min(lanes(zero), s.channels - c) - 1
    image = ((plane // s.dy) * s.channels + c) * size
    left = s.dx * 4 * block.column + s.left
    for r in range(block.rows * 4 + 3 * s.pieces_y - 1):
        row = plane % s.dy + s.dy * (4 * block.row + r) + s.top
        width = s.width if 0 <= row < s.height else 0
        at = r * columns * lanes(zero)
        pack_row(x, image + row * s.width, size, last, width, left, columns, slab, at, zero)


@part
def _to_points(x, c, block, s, v, piece, slab, zero):
    """Transform a block's tiles for the vector of channels from c on, which are the first of v."""
    step = lanes(zero)
    columns = block.tiles * 4 + s.dx * (3 * s.pieces_x - 1)
    down, right = columns * step, s.dx * step
    to = 0
    for plane in range(block.plane, block.stop):
        _pack(x, plane, c, block, s, slab, columns, zero)
        for y in range(block.rows):
            for t in range(block.tiles):
                first = 4 * y * columns + t // s.dx * s.dx * 4 + t % s.dx
                for i in range(s.pieces_y):
                    for j in range(s.pieces_x):
                        at = (first + 3 * i * columns + 3 * j * s.dx) * step
                        here = to + (i * s.pieces_x + j) * piece
                        input_tile(slab, at, down, right, v, here, 6 * s.v_point, s.v_point)
                to += s.v_row


# ---- products ---------------------------------------------------------------------------------------------


@part
def _rows_of(tiles):
    """Return how many large and small register tiles cover so many image tiles with the least waste."""
    least, large, small = tiles + LARGE, 0, 0
    for some in range(LARGE):
        more = (max(0, tiles - some * SMALL) + LARGE - 1) // LARGE
        if some * SMALL + more * LARGE < least:
            least, large, small = some * SMALL + more * LARGE, more, some
    return large, small


@part
def _multiply(v, v_row, u, depth, m, large, small, add, zero):
    """Set `m[tile][filter]` of one point and panel to `Σ v[tile][channel]·u[channel][filter]`, or add it."""
    width = PANEL * lanes(zero)
    for _ in range(large):
        for c0 in range(0, depth, DEEP):
            tile = zeros_tile(LARGE, PANEL, zero)
            for c in range(c0, min(depth, c0 + DEEP)):
                tile = outer(tile, shift(v, c), v_row, shift(u, c * width))
            if add or c0 > 0:
                tile = add_tiles(tile, load_tile(m, width, tile))
            store_tile(m, width, tile)
        v, m = shift(v, LARGE * v_row), shift(m, LARGE * width)
    for _ in range(small):
        for c0 in range(0, depth, DEEP):
            short = zeros_tile(SMALL, PANEL, zero)
            for c in range(c0, min(depth, c0 + DEEP)):
                short = outer(short, shift(v, c), v_row, shift(u, c * width))
            if add or c0 > 0:
                short = add_tiles(short, load_tile(m, width, short))
            store_tile(m, width, short)
        v, m = shift(v, SMALL * v_row), shift(m, SMALL * width)


@part
def _products(v, u, m, depth, panels, tiles, s, add, zero):
    """Multiply at all points, for some panels."""
    large, small = _rows_of(tiles)
    for e in range(POINTS):
        for g in range(panels):
            at = g * POINTS + e
            _multiply(
                shift(v, e * s.v_point),
                s.v_row,
                shift(u, at * s.u_point),
                depth,
                shift(m, at * s.m_point),
                large,
                small,
                add,
                zero,
            )


# ---- points to pixels -------------------------------------------------------------------------------------


@part
def _unpack(slab, columns, y, plane, k, block, s, bias, floor, zero):
    """Write a slab, the tiles of a plane and the vector of filters from k on, to the output, as far as that goes."""
    size = s.out_height * s.out_width
    last = min(lanes(zero), s.filters - k) - 1
    left = s.dx * 4 * block.column
    image = ((plane // s.dy) * s.filters + k) * size + left
    for r in range(block.rows * 4):
        row = plane % s.dy + s.dy * (4 * block.row + r)
        if row < s.out_height:
            at = r * columns * lanes(zero)
            wide = min(columns, s.out_width - left)
            unpack_row(slab, at, wide, y, image + row * s.out_width, size, last, bias, floor, zero)


@part
def _from_points(m, y, k, block, s, slab, bias, floor, zero):
    """Transform the products of a block's tiles back, for the vector of filters from k on, and write them."""
    step = lanes(zero)
    columns = block.tiles * 4
    down, right = columns * step, s.dx * step
    at = 0
    for plane in range(block.plane, block.stop):
        for row in range(block.rows):
            for t in range(block.tiles):
                to = (4 * row * columns + t // s.dx * s.dx * 4 + t % s.dx) * step
                inverse_tile(m, at, 6 * s.m_point, s.m_point, slab, to, down, right)
                at += PANEL * step
        _unpack(slab, columns, y, plane, k, block, s, bias, floor, zero)


@kernel
def convolve(
    x: int,
    y: int,
    bias: int,
    u: int,
    v: int,
    m: int,
    slab: int,
    relu: int,
    start: int,
    stop: int,
    channel: int,
    last_channel: int,
    panel: int,
    last_panel: int,
    sizes: int,
    zero: Number,
) -> None:
    """Convolve the blocks `start` to `stop`.

    Args:
        x: the input.
        y: receives the output.
        bias: a number for each filter, or the address 0.
        u: the transformed filters of the panels.
        v: holds a block's tiles at all points.
        m: holds their products.
        slab: holds pixels.
        relu: whether what is below zero becomes zero.
        start: the first block.
        stop: behind the last.
        channel: the first that is transformed; if none is, v holds them already.
        last_channel: behind the last.
        panel: the first panel of filters whose products are computed.
        last_panel: behind the last.
        sizes: the table of `Sizes`.
        zero: of the computing type.
    """
    s = Sizes(*offsets(pointer(sizes, 0), _FIELDS))
    with_bias = bias != 0
    x, y, bias, u = pointer(x, zero), pointer(y, zero), pointer(bias, zero), pointer(u, zero)
    v, m, slab = pointer(v, zero), pointer(m, zero), pointer(slab, zero)
    step, pieces = lanes(zero), s.pieces_y * s.pieces_x
    floor = splat(zero) if relu else splat(as_number(_NO_FLOOR, zero))
    for number in range(start, stop):
        block = _block(s, number)
        tiles = (block.stop - block.plane) * block.rows * block.tiles
        for c0 in range(0, s.channels, s.chunk):
            piece = _piece(s, c0, step)
            for c in range(max(c0, channel), min(c0 + s.chunk, last_channel), step):
                _to_points(x, c, block, s, shift(v, c - c0), piece, slab, zero)
            for g in range(panel, last_panel, s.group):
                some = min(s.group, last_panel - g)
                filters = shift(u, (g - panel) * POINTS * s.u_point + c0 * pieces * PANEL * step)
                _products(v, filters, m, piece * pieces, some, tiles, s, c0 > 0, zero)
                if c0 + s.chunk >= s.channels:
                    for k in range(g * PANEL * step, min(s.filters, (g + some) * PANEL * step), step):
                        place = k // step - g * PANEL
                        of_panel = shift(m, place // PANEL * POINTS * s.m_point + place % PANEL * step)
                        added = load_part(bias, k, s.filters - k) if with_bias else splat(zero)
                        _from_points(of_panel, y, k, block, s, slab, added, floor, zero)


# ---- filters ----------------------------------------------------------------------------------------------


@part
def _rim(slab, at, rim, rows, columns, down, right, zero):
    """Copy the taps of a piece of which there are only `rows`×`columns`, and zeros for the others."""
    step = lanes(zero)
    for tap in range(9):
        i, j = tap // 3, tap % 3
        value = splat(zero)
        if i < rows and j < columns:
            value = load(slab, at + i * down + j * right)
        store(rim, tap * step, value)


@part
def _filters(slab, rim, at, height, width, turn, u, piece, s, zero):
    """Transform all pieces of a kernel of `height`×`width` taps, for one vector of filters.

    Args:
        slab: a vector of filters for each tap, the kernel's first at `slab[at]`.
        rim: room for nine vectors.
        at: see `slab`.
        height: R.
        width: S.
        turn: -1 where the kernel is turned by half a turn and `at` is its last tap, else 1.
        u: receives the points.
        piece: from a piece to the next in u.
        s: the sizes.
        zero: of the computing type.
    """
    step = lanes(zero)
    for i in range(s.pieces_y):
        for j in range(s.pieces_x):
            here = at + turn * (3 * i * width + 3 * j) * step
            taps, down, right = slab, turn * width * step, turn * step
            if 3 * i + 3 > height or 3 * j + 3 > width:
                _rim(slab, here, rim, height - 3 * i, width - 3 * j, down, right, zero)
                taps, here, down, right = rim, 0, 3 * step, step
            to = (i * s.pieces_x + j) * piece
            filter_tile(taps, here, down, right, u, to, 6 * s.u_point, s.u_point)


@kernel
def transform_filters(
    w: int,
    u: int,
    slab: int,
    panel: int,
    last_panel: int,
    height: int,
    width: int,
    channel_step: int,
    filter_step: int,
    turned: int,
    sizes: int,
    zero: Number,
) -> None:
    """Transform the filters of some panels to `u[panel][point][channel of a piece][filter]`.

    Args:
        w: the weight; filter k and channel c begin at `w[k·filter_step + c·channel_step]`.
        u: receives the panels.
        slab: holds 9 vectors, and 8 channels of a vector of filters (one where channels are further apart).
        panel: the first.
        last_panel: behind the last.
        height: R.
        width: S.
        channel_step: see `w`.
        filter_step: see `w`.
        turned: whether kernels are turned by half a turn, as an input gradient wants them.
        sizes: the table of `Sizes`.
        zero: of the computing type.
    """
    s = Sizes(*offsets(pointer(sizes, 0), _FIELDS))
    w, u, slab = pointer(w, zero), pointer(u, zero), pointer(slab, zero)
    step, taps, pieces = lanes(zero), height * width, s.pieces_y * s.pieces_x
    turn = -1 if turned else 1
    run = 8 if channel_step == taps else 1
    packed, first = shift(slab, 9 * step), (taps - 1) * step if turned else 0
    padded = -(-s.channels // step) * step if pieces > 1 else s.channels
    for g in range(panel, last_panel):
        of_panel = shift(u, (g - panel) * POINTS * s.u_point)
        for c in range(0, padded, run):  # both vectors of a panel, while their cache lines are there
            for half in range(PANEL):
                k = min((g * PANEL + half) * step, s.filters - 1)  # filters that aren't there repeat the last
                row = k * filter_step + c * channel_step
                there = min(run, s.channels - c) * taps
                last = min(step, s.filters - k) - 1
                pack_row(w, row, filter_step, last, there, 0, run * taps, packed, 0, zero)
                for i in range(min(run, padded - c)):
                    chunk = (c + i) // s.chunk * s.chunk
                    to = (chunk * pieces + c + i - chunk) * PANEL * step + half * step
                    piece = _piece(s, chunk, step) * PANEL * step
                    at = first + i * taps * step
                    _filters(packed, slab, at, height, width, turn, shift(of_panel, to), piece, s, zero)
