"""A table of a network: what each layer gives, how much it holds and how much it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepconv.arrays import Array
from deepconv.layers.base import Layer
from deepconv.layers.graph import Graph


@dataclass(frozen=True)
class Row:
    """One layer of a network.

    Attributes:
        name: its dotted name.
        layer: its class.
        output_shape: what it gives for one sample.
        parameters: how many numbers training changes in it, those of a shared layer at its first use.
        multiply_adds: how many multiplications, each with its addition, one sample costs.
    """

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The rows, in order of use; as text, a table with totals."""

    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """How many numbers training changes."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """How many multiplications, each with its addition, one sample costs."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        table = [("name", "layer", "output", "parameters", "multiply-adds")]
        for row in self.rows:
            shape = " × ".join(map(str, row.output_shape)) or "1"
            table.append((row.name, row.layer, shape, f"{row.parameters:,}", f"{row.multiply_adds:,}"))
        table.append(("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        aligned = ("<", "<", "<", ">", ">")
        lines = [
            "  ".join(
                f"{cell:{side}{width}}" for cell, side, width in zip(cells, aligned, widths, strict=True)
            )
            for cells in table
        ]
        rule = "─" * len(lines[0])
        return "\n".join(line.rstrip() for line in (lines[0], rule, *lines[1:-1], rule, lines[-1]))


def summarise(model: Layer, input_shapes: Sequence[tuple[int, ...]]) -> Summary:
    """Return a network's summary; a network without values stays without.

    Args:
        model: the network.
        input_shapes: for each input, the shape of one sample, without the batch.

    Example:
        >>> from deepconv.layers.dense import Linear
        >>> print(summarise(Linear(None, 3), [(5,)]))
        name    layer   output  parameters  multiply-adds
        ─────────────────────────────────────────────────
        Linear  Linear  3               18             15
        ─────────────────────────────────────────────────
        total                           18             15
    """
    if any(parameter.data is None for parameter in model.parameters().values()):
        model = model.copy().initialize(input_shapes)
    rows: list[Row] = []
    counted: set[int] = set()

    def step(name: str, layer: Layer, arrays: Sequence[Array]) -> Array:
        if isinstance(layer, Graph):
            return layer.run(arrays, lambda n, inner, xs: step(f"{name}.{n}" if name else n, inner, xs))
        y = layer(*arrays)
        own = [p for p in layer.parameters().values() if id(p) not in counted]
        counted.update(map(id, own))
        size = sum(parameter.value.size for parameter in own)
        cost = layer.multiply_adds([x.shape[1:] for x in arrays], y.shape[1:])
        kind = type(layer).__name__
        rows.append(Row(name or kind, kind, y.shape[1:], size, cost))
        return y

    step("", model, [np.zeros((0, *shape), model.dtype) for shape in input_shapes])
    return Summary(tuple(rows))
