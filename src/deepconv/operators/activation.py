"""Activations, each number on its own or, softmax, along an axis; with gradients.

Each `f_input_grad(dy, x)` takes the gradient of the output and f's input. Nothing overflows or warns, and
an infinite input gives the limit where there is one.
"""

from collections.abc import Callable

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.engine import activation as engine
from deepconv.operators import checks

_WHY = "{} of a whole number is none"


def relu(x: Array) -> Array:
    """Return `max(x, 0)`.

    Args:
        x: any shape.

    Returns:
        An array of x's shape; floats keep their type, integers come back as int64. NaN stays NaN.

    Raises:
        TypeError, OverflowError: no numbers, or a uint64 beyond int64.

    Example:
        >>> relu(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    if checks.is_plain(x):
        return engine.relu(x)
    (x,), result = checks.numbers("relu", as_array("relu", "x", x))
    return engine.relu(np.atleast_1d(x)).reshape(x.shape).astype(result, copy=False)


def relu_input_grad(dy: Array, x: Array) -> Array:
    """Return the gradient of `relu`'s input: `dy` where x is positive, else 0 (at 0, too).

    Args:
        dy: the gradient of the output, of x's shape.
        x: as in `relu`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: no numbers, or `dy` of another shape than x.

    Example:
        >>> relu_input_grad(np.array([5.0, 7.0]), np.array([-1.0, 2.0]))
        array([0., 7.])
    """
    op = "relu_input_grad"
    if checks.are_plain(dy, x):
        return engine.relu_input_grad(dy, x)
    dy, x = _pair(op, dy, x)
    (dy, x), result = checks.numbers(op, dy, x)
    return engine.relu_input_grad(*np.atleast_1d(dy, x)).reshape(x.shape).astype(result, copy=False)


def relu6(x: Array) -> Array:
    """Return `min(max(x, 0), 6)`, which keeps small networks within the range of small types.

    Howard et al., "MobileNets", 2017.

    Args:
        x: any shape.

    Returns:
        An array of x's shape; floats keep their type, integers come back as int64. NaN stays NaN.

    Raises:
        TypeError, OverflowError: no numbers, or a uint64 beyond int64.

    Example:
        >>> relu6(np.array([-1.0, 2.0, 7.0]))
        array([0., 2., 6.])
    """
    (x,), result = checks.numbers("relu6", as_array("relu6", "x", x))
    return engine.relu6(np.atleast_1d(x)).reshape(x.shape).astype(result, copy=False)


def relu6_input_grad(dy: Array, x: Array) -> Array:
    """Return the gradient of `relu6`'s input: `dy` where x is between 0 and 6, else 0 (at both limits, too).

    Args:
        dy: the gradient of the output, of x's shape.
        x: as in `relu6`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: no numbers, or `dy` of another shape than x.

    Example:
        >>> relu6_input_grad(np.array([5.0, 7.0, 9.0]), np.array([-1.0, 2.0, 6.0]))
        array([0., 7., 0.])
    """
    op = "relu6_input_grad"
    dy, x = _pair(op, dy, x)
    (dy, x), result = checks.numbers(op, dy, x)
    return engine.relu6_input_grad(*np.atleast_1d(dy, x)).reshape(x.shape).astype(result, copy=False)


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """Return x where it is positive, `negative_slope · x` where it is not.

    Args:
        x: any shape.
        negative_slope: the slope for negative inputs.

    Returns:
        An array of x's shape and type.

    Raises:
        TypeError, ValueError: whole numbers: convert them to floats first. An argument that is not known.

    Example:
        >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
        array([-0.1,  2. ])
    """
    slope = _slope("leaky_relu", negative_slope)
    if checks.is_plain(x):
        return engine.leaky_relu(x, slope)
    return _value("leaky_relu", lambda x: engine.leaky_relu(x, slope), x)


def leaky_relu_input_grad(dy: Array, x: Array, negative_slope: float = 0.01) -> Array:
    """Return the gradient of `leaky_relu`'s input: `dy`, times the slope where x is not positive.

    Args:
        dy: the gradient of the output, of x's shape.
        x, negative_slope: as in `leaky_relu`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: whole numbers, or `dy` of another shape than x.

    Example:
        >>> leaky_relu_input_grad(np.array([5.0, 7.0]), np.array([-1.0, 2.0]), 0.1)
        array([0.5, 7. ])
    """
    slope = _slope("leaky_relu_input_grad", negative_slope)
    return _gradient("leaky_relu_input_grad", lambda dy, x: engine.leaky_relu_input_grad(dy, x, slope), dy, x)


def sigmoid(x: Array) -> Array:
    """Return `1 / (1 + exp(-x))`.

    Args:
        x: any shape.

    Returns:
        An array of x's shape and type.

    Raises:
        TypeError: whole numbers: convert them to floats first.

    Example:
        >>> sigmoid(np.array([0.0, 2.0])).round(4)
        array([0.5   , 0.8808])
    """
    return _value("sigmoid", engine.sigmoid, x)


def sigmoid_input_grad(dy: Array, x: Array, *, y: Array | None = None) -> Array:
    """Return the gradient of `sigmoid`'s input: `dy · s · (1 - s)`.

    Args:
        dy: the gradient of the output, of x's shape.
        x: as in `sigmoid`.
        y: `sigmoid`'s output, where it is at hand: it is not computed again.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: whole numbers, or `dy` or `y` of another shape than x.

    Example:
        >>> sigmoid_input_grad(np.array([8.0]), np.array([0.0]))
        array([2.])
    """
    return _gradient_from("sigmoid_input_grad", engine.sigmoid_input_grad, dy, x, y)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent.

    Args:
        x: any shape.

    Returns:
        An array of x's shape and type.

    Raises:
        TypeError: whole numbers: convert them to floats first.

    Example:
        >>> tanh(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.7616])
    """
    return _value("tanh", engine.tanh, x)


