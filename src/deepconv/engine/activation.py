"""Activations and their gradients, safe for any finite or infinite input.

Kernels compute arrays of some thousand numbers in one pass over memory; what stands here in NumPy's calls
is for smaller ones, for other types, and for where Numba is missing. Both agree to the last digits.

The functions that level off are computed on inputs clipped to where they have done so: an infinite input
then gives the limit instead of NaN out of `0 · inf`.
"""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine, passes, settings
from deepconv.engine.bits import all_ones, as_bits, choose
from deepconv.engine.erf import erf
from deepconv.engine.kernels.compile import Kernel, library
from deepconv.engine.kernels.workspace import scratch

KERNELS, SOFTMAX = library("activation"), library("softmax")

Function = TypeVar("Function", bound=Callable[..., Array])

# So many numbers are worth a kernel's call: NumPy computes a comparison as fast, an exponential not.
_LEAST = 1 << 10
_LEAST_CHEAP = 1 << 14
_LEAST_SOFTMAX = 1 << 9

# Softmax along an inner axis works on blocks of columns of so many bytes in all, within the second cache; its
# gradient, which computes little and waits for memory, on lines of so many numbers.
_BLOCK_BYTES, _LINE = 1 << 15, 1 << 12
_VECTOR_BYTES = machine.target().vector_bytes
_LEAST_COLUMNS = 16  # of float32, a line of a cache; a whole number of vectors on every target

# Here GELU and SiLU have reached 0 or x in every type: Φ(-40) and exp(-1000) are 0 in double precision.
_LEVEL_GELU = 40
_LEVEL_SILU = 1000

_ROOT_2_OVER_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


_NO_NUMBER = (0.0,)


def _compiles() -> bool:
    """Tell whether there are kernels."""
    return machine.why_not_compiled() is None


def _in_one_pass(name: str, least: int = _LEAST) -> Callable[[Function], Function]:
    """Let the kernel of this name compute arrays of at least so many numbers, in place of NumPy's calls.

    Args:
        name: the kernel; it takes the arrays that the function takes, and its number if it has one.
        least: how many numbers are worth it.
    """

    def decorate(function: Function) -> Function:
        kernel = getattr(KERNELS, name)

        # What is plain and stays on this thread goes straight to the kernel: asking twice took as long as 5,000
        # numbers, and as 30,000 where the last result has driven Python's own objects out of the caches.
        @wraps(function)
        def of_one(x: Array, *number: float) -> Array:
            size, dtype = x.size, x.dtype
            if (
                size >= least and dtype in passes.FLOATS and x.flags.carray and _compiles()
                and (size < passes.ALONE or settings.get_threads() == 1)
            ):  # fmt: skip
                y = np.empty(x.shape, dtype)
                streamed = size >= passes.ALONE and passes.streams(2 * size, dtype.itemsize)
                kernel[dtype](x, y, size, streamed, *number or _NO_NUMBER)
                return y
            if passes.suits(x, least):
                return passes.pointwise(kernel, (x,), *number)
            return function(x, *number)

        @wraps(function)
        def of_two(dy: Array, x: Array, *number: float) -> Array:
            size, dtype = x.size, x.dtype
            if (
                size >= least and dtype in passes.FLOATS and dy.dtype is dtype
                and x.flags.carray and dy.flags.carray and _compiles()
                and (size < passes.ALONE or settings.get_threads() == 1)
            ):  # fmt: skip
                dx = np.empty(x.shape, dtype)
                streamed = size >= passes.ALONE and passes.streams(3 * size, dtype.itemsize)
                kernel[dtype](dy, x, dx, size, streamed, *number or _NO_NUMBER)
                return dx
            if passes.suits(x, least):
                return passes.pointwise(kernel, (dy, x), *number)
            return function(dy, x, *number)

        return cast(Function, of_two if "_grad" in name else of_one)

    return decorate


@_in_one_pass("relu", _LEAST_CHEAP)
def relu(x: Array) -> Array:
    """Return `max(x, 0)`; NaN stays NaN."""
    y: Array = np.maximum(x, x.dtype.type(0))
    return y


@_in_one_pass("relu_grad")
def relu_input_grad(dy: Array, x: Array) -> Array:
    """Return `dy` where x is not `<= 0`, else 0: at 0 the gradient is 0, at NaN it passes, as in PyTorch."""
    mask = all_ones(np.less_equal(x, 0), dy.dtype)
    np.invert(mask, out=mask)
    mask &= as_bits(dy)
    return mask.view(dy.dtype)


@_in_one_pass("relu6")
def relu6(x: Array) -> Array:
    """Return x between 0 and 6; NaN stays NaN."""
    y: Array = np.clip(x, x.dtype.type(0), x.dtype.type(6))
    return y


