"""A MobileNet for small pictures: each channel is convolved on its own, then 1 × 1 mixes them."""

from __future__ import annotations

from deepconv.layers import BatchNorm, Conv2d, Layer, ReLU6, Residual, Sequential
from deepconv.models.blocks import check_picture, decision

__all__ = ["mobile"]

# Expansion, channels out, blocks, stride of the first.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 2, 2))
_STEM, _LAST = 32, 256
_SIDE = 40  # pixels of the map that the first stage sees, at most


def mobile(channels: int, classes: int, size: int) -> Sequential:
    """Return inverted residual blocks in the manner of MobileNetV2 (Sandler et al. 2018), without values yet.

    Each block widens its channels sixfold by 1 × 1, convolves every channel on its own by 3 × 3, and narrows
    them again: about an eighth of the multiplications of a full convolution, so that larger pictures can be
    afforded. The stem has stride 2, as often as it takes to come down to a map of 40 pixels; pictures that are no
    larger keep their size there.

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
        >>> mobile(3, 10, 64).initialize((3, 64, 64))(np.zeros((5, 3, 64, 64), np.float32)).shape
        (5, 10)
    """
    check_picture("mobile", channels, classes, size)
    layers: list[Layer] = []
    side, width = size, channels
    while side > _SIDE:
        layers += _limited(width, _STEM, stride=2)
        width, side = _STEM, (side + 1) // 2
    if not layers:
        layers += _limited(width, _STEM)
    width = _STEM
    for expansion, filters, blocks, stride in _STAGES:
        for block in range(blocks):
            layers.append(_inverted(width, filters, expansion, 1 if block else stride))
            width = filters
    return Sequential(*layers, *_limited(width, _LAST, kernel=1), *decision(_LAST, classes, 0.2))


def _limited(
    channels: int, filters: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> tuple[Layer, Layer, Layer]:
    conv = Conv2d(
        channels, filters, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )  # fmt: skip
    return conv, BatchNorm(filters), ReLU6()


def _inverted(channels: int, filters: int, expansion: int, stride: int) -> Layer:
    """Widen, convolve each channel on its own, narrow; with a shortcut where the shape stays."""
    wide = channels * expansion
    widen = _limited(channels, wide, kernel=1) if expansion > 1 else ()
    narrow = (Conv2d(wide, filters, 1, bias=False), BatchNorm(filters))
    body = Sequential(*widen, *_limited(wide, wide, stride=stride, groups=wide), *narrow)
    return Residual(body) if stride == 1 and channels == filters else body
