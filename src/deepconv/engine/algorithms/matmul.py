"""The matrix product: everything the window sees written as columns (im2col), then one product by the BLAS.

    columns (C·taps, cells) · forward: y = W · columns
                            · input gradient: columns = Wᵀ · dy, then every column is added back (col2im)
                            · weight gradient: dw = dy · columnsᵀ

with a weight matrix `W (K, C·taps)`, for each group. The post's `arr2vec` and its product, turned so
that the whole batch is one product. The batch is taken in parts where the columns exceed the
workspace limit.
"""

import math

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.algorithms.layout import (
    batch_last,
    chunks,
    inside,
    matrix,
    padded,
    put_back,
    tap_slices,
    turned,
    windows,
)
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: one image's columns may exceed the limit."""
    need = _bytes_per_image(problem)
    if need > problem.workspace_limit:
        return f"the columns of one image need {need:,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result."""
    at_once = min(problem.batch, max(1, problem.workspace_limit // max(1, _bytes_per_image(problem))))
    return at_once * _bytes_per_image(problem)


def _bytes_per_image(problem: Problem) -> int:
    """Return the bytes one image takes: its padded copy, its columns and its turned output."""
    image = problem.in_channels * math.prod(problem.window.padded_size(problem.image))
    columns = problem.in_channels * problem.window.taps * problem.places
    return (image + columns + problem.out_channels * problem.places) * problem.dtype.itemsize


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: a product, and the columns written and read."""
    rate = rates()
    copied = 2 * problem.batch * _bytes_per_image(problem) + problem.operand_bytes
    return 2 * rate.numpy_call + problem.flops / rate.blas * width(problem.dtype) + copied / rate.numpy_copy


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as matrices `(groups, K/groups, C/groups·taps)`."""
    return weight.reshape(problem.groups, problem.out_channels // problem.groups, -1)


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    y = np.empty(problem.y_shape, problem.dtype)
    for part in chunks(problem, _bytes_per_image(problem)):  # a call each, so that no two parts' columns live
        _forward_part(problem, x[part], weight, bias, y[part])
    return y


def _forward_part(problem: Problem, x: Array, weight: Array, bias: Array | None, y: Array) -> None:
    """Write a part of the batch into its place in `y`."""
    last = batch_last(problem, len(x))
    seen = windows(padded(x, problem.window, problem.dtype, last), problem.window, problem.out, last)
    product = np.matmul(weight, matrix(seen, problem.groups, problem.window.taps))
    if bias is not None:
        product += bias.reshape(problem.groups, -1, 1)
    put_back(product.reshape(problem.out_channels, *seen.shape[1 + problem.window.rank :]), y, last)


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    dx = np.empty(problem.x_shape, problem.dtype)
    for part in chunks(problem, _bytes_per_image(problem)):
        _input_grad_part(problem, dy[part], weight, dx[part])
    return dx


def _input_grad_part(problem: Problem, dy: Array, weight: Array, dx: Array) -> None:
    """Write a part of the batch into its place in `dx`."""
    n, size = len(dy), problem.window.padded_size(problem.image)
    last = batch_last(problem, n)
    cells, lead, tail = ((*problem.out, n), (), (n,)) if last else ((n, *problem.out), (n,), ())
    columns = np.matmul(weight.transpose(0, 2, 1), matrix(turned(dy, last), problem.groups))
    columns = columns.reshape(problem.in_channels, *problem.window.kernel, *cells)
    total = np.zeros((problem.in_channels, *lead, *size, *tail), problem.dtype)
    for tap, cell in tap_slices(problem.window, problem.out, last):
        total[cell] += columns[:, *tap]
    put_back(total[inside(problem.window, problem.image, last)], dx, last)


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    shape = (problem.groups, problem.out_channels // problem.groups, math.prod(problem.weight_shape[1:]))
    dw = np.zeros(shape, problem.dtype)
    for part in chunks(problem, _bytes_per_image(problem)):
        dw += _weight_grad_part(problem, dy[part], x[part])
    return dw.reshape(problem.weight_shape)


def _weight_grad_part(problem: Problem, dy: Array, x: Array) -> Array:
    """Return a part of the batch's share, `(groups, K/groups, C/groups·taps)`."""
    last = batch_last(problem, len(x))
    seen = windows(padded(x, problem.window, problem.dtype, last), problem.window, problem.out, last)
    columns = matrix(seen, problem.groups, problem.window.taps)
    share: Array = np.matmul(matrix(turned(dy, last), problem.groups), columns.transpose(0, 2, 1))
    return share
