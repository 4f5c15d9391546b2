"""Activations: what stands between two sums so that they don't collapse into one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from deepconv.arrays import Array
from deepconv.layers import sizes
from deepconv.layers.base import Layer, Pullback
from deepconv.operators import activation


class Activation(Layer):
    """The base of the activations: one function of one input, with its gradient. No parameters.

    A new one gives `functions`: the function and its `(dy, x, …)` gradient; and its constructor's
    arguments, which both take under the same names.
    """

    functions: tuple[Callable[..., Array], Callable[..., Array]]
    spared_by_output: ClassVar[bool] = False
    """Whether the gradient takes the output as `y`, which spares computing it again."""

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        function, input_grad = self.functions
        arguments = self.arguments()
        y = function(x, **arguments)
        if self.spared_by_output:
            arguments["y"] = y
        return y, Pullback(type(self).__name__, y, lambda dy: (input_grad(dy, x, **arguments), {}))


class ReLU(Activation):
    """`max(x, 0)`.

    Example:
        >>> ReLU()(np.array([-1.0, 2.0]))
        array([0., 2.])
    """

    functions = (activation.relu, activation.relu_input_grad)


class ReLU6(Activation):
    """`min(max(x, 0), 6)`. Howard et al., "MobileNets", 2017.

    Example:
        >>> ReLU6()(np.array([-1.0, 2.0, 7.0]))
        array([0., 2., 6.])
    """

    functions = (activation.relu6, activation.relu6_input_grad)


class LeakyReLU(Activation):
    """`x` where it is positive, `negative_slope·x` elsewhere.

    Args:
        negative_slope: the slope for negative inputs.

    Example:
        >>> LeakyReLU(0.1)(np.array([-1.0, 2.0]))
        array([-0.1,  2. ])
    """

    functions = (activation.leaky_relu, activation.leaky_relu_input_grad)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = sizes.number("LeakyReLU", "negative_slope", negative_slope, -1e30, 1e30)


class GELU(Activation):
    """`x·Φ(x)`, Φ the normal distribution's cumulative function. Hendrycks and Gimpel 2016.

    Args:
        approximate: `"none"`, or `"tanh"` for the formula that many networks were trained with.

    Example:
        >>> GELU()(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.8413])
    """

    functions = (activation.gelu, activation.gelu_input_grad)

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = sizes.choice("GELU", "approximate", approximate, ("none", "tanh"))


class SiLU(Activation):
    """`x·sigmoid(x)`, also called swish.

    Example:
        >>> SiLU()(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.7311])
    """

    functions = (activation.silu, activation.silu_input_grad)


class Sigmoid(Activation):
    """`1 / (1 + exp(-x))`.

    Example:
        >>> Sigmoid()(np.array([0.0]))
        array([0.5])
    """

    functions = (activation.sigmoid, activation.sigmoid_input_grad)
    spared_by_output = True


class Tanh(Activation):
    """The hyperbolic tangent.

    Example:
        >>> Tanh()(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.7616])
    """

    functions = (activation.tanh, activation.tanh_input_grad)
    spared_by_output = True


class Softmax(Activation):
    """`exp(x) / Σ exp(x)` along an axis: probabilities. `CrossEntropy` takes logits and doesn't need it.

    Args:
        axis: the axis that sums to 1; 1 is the channels, or the classes.

    Example:
        >>> Softmax()(np.array([[0.0, 0.0]]))
        array([[0.5, 0.5]])
    """

    functions = (activation.softmax, activation.softmax_input_grad)
    spared_by_output = True

    def __init__(self, axis: int = 1) -> None:
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise TypeError(f"Softmax: axis={axis!r} is not a whole number")
        self.axis = axis
        self.first_axis_is_batch = self.axis >= 1
