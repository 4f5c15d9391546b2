"""Activations and their gradients, safe for any finite or infinite input.

The functions that level off are computed on inputs clipped to where they have done so: an infinite input
then gives the limit instead of NaN out of `0 · inf`.
"""

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.bits import all_ones, as_bits, choose
from deepconv.engine.erf import erf

# Here GELU and SiLU have reached 0 or x in every type: Φ(-40) and exp(-1000) are 0 in double precision.
_LEVEL_GELU = 40
_LEVEL_SILU = 1000

_ROOT_2_OVER_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def relu(x: Array) -> Array:
    """Return `max(x, 0)`; NaN stays NaN."""
    y: Array = np.maximum(x, x.dtype.type(0))
    return y


def relu_input_grad(dy: Array, x: Array) -> Array:
    """Return `dy` where x is not `<= 0`, else 0: at 0 the gradient is 0, at NaN it passes, as in PyTorch."""
    mask = all_ones(np.less_equal(x, 0), dy.dtype)
    np.invert(mask, out=mask)
    mask &= as_bits(dy)
    return mask.view(dy.dtype)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return x where it is positive, `slope · x` where it is not."""
    if 0 <= slope <= 1:
        y: Array = np.maximum(x, x * x.dtype.type(slope)) if slope else relu(x)
        return y
    return choose(np.greater(x, 0), x, x * x.dtype.type(slope))


def leaky_relu_input_grad(dy: Array, x: Array, slope: float) -> Array:
    """Return `dy` where x is positive, `slope · dy` where it is not."""
    return choose(np.greater(x, 0), dy, dy * dy.dtype.type(slope))


def sigmoid(x: Array) -> Array:
    """Return `1 / (1 + exp(-x))`."""
    y: Array = np.negative(x)
    with np.errstate(over="ignore"):  # exp may be infinite: its reciprocal is the 0 that is meant
        np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def sigmoid_input_grad(dy: Array, x: Array) -> Array:
    """Return `dy · s · (1 - s)`."""
    s = sigmoid(x)
    dx: Array = dy * (s * (1 - s))
    return dx


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent."""
    y: Array = np.tanh(x)
    return y


def tanh_input_grad(dy: Array, x: Array) -> Array:
    """Return `dy · (1 - tanh(x)²)`."""
    t = np.tanh(x)
    t *= t
    np.subtract(1, t, out=t)
    t *= dy
    return t


def silu(x: Array) -> Array:
    """Return `x · sigmoid(x)`."""
    y = sigmoid(x)
    y *= np.maximum(x, -_LEVEL_SILU)
    return y


def silu_input_grad(dy: Array, x: Array) -> Array:
    """Return `dy · s · (1 + x · (1 - s))`."""
    x = np.clip(x, -_LEVEL_SILU, _LEVEL_SILU)
    s = sigmoid(x)
    slope: Array = 1 - s
    slope *= x
    slope += 1
    slope *= s
    slope *= dy
    return slope


def gelu(x: Array) -> Array:
    """Return `x · Φ(x)`, Φ the normal distribution's."""
    y = _phi(x)
    y *= np.maximum(x, -_LEVEL_GELU)
    return y


def gelu_input_grad(dy: Array, x: Array) -> Array:
    """Return `dy · (Φ(x) + x · φ(x))`, φ the normal density."""
    x = np.clip(x, -_LEVEL_GELU, _LEVEL_GELU)
    density: Array = np.exp(x * x * x.dtype.type(-0.5))
    density *= x * x.dtype.type(1 / math.sqrt(2 * math.pi))
    density += _phi(x)
    density *= dy
    return density


def _phi(x: Array) -> Array:
    """Return the normal distribution `(1 + erf(x / √2)) / 2`."""
    y = erf(x * x.dtype.type(math.sqrt(0.5)))
    y += 1
    y *= x.dtype.type(0.5)
    return y


def gelu_tanh(x: Array) -> Array:
    """Return GELU's approximation `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`."""
    y = _bent(np.clip(x, -_LEVEL_GELU, _LEVEL_GELU))
    y += 1
    y *= np.maximum(x, -_LEVEL_GELU) * x.dtype.type(0.5)
    return y


def gelu_tanh_input_grad(dy: Array, x: Array) -> Array:
    """Return the gradient of `gelu_tanh`."""
    x = np.clip(x, -_LEVEL_GELU, _LEVEL_GELU)
    t = _bent(x)
    inner: Array = (x * x * x.dtype.type(3 * _CUBIC) + 1) * x * x.dtype.type(_ROOT_2_OVER_PI)
    inner *= 1 - t * t
    inner += 1 + t
    inner *= dy * dy.dtype.type(0.5)
    return inner


def _bent(x: Array) -> Array:
    """Return `tanh(√(2/π) · (x + 0.044715 x³))`."""
    y: Array = x * x
    y *= x.dtype.type(_CUBIC)
    y += 1
    y *= x
    y *= x.dtype.type(_ROOT_2_OVER_PI)
    np.tanh(y, out=y)
    return y


def _shifted(x: Array, axis: int) -> Array:
    """Return x less its maximum along the axis, so that no exponential overflows."""
    if not x.size:
        return x.copy()
    with np.errstate(invalid="ignore"):  # all -inf, or +inf among them: NaN, as in PyTorch
        shifted: Array = x - x.max(axis=axis, keepdims=True)
    return shifted


def softmax(x: Array, axis: int) -> Array:
    """Return `exp(x) / Σ exp(x)` along the axis."""
    y = _shifted(x, axis)
    np.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y


def softmax_input_grad(dy: Array, x: Array, axis: int) -> Array:
    """Return `y · (dy - Σ dy · y)`."""
    y = softmax(x, axis)
    weighted: Array = dy * y
    y *= weighted.sum(axis=axis, keepdims=True)
    weighted -= y
    return weighted


def log_softmax(x: Array, axis: int) -> Array:
    """Return `x - log Σ exp(x)` along the axis."""
    y = _shifted(x, axis)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


def log_softmax_input_grad(dy: Array, x: Array, axis: int) -> Array:
    """Return `dy - softmax(x) · Σ dy`."""
    total: Any = dy.sum(axis=axis, keepdims=True)
    dx: Array = dy - softmax(x, axis) * total
    return dx
