"""Networks: what `layers=` says, made into a network that fits the samples and the targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepconv.geometry import whole_number
from deepconv.layers import (
    BatchNorm,
    Conv1d,
    Conv2d,
    Conv3d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    ReLU,
    Sequential,
    Softmax,
)

__all__ = ["automatic", "build"]

_CONV, _POOL = {1: Conv1d, 2: Conv2d, 3: Conv3d}, {1: MaxPool1d, 2: MaxPool2d, 3: MaxPool3d}
_WORDS = ("pool", "flatten", "global")
_PICTURES = ("lenet", "small", "resnet", "mobile")
_FEW = 64  # positions up to which each keeps its own weights in the last layer
_LONG = 64  # pixels above which a size is halved before it is looked at closely

Shape = tuple[int, ...]


def automatic(spatial: Sequence[int]) -> tuple[int | str, ...]:
    """Return the default network's layers as a tuple: pictures of any size end as 2 or 3 pixels.

    Args:
        spatial: a sample's sizes without its channels.

    Example:
        >>> automatic((8, 8)), automatic((28, 28))
        ((32, 'pool', 64, 'pool'), (32, 'pool', 64, 'pool', 128, 'pool'))
    """
    side, found = max(spatial), list[int | str]()
    while side > _LONG:
        found, side = [*found, 16, "pool"], side // 2
    filters = 32
    while side > 3:
        found, filters, side = [*found, filters, "pool"], min(2 * filters, 128), side // 2
    return tuple(found) or (filters,)


def build(op: str, layers: Any, input_shape: Shape, outputs: int, *, dropout: float, seed: int) -> Layer:
    """Return a network with values, from samples of one shape to so many numbers.

    Args:
        op: who asks, for the message.
        layers: "auto" or the name of a network for pictures, a sequence of filters, words and layers, or
            a layer; layers are copied, and those that have values keep them.
        input_shape: of one sample, channels first.
        outputs: how many numbers it must give.
        dropout: before the last layer of "auto".
        seed: draws the values.

    Raises:
        TypeError: something in `layers` is no layer, number or word.
        ValueError: they can't work on this shape, or give other outputs.

    Example:
        >>> network = build("fit", (4, "pool", 8), (1, 6, 6), 3, dropout=0.0, seed=0)
        >>> network(np.zeros((2, 1, 6, 6))).shape, network[-1]
        ((2, 3), Linear(72, 3))
    """
    if isinstance(layers, Layer):
        layers = [layers]
    if isinstance(layers, str):
        if layers in _PICTURES:
            return _picture_network(op, layers, input_shape, outputs, seed)
        if layers != "auto":
            known = ", ".join(map(repr, ("auto", *_PICTURES)))
            raise ValueError(
                f"{op}: layers={layers!r} is not one of {known}, nor a tuple such as (32, 'pool', 64)"
            )
        parts: list[Layer] = _parts(op, automatic(input_shape[1:]), input_shape)
        head = [*_squash(_after(parts, input_shape)), *([Dropout(dropout)] if dropout else [])]
        return _start(Sequential(*parts, *head, Linear(None, outputs)), input_shape, seed)
    if isinstance(layers, bytes) or not isinstance(layers, Sequence) or not layers:
        raise TypeError(
            f"{op}: layers={layers!r:.100} is no name, tuple or layer; give 'auto', (32, 'pool', 64), "
            f"or dc.Sequential(...)"
        )
    parts = _parts(op, layers, input_shape)
    shape = _after(parts, input_shape)
    own = all(isinstance(item, Layer) for item in layers)
    if own and isinstance(_last(parts[-1]), Softmax):
        raise ValueError(
            f"{op}: layers ends in Softmax, which is done already by the loss and by predict_proba; leave it out"
        )
    if len(shape) > 1 or not own:
        parts += [*_squash(shape), Linear(None, outputs)]
    elif shape != (outputs,):
        raise ValueError(
            f"{op}: layers gives {shape[0] if shape else 0} numbers for a sample, and y has {outputs}; "
            f"end it with dc.Linear(None, {outputs}), or with a picture, which gets its last layer here"
        )
    return _start(Sequential(*parts) if len(parts) > 1 else parts[0], input_shape, seed)


def _picture_network(op: str, name: str, input_shape: Shape, outputs: int, seed: int) -> Layer:
    """Return one of the networks that `deepconv train photos/` has."""
    from deepconv.models import picture_network  # most fits need none of them

    if len(input_shape) != 3:
        raise ValueError(
            f"{op}: layers={name!r} is for pictures, and a sample has shape {input_shape[1:]}; give "
            f"image_shape=(H, W), or layers='auto'"
        )
    network = picture_network(name, channels=input_shape[0], classes=outputs, size=min(input_shape[1:]))
    return _start(network, input_shape, seed)


def _parts(op: str, layers: Sequence[Any], input_shape: Shape) -> list[Layer]:
    """Return what each item stands for, in order."""
    parts: list[Layer] = []
    shape = input_shape
    for item in layers:
        filters = None if isinstance(item, bool) else whole_number(item)
        if isinstance(item, Layer):
            new: list[Layer] = [item.copy()]
        elif filters is not None and filters > 0:
            new = _block(shape, filters)
        elif isinstance(item, str) and item in _WORDS:
            new = _word(op, item, shape)
        else:
            if isinstance(item, type) and issubclass(item, Layer):
                raise TypeError(
                    f"{op}: layers has the class {item.__name__}; make a layer of it, {item.__name__}(...)"
                )
            raise TypeError(
                f"{op}: layers has {item!r:.100}; give numbers of filters above 0, layers, or the words "
                f"{', '.join(map(repr, _WORDS))}"
            )
        parts += new
        shape = _after(new, shape)
    return parts


def _block(shape: Shape, filters: int) -> list[Layer]:
    """Return a convolution, or a linear layer once the picture is a row, normalised and rectified."""
    if len(shape) == 1:
        return [Linear(None, filters), ReLU()]
    return [_CONV[len(shape) - 1](shape[0], filters, 3, padding=1, bias=False), BatchNorm(filters), ReLU()]


def _word(op: str, word: str, shape: Shape) -> list[Layer]:
    if len(shape) == 1:
        raise ValueError(f"{op}: layers has {word!r} where there is no picture any more; leave it out")
    if word != "pool":
        return [Flatten() if word == "flatten" else GlobalAvgPool()]
    window = tuple(min(size, 2) for size in shape[1:])
    if max(window) == 1:
        raise ValueError(f"{op}: layers has 'pool' where the picture is a single pixel; leave it out")
    return [_POOL[len(window)](window)]


def _last(layer: Layer) -> Layer:
    """Return the layer that computes last."""
    while isinstance(layer, Sequential) and len(layer):
        layer = layer[-1]
    return layer


def _squash(shape: Shape) -> list[Layer]:
    """Return what makes a row of a picture: all of it where that is little, or the mean of each channel."""
    if len(shape) == 1:
        return []
    return [Flatten() if math.prod(shape[1:]) <= _FEW else GlobalAvgPool()]


def _after(layers: Sequence[Layer], shape: Shape) -> Shape:
    """Return the shape of what layers make of a sample."""
    for layer in layers:
        if isinstance(layer, BatchNorm | ReLU):
            continue  # of which there are many
        shape = layer.copy().initialize(shape)(np.zeros((1, *shape), np.float32)).shape[1:]
    return shape


def _start(network: Layer, input_shape: Shape, seed: int) -> Layer:
    """Draw the values, but those that a layer came with."""
    brought = {name: value.data for name, value in network.values().items() if value.data is not None}
    network.initialize(input_shape, seed=seed)
    for name, value in network.values().items():
        if name in brought:
            value.data = brought[name]
    return network
