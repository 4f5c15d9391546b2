"""Pooling of as many planes at once as a vector has lanes: each lane is a plane, and any window is plain loops.

A band of a group of planes is transposed into scratch, so that pixel p of all of them is one vector; windows
are walked there, and what comes of them is transposed back. No case of stride, padding or width needs lanes
moved, images of 4×4 pixels fill vectors as well as large ones, and all memory is read and written in order.
Where planes are no multiple of the lanes the last group overlaps the one before.

A table says how windows lie on each of three axes: for each window its first pixel and how many it has;
`steps` is how far apart they are. Bands are four numbers each, which the kernels explain.
"""

import math

from deepconv.engine.kernels.bands import zipped
from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.lanewise import either, equal, is_nan, less, like, select
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
from deepconv.engine.kernels.streaming import VECTOR_BYTES, finish, first_whole, put
from deepconv.engine.kernels.turning import gather, scatter

_BLOCK = 4096
"""Pixels of a plane that are added up in the type that is computed in."""


@part
def _cells(cell, known, count_a, count_b, count_c, stride_a, stride_b, stride_c):
    """Write how far a window's pixels lie behind its first, unless `known` is that there are so many on each axis."""
    if known[0] == count_a and known[1] == count_b and known[2] == count_c:
        return known
    n = 0
    for i in range(count_a):
        for j in range(count_b):
            for k in range(count_c):
                cell[n] = i * stride_a + j * stride_b + k * stride_c
                n += 1
    return count_a, count_b, count_c, n


@part
def _together(counts, c, out_c):
    """Tell whether four windows from c on hold as many pixels each: they are walked at once."""
    return c + 4 <= out_c and (
        counts[c] == counts[c + 1] and counts[c] == counts[c + 2] and counts[c] == counts[c + 3]
    )


@part
def _greater(most, missing, v):
    """Return the greater of both, and where there was NaN until now."""
    return select(less(most, v), v, most), either(missing, is_nan(v))


@part
def _largest(pixel, at, cell, count, zero):
    """Return the largest pixel of a window whose first stands at `at`."""
    width = lanes(zero)
    most = like(splat(zero), -math.inf)
    missing = is_nan(most)
    for m in range(count):
        most, missing = _greater(most, missing, load(pixel, (at + cell[m]) * width))
    return select(missing, like(most, math.nan), most)


@part
def _largest_four(pixel, firsts, cell, count, zero):
    """Return the largest pixels of four windows: one's instructions would wait for each other."""
    width = lanes(zero)
    p, q, r, s = firsts
    a = b = c = d = like(splat(zero), -math.inf)
    no_a = no_b = no_c = no_d = is_nan(a)
    for m in range(count):
        n = cell[m]
        a, no_a = _greater(a, no_a, load(pixel, (p + n) * width))
        b, no_b = _greater(b, no_b, load(pixel, (q + n) * width))
        c, no_c = _greater(c, no_c, load(pixel, (r + n) * width))
        d, no_d = _greater(d, no_d, load(pixel, (s + n) * width))
    nan = like(a, math.nan)
    return select(no_a, nan, a), select(no_b, nan, b), select(no_c, nan, c), select(no_d, nan, d)


@part
def _sum(pixel, at, cell, count, zero):
    """Return the sum of a window's pixels."""
    width, total = lanes(zero), splat(zero)
    for m in range(count):
        total = total + load(pixel, (at + cell[m]) * width)
    return total


@part
def _sum_four(pixel, firsts, cell, count, zero):
    """Return the sums of four windows."""
    width = lanes(zero)
    p, q, r, s = firsts
    a = b = c = d = splat(zero)
    for m in range(count):
        n = cell[m]
        a = a + load(pixel, (p + n) * width)
        b = b + load(pixel, (q + n) * width)
        c = c + load(pixel, (r + n) * width)
        d = d + load(pixel, (s + n) * width)
    return a, b, c, d


