"""Optimizer updates: every weight, its gradient and its averages are read once and written once.

All parameters are changed by one call. A table has a row of whole numbers for each: the addresses of the weights,
their gradient and two averages (0 where a rule keeps none), how many numbers there are, and whether they decay.
"""

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.simd import (
    fma,
    lanes,
    lanes_sum,
    load,
    load_part,
    pointer,
    splat,
    sqrt,
    store,
    store_part,
)

FIELDS = 6
WEIGHT, GRADIENT, FIRST, SECOND, SIZE, DECAYS = range(FIELDS)

BLOCK = 4096
"""Squares that are added up in vectors, before they join a sum in float64."""


@part
def _get(p, i, size):
    """Return the vector from `p[i]` on, or what is left of `size` numbers and zeros."""
    return load(p, i) if i + lanes(p[0]) <= size else load_part(p, i, size - i)


@part
def _put(p, i, size, value):
    """Write the vector to `p[i]` and on, as far as there are `size` numbers."""
    if i + lanes(p[0]) <= size:
        store(p, i, value)
    else:
        store_part(p, i, value, size - i)


@kernel
def squares(table_at: int, rows: int, total_at: int, zero: Number) -> None:
    """Write the sum of the squares of all gradients to `total`, a float64."""
    table, total = pointer(table_at, 0), pointer(total_at, 0.0)
    width, sum_ = lanes(zero), 0.0
    for row in range(rows):
        g, size = pointer(table[row * FIELDS + GRADIENT], zero), table[row * FIELDS + SIZE]
        for start in range(0, size, BLOCK):
            i, end = start, min(size, start + BLOCK)
            a, b = splat(zero), splat(zero)
            while i + 2 * width <= end:
                u, v = load(g, i), load(g, i + width)
                a, b = fma(u, u, a), fma(v, v, b)
                i += 2 * width
            while i < end:
                u = load_part(g, i, min(width, end - i))
                a = fma(u, u, a)
                i += width
            sum_ += float(lanes_sum(a + b))
    total[0] = sum_


@kernel
def sgd(
    table_at: int,
    rows: int,
    nesterov: int,
    rate: Number,
    decay: Number,
    momentum: Number,
    scale: Number,
    zero: Number,
) -> None:
    """`g ← scale·g + decay·w`, `b ← momentum·b + g`, `w ← w - rate·b`; Nesterov `w ← w - rate·(g + momentum·b)`."""
    table, width = pointer(table_at, 0), lanes(zero)
    for row in range(rows):
        w, g = pointer(table[row * FIELDS + WEIGHT], zero), pointer(table[row * FIELDS + GRADIENT], zero)
        b, kept = pointer(table[row * FIELDS + FIRST], zero), table[row * FIELDS + FIRST] != 0
        decays = table[row * FIELDS + DECAYS] and abs(decay) > 0
        size = table[row * FIELDS + SIZE]
        for i in range(0, size, width):
            weight = _get(w, i, size)
            step = _get(g, i, size) * splat(scale)
            if decays:
                step = fma(splat(decay), weight, step)
            if kept:
                average = _get(b, i, size)
                average = fma(splat(momentum), average, step)
                step = fma(splat(momentum), average, step) if nesterov else average
                _put(b, i, size, average)
            weight = fma(splat(-rate), step, weight)
            _put(w, i, size, weight)


@kernel
def adam(
    table_at: int, rows: int, rate: Number, decay: Number, apart: Number, beta1: Number, rest1: Number,
    beta2: Number, rest2: Number, root: Number, eps: Number, scale: Number, zero: Number,
) -> None:  # fmt: skip
    """`m ← β₁·m + rest₁·g`, `v ← β₂·v + rest₂·g²`, `w ← w - apart·w - rate·m / (root·√v + eps)`.

    With `g ← scale·g + decay·w`; each rest is `1 - β`, which float32 would lose digits of.
    """
    table, width = pointer(table_at, 0), lanes(zero)
    for row in range(rows):
        w, g = pointer(table[row * FIELDS + WEIGHT], zero), pointer(table[row * FIELDS + GRADIENT], zero)
        m, v = pointer(table[row * FIELDS + FIRST], zero), pointer(table[row * FIELDS + SECOND], zero)
        decays = table[row * FIELDS + DECAYS]
        size = table[row * FIELDS + SIZE]
        for i in range(0, size, width):
            weight = _get(w, i, size)
            slope = _get(g, i, size) * splat(scale)
            first = _get(m, i, size)
            second = _get(v, i, size)
            if decays and abs(decay) > 0:
                slope = fma(splat(decay), weight, slope)
            first = fma(splat(beta1), first, splat(rest1) * slope)
            second = fma(splat(beta2), second, splat(rest2) * slope * slope)
            step = splat(rate) * first / fma(splat(root), sqrt(second), splat(eps))
            if decays and abs(apart) > 0:
                step = fma(splat(apart), weight, step)
            weight = weight - step
            _put(w, i, size, weight)
            _put(m, i, size, first)
            _put(v, i, size, second)
