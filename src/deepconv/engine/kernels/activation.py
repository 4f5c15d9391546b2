"""Activations and their gradients: one pass over memory, each number on its own; softmax along an axis.

Pointwise kernels take addresses, a count and a number that most leave alone (leaky ReLU's slope).
"""

import math

from deepconv.engine import machine
from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.lanewise import (
    fill_behind,
    lanes_max,
    less,
    less_equal,
    like,
    maximum,
    select,
)
from deepconv.engine.kernels.simd import (
    clip,
    clip_grad,
    fma,
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
from deepconv.engine.kernels.simd import relu as positive
from deepconv.engine.kernels.transcendental import exp, log, normal
from deepconv.engine.kernels.transcendental import sigmoid as logistic
from deepconv.engine.kernels.transcendental import tanh as hyperbolic

_VECTOR_BYTES = machine.target().vector_bytes
_ROOT_8_OVER_PI = 1.5957691216057308
_CUBIC = 0.044715
_FAR = 1000.0
"""Where SiLU and GELU have reached 0 or x in either type: `0 · inf` would be NaN."""


@part
def _limited(x):
    """Return x between ±1000."""
    low, high = like(x, -_FAR), like(x, _FAR)
    x = select(less(x, low), low, x)
    return select(less(high, x), high, x)


@part
def _not_below(x):
    """Return x, at least -1000."""
    return select(less(x, like(x, -_FAR)), like(x, -_FAR), x)


@part
def _relu(x, number):
    return positive(x)


@part
def _relu_grad(dy, x, number):
    return select(less_equal(x, like(x, 0.0)), like(x, 0.0), dy)


@part
def _relu6(x, number):
    return clip(x, like(x, 0.0), like(x, 6.0))


@part
def _relu6_grad(dy, x, number):
    return clip_grad(dy, x, like(x, 0.0), like(x, 6.0))


@part
def _leaky_relu(x, slope):
    return select(less(like(x, 0.0), x), x, x * slope)


@part
def _leaky_relu_grad(dy, x, slope):
    return select(less(like(x, 0.0), x), dy, dy * slope)


@part
def _sigmoid(x, number):
    return logistic(x)


@part
def _sigmoid_grad(dy, x, number):
    return _sigmoid_grad_from(dy, logistic(x), number)


@part
def _tanh(x, number):
    return hyperbolic(x)


@part
def _tanh_grad(dy, x, number):
    return _tanh_grad_from(dy, hyperbolic(x), number)


@part
def _sigmoid_grad_from(dy, y, number):
    return dy * (y * (like(y, 1.0) - y))


@part
def _tanh_grad_from(dy, y, number):
    return dy * fma(like(y, 0.0) - y, y, like(y, 1.0))


@part
def _silu(x, number):
    return _not_below(x) * logistic(x)


@part
def _silu_grad(dy, x, number):
    x = _limited(x)
    s = logistic(x)
    return dy * (s * fma(x, like(x, 1.0) - s, like(x, 1.0)))


@part
def _gelu(x, number):
    return _not_below(x) * normal(x)[0]


@part
def _gelu_grad(dy, x, number):
    x = _limited(x)
    below, density = normal(x)
    return dy * fma(x, density, below)


@part
def _bent(x):
    """Return GELU's approximation of the normal distribution, `(1 + tanh(u)) / 2 = 1 / (1 + exp(-2u))`."""
    cubic = fma(x * x, like(x, _ROOT_8_OVER_PI * _CUBIC), like(x, _ROOT_8_OVER_PI))
    return logistic(x * cubic)


@part
def _gelu_tanh(x, number):
    x = _not_below(x)
    return x * _bent(x)


@part
def _gelu_tanh_grad(dy, x, number):
    x = _limited(x)
    s = _bent(x)
    slope = fma(x * x, like(x, 3 * _ROOT_8_OVER_PI * _CUBIC), like(x, _ROOT_8_OVER_PI))
    return dy * (s * fma(x * slope, like(x, 1.0) - s, like(x, 1.0)))


@part
def _first_whole(to, count, zero):
    """Return how many numbers come before the first whole vector at `to`: a store across two lines takes two."""
    return min(count, -to % _VECTOR_BYTES * lanes(zero) // _VECTOR_BYTES)


def _forward(function, name):
    """Return the kernel of a pointwise function `f(x, number)`."""

    def run(x_at, y_at, count, number: Number, zero: Number):
        """Write `y = f(x)`."""
        x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
        given, first = splat(number), _first_whole(y_at, count, zero)
        if first:
            store_part(y, 0, function(load_part(x, 0, first), given), first)
        whole = count - (count - first) % width
        for i in range(first, whole, width):
            store(y, i, function(load(x, i), given))
        if whole < count:
            rest = count - whole
            store_part(y, whole, function(load_part(x, whole, rest), given), rest)

    run.__name__ = run.__qualname__ = name
    return kernel(run)


def _backward(function, name):
    """Return the kernel of a pointwise gradient `f'(dy, x, number)`."""

    def run(dy_at, x_at, dx_at, count, number: Number, zero: Number):
        """Write `dx = f'(dy, x)`."""
        dy, x, dx = pointer(dy_at, zero), pointer(x_at, zero), pointer(dx_at, zero)
        given, width, first = splat(number), lanes(zero), _first_whole(dx_at, count, zero)
        if first:
            store_part(dx, 0, function(load_part(dy, 0, first), load_part(x, 0, first), given), first)
        whole = count - (count - first) % width
        for i in range(first, whole, width):
            store(dx, i, function(load(dy, i), load(x, i), given))
        if whole < count:
            rest = count - whole
            value = function(load_part(dy, whole, rest), load_part(x, whole, rest), given)
            store_part(dx, whole, value, rest)

    run.__name__ = run.__qualname__ = name
    return kernel(run)


relu = _forward(_relu, "relu")
relu_grad = _backward(_relu_grad, "relu_grad")
relu6 = _forward(_relu6, "relu6")
relu6_grad = _backward(_relu6_grad, "relu6_grad")
leaky_relu = _forward(_leaky_relu, "leaky_relu")
leaky_relu_grad = _backward(_leaky_relu_grad, "leaky_relu_grad")
sigmoid = _forward(_sigmoid, "sigmoid")
sigmoid_grad = _backward(_sigmoid_grad, "sigmoid_grad")
sigmoid_grad_from = _backward(_sigmoid_grad_from, "sigmoid_grad_from")
tanh = _forward(_tanh, "tanh")
tanh_grad = _backward(_tanh_grad, "tanh_grad")
tanh_grad_from = _backward(_tanh_grad_from, "tanh_grad_from")
silu = _forward(_silu, "silu")
silu_grad = _backward(_silu_grad, "silu_grad")
gelu = _forward(_gelu, "gelu")
gelu_grad = _backward(_gelu_grad, "gelu_grad")
gelu_tanh = _forward(_gelu_tanh, "gelu_tanh")
gelu_tanh_grad = _backward(_gelu_tanh_grad, "gelu_tanh_grad")


# ---- softmax --------------------------------------------------------------------------------------------


@part
def _row_max(x, at, count, lowest):
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
def _row_exp(x, y, at, count, top):
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
def _gradient(dy, e, inverse, product, logarithm):
    """Return softmax's gradient from `e = exp(x - top)`, `1 / Σ e` and `Σ dy · e` (for a logarithm, `Σ dy`)."""
    if logarithm:
        return dy - e * inverse * product
    return e * inverse * (dy - product * inverse)


@part
def _gradient_from(dy, y, product, logarithm):
    """Return softmax's gradient from its output and `Σ dy · y`; for a logarithm, from that and `Σ dy`."""
    if logarithm:
        return dy - exp(y) * product
    return y * (dy - product)


@part
def _probability(x, e, top, total, logarithm):
    """Return softmax from `e = exp(x - top)` and `1 / Σ e`, or its logarithm from x, top and `log Σ e`."""
    if logarithm:
        return x - top - total
    return e * total


@part
def _for_all(total, logarithm):
    """Return what `_probability` wants of a sum."""
    return log(total) if logarithm else like(total, 1.0) / total


@kernel
def softmax_rows(x_at, y_at, start, stop, count, logarithm, zero: Number):
    """Write softmax, or its logarithm, of the rows from `start` to `stop` of x, `count` numbers each."""
    x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
    lowest, rest = like(splat(zero), -math.inf), count % width
    for at in range(start * count, stop * count, count):
        top = _row_max(x, at, count, lowest)
        total = _for_all(_row_exp(x, y, at, count, top), logarithm)
        for i in range(at, at + count - rest, width):
            store(y, i, _probability(load(x, i), load(y, i), top, total, logarithm))
        if rest:
            i = at + count - rest
            v, w = load_part(x, i, rest), load_part(y, i, rest)
            store_part(y, i, _probability(v, w, top, total, logarithm), rest)


@kernel
def softmax_rows_grad(dy_at, x_at, dx_at, start, stop, count, logarithm, zero: Number):
    """Write the gradient of `softmax_rows`; dx holds the exponentials meanwhile."""
    dy, x, dx, width = pointer(dy_at, zero), pointer(x_at, zero), pointer(dx_at, zero), lanes(zero)
    lowest, one, rest = like(splat(zero), -math.inf), like(splat(zero), 1.0), count % width
    for at in range(start * count, stop * count, count):
        inverse = one / _row_exp(x, dx, at, count, _row_max(x, at, count, lowest))
        product = _row_product(dy, dx, at, count, one, logarithm)
        for i in range(at, at + count - rest, width):
            store(dx, i, _gradient(load(dy, i), load(dx, i), inverse, product, logarithm))
        if rest:
            i = at + count - rest
            v, w = load_part(dy, i, rest), load_part(dx, i, rest)
            store_part(dx, i, _gradient(v, w, inverse, product, logarithm), rest)


@kernel
def softmax_rows_grad_from(dy_at, y_at, dx_at, start, stop, count, logarithm, zero: Number):
    """Write the gradient of `softmax_rows` from its output y."""
    dy, y, dx, width = pointer(dy_at, zero), pointer(y_at, zero), pointer(dx_at, zero), lanes(zero)
    one, rest = like(splat(zero), 1.0), count % width
    for at in range(start * count, stop * count, count):
        product = _row_product(dy, y, at, count, one, logarithm)
        for i in range(at, at + count - rest, width):
            store(dx, i, _gradient_from(load(dy, i), load(y, i), product, logarithm))
        if rest:
            i = at + count - rest
            v, w = load_part(dy, i, rest), load_part(y, i, rest)
            store_part(dx, i, _gradient_from(v, w, product, logarithm), rest)


@part
def _column_exp(x, at, inner, step, count, e, top):
    """Fill scratch for a block of columns: `top`, the greatest of each, and `e`, of `count` rows, `exp(x - top)`.

    Each line of x is read once: lines a power of two apart would drive each other out of the caches.
    """
    width = lanes(x[0])
    for j in range(0, step, width):
        store(top, j, load(x, at + j))
    for k in range(count):
        for j in range(0, step, width):
            v = load(x, at + k * inner + j)
            store(e, k * step + j, v)
            store(top, j, maximum(load(top, j), v))
    for j in range(0, step, width):
        highest = load(top, j)
        for k in range(j, j + count * step, step):
            store(e, k, exp(load(e, k) - highest))


@kernel
def softmax_columns(x_at, y_at, scratch, start, stop, blocks, step, count, inner, logarithm, zero: Number):
    """Write softmax, or its logarithm, along the middle axis of x, (outer, count, inner), for some blocks of columns.

    Task t is block `t mod blocks` of image `t // blocks`: `step` columns, whole vectors; the last block of an image
    overlaps the one before. Scratch holds `(count + 2) · step` numbers.
    """
    x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
    top = pointer(scratch, zero)
    total, e = shift(top, step), shift(top, 2 * step)
    for task in range(start, stop):
        at = task // blocks * count * inner + min(task % blocks * step, inner - step)
        _column_exp(x, at, inner, step, count, e, top)
        for j in range(0, step, width):
            v = load(e, j)
            for k in range(j + step, j + count * step, step):
                v = v + load(e, k)
            store(total, j, _for_all(v, logarithm))
        for k in range(count):
            for j in range(0, step, width):
                place = at + k * inner + j
                v = load(x, place) if logarithm else load(top, j)
                store(
                    y, place, _probability(v, load(e, k * step + j), load(top, j), load(total, j), logarithm)
                )


@kernel
def softmax_columns_grad(
    dy_at, x_at, dx_at, scratch, start, stop, blocks, step, count, inner, logarithm, zero: Number
):
    """Write the gradient of `softmax_columns`; scratch holds `(2 · count + 3) · step` numbers."""
    dy, x, dx, width = pointer(dy_at, zero), pointer(x_at, zero), pointer(dx_at, zero), lanes(zero)
    top = pointer(scratch, zero)
    inverse, product, e = shift(top, step), shift(top, 2 * step), shift(top, 3 * step)
    kept = shift(e, count * step)
    for task in range(start, stop):
        at = task // blocks * count * inner + min(task % blocks * step, inner - step)
        _column_exp(x, at, inner, step, count, e, top)
        for k in range(count):
            for j in range(0, step, width):
                store(kept, k * step + j, load(dy, at + k * inner + j))
        for j in range(0, step, width):
            total = like(splat(zero), 0.0)
            weighted = like(splat(zero), 0.0)
            for k in range(j, j + count * step, step):
                v = load(e, k)
                total = total + v
                weighted = fma(load(kept, k), like(v, 1.0) if logarithm else v, weighted)
            store(inverse, j, like(total, 1.0) / total)
            store(product, j, weighted)
        for k in range(count):
            for j in range(0, step, width):
                v, w = load(kept, k * step + j), load(e, k * step + j)
                v = _gradient(v, w, load(inverse, j), load(product, j), logarithm)
                store(dx, at + k * inner + j, v)


@kernel
def softmax_columns_grad_from(
    dy_at, y_at, dx_at, scratch, start, stop, blocks, step, count, inner, logarithm, zero: Number
):
    """Write the gradient of `softmax_columns` from its output y; scratch holds `(2 · count + 1) · step` numbers."""
    dy, y, dx, width = pointer(dy_at, zero), pointer(y_at, zero), pointer(dx_at, zero), lanes(zero)
    product = pointer(scratch, zero)
    kept, e = shift(product, step), shift(product, (count + 1) * step)
    for task in range(start, stop):
        at = task // blocks * count * inner + min(task % blocks * step, inner - step)
        for j in range(0, step, width):
            store(product, j, splat(zero))
        for k in range(count):
            for j in range(0, step, width):
                v, w = load(dy, at + k * inner + j), load(y, at + k * inner + j)
                store(kept, k * step + j, v)
                store(e, k * step + j, w)
                store(product, j, fma(v, like(v, 1.0) if logarithm else w, load(product, j)))
        for k in range(count):
            for j in range(0, step, width):
                v = _gradient_from(
                    load(kept, k * step + j), load(e, k * step + j), load(product, j), logarithm
                )
                store(dx, at + k * inner + j, v)
