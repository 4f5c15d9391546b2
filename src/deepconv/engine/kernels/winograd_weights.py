"""Winograd's gradient of the weights: F(3×3, 4×4), 36 products where the definition has 144.

    dw[k][c] = Σ over tiles of A^T [ (G dy G^T) · (B^T x B) ] A

For each tile of 4×4 places of the output, its patch of 6×6 pixels and its 4×4 of dy become 36 numbers each
(`transform`). As the map back is linear, it waits until all tiles are summed (`products`):

    m[point][c][k] = Σ over tiles  v[point][tile][c] · d[point][tile][k]

The matrices are those of `algorithms/toom_cook`'s F(3, 4). What G is divided by stands in the map back: it is
done once for a weight, not once for a tile. In memory, v and d are panels that register tiles read in order:

    v[point][piece][channel panel][tile][channel in the panel]
    d[point][filter panel][tile][filter in the panel]

A kernel of more than 3×3 cells is cut into *pieces*: as many channels more, which see the input 3 pixels further.
With a dilation d, the tiles of every d-th row and column interleave.
"""

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.simd import (
    ROWS,
    add_tiles,
    lanes,
    load,
    load_tile,
    outer,
    pointer,
    shift,
    store,
    store_tile,
    transpose,
    zeros_tile,
)
from deepconv.engine.kernels.squares import (
    load_square,
    pack_row,
    store_square,
)
from deepconv.engine.kernels.tile_maps import Value, tile_map
from deepconv.engine.kernels.winograd_transforms import input_tile

POINTS, TASK = 36, 7

_P, _Q = 5 / 8, 3 / 2
_PP, _QQ = _P * _P, _Q * _Q
_BY_0 = 1 / (_PP * _QQ)
_BY_P = 1 / (2 * _PP * (_PP - _QQ))
_BY_Q = 1 / (2 * _QQ * (_QQ - _PP))


def points_of_4(g0: Value, g1: Value, g2: Value, g3: Value) -> tuple[Value, ...]:
    """Return `G g` of F(3, 4), each row times its denominator."""
    p_even, p_odd = g0.plus(_PP, g2), _P * g1.plus(_PP, g3)
    q_even, q_odd = g0.plus(_QQ, g2), _Q * g1.plus(_QQ, g3)
    return g0, p_even + p_odd, p_even - p_odd, q_even + q_odd, q_even - q_odd, g3


def inverse_3(m0: Value, m1: Value, m2: Value, m3: Value, m4: Value, m5: Value) -> tuple[Value, ...]:
    """Return `A^T m` of F(3, 4), each product divided by the denominator of its row of G."""
    p_even, p_odd, q_even, q_odd = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        (_BY_0 * m0).plus(_BY_P, p_even).plus(_BY_Q, q_even),
        (_P * _BY_P * p_odd).plus(_Q * _BY_Q, q_odd),
        m5.plus(_PP * _BY_P, p_even).plus(_QQ * _BY_Q, q_even),
    )


gradient_tile = tile_map(points_of_4, 4)
map_back = tile_map(inverse_3, 6)


@part
def _fill(source, begin, last, image, above, move, rows, slab, columns, zero):
    """Write `rows` rows of an image, `move` apart, to a slab: a vector of channels each pixel, zeros outside.

    Args:
        source: the numbers; the image's first channel begins at `source[begin]`.
        begin: see `source`.
        last: the last lane for which there is a channel.
        image: its height, its width, and its column that the slab begins with, which may be negative.
        above: the image's row that the slab begins with; may be negative.
        move: from one row to the next.
        rows: of the slab.
        slab: receives them.
        columns: of the slab.
        zero: of the type of the numbers.
    """
    height, width, left = image
    for i in range(rows):
        h = above + i * move
        inside = 0 <= h < height
        row, wide = (begin + h * width, width) if inside else (0, 0)
        at = i * columns * lanes(zero)
        pack_row(source, row, height * width, last, wide, left, columns, slab, at, zero)


@part
def _transform_tile(slab, here, row_step, column_step, patch, pieces, values, step, places, tile):
    """Transform a tile for each piece: its own patch, and those as many times 3 pixels further."""
    place = 0
    for i in range(pieces[0]):
        for j in range(pieces[1]):
            at = here + 3 * (i * row_step + j * column_step)
            to = places[place] + tile * places[place + 1]
            place += 2
            if patch == 6:
                input_tile(slab, at, row_step, column_step, values, to, 6 * step, step)
            else:
                gradient_tile(slab, at, row_step, column_step, values, to, 6 * step, step)


