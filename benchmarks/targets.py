"""What the engine must reach, and whether it does: the factors over PyTorch on NCHW and over the best peer."""

from dataclasses import dataclass

from benchmarks.tables import table

PEERS = {"torch": "PyTorch on NCHW", "best": "the best peer"}
"""Whom the targets are held against."""

SCORES = {
    "forward": {"torch": 1.8, "best": 1.3},
    "input_grad": {"torch": 1.8, "best": 1.35},
    "weight_grad": {"torch": 2.0, "best": 1.5},
}
"""The least score of each pass."""

BODIES = {"torch": 1.6, "best": 1.25}
"""The least class mean of the 3×3 bodies, in each pass."""

WORST = {"torch": 0.9, "best": 0.75}
"""The least that any single row may have."""

STEP = 1.6
"""How many times PyTorch's eager training step ours must be."""


@dataclass(frozen=True)
class Result:
    """One figure and what it must be.

    Attributes:
        what: what was measured.
        value: what came out.
        target: what it must be.
        most: whether the target is the most, not the least, that may come out.
        unit: of both.
    """

    what: str
    value: float
    target: float
    most: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure is what it must be."""
        return self.value <= self.target if self.most else self.value >= self.target

    @property
    def row(self) -> tuple[str, str, str, str]:
        """The figure as a table's row."""
        bound = f"{'at most' if self.most else 'at least'} {self.target:g}{self.unit}"
        return self.what, f"{self.value:.2f}{self.unit}", bound, "reached" if self.reached else "missed ✗"


def results(found: list[Result]) -> str:
    """Return figures beside their targets, as a table."""
    return table(["", "measured", "target", ""], (result.row for result in found))
