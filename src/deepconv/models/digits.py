"""The small network that reads handwritten digits of 8 × 8 pixels."""

from __future__ import annotations

from deepconv.layers import Dropout, Flatten, Linear, MaxPool2d, Sequential
from deepconv.models.blocks import convolution

__all__ = ["digits_network"]


def digits_network(classes: int = 10) -> Sequential:
    """Return the network that `deepconv train digits` trains, without values yet.

    Three convolutions of 3 × 3 with 16, 32 and 64 filters, each normalised and rectified; the picture
    shrinks from 8 × 8 to 4 × 4 to 2 × 2, and a linear layer decides. The convolutions need no bias: the
    normalisation after them has one.

    Args:
        classes: how many there are to tell apart.

    Returns:
        A network from pictures `(N, 1, 8, 8)`, 0 for paper to 1 for ink, to scores `(N, classes)`.

    Example:
        >>> digits_network().summary((1, 8, 8)).splitlines()[-1]
        'total...'
    """
    return Sequential(
        *convolution(1, 16),
        *convolution(16, 32),
        MaxPool2d(2),
        *convolution(32, 64),
        MaxPool2d(2),
        Flatten(),
        Dropout(0.3),
        Linear(256, classes),
    )
