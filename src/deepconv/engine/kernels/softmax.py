"""Softmax along an axis, and its gradient: rows that lie in order, or blocks of columns of vectors.

Where the axis is not the last, a block is some neighbours of it, whole vectors, side by side: forward it is copied to
scratch, as lines a power of two apart would drive each other out of the caches. Short rows are turned into such
a block, one in each lane: what ends within a vector, and what adds up a vector's lanes, took twice the time.
"""

import math

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.lanewise import fill_behind, lanes_max, like, maximum
from deepconv.engine.kernels.simd import (
    fma,
    lanes,
    lanes_sum,
    load,
    load_part,
    pointer,
    prefetch,
    shift,
    splat,
    store,
    store_part,
)
from deepconv.engine.kernels.transcendental import exp, log
from deepconv.engine.kernels.turning import gather, scatter

_AHEAD = 4
"""Rows of a block that are asked for beforehand: each begins in another page, where no prefetcher follows."""


@part
def row_max(x, at, count, lowest):
    """Return the greatest of `count` numbers from `x[at]` on; NaN if one of them is."""
    width = lanes(x[0])
    a, b = lowest, lowest
    i = 0
    while i + 2 * width <= count:
        a, b = maximum(a, load(x, at + i)), maximum(b, load(x, at + i + width))
        i += 2 * width
    while i < count:
        rest = min(width, count - i)
        a = maximum(a, fill_behind(load_part(x, at + i, rest), rest, lowest))
        i += width
    return splat(lanes_max(maximum(a, b)))


@part
def row_exp(x, y, at, count, top):
    """Write `exp(x - top)` to `y[at]` and on; return the sum."""
    width = lanes(x[0])
    a, b = like(top, 0.0), like(top, 0.0)
    i = 0
    while i + 2 * width <= count:
        v, w = exp(load(x, at + i) - top), exp(load(x, at + i + width) - top)
        store(y, at + i, v)
        store(y, at + i + width, w)
        a, b = a + v, b + w
        i += 2 * width
    while i < count:
        rest = min(width, count - i)
        v = fill_behind(exp(load_part(x, at + i, rest) - top), rest, like(top, 0.0))
        store_part(y, at + i, v, rest)
        a = a + v
        i += width
    return splat(lanes_sum(a + b))


@part
def _row_product(dy, e, at, count, one, logarithm):
    """Return `Σ dy · e`, or `Σ dy` for a logarithm."""
    width = lanes(e[0])
    a, b = one - one, one - one
    i = 0
    while i + 2 * width <= count:
        v, w = load(dy, at + i), load(dy, at + i + width)
        a = fma(v, one if logarithm else load(e, at + i), a)
        b = fma(w, one if logarithm else load(e, at + i + width), b)
        i += 2 * width
    while i < count:
        rest = min(width, count - i)
        a = fma(load_part(dy, at + i, rest), one if logarithm else load_part(e, at + i, rest), a)
        i += width
    return splat(lanes_sum(a + b))


@part
def _gradient(dy, y, product, logarithm):
    """Return softmax's gradient from its output and `Σ dy · y`; for a logarithm, from that and `Σ dy`."""
    if logarithm:
        return dy - exp(y) * product
    return y * (dy - product)


@part
def _for_all(total, logarithm):
    """Return what `_probability` wants of a sum."""
    return log(total) if logarithm else like(total, 1.0) / total


@kernel
def rows(x_at, y_at, start, stop, count, logarithm, zero: Number):
    """Write softmax, or its logarithm, of the rows from `start` to `stop` of x, `count` numbers each."""
    x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
    lowest, rest = like(splat(zero), -math.inf), count % width
    for at in range(start * count, stop * count, count):
        top = row_max(x, at, count, lowest)
        total = _for_all(row_exp(x, y, at, count, top), logarithm)
        for i in range(at, at + count - rest, width):
            store(y, i, load(x, i) - top - total if logarithm else load(y, i) * total)
        if rest:
            i = at + count - rest
            v, w = load_part(x, i, rest) - top - total, load_part(y, i, rest) * total
            store_part(y, i, v if logarithm else w, rest)


@kernel
def rows_grad(dy_at, y_at, dx_at, start, stop, count, logarithm, zero: Number):
    """Write the gradient of `rows` from its output y."""
    dy, y, dx, width = pointer(dy_at, zero), pointer(y_at, zero), pointer(dx_at, zero), lanes(zero)
    one, rest = like(splat(zero), 1.0), count % width
    for at in range(start * count, stop * count, count):
        product = _row_product(dy, y, at, count, one, logarithm)
        for i in range(at, at + count - rest, width):
            store(dx, i, _gradient(load(dy, i), load(y, i), product, logarithm))
        if rest:
            i = at + count - rest
            v, w = load_part(dy, i, rest), load_part(y, i, rest)
            store_part(dx, i, _gradient(v, w, product, logarithm), rest)


@part
def _four(p, i):
    """Return the four vectors from `p[i]` on."""
    width = lanes(p[0])
    return load(p, i), load(p, i + width), load(p, i + 2 * width), load(p, i + 3 * width)


