"""The operators that are measured beside the convolutions, on shapes of real networks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

FORWARD, BACKWARD = "forward", "backward"
UPDATES = ("sgd", "adam")


@dataclass(frozen=True)
class Case:
    """One operator on one shape, float32.

    Attributes:
        operator: its name, as both peers know it.
        shape: of the input; of the images, for col2im.
        where: the network that has it.
        options: what else it is told.
    """

    operator: str
    shape: tuple[int, ...]
    where: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The row's name."""
        shape = "×".join(map(str, self.shape)) or self.where
        return " ".join([self.operator, shape, *(f"{key} {value}" for key, value in self.options.items())])

    def title(self, which: str) -> str:
        """Return what a pass is called."""
        if self.operator in UPDATES:
            return "update"
        return "loss and gradient" if (self.operator, which) == ("cross_entropy", BACKWARD) else which

    @property
    def passes(self) -> tuple[str, ...]:
        """What is measured: im2col and col2im are each other's backward pass, an update has none."""
        alone = self.operator in ("im2col", "col2im", *UPDATES)
        return (FORWARD,) if alone else (FORWARD, BACKWARD)

    def request(self, which: str) -> dict[str, Any]:
        """Return what a worker is asked for a pass."""
        return {"case": asdict(self), "which": which}


_STEM, _SMALL, _DIGITS = (8, 64, 112, 112), (32, 16, 32, 32), (64, 16, 8, 8)
_WIDE = (8, 384, 28, 28)
_THREE = {"kernel": 3, "stride": 2, "padding": 1}
_TWO = {"kernel": 2, "stride": 2, "padding": 0}

CASES = (
    Case("relu", _STEM, "resnet50"),
    Case("relu", _SMALL, "resnet20"),
    Case("relu", _DIGITS, "digits"),
    Case("leaky_relu", (8, 64, 104, 104), "darknet"),
    Case("leaky_relu", _SMALL, "resnet20"),
    Case("gelu", _WIDE, "convnext"),
    Case("gelu", _DIGITS, "digits"),
    Case("sigmoid", _WIDE, "convnext"),
    Case("sigmoid", _DIGITS, "digits"),
    Case("tanh", (64, 6, 28, 28), "lenet"),
    Case("tanh", _WIDE, "convnext"),
    Case("softmax", (64, 10), "digits"),
    Case("softmax", (256, 1000), "imagenet"),
    Case("softmax", (4, 21, 128, 128), "segmentation"),
    Case("max_pool", _STEM, "resnet50", _THREE),
    Case("max_pool", (64, 20, 24, 24), "lenet", _TWO),
    Case("max_pool", _DIGITS, "digits", _TWO),
    Case("avg_pool", (8, 128, 56, 56), "densenet", _TWO),
    Case("avg_pool", (8, 192, 35, 35), "inception", {"kernel": 3, "stride": 1, "padding": 1}),
    Case("global_avg_pool", (32, 64, 8, 8), "resnet20"),
    Case("global_avg_pool", (8, 2048, 7, 7), "resnet50"),
    Case("batch_norm", _STEM, "resnet50"),
    Case("batch_norm", _SMALL, "resnet20"),
    Case("batch_norm", (16, 384, 4, 4), "mobile"),
    Case("cross_entropy", (64, 10), "digits"),
    Case("cross_entropy", (256, 1000), "imagenet"),
    Case("cross_entropy", (4, 21, 128, 128), "segmentation"),
    Case("sgd", (), "lenet"),
    Case("sgd", (), "resnet20"),
    Case("sgd", (), "mobile"),
    Case("adam", (), "lenet"),
    Case("adam", (), "resnet20"),
    Case("adam", (), "mobile"),
    Case("im2col", (8, 64, 56, 56), "resnet50", {"kernel": 3, "stride": 1, "padding": 1}),
    Case("im2col", (64, 1, 28, 28), "lenet", {"kernel": 5, "stride": 1, "padding": 0}),
    Case("col2im", (8, 64, 56, 56), "resnet50", {"kernel": 3, "stride": 1, "padding": 1}),
    Case("col2im", (64, 1, 28, 28), "lenet", {"kernel": 5, "stride": 1, "padding": 0}),
)
"""Every row, operator by operator. An optimizer's shapes are those of the network's parameters."""


def random_array(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return random numbers in float32, the same for every peer."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def labels(shape: tuple[int, ...]) -> np.ndarray:
    """Return random classes for scores of this shape, the same for every peer."""
    return np.random.default_rng(2).integers(0, shape[1], (shape[0], *shape[2:]))
