"""The weights' gradient of a kernel of one cell: `dw[k, c] = Σ dy[k, place] · x[c, place]` over all images' places.

As in BLIS, some places of x, a *chunk*, are turned to panels `[place][two or three vectors of channels]`, and those
of dy to tiles `[place][ROWS filters]`, a *strip* of which stays in the second cache while a panel in the first is gone
through. A chunk takes its places from *runs*, neighbours in x (but for the stride) and in dy, of several images
where these are small. Sums of chunks are added up in scratch, tile by tile.
"""

from deepconv.engine.kernels.direct_weights import clear, copy, turn
from deepconv.engine.kernels.frontend import Number, kernel, part, routine, stays_apart
from deepconv.engine.kernels.simd import (
    ROWS,
    TARGET,
    lanes,
    load,
    offsets,
    outer,
    pointer,
    prefetch,
    shift,
    store,
    store_part,
    store_tile,
    zeros_tile,
)
from deepconv.engine.kernels.steps import add_tile, interleave

# What the table begins with. CHUNKS tells where its list of chunks begins, PANELS where that of panels does.
(CHANNELS, FILTERS, X_STEP, DY_STEP, TAKE, DEPTH, STRIP, CHUNK_COUNT, CHUNKS, PANELS, PANELS_AT, TILES_AT, PICKED_AT,
 SUMS_AT, POINTWISE_FACTS) = range(15)  # fmt: skip


VECTOR_BYTES, LINE_BYTES = TARGET.vector_bytes, 64


@part
def _pack_tile(dy, facts, table, chunk, k, target, zero):
    """Write a chunk's places of ROWS filters from k on: `[place][ROWS]`; filters that aren't there repeat the last."""
    step, rows, v = facts[DY_STEP], min(ROWS, facts[FILTERS] - k), lanes(zero)
    for i in range(chunk[1], chunk[2]):
        run = shift(table, 3 * i)
        source, count = shift(dy, k * step + run[1]), run[2]
        if rows == ROWS and count >= v:
            for place in range(0, count, v):
                at = min(place, count - v)
                interleave(shift(source, at), step, shift(target, at * ROWS), ROWS)
        else:
            for place in range(count):
                for r in range(ROWS):
                    target[place * ROWS + r] = source[min(r, rows - 1) * step + place]
        target = shift(target, count * ROWS)


