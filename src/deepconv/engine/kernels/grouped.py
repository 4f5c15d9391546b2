"""Convolutions with few channels: lanes are pixels of a row, a tile is the filters of a group by two vectors.

A vector of pixels is loaded once for `FILTERS` filters, and nothing is packed but planes with zeros around them.
"""

from deepconv.engine.kernels.bands import (
    add_row,
    add_sums,
    bring_gradient,
    bring_plane,
    clear,
    dots,
    opaque,
    put_plane,
    put_tile,
)
from deepconv.engine.kernels.frontend import Number, kernel, routine, stays_apart
from deepconv.engine.kernels.simd import add_rows, lanes, lanes_sum, load, offsets, pointer, shift, zeros_tile

FILTERS = 4
CELLS = 3


@routine
def _planes(
    x,
    columns,
    w,
    places,
    first,
    last,
    bias,
    biased,
    y,
    y_area,
    y_step,
    rows,
    width,
    room,
    count,
    folded,
    buffer,
):
    """Compute `rows` rows of the output planes of `FILTERS` filters, of which `count` there are.

    Two vectors of a row at a time; if rows are no longer than a vector, one of each of two rows. At the end
    of the rows or columns they reach back over those before.
    """
    stays_apart()
    vector = lanes(x[0])
    lower = 0
    if width <= vector:
        lower = min(1, rows - 1)
    for i in range(0, rows, 1 + lower):
        row = min(i, rows - 1 - lower)
        for j in range(0, width, 2 * vector):
            column = max(0, min(j, width - vector))
            gap = min(vector, width - vector - column)
            y_gap = gap
            if width <= vector:
                gap, y_gap = lower * columns, lower * y_step
            pixels, at = opaque(shift(x, row * columns + column)), row * y_step + column
            tile = zeros_tile(FILTERS, 2, x[0])
            for t in range(first, last):
                tile = add_row(tile, shift(w, t * FILTERS), -1, shift(pixels, places[t]), gap, 0, FILTERS)
            if biased:
                tile = add_rows(tile, bias)
            to = opaque(shift(y, at))
            put_tile(tile, FILTERS, 2, to, y_area, y_gap, 0, count, 0, room - at, folded, buffer)


@kernel
def convolve(x_at, w_at, bias_at, y_at, form_at, scratch_at, bands, begin, end, folded, zero: Number):
    """Compute bands of output planes, `begin` to `end` of the bands of all groups of all images."""
    form = pointer(form_at, begin)
    sources, results, groups = form[0], form[1], form[2]
    height, width, top, left, down, across = form[3], form[4], form[5], form[6], form[7], form[8]
    rows, columns, band, most = form[9], form[10], form[11], form[12]
    y_height, y_width, y_down, y_across, y_columns = form[13], form[14], form[15], form[16], form[17]
    cells, channel = form[18], form[19]
    spans = shift(form, 23)
    parts = shift(
        spans, 2 * (down + across)
    )  # for each phase of the result: its first cell, rows and columns
    phases = y_down * y_across
    places = shift(parts, 3 * phases + 1)
    area, y_area = height * width, y_height * y_width
    blocks = (results + FILTERS - 1) // FILTERS
    scratch = pointer(scratch_at, zero)
    buffer = shift(scratch, sources * channel + 2 * columns + 4 * lanes(zero))
    apart = shift(buffer, 2 * FILTERS * lanes(zero))
    size = phases * band * y_columns  # of a result's plane in scratch memory
    clear(scratch, 0, sources * channel, zero)
    for task in range(begin, end):
        plane, row = task // bands, task % bands * band
        for a in range(sources):
            source, to = shift(pointer(x_at, zero), (plane * sources + a) * area), shift(scratch, a * channel)
            bring_plane(
                source, width, top, left, down, across, spans, row, rows, columns, bands == 1, to, zero
            )
        for b in range(blocks):
            block = plane % groups * blocks + b
            w = shift(pointer(w_at, zero), block * cells * FILTERS)
            bias = shift(pointer(bias_at, zero), block * FILTERS)
            y = shift(pointer(y_at, zero), (plane * results + b * FILTERS) * y_area)
            filters = min(FILTERS, results - b * FILTERS)
            for q in range(phases):
                first, tall, wide, last = parts[3 * q], parts[3 * q + 1], parts[3 * q + 2], parts[3 * q + 3]
                to, y_step, y_plane, room = shift(y, row * y_width), y_width, y_area, y_area - row * y_width
                if phases > 1:
                    to, y_step, y_plane = shift(apart, q * band * y_columns), y_columns, size
                    room = size + lanes(zero)
                count = min(band, tall - row)
                if count > 0 and wide > 0:
                    _planes(
                        scratch, columns, w, places, first, last, bias, bias_at,
                        to, y_plane, y_step, count, wide, room, filters, folded, buffer,
                    )  # fmt: skip
            if phases > 1:
                count = min(band, most - row)
                for f in range(filters):
                    to, done = shift(y, f * y_area), shift(apart, f * size)
                    put_plane(done, band, y_columns, y_down, y_across, row, count, to, y_height, y_width)


