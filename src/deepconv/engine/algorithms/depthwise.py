"""One input channel for each filter: no sum over channels, so each kernel cell is a product of whole images."""

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.algorithms.layout import (
    batch_last,
    inside,
    padded,
    tap_slices,
    turned,
    turned_back,
)  # fmt: skip
from deepconv.engine.problem import Problem


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: it serves groups of one input channel."""
    if problem.in_channels // problem.groups != 1:
        return f"a filter sees {problem.in_channels // problem.groups} channels, not one"
    if workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: padded input, turned output, one product."""
    image = problem.in_channels * math.prod(problem.window.padded_size(problem.image))
    return problem.batch * (image + 2 * problem.out_channels * problem.places) * problem.dtype.itemsize


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as `(filters of a channel, C, *kernel)`."""
    per_channel = problem.out_channels // problem.in_channels
    return weight.reshape(problem.in_channels, per_channel, *problem.window.kernel).swapaxes(0, 1)


def _column(values: Array, ndim: int) -> Array:
    """Return one number for each channel, to be broadcast over its cells."""
    return values.reshape(-1, *(1,) * (ndim - 1))


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    last = batch_last(problem, problem.batch)
    source = padded(x, problem.window, problem.dtype, last)
    y = np.empty(problem.y_shape, problem.dtype)
    for m, filters in enumerate(weight):
        total: Array | None = None
        for tap, cell in tap_slices(problem.window, problem.out, last):
            seen, factor = source[cell], _column(filters[:, *tap], source.ndim)
            if total is None:
                total = seen * factor
                product = np.empty_like(total)
            else:
                total += np.multiply(seen, factor, out=product)
        turned(y, last)[m :: len(weight)] = total
    if bias is not None:
        y += bias.reshape(-1, *(1,) * problem.window.rank)
    return y


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    last = batch_last(problem, problem.batch)
    size = problem.window.padded_size(problem.image)
    lead, tail = ((), (problem.batch,)) if last else ((problem.batch,), ())
    total = np.zeros((problem.in_channels, *lead, *size, *tail), problem.dtype)
    for m, filters in enumerate(weight):
        gradient = np.ascontiguousarray(turned(dy, last)[m :: len(weight)])
        product = np.empty_like(gradient)
        for tap, cell in tap_slices(problem.window, problem.out, last):
            total[cell] += np.multiply(gradient, _column(filters[:, *tap], total.ndim), out=product)
    return np.ascontiguousarray(turned_back(total[inside(problem.window, problem.image, last)], last))


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    last = batch_last(problem, problem.batch)
    source = padded(x, problem.window, problem.dtype, last)
    per_channel = problem.out_channels // problem.in_channels
    dw = np.empty((problem.in_channels, per_channel, *problem.window.kernel), problem.dtype)
    for m in range(per_channel):
        gradient = np.ascontiguousarray(turned(dy, last)[m::per_channel])
        rows = gradient.reshape(problem.in_channels, 1, -1)
        for tap, cell in tap_slices(problem.window, problem.out, last):
            seen = source[cell].reshape(problem.in_channels, -1, 1)
            here: tuple[Any, ...] = (slice(None), m, *tap)
            dw[here] = np.matmul(rows, seen)[:, 0, 0]
    return dw.reshape(problem.weight_shape)
