"""Convolutions of one plane with one plane of cells: lanes are pixels of a row, a tile is rows of an output plane.

A cell's number is multiplied with as many vectors as a tile has, `TALL` rows of two vectors (`NARROW` of one,
where one is all that is left of a row): each of its products is a load and a multiply-add. The last vector of
a row reaches back over the one before it rather than beyond the row.
"""

from deepconv.engine.kernels.bands import (
    add_column,
    add_row,
    add_scaled,
    add_square,
    add_sums,
    bring_gradient,
    bring_plane,
    clear,
    dots,
    full_tile,
    opaque,
    put_plane,
    put_tile,
    splats,
    zipped_tile,
)
from deepconv.engine.kernels.frontend import Number, kernel, part, routine, stays_apart
from deepconv.engine.kernels.simd import (
    lanes,
    lanes_sum,
    load,
    offsets,
    pointer,
    shift,
    zeros_tile,
)

TALL = 8
CELLS = 9


@part
def _cell_by_cell(tile, x, columns, gap, w, places, first, last):
    """Return the tile with the products of any cells added."""
    for t in range(first, last):
        tile = add_scaled(tile, w[t], opaque(shift(x, places[t])), columns, gap)
    return tile


@part
def _row_by_row(tile, x, columns, gap, w, sources, channel, height, width, step):
    """Return the tile, 4 rows high, with the products of `height·width` cells added, 4 rows of them or more.

    A vector is loaded once for all rows that it serves: fewer above and below.
    """
    for a in range(sources):
        for s in range(width):
            cell, place = opaque(shift(w, a * height * width + s)), opaque(shift(x, a * channel + s * step))
            tile = add_row(tile, cell, width, place, gap, 0, 1)
            tile = add_row(tile, shift(cell, width), width, shift(place, columns), gap, 0, 2)
            tile = add_row(tile, shift(cell, 2 * width), width, shift(place, 2 * columns), gap, 0, 3)
            for _ in range(3, height):
                cell, place = opaque(shift(cell, width)), opaque(shift(place, columns))
                tile = add_row(tile, shift(cell, 2 * width), width, shift(place, 2 * columns), gap, 0, 4)
            cell, place = shift(cell, 3 * width), shift(place, 3 * columns)
            tile = add_row(tile, cell, width, place, gap, 1, 4)
            tile = add_row(tile, shift(cell, width), width, shift(place, columns), gap, 2, 4)
            tile = add_row(tile, shift(cell, 2 * width), width, shift(place, 2 * columns), gap, 3, 4)
    return tile


@routine
def _square_plane(x, columns, w, start, y, y_step, rows, width, room, folded, buffer):
    """Compute `rows` rows of an output plane of nine cells side by side, which stay in registers."""
    stays_apart()
    vector = lanes(start)
    cells = splats(w, 9)
    for i in range(0, rows, 4):
        row = max(0, min(i, rows - 4))
        for j in range(0, width, vector):
            column = max(0, min(j, width - vector))
            tile = full_tile(4, 1, start)
            tile = add_square(tile, cells, opaque(shift(x, row * columns + column)), columns)
            at = row * y_step + column
            put_tile(tile, 4, 1, opaque(shift(y, at)), y_step, 0, 0, rows, y_step, room - at, folded, buffer)


