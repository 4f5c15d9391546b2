"""Convolutions of one plane with one plane of cells: lanes are pixels of a row, a tile is rows of an output plane.

A cell's number is multiplied with as many vectors as a tile has, `TALL` rows of two vectors (`NARROW` of one,
where one is all that is left of a row): each of its products is a load and a multiply-add. The last vector of
a row reaches back over the one before it rather than beyond the row.
"""

from deepconv.engine.kernels.bands import (
    add_scaled,
    bring_plane,
    clear,
    dots,
    dots_part,
    full_tile,
    function,
    on_its_own,
    put_plane,
    put_tile,
)
from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.simd import (
    lanes,
    lanes_sum,
    load,
    offsets,
    pointer,
    shift,
    store,
    store_tile,
    zeros_tile,
)

TALL = 7
NARROW = 7
CELLS = 9


@part
def _strip(tall, wide, x, columns, w, places, first, last, start, y, step, gap, rows, room, folded, buffer):
    """Compute `rows` rows of a strip of `wide` vectors, `gap` apart."""
    for i in range(0, rows, tall):
        tile = full_tile(tall, wide, start)
        for t in range(first, last):
            tile = add_scaled(tile, w[t], shift(x, places[t] + i * columns), columns, gap)
        put_tile(tile, tall, wide, shift(y, i * step), step, gap, rows - i, room - i * step, folded, buffer)


@function
def _plane(x, columns, w, places, first, last, start, y, step, rows, width, room, folded, buffer):
    """Compute `rows` rows of an output plane, strip after strip."""
    on_its_own()
    vector = lanes(start)
    column = 0
    while column < width:
        left = width - column
        if left > vector:
            gap = min(vector, left - vector)
            source, to = shift(x, column), shift(y, column)
            _strip(
                TALL,
                2,
                source,
                columns,
                w,
                places,
                first,
                last,
                start,
                to,
                step,
                gap,
                rows,
                room - column,
                folded,
                buffer,
            )
            column += 2 * vector
        else:
            column = max(0, width - vector)
            source, to = shift(x, column), shift(y, column)
            _strip(
                NARROW,
                1,
                source,
                columns,
                w,
                places,
                first,
                last,
                start,
                to,
                step,
                vector,
                rows,
                room - column,
                folded,
                buffer,
            )
            break


@kernel
def convolve(x_at, w_at, bias_at, y_at, form_at, scratch_at, begin, end, folded, zero: Number):
    """Compute output planes of the groups `begin` to `end`, counted over all images."""
    form = pointer(form_at, begin)
    sources, results, groups = form[0], form[1], form[2]
    height, width, top, left, down, across = form[3], form[4], form[5], form[6], form[7], form[8]
    rows, columns, band, most = form[9], form[10], form[11], form[12]
    y_height, y_width, y_down, y_across, y_columns = form[13], form[14], form[15], form[16], form[17]
    cells = form[18]
    spans = shift(form, 19)
    parts = shift(
        spans, 2 * (down + across)
    )  # for each phase of the result: its first cell, rows and columns
    phases = y_down * y_across
    places = shift(parts, 3 * phases + 1)
    area, y_area = height * width, y_height * y_width
    channel = down * across * rows * columns
    scratch = pointer(scratch_at, zero)
    buffer = shift(scratch, sources * channel + (NARROW + TALL) * columns + 4 * lanes(zero))
    apart = shift(buffer, (NARROW + 2 * TALL) * lanes(zero))
    clear(scratch, 0, sources * channel, zero)
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
                for q in range(phases):
                    first, tall, wide, last = (
                        parts[3 * q],
                        parts[3 * q + 1],
                        parts[3 * q + 2],
                        parts[3 * q + 3],
                    )
                    to, step, room = shift(y, row * y_width), y_width, y_area - row * y_width
                    if phases > 1:
                        to, step, room = (
                            shift(apart, q * band * y_columns),
                            y_columns,
                            (phases - q) * band * y_columns,
                        )
                    count = min(band, tall - row)
                    _plane(
                        scratch,
                        columns,
                        w,
                        places,
                        first,
                        last,
                        start,
                        to,
                        step,
                        count,
                        wide,
                        room,
                        folded,
                        buffer,
                    )
                if phases > 1:
                    count = min(band, most - row)
                    put_plane(apart, band, y_columns, y_down, y_across, row, count, y, y_height, y_width)
        group = group + 1 if group + 1 < groups else 0


@part
def _sums(dy, y_width, x, columns, count, places):
    """Return the products of a plane of `dy` and what `CELLS` cells see, summed lane by lane."""
    vector = lanes(dy[0])
    full = y_width - y_width % vector
    tile = zeros_tile(1, CELLS, dy[0])
    for i in range(count):
        source, gradient = shift(x, i * columns), shift(dy, i * y_width)
        for j in range(0, full, vector):
            tile = dots(tile, shift(gradient, j), 0, shift(source, j), places)
        if full < y_width:
            tile = dots_part(tile, shift(gradient, full), 0, shift(source, full), places, y_width - full)
    return tile


@kernel
def weight_grad(dy_at, x_at, dw_at, form_at, scratch_at, images, begin, end, zero: Number):
    """Compute the filters' gradients of the groups `begin` to `end`, over all images."""
    form = pointer(form_at, begin)
    sources, results, groups = form[0], form[1], form[2]
    height, width, top, left, down, across = form[3], form[4], form[5], form[6], form[7], form[8]
    rows, columns, band, most = form[9], form[10], form[11], form[12]
    y_width, cells = form[14], form[18]
    spans = shift(form, 19)
    places = shift(spans, 2 * (down + across) + 4)
    area, y_area = height * width, most * y_width
    channel = down * across * rows * columns
    vector = lanes(zero)
    scratch = pointer(scratch_at, zero)
    buffer = shift(scratch, sources * channel + vector)
    totals = shift(buffer, CELLS * vector)
    clear(scratch, 0, sources * channel, zero)
    chunks = (cells + CELLS - 1) // CELLS
    for group in range(begin, end):
        clear(totals, 0, results * chunks * CELLS * vector, zero)
        for image in range(images):
            plane = image * groups + group
            for row in range(0, most, band):
                for a in range(sources):
                    source = shift(pointer(x_at, zero), (plane * sources + a) * area)
                    to = shift(scratch, a * channel)
                    bring_plane(
                        source,
                        width,
                        top,
                        left,
                        down,
                        across,
                        spans,
                        row,
                        rows,
                        columns,
                        band >= most,
                        to,
                        zero,
                    )
                for b in range(results):
                    dy = shift(pointer(dy_at, zero), (plane * results + b) * y_area + row * y_width)
                    for c in range(chunks):
                        there = offsets(shift(places, c * CELLS), CELLS)
                        tile = _sums(dy, y_width, scratch, columns, min(band, most - row), there)
                        store_tile(buffer, 0, tile)
                        total = shift(totals, (b * chunks + c) * CELLS * vector)
                        for i in range(0, CELLS * vector, vector):
                            store(total, i, load(total, i) + load(buffer, i))
        for b in range(results):
            dw = shift(pointer(dw_at, zero), (group * results + b) * cells)
            for i in range(cells):
                dw[i] = lanes_sum(load(totals, (b * chunks * CELLS + i) * vector))
