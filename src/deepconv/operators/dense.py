"""The dense layer: every output a weighted sum of every input, with gradients."""

import math
from collections.abc import Callable

import numpy as np

from deepconv.arrays import Array, as_array, dtypes, is_integer
from deepconv.engine import dense as engine
from deepconv.operators import checks


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return `y[..., o] = Σ_i x[..., i] · weight[o, i] + bias[o]`.

    Args:
        x: `(..., in)`, with any leading axes.
        weight: `(out, in)`.
        bias: `(out,)`, or None.

    Returns:
        `(..., out)`. Floats promote as in NumPy; float16 is computed in float32; integers exactly, in int64.

    Raises:
        TypeError, ValueError: shapes that don't go together.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([10.0, 0.0]))
        array([[21.,  2.]])
    """
    x, weight = as_array("linear", "x", x), _weight("linear", weight)
    if x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: x has shape {x.shape} but weight of shape {weight.shape} wants {weight.shape[1]} inputs on "
            f"the last axis; use x (..., {weight.shape[1]}) or a weight (out, {x.shape[-1] if x.ndim else 'in'})"
        )
    if bias is None:
        return _products("linear", lambda a, b: engine.linear(a, b, None), weight.shape[1], x, weight)
    bias = as_array("linear", "bias", bias)
    if bias.shape != (len(weight),):
        raise ValueError(
            f"linear: bias has shape {bias.shape} but weight of shape {weight.shape} has {len(weight)} outputs; "
            f"use shape ({len(weight)},)"
        )
    return _products("linear", engine.linear, weight.shape[1], x, weight, bias)


def linear_input_grad(dy: Array, weight: Array) -> Array:
    """Return the gradient of `linear`'s input: `dx[..., i] = Σ_o dy[..., o] · weight[o, i]`.

    Args:
        dy: the gradient of the output, `(..., out)`.
        weight: as in `linear`.

    Returns:
        `(..., in)`, of the dtype that `dy` and `weight` promote to.

    Raises:
        TypeError, ValueError: shapes that don't go together.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> linear_input_grad(np.array([[1.0, 10.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]))
        array([[ 3., 14.]])
    """
    op = "linear_input_grad"
    dy, weight = as_array(op, "dy", dy), _weight(op, weight)
    checks.check_gradient(op, dy, (*dy.shape[:-1], len(weight)), f"as weight has shape {weight.shape}")
    return _products(op, engine.input_grad, len(weight), dy, weight)


def linear_weight_grad(dy: Array, x: Array) -> Array:
    """Return the gradient of `linear`'s weight: `dw[o, i] = Σ dy[..., o] · x[..., i]` over all leading axes.

    Args:
        dy: the gradient of the output, `(..., out)`.
        x: as in `linear`.

    Returns:
        `(out, in)`, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: shapes that don't go together.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> linear_weight_grad(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0], [10.0, 0.0]]))
        array([[23.,  4.]])
    """
    op = "linear_weight_grad"
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    if x.ndim < 1 or dy.ndim < 1:
        raise ValueError(f"{op}: x has shape {x.shape} and dy {dy.shape}; pass (..., in) and (..., out)")
    checks.check_gradient(op, dy, (*x.shape[:-1], dy.shape[-1]), f"as x has shape {x.shape}")
    return _products(op, engine.weight_grad, math.prod(x.shape[:-1]), dy, x)


def linear_bias_grad(dy: Array) -> Array:
    """Return the gradient of `linear`'s bias: the sum of `dy` over all leading axes.

    Args:
        dy: the gradient of the output, `(..., out)`.

    Returns:
        `(out,)`, of dy's type.

    Raises:
        TypeError, ValueError: no array, or one without axes.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> linear_bias_grad(np.array([[1.0, 10.0], [2.0, 20.0]]))
        array([ 3., 30.])
    """
    op = "linear_bias_grad"
    dy = as_array(op, "dy", dy)
    if dy.ndim < 1:
        raise ValueError(f"{op}: dy has shape (), without axes; pass (..., out)")
    (dy,), result = checks.numbers(op, dy, terms=math.prod(dy.shape[:-1]))
    return engine.bias_grad(dy).astype(result, copy=False)


def _weight(op: str, weight: Array) -> Array:
    """Return the weight as an array, checked to be a matrix."""
    weight = as_array(op, "weight", weight)
    if weight.ndim != 2:
        raise ValueError(f"{op}: weight has shape {weight.shape}; use two axes, (out, in)")
    return weight


def _products(op: str, compute: Callable[..., Array], terms: int, *operands: Array) -> Array:
    """Compute in the right type, integers exactly: in doubles where they hold every sum, else in int64."""
    working, result = dtypes(op, *operands)
    if not is_integer(*operands):
        return compute(*(a.astype(working, copy=False) for a in operands)).astype(result, copy=False)
    bound = terms * checks.largest_of(operands[0]) * checks.largest_of(operands[1])
    bound += sum(checks.largest_of(a) for a in operands[2:])
    if bound >= 2**63:
        raise OverflowError(
            f"{op}: a sum of {terms} products of {operands[0].dtype} {operands[0].shape} and {operands[1].dtype} "
            f"{operands[1].shape} may reach {bound}, which exceeds int64; use float64, which rounds, or scale down"
        )
    exact = np.float64 if bound < 2**53 else np.int64
    return compute(*(a.astype(exact) for a in operands)).astype(np.int64, copy=False)