@part
def _put_four(p, i, values):
    """Write four vectors from `p[i]` on."""
    width = lanes(p[0])
    a, b, c, d = values
    store(p, i, a)
    store(p, i + width, b)
    store(p, i + 2 * width, c)
    store(p, i + 3 * width, d)


@part
def _ask_ahead(p, at, k, inner, count):
    """Ask for four vectors of the row `_AHEAD` rows behind row k of a block, or of the next block's first rows."""
    width = lanes(p[0])
    ahead = at + (k + _AHEAD) * inner
    if k + _AHEAD >= count:
        ahead += 4 * width - count * inner
    prefetch(p, (ahead, ahead + 2 * width), 1)


@part
def copy_with_greatest(x, at, inner, step, count, e, top):
    """Copy a block to `e`, and write the greatest of each column to `top`; each line of x is read once.

    The greatest stay in registers: read and written in `top` for each row of 100 vectors, they took five times as long.
    """
    width, j = lanes(x[0]), 0
    if inner == 1:
        gather(shift(x, at), count, count, e)
        greatest = load(e, 0)
        for k in range(step, count * step, step):
            greatest = maximum(greatest, load(e, k))
        store(top, 0, greatest)
        return
    while j + 4 * width <= step:
        a, b, c, d = _four(x, at + j)
        for k in range(count):
            _ask_ahead(x, at + j, k, inner, count)
            p, q, r, s = _four(x, at + k * inner + j)
            _put_four(e, k * step + j, (p, q, r, s))
            a, b, c, d = maximum(a, p), maximum(b, q), maximum(c, r), maximum(d, s)
        _put_four(top, j, (a, b, c, d))
        j += 4 * width
    while j < step:
        greatest = load(x, at + j)
        for k in range(count):
            v = load(x, at + k * inner + j)
            store(e, k * step + j, v)
            greatest = maximum(greatest, v)
        store(top, j, greatest)
        j += width


@part
def _place(task, blocks, step, count, inner):
    """Return where a block begins: of task t, it is block `t mod blocks` of image `t // blocks`.

    The last block of an image overlaps the one before. Where rows are blocks, `inner` is 1, and `blocks` are all rows.
    """
    if inner == 1:
        return min(task * step, blocks - step) * count
    return task // blocks * count * inner + min(task % blocks * step, inner - step)


@kernel
def blocks(x_at, y_at, scratch, start, stop, blocks, step, count, inner, logarithm, zero: Number):
    """Write softmax, or its logarithm, along the middle axis of x, (outer, count, inner), for some blocks.

    A block is `step` columns, whole vectors; see `_place`. Where `inner` is 1 it is as many rows as a vector has
    lanes. Scratch holds `(count + 2) · step` numbers.
    """
    x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
    top = pointer(scratch, zero)
    total, e = shift(top, step), shift(top, 2 * step)
    for task in range(start, stop):
        at = _place(task, blocks, step, count, inner)
        copy_with_greatest(x, at, inner, step, count, e, top)
        for j in range(0, step, width):
            highest, added = load(top, j), splat(zero)
            for k in range(j, j + count * step, step):
                v = load(e, k) - highest
                w = exp(v)
                store(e, k, v if logarithm else w)
                added = added + w
            store(total, j, _for_all(added, logarithm))
        to, line = (e, step) if inner == 1 else (shift(y, at), inner)
        for k in range(count):
            for j in range(0, step, width):
                v, w = load(e, k * step + j), load(total, j)
                store(to, k * line + j, v - w if logarithm else v * w)
        if inner == 1:
            scatter(e, shift(y, at), count, count)


@part
def _columns_product(dy, y, i, step, rows, inner, product, logarithm):
    """Add `dy · y`, or dy, of `rows` rows, one or two, from place i on to the sum of each column."""
    width = lanes(y[0])
    for j in range(0, step, width):
        k = i + min(j, step - width)
        v, total = load(dy, k), load(product, j)
        total = total + v if logarithm else fma(v, load(y, k), total)
        if rows == 2:
            v = load(dy, k + inner)
            total = total + v if logarithm else fma(v, load(y, k + inner), total)
        store(product, j, total)


@kernel
def blocks_grad(
    dy_at, y_at, dx_at, scratch, start, stop, blocks, step, count, inner, logarithm, zero: Number
):
    """Write the gradient of `blocks` from y, but not for rows; scratch holds `step` numbers and a vector.

    A block has any number of columns from a vector's on: its last vector overlaps the one before, and has sums of its
    own. All lines are as long as that, and read twice: in copies of a few hundred columns they are asked for one by
    one, which took half as long again.
    """
    dy, y, dx, width = pointer(dy_at, zero), pointer(y_at, zero), pointer(dx_at, zero), lanes(zero)
    product = pointer(scratch, zero)
    for task in range(start, stop):
        at = _place(task, blocks, step, count, inner)
        for j in range(0, step, width):
            store(product, j, splat(zero))
        for k in range(0, count, 2):
            _columns_product(dy, y, at + k * inner, step, min(2, count - k), inner, product, logarithm)
        for i in range(at, at + count * inner, inner):
            for j in range(0, step, width):
                k = i + min(j, step - width)
                store(dx, k, _gradient(load(dy, k), load(y, k), load(product, j), logarithm))
