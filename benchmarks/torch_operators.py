"""PyTorch's operators as calls, as `our_operators` has ours: imported in PyTorch's process alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.network_cases import MOMENTUM, WEIGHT_DECAY
from benchmarks.operator_cases import BACKWARD, FORWARD, Case, labels, random_array
from benchmarks.operator_peers import Passes

aten = torch.ops.aten


def _random(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.from_numpy(random_array(shape, seed))


def _elementwise(
    function: Callable[[torch.Tensor], torch.Tensor],
    backward: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> Callable[[Case], Passes]:
    """Return the calls of an activation from `f(x)` and `backward(dy, x, y)`."""

    def passes(case: Case) -> Passes:
        x, dy = _random(case.shape, 0), _random(case.shape, 1)
        y = function(x)
        return {FORWARD: lambda: function(x), BACKWARD: lambda: backward(dy, x, y)}

    return passes


def _window(case: Case) -> Any:
    """Return kernel, stride and padding, each for both axes."""
    return [[case.options[word]] * 2 for word in ("kernel", "stride", "padding")]


def max_pool(case: Case) -> Passes:
    """Return the calls of the greatest value in each window."""
    x, window = _random(case.shape, 0), _window(case)
    y, indices = aten.max_pool2d_with_indices(x, *window, [1, 1], False)
    dy = _random(tuple(y.shape), 1)
    return {
        FORWARD: lambda: functional.max_pool2d(x, *window),
        BACKWARD: lambda: aten.max_pool2d_with_indices_backward(dy, x, *window, [1, 1], False, indices),
    }


def avg_pool(case: Case) -> Passes:
    """Return the calls of the mean of each window."""
    x, window = _random(case.shape, 0), _window(case)
    dy = _random(tuple(functional.avg_pool2d(x, *window).shape), 1)
    return {
        FORWARD: lambda: functional.avg_pool2d(x, *window),
        BACKWARD: lambda: aten.avg_pool2d_backward(dy, x, *window, False, True, None),
    }


def global_avg_pool(case: Case) -> Passes:
    """Return the calls of the mean of whole images."""
    x, dy = _random(case.shape, 0), _random((*case.shape[:2], 1, 1), 1)
    return {
        FORWARD: lambda: functional.adaptive_avg_pool2d(x, 1),
        # What autograd runs for it: the gradient is spread over the image.
        BACKWARD: lambda: dy.expand(x.shape) / (x.shape[2] * x.shape[3]),
    }


def batch_norm(case: Case) -> Passes:
    """Return the calls of the layer in training: batch statistics, running ones, all gradients."""
    x, dy, channels = _random(case.shape, 0), _random(case.shape, 1), case.shape[1]
    weight, bias, mean, var = (
        torch.ones(channels),
        torch.zeros(channels),
        torch.zeros(channels),
        torch.ones(channels),
    )
    saved = aten.native_batch_norm(x, weight, bias, mean, var, True, 0.1, 1e-5)[1:]
    wanted = [True, True, True]
    return {
        FORWARD: lambda: functional.batch_norm(x, mean, var, weight, bias, True, 0.1, 1e-5),
        BACKWARD: lambda: aten.native_batch_norm_backward(
            dy, x, weight, mean, var, *saved, True, 1e-5, wanted
        ),
    }


def cross_entropy(case: Case) -> Passes:
    """Return the calls of softmax cross-entropy: the loss alone, and with its gradient."""
    scores, classes = _random(case.shape, 0), torch.from_numpy(labels(case.shape))
    one = torch.ones(())
    forward, backward = (
        (aten.nll_loss2d_forward, aten.nll_loss2d_backward)
        if scores.ndim == 4
        else (aten.nll_loss_forward, aten.nll_loss_backward)
    )

    def both() -> Any:
        logs = aten._log_softmax(scores, 1, False)
        loss, total = forward(logs, classes, None, 1, -100)
        slope = backward(one, logs, classes, None, 1, -100, total)
        return loss, aten._log_softmax_backward_data(slope, logs, 1, torch.float32)

    return {FORWARD: lambda: functional.cross_entropy(scores, classes), BACKWARD: both}


def sgd(case: Case) -> Passes:
    """Return the call of an update with momentum and weight decay."""
    return _update(lambda groups: torch.optim.SGD(groups, lr=1e-3, momentum=MOMENTUM), WEIGHT_DECAY, case)


def adam(case: Case) -> Passes:
    """Return the call of an update scaled by running averages."""
    return _update(lambda groups: torch.optim.Adam(groups, lr=1e-3), 0.0, case)


def _update(make: Callable[[Any], torch.optim.Optimizer], decay: float, case: Case) -> Passes:
    """Return the call of an update of parameters of the case's shapes; it returns the new values."""
    tensors = [_random(tuple(shape), index) for index, shape in enumerate(case.options["shapes"])]
    for index, tensor in enumerate(tensors):
        tensor.grad = _random(tuple(tensor.shape), 1000 + index)
    decayed, others = ([t for t in tensors if (t.ndim > 1) is wanted] for wanted in (True, False))
    optimizer = make([{"params": decayed, "weight_decay": decay}, {"params": others}])

    def update() -> Any:
        optimizer.step()
        return tensors

    return {FORWARD: update}


def im2col(case: Case) -> Passes:
    """Return the call that writes what a window sees."""
    x, (kernel, stride, padding) = _random(case.shape, 0), _window(case)
    return {FORWARD: lambda: functional.unfold(x, kernel, 1, padding, stride)}


def col2im(case: Case) -> Passes:
    """Return the call that adds each cell to its pixel."""
    kernel, stride, padding = _window(case)
    cols = functional.unfold(_random(case.shape, 0), kernel, 1, padding, stride)
    return {FORWARD: lambda: functional.fold(cols, case.shape[2:], kernel, 1, padding, stride)}


OPERATORS: dict[str, Callable[[Case], Passes]] = {
    "relu": _elementwise(torch.relu, lambda dy, x, y: aten.threshold_backward(dy, y, 0)),
    "leaky_relu": _elementwise(
        functional.leaky_relu, lambda dy, x, y: aten.leaky_relu_backward(dy, x, 0.01, False)
    ),
    "gelu": _elementwise(functional.gelu, lambda dy, x, y: aten.gelu_backward(dy, x)),
    "sigmoid": _elementwise(torch.sigmoid, lambda dy, x, y: aten.sigmoid_backward(dy, y)),
    "tanh": _elementwise(torch.tanh, lambda dy, x, y: aten.tanh_backward(dy, y)),
    "softmax": _elementwise(
        lambda x: torch.softmax(x, 1),
        lambda dy, x, y: aten._softmax_backward_data(dy, y, 1, torch.float32),
    ),
    **{f.__name__: f for f in (max_pool, avg_pool, global_avg_pool, batch_norm, cross_entropy)},
    **{f.__name__: f for f in (sgd, adam, im2col, col2im)},
}
"""Every operator by name."""