@routine
def _plane(x, form, columns, w, places, first, last, start, y, y_step, rows, width, room, folded, buffer):
    """Compute `rows` rows of an output plane of any cells.

    Two vectors in each of four rows; if rows are no longer than a vector, the second stands four rows below.
    A tile at the end of the rows or columns reaches back over the one before it.
    """
    stays_apart()
    vector = lanes(start)
    sources, channel, height, across, step = form[0], form[19], form[20], form[21], form[22]
    lower, high = 0, 4
    if width <= vector:
        lower = max(0, min(4, rows - 4))
        high += lower
    for i in range(0, rows, high):
        row = max(0, min(i, rows - high))
        for j in range(0, width, 2 * vector):
            column = max(0, min(j, width - vector))
            gap = min(vector, width - vector - column)
            y_gap = gap
            if width <= vector:
                gap, y_gap = lower * columns, lower * y_step
            place, at = opaque(shift(x, row * columns + column)), row * y_step + column
            tile = full_tile(4, 2, start)
            if height > 3:
                tile = _row_by_row(tile, place, columns, gap, w, sources, channel, height, across, step)
            else:
                tile = _cell_by_cell(tile, place, columns, gap, w, places, first, last)
            put_tile(
                tile,
                4,
                2,
                opaque(shift(y, at)),
                y_step,
                y_gap,
                lower,
                rows,
                y_step,
                room - at,
                folded,
                buffer,
            )


@routine
def _paired_plane(x, columns, w, places, part, zero, y, y_step, rows, width, room, buffer):
    """Compute `rows` rows, each of two phases of `width` numbers by turns: a vector of both in each of four rows."""
    stays_apart()
    vector = lanes(zero)
    first, middle, last = part[0], part[3], part[6]
    for i in range(0, rows, 4):
        row = max(0, min(i, rows - 4))
        for j in range(0, width, vector):
            column = min(j, width - vector)
            place, at = opaque(shift(x, row * columns + column)), row * y_step + 2 * column
            tile = full_tile(4, 2, zero)
            for t in range(first, middle):
                tile = add_column(tile, w[t], opaque(shift(place, places[t])), columns, 0)
            for t in range(middle, last):
                tile = add_column(tile, w[t], opaque(shift(place, places[t])), columns, 1)
            tile = zipped_tile(tile)
            put_tile(tile, 4, 2, opaque(shift(y, at)), y_step, vector, 0, rows, y_step, room - at, 0, buffer)


@kernel
def convolve(x_at, w_at, bias_at, y_at, form_at, scratch_at, begin, end, folded, zero: Number):
    """Compute output planes of the groups `begin` to `end`, counted over all images."""
    form = pointer(form_at, begin)
    sources, results, groups = form[0], form[1], form[2]
    height, width, top, left, down, across = form[3], form[4], form[5], form[6], form[7], form[8]
    rows, columns, band, most = form[9], form[10], form[11], form[12]
    y_height, y_width, y_down, y_across, y_columns = form[13], form[14], form[15], form[16], form[17]
    cells = form[18]
    spans = shift(form, 23)
    parts = shift(spans, 2 * (down + across))  # of each phase of the result: its first cell, rows, columns
    phases = y_down * y_across
    places = shift(parts, 3 * phases + 1)
    area, y_area = height * width, y_height * y_width
    channel = down * across * rows * columns
    scratch = pointer(scratch_at, zero)
    buffer = shift(scratch, sources * channel + TALL * columns + 4 * lanes(zero))
    apart = shift(buffer, TALL * lanes(zero))
    size = band * y_columns  # of a phase of the result in scratch memory
    clear(scratch, 0, sources * channel, zero)
    paired = y_across == 2 and y_width % 2 == 0 and y_width >= 2 * lanes(zero) and bias_at == 0 and not folded
    group = begin % groups
    for task in range(begin, end):
        for row in range(0, most, band):
            for a in range(sources):
                source = shift(pointer(x_at, zero), (task * sources + a) * area)
                to = shift(scratch, a * channel)
                bring_plane(
                    source, width, top, left, down, across, spans, row, rows, columns, band >= most, to, zero
                )
            for b in range(results):
                k = group * results + b
                start = zero
                if bias_at != 0:
                    start = pointer(bias_at, zero)[k]
                y = shift(pointer(y_at, zero), (task * results + b) * y_area)
                w = shift(pointer(w_at, zero), k * cells)
                if paired:
                    for a in range(y_down):
                        part, at = shift(parts, 6 * a), (row * y_down + a) * y_width
                        _paired_plane(
                            scratch, columns, w, places, part, zero, shift(y, at),
                            y_down * y_width, min(band, part[1] - row), y_width // 2, y_area - at, buffer,
                        )  # fmt: skip
                for q in range(0 if paired else phases):
                    part = shift(parts, 3 * q)
                    first, tall, wide, last = part[0], part[1], part[2], part[3]
                    to, step, room = shift(y, row * y_width), y_width, y_area - row * y_width
                    if phases > 1:
                        to, step, room = shift(apart, q * size), y_columns, (phases - q) * size
                    count = min(band, tall - row)
                    if form[20] == 3:
                        _square_plane(scratch, columns, w, start, to, step, count, wide, room, folded, buffer)
                    else:
                        _plane(
                            scratch, form, columns, w, places, first, last, start,
                            to, step, count, wide, room, folded, buffer,
                        )  # fmt: skip
                if phases > 1 and not paired:
                    count = min(band, most - row)
                    put_plane(apart, band, y_columns, y_down, y_across, row, count, y, y_height, y_width)
        group = group + 1 if group + 1 < groups else 0


