"""Softmax cross-entropy of class numbers: the loss and its gradient, each score read from memory once."""

import math

from deepconv.engine.kernels.activation import _column_exp, _row_exp, _row_max
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
from deepconv.engine.kernels.transcendental import log


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
        at, label = n * count, labels[n]
        top = _row_max(x, at, count, lowest)
        highest = lanes_max(top)
        total = _row_exp(shift(x, at), row, 0, count, top)
        mean = _row_mean(x, at, count, top) if smoothing > 0 else zero
        terms[n] = _term(lanes_max(log(total)), x[at + label] - highest, mean, smoothing)
        if dx_at:
            own = shares[n] if shares_at else share
            scale, less = splat(own) / total, splat(-own * smoothing / as_number(count, zero))
            for i in range(0, count - width + 1, width):
                store(dx, at + i, fma(load(row, i), scale, less))
            rest = count % width
            if rest:
                i = count - rest
                store_part(dx, at + i, fma(load_part(row, i, rest), scale, less), rest)
            dx[at + label] -= own * (1 - smoothing)


@kernel
def cross_entropy_columns(
    x_at: int, labels_at: int, terms_at: int, dx_at: int, shares_at: int, scratch: int, start: int, stop: int,
    step: int, count: int, inner: int, smoothing: Number, share: Number, zero: Number,
) -> None:  # fmt: skip
    """Do the same for scores `(outer, count, inner)`, the classes in the middle, of the images from `start` to `stop`.

    They are taken `step` columns at once, whole vectors; the last ones of an image overlap those before, and are
    done twice. Scratch holds `(count + 3) · step` numbers.
    """
    x, terms, dx = pointer(x_at, zero), pointer(terms_at, zero), pointer(dx_at, zero)
    labels, shares, top = pointer(labels_at, 0), pointer(shares_at, zero), pointer(scratch, zero)
    logs, means, e = shift(top, step), shift(top, 2 * step), shift(top, 3 * step)
    width, classes = lanes(zero), as_number(count, zero)
    for n in range(start, stop):
        own = shares[n] if shares_at else share
        for block in range(0, inner, step):
            first = min(block, inner - step)
            at = n * count * inner + first
            _column_exp(x, at, inner, step, count, e, top)
            for j in range(0, step, width):
                total, mean, highest = load(e, j), load(x, at + j) - load(top, j), load(top, j)
                for k in range(1, count):
                    total = total + load(e, k * step + j)
                    if smoothing > 0:
                        mean = mean + (load(x, at + k * inner + j) - highest)
                store(logs, j, log(total))
                store(means, j, mean / splat(classes))
                if dx_at:
                    factor, less = splat(own) / total, splat(-own * smoothing / classes)
                    for k in range(count):
                        store(dx, at + k * inner + j, fma(load(e, k * step + j), factor, less))
            for j in range(step):
                place = at + labels[n * inner + first + j] * inner + j
                terms[n * inner + first + j] = _term(logs[j], x[place] - top[j], means[j], smoothing)
                if dx_at:
                    dx[place] -= own * (1 - smoothing)