def _over_windows(one, four, name):
    """Return the kernel of what is made of the pixels of one window, or of four at once."""

    def run(
        x_at, y_at, divisor_at, before, each, scratch, cells, room, table_at, bands_at, bands, start, stop, planes,
        pixels, outputs, out_a, out_b, out_c, size_b, size_c, step_a, step_b, step_c, zero: Number,
    ):  # fmt: skip
        """Write what is made of each window's pixels.

        A band is the rows of windows from its first number to its second, and the pixels from its third to its fourth.
        Scratch has room for `cells` whole numbers, `room` vectors of pixels, and the windows of a band. Unless
        `divisor_at` is 0, pixels are divided, where `before`, or else what is made of them: by `divisor[p]`, or all
        by its first number unless `each`.
        """
        x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
        cell, pixel = pointer(scratch, room), pointer(scratch + 8 * cells, zero)
        window, table, band = shift(pixel, room * width), pointer(table_at, room), pointer(bands_at, room)
        first, counts = shift(table, 2 * (out_a + out_b)), shift(table, 2 * (out_a + out_b) + out_c)
        divisor, known = pointer(divisor_at, zero), (0, 0, 0, 0)
        for task in range(start, stop):
            plane, b = min(task // bands * width, planes - width), task % bands * 4
            low = band[b + 2]
            gather(shift(x, plane * pixels + low), pixels, band[b + 3] - low, pixel)
            if divisor_at and before:
                for p in range(band[b + 3] - low):
                    store(pixel, p * width, load(pixel, p * width) / splat(divisor[(p + low) * each]))
            at = 0
            for row in range(band[b], band[b + 1]):
                i, j, c = row // out_b, 2 * out_a + row % out_b, 0
                base = (table[i] * size_b + table[j]) * size_c - low
                while c < out_c:
                    known = _cells(
                        cell, known, table[i + out_a], table[j + out_b], counts[c],
                        step_a * size_b * size_c, step_b * size_c, step_c,
                    )  # fmt: skip
                    if _together(counts, c, out_c):
                        firsts = (
                            base + first[c],
                            base + first[c + 1],
                            base + first[c + 2],
                            base + first[c + 3],
                        )
                        found = four(pixel, firsts, cell, known[3], zero)
                        for q in range(4):
                            store(window, at + q * width, found[q])
                        c, at = c + 4, at + 4 * width
                    else:
                        store(window, at, one(pixel, base + first[c], cell, known[3], zero))
                        c, at = c + 1, at + width
            if divisor_at and not before:
                place = band[b] * out_c
                for o in range(at // width):
                    store(window, o * width, load(window, o * width) / splat(divisor[(place + o) * each]))
            scatter(window, shift(y, plane * outputs + band[b] * out_c), outputs, at // width)

    run.__name__ = run.__qualname__ = name
    return kernel(run)


# NaN is the largest of all, nothing is -inf.
largest = _over_windows(_largest, _largest_four, "largest")
sums = _over_windows(_sum, _sum_four, "sums")


@part
def _claim(most, place, v, here):
    """Return the largest until now and its place: the first of equal ones, of several NaN the last."""
    won = either(less(most, v), is_nan(v))
    return select(won, v, most), select(won, here, place)


@part
def _nowhere(count, zero):
    """Return where the largest of `count` pixels is sought: at the first, or at -1 if there is none."""
    return like(splat(zero), 0.0 if count else -1.0)


@part
def _winner(pixel, at, cell, count, zero):
    """Return the largest pixel of a window, and how far behind the first it stands; -1 where there is none."""
    width = lanes(zero)
    most, place = like(splat(zero), -math.inf), _nowhere(count, zero)
    for m in range(count):
        here = splat(as_number(cell[m], zero))
        most, place = _claim(most, place, load(pixel, (at + cell[m]) * width), here)
    return most, place


@part
def _winner_four(pixel, firsts, cell, count, zero):
    """Return those of four windows: pixels, then places."""
    width = lanes(zero)
    p, q, r, s = firsts
    a = b = c = d = like(splat(zero), -math.inf)
    to_a = to_b = to_c = to_d = _nowhere(count, zero)
    for m in range(count):
        n = cell[m]
        here = splat(as_number(n, zero))
        a, to_a = _claim(a, to_a, load(pixel, (p + n) * width), here)
        b, to_b = _claim(b, to_b, load(pixel, (q + n) * width), here)
        c, to_c = _claim(c, to_c, load(pixel, (r + n) * width), here)
        d, to_d = _claim(d, to_d, load(pixel, (s + n) * width), here)
    return (a, b, c, d), (to_a, to_b, to_c, to_d)


@kernel
def winners(
    x_at, y_at, won_at, scratch, cells, room, table_at, bands_at, bands, start, stop, planes, pixels, outputs,
    out_a, out_b, out_c, size_b, size_c, step_a, step_b, step_c, zero: Number,
):  # fmt: skip
    """Write the largest pixel of each window, as `largest`, and how many pixels behind the window's first it stands.

    The walk is that of `largest` written out: a window has two results, and nothing is divided. These places have the
    type that is computed in, -1 is that of a window without a pixel. Scratch has room for twice the windows of a band.
    """
    x, y, won, width = pointer(x_at, zero), pointer(y_at, zero), pointer(won_at, zero), lanes(zero)
    cell, pixel = pointer(scratch, room), pointer(scratch + 8 * cells, zero)
    window, table, band = shift(pixel, room * width), pointer(table_at, room), pointer(bands_at, room)
    first, counts = shift(table, 2 * (out_a + out_b)), shift(table, 2 * (out_a + out_b) + out_c)
    known = 0, 0, 0, 0
    for task in range(start, stop):
        plane, b = min(task // bands * width, planes - width), task % bands * 4
        low = band[b + 2]
        gather(shift(x, plane * pixels + low), pixels, band[b + 3] - low, pixel)
        place, at = shift(window, (band[b + 1] - band[b]) * out_c * width), 0
        for row in range(band[b], band[b + 1]):
            i, j, c = row // out_b, 2 * out_a + row % out_b, 0
            base = (table[i] * size_b + table[j]) * size_c - low
            while c < out_c:
                known = _cells(
                    cell, known, table[i + out_a], table[j + out_b], counts[c],
                    step_a * size_b * size_c, step_b * size_c, step_c,
                )  # fmt: skip
                if _together(counts, c, out_c):
                    firsts = base + first[c], base + first[c + 1], base + first[c + 2], base + first[c + 3]
                    most, to = _winner_four(pixel, firsts, cell, known[3], zero)
                    for q in range(4):
                        store(window, at + q * width, most[q])
                        store(place, at + q * width, to[q])
                    c, at = c + 4, at + 4 * width
                else:
                    v, w = _winner(pixel, base + first[c], cell, known[3], zero)
                    store(window, at, v)
                    store(place, at, w)
                    c, at = c + 1, at + width
        to = plane * outputs + band[b] * out_c
        scatter(window, shift(y, to), outputs, at // width)
        scatter(place, shift(won, to), outputs, at // width)


@part
def _clear(share, first, end, zero):
    """Write zeros from `first` to `end`, and at most a vector behind."""
    for i in range(first, end, lanes(zero)):
        store(share, i, splat(zero))


@part
def _give(share, won, dy, first, count):
    """Add the gradients of windows side by side to the shares of the pixels that won them."""
    for c in range(count):
        place = int(won[c])
        if place >= 0:
            share[first[c] + place] += dy[c]


@part
def _halves(place, v, row, below, zero):
    """Return the shares of a row of pixels of windows two by two: of the first half of the windows, and the second."""
    here = splat(as_number(row * below, zero))
    nothing = splat(zero)
    return zipped(
        select(equal(place, here), v, nothing), select(equal(place, here + like(here, 1.0)), v, nothing)
    )


@part
def _give_pairs(share, won, dy, count, below, zero):
    """Write the shares of all pixels of `count` windows side by side, two by two each, the rows `below` apart.

    The last vector reaches back over the one before it.
    """
    width = lanes(zero)
    if count >= width:
        for i in range(0, count, width):
            c = min(i, count - width)
            place, v = load(won, c), load(dy, c)
            for row in range(2):
                one, other = _halves(place, v, row, below, zero)
                store(share, row * below + 2 * c, one)
                store(share, row * below + 2 * c + width, other)
        return
    place, v = load_part(won, 0, count), load_part(dy, 0, count)
    for row in range(2):
        one, other = _halves(place, v, row, below, zero)
        if 2 * count < width:
            store_part(share, row * below, one, 2 * count)
        else:
            store(share, row * below, one)
        if 2 * count > width:
            store_part(share, row * below + width, other, 2 * count - width)


@part
def _spread_pairs(dy, won, dx, start, stop, out, zero):
    """Write the gradient of planes that are all windows of two by two, `out[0]` rows of `out[1]`."""
    rows, width = out
    for row in range(start * rows, stop * rows):
        _give_pairs(
            shift(dx, 4 * row * width),
            shift(won, row * width),
            shift(dy, row * width),
            width,
            2 * width,
            zero,
        )


@part
def _move(share, dx, at, count, streamed, zero):
    """Copy shares to `dx`, which lies at the address `at`, past the caches if `streamed`."""
    width, i = lanes(zero), first_whole(at, count, zero)
    if i:
        store_part(dx, 0, load_part(share, 0, i), i)
    while i + width <= count:
        put(dx, i, load(share, i), streamed)
        i += width
    if i < count:
        store_part(dx, i, load_part(share, i, count - i), count - i)


@kernel
def largest_grad(
    dy_at, won_at, dx_at, pairs, streamed, scratch, cells, room, table_at, bands_at, bands, start, stop, planes,
    pixels, outputs, out_a, out_b, out_c, size_b, size_c, step_a, step_b, step_c, zero: Number,
):  # fmt: skip
    """Write the gradient of `largest`: dy of each window goes to the pixel that won it, as `winners` has it.

    A task is a plane, all bands one after the other; its shares are added up in scratch. Of planes of one band some are
    taken together: what was just written by numbers can't be read by vectors before it has left the processor.
    Number by number, as each goes elsewhere; but where a plane is all windows of two by two (`pairs`), by vectors.
    Lanes as planes, as in the other kernels, took 1.5 times as long: all cells of a window were compared and added to.
    """
    dy, won, dx, width = pointer(dy_at, zero), pointer(won_at, zero), pointer(dx_at, zero), lanes(zero)
    share, table, band = pointer(scratch + 8 * cells, zero), pointer(table_at, room), pointer(bands_at, room)
    first, size = shift(table, 2 * (out_a + out_b)), VECTOR_BYTES // width
    if pairs:
        _spread_pairs(dy, won, dx, start, stop, (outputs // out_c, out_c), zero)
        return
    together = width if bands == 1 else 1
    for plane in range(start, stop, together):
        count = min(together, stop - plane)
        _clear(share, 0, count * band[3], zero)
        for b in range(0, 4 * bands, 4):
            low, high = band[b + 2], band[b + 3]
            for n in range(count):
                at, own = (plane + n) * outputs + band[b] * out_c, shift(share, n * pixels - low)
                i, j = band[b] // out_b, band[b] % out_b
                for _ in range(band[b], band[b + 1]):
                    base = (table[i] * size_b + table[2 * out_a + j]) * size_c
                    j += 1
                    if j == out_b:
                        i, j = i + 1, 0
                    to, place, given = shift(own, base), shift(won, at), shift(dy, at)
                    _give(to, place, given, first, out_c)
                    at += out_c
            after = band[b + 6] if b + 4 < 4 * bands else high
            at = plane * pixels + low
            _move(share, shift(dx, at), dx_at + at * size, count * (after - low), streamed, zero)
            if b + 4 < 4 * bands:
                # The next band sees some of these pixels, too.
                kept = max(0, high - after)
                for p in range(kept):
                    share[p] = share[after - low + p]
                _clear(share, kept, band[b + 7] - after, zero)
    if streamed:
        finish()


@part
def _part_sums(x, at, end, zero):
    """Return a vector whose lanes add up to the sum from `x[at]` to before `x[end]`."""
    width, a, b = lanes(zero), splat(zero), splat(zero)
    while at + 2 * width <= end:
        a, b = a + load(x, at), b + load(x, at + width)
        at += 2 * width
    while at < end:
        a = a + load_part(x, at, min(width, end - at))
        at += width
    return a + b


@kernel
def means(x_at, y_at, scratch, start, stop, pixels, zero: Number):
    """Write the mean of each plane from `start` to `stop`; blocks are added up in float64.

    Of planes of one block as many as a vector has lanes are added up at once, in the order of `lanes_sum`: a third of
    the time was that. Scratch holds the squares of two vectors.
    """
    x, y, square, width = pointer(x_at, zero), pointer(y_at, zero), pointer(scratch, zero), lanes(zero)
    turned, plane = shift(square, width * width), start
    while pixels <= _BLOCK and plane + width <= stop:
        for i in range(width):
            at = (plane + i) * pixels
            store(square, i * width, _part_sums(x, at, at + pixels, zero))
        turn_square(square, width, turned, width)
        half = width // 2
        while half:
            for i in range(half):
                store(turned, i * width, load(turned, i * width) + load(turned, (i + half) * width))
            half //= 2
        store(y, plane, load(turned, 0) / splat(as_number(pixels, zero)))
        plane += width
    while plane < stop:
        total = 0.0
        for at in range(plane * pixels, (plane + 1) * pixels, _BLOCK):
            total += float(lanes_sum(_part_sums(x, at, min(at + _BLOCK, (plane + 1) * pixels), zero)))
        y[plane] = as_number(total / pixels, zero)
        plane += 1


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
