"""What a network made of an input: every layer's output, and which places of a picture decided for a class."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.layers import sizes
from deepconv.layers.activation import Sigmoid, Softmax
from deepconv.layers.base import Layer
from deepconv.layers.convolution import Filters
from deepconv.layers.receptive import centres
from deepconv.layers.tracing import Trace, trace

__all__ = ["activations", "heat_map", "score_gradient"]


def activations(model: Layer, *inputs: Any) -> dict[str, Array]:
    """Return what every layer of a network gives for a batch, by the layer's dotted name.

    In inference: batch norm uses its running statistics and dropout drops nothing. The layers keep nothing, so many
    threads may look into one network at once. A graph within the network is looked into and comes after what it is
    made of; a layer that stands at several places comes once for each. Any other layer is one step, whatever it may
    be made of inside.

    Args:
        model: the network, or a single layer, whose name is then its class's.
        inputs: its inputs, a batch of pictures `(N, C, H, W)` for most networks.

    Returns:
        Outputs in the order of use. They may share memory with each other and with the input: look, don't write.

    Raises:
        TypeError, ValueError: the inputs don't fit the network.

    Example:
        >>> from deepconv.layers import Conv2d, ReLU, Residual, Sequential
        >>> model = Sequential(Residual(Conv2d(2, 2, 3, padding=1)), ReLU()).initialize((2, 5, 6))
        >>> {name: y.shape for name, y in activations(model, np.zeros((1, 2, 5, 6))).items()}
        {'0.body': (1, 2, 5, 6), '0.add': (1, 2, 5, 6), '0': (1, 2, 5, 6), '1': (1, 2, 5, 6)}
    """
    return dict(trace(model, inputs).outputs)


def score_gradient(model: Layer, x: Any, target: Any = None, *, layer: str | None = None) -> Array:
    """Return how a class's score changes with each number of the input, or of a layer's output.

    The score is what the network gives for the class, before a last `Softmax` or `Sigmoid`: behind those a network
    that is sure of itself has no gradient left. In inference, as `activations`.

    Args:
        model: from a batch to scores `(N, K)`.
        x: the batch.
        target: the class's number, one for all samples or one for each; None takes each sample's likeliest.
        layer: the dotted name of the layer whose output is asked about; None asks about `x`.

    Returns:
        `∂score[n, target]/∂…`, of the input's or that output's shape.

    Raises:
        TypeError, ValueError: the input doesn't fit, the model gives no scores, or there is no such class or layer.

    Example:
        >>> from deepconv.layers import Linear
        >>> model = Linear(3, 2).initialize((3,), seed=1)
        >>> gradient = score_gradient(model, np.ones((4, 3), np.float32), target=1)
        >>> bool((gradient == model.weight.value[1]).all())
        True
    """
    found = trace(model, [as_array("score_gradient", "x", x)])
    start = next(iter(found.inputs))
    return _gradient(
        "score_gradient", found, target, start if layer is None else found.find("score_gradient", layer)
    )


def heat_map(
    model: Layer, x: Any, target: Any = None, *, method: str = "hires-cam", layer: str | None = None
) -> Array:
    """Return which places of each input spoke for a class, from 0, not at all, to 1, the most.

    With A the output of the last convolution, after the normalisation and the activation behind it,
    and y the class's score before a last `Softmax` or `Sigmoid`:

    - `"hires-cam"`: `L = relu(Σ_k ∂y/∂A_k · A_k)`, product by product at every place. Where one linear layer follows,
      over means or over all places, L before the relu sums to y without the bias: the map is the score,
      divided among the places (Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM").
    - `"grad-cam"`: `L = relu(Σ_k α_k A_k)` with `α_k` the mean of `∂y/∂A_k` over all places (Selvaraju et al.
      2017). The same up to a factor where `GlobalAvgPool` and one linear layer follow. Where `Flatten` follows, as in
      networks for characters, the mean forgets where a thing has to be, and places that say nothing may light up.

    L is interpolated linearly between the centres of the windows that its places see, and divided by its
    greatest value. A network without a convolution that gives several places is asked about the input itself: that is
    "gradient × input" (Shrikumar et al. 2016), for which a 0 in the input, the mean of standardised values, says
    nothing.

    Args:
        model: from a batch to scores `(N, K)`; in inference, as for `activations`.
        x: the batch, `(N, C, *spatial)`.
        target: the class's number, one for all samples or one for each; None takes each sample's likeliest.
        method: `"hires-cam"` or `"grad-cam"`.
        layer: the dotted name of another layer whose output is A, or `"x"`, the input; None chooses as said.

    Returns:
        `(N, *spatial)`, `(N, H, W)` for pictures. All 0 where nothing spoke for the class.

    Raises:
        TypeError, ValueError: the input has no places or doesn't fit, the model gives no finite scores, or there is
            no such class or layer.

    Example:
        >>> from deepconv.layers import Flatten, Linear, Sequential
        >>> model = Sequential(Flatten(), Linear(4, 2)).initialize((1, 2, 2))
        >>> model[1].weight.value[...] = [[0, 0, 0, 2], [0, 1, 0, 0]]
        >>> heat_map(model, np.ones((1, 1, 2, 2), np.float32), target=0)
        array([[[0., 0.],
                [0., 1.]]], dtype=float32)
    """
    sizes.choice("heat_map", "method", method, ("hires-cam", "grad-cam"))
    x = as_array("heat_map", "x", x)
    if x.ndim < 3 or 0 in x.shape[1:]:
        raise ValueError(
            f"heat_map: x has shape {x.shape}, without places to show; pass (N, C, H, W), or use "
            f"score_gradient for rows of numbers"
        )
    found = trace(model, [x])
    start = next(iter(found.inputs))
    name = _last_spatial(found, start) if layer is None else found.find("heat_map", layer)
    seen = found.output(name)
    if seen.ndim != x.ndim:
        raise ValueError(
            f"heat_map: layer={layer!r} gives {seen.shape}, without the places of x {x.shape}; use an earlier layer"
        )
    gradient = _gradient("heat_map", found, target, name)
    if method == "grad-cam":
        gradient = gradient.mean(axis=tuple(range(2, seen.ndim)), keepdims=True)
    heat = np.maximum((gradient.astype(np.float64) * seen).sum(axis=1), 0)
    for axis, (size, at) in enumerate(zip(x.shape[2:], centres(found, name, start), strict=True), start=1):
        heat = _spread(heat, axis, size, at)
    most = heat.max(axis=tuple(range(1, heat.ndim)), keepdims=True)
    result: Array = np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)
    return result.astype(found.inputs[start].dtype, copy=False)


def _gradient(op: str, found: Trace, target: Any, name: str) -> Array:
    """Return the gradient of each sample's score for its class by the output of a step."""
    end = found.end
    while end in found.steps and isinstance(found.steps[end].layer, Softmax | Sigmoid):
        (end,) = found.steps[end].sources
    scores = found.output(end)
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise ValueError(
            f"{op}: the model gives {scores.shape}, not one score for each class; it must give (N, K)"
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            f"{op}: the model gives NaN or infinity for x, and nothing can be said about its reasons"
        )
    dy = np.zeros_like(scores)
    dy[np.arange(len(scores)), _targets(op, target, scores)] = 1
    return found.gradient(name, dy, end)


def _targets(op: str, target: Any, scores: Array) -> Array:
    count, classes = scores.shape
    if target is None:
        likeliest: Array = scores.argmax(axis=1)
        return likeliest
    numbers = np.asarray(target)
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (count,)):
        raise TypeError(
            f"{op}: target={target!r} is neither a class's number nor one for each of the {count} samples"
        )
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < classes):
        raise ValueError(f"{op}: target={target!r} is not among the classes 0 to {classes - 1}")
    return np.broadcast_to(numbers, (count,))


def _last_spatial(found: Trace, start: str) -> str:
    """Return the last convolution, or the last step behind it that still has its shape; without one, the input."""
    rank = found.inputs[start].ndim
    chosen = start
    for name, step in found.steps.items():
        y = step.output
        convolved = isinstance(step.layer, Filters) and y.ndim == rank and max(y.shape[2:]) > 1
        behind = chosen != start and chosen in step.sources and y.shape == found.output(chosen).shape
        if convolved or behind:
            chosen = name
    return chosen


def _spread(heat: Array, axis: int, size: int, at: Array) -> Array:
    """Interpolate along an axis, from the places that lie at `at` to `size` pixels."""
    places = heat.shape[axis]
    if places == 1:
        return np.repeat(heat, size, axis)
    exact = np.interp(np.arange(size), at, np.arange(places))  # beyond the outermost, the outermost
    low = np.minimum(exact.astype(np.intp), places - 2)
    share = (exact - low).reshape(-1, *(1 for _ in heat.shape[axis + 1 :]))
    result: Array = heat.take(low, axis) * (1 - share) + heat.take(low + 1, axis) * share
    return result
