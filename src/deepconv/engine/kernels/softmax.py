"""Softmax along an axis, and its gradient: rows that lie in order, or blocks of columns of vectors.

Where the axis is not the last, a block is some neighbours of it, whole vectors, side by side: it is copied to
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
def copy_with_greatest(x, at, inner, step, count, e, top):
    """Copy a block to `e`, and write the greatest of each column to `top`; each line of x is read once."""
    width = lanes(x[0])
    if inner == 1:
        gather(shift(x, at), count, count, e)
        greatest = load(e, 0)
        for k in range(step, count * step, step):
            greatest = maximum(greatest, load(e, k))
        store(top, 0, greatest)
        return
    for j in range(0, step, width):
        store(top, j, load(x, at + j))
    for k in range(count):
        for j in range(0, step, width):
            v = load(x, at + k * inner + j)
            store(e, k * step + j, v)
            store(top, j, maximum(load(top, j), v))


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


@kernel
def blocks_grad(
    dy_at, y_at, dx_at, scratch, start, stop, blocks, step, count, inner, logarithm, zero: Number
):
    """Write the gradient of `blocks` from y, but not for rows; scratch holds `(2 · count + 1) · step` numbers."""
    dy, y, dx, width = pointer(dy_at, zero), pointer(y_at, zero), pointer(dx_at, zero), lanes(zero)
    product = pointer(scratch, zero)
    kept, e = shift(product, step), shift(product, (count + 1) * step)
    for task in range(start, stop):
        at = _place(task, blocks, step, count, inner)
        for j in range(0, step, width):
            store(product, j, splat(zero))
        for k in range(count):
            ahead = (
                at + (k + _AHEAD) * inner if k + _AHEAD < count else at + (k + _AHEAD - count) * inner + step
            )
            for j in range(0, step, width):
                v, w = load(dy, at + k * inner + j), load(y, at + k * inner + j)
                if j % (2 * width) == 0:
                    prefetch(dy, ahead + j, 1)
                    prefetch(y, ahead + j, 1)
                store(kept, k * step + j, v)
                store(e, k * step + j, w)
                store(product, j, fma(v, like(v, 1.0) if logarithm else w, load(product, j)))
        for k in range(count):
            for j in range(0, step, width):
                v = _gradient(load(kept, k * step + j), load(e, k * step + j), load(product, j), logarithm)
                store(dx, at + k * inner + j, v)
