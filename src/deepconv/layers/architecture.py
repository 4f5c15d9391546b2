"""A network written down as plain data that JSON can hold, and built again from it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepconv.layers.base import Layer, constructor_arguments


def describe(layer: Layer) -> dict[str, Any]:
    """Return the layer as plain data: its name under `"layer"`, its constructor's arguments under `"arguments"`.

    A layer met a second time is written as `{"repeat": i}`, i the place of its first meeting in the
    order of reading, so that what is shared stays shared.

    Args:
        layer: the layer, with all that is inside it.

    Raises:
        TypeError: an argument that JSON can't hold.

    Example:
        >>> from deepconv.layers.dense import Linear
        >>> describe(Linear(3, 2))
        {'layer': 'Linear', 'arguments': {'in_features': 3, 'out_features': 2, 'bias': True}}
    """
    seen: dict[int, int] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, Layer):
            if id(value) in seen:
                return {"repeat": seen[id(value)]}
            seen[id(value)] = len(seen)
            arguments = {name: plain(argument) for name, argument in value.arguments().items()}
            return {"layer": type(value).__name__, "arguments": arguments}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return _scalar(value)

    result: dict[str, Any] = plain(layer)
    return result


def build(description: Any, table: Mapping[str, type[Layer]], *, limit: int = 10_000) -> Layer:
    """Return the layer that `describe` wrote down, without values: nothing is allocated for them.

    Args:
        description: what `describe` gave.
        table: the classes by name.
        limit: how many layers at most.

    Raises:
        ValueError: a layer or an argument that isn't known or can't work, or more layers than `limit`.

    Example:
        >>> from deepconv.layers.dense import Linear
        >>> build({"layer": "Linear", "arguments": {"in_features": 3, "out_features": 2}}, {"Linear": Linear})
        Linear(3, 2)
    """
    met: list[Layer | None] = []

    def value(data: Any) -> Any:
        if isinstance(data, list):
            return tuple(value(item) for item in data)
        if not isinstance(data, dict):
            return data
        return repeat(data["repeat"]) if data.keys() == {"repeat"} else made(data)

    def made(data: dict[str, Any]) -> Layer:
        if len(met) >= limit:
            raise ValueError(f"the network has more than {limit} layers")
        place = len(met)
        met.append(None)
        kind, given = _kind(data, table), data["arguments"]
        arguments = {name: value(item) for name, item in given.items()}
        met[place] = layer = _construct(kind, arguments)
        return layer

    def repeat(place: Any) -> Layer:
        layer = met[place] if isinstance(place, int) and 0 <= place < len(met) else None
        if layer is None:
            raise ValueError(f"the network repeats a layer {place!r} that isn't there yet")
        return layer

    layer = value(description)
    if not isinstance(layer, Layer):
        raise ValueError(f"the network is written as {type(description).__name__}, not as a layer")
    return layer


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, float | np.floating):
        return float(value)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"config: {value!r} is not a number, a word, a sequence of them or a layer") from None


def _kind(data: dict[str, Any], table: Mapping[str, type[Layer]]) -> type[Layer]:
    if data.keys() != {"layer", "arguments"} or not isinstance(data["arguments"], dict):
        raise ValueError(f"a layer is described by {sorted(data)!s:.100}, not by 'layer' and 'arguments'")
    name = data["layer"]
    if not isinstance(name, str) or name not in table:
        raise ValueError(
            f"unknown layer {str(name)[:100]!r}; known are {', '.join(sorted(table))}, and a layer of your own by "
            f"load(path, layers={{name: class}})"
        )
    return table[name]


def _construct(kind: type[Layer], arguments: dict[str, Any]) -> Layer:
    name, known = kind.__name__, constructor_arguments(kind)
    unknown = sorted(arguments.keys() - known.keys())
    if unknown:
        raise ValueError(f"{name}: unknown argument {unknown[0][:100]!r}; known are {', '.join(known)}")
    several = [p.name for p in known.values() if p.kind is p.VAR_POSITIONAL]
    positional = arguments.pop(several[0], ()) if several else ()
    if not isinstance(positional, tuple):
        raise ValueError(f"{name}: {several[0]} is not a list")
    try:
        return kind(*positional, **arguments)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(str(error) if str(error).startswith(f"{name}: ") else f"{name}: {error}") from error
