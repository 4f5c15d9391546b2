"""A shortcut around layers."""

from __future__ import annotations

from typing import Any

from deepconv.layers.base import Layer
from deepconv.layers.graph import Graph
from deepconv.layers.merge import Add


class Residual(Graph):
    """`body(x) + shortcut(x)`, or `body(x) + x`. He et al. 2016, "Deep residual learning".

    Args:
        body: what is learnt besides the shortcut.
        shortcut: what brings the input to the body's shape, such as a 1×1 convolution; None adds the
            input itself.

    Raises:
        TypeError: something else than a layer.

    Example:
        >>> import numpy as np
        >>> from deepconv.layers.activation import ReLU
        >>> Residual(ReLU())(np.array([-1.0, 2.0]))
        array([-1.,  4.])
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        self.body, self.shortcut = body, shortcut
        branches = [("body", body, ("x",))] if shortcut is None else _both(body, shortcut)
        ends = ("body", "x" if shortcut is None else "shortcut")
        super().__init__([*branches, ("add", Add(), ends)])

    def arguments(self) -> dict[str, Any]:
        return {"body": self.body, "shortcut": self.shortcut}


def _both(body: Layer, shortcut: Layer) -> list[tuple[str, Layer, tuple[str, ...]]]:
    return [("body", body, ("x",)), ("shortcut", shortcut, ("x",))]