@routine
def _sums(dy, dy_step, rows, y_columns, x, columns, places, totals, buffer, zero):
    """Add to `totals` the products of planes of `dy` and what `CELLS` cells see, summed lane by lane."""
    stays_apart()
    there = offsets(places, CELLS)
    tile = zeros_tile(FILTERS, CELLS, zero)
    for i in range(0, (rows - 1) * columns + y_columns, lanes(zero)):
        tile = dots(tile, shift(dy, i), dy_step, shift(x, i), there)
    add_sums(tile, FILTERS, CELLS, totals, dy, dy_step, rows, y_columns, x, columns, places, buffer, zero)


@kernel
def weight_grad(dy_at, x_at, dw_at, form_at, scratch_at, images, begin, end, zero: Number):
    """Compute the gradients of the blocks of filters `begin` to `end`, over all images."""
    form = pointer(form_at, begin)
    sources, results, groups = form[0], form[1], form[2]
    height, width, top, left, down, across = form[3], form[4], form[5], form[6], form[7], form[8]
    rows, columns, band, most = form[9], form[10], form[11], form[12]
    y_width, cells, channel = form[14], form[18], form[19]
    spans = shift(form, 23)
    places = shift(spans, 2 * (down + across) + 4)
    area, y_area = height * width, most * y_width
    vector = lanes(zero)
    blocks, chunks = (results + FILTERS - 1) // FILTERS, (cells + CELLS - 1) // CELLS
    scratch = pointer(scratch_at, zero)
    gradient = shift(scratch, sources * channel + 2 * vector)
    size = band * columns + vector
    buffer = shift(gradient, FILTERS * size + 2 * vector)
    totals = shift(buffer, FILTERS * CELLS * vector)
    clear(scratch, 0, sources * channel + FILTERS * size + 4 * vector, zero)
    for task in range(begin, end):
        group, b = task // blocks, task % blocks
        filters = min(FILTERS, results - b * FILTERS)
        clear(totals, 0, chunks * FILTERS * CELLS * vector, zero)
        for image in range(images):
            plane = image * groups + group
            for row in range(0, most, band):
                whole, count = band >= most, min(band, most - row)
                for a in range(sources):
                    source, to = (
                        shift(pointer(x_at, zero), (plane * sources + a) * area),
                        shift(scratch, a * channel),
                    )
                    bring_plane(
                        source, width, top, left, down, across, spans, row, rows, columns, whole, to, zero
                    )
                for f in range(filters):
                    at = (plane * results + b * FILTERS + f) * y_area + row * y_width
                    to = shift(gradient, f * size)
                    bring_gradient(shift(pointer(dy_at, zero), at), y_width, count, to, columns, zero)
                for c in range(chunks):
                    total = shift(totals, c * FILTERS * CELLS * vector)
                    there = shift(places, c * CELLS)
                    _sums(gradient, size, count, y_width, scratch, columns, there, total, buffer, zero)
        for f in range(filters):
            dw = shift(pointer(dw_at, zero), (group * results + b * FILTERS + f) * cells)
            for i in range(cells):
                at = (i // CELLS * FILTERS + f) * CELLS + i % CELLS
                dw[i] = lanes_sum(load(totals, at * vector))
