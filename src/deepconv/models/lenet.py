"""LeNet, brought up to date: two or more convolutions of 5 × 5 and a hidden layer that sees the whole picture."""

from __future__ import annotations

from deepconv.layers import Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential
from deepconv.models.blocks import check_picture, convolution

__all__ = ["lenet"]

_SIDE = 8  # pixels of the map that the hidden layer sees, at most


def lenet(channels: int, classes: int, size: int) -> Sequential:
    """Return LeCun's network of 1998 with normalisation, ReLU and dropout, without values yet.

    Convolutions of 5 × 5 with 20 and 50 filters, each followed by a maximum over 2 × 2, and for larger
    pictures more of the second kind, until the map is at most 8 pixels wide. A hidden layer of 128 sees
    all of that map, so this network learns *where* things are: right for characters and whatever else
    fills the picture, less so for photographs.

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
        >>> lenet(1, 10, 28).initialize((1, 28, 28))(np.zeros((5, 1, 28, 28), np.float32)).shape
        (5, 10)
    """
    check_picture("lenet", channels, classes, size)
    layers: list[Layer] = [*convolution(channels, 20, 5), MaxPool2d(2)]
    channels, side = 20, size // 2
    while channels == 20 or side > _SIDE:
        layers += [*convolution(channels, 50, 5), MaxPool2d(2)]
        channels, side = 50, side // 2
    hidden = (Flatten(), Dropout(0.25), Linear(50 * side * side, 128), ReLU())
    return Sequential(*layers, *hidden, Dropout(0.5), Linear(128, classes))