@_in_one_pass("relu6_grad")
def relu6_input_grad(dy: Array, x: Array) -> Array:
    """Return `dy` where x is neither `<= 0` nor `>= 6`, else 0: at the limits the gradient is 0, at NaN it passes."""
    beyond = np.less_equal(x, 0)
    beyond |= np.greater_equal(x, 6)
    mask = all_ones(beyond, dy.dtype)
    np.invert(mask, out=mask)
    mask &= as_bits(dy)
    return mask.view(dy.dtype)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return x where it is positive, `slope · x` where it is not."""
    return _leaky_relu(x, slope) if slope else relu(x)  # -inf · 0 would be NaN


@_in_one_pass("leaky_relu", _LEAST_CHEAP)
def _leaky_relu(x: Array, slope: float) -> Array:
    """Return `leaky_relu` for a slope that isn't 0."""
    if 0 <= slope <= 1:
        y: Array = np.maximum(x, x * x.dtype.type(slope))
        return y
    return choose(np.greater(x, 0), x, x * x.dtype.type(slope))


@_in_one_pass("leaky_relu_grad")
def leaky_relu_input_grad(dy: Array, x: Array, slope: float) -> Array:
    """Return `dy` where x is positive, `slope · dy` where it is not."""
    return choose(np.greater(x, 0), dy, dy * dy.dtype.type(slope))


@_in_one_pass("sigmoid")
def sigmoid(x: Array) -> Array:
    """Return `1 / (1 + exp(-x))`."""
    y: Array = np.negative(x)
    with np.errstate(over="ignore"):  # exp may be infinite: its reciprocal is the 0 that is meant
        np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def sigmoid_input_grad(dy: Array, x: Array, y: Array | None = None) -> Array:
    """Return `dy · s · (1 - s)`, s the sigmoid of x, which is y if that is given."""
    return _sigmoid_input_grad(dy, x) if y is None else _sigmoid_input_grad_from(dy, y)


@_in_one_pass("sigmoid_grad")
def _sigmoid_input_grad(dy: Array, x: Array) -> Array:
    return _sigmoid_input_grad_from(dy, sigmoid(x))


@_in_one_pass("sigmoid_grad_from")
def _sigmoid_input_grad_from(dy: Array, y: Array) -> Array:
    dx: Array = dy * (y * (1 - y))
    return dx


@_in_one_pass("tanh")
def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent."""
    y: Array = np.tanh(x)
    return y


def tanh_input_grad(dy: Array, x: Array, y: Array | None = None) -> Array:
    """Return `dy · (1 - tanh(x)²)`; y is `tanh(x)` if it is given."""
    return _tanh_input_grad(dy, x) if y is None else _tanh_input_grad_from(dy, y)


@_in_one_pass("tanh_grad")
def _tanh_input_grad(dy: Array, x: Array) -> Array:
    return _tanh_input_grad_from(dy, np.tanh(x))


@_in_one_pass("tanh_grad_from")
def _tanh_input_grad_from(dy: Array, y: Array) -> Array:
    t: Array = y * y
    np.subtract(1, t, out=t)
    t *= dy
    return t


@_in_one_pass("silu")
def silu(x: Array) -> Array:
    """Return `x · sigmoid(x)`."""
    y = sigmoid(x)
    y *= np.maximum(x, -_LEVEL_SILU)
    return y


@_in_one_pass("silu_grad")
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


@_in_one_pass("gelu")
def gelu(x: Array) -> Array:
    """Return `x · Φ(x)`, Φ the normal distribution's."""
    y = _phi(x)
    y *= np.maximum(x, -_LEVEL_GELU)
    return y


@_in_one_pass("gelu_grad")
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


@_in_one_pass("gelu_tanh")
def gelu_tanh(x: Array) -> Array:
    """Return GELU's approximation `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`."""
    y = _bent(np.clip(x, -_LEVEL_GELU, _LEVEL_GELU))
    y += 1
    y *= np.maximum(x, -_LEVEL_GELU) * x.dtype.type(0.5)
    return y


@_in_one_pass("gelu_tanh_grad")
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


