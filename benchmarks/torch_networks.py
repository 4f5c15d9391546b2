"""The networks of `networks` once more, made of `torch.nn`: imported in PyTorch's process alone."""

from typing import Any

from torch import Tensor, nn

from benchmarks.network_cases import CLASSES, inverted_blocks


class Residual(nn.Module):
    """`body(x) + shortcut(x)`."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches."""
        added: Tensor = self.body(x) + self.shortcut(x)
        return added


def lenet() -> nn.Module:
    """Return two convolutions of 5×5 and two linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, CLASSES)),
    )


def digits() -> nn.Module:
    """Return the network that `deepconv train digits` uses."""
    return nn.Sequential(
        *_stage(1, 16, 3), *_stage(16, 32, 3), nn.MaxPool2d(2), *_stage(32, 64, 3), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, CLASSES),
    )  # fmt: skip


def resnet20() -> nn.Module:
    """Return three stages of three basic residual blocks."""
    blocks: list[nn.Module] = []
    for channels, filters in ((16, 16), (16, 32), (32, 64)):
        blocks += [_basic(channels, filters), _basic(filters, filters), _basic(filters, filters)]
    return nn.Sequential(*_stage(3, 16, 3), *blocks, *_mean(), nn.Linear(64, CLASSES))


def _basic(channels: int, filters: int) -> nn.Module:
    stride = 1 if channels == filters else 2
    body = nn.Sequential(*_stage(channels, filters, 3, stride), *_normalised(filters, filters, 3))
    shortcut = None if stride == 1 else nn.Sequential(*_normalised(channels, filters, 1, stride))
    return nn.Sequential(Residual(body, shortcut), nn.ReLU(inplace=True))


def mobile() -> nn.Module:
    """Return inverted residual blocks with depthwise convolutions."""
    return nn.Sequential(
        *_normalised(3, 32, 3, 2), nn.ReLU6(inplace=True), *(_inverted(*row) for row in inverted_blocks()),
        *_normalised(64, 256, 1), nn.ReLU6(inplace=True), *_mean(), nn.Linear(256, CLASSES),
    )  # fmt: skip


def _inverted(channels: int, filters: int, stride: int, expansion: int) -> nn.Module:
    inner = channels * expansion
    widening = [*_normalised(channels, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
    body = nn.Sequential(
        *widening, *_normalised(inner, inner, 3, stride, groups=inner), nn.ReLU6(inplace=True),
        *_normalised(inner, filters, 1),
    )  # fmt: skip
    return Residual(body) if stride == 1 and channels == filters else body


def _mean() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def _stage(channels: int, filters: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [*_normalised(channels, filters, kernel, stride), nn.ReLU(inplace=True)]


def _normalised(
    channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    words: dict[str, Any] = {"stride": stride, "padding": kernel // 2, "groups": groups, "bias": False}
    return [nn.Conv2d(channels, filters, kernel, **words), nn.BatchNorm2d(filters)]


NETWORKS = {"lenet": lenet, "digits": digits, "resnet20": resnet20, "mobile": mobile}
"""Every network by name."""
