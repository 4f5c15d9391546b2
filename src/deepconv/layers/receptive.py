"""Which pixels a unit of a network sees: its receptive field, from the geometry of the layers before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import per_axis, whole_number, window
from deepconv.layers.activation import Activation, Softmax
from deepconv.layers.base import Layer
from deepconv.layers.convolution import Conv
from deepconv.layers.dropout import Dropout
from deepconv.layers.merge import Add, Concatenate
from deepconv.layers.normalisation import BatchNorm
from deepconv.layers.pooling import AvgPool, MaxPool
from deepconv.layers.tracing import Step, Trace, trace
from deepconv.layers.transposed import ConvTranspose
from deepconv.layers.upsample import Upsample
from deepconv.operators.convolution import conv_input_grad
from deepconv.operators.pooling import avg_pool_input_grad
from deepconv.operators.resampling import upsample_input_grad
from deepconv.operators.transposed import conv_transpose_input_grad

__all__ = ["centres", "receptive_window"]

_OP = "receptive_window"


def receptive_window(
    model: Layer, name: str, row: int, column: int, *, input_shape: tuple[int, ...], source: str | None = None
) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that one place of a layer's output depends on.

    The smallest rectangle around them, at most the whole picture: no pixel outside of it can change the value,
    whatever the weights are. Strides, dilations, paddings of every mode, pooling, branches and transposed
    convolutions are followed exactly. A layer that mixes all places, as `Linear`, `GroupNorm` and `LayerNorm`
    do, sees everything, and so, to be safe, does a layer that isn't of this library.

    Args:
        model: the network.
        name: the dotted name of the layer, as in `activations`.
        row, column: the place in its output.
        input_shape: the shape of one picture, `(C, H, W)`.
        source: in which earlier layer's output the window is wanted; None is the picture.

    Returns:
        Two slices: `picture[:, rows, columns]` is the window. Both are empty for a place that sees padding alone.

    Raises:
        TypeError, ValueError: there is no such layer, it has no such place, or the shape doesn't fit.

    Example:
        >>> from deepconv.layers import Conv2d, MaxPool2d, Sequential
        >>> model = Sequential(Conv2d(3, 4, 3, padding=1), MaxPool2d(2), Conv2d(4, 8, 3))
        >>> receptive_window(model, "2", 1, 0, input_shape=(3, 16, 16))
        (slice(1, 9, None), slice(0, 7, None))
        >>> receptive_window(model, "2", 1, 0, input_shape=(3, 16, 16), source="1")
        (slice(1, 4, None), slice(0, 3, None))
    """
    if len(input_shape) != 3:
        raise ValueError(f"{_OP}: input_shape={input_shape!r} is not that of one picture, (C, H, W)")
    if any(parameter.data is None for parameter in model.parameters().values()):
        model = model.copy().initialize(input_shape)
    found = trace(model, [np.zeros((0, *input_shape), model.dtype)])
    end = found.find(_OP, name)
    start = next(iter(found.inputs)) if source is None else found.find(_OP, source)
    _check_place(found, name, end, row, column)
    mask = np.zeros((1, 1, *found.output(end).shape[2:]), np.float32)
    mask[0, 0, row, column] = 1
    seen = _reach(found, end, mask, start)
    sides = [np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(int(s[0]), int(s[-1]) + 1) if s.size else slice(0, 0) for s in sides)
    return rows, columns


def _check_place(found: Trace, name: str, end: str, row: int, column: int) -> None:
    shape = found.output(end).shape[1:]
    if len(shape) != 3:
        raise ValueError(
            f"{_OP}: layer {name!r} gives {shape} for each picture, without rows and columns: it sees all of the "
            f"picture; choose a layer before it"
        )
    for what, place, size in (("row", row, shape[1]), ("column", column, shape[2])):
        if whole_number(place) is None:
            raise TypeError(f"{_OP}: {what}={place!r} is not a whole number")
        if not 0 <= place < size:
            raise ValueError(f"{_OP}: {what}={place} is outside of layer {name!r}, which has 0 to {size - 1}")


def _reach(found: Trace, end: str, mask: Array, start: str) -> Array:
    """Return where in the output of `start` something reaches the places marked in that of `end`.

    The way back through the network, with every weight 1 and one channel: nothing can cancel out there.
    """
    shapes = {name: array.shape[1:] for name, array in [*found.inputs.items(), *_outputs(found)]}
    flowing = {end: mask}
    for name in reversed(found.steps):
        if name == start:
            break
        if name not in flowing:
            continue
        step, here = found.steps[name], flowing.pop(name)
        for source in step.sources:
            back = _back(step, here, shapes[source])
            marked = flowing[source] + back if source in flowing else back
            flowing[source] = (marked > 0).astype(np.float32)
    size = shapes[start][1:]
    if len(size) != 2:
        raise ValueError(
            f"{_OP}: source {start!r} gives {shapes[start]} for each picture, without rows and columns"
        )
    reached: Array = flowing.get(start, np.zeros((1, 1, *size), np.float32))[0, 0] > 0
    return reached


