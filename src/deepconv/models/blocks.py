"""What the networks for pictures are built of: a convolution with what follows it, and a last part that decides."""

from __future__ import annotations

from deepconv.layers import BatchNorm, Conv2d, Dropout, GlobalAvgPool, Layer, Linear, ReLU

__all__ = ["check_picture", "convolution", "decision"]

_LEAST, _MOST = 8, 4096


def convolution(
    channels: int, filters: int, kernel: int = 3, *, stride: int = 1, groups: int = 1
) -> tuple[Layer, Layer, Layer]:
    """Return a convolution that keeps the size, or divides it by the stride, normalised and rectified.

    It needs no bias: the normalisation after it has one.

    Args:
        channels: of its input.
        filters: how many it has.
        kernel: the window's side, odd.
        stride: the window's step.
        groups: into how many independent parts the channels fall.

    Example:
        >>> convolution(3, 16)
        (Conv2d(3, 16, 3, padding=1, bias=False), BatchNorm(16), ReLU())
    """
    conv = Conv2d(
        channels, filters, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )  # fmt: skip
    return conv, BatchNorm(filters), ReLU()


def decision(channels: int, classes: int, dropout: float) -> tuple[Layer, Layer, Layer]:
    """Return the last part of a network: the mean of each channel, dropout, one score per class.

    The mean over the picture makes the number of weights the same for every size of picture, which is
    what keeps a few hundred pictures from being learned by heart.

    Args:
        channels: of its input.
        classes: how many there are to tell apart.
        dropout: the share of the means left out in training.

    Example:
        >>> decision(64, 2, 0.2)
        (GlobalAvgPool(), Dropout(0.2), Linear(64, 2))
    """
    return GlobalAvgPool(), Dropout(dropout), Linear(channels, classes)


def check_picture(name: str, channels: int, classes: int, size: int) -> None:
    """Refuse what no network for pictures can be built for.

    Args:
        name: the network's, for the message.
        channels: 1 for grey, 3 for colour, or another number.
        classes: how many there are to tell apart.
        size: the side of the square picture in pixels.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> check_picture("small", 3, 2, 4)
        Traceback (most recent call last):
        ValueError: small: size=4 is not a whole number from 8 to 4096
    """
    limits = {
        "channels": (channels, 1, 1024),
        "classes": (classes, 1, 100_000),
        "size": (size, _LEAST, _MOST),
    }
    for argument, (value, least, most) in limits.items():
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name}: {argument}={value!r} is not a whole number from {least} to {most}")
