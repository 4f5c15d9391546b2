"""The networks whose training steps are timed, made of our layers.

`torch_networks` has the same ones; the order of the parameters is the same, so that one file of arrays
serves both.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import deepconv as dc
from benchmarks.network_cases import CLASSES, inverted_blocks
from deepconv import layers
from deepconv.layers.activation import Activation
from deepconv.models.digits import digits_network


class _ClippedReLU(Activation):
    """`min(max(x, 0), 6)`, as long as the library has none."""

    functions = (
        lambda x: np.clip(x, 0, 6),
        lambda dy, x: np.where((x > 0) & (x < 6), dy, dy.dtype.type(0)),
    )


ReLU6: Any = getattr(layers, "ReLU6", _ClippedReLU)


def lenet() -> dc.Layer:
    """Return two convolutions of 5×5 and two linear layers."""
    return dc.Sequential(
        *(dc.Conv2d(1, 20, 5), dc.MaxPool2d(2), dc.Conv2d(20, 50, 5), dc.MaxPool2d(2), dc.Flatten()),
        *(dc.Linear(800, 500), dc.ReLU(), dc.Linear(500, CLASSES)),
    )


def resnet20() -> dc.Layer:
    """Return three stages of three basic residual blocks (He et al. 2016)."""
    blocks: list[dc.Layer] = []
    for channels, filters in pairwise((16, 16, 32, 64)):
        blocks += [_basic(channels, filters), _basic(filters, filters), _basic(filters, filters)]
    return dc.Sequential(*_stage(3, 16, 3), *blocks, dc.GlobalAvgPool(), dc.Linear(64, CLASSES))


def _basic(channels: int, filters: int) -> dc.Layer:
    """Return a basic block; where it widens it also halves the image, and a 1×1 projection follows."""
    stride = 1 if channels == filters else 2
    body = dc.Sequential(*_stage(channels, filters, 3, stride), *_normalised(filters, filters, 3))
    if stride == 1:
        return dc.Sequential(dc.Residual(body), dc.ReLU())
    shortcut = dc.Sequential(*_normalised(channels, filters, 1, stride))
    return dc.Sequential(dc.Residual(body, shortcut), dc.ReLU())


def mobile() -> dc.Layer:
    """Return inverted residual blocks with depthwise convolutions (Sandler et al. 2018)."""
    return dc.Sequential(
        *_normalised(3, 32, 3, 2), ReLU6(), *(_inverted(*row) for row in inverted_blocks()),
        *_normalised(64, 256, 1), ReLU6(), dc.GlobalAvgPool(), dc.Linear(256, CLASSES),
    )  # fmt: skip


def _inverted(channels: int, filters: int, stride: int, expansion: int) -> dc.Layer:
    inner = channels * expansion
    body = dc.Sequential(
        *([*_normalised(channels, inner, 1), ReLU6()] if expansion > 1 else []),
        *_normalised(inner, inner, 3, stride, groups=inner), ReLU6(),
        *_normalised(inner, filters, 1),
    )  # fmt: skip
    return dc.Residual(body) if stride == 1 and channels == filters else body


def _stage(channels: int, filters: int, kernel: int, stride: int = 1) -> list[dc.Layer]:
    return [*_normalised(channels, filters, kernel, stride), dc.ReLU()]


def _normalised(channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1) -> list[dc.Layer]:
    """Return a convolution and its normalisation, whose bias makes the convolution's own needless."""
    conv = dc.Conv2d(channels, filters, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, dc.BatchNorm(filters)]


NETWORKS: dict[str, Callable[[], dc.Layer]] = {
    "lenet": lenet,
    "digits": digits_network,
    "resnet20": resnet20,
    "mobile": mobile,
}
"""Every network by name."""
