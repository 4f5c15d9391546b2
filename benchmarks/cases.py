"""The layers that are measured: convolutions of real networks, in eight classes."""

import csv
from dataclasses import dataclass
from pathlib import Path

PASSES = ("forward", "input_grad", "weight_grad")


@dataclass(frozen=True)
class Layer:
    """One convolution layer on square images, float32, with a bias in the forward pass."""

    name: str
    kind: str
    batch: int
    in_channels: int
    size: int
    out_channels: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    groups: int

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """`(N, C, H, W)`."""
        return (self.batch, self.in_channels, self.size, self.size)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """`(K, C/groups, R, S)`."""
        return (self.out_channels, self.in_channels // self.groups, self.kernel, self.kernel)

    @property
    def out(self) -> int:
        """Places of the window on an axis."""
        return (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """`(N, K, *out)`."""
        return (self.batch, self.out_channels, self.out, self.out)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the definition."""
        channels = self.in_channels // self.groups
        return 2 * self.batch * self.out_channels * self.out**2 * channels * self.kernel**2

    def counts(self, which: str) -> bool:
        """Tell whether a pass counts in the scores: nobody needs a first layer's input gradient."""
        return not (self.kind == "first" and which == "input_grad")


def read_layers(path: Path | None = None) -> list[Layer]:
    """Return the layers of `layers.csv`, in its order."""
    with (path or Path(__file__).with_name("layers.csv")).open(encoding="ascii", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [Layer(row[0], row[1], *map(int, row[2:])) for row in rows]
