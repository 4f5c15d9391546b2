"""Activations and their gradients: one pass over memory, each number on its own.

Pointwise kernels take addresses, a count and a number that most leave alone (leaky ReLU's slope).
"""

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.lanewise import absolute, either_type, less, less_equal, like, select
from deepconv.engine.kernels.simd import (
    clip,
    clip_grad,
    fma,
    lanes,
    load,
    load_part,
    pointer,
    splat,
    store_part,
)
from deepconv.engine.kernels.simd import relu as positive
from deepconv.engine.kernels.streaming import finish, first_whole, put
from deepconv.engine.kernels.transcendental import NORMAL_END, normal, normal_tail
from deepconv.engine.kernels.transcendental import sigmoid as logistic
from deepconv.engine.kernels.transcendental import tanh as hyperbolic

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
    """Return `max(x, 0) - |x| · Φ(-|x|)`, which is `x · Φ(x)` on both sides, and keeps the digits of the left one.

    A ratio of polynomials of x² for Φ - 1/2, without the exponential, took four fifths of the time, but its error of
    1e-6 is all that there is from x = -5 on.
    """
    a, end = absolute(x), either_type(x, NORMAL_END[0], NORMAL_END[1])
    a = select(less(end, a), end, a)
    return fma(like(x, -0.0) - a, normal_tail(a), positive(x))


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
def _put_four(y, i, values, streamed):
    """Write four vectors: one at a time, 2 MB took a twentieth longer, eight at a time the same.

    Nor did 2 MB of ReLU become faster by asking for either array 1 to 8 KB ahead (up to a third slower), for the first
    lines of the next page, by two pages at once (a tenth slower) or past the caches (two thirds slower).
    """
    width = lanes(y[0])
    a, b, c, d = values
    put(y, i, a, streamed)
    put(y, i + width, b, streamed)
    put(y, i + 2 * width, c, streamed)
    put(y, i + 3 * width, d, streamed)


def _forward(function, name):
    """Return the kernel of a pointwise function `f(x, number)`."""

    def run(x_at, y_at, count, streamed, number: Number, zero: Number):
        """Write `y = f(x)`, past the caches if `streamed`."""
        x, y, width = pointer(x_at, zero), pointer(y_at, zero), lanes(zero)
        given, i = splat(number), first_whole(y_at, count, zero)
        if i:
            store_part(y, 0, function(load_part(x, 0, i), given), i)
        while i + 4 * width <= count:
            a, b = function(load(x, i), given), function(load(x, i + width), given)
            c, d = function(load(x, i + 2 * width), given), function(load(x, i + 3 * width), given)
            _put_four(y, i, (a, b, c, d), streamed)
            i += 4 * width
        while i < count:
            rest = min(width, count - i)
            store_part(y, i, function(load_part(x, i, rest), given), rest)
            i += width
        if streamed:
            finish()

    run.__name__ = run.__qualname__ = name
    return kernel(run)


def _backward(function, name):
    """Return the kernel of a pointwise gradient `f'(dy, x, number)`."""

    def run(dy_at, x_at, dx_at, count, streamed, number: Number, zero: Number):
        """Write `dx = f'(dy, x)`, past the caches if `streamed`."""
        dy, x, dx = pointer(dy_at, zero), pointer(x_at, zero), pointer(dx_at, zero)
        given, width, i = splat(number), lanes(zero), first_whole(dx_at, count, zero)
        if i:
            store_part(dx, 0, function(load_part(dy, 0, i), load_part(x, 0, i), given), i)
        while i + 4 * width <= count:
            j, k, m = i + width, i + 2 * width, i + 3 * width
            a, b = function(load(dy, i), load(x, i), given), function(load(dy, j), load(x, j), given)
            c, d = function(load(dy, k), load(x, k), given), function(load(dy, m), load(x, m), given)
            _put_four(dx, i, (a, b, c, d), streamed)
            i += 4 * width
        while i < count:
            rest = min(width, count - i)
            store_part(dx, i, function(load_part(dy, i, rest), load_part(x, i, rest), given), rest)
            i += width
        if streamed:
            finish()

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
