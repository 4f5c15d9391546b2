"""The linear layer: every output is a weighted sum of every input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.layers import sizes
from deepconv.layers.base import Gradients, Layer, Pullback
from deepconv.layers.initialisation import he_normal, zeros
from deepconv.layers.parameter import Parameter
from deepconv.operators.dense import linear, linear_bias_grad, linear_input_grad, linear_weight_grad


class Linear(Layer):
    """`y = x·weightᵀ + bias` over the last axis: `x (…, in)`, `weight (out, in)`, `y (…, out)`.

    Weights start as `he_normal`, biases as zeros.

    Args:
        in_features: how many inputs; None infers it at first use.
        out_features: how many outputs.
        bias: whether a number per output is added.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> Linear(None, 10).initialize((64,))(np.zeros((5, 64), np.float32)).shape
        (5, 10)
    """

    def __init__(self, in_features: int | None, out_features: int, *, bias: bool = True) -> None:
        self.in_features = sizes.count_or_none("Linear", "in_features", in_features)
        self.out_features = sizes.count("Linear", "out_features", out_features)
        shape = None if self.in_features is None else (self.out_features, self.in_features)
        self.weight = Parameter(shape, he_normal)
        has_bias = sizes.flag("Linear", "bias", bias)
        self.bias = Parameter((self.out_features,), zeros, decay=False) if has_bias else None

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        weight = self.weight.value
        y = linear(x, weight, None if self.bias is None else self.bias.value)

        def pull(dy: Array) -> Any:
            gradients: Gradients = {self.weight: linear_weight_grad(dy, x)}
            if self.bias is not None:
                gradients[self.bias] = linear_bias_grad(dy)
            return lambda: linear_input_grad(dy, weight), gradients

        return y, Pullback("Linear", y, pull)

    def infer(self, *inputs: Array) -> None:
        if self.in_features is None and inputs[0].ndim:
            self.in_features = inputs[0].shape[-1]
            self.weight.shape = (self.out_features, self.in_features)

    def check(self, *inputs: Array) -> None:
        shape, expected = inputs[0].shape, self.in_features
        if shape and shape[-1] == expected:
            return
        remedy = f"pass {expected} features or make the layer with in_features={shape[-1] if shape else 1}"
        if math.prod(shape[1:]) == expected:
            remedy = "put Flatten() before it"
        raise ValueError(f"Linear: x has shape {shape} but in_features={expected}; {remedy}")

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "bias": self.bias is not None}

    def multiply_adds(self, input_shapes: Any, output_shape: tuple[int, ...]) -> int:
        return math.prod(output_shape) * (self.in_features or 0)