def _along_axis(
    kernels: tuple[Kernel, Kernel], operands: tuple[Array, ...], axis: int, logarithm: bool
) -> Array:
    """Return softmax or, of `(dy, y)`, its gradient, by a kernel.

    Args:
        kernels: for rows that lie in order, and for blocks.
        operands: `(x,)` or `(dy, y)`.
        axis: along which the sums are.
        logarithm: whether it is log_softmax.
    """
    x = operands[-1]
    dtype = x.dtype
    if axis in (-1, x.ndim - 1):
        return _in_rows(kernels, passes.plain_all(operands, dtype), logarithm)
    outer, count, inner = passes.along(x, axis)
    if inner < _LEAST_COLUMNS:
        rows = tuple([np.moveaxis(a, axis, -1) for a in operands])
        return np.ascontiguousarray(np.moveaxis(_along_axis(kernels, rows, -1, logarithm), -1, axis))
    operands, y = passes.plain_all(operands, dtype), np.empty(x.shape, dtype)
    width = _VECTOR_BYTES // x.itemsize
    if len(operands) == 1:  # whole vectors
        most = max(4, _BLOCK_BYTES // (count * _VECTOR_BYTES) // 4 * 4)
        step, room = min(inner // width, most) * width, count + 2
    else:
        step, room = -(-inner // -(-inner // _LINE)), 2
    blocks = -(-inner // step)
    run, need = kernels[1][dtype], room * (step + width) * x.itemsize

    def work(start: int, stop: int) -> None:
        run(*operands, y, scratch(need), start, stop, blocks, step, count, inner, logarithm)

    passes.shared(work, outer * blocks, x.size)
    return y


def _in_rows(kernels: tuple[Kernel, Kernel], operands: tuple[Array, ...], logarithm: bool) -> Array:
    """Return the same along the last axis, of operands that lie in order."""
    x = operands[-1]
    size, shape, dtype = x.size, x.shape, x.dtype
    count, y = shape[-1], np.empty(shape, dtype)
    outer, width = size // count, _VECTOR_BYTES // dtype.itemsize
    if count < 3 * width <= 3 * outer and len(operands) == 1:  # short rows: one in each lane
        run, need, tasks = kernels[1][dtype], (count + 2) * _VECTOR_BYTES, -(-outer // width)
        if size < passes.ALONE:
            run(x, y, scratch(need), 0, tasks, outer, width, count, 1, logarithm)
        else:
            passes.shared(
                lambda start, stop: run(x, y, scratch(need), start, stop, outer, width, count, 1, logarithm),
                tasks,
                size,
            )
    elif size < passes.ALONE:
        kernels[0][dtype](*operands, y, 0, outer, count, logarithm)
    else:
        rows = kernels[0][dtype]
        passes.shared(lambda start, stop: rows(*operands, y, start, stop, count, logarithm), outer, size)
    return y


def _at_once(x: Array, axis: int) -> bool:
    """Tell whether x is rows that lie in order and go to a kernel on this thread: all else there is to ask takes 3 µs.

    That is half of what 64 rows of 10 take.
    """
    return (
        _LEAST_SOFTMAX <= x.size < passes.ALONE and (axis == x.ndim - 1 or axis == -1) and x.flags.carray
        and x.dtype in passes.FLOATS and type(x) is np.ndarray and _compiles()
    )  # fmt: skip


_FORWARD, _BACKWARD = (SOFTMAX.rows, SOFTMAX.blocks), (SOFTMAX.rows_grad, SOFTMAX.blocks_grad)


def softmax(x: Array, axis: int) -> Array:
    """Return `exp(x) / Σ exp(x)` along the axis."""
    if _at_once(x, axis):
        return _in_rows(_FORWARD, (x,), logarithm=False)
    if passes.suits(x, _LEAST_SOFTMAX):
        return _along_axis(_FORWARD, (x,), axis, logarithm=False)
    y = _shifted(x, axis)
    np.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y


def softmax_input_grad(dy: Array, x: Array, axis: int, y: Array | None = None) -> Array:
    """Return `y · (dy - Σ dy · y)`, y computed unless it is given."""
    if y is not None and _at_once(y, axis) and dy.dtype is y.dtype and dy.flags.carray:
        return _in_rows(_BACKWARD, (dy, y), logarithm=False)
    y = softmax(x, axis) if y is None else y
    if passes.suits(x, _LEAST_SOFTMAX):
        return _along_axis(_BACKWARD, (dy, y), axis, logarithm=False)
    weighted: Array = dy * y
    weighted -= y * weighted.sum(axis=axis, keepdims=True)
    return weighted


def log_softmax(x: Array, axis: int) -> Array:
    """Return `x - log Σ exp(x)` along the axis."""
    if _at_once(x, axis):
        return _in_rows(_FORWARD, (x,), logarithm=True)
    if passes.suits(x, _LEAST_SOFTMAX):
        return _along_axis(_FORWARD, (x,), axis, logarithm=True)
    y = _shifted(x, axis)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


def log_softmax_input_grad(dy: Array, x: Array, axis: int, y: Array | None = None) -> Array:
    """Return `dy - softmax(x) · Σ dy`, that softmax as exp(y); y is computed unless it is given."""
    y = log_softmax(x, axis) if y is None else y
    if passes.suits(x, _LEAST_SOFTMAX):
        return _along_axis(_BACKWARD, (dy, y), axis, logarithm=True)
    total: Any = dy.sum(axis=axis, keepdims=True)
    dx: Array = dy - np.exp(y) * total
    return dx