def _outputs(found: Trace) -> list[tuple[str, Array]]:
    return [(name, step.output) for name, step in found.steps.items()]


def _back(step: Step, mask: Array, shape: tuple[int, ...]) -> Array:
    """Return which places of a layer's input the marked places of its output depend on."""
    layer, target = step.layer, (1, 1, *shape[1:])
    if mask.ndim != len(target):  # Flatten, Linear, global pooling
        return np.full(target, float(mask.any()), np.float32)
    if isinstance(layer, Conv):
        ones = np.ones((1, 1, *per_axis(_OP, "kernel_size", layer.kernel_size, layer.rank)), np.float32)
        words = _words(layer, "stride", "padding", "dilation", "padding_mode")
        return conv_input_grad(mask, ones, target, **words)
    if isinstance(layer, ConvTranspose):
        ones = np.ones((1, 1, *per_axis(_OP, "kernel_size", layer.kernel_size, layer.rank)), np.float32)
        words = _words(layer, "stride", "padding", "output_padding", "dilation")
        return conv_transpose_input_grad(mask, ones, target, **words)
    if isinstance(layer, MaxPool | AvgPool):
        kernel = per_axis(_OP, "kernel_size", layer.kernel_size, layer.rank)
        words = _words(layer, "stride", "padding", "dilation", "ceil_mode")
        return avg_pool_input_grad(mask, target, kernel, **words)
    if isinstance(layer, Upsample):
        return upsample_input_grad(mask, target, layer.scale_factor, mode=layer.mode)
    if _keeps_places(layer) and mask.shape == target:
        return mask
    return np.full(target, float(mask.any()), np.float32)


def _words(layer: Layer, *names: str) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in names}


def _keeps_places(layer: Layer) -> bool:
    """Tell whether each place of the output depends on the same place of the inputs alone."""
    if isinstance(layer, Softmax | Concatenate):
        return layer.axis == 1
    return isinstance(layer, Activation | BatchNorm | Dropout | Add)


def centres(found: Trace, name: str, start: str) -> list[Array]:
    """Return where the places of a step's output lie in the input, on each spatial axis: their windows' centres.

    Where a layer between them isn't a window over places, the places are laid evenly over the input.

    Args:
        found: the network's trace.
        name: the step.
        start: the input.
    """
    path: list[tuple[Layer, tuple[int, ...]]] = []
    here = name
    while here in found.steps:
        step = found.steps[here]
        here = step.sources[0]
        path.append((step.layer, found.output(here).shape[2:]))
    image, places = found.inputs[start].shape[2:], found.output(name).shape[2:]
    even = [(np.arange(n) + 0.5) * size / n - 0.5 for n, size in zip(places, image, strict=True)]
    first, steps = [0.0] * len(image), [1.0] * len(image)
    for layer, shape in reversed(path):
        moved = _moved(layer, shape)
        if moved is None:
            return even
        first = [at + step * by for at, step, (by, _) in zip(first, steps, moved, strict=True)]
        steps = [step * times for step, (_, times) in zip(steps, moved, strict=True)]
    return [at + step * np.arange(n) for at, step, n in zip(first, steps, places, strict=True)]


def _moved(layer: Layer, shape: tuple[int, ...]) -> list[tuple[float, float]] | None:
    """Return where the first place's centre lies, in places of the input, and how far the next one is, on each axis."""
    if _keeps_places(layer):
        return [(0.0, 1.0)] * len(shape)
    if not isinstance(layer, Conv | MaxPool | AvgPool):
        return None
    words = _words(layer, "stride", "padding", "dilation")
    kernel = per_axis(_OP, "kernel_size", layer.kernel_size, layer.rank)
    words["stride"] = kernel if words["stride"] is None else words["stride"]
    if isinstance(layer, MaxPool | AvgPool):
        words["ceil_mode"] = layer.ceil_mode
    over = window(_OP, shape, kernel, **words)
    sides = zip(over.kernel, over.dilation, over.padding, over.stride, strict=True)
    return [(d * (k - 1) / 2 - before, float(s)) for k, d, (before, _), s in sides]
