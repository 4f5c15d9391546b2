"""Pooling of as many planes at once as a vector has lanes: each lane is a plane, and any window is plain loops.

A band of a group of planes is transposed into scratch, so that pixel p of all of them is one vector; windows
are walked there, and what comes of them is transposed back. No case of stride, padding or width needs lanes
moved, images of 4×4 pixels fill vectors as well as large ones, and all memory is read and written in order.
Where planes are no multiple of the lanes the last group overlaps the one before.

A table says how windows lie on each of three axes: for each window its first pixel and how many it has;
`steps` is how far apart they are. Bands are four numbers each, which the kernels explain.
"""

import math

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.lanewise import either, equal, is_nan, less, like, maximum, select
from deepconv.engine.kernels.simd import (
    as_number,
    lanes,
    lanes_sum,
    load,
    load_part,
    pointer,
    shift,
    splat,
    store,
    store_part,
    turn_square,
)


@part
def _gather(x, plane, count, to):
    """Write `count` pixels of the planes from `x` on, `plane` numbers apart, to `to`: pixel p is vector p."""
    width = lanes(x[0])
    if count < width:
        for p in range(count):
            for i in range(width):
                to[p * width + i] = x[i * plane + p]
        return
    for p in range(0, count - width + 1, width):
        turn_square(shift(x, p), plane, shift(to, p * width), width)
    if count % width:
        p = count - width
        turn_square(shift(x, p), plane, shift(to, p * width), width)


@part
def _scatter(vectors, y, plane, count):
    """Write `count` vectors to pixels of planes that are `plane` numbers apart."""
    width = lanes(y[0])
    if count < width:
        for p in range(count):
            for i in range(width):
                y[i * plane + p] = vectors[p * width + i]
        return
    for p in range(0, count - width + 1, width):
        turn_square(shift(vectors, p * width), width, shift(y, p), plane)
    if count % width:
        p = count - width
        turn_square(shift(vectors, p * width), width, shift(y, p), plane)


