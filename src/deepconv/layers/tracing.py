"""One way through a network with every step remembered: what looks into a network stands on this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.layers.base import Layer, Pullback, checked_output
from deepconv.layers.graph import Graph

__all__ = ["Step", "Trace", "trace"]


@dataclass(frozen=True)
class Step:
    """What one layer did.

    Args:
        layer: the layer.
        sources: the steps, or the network's inputs, whose outputs it took.
        output: what it gave.
        pullback: the way back through it.
    """

    layer: Layer
    sources: tuple[str, ...]
    output: Array
    pullback: Pullback


@dataclass(frozen=True)
class Trace:
    """What every layer of a network did with one batch, in inference.

    Args:
        inputs: the network's inputs by name.
        steps: the layers that compute, by dotted name, in the order of use: none before one that it reads.
        outputs: every layer's output by dotted name; a graph within the network comes after what it is made of.
        ends: for each graph within the network, the step or input that its output is.
        end: the step or input that the network's output is.
    """

    inputs: Mapping[str, Array]
    steps: dict[str, Step] = field(default_factory=dict)
    outputs: dict[str, Array] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    end: str = ""

    def output(self, name: str) -> Array:
        """Return what a step gave, or the input of that name.

        Args:
            name: of a step or an input.
        """
        return self.steps[name].output if name in self.steps else self.inputs[name]

    def find(self, op: str, name: str) -> str:
        """Return the step or input whose output a layer's output is.

        Args:
            op: the operation that asks, for the message.
            name: a layer's dotted name, or an input's.

        Raises:
            ValueError: the network has none of that name.
        """
        name = self.ends.get(name, name) if isinstance(name, str) else name
        if name not in self.steps and name not in self.inputs:
            some = ", ".join(map(repr, [*self.inputs, *self.outputs][:30]))
            raise ValueError(f"{op}: the network has no layer {name!r}; use one of {some}")
        return name

    def gradient(self, name: str, dy: Array, end: str | None = None) -> Array:
        """Return the gradient of a step's output, or an input's, from that of the network's output.

        Only what lies between the two is gone through.

        Args:
            name: the step or input that is asked about.
            dy: the gradient of the output of `end`.
            end: a step; None is the network's output.
        """
        between = self._readers(name)
        flowing = {end or self.end: dy}
        for here in reversed(self.steps):
            if here == name:
                break
            if here not in flowing:
                continue
            step, dx = self.steps[here], flowing.pop(here)
            if here not in between:
                continue
            back = step.pullback(dx)[0]
            for source, part in zip(step.sources, back if isinstance(back, tuple) else (back,), strict=True):
                flowing[source] = flowing[source] + part if source in flowing else part
        return flowing[name] if name in flowing else np.zeros_like(self.output(name))

    def _readers(self, name: str) -> set[str]:
        """Return the steps that depend on a step or input."""
        found = {name}
        for here, step in self.steps.items():
            if not found.isdisjoint(step.sources):
                found.add(here)
        return found


def trace(model: Layer, inputs: Sequence[Any]) -> Trace:
    """Run a network as inference does and remember every step. The layers keep nothing.

    Args:
        model: the network. Graphs are looked into, other layers are one step each, whatever they are made of.
        inputs: its inputs.

    Returns:
        The trace.

    Raises:
        TypeError, ValueError: the inputs don't fit the network.

    Example:
        >>> import numpy as np
        >>> from deepconv.layers.activation import ReLU
        >>> from deepconv.layers.residual import Residual
        >>> list(trace(Residual(ReLU()), [np.ones((1, 2))]).steps)
        ['body', 'add']
    """
    names = model.inputs if isinstance(model, Graph) else _input_names(len(inputs))
    found = Trace(dict(zip(names, model.prepare(*inputs), strict=False)))
    if isinstance(model, Graph):
        end = _follow(found, model, "", list(inputs), names)
    else:
        end = type(model).__name__
        _take(found, end, model, list(found.inputs.values()), names)
    return Trace(found.inputs, found.steps, found.outputs, found.ends, end)


def _input_names(count: int) -> tuple[str, ...]:
    return ("x",) if count == 1 else tuple(f"x{place}" for place in range(count))


def _follow(found: Trace, graph: Graph, prefix: str, arrays: list[Array], sources: Sequence[str]) -> str:
    """Run a graph, add its steps to what was found, and return the one that its output is."""
    nodes = graph.nodes
    scope = dict(zip(graph.inputs, sources, strict=False))

    def step(name: str, layer: Layer, xs: list[Array]) -> Array:
        full = f"{prefix}{name}"
        come_from = tuple(scope[source] for source in nodes[name][1])
        if isinstance(layer, Graph):
            scope[name] = found.ends[full] = _follow(found, layer, f"{full}.", xs, come_from)
            found.outputs[full] = found.output(scope[name])
        else:
            scope[name] = full
            _take(found, full, layer, xs, come_from)
        return found.outputs[full]

    graph.run(arrays, step)
    return scope[graph.output]


def _take(found: Trace, name: str, layer: Layer, arrays: Sequence[Array], sources: Sequence[str]) -> None:
    y, pullback = checked_output(layer, layer.apply(*arrays, training=False))
    found.steps[name] = Step(layer, tuple(sources), y, pullback)
    found.outputs[name] = y
