"""What made one activation: the numbers that its layer took, and what it did with them, as the page writes it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import Window, per_axis, window
from deepconv.layers.activation import Activation, Softmax
from deepconv.layers.base import Layer
from deepconv.layers.convolution import Conv
from deepconv.layers.dense import Linear
from deepconv.layers.dropout import Dropout
from deepconv.layers.flatten import Flatten
from deepconv.layers.merge import Add, Concatenate
from deepconv.layers.normalisation import BatchNorm
from deepconv.layers.pooling import AvgPool, GlobalAvgPool, MaxPool
from deepconv.layers.tracing import Trace
from deepconv.operators.windows import pad
from deepconv.studio.rooms.numbers import to_page

__all__ = ["made"]

_MOST = 4096  # numbers of a convolution's windows in one answer
_MAPS = 64  # maps of one answer
_TERMS = 12  # the largest of a sum that are shown one by one
_CELLS = 225  # of a window that is shown


def made(found: Trace, name: str, place: Sequence[int], first: int = 0) -> dict[str, Any]:
    """Return what made one number of a layer's output.

    Args:
        found: a picture's way through the network.
        name: the layer's dotted name.
        place: of the number, without the batch.
        first: of a convolution, from which of the previous maps on.

    Returns:
        `kind`, `layer` and `source`, the names of what made it and of where that took its numbers, and the numbers,
        which depend on the kind.

    Example:
        >>> from deepconv.layers import ReLU
        >>> from deepconv.layers.tracing import trace
        >>> made(trace(ReLU(), [np.array([[-3.0, 2.0]])]), "ReLU", (0,))
        {'kind': 'activation', 'x': -3.0, 'layer': 'ReLU', 'source': 'x'}
    """
    end = found.ends.get(name, name)
    if end not in found.steps:
        return {"kind": "other", "layer": "", "source": end}
    step = found.steps[end]
    inputs = [found.output(source)[0] for source in step.sources]
    told = _told(step.layer, inputs, tuple(map(int, place)), first)
    if told["kind"] == "summands":
        told["summands"] = [[s, value] for s, value in zip(step.sources, told["summands"], strict=True)]
    source = step.sources[told.pop("part", 0)]
    return {**told, "layer": type(step.layer).__name__, "source": source}


def _told(layer: Layer, inputs: list[Array], place: tuple[int, ...], first: int) -> dict[str, Any]:
    """Return what a layer did for one place."""
    x = inputs[0]
    if isinstance(layer, Conv) and layer.rank == 2:
        return _convolved(layer, x, place, first)
    if isinstance(layer, MaxPool | AvgPool) and layer.rank == 2:
        return _pooled(layer, x, place)
    if isinstance(layer, GlobalAvgPool):
        return _averaged(x[place[0]])
    if isinstance(layer, Linear):
        return _weighed(layer, x, place)
    if isinstance(layer, Softmax):
        return _shared(x, place, layer.axis - 1 if layer.axis > 0 else layer.axis)
    if isinstance(layer, Concatenate):
        return _beside(layer, inputs, place)
    if isinstance(layer, Flatten):
        return {"kind": "moved", "place": [int(i) for i in np.unravel_index(place[0], x.shape)]}
    return _by_place(layer, inputs, place)


def _by_place(layer: Layer, inputs: list[Array], place: tuple[int, ...]) -> dict[str, Any]:
    """Return what a layer did whose every number comes from the same place before it."""
    if isinstance(layer, Add):
        return {"kind": "summands", "summands": [to_page(part[place]) for part in inputs]}
    if isinstance(layer, BatchNorm):
        vectors = {
            "mean": layer.running_mean.value, "var": layer.running_var.value,
            "weight": layer.weight.value, "bias": layer.bias.value,
        }  # fmt: skip
        numbers = {word: to_page(vector[place[0]]) for word, vector in vectors.items()}
        return {"kind": "norm", "x": to_page(inputs[0][place]), "eps": layer.eps, **numbers}
    if isinstance(layer, Activation | Dropout):
        kind = "same" if isinstance(layer, Dropout) else "activation"
        return {"kind": kind, "x": to_page(inputs[0][place])}
    return {"kind": "other"}


def _convolved(layer: Conv, x: Array, place: tuple[int, ...], first: int) -> dict[str, Any]:
    """Return the window on each of the previous layer's maps, its weights, and the sum of their products."""
    weight = layer.weight.value[place[0]]
    kernel = per_axis("unit", "kernel_size", layer.kernel_size, 2)
    over = window(
        "unit", x.shape[1:], kernel, stride=layer.stride, padding=layer.padding, dilation=layer.dilation
    )
    start = place[0] // (layer.out_channels // layer.groups) * len(weight)
    cells, outside = _cells(x[start : start + len(weight)], over, place[1:], layer.padding_mode)
    sums = (cells.astype(np.float64) * weight).sum(axis=(1, 2))
    per = max(1, min(_MAPS, _MOST // over.taps))
    first = min(first, max(0, len(weight) - 1)) // per * per
    part = slice(first, first + per)
    return {
        "kind": "conv",
        "maps": [start, start + len(weight)],
        "first": first,
        "per": per,
        "windows": to_page(cells[part]),
        "weights": to_page(weight[part]),
        "outside": outside.tolist(),
        "sums": to_page(sums),
        "bias": None if layer.bias is None else to_page(layer.bias.value[place[0]]),
    }


def _cells(x: Array, over: Window, place: tuple[int, ...], mode: str = "zeros") -> tuple[Array, Array]:
    """Return what a window sees of maps `(C, H, W)` at one place, and which of its cells lie outside of them."""
    lines = [
        at * step - before + apart * np.arange(size)
        for at, step, (before, _), apart, size in zip(
            place, over.stride, over.padding, over.dilation, over.kernel, strict=True
        )
    ]
    beyond = [(line < 0) | (line >= size) for line, size in zip(lines, x.shape[1:], strict=True)]
    outside = beyond[0][:, None] | beyond[1][None, :]
    if mode != "zeros":
        x = pad(x, over.padding, mode=mode)
        lines = [line + before for line, (before, _) in zip(lines, over.padding, strict=True)]
    rows, columns = (np.clip(line, 0, size - 1) for line, size in zip(lines, x.shape[1:], strict=True))
    cells = x[:, rows[:, None], columns[None, :]]
    return np.where(outside, 0, cells) if mode == "zeros" else cells, outside


def _pooled(layer: MaxPool | AvgPool, x: Array, place: tuple[int, ...]) -> dict[str, Any]:
    """Return a pool's window, and its winner or its mean."""
    kernel = per_axis("unit", "kernel_size", layer.kernel_size, 2)
    over = window(
        "unit", x.shape[1:], kernel, stride=kernel if layer.stride is None else layer.stride,
        padding=layer.padding, dilation=layer.dilation, ceil_mode=layer.ceil_mode,
    )  # fmt: skip
    (cells,), outside = _cells(x[place[0] : place[0] + 1], over, place[1:])
    shown = {"window": to_page(cells) if cells.size <= _CELLS else None, "outside": outside.tolist()}
    if isinstance(layer, MaxPool):
        winner = np.unravel_index(int(np.where(outside, -np.inf, cells).argmax()), cells.shape)
        return {"kind": "max", **shown, "winner": [int(i) for i in winner]}
    counted = ~outside
    if layer.count_include_pad:  # but what ceil_mode reaches beyond the padding never counts
        ends = (size + after for size, (_, after) in zip(x.shape[1:], over.padding, strict=True))
        tops = zip(place[1:], over.stride, over.padding, over.dilation, over.kernel, ends, strict=True)
        rows, columns = (at * s - b + d * np.arange(k) < end for at, s, (b, _), d, k, end in tops)
        counted = rows[:, None] & columns[None, :]
    return {"kind": "mean", **shown, "sum": float(cells.sum(dtype=np.float64)), "count": int(counted.sum())}


def _averaged(x: Array) -> dict[str, Any]:
    """Return a whole map and its mean."""
    small = x.ndim == 2 and x.size <= _CELLS
    return {
        "kind": "mean",
        "window": to_page(x) if small else None,
        "outside": None,
        "sum": float(x.sum(dtype=np.float64)),
        "count": x.size,
    }


def _weighed(layer: Linear, x: Array, place: tuple[int, ...]) -> dict[str, Any]:
    """Return the largest terms of a sum over everything, and what the others come to."""
    row, weight = x[place[:-1]], layer.weight.value[place[-1]]
    terms = row.astype(np.float64) * weight
    largest = np.argsort(-np.abs(terms), kind="stable")[:_TERMS]
    return {
        "kind": "linear",
        "terms": [[int(i), to_page(row[i]), to_page(weight[i]), to_page(terms[i])] for i in largest],
        "count": len(terms),
        "rest": to_page(terms.sum() - terms[largest].sum()),
        "bias": None if layer.bias is None else to_page(layer.bias.value[place[-1]]),
    }


def _shared(x: Array, place: tuple[int, ...], axis: int) -> dict[str, Any]:
    """Return one part of a softmax: every score is taken less the greatest, so that nothing overflows."""
    line = np.moveaxis(x, axis, -1)[tuple(np.delete(place, axis))].astype(np.float64)
    return {
        "kind": "softmax",
        "x": to_page(x[place]),
        "most": to_page(line.max()),
        "sum": to_page(np.exp(line - line.max()).sum()),
        "count": line.size,
    }


def _beside(layer: Concatenate, inputs: list[Array], place: tuple[int, ...]) -> dict[str, Any]:
    """Return which of several inputs a number comes from, and its place there."""
    axis = (layer.axis if layer.axis >= 0 else layer.axis + inputs[0].ndim + 1) - 1
    at = list(place)
    for part, x in enumerate(inputs):
        if at[axis] < x.shape[axis]:
            return {"kind": "moved", "place": at, "part": part}
        at[axis] -= x.shape[axis]
    return {"kind": "other"}
