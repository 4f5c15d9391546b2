"""The plain network for photographs: one convolution per size of map, then the mean."""

from __future__ import annotations

from deepconv.layers import Layer, MaxPool2d, Sequential
from deepconv.models.blocks import check_picture, convolution, decision

__all__ = ["small"]

_SIDE, _WIDEST = 8, 128


def small(channels: int, classes: int, size: int) -> Sequential:
    """Return a small network that learns from some hundred pictures, without values yet.

    Convolutions of 3 × 3, each normalised and rectified and followed by a maximum over 2 × 2, until the map
    is at most 8 pixels wide; one more; the mean of each channel; dropout; and a linear layer. The channels
    double with each halving, up to 128; the first has 32, or 16 for pictures larger than 40 pixels, of
    which it sees so many more places.

    Args:
        channels: 1 for grey pictures, 3 for colour.
        classes: how many there are to tell apart.
        size: the side of the square pictures in pixels, 8 or more.

    Returns:
        A network from pictures `(N, channels, size, size)` to scores `(N, classes)`.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> import numpy as np
        >>> small(3, 2, 64).initialize((3, 64, 64))(np.zeros((5, 3, 64, 64), np.float32)).shape
        (5, 2)
    """
    check_picture("small", channels, classes, size)
    layers: list[Layer] = []
    filters, side = 16 if size > 40 else 32, size
    while side > _SIDE:
        layers += [*convolution(channels, filters), MaxPool2d(2)]
        channels, filters, side = filters, min(2 * filters, _WIDEST), side // 2
    return Sequential(*layers, *convolution(channels, filters), *decision(filters, classes, 0.2))
