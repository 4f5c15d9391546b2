"""Branches side by side, over the same input."""

from __future__ import annotations

from typing import Any

from deepconv.layers.base import Layer
from deepconv.layers.graph import Graph
from deepconv.layers.merge import Concatenate


class Concat(Graph):
    """Every branch's output for the same input, laid side by side along an axis. Szegedy et al. 2015.

    Args:
        branches: the layers, named 0, 1, 2 …
        axis: along which axis; 1 is the channels.

    Raises:
        TypeError: something else than a layer.
        ValueError: no branch.

    Example:
        >>> import numpy as np
        >>> from deepconv.layers.activation import ReLU, Tanh
        >>> Concat(ReLU(), Tanh())(np.zeros((2, 3, 4, 4))).shape
        (2, 6, 4, 4)
    """

    def __init__(self, *branches: Layer, axis: int = 1) -> None:
        if not branches:
            raise ValueError("Concat: there is no branch; pass one layer or more")
        self.branches, self.axis = branches, axis
        names = [str(index) for index in range(len(branches))]
        nodes = [(name, branch, ("x",)) for name, branch in zip(names, branches, strict=True)]
        super().__init__([*nodes, ("concatenate", Concatenate(axis), tuple(names))])

    def arguments(self) -> dict[str, Any]:
        return {"branches": self.branches, "axis": self.axis}
