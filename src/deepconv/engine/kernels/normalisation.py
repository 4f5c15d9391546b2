"""Normalisation of sets of numbers and its gradient: while one set is in the caches all is done with it.

A *set* is what shares a mean and a variance: `pieces` stretches of `length` numbers, `piece_step` apart,
the first at `set · set_step`. A channel over a batch has a piece in each image; a group of channels in one
image is one piece. A piece consists of `runs` channels of equal size, each with its own weight and bias;
those of set s begin at channel `(s mod cycle) · runs`.

Sums are vectors of partial sums over blocks of a few thousand numbers, which are added up in float64. The
variance is that of the blocks about their own means, put together by Chan, Golub and LeVeque's formula
(1979): `mean(x²) - mean(x)²` would lose all its digits where the mean is large, and the differences from
the mean of all would need the set twice from memory, where a block is still in the first cache.

Tried and not faster: asking for the next piece's lines beforehand (short pieces lost what long ones gained).
"""

import math

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.simd import (
    as_number,
    clip,
    clip_grad,
    fma,
    keep_part,
    lanes,
    lanes_sum,
    load,
    load_part,
    pointer,
    shift,
    splat,
    store,
    store_part,
)

BLOCK = 4096
"""Numbers in a block: 16 KB of float32, half of a small first cache; and 128 that are added to one partial sum."""


@part
def _add(x, at, count, sums):
    """Return the four partial sums with `count` numbers from `x[at]` on added."""
    width = lanes(x[0])
    a, b, c, d = sums
    i = 0
    while i + 4 * width <= count:
        a = a + load(x, at + i)
        b = b + load(x, at + i + width)
        c = c + load(x, at + i + 2 * width)
        d = d + load(x, at + i + 3 * width)
        i += 4 * width
    while i + width <= count:
        a = a + load(x, at + i)
        i += width
    if i < count:
        b = b + load_part(x, at + i, count - i)
    return a, b, c, d


@part
def _add_squares(x, at, count, mean, sums):
    """Return the four partial sums with the squares of `x - mean` added."""
    width = lanes(x[0])
    a, b, c, d = sums
    i = 0
    while i + 4 * width <= count:
        t = load(x, at + i) - mean
        u = load(x, at + i + width) - mean
        v = load(x, at + i + 2 * width) - mean
        w = load(x, at + i + 3 * width) - mean
        a, b, c, d = fma(t, t, a), fma(u, u, b), fma(v, v, c), fma(w, w, d)
        i += 4 * width
    while i + width <= count:
        t = load(x, at + i) - mean
        a = fma(t, t, a)
        i += width
    if i < count:
        t = keep_part(load_part(x, at + i, count - i) - mean, count - i)
        b = fma(t, t, b)
    return a, b, c, d


@part
def _total(sums):
    """Return the sum of four partial sums, in the order that never changes."""
    a, b, c, d = sums
    return float(lanes_sum((a + b) + (c + d)))


