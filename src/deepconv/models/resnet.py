"""ResNet-20: three stages of residual blocks, with a stem for the picture's size."""

from __future__ import annotations

from deepconv.layers import BatchNorm, Conv2d, Layer, ReLU, Residual, Sequential
from deepconv.models.blocks import check_picture, convolution, decision

__all__ = ["resnet"]

_WIDTHS, _BLOCKS = (16, 32, 64), 3
_SIDE = 40  # pixels of the map that the first stage sees, at most


def resnet(channels: int, classes: int, size: int) -> Sequential:
    """Return the residual network that He et al. (2016) used for pictures of 32 × 32, without values yet.

    A stem, three stages of three basic blocks with 16, 32 and 64 channels, of which the second and the third
    halve the map (a 1 × 1 projection on the shortcut there), the mean of each channel, and a linear layer: 20
    layers with weights. The stem is one convolution of 3 × 3; for pictures larger than 40 pixels it and further
    ones like it have stride 2, so that the stages see maps about as large as they were made for.

    Args:
        channels: 1 for grey pictures, 3 for colour.
        classes: how many there are to tell apart.
        size: the side of the square pictures in pixels, 8 or more.

    Returns:
        A network from pictures `(N, channels, size, size)` to scores `(N, classes)`.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> sum(value.data.size for value in resnet(3, 10, 32).initialize((3, 32, 32)).parameters().values())
        272474
    """
    check_picture("resnet", channels, classes, size)
    layers: list[Layer] = []
    side, width = size, _WIDTHS[0]
    while side > _SIDE:
        layers += convolution(channels, width, stride=2)
        channels, side = width, (side + 1) // 2
    if not layers:
        layers += convolution(channels, width)
    for stage, filters in enumerate(_WIDTHS):
        for block in range(_BLOCKS):
            layers += [_basic(width, filters, 2 if stage and not block else 1), ReLU()]
            width = filters
    return Sequential(*layers, *decision(width, classes, 0.1))


def _basic(channels: int, filters: int, stride: int) -> Residual:
    """Two convolutions of 3 × 3 beside a shortcut."""
    second = (Conv2d(filters, filters, 3, padding=1, bias=False), BatchNorm(filters))
    body = Sequential(*convolution(channels, filters, stride=stride), *second)
    if stride == 1 and channels == filters:
        return Residual(body)
    project = Sequential(Conv2d(channels, filters, 1, stride=stride, bias=False), BatchNorm(filters))
    return Residual(body, project)
