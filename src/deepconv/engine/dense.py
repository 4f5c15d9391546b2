"""A dense layer's products: one matrix product over all leading axes."""

import math

from deepconv.arrays import Array


def _rows(x: Array) -> Array:
    """Return all leading axes as one."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `x · weightᵀ + bias` for `x (..., in)` and `weight (out, in)`."""
    y = _rows(x) @ weight.T
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], len(weight))


def input_grad(dy: Array, weight: Array) -> Array:
    """Return `dy · weight`."""
    return (_rows(dy) @ weight).reshape(*dy.shape[:-1], weight.shape[1])


def weight_grad(dy: Array, x: Array) -> Array:
    """Return `dyᵀ · x`, summed over all leading axes."""
    return _rows(dy).T @ _rows(x)


def bias_grad(dy: Array) -> Array:
    """Return the sum of `dy` over all leading axes."""
    db: Array = _rows(dy).sum(axis=0)
    return db