@routine
def _sums(dy, rows, y_columns, x, columns, places, totals, buffer, zero):
    """Add to `totals` the products of a plane of `dy` and what `CELLS` cells see, summed lane by lane."""
    stays_apart()
    there = offsets(places, CELLS)
    tile = zeros_tile(1, CELLS, zero)
    for i in range(0, (rows - 1) * columns + y_columns, lanes(zero)):
        tile = dots(tile, shift(dy, i), 0, shift(x, i), there)
    add_sums(tile, 1, CELLS, totals, dy, 0, rows, y_columns, x, columns, places, buffer, zero)


@kernel
def weight_grad(dy_at, x_at, dw_at, form_at, scratch_at, images, begin, end, zero: Number):
    """Compute the filters' gradients of the groups `begin` to `end`, over all images.

    The gradient of the output is copied into rows as long as those of the pixels, so that a plane is one row.
    """
    form = pointer(form_at, begin)
    sources, results, groups = form[0], form[1], form[2]
    height, width, top, left, down, across = form[3], form[4], form[5], form[6], form[7], form[8]
    rows, columns, band, most = form[9], form[10], form[11], form[12]
    y_width, cells, channel = form[14], form[18], form[19]
    spans = shift(form, 23)
    places = shift(spans, 2 * (down + across) + 4)
    area, y_area = height * width, most * y_width
    vector = lanes(zero)
    scratch = pointer(scratch_at, zero)
    gradient = shift(scratch, sources * channel + 2 * vector)
    buffer = shift(gradient, band * columns + 2 * vector)
    totals = shift(buffer, CELLS * vector)
    clear(scratch, 0, sources * channel + band * columns + 4 * vector, zero)
    chunks = (cells + CELLS - 1) // CELLS
    for group in range(begin, end):
        clear(totals, 0, results * chunks * CELLS * vector, zero)
        for image in range(images):
            plane = image * groups + group
            for row in range(0, most, band):
                whole, count = band >= most, min(band, most - row)
                for a in range(sources):
                    source = shift(pointer(x_at, zero), (plane * sources + a) * area)
                    to = shift(scratch, a * channel)
                    bring_plane(
                        source, width, top, left, down, across, spans, row, rows, columns, whole, to, zero
                    )
                for b in range(results):
                    dy = shift(pointer(dy_at, zero), (plane * results + b) * y_area + row * y_width)
                    bring_gradient(dy, y_width, count, gradient, columns, zero)
                    for c in range(chunks):
                        total = shift(totals, (b * chunks + c) * CELLS * vector)
                        there = shift(places, c * CELLS)
                        _sums(gradient, count, y_width, scratch, columns, there, total, buffer, zero)
        for b in range(results):
            dw = shift(pointer(dw_at, zero), (group * results + b) * cells)
            for i in range(cells):
                dw[i] = lanes_sum(load(totals, (b * chunks * CELLS + i) * vector))
