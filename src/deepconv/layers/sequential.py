"""Layers one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deepconv.layers.base import Layer
from deepconv.layers.graph import Graph


class Sequential(Graph):
    """A graph in which each layer takes what the one before it gives; its nodes are 0, 1, 2 and so on.

    Args:
        layers: the layers, in order. Without any, the output is the input.

    Raises:
        TypeError: something else than a layer.

    Example:
        >>> import numpy as np
        >>> from deepconv.layers.activation import ReLU
        >>> from deepconv.layers.dense import Linear
        >>> model = Sequential(Linear(None, 8), ReLU(), Linear(None, 3)).initialize((5,))
        >>> model(np.zeros((2, 5), np.float32)).shape, len(model), model[1]
        ((2, 3), 3, ReLU())
    """

    def __init__(self, *layers: Layer) -> None:
        for index, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"Sequential: layer {index} is {layer!r}, not a layer")
        self.layers = layers
        names = ["x", *(str(index) for index in range(len(layers)))]
        super().__init__([(names[i + 1], layer, names[i : i + 1]) for i, layer in enumerate(layers)])

    def arguments(self) -> dict[str, Any]:
        return {"layers": self.layers}

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int) -> Layer:
        return self.layers[index]