def tanh_input_grad(dy: Array, x: Array, *, y: Array | None = None) -> Array:
    """Return the gradient of `tanh`'s input: `dy · (1 - tanh(x)²)`.

    Args:
        dy: the gradient of the output, of x's shape.
        x: as in `tanh`.
        y: `tanh`'s output, where it is at hand: it is not computed again.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: whole numbers, or `dy` or `y` of another shape than x.

    Example:
        >>> tanh_input_grad(np.array([8.0]), np.array([0.0]))
        array([8.])
    """
    return _gradient_from("tanh_input_grad", engine.tanh_input_grad, dy, x, y)


def silu(x: Array) -> Array:
    """Return `x · sigmoid(x)`, also called swish.

    Args:
        x: any shape.

    Returns:
        An array of x's shape and type.

    Raises:
        TypeError: whole numbers: convert them to floats first.

    Example:
        >>> silu(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.7311])
    """
    return _value("silu", engine.silu, x)


def silu_input_grad(dy: Array, x: Array) -> Array:
    """Return the gradient of `silu`'s input: `dy · s · (1 + x · (1 - s))`, s the sigmoid of x.

    Args:
        dy: the gradient of the output, of x's shape.
        x: as in `silu`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: whole numbers, or `dy` of another shape than x.

    Example:
        >>> silu_input_grad(np.array([8.0]), np.array([0.0]))
        array([4.])
    """
    return _gradient("silu_input_grad", engine.silu_input_grad, dy, x)


def gelu(x: Array, approximate: str = "none") -> Array:
    """Return `x · Φ(x)`, Φ the normal distribution's (Hendrycks and Gimpel 2016).

    Args:
        x: any shape.
        approximate: `"none"`, or `"tanh"` for `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`.

    Returns:
        An array of x's shape and type.

    Raises:
        TypeError, ValueError: whole numbers: convert them to floats first. An argument that is not known.

    Example:
        >>> gelu(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.8413])
    """
    bent = _is_tanh("gelu", approximate)
    return _value("gelu", engine.gelu_tanh if bent else engine.gelu, x)


def gelu_input_grad(dy: Array, x: Array, approximate: str = "none") -> Array:
    """Return the gradient of `gelu`'s input: `dy · (Φ(x) + x · φ(x))`, φ the normal density.

    Args:
        dy: the gradient of the output, of x's shape.
        x, approximate: as in `gelu`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: whole numbers, or `dy` of another shape than x.

    Example:
        >>> gelu_input_grad(np.array([8.0]), np.array([0.0]))
        array([4.])
    """
    bent = _is_tanh("gelu_input_grad", approximate)
    return _gradient(
        "gelu_input_grad", engine.gelu_tanh_input_grad if bent else engine.gelu_input_grad, dy, x
    )


def softmax(x: Array, axis: int = 1) -> Array:
    """Return `exp(x) / Σ exp(x)` along an axis: probabilities.

    Args:
        x: any shape.
        axis: along which the values belong together; 1 is the channels, or the classes.

    Returns:
        An array of x's shape and type.

    Raises:
        TypeError, ValueError: whole numbers: convert them to floats first. An argument that is not known.

    Example:
        >>> softmax(np.array([[0.0, 0.0, np.log(2.0)]]))
        array([[0.25, 0.25, 0.5 ]])
    """
    if checks.is_plain(x) and _has(x, axis):
        return engine.softmax(x, axis)
    _check_axis("softmax", axis, x)
    return _value("softmax", lambda x: engine.softmax(x, axis), x)


def softmax_input_grad(dy: Array, x: Array, axis: int = 1, *, y: Array | None = None) -> Array:
    """Return the gradient of `softmax`'s input: `y · (dy - Σ dy · y)`.

    Args:
        dy: the gradient of the output, of x's shape.
        x, axis: as in `softmax`.
        y: `softmax`'s output, where it is at hand: it is not computed again.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: whole numbers, or `dy` or `y` of another shape than x.

    Example:
        >>> softmax_input_grad(np.array([[4.0, 0.0]]), np.array([[1.0, 1.0]]))
        array([[ 1., -1.]])
    """
    if checks.are_plain(dy, x) and checks.are_plain(y, x) and _has(x, axis):
        return engine.softmax_input_grad(dy, x, axis, y)
    _check_axis("softmax_input_grad", axis, x)
    return _gradient_from(
        "softmax_input_grad", lambda dy, x, y: engine.softmax_input_grad(dy, x, axis, y), dy, x, y
    )


