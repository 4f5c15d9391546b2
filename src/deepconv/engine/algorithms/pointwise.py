"""A kernel of one cell: the images as they lie are the matrix, so nothing is copied for stride 1."""

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: it serves a kernel of one cell without padding."""
    if problem.window.taps > 1:
        return f"the kernel has {problem.window.taps} cells, not one"
    if any(map(any, problem.window.padding)):
        return f"there is padding, {problem.window.padding}"
    if workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: a strided image's picked pixels, or products."""
    picked = problem.batch * problem.in_channels * problem.places * (max(problem.window.stride) > 1)
    products = problem.batch * math.prod(problem.weight_shape) * (problem.which == "weight_grad")
    return (picked + products) * problem.dtype.itemsize


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: the products, and what they read and write."""
    rate = rates()
    moved = problem.operand_bytes + 2 * workspace(problem)
    if max(problem.window.stride) > 1 and problem.which != "input_grad":  # of x only the picked pixels
        moved -= math.prod(problem.x_shape) * problem.dtype.itemsize
    return rate.numpy_call + problem.flops / rate.blas * width(problem.dtype) + moved / rate.numpy_copy


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as matrices `(groups, K/groups, C/groups)`."""
    return weight.reshape(problem.groups, problem.out_channels // problem.groups, -1)


def _cells(a: Array, problem: Problem) -> Array:
    """Return `(N, groups, channels/groups, L)`."""
    return a.reshape(len(a), problem.groups, a.shape[1] // problem.groups, problem.places)


def _picked(problem: Problem) -> tuple[Any, ...]:
    """Return the index of the pixels that the stride picks."""
    steps = zip(problem.out, problem.window.stride, strict=True)
    return (slice(None), slice(None), *(slice(None, (n - 1) * s + 1, s) for n, s in steps))


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    y: Array = np.matmul(weight, _cells(x[_picked(problem)], problem)).reshape(problem.y_shape)
    if bias is not None:
        y += bias.reshape(-1, *(1,) * problem.window.rank)
    return y


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    products = np.matmul(weight.transpose(0, 2, 1), _cells(dy, problem))
    picked: Array = products.reshape(problem.batch, problem.in_channels, *problem.out)
    if problem.out == problem.image:
        return picked
    dx = np.zeros(problem.x_shape, problem.dtype)
    dx[_picked(problem)] = picked
    return dx


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    columns = _cells(x[_picked(problem)], problem)
    dw: Array = np.matmul(_cells(dy, problem), columns.swapaxes(2, 3)).sum(0)
    return dw.reshape(problem.weight_shape)
