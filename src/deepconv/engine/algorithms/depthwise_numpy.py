"""One channel for each filter, backwards: each kernel cell is one product of whole images, added in place.

Forward and weight gradient go to the matrix product: measured on four depthwise layers, one thread,
this way took 0.8 to 1.7 times its CPU time there, and 0.7 to 2.4 times where a channel has two filters.
For the input gradient of one filter a channel it took 0.3 to 0.8 of the matrix product's time.
"""

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.algorithms.layout import batch_last, inside, put_back, tap_slices, turned
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: it serves as many groups as channels and filters."""
    if not problem.groups == problem.in_channels == problem.out_channels:
        return (
            f"{problem.groups} groups, {problem.in_channels} channels and {problem.out_channels} filters are "
            "not one of each"
        )
    if workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: the padded sum, the gradient turned, a product."""
    image = problem.in_channels * math.prod(problem.window.padded_size(problem.image))
    return problem.batch * (image + 2 * problem.out_channels * problem.places) * problem.dtype.itemsize


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: for each kernel cell, a product and a sum of whole images."""
    rate = rates()
    moved = 3 * problem.batch * problem.out_channels * problem.places * problem.dtype.itemsize
    return problem.window.taps * (rate.numpy_call / 4 + moved / rate.numpy_copy / 2)


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as `(C, *kernel)`."""
    return weight[:, 0]


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, C, *out)` and the prepared weight."""
    last = batch_last(problem, problem.batch)
    size = problem.window.padded_size(problem.image)
    lead, tail = ((), (problem.batch,)) if last else ((problem.batch,), ())
    total = np.zeros((problem.in_channels, *lead, *size, *tail), problem.dtype)
    gradient = np.ascontiguousarray(turned(dy, last))
    product = np.empty_like(gradient)
    for tap, cell in tap_slices(problem.window, problem.out, last):
        here: tuple[Any, ...] = (slice(None), *tap)
        factor = weight[here].reshape(-1, *(1,) * (total.ndim - 1))
        total[cell] += np.multiply(gradient, factor, out=product)
    dx = np.empty(problem.x_shape, problem.dtype)
    put_back(total[inside(problem.window, problem.image, last)], dx, last)
    return dx
