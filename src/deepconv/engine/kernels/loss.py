"""Softmax cross-entropy of class numbers: the loss and its gradient, each score read from memory once."""

import math

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.lanewise import lanes_max, like
from deepconv.engine.kernels.simd import (
    as_number,
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
from deepconv.engine.kernels.softmax import copy_with_greatest, row_exp, row_max
from deepconv.engine.kernels.transcendental import exp, log
from deepconv.engine.kernels.turning import scatter


@part
def _row_mean(x, at, count, top):
    """Return the mean of `x - top` over `count` numbers from `x[at]` on."""
    width, total = lanes(x[0]), like(top, 0.0)
    for i in range(0, count - width + 1, width):
        total = total + (load(x, at + i) - top)
    rest = count % width
    if rest:
        total = total + keep_part(load_part(x, at + count - rest, rest) - top, rest)
    return lanes_sum(total) / as_number(count, x[0])


@part
def _hit(label, count, score, zero):
    """Return a label's score, or NaN where the label is no class: whoever sees that looks for it."""
    return score if 0 <= label < count else zero / zero


@part
def _class(label, count):
    """Return a label, or 0 where it is no class: nothing is read or written beside the scores."""
    return label if 0 <= label < count else 0


@part
def _term(logarithm, hit, mean, smoothing):
    """Return the loss of a sample whose label's score is `hit` above the greatest, all of them `mean` above it."""
    if smoothing > 0:
        return logarithm - ((1 - smoothing) * hit + smoothing * mean)
    return logarithm - hit


@kernel
def cross_entropy_rows(
    x_at: int, labels_at: int, terms_at: int, dx_at: int, shares_at: int, scratch: int, start: int, stop: int,
    count: int, smoothing: Number, share: Number, zero: Number,
) -> None:  # fmt: skip
    """Write the losses of the rows from `start` to `stop`, `count` scores each, and the gradient, unless `dx_at` is 0.

    `l = log Σ exp(x) - (1 - s)·x[label] - s·mean(x)`; the gradient is multiplied by the row's share, or by
    `share` where `shares_at` is 0. Scratch holds a row.
    """
    x, labels, terms = pointer(x_at, zero), pointer(labels_at, 0), pointer(terms_at, zero)
    dx, shares, row = pointer(dx_at, zero), pointer(shares_at, zero), pointer(scratch, zero)
    width, lowest = lanes(zero), like(splat(zero), -math.inf)
    for n in range(start, stop):
        at, label = n * count, _class(labels[n], count)
        top = row_max(x, at, count, lowest)
        highest = lanes_max(top)
        total = row_exp(shift(x, at), row, 0, count, top)
        mean = _row_mean(x, at, count, top) if smoothing > 0 else zero
        hit = _hit(labels[n], count, x[at + label] - highest, zero)
        terms[n] = _term(lanes_max(log(total)), hit, mean, smoothing)
        if dx_at:
            own = shares[n] if shares_at else share
            row[label] -= (1 - smoothing) * lanes_max(total)
            scale, less = splat(own) / total, splat(-own * smoothing / as_number(count, zero))
            for i in range(0, count - width + 1, width):
                store(dx, at + i, fma(load(row, i), scale, less))
            rest = count % width
            if rest:
                i = count - rest
                store_part(dx, at + i, fma(load_part(row, i, rest), scale, less), rest)


@part
def _add_columns(labels, step, count, e, block, smoothing, zero):
    """Make `e` exponentials, and write behind the greatest scores the labels' own, the means, logarithm and sum."""
    width = lanes(e[0])
    for j in range(step):
        score = e[_class(labels[j], count) * step + j]
        block[step + j] = _hit(labels[j], count, score - block[j], zero)
    for j in range(0, step, width):
        top = load(block, j)
        mean, total = like(top, 0.0), like(top, 0.0)
        for k in range(j, j + count * step, step):
            v = load(e, k) - top
            if smoothing > 0:
                mean = mean + v
            v = exp(v)
            store(e, k, v)
            total = total + v
        store(block, 2 * step + j, mean / splat(as_number(count, e[0])))
        store(block, 3 * step + j, log(total))
        store(block, 4 * step + j, total)


@kernel
def cross_entropy_blocks(
    x_at: int, labels_at: int, terms_at: int, dx_at: int, shares_at: int, scratch: int, start: int, stop: int,
    rows: int, step: int, count: int, inner: int, smoothing: Number, share: Number, zero: Number,
) -> None:  # fmt: skip
    """Do the same for scores `(outer, count, inner)`, the classes in the middle, of the images from `start` to `stop`.

    They are taken `step` columns at once, whole vectors; the last ones of an image overlap those before, and are
    done twice. Scratch holds `(count + 5) · step` numbers. Lines a power of two apart would drive each other out of
    the caches: each line of x is read once, and each of dx written once. Where `inner` is 1, what counts as an image
    is `step` of all the rows, as many as a vector has lanes: turned, they are columns, too.
    """
    x, terms, dx = pointer(x_at, zero), pointer(terms_at, zero), pointer(dx_at, zero)
    labels, shares, e = pointer(labels_at, 0), pointer(shares_at, zero), pointer(scratch, zero)
    width, block = lanes(zero), shift(e, count * step)
    for task in range(start, stop):
        n = min(task * step, rows - step) if inner == 1 else task
        for column in range(0, inner, step):
            first = 0 if inner == 1 else min(column, inner - step)
            at, place = n * count * inner + first, n * inner + first
            copy_with_greatest(x, at, inner, step, count, e, block)
            _add_columns(shift(labels, place), step, count, e, block, smoothing, zero)
            for j in range(step):
                terms[place + j] = _term(block[3 * step + j], block[step + j], block[2 * step + j], smoothing)
            if dx_at:
                for j in range(step):
                    own = (shares[place + j] if inner == 1 else shares[n]) if shares_at else share
                    total = block[4 * step + j]
                    e[_class(labels[place + j], count) * step + j] -= (1 - smoothing) * total
                    block[4 * step + j] = own / total
                    block[j] = -own * smoothing / as_number(count, zero)
                to, line = (e, step) if inner == 1 else (shift(dx, at), inner)
                for k in range(count):
                    for j in range(0, step, width):
                        v = fma(load(e, k * step + j), load(block, 4 * step + j), load(block, j))
                        store(to, k * line + j, v)
                if inner == 1:
                    scatter(e, shift(dx, at), count, count)


@kernel
def total(terms_at: int, count: int, total_at: int, zero: Number) -> None:
    """Write the sum of `count` terms, added up in float64."""
    terms = pointer(terms_at, zero)
    a = b = c = d = 0.0
    for i in range(0, count - 3, 4):
        a, b, c, d = a + terms[i], b + terms[i + 1], c + terms[i + 2], d + terms[i + 3]
    for i in range(count - count % 4, count):
        a += terms[i]
    pointer(total_at, 0.0)[0] = (a + b) + (c + d)