def log_softmax(x: Array, axis: int = 1) -> Array:
    """Return `x - log Σ exp(x)` along an axis: the logarithm of `softmax`, without its loss of digits.

    Args:
        x: any shape.
        axis: along which the values belong together; 1 is the channels, or the classes.

    Returns:
        An array of x's shape and type.

    Raises:
        TypeError, ValueError: whole numbers: convert them to floats first. An argument that is not known.

    Example:
        >>> log_softmax(np.array([[0.0, 0.0]])).round(4)
        array([[-0.6931, -0.6931]])
    """
    if checks.is_plain(x) and _has(x, axis):
        return engine.log_softmax(x, axis)
    _check_axis("log_softmax", axis, x)
    return _value("log_softmax", lambda x: engine.log_softmax(x, axis), x)


def log_softmax_input_grad(dy: Array, x: Array, axis: int = 1, *, y: Array | None = None) -> Array:
    """Return the gradient of `log_softmax`'s input: `dy - softmax(x) · Σ dy`.

    Args:
        dy: the gradient of the output, of x's shape.
        x, axis: as in `log_softmax`.
        y: `log_softmax`'s output, where it is at hand: it is not computed again.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: whole numbers, or `dy` or `y` of another shape than x.

    Example:
        >>> log_softmax_input_grad(np.array([[4.0, 0.0]]), np.array([[1.0, 1.0]]))
        array([[ 2., -2.]])
    """
    _check_axis("log_softmax_input_grad", axis, x)
    return _gradient_from(
        "log_softmax_input_grad", lambda dy, x, y: engine.log_softmax_input_grad(dy, x, axis, y), dy, x, y
    )


def _value(op: str, compute: Callable[[Array], Array], x: Array) -> Array:
    """Compute a function in the right type and return it in the right type."""
    if checks.is_plain(x):
        return compute(x)
    (x,), result = checks.floats(op, _WHY.format(op), as_array(op, "x", x))
    return compute(np.atleast_1d(x)).reshape(x.shape).astype(result, copy=False)


def _gradient(op: str, compute: Callable[[Array, Array], Array], dy: Array, x: Array) -> Array:
    """Compute a gradient in the right type and return it in the right type."""
    if checks.are_plain(dy, x):
        return compute(dy, x)
    dy, x = _pair(op, dy, x)
    (dy, x), result = checks.floats(op, _WHY.format(op), dy, x)
    return compute(*np.atleast_1d(dy, x)).reshape(x.shape).astype(result, copy=False)


def _gradient_from(
    op: str, compute: Callable[[Array, Array, Array | None], Array], dy: Array, x: Array, y: Array | None
) -> Array:
    """Compute a gradient that the output helps to find, where it is at hand.

    It is of use if it has the type that is computed in: float16 holds too few digits of it.
    """
    if checks.are_plain(dy, x) and (y is None or checks.are_plain(y, x)):
        return compute(dy, x, y)
    y = _same(op, y, x)
    dy, x = _pair(op, dy, x)
    (dy, x), result = checks.floats(op, _WHY.format(op), dy, x)
    given = None if y is None or y.dtype != x.dtype else np.atleast_1d(y)
    return compute(*np.atleast_1d(dy, x), given).reshape(x.shape).astype(result, copy=False)


def _same(op: str, y: Array | None, x: Array) -> Array | None:
    """Return y as an array, checked to have x's shape; None is as good."""
    if y is None:
        return None
    y = as_array(op, "y", y)
    if y.shape != np.shape(x):
        raise ValueError(f"{op}: y has shape {y.shape} but x has {np.shape(x)}; pass the output for that x")
    return y


def _pair(op: str, dy: Array, x: Array) -> tuple[Array, Array]:
    """Return dy and x as arrays of one shape."""
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    checks.check_gradient(op, dy, x.shape)
    return dy, x


def _slope(op: str, slope: float) -> float:
    """Return the slope, checked."""
    if type(slope) is float:  # asking about the others takes 0.5 µs
        return slope
    if isinstance(slope, bool) or not isinstance(slope, int | float | np.integer | np.floating):
        raise TypeError(f"{op}: negative_slope={slope!r} is not a number")
    return float(slope)


def _is_tanh(op: str, approximate: str) -> bool:
    """Tell which formula is meant."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"{op}: approximate={approximate!r} is not known; use 'none' or 'tanh'")
    return approximate == "tanh"


def _has(x: Array, axis: int) -> bool:
    """Tell whether an array has an axis of that number."""
    return type(axis) is int and -x.ndim <= axis < x.ndim


def _check_axis(op: str, axis: int, x: Array) -> None:
    """Raise unless x has the axis."""
    if type(x) is np.ndarray and _has(x, axis):
        return
    rank = np.ndim(x)
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"{op}: axis={axis!r} is not a whole number")
    if not -rank <= axis < rank:
        raise ValueError(
            f"{op}: axis={axis} is none of the {rank} axes of x (shape {np.shape(x)}); use {-rank} to {rank - 1}"
        )