@part
def _pack_panel(x, facts, table, chunk, c, width, target, picked, zero):
    """Write the places of a chunk of up to `width` channels from c on: `[place][width]`."""
    step, count = facts[X_STEP], min(width, facts[CHANNELS] - c)
    if count < width:  # numbers left in unused lanes might be denormal ones, which are slow
        clear(target, chunk[0] * width, zero)
    for i in range(chunk[1], chunk[2]):
        run = shift(table, 3 * i)
        source, places = shift(x, c * step + run[0]), run[2]
        if facts[TAKE] == 1:
            for r in range(count):
                for place in range(0, places, LINE_BYTES * lanes(zero) // VECTOR_BYTES):
                    prefetch(source, (count + r) * step + place, 2)
            turn(source, step, count, target, width, places, zero)
        else:
            for r in range(count):
                copy(shift(source, r * step), facts[TAKE], shift(picked, r * facts[DEPTH]), places, zero)
            turn(picked, facts[DEPTH], count, target, width, places, zero)
        target = shift(target, places * width)


@part
def _ask(dy, step, runs, first, last, zero):
    """Ask the second cache for the places of some runs of ROWS filters, which no cache foresees in pieces so short."""
    for i in range(first, last):
        source, count = shift(dy, runs[3 * i + 1]), runs[3 * i + 2]
        for r in range(ROWS):
            for place in range(0, count, LINE_BYTES * lanes(zero) // VECTOR_BYTES):
                prefetch(source, r * step + place, 2)


@routine
def _multiply(tiles, panel, depth, count, sums, wide, fresh, ahead, step, runs, first, last, zero):
    """Add a panel's products with `count` tiles to their sums, which lie one behind the other.

    Meanwhile as many tiles' places of the runs `first` to `last` are asked for, from the filter on that `ahead` has.
    """
    stays_apart()
    v = lanes(zero)
    if wide == 3 * v:
        for i in range(count):
            _ask(shift(ahead, i * ROWS * step), step, runs, first, last, zero)
            tile, a, to = (
                zeros_tile(ROWS, 3, zero),
                shift(tiles, i * depth * ROWS),
                shift(sums, i * ROWS * wide),
            )
            for p in range(depth):
                tile = outer(tile, shift(a, p * ROWS), 1, shift(panel, p * (3 * v)))
            if not fresh:
                tile = add_tile(tile, to, wide)
            store_tile(to, wide, tile)
    else:
        for i in range(count):
            _ask(shift(ahead, i * ROWS * step), step, runs, first, last, zero)
            short, a, to = (
                zeros_tile(ROWS, 2, zero),
                shift(tiles, i * depth * ROWS),
                shift(sums, i * ROWS * wide),
            )
            for p in range(depth):
                short = outer(short, shift(a, p * ROWS), 1, shift(panel, p * (2 * v)))
            if not fresh:
                short = add_tile(short, to, wide)
            store_tile(to, wide, short)


@part
def _write(sums, wide, rows, dw, row_step, count, zero):
    """Write the sums of some filters and of `count` channels where they belong."""
    v = lanes(zero)
    for r in range(rows):
        for i in range(0, count, v):
            numbers = load(sums, r * wide + i)
            if i + v <= count:
                store(dw, r * row_step + i, numbers)
            else:
                store_part(dw, r * row_step + i, numbers, count - i)


@kernel
def pointwise_weight_grad(
    dy: int,
    x: int,
    dw: int,
    table: int,
    scratch: int,
    row: int,
    last_row: int,
    panel: int,
    last_panel: int,
    zero: Number,
) -> None:
    """Compute dw for the filters `row` to `last_row` and the channels of the panels `panel` to `last_panel`.

    Args:
        dy: `(N, K, places)`.
        x: `(N, C, image)`.
        dw: receives `(K, C)`.
        table: runs (place in x, place in dy, count), chunks (places, first run, behind the last), panels (first
            channel, numbers wide), and before them what their names say.
        scratch: holds panels, tiles, picked pixels and sums.
        row: the first filter, a multiple of ROWS.
        last_row: behind the last.
        panel: the first panel.
        last_panel: behind the last.
        zero: of the computing type.
    """
    dy, x, dw = pointer(dy, zero), pointer(x, zero), pointer(dw, zero)
    numbers = pointer(table, 0)
    facts, runs = offsets(numbers, POINTWISE_FACTS), shift(numbers, POINTWISE_FACTS)
    panels, tiles = pointer(scratch + facts[PANELS_AT], zero), pointer(scratch + facts[TILES_AT], zero)
    picked, held = pointer(scratch + facts[PICKED_AT], zero), pointer(scratch + facts[SUMS_AT], zero)
    rows_padded, begin = (
        (last_row - row + ROWS - 1) // ROWS * ROWS,
        shift(numbers, facts[PANELS] + 2 * panel)[0],
    )
    for number in range(facts[CHUNK_COUNT]):
        chunk = shift(numbers, facts[CHUNKS] + 3 * number)
        depth = chunk[0]
        for k in range(row, last_row, facts[STRIP]):
            stop = min(last_row, k + facts[STRIP])
            count = (stop - k + ROWS - 1) // ROWS
            ahead, following = stop, chunk
            if stop == last_row:
                ahead, following = row, shift(chunk, 3 * (number + 1 < facts[CHUNK_COUNT]))
            for i in range(count):
                _pack_tile(dy, facts, runs, chunk, k + i * ROWS, shift(tiles, i * ROWS * depth), zero)
            for q in range(panel, last_panel):
                at = shift(numbers, facts[PANELS] + 2 * q)
                c, wide = at[0], at[1]
                here = shift(panels, (c - begin) * depth)
                if k == row:
                    _pack_panel(x, facts, runs, chunk, c, wide, here, picked, zero)
                sums = shift(held, (c - begin) * rows_padded + (k - row) * wide)
                wanted = shift(dy, ahead * facts[DY_STEP])
                _multiply(
                    tiles, here, depth, count, sums, wide, number == 0, wanted, facts[DY_STEP], runs, following[1],
                    following[2] if q + 1 == last_panel else 0, zero,
                )  # fmt: skip
                if number + 1 == facts[CHUNK_COUNT]:
                    some = min(wide, facts[CHANNELS] - c)
                    _write(
                        sums, wide, stop - k, shift(dw, k * facts[CHANNELS] + c), facts[CHANNELS], some, zero
                    )
