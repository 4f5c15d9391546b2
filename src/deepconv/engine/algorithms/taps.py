"""The plainest: one kernel cell at a time, a product of that cell's weights and the pixels it meets.

It serves everything and takes the least memory, so the table of algorithms ends in it. One image is
taken at a time.
"""

import math

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.algorithms.layout import inside, matrix, padded, put_back, tap_slices, turned
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width


def refuses(problem: Problem) -> str | None:
    """Return None: nothing is refused."""
    return None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: one padded image, what a cell meets, a product."""
    image = problem.in_channels * math.prod(problem.window.padded_size(problem.image))
    cells = (problem.in_channels + problem.out_channels) * problem.places
    return (image + cells + math.prod(problem.weight_shape)) * problem.dtype.itemsize * min(1, problem.batch)


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: for each image and kernel cell, a product and three passes over its result."""
    rate = rates()
    calls = problem.batch * problem.window.taps * rate.numpy_call / 2
    cells = (problem.in_channels + 2 * problem.out_channels) * problem.places * problem.dtype.itemsize
    copied = problem.batch * problem.window.taps * cells
    return calls + 2 * problem.flops / rate.blas * width(problem.dtype) + 2 * copied / rate.numpy_copy


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as `(*kernel, groups, K/groups, C/groups)`: a matrix for each cell and group."""
    per_group = (problem.out_channels // problem.groups, problem.in_channels // problem.groups)
    cells = weight.reshape(problem.groups, *per_group, *problem.window.kernel)
    return np.ascontiguousarray(np.moveaxis(cells, (0, 1, 2), (-3, -2, -1)))


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    y = np.zeros(problem.y_shape, problem.dtype)
    if bias is not None:
        y += bias.reshape(-1, *(1,) * problem.window.rank)
    for n in range(problem.batch):
        source = padded(x[n : n + 1], problem.window, problem.dtype, last=False)
        for tap, cell in tap_slices(problem.window, problem.out, last=False):
            y[n] += np.matmul(weight[tap], matrix(source[cell], problem.groups)).reshape(y.shape[1:])
    return y


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    dx = np.empty(problem.x_shape, problem.dtype)
    size = (problem.in_channels, 1, *problem.window.padded_size(problem.image))
    for n in range(problem.batch):
        total = np.zeros(size, problem.dtype)
        gradient = matrix(turned(dy[n : n + 1], last=False), problem.groups)
        for tap, cell in tap_slices(problem.window, problem.out, last=False):
            share = np.matmul(weight[tap].swapaxes(1, 2), gradient)
            total[cell] += share.reshape(problem.in_channels, 1, *problem.out)
        put_back(total[inside(problem.window, problem.image, last=False)], dx[n : n + 1], last=False)
    return dx


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    per_group = (problem.out_channels // problem.groups, problem.in_channels // problem.groups)
    dw = np.zeros((*problem.window.kernel, problem.groups, *per_group), problem.dtype)
    for n in range(problem.batch):
        source = padded(x[n : n + 1], problem.window, problem.dtype, last=False)
        gradient = matrix(turned(dy[n : n + 1], last=False), problem.groups)
        for tap, cell in tap_slices(problem.window, problem.out, last=False):
            dw[tap] += np.matmul(gradient, matrix(source[cell], problem.groups).swapaxes(1, 2))
    return np.ascontiguousarray(np.moveaxis(dw, (-3, -2, -1), (0, 1, 2))).reshape(problem.weight_shape)
