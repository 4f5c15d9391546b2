"""Our operators as calls: for each one a function from a case to the calls of its passes."""

from collections.abc import Callable
from typing import Any

import numpy as np

import deepconv as dc
from benchmarks.network_cases import MOMENTUM, WEIGHT_DECAY
from benchmarks.operator_cases import BACKWARD, FORWARD, Case, labels, random_array
from benchmarks.operator_peers import Passes


def _elementwise(name: str) -> Callable[[Case], Passes]:
    """Return the calls of an activation, `f(x)` and `f_input_grad(dy, x)`, with y as its layer gives it."""
    function, input_grad = getattr(dc, name), getattr(dc, f"{name}_input_grad")
    with_output = name in ("sigmoid", "tanh", "softmax")

    def passes(case: Case) -> Passes:
        x, dy = random_array(case.shape, 0), random_array(case.shape, 1)
        words = {"y": function(x)} if with_output else {}
        return {FORWARD: lambda: function(x), BACKWARD: lambda: input_grad(dy, x, **words)}

    return passes


def _window(case: Case) -> dict[str, Any]:
    return {"stride": case.options["stride"], "padding": case.options["padding"]}


def max_pool(case: Case) -> Passes:
    """Return the calls of the layer in training, which keeps the winners for its way back, as PyTorch does."""
    x, layer = random_array(case.shape, 0), dc.MaxPool2d(case.options["kernel"], **_window(case))
    y, pullback = layer.apply(x, training=True)
    dy = random_array(y.shape, 1)
    return {FORWARD: lambda: layer.apply(x, training=True)[0], BACKWARD: lambda: pullback(dy)[0]}


def avg_pool(case: Case) -> Passes:
    """Return the calls of the mean of each window."""
    x, kernel, words = random_array(case.shape, 0), case.options["kernel"], _window(case)
    dy = random_array(dc.avg_pool(x, kernel, **words).shape, 1)
    return {
        FORWARD: lambda: dc.avg_pool(x, kernel, **words),
        BACKWARD: lambda: dc.avg_pool_input_grad(dy, x.shape, kernel, **words),
    }


def global_avg_pool(case: Case) -> Passes:
    """Return the calls of the mean of whole images."""
    x, dy = random_array(case.shape, 0), random_array((*case.shape[:2], 1, 1), 1)
    return {
        FORWARD: lambda: dc.global_avg_pool(x),
        BACKWARD: lambda: dc.global_avg_pool_input_grad(dy, x.shape),
    }


def batch_norm(case: Case) -> Passes:
    """Return the calls of the layer in training: batch statistics, running ones, all gradients."""
    x, dy = random_array(case.shape, 0), random_array(case.shape, 1)
    layer = dc.BatchNorm(case.shape[1]).initialize(case.shape[1:])
    _, pullback = layer.apply(x, training=True)

    def backward() -> Any:
        dx, gradients = pullback(dy)
        return dx, list(gradients.values())

    return {FORWARD: lambda: layer.apply(x, training=True)[0], BACKWARD: backward}


def cross_entropy(case: Case) -> Passes:
    """Return the calls of softmax cross-entropy: the loss alone, and with its gradient."""
    loss, scores, classes = dc.CrossEntropy(), random_array(case.shape, 0), labels(case.shape)
    return {FORWARD: lambda: loss(scores, classes), BACKWARD: lambda: loss.apply(scores, classes)}


def sgd(case: Case) -> Passes:
    """Return the call of an update with momentum and weight decay."""
    return _update(dc.SGD(1e-3, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY), case)


def adam(case: Case) -> Passes:
    """Return the call of an update scaled by running averages."""
    return _update(dc.Adam(1e-3), case)


def _update(optimizer: dc.Optimizer, case: Case) -> Passes:
    """Return the call of an update of parameters of the case's shapes; it returns the new values."""
    shapes = case.options["shapes"]
    parameters = {
        str(index): _parameter(random_array(tuple(shape), index)) for index, shape in enumerate(shapes)
    }
    gradients = {
        parameter: random_array(parameter.value.shape, 1000 + index)
        for index, parameter in enumerate(parameters.values())
    }
    values = [parameter.value for parameter in parameters.values()]

    def update() -> Any:
        optimizer.step(parameters, gradients)
        return values

    return {FORWARD: update}


def _parameter(array: np.ndarray) -> dc.Parameter:
    parameter = dc.Parameter(array.shape, lambda generator, shape: array, decay=array.ndim > 1)
    parameter.initialise(np.random.default_rng(0), np.float32)
    return parameter


def im2col(case: Case) -> Passes:
    """Return the call that writes what a window sees."""
    x, kernel, words = random_array(case.shape, 0), case.options["kernel"], _window(case)
    return {FORWARD: lambda: dc.im2col(x, kernel, **words)}


def col2im(case: Case) -> Passes:
    """Return the call that adds each cell to its pixel."""
    kernel, words = case.options["kernel"], _window(case)
    cols = dc.im2col(random_array(case.shape, 0), kernel, **words)
    return {FORWARD: lambda: dc.col2im(cols, case.shape[2:], (kernel, kernel), **words)}


OPERATORS: dict[str, Callable[[Case], Passes]] = {
    **{name: _elementwise(name) for name in ("relu", "leaky_relu", "gelu", "sigmoid", "tanh", "softmax")},
    **{f.__name__: f for f in (max_pool, avg_pool, global_avg_pool, batch_norm, cross_entropy)},
    **{f.__name__: f for f in (sgd, adam, im2col, col2im)},
}
"""Every operator by name."""
