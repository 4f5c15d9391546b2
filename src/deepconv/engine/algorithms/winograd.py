"""Winograd's convolution of 3×3 kernels: 36 products for 4×4 outputs, where the definition has 144.

F(4×4, 3×3) with the points 0, ±5/8, ±3/2 and infinity. The input gradient is the convolution with the filters
turned by half a turn, filters and channels exchanged, and padding `d·(R-1) - p`. Larger kernels are sums of 3×3.

The sums are others than the definition's. Their error (root mean square over the output's, float32, unit-normal data)
was 5e-7 for 16 channels, 8e-7 for 64, 1e-6 for 512: up to 5 times PyTorch's. A NaN or an
infinity in the input makes NaN of all outputs of the tiles whose patch contains it: of outputs as far as 3·d pixels
beyond those that the definition would reach. One in the weight reaches all outputs of its filter.

F(2×2, 3×3) wastes less of tiles that stand out over a small image, and has 16/36 of the filters at points; it took
1.4 times the time of F(4×4, 3×3) at 512 channels of 7×7 pixels, 1.2 times at 256 of 14×14.
"""

import math
from collections.abc import Callable

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.algorithms import winograd_weights
from deepconv.engine.algorithms.winograd_blocks import POINTS, Cut, bytes_of, cut, unfit
from deepconv.engine.kernels import team, threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

FOLDS_RELU = True
KERNELS = library("winograd")
# What transforms cost, as multiplications and additions of a register tile that take as long: of a tile's channel to
# points, of a tile's filter back to pixels, of a kernel to points; and the part of a register tile's rate that the
# products reach. Measured on Zen 3.
_TO_POINTS, _FROM_POINTS, _FILTER, _REACHED = 700, 550, 1600, 0.85

_PREPARED = 64
"""Multiply-adds that take as long as to transform one number of a filter."""


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: it serves stride 1 over two axes, without groups."""
    if (why := unfit(problem)) is not None:
        return why
    need, limit = workspace(problem), problem.workspace_limit
    return f"it needs {need:,} bytes and the workspace limit is {limit:,}" if need > limit else None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: filters and tiles at their points, on all threads."""
    if problem.which == "weight_grad":
        return winograd_weights.workspace(problem)
    return bytes_of(cut(problem), problem)


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: products at 36 points, and three transforms."""
    if problem.which == "weight_grad":
        return winograd_weights.cost(problem)
    way, rate = cut(problem), rates()
    channels = -(-way.sizes.channels // way.lanes) * way.lanes * way.pieces
    filters = way.panels * 2 * way.lanes
    products = 2 * POINTS * way.tiles * channels * filters / _REACHED
    transforms = way.tiles * (channels * _TO_POINTS + filters * _FROM_POINTS) + channels * filters * _FILTER
    moved = problem.operand_bytes + 2 * way.shared * (not way.wide)
    return 2 * rate.call + (products + transforms) / rate.tile * width(problem.dtype) + moved / rate.copy


def _filters(
    problem: Problem, way: Cut, weight: Array, u: int, slab: int, panels: tuple[int, int]
) -> tuple[Callable[..., None], team.Words]:
    """Return the call that transforms the filters of some panels to the address u."""
    turned = problem.which == "input_grad"
    of_channel, of_filter = math.prod(weight.shape[2:]), math.prod(weight.shape[1:])
    steps = (of_filter, of_channel) if turned else (of_channel, of_filter)
    words = (weight, u, slab, *panels, *weight.shape[2:], *steps, int(turned), way.table)
    return KERNELS.transform_filters[problem.dtype], words


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the filters at all points; the weight itself where each task transforms its own."""
    way = cut(problem)
    weight = plain(weight, problem.dtype)
    if way.wide:
        return weight
    u: Array = np.empty(way.panels * way.u // problem.dtype.itemsize, problem.dtype)
    place = address(u)

    def calls(start: int, stop: int, own: int) -> team.Calls:
        yield _filters(problem, way, weight, place + start * way.u, own, (start, stop))

    count = threads.worth(problem.threads, _PREPARED * weight.size)
    team.run(calls, way.panels, count, (scratch(way.slab), way.slab))
    return u


def _convolve(problem: Problem, x: Array, weight: Array, bias: Array | None, shape: tuple[int, ...]) -> Array:
    """Return the convolution of the prepared weight with x, which is dy for an input gradient."""
    way, dtype = cut(problem), problem.dtype
    y: Array = np.empty(shape, dtype)
    x, bias = plain(x, dtype), None if bias is None else plain(bias, dtype)
    relu = int(problem.relu and problem.which == "forward")
    operands = x, y, 0 if bias is None else bias
    at_once = threads.worth(problem.threads, problem.flops // 8)
    if way.wide:
        _widely(problem, way, operands, weight, relu, at_once)
        return y
    kernel, table, all_of_it = KERNELS.convolve[dtype], way.table, (0, way.sizes.channels, 0, way.panels)

    def calls(start: int, stop: int, own: int) -> team.Calls:
        m = own + way.v
        yield kernel, (*operands, weight, own, m, m + way.m, relu, start, stop, *all_of_it, table)

    own = scratch(way.held), way.held
    team.run(calls, way.blocks, at_once, own, team.PIECES, multiply_adds=problem.flops // 8)
    return y


def _widely(problem: Problem, way: Cut, operands: team.Words, weight: Array, relu: int, at_once: int) -> None:
    """Convolve in the wide way: first all tiles to points, a vector of channels a task, then groups of filters."""
    kernel, table, group = KERNELS.convolve[problem.dtype], way.table, way.sizes.group
    v = scratch(way.v + way.held)

    def transform(start: int, stop: int, own: int) -> team.Calls:
        channels = start * way.lanes, min(stop * way.lanes, way.sizes.channels)
        yield kernel, (*operands, 0, v, 0, own, relu, 0, 1, *channels, 0, 0, table)

    def multiply(start: int, stop: int, own: int) -> team.Calls:
        m = own + way.u * group
        for first in range(start * group, min(stop * group, way.panels), group):
            panels = first, min(first + group, way.panels)
            yield _filters(problem, way, weight, own, m, panels)
            yield kernel, (*operands, own, v, m, m + way.m, relu, 0, 1, 0, 0, *panels, table)

    own = v + way.v, way.held
    for calls, count in (
        (transform, -(-way.sizes.channels // way.lanes)),
        (multiply, -(-way.panels // group)),
    ):
        team.run(calls, count, at_once, own, team.PIECES, multiply_adds=problem.flops // 8)


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    return _convolve(problem, x, weight, bias, problem.y_shape)


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    return _convolve(problem, dy, weight, None, problem.x_shape)


weight_grad = winograd_weights.weight_grad
