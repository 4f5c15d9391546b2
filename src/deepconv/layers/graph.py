"""A network as named steps, each saying where its inputs come from."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.layers.activation import ReLU, ReLU6
from deepconv.layers.base import Gradients, Layer, Pullback, checked_output
from deepconv.layers.convolution import Conv, Conv1d, Conv2d, Conv3d
from deepconv.layers.normalisation import BatchNorm
from deepconv.layers.parameter import Buffer
from deepconv.layers.pullback import Later

Nodes = Mapping[str, tuple[Layer, Sequence[str]]] | Sequence[tuple[str, Layer, Sequence[str]]]


class Graph(Layer):
    """A network of named nodes. A layer may stand at several nodes: its gradients add up.

    Args:
        nodes: for each name, the layer and the names of its inputs: other nodes or the graph's inputs.
            A mapping, or a sequence of (name, layer, inputs); in any order.
        inputs: the names of the graph's inputs, in the order in which a call gives them.
        output: the node whose output is the graph's; None takes the last node.

    Raises:
        TypeError, ValueError: a name that is unknown or taken, a cycle, or a node that nothing uses.

    Example:
        >>> from deepconv.layers.activation import ReLU
        >>> from deepconv.layers.merge import Add
        >>> model = Graph({"positive": (ReLU(), ["x"]), "sum": (Add(), ["x", "positive"])})
        >>> model(np.array([-1.0, 2.0]))
        array([-1.,  4.])
    """

    def __init__(self, nodes: Nodes, inputs: Sequence[str] = ("x",), output: str | None = None) -> None:
        name = type(self).__name__
        self._nodes = _read(name, nodes)
        self.inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        last = next(reversed(self._nodes), self.inputs[0] if self.inputs else "")
        self.output = last if output is None else output
        _check_names(name, self._nodes, self.inputs, self.output)
        self._order = _order(name, self._nodes)
        _check_used(name, self._nodes, self.inputs, self.output)
        self._last_uses = _last_uses(self._nodes, self._order, self.output)
        # What two nodes compute in one pass over memory: in inference a convolution with its ReLU, in training a
        # batch norm with its ReLU, whose way back then wants no array that lay between.
        self._rectified = _pairs(self._nodes, self.output, (Conv1d, Conv2d, Conv3d), (ReLU,))
        self._limited = _pairs(self._nodes, self.output, (BatchNorm,), (ReLU, ReLU6))

    @property
    def nodes(self) -> dict[str, tuple[Layer, tuple[str, ...]]]:
        """Each node's layer and the names of its inputs."""
        return dict(self._nodes)

    def children(self) -> dict[str, Layer]:
        return {name: self._nodes[name][0] for name in self._order}

    def arguments(self) -> dict[str, Any]:
        nodes = [(name, layer, sources) for name, (layer, sources) in self._nodes.items()]
        return {"nodes": nodes, "inputs": self.inputs, "output": self.output}

    def apply(
        self, *inputs: Any, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        pullbacks: dict[str, Pullback] = {}

        limited = self._limited if training else {}
        done = set(limited.values())

        def step(name: str, layer: Layer, arrays: list[Array]) -> Array:
            if name in limited and isinstance(layer, BatchNorm):
                y, pullbacks[name] = layer.limited(self._nodes[limited[name]][0], *arrays)
            elif name in done:
                y = arrays[0]
                pullbacks[name] = Pullback(type(layer).__name__, y, lambda dy: (dy, {}))
            else:
                y, pullbacks[name] = checked_output(layer, layer.apply(*arrays, training=training, rng=rng))
            return y

        y = self.run(inputs, step)
        updates = _merged(pullback.updates for pullback in pullbacks.values())
        return y, Pullback(type(self).__name__, y, lambda dy: self._pull(dy, pullbacks), updates)

    def __call__(self, *inputs: Any) -> Array:
        done = set(self._rectified.values())

        def step(name: str, layer: Layer, arrays: list[Array]) -> Array:
            if name in self._rectified and isinstance(layer, Conv):
                return layer.rectified(*arrays)
            return arrays[0] if name in done else layer(*arrays)

        return self.run(inputs, step)

    def run(self, inputs: Sequence[Any], step: Callable[[str, Layer, list[Array]], Array]) -> Array:
        """Return the output of `step(name, layer, arrays)` done for every node in the order of use.

        Each array is let go as soon as no later node wants it, so inference needs no more memory than
        the widest place of the network.

        Args:
            inputs: the graph's inputs.
            step: computes one node's output.
        """
        if len(inputs) != len(self.inputs):
            raise TypeError(
                f"{type(self).__name__}: got {len(inputs)} inputs but it has {len(self.inputs)}: "
                f"{', '.join(self.inputs)}"
            )
        values = dict(zip(self.inputs, self.prepare(*inputs), strict=True))
        for name in self._order:
            layer, sources = self._nodes[name]
            arrays = [values[source] for source in sources]
            for source in self._last_uses[name]:
                del values[source]
            try:
                self._check_batch(layer, arrays)
                values[name] = step(name, layer, arrays)
            except Exception as error:
                _name(error, f"{type(self).__name__}, node {name!r}", arrays)
                raise
        return values[self.output]

    def _check_batch(self, layer: Layer, arrays: Sequence[Array]) -> None:
        """Refuse one picture without its batch axis where a layer here would take the channels for the batch."""
        rank = getattr(layer, "rank", None)
        if rank is None or arrays[0].ndim != rank + 1:
            return
        strict = next((type(inner).__name__ for _, inner in self.walk() if inner.first_axis_is_batch), None)
        if strict is not None:
            shape, axes = arrays[0].shape, ", ".join("DHW"[3 - rank :])
            raise ValueError(
                f"{type(layer).__name__}: x has shape {shape}, without the batch axis that {strict} in this network "
                f"needs; pass (N, C, {axes}): x[None] for one image, x[:, None] for a batch of one channel"
            )

    def _pull(self, dy: Array, pullbacks: Mapping[str, Pullback]) -> tuple[Later, Gradients]:
        flowing: dict[str, Array] = {self.output: dy}
        gradients: Gradients = {}
        waiting: list[tuple[tuple[str, ...], Later]] = []
        for name in reversed(self._order):
            sources = self._nodes[name][1]
            try:
                later, own = pullbacks[name].later(flowing.pop(name))
            except Exception as error:
                _name(error, f"{type(self).__name__}, node {name!r}", [])
                raise
            for parameter, gradient in own.items():
                _add(gradients, parameter, gradient)
            if all(source in self.inputs for source in sources):
                waiting.append((sources, later))  # wanted only by whoever wants the graph's own dx
            else:
                _spread(flowing, sources, later)
        return lambda: self._input_gradient(flowing, waiting), gradients

    def _input_gradient(
        self, flowing: Mapping[str, Array], waiting: list[tuple[tuple[str, ...], Later]]
    ) -> Array | tuple[Array, ...]:
        complete = dict(flowing)
        for sources, later in waiting:
            _spread(complete, sources, later)
        dx = tuple(complete[name] for name in self.inputs)
        return dx if len(dx) > 1 else dx[0]


def _spread(flowing: dict[str, Array], sources: tuple[str, ...], later: Later) -> None:
    """Add the gradients of a node's inputs to what flows back to their sources."""
    dx = later()
    for source, gradient in zip(sources, dx if isinstance(dx, tuple) else (dx,), strict=True):
        _add(flowing, source, gradient)


def _add(sums: dict[Any, Array], key: Any, value: Array) -> None:
    sums[key] = sums[key] + value if key in sums else value


def _merged(all_updates: Iterator[Mapping[Buffer, Array]]) -> dict[Buffer, Array]:
    """The nodes' updates together; where a shared layer gives two, the mean stays between them."""
    merged: dict[Buffer, Array] = {}
    for updates in all_updates:
        for buffer, value in updates.items():
            merged[buffer] = ((merged[buffer] + value) / 2).astype(value.dtype) if buffer in merged else value
    return merged


def _name(error: Exception, where: str, arrays: Sequence[Array]) -> None:
    """Say in an error's text at which node it arose, and what came in; its type stays."""
    shapes = ", ".join(str(x.shape) for x in arrays)
    place = f"{where} with input {shapes}" if arrays else where
    if len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{place}: {error.args[0]}",)
    else:
        error.add_note(place)


def _read(graph: str, nodes: Nodes) -> dict[str, tuple[Layer, tuple[str, ...]]]:
    if isinstance(nodes, Mapping):
        nodes = [
            (name, *(node if isinstance(node, tuple | list) else (node,))) for name, node in nodes.items()
        ]
    read: dict[str, tuple[Layer, tuple[str, ...]]] = {}
    for node in nodes:
        whole = isinstance(node, tuple | list) and len(node) == 3
        if not whole or not isinstance(node[0], str) or not isinstance(node[1], Layer):
            raise TypeError(f"{graph}: node {node!r} is not a name with (layer, names of its inputs)")
        name, layer, sources = node
        if name in read or not name or "." in name:
            raise ValueError(f"{graph}: node {name!r} needs another name: not empty, without dots, not taken")
        read[name] = (layer, (sources,) if isinstance(sources, str) else tuple(sources))
    return read


def _check_names(graph: str, nodes: Mapping[str, Any], inputs: tuple[str, ...], output: str) -> None:
    known = {*inputs, *nodes}
    some = ", ".join(map(repr, [*inputs, *nodes][:20]))
    if not inputs or len(known) != len(inputs) + len(nodes) or not all(isinstance(n, str) for n in inputs):
        raise ValueError(f"{graph}: inputs={inputs!r} must be one or more names that no node has")
    for name, (_, sources) in nodes.items():
        if not sources or not known.issuperset(sources):
            raise ValueError(f"{graph}: node {name!r} has inputs {list(sources)}; use names out of {some}")
    if output not in known:
        raise ValueError(f"{graph}: output={output!r} is not a node; use a name out of {some}")


def _order(graph: str, nodes: Mapping[str, tuple[Layer, tuple[str, ...]]]) -> tuple[str, ...]:
    """The order of use: as declared where that works, so that seeds and memory do as one reads."""
    sorter = graphlib.TopologicalSorter({name: sources for name, (_, sources) in nodes.items()})
    try:
        order = tuple(name for name in sorter.static_order() if name in nodes)
    except graphlib.CycleError as error:
        cycle = " → ".join(map(repr, error.args[1]))
        raise ValueError(f"{graph}: nodes {cycle} form a cycle; a node can't wait for itself") from None
    place = {name: index for index, name in enumerate(nodes)}
    declared = all(place.get(s, -1) < place[name] for name, (_, sources) in nodes.items() for s in sources)
    return tuple(nodes) if declared else order


def _check_used(
    graph: str, nodes: Mapping[str, tuple[Layer, tuple[str, ...]]], inputs: tuple[str, ...], output: str
) -> None:
    used: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting.extend(nodes[name][1] if name in nodes else ())
    idle = [name for name in (*inputs, *nodes) if name not in used]
    if idle:
        names = ", ".join(map(repr, idle))
        raise ValueError(f"{graph}: {names} doesn't reach the output {output!r}; use it or leave it out")


def _last_uses(
    nodes: Mapping[str, tuple[Layer, tuple[str, ...]]], order: tuple[str, ...], output: str
) -> dict[str, list[str]]:
    """For each node, the values that no later node wants."""
    last = {source: name for name in order for source in nodes[name][1] if source != output}
    ends: dict[str, list[str]] = {name: [] for name in order}
    for source, name in last.items():
        ends[name].append(source)
    return ends


def _pairs(
    nodes: Mapping[str, tuple[Layer, tuple[str, ...]]],
    output: str,
    first: tuple[type[Layer], ...],
    second: tuple[type[Layer], ...],
) -> dict[str, str]:
    """The nodes of the first kinds whose output only one of the second kinds sees, and that one: done at once."""
    readers: dict[str, list[str]] = {}
    for name, (_, sources) in nodes.items():
        for source in sources:
            readers.setdefault(source, []).append(name)
    return {
        name: readers[name][0]
        for name, (layer, _) in nodes.items()
        if type(layer) in first
        and name != output
        and len(readers[name]) == 1
        and type(nodes[readers[name][0]][0]) in second
    }