@part
def _statistics(x, first, pieces, piece_step, length, zero):
    """Return the mean of a set and the sum of the squares of its differences from it, both in float64."""
    nothing = splat(zero)
    rows = max(1, BLOCK // length)
    count, mean, spread = 0, 0.0, 0.0
    for p in range(0, pieces, rows):
        end = min(pieces, p + rows)
        for k in range(0, length, BLOCK):
            size = min(BLOCK, length - k)
            sums = nothing, nothing, nothing, nothing
            for q in range(p, end):
                sums = _add(x, first + q * piece_step + k, size, sums)
            block = (end - p) * size
            own = _total(sums) / block
            about = splat(as_number(own, zero))
            sums = nothing, nothing, nothing, nothing
            for q in range(p, end):
                sums = _add_squares(x, first + q * piece_step + k, size, about, sums)
            gap = own - mean
            spread += _total(sums) + gap * gap * (count / (count + block) * block)
            mean += gap * (block / (count + block))
            count += block
    return mean, spread


@part
def _write(x, y, at, count, mean, scale, shift, low, high):
    """Write `(x - mean) · scale + shift`, clipped, to `y[at]` and on."""
    width = lanes(x[0])
    i = 0
    while i + 2 * width <= count:
        v = fma(load(x, at + i) - mean, scale, shift)
        w = fma(load(x, at + i + width) - mean, scale, shift)
        store(y, at + i, clip(v, low, high))
        store(y, at + i + width, clip(w, low, high))
        i += 2 * width
    while i + width <= count:
        store(y, at + i, clip(fma(load(x, at + i) - mean, scale, shift), low, high))
        i += width
    if i < count:
        v = fma(load_part(x, at + i, count - i) - mean, scale, shift)
        store_part(y, at + i, clip(v, low, high), count - i)


@kernel
def normalise(
    x_at: int, y_at: int, weight_at: int, bias_at: int, mean_at: int, var_at: int, given: int, start: int, stop: int,
    pieces: int, piece_step: int, set_step: int, length: int, runs: int, cycle: int,
    eps: Number, low: Number, high: Number, zero: Number,
) -> None:  # fmt: skip
    """Write mean and biased variance of the sets from `start` to `stop`, and `y`, where `y_at` isn't 0.

    `y = clip((x - mean) / sqrt(var + eps) · weight + bias, low, high)`; weight and bias may be missing (0), NaN
    limits nothing. Where `given`, mean and variance are read, not found.
    """
    x, y, mean, var = pointer(x_at, zero), pointer(y_at, zero), pointer(mean_at, zero), pointer(var_at, zero)
    weight, bias = pointer(weight_at, zero), pointer(bias_at, zero)
    for s in range(start, stop):
        if not given:
            found, spread = _statistics(x, s * set_step, pieces, piece_step, length, zero)
            mean[s] = as_number(found, zero)
            var[s] = as_number(spread / (pieces * length), zero)
        if y_at:
            inverse = 1 / math.sqrt(float(var[s]) + eps)
            run = length // runs
            for r in range(runs):
                channel = s % cycle * runs + r
                scale = as_number(inverse * weight[channel] if weight_at else inverse, zero)
                shift = bias[channel] if bias_at else zero
                # Backwards: of a set that is larger than a cache the end is still there.
                for p in range(pieces - 1, -1, -1):
                    at = s * set_step + p * piece_step + r * run
                    _write(x, y, at, run, splat(mean[s]), splat(scale), splat(shift), splat(low), splat(high))


@part
def _add_products(dy, x, at, count, clipped, numbers, sums, products):
    """Return the partial sums with `g` and `g · (x - mean)` added; `g` is `dy` past the limits of the output."""
    width = lanes(x[0])
    mean, scale, shift, low, high = numbers
    a, b, c, d = sums
    e, f, g, h = products
    i = 0
    while i + 2 * width <= count:
        v, w = load(x, at + i) - mean, load(x, at + i + width) - mean
        t, u = load(dy, at + i), load(dy, at + i + width)
        if clipped:
            t = clip_grad(t, fma(v, scale, shift), low, high)
            u = clip_grad(u, fma(w, scale, shift), low, high)
        a, b = a + t, b + u
        e, f = fma(t, v, e), fma(u, w, f)
        i += 2 * width
    while i + width <= count:
        v = load(x, at + i) - mean
        t = load(dy, at + i)
        if clipped:
            t = clip_grad(t, fma(v, scale, shift), low, high)
        c, g = c + t, fma(t, v, g)
        i += width
    if i < count:
        v = keep_part(load_part(x, at + i, count - i) - mean, count - i)
        t = clip_grad(load_part(dy, at + i, count - i), fma(v, scale, shift), low, high)
        d, h = d + t, fma(t, v, h)
    return (a, b, c, d), (e, f, g, h)


@part
def _write_gradient(dy, x, dx, at, count, clipped, numbers, tilt, level):
    """Write `dx = scale · g + tilt · (x - mean) + level`."""
    width = lanes(x[0])
    mean, scale, shift, low, high = numbers
    i = 0
    while i + width <= count:
        v = load(x, at + i) - mean
        g = load(dy, at + i)
        if clipped:
            g = clip_grad(g, fma(v, scale, shift), low, high)
        store(dx, at + i, fma(scale, g, fma(tilt, v, level)))
        i += width
    if i < count:
        v = load_part(x, at + i, count - i) - mean
        g = clip_grad(load_part(dy, at + i, count - i), fma(v, scale, shift), low, high)
        store_part(dx, at + i, fma(scale, g, fma(tilt, v, level)), count - i)


@part
def _products(dy, x, first, pieces, piece_step, run, clipped, numbers, zero):
    """Return `Σg` and `Σ g·(x - mean)` over one channel of a set, in float64."""
    nothing = splat(zero)
    rows = max(1, BLOCK // run)
    total, product = 0.0, 0.0
    for p in range(0, pieces, rows):
        for k in range(0, run, BLOCK):
            sums = nothing, nothing, nothing, nothing
            products = nothing, nothing, nothing, nothing
            for q in range(p, min(pieces, p + rows)):
                at = first + q * piece_step + k
                sums, products = _add_products(
                    dy, x, at, min(BLOCK, run - k), clipped, numbers, sums, products
                )
            total += _total(sums)
            product += _total(products)
    return total, product


@part
def _channel(s, r, runs, cycle, weight, weighted, bias, biased, mean, inverse, low, high):
    """Return what `_add_products` needs of run r of set s, as vectors."""
    channel = s % cycle * runs + r
    scale = as_number(inverse * weight[channel] if weighted else inverse, low)
    shift = bias[channel] if biased else as_number(0, low)
    return splat(mean), splat(scale), splat(shift), splat(low), splat(high)


@kernel
def gradients(
    dy_at: int, x_at: int, dx_at: int, weight_at: int, bias_at: int, mean_at: int, var_at: int,
    dw_at: int, db_at: int, given: int, start: int, stop: int,
    pieces: int, piece_step: int, set_step: int, length: int, runs: int, cycle: int,
    eps: Number, low: Number, high: Number, zero: Number,
) -> None:  # fmt: skip
    """Write the gradients of `normalise` for the sets from `start` to `stop`: `dx`, and for each run `dw` and `db`.

    With `s = sqrt(var + eps)`, `h = (x - mean) / s` and `g = weight · dy` (where the output was clipped, 0) each set of
    M numbers has `dx = (g - Σg / M - h · Σ(g·h) / M) / s`. Where `given`, mean and variance are the sets' own, found
    before; else they are found and written.
    """
    dy, x, dx = pointer(dy_at, zero), pointer(x_at, zero), pointer(dx_at, zero)
    weight, bias, dw, db = (
        pointer(weight_at, zero),
        pointer(bias_at, zero),
        pointer(dw_at, zero),
        pointer(db_at, zero),
    )
    mean, var = pointer(mean_at, zero), pointer(var_at, zero)
    run, count = length // runs, pieces * length
    clipped = low == low or high == high  # neither is NaN
    for s in range(start, stop):
        first = s * set_step
        if not given:
            found, spread = _statistics(x, first, pieces, piece_step, length, zero)
            mean[s] = as_number(found, zero)
            var[s] = as_number(spread / count, zero)
        inverse = 1 / math.sqrt(float(var[s]) + eps)
        total, product = 0.0, 0.0
        for r in range(runs):
            numbers = _channel(
                s, r, runs, cycle, weight, weight_at, bias, bias_at, mean[s], inverse, low, high
            )
            sums, products = _products(
                dy, x, first + r * run, pieces, piece_step, run, clipped, numbers, zero
            )
            db[s * runs + r] = as_number(sums, zero)
            dw[s * runs + r] = as_number(products * inverse, zero)
            factor = float(weight[s % cycle * runs + r]) if weight_at else 1.0
            total += sums * factor
            product += products * factor
        tilt = splat(as_number(-(inverse * inverse * inverse) * product / count, zero))
        level = splat(as_number(-inverse * total / count, zero))
        for r in range(runs):
            numbers = _channel(
                s, r, runs, cycle, weight, weight_at, bias, bias_at, mean[s], inverse, low, high
            )
            for p in range(pieces - 1, -1, -1):
                at = first + p * piece_step + r * run
                _write_gradient(dy, x, dx, at, run, clipped, numbers, tilt, level)


@part
def _add_short(dy, x, at, count, clipped, numbers, total, product):
    """Return two partial sums with `g` and `g · (x - mean)` added, as `_add_products`."""
    width = lanes(x[0])
    mean, scale, shift, low, high = numbers
    i = 0
    while i + width <= count:
        v, t = load(x, at + i) - mean, load(dy, at + i)
        if clipped:
            t = clip_grad(t, fma(v, scale, shift), low, high)
        total, product = total + t, fma(t, v, product)
        i += width
    if i < count:
        v = keep_part(load_part(x, at + i, count - i) - mean, count - i)
        t = load_part(dy, at + i, count - i)
        if clipped:
            t = clip_grad(t, fma(v, scale, shift), low, high)
        total, product = total + t, fma(t, v, product)
    return total, product


@part
def _own_numbers(known, own, low, high):
    """Return what `_add_products` needs of a channel whose numbers begin at `known[own]`."""
    return splat(known[own]), splat(known[own + 1]), splat(known[own + 2]), splat(low), splat(high)


@kernel
def short_gradients(
    dy_at: int, x_at: int, dx_at: int, weight_at: int, bias_at: int, mean_at: int, var_at: int,
    dw_at: int, db_at: int, scratch: int, chunk: int, start: int, stop: int, images: int, channels: int, length: int,
    eps: Number, low: Number, high: Number, zero: Number,
) -> None:  # fmt: skip
    """Do what `gradients` does for channels over a batch of small images, whose mean and variance are given.

    `chunk` channels at once, image by image: memory is read as it lies. Channel by channel, each image's pixels were
    as far from the last one's as all channels are long, often in the same lines of the first cache. Scratch holds two
    vectors and five numbers for each channel of a chunk.
    """
    dy, x, dx = pointer(dy_at, zero), pointer(x_at, zero), pointer(dx_at, zero)
    weight, bias, mean = pointer(weight_at, zero), pointer(bias_at, zero), pointer(mean_at, zero)
    var, dw, db = pointer(var_at, zero), pointer(dw_at, zero), pointer(db_at, zero)
    width, sums, count = lanes(zero), pointer(scratch, zero), images * length
    known = shift(sums, 2 * width * chunk)
    clipped = low == low or high == high  # neither is NaN
    for first in range(start, stop, chunk):
        size = min(chunk, stop - first)
        for c in range(size):
            s = first + c
            inverse = 1 / math.sqrt(float(var[s]) + eps)
            store(sums, 2 * width * c, splat(zero))
            store(sums, 2 * width * c + width, splat(zero))
            known[5 * c] = mean[s]
            known[5 * c + 1] = as_number(inverse * weight[s] if weight_at else inverse, zero)
            known[5 * c + 2] = bias[s] if bias_at else zero
        for n in range(images):
            for c in range(size):
                own, at = 5 * c, (n * channels + first + c) * length
                numbers = _own_numbers(known, own, low, high)
                to = 2 * width * c
                total, product = load(sums, to), load(sums, to + width)
                total, product = _add_short(dy, x, at, length, clipped, numbers, total, product)
                store(sums, to, total)
                store(sums, to + width, product)
        for c in range(size):
            s, to = first + c, 2 * width * c
            inverse = 1 / math.sqrt(float(var[s]) + eps)
            factor = inverse * weight[s] if weight_at else inverse
            total, product = float(lanes_sum(load(sums, to))), float(lanes_sum(load(sums, to + width)))
            db[s], dw[s] = as_number(total, zero), as_number(product * inverse, zero)
            known[5 * c + 3] = as_number(-(inverse * inverse) * factor * product / count, zero)
            known[5 * c + 4] = as_number(-factor * total / count, zero)
        for n in range(images):
            for c in range(size):
                own, at = 5 * c, (n * channels + first + c) * length
                numbers = _own_numbers(known, own, low, high)
                tilt, level = splat(known[own + 3]), splat(known[own + 4])
                _write_gradient(dy, x, dx, at, length, clipped, numbers, tilt, level)