@kernel
def largest(
    x_at, y_at, scratch, room, table_at, bands_at, bands, start, stop, planes, pixels, outputs,
    out_a, out_b, out_c, size_b, size_c, step_a, step_b, step_c, zero: Number,
):  # fmt: skip
    """Write the largest pixel of each window; NaN is the largest of all, nothing is -inf.

    A band is the rows of windows from its first number to its second, and the pixels from its third to its fourth.
    Scratch has room for `room` vectors of pixels, and for the windows behind them.
    """
    x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
    pixel, window = pointer(scratch, zero), shift(pointer(scratch, zero), room * width)
    table, band = pointer(table_at, room), pointer(bands_at, room)
    first_b, first_c = 2 * out_a, 2 * (out_a + out_b)
    for task in range(start, stop):
        plane, b = min(task // bands * width, planes - width), task % bands * 4
        low = band[b + 2]
        _gather(shift(x, plane * pixels + low), pixels, band[b + 3] - low, pixel)
        at = 0
        for row in range(band[b], band[b + 1]):
            a, r = row // out_b, first_b + row % out_b
            for c in range(first_c, first_c + out_c):
                most = like(splat(zero), -math.inf)
                for i in range(table[a], table[a] + table[a + out_a] * step_a, step_a):
                    for j in range(table[r], table[r] + table[r + out_b] * step_b, step_b):
                        base = (i * size_b + j) * size_c - low + table[c]
                        for k in range(base, base + table[c + out_c] * step_c, step_c):
                            most = maximum(most, load(pixel, k * width))
                store(window, at, most)
                at += width
        _scatter(window, shift(y, plane * outputs + band[b] * out_c), outputs, at // width)


@kernel
def sums(
    x_at, y_at, divisor_at, before, each, scratch, room, table_at, bands_at, bands, start, stop, planes,
    pixels, outputs, out_a, out_b, out_c, size_b, size_c, step_a, step_b, step_c, zero: Number,
):  # fmt: skip
    """Write the sum over each window; the rest as `largest`.

    Pixels, where `before`, or else sums are divided: by `divisor[p]`, or all by its first number unless `each`.
    """
    x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
    pixel, window = pointer(scratch, zero), shift(pointer(scratch, zero), room * width)
    table, band, divisor = pointer(table_at, room), pointer(bands_at, room), pointer(divisor_at, zero)
    first_b, first_c = 2 * out_a, 2 * (out_a + out_b)
    for task in range(start, stop):
        plane, b = min(task // bands * width, planes - width), task % bands * 4
        low = band[b + 2]
        _gather(shift(x, plane * pixels + low), pixels, band[b + 3] - low, pixel)
        if before:
            for p in range(band[b + 3] - low):
                store(pixel, p * width, load(pixel, p * width) / splat(divisor[(p + low) * each]))
        at = 0
        for row in range(band[b], band[b + 1]):
            a, r = row // out_b, first_b + row % out_b
            for c in range(first_c, first_c + out_c):
                total = splat(zero)
                for i in range(table[a], table[a] + table[a + out_a] * step_a, step_a):
                    for j in range(table[r], table[r] + table[r + out_b] * step_b, step_b):
                        base = (i * size_b + j) * size_c - low + table[c]
                        for k in range(base, base + table[c + out_c] * step_c, step_c):
                            total = total + load(pixel, k * width)
                if not before:
                    total = total / splat(divisor[(row * out_c + c - first_c) * each])
                store(window, at, total)
                at += width
        _scatter(window, shift(y, plane * outputs + band[b] * out_c), outputs, at // width)


@part
def _give(pixel, share, dy, low, places, steps, sizes, zero):
    """Add dy to the share of the pixel that wins a window: the first of the largest, or the last NaN."""
    a, count_a, b, count_b, c, count_c = places
    step_a, step_b, step_c = steps
    size_b, size_c = sizes
    width = lanes(zero)
    one = like(dy, 1.0)
    most, winner, number = like(dy, -math.inf), splat(zero), splat(zero)
    for i in range(a, a + count_a * step_a, step_a):
        for j in range(b, b + count_b * step_b, step_b):
            base = (i * size_b + j) * size_c - low + c
            for k in range(base, base + count_c * step_c, step_c):
                v = load(pixel, k * width)
                wins = either(less(most, v), is_nan(v))
                most, winner = select(wins, v, most), select(wins, number, winner)
                number = number + one
    number = splat(zero)
    for i in range(a, a + count_a * step_a, step_a):
        for j in range(b, b + count_b * step_b, step_b):
            base = (i * size_b + j) * size_c - low + c
            for k in range(base, base + count_c * step_c, step_c):
                v = select(equal(winner, number), dy, splat(zero))
                store(share, k * width, load(share, k * width) + v)
                number = number + one


@kernel
def largest_grad(
    dy_at, x_at, dx_at, scratch, room, table_at, bands_at, bands, start, stop, planes, pixels, outputs,
    out_a, out_b, out_c, size_b, size_c, step_a, step_b, step_c, zero: Number,
):  # fmt: skip
    """Write the gradient of `largest`: dy of each window goes to the pixel that won it.

    A band is six numbers: the pixels from the first number to the second are written; the rows of windows from the
    third to the fourth reach them, and see pixels from the fifth to the sixth. Scratch has room for `room` vectors of
    pixels, as many of their gradients, and the windows' gradients.
    """
    dy, x, dx, width = pointer(dy_at, zero), pointer(x_at, zero), pointer(dx_at, zero), lanes(zero)
    pixel, share = pointer(scratch, zero), shift(pointer(scratch, zero), room * width)
    given = shift(share, room * width)
    table, band = pointer(table_at, room), pointer(bands_at, room)
    first_b, first_c = 2 * out_a, 2 * (out_a + out_b)
    for task in range(start, stop):
        plane, w = min(task // bands * width, planes - width), task % bands * 6
        low, high, rows, last = band[w + 4], band[w + 5], band[w + 2], band[w + 3]
        _gather(shift(x, plane * pixels + low), pixels, high - low, pixel)
        _gather(shift(dy, plane * outputs + rows * out_c), outputs, (last - rows) * out_c, given)
        for p in range(0, (high - low) * width, width):
            store(share, p, splat(zero))
        at = 0
        for row in range(rows, last):
            a, r = row // out_b, first_b + row % out_b
            for c in range(first_c, first_c + out_c):
                places = (table[a], table[a + out_a], table[r], table[r + out_b], table[c], table[c + out_c])
                steps, sizes = (step_a, step_b, step_c), (size_b, size_c)
                _give(pixel, share, load(given, at), low, places, steps, sizes, zero)
                at += width
        first = band[w]
        _scatter(
            shift(share, (first - low) * width),
            shift(dx, plane * pixels + first),
            pixels,
            band[w + 1] - first,
        )


@kernel
def means(x_at, y_at, start, stop, pixels, zero: Number):
    """Write the mean of each plane from `start` to `stop`; blocks are added up in float64."""
    x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
    for plane in range(start, stop):
        total = 0.0
        for block in range(plane * pixels, (plane + 1) * pixels, 4096):
            end = min(block + 4096, (plane + 1) * pixels)
            a, b, i = splat(zero), splat(zero), block
            while i + 2 * width <= end:
                a, b = a + load(x, i), b + load(x, i + width)
                i += 2 * width
            while i < end:
                a = a + load_part(x, i, min(width, end - i))
                i += width
            total += float(lanes_sum(a + b))
        y[plane] = as_number(total / pixels, zero)


@kernel
def means_grad(dy_at, dx_at, start, stop, pixels, zero: Number):
    """Write `dy / pixels` to all pixels of each plane from `start` to `stop`."""
    dy, dx, width = pointer(dy_at, zero), pointer(dx_at, zero), lanes(zero)
    for plane in range(start, stop):
        share = splat(dy[plane] / as_number(pixels, zero))
        i, end = plane * pixels, (plane + 1) * pixels
        while i + width <= end:
            store(dx, i, share)
            i += width
        if i < end:
            store_part(dx, i, share, end - i)