@kernel
def transform(
    source: int,
    values: int,
    slab: int,
    first_row: int,
    last_row: int,
    first: int,
    stop: int,
    channels: int,
    height: int,
    width: int,
    top: int,
    left: int,
    slab_columns: int,
    strip: int,
    rows: int,
    image_rows: int,
    columns: int,
    row_tiles: int,
    row_move: int,
    column_move: int,
    row_pieces: int,
    column_pieces: int,
    point_step: int,
    places: int,
    patch: int,
    zero: Number,
) -> None:
    """Transform the tiles of some rows of tiles, of groups of channels from `first` up to `stop`.

    Args:
        source: x or dy, `(N, channels, height, width)`.
        channels: C or K.
        height: of an image.
        width: of an image.
        top: the image's row that the first tile begins with; may be negative.
        left: its column, likewise.
        slab: receives pixels, a vector of channels each.
        slab_columns: how many for a row.
        strip: rows of tiles that the slab takes.
        rows: table: for each row of tiles of an image its first row of pixels, and how many rows of tiles
            follow it, itself included, of which each begins 4·row_move further.
        image_rows: rows of tiles of an image.
        columns: table: the first column of each tile of a row.
        row_tiles: tiles of a row.
        row_move: the dilation.
        column_move: the dilation.
        row_pieces: pieces of 3×3 that the kernel is cut into, downwards.
        column_pieces: and to the right.
        values: v or d.
        point_step: from one of its points to the next.
        places: table: for each group of channels and each piece, where its first tile is written, and from
            there to the next.
        patch: 6 for x, 4 for dy.
        first_row: of the rows of tiles of all images.
        last_row: behind the last of them.
        first: group of as many channels as a vector has.
        stop: behind the last of them.
        zero: of the computing type.
    """
    source, slab, values = pointer(source, zero), pointer(slab, zero), pointer(values, zero)
    lines, starts, table = pointer(rows, 0), pointer(columns, 0), pointer(places, 0)
    n, pieces = lanes(zero), (row_pieces, column_pieces)
    down, right = slab_columns * n, column_move * n
    for group in range(first, stop):
        last = min(n, channels - group * n) - 1
        place = shift(table, 2 * group * row_pieces * column_pieces)
        tile, row = 0, first_row
        while row < last_row:
            line = row % image_rows
            run = min(strip, last_row - row, lines[2 * line + 1])
            begin = (row // image_rows * channels + group * n) * height * width
            above, high = top + lines[2 * line], 4 * run + patch - 4 + 3 * (row_pieces - 1)
            _fill(source, begin, last, (height, width, left), above, row_move, high, slab, slab_columns, zero)
            for k in range(run):
                for c in range(row_tiles):
                    here = (4 * k * slab_columns + starts[c]) * n
                    _transform_tile(slab, here, down, right, patch, pieces, values, point_step, place, tile)
                    tile += 1
            row += run


@part
def _add(m, m_at, m_step, fresh, v, v_step, d, d_step, tiles, like):
    """Take the products of some tiles to a register tile, and add it to the sums unless these begin here."""
    tile = like
    for t in range(tiles):
        tile = outer(tile, shift(v, t * v_step), 1, shift(d, t * d_step))
    if not fresh:
        tile = add_tiles(tile, load_tile(shift(m, m_at), m_step, tile))
    store_tile(shift(m, m_at), m_step, tile)


@part
def _add_point(m, v, d, deep, deeps, wide, room, tiles, chunk, begins, zero):
    """Add the products of all tiles at one point, for `deeps` panels of `deep` channels and one of filters."""
    for t in range(0, tiles, chunk):
        some, fresh = min(chunk, tiles - t), begins and t == 0
        right = shift(d, t * wide)
        for p in range(deeps):
            for c in range(0, deep, ROWS):
                left = shift(v, (p * room + t) * deep + c)
                at = (p * deep + c) * wide
                if wide == 3 * lanes(zero):
                    _add(m, at, wide, fresh, left, deep, right, wide, some, zeros_tile(ROWS, 3, zero))
                else:
                    _add(m, at, wide, fresh, left, deep, right, wide, some, zeros_tile(ROWS, 2, zero))


@part
def _keep_taps(m, point, row_taps, column_taps, sums, row_step, column_step):
    """Map the sums of a channel and a vector of filters back, and keep those of 3×3 taps that there are.

    Args:
        m: point (i, j) at `m[(6·i + j)·point]`.
        point: see `m`.
        row_taps: from this piece on, downwards.
        column_taps: and to the right.
        sums: receives tap (r, s) at `sums[r·row_step + s·column_step]`.
        row_step: see `sums`.
        column_step: see `sums`.
    """
    whole = row_taps >= 3 and column_taps >= 3
    target = sums if whole else m
    map_back(
        m, 0, 6 * point, point, target, 0, row_step if whole else 6 * point, column_step if whole else point
    )
    if not whole:
        for r in range(min(3, row_taps)):
            for s in range(min(3, column_taps)):
                store(sums, r * row_step + s * column_step, load(m, (6 * r + s) * point))


@part
def _write(sums, sums_step, count, dw, row, row_step, last, zero):
    """Write a matrix `(count, filters)` turned: `dw[row + k·row_step + i] = sums[i·sums_step + k]`."""
    n = lanes(zero)
    if count < n:
        for k in range(last + 1):
            for i in range(count):
                dw[row + k * row_step + i] = sums[i * sums_step + k]
    else:
        for i in range(0, count, n):
            at = min(i, count - n)
            square = transpose(load_square(sums, at * sums_step, sums_step, n - 1))
            store_square(dw, row + at, row_step, last, square)


@kernel
def products(
    v: int,
    d: int,
    m: int,
    sums: int,
    dw: int,
    tiles: int,
    begins: int,
    ends: int,
    first: int,
    stop: int,
    v_step: int,
    v_piece: int,
    d_step: int,
    room: int,
    chunk: int,
    m_step: int,
    dw_step: int,
    row_taps: int,
    column_taps: int,
    tasks: int,
    zero: Number,
) -> None:
    """Add the products of some tiles for blocks of channels and panels of filters, and map the last sums back.

    Args:
        v: the transformed x.
        v_step: from point to point of v, and from piece to piece: `v_step[0]`, `v_step[1]`.
        d: the transformed dy.
        d_step: from point to point of d.
        room: tiles that a panel of v or d has room for.
        chunk: tiles that are summed by themselves.
        tiles: how many there are.
        m: the sums, `[piece][point][channel of the block][filter of the panel]`.
        m_step: from the sums of a task to those of the next; zero where nothing is kept.
        begins: whether the sums begin here.
        ends: whether they end here.
        sums: receives a task's taps, `[channel][tap][filter]`, before they are turned.
        dw: receives the gradient, `(filters, channels, row_taps, column_taps)`.
        dw_step: from one of its filters to the next.
        row_taps: R.
        column_taps: S.
        tasks: table: for each task what `TASK` numbers say: where its channels begin in v and its filters in d,
            its panels of channels, its channels, its vectors of filters, its filters, and its place in dw.
        first: task.
        stop: behind the last of them.
        zero: of the computing type.
    """
    v, d, m = pointer(v, zero), pointer(d, zero), pointer(m, zero)
    sums, dw, tasks = pointer(sums, zero), pointer(dw, zero), pointer(tasks, 0)
    n, taps = lanes(zero), row_taps * column_taps
    deep = max(n, ROWS)
    for task in range(first, stop):
        now = shift(tasks, task * TASK)
        left, right, deeps, count, width = shift(v, now[0]), shift(d, now[1]), now[2], now[3], now[4]
        wide = width * n
        point, held = deeps * deep * wide, shift(m, task * m_step)
        for r in range(0, row_taps, 3):
            for s in range(0, column_taps, 3):
                for e in range(POINTS):
                    vv, dd, mm = shift(left, e * v_step), shift(right, e * d_step), shift(held, e * point)
                    _add_point(mm, vv, dd, deep, deeps, wide, room, tiles, chunk, begins, zero)
                if ends:
                    for c in range(count):
                        for w in range(0, wide, n):
                            target = shift(sums, (c * taps + r * column_taps + s) * wide + w)
                            here = shift(held, c * wide + w)
                            _keep_taps(
                                here, point, row_taps - r, column_taps - s, target, column_taps * wide, wide
                            )
                left, held = shift(left, v_piece), shift(held, POINTS * point)
        if ends:
            for w in range(0, wide, n):
                some = min(n, now[5] - w)
                if some > 0:
                    at = now[6] + w * dw_step
                    _write(shift(sums, w), wide, count * taps, dw, at, dw_step, some - 1, zero)


@kernel
def add_parts(m: int, parts: int, step: int, first: int, stop: int, zero: Number) -> None:
    """Add the sums of all parts to those of the first, each of which begins `step` numbers behind the one before.

    Args:
        m: the sums.
        parts: how many.
        step: from one part to the next.
        first: number of a part's.
        stop: behind the last of them.
        zero: of the computing type.
    """
    m = pointer(m, zero)
    for i in range(first, stop, lanes(zero)):
        total = load(m, i)
        for other in range(1, parts):
            total = total + load(m, other * step + i)
        store(m, i, total)
