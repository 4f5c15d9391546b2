"""Direct convolution, compiled: any stride, dilation and group, one to three spatial axes.

The product of the filters and of what the window sees, `kernels/direct.py`, without im2col's columns in memory.
Sums are those of the definition, channel by channel and cell by cell, so this is the choice where
numbers must be as exact as plain float arithmetic makes them. A NaN or an infinity arrives exactly where
the definition puts it, padding's zeros times infinite weights included.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms import direct_weights
from deepconv.engine.algorithms.direct_plan import Layout, layout, table
from deepconv.engine.kernels import team, threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem

__all__ = ["FOLDS_RELU", "cost", "forward", "input_grad", "prepare", "refuses", "weight_grad", "workspace"]

FOLDS_RELU = True
weight_grad = direct_weights.weight_grad
KERNELS = library("direct")


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None."""
    if problem.which == "weight_grad":
        return direct_weights.refuses(problem)
    if why := machine.why_not_compiled():
        return why
    if problem.exact or problem.dtype.char not in "fd":
        return f"it computes in float32 and float64, not {'exactly' if problem.exact else problem.dtype}"
    if problem.window.rank > 3:
        return f"there are {problem.window.rank} spatial axes, and it knows three"
    plan = layout(problem)
    if not isinstance(plan, Layout):
        return f"it needs {plan:,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return None


def _layout(problem: Problem) -> Layout:
    """Return the layout of a problem that isn't refused."""
    plan = layout(problem)
    if not isinstance(plan, Layout):
        raise ValueError(f"direct: {refuses(problem)}")
    return plan


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: the packed weight, and each thread's scratch."""
    if problem.which == "weight_grad":
        return direct_weights.workspace(problem)
    plan = _layout(problem)
    return plan.weights * problem.dtype.itemsize + _threads(problem) * plan.scratch


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes."""
    if problem.which == "weight_grad":
        return direct_weights.cost(problem)
    return _layout(problem).cost


@lru_cache(maxsize=4096)
def _threads(problem: Problem) -> int:
    """Return how many threads compute."""
    return threads.worth(problem.threads, problem.flops // 2)


class _Ready(NamedTuple):
    """All that a call needs and that depends on the problem alone: looked up once a call.

    Attributes:
        convolve, pack: the kernels.
        table: what describes the problem to them.
        weights: numbers of the prepared weight.
        units, threads, scratch: what is shared, by how many, and the bytes that each of them takes.
        covers: whether every number of the result is written.
        products: multiply-adds in all.
    """

    convolve: Callable[..., None]
    pack: Callable[..., None]
    table: Array
    weights: int
    units: int
    threads: int
    scratch: int
    covers: bool
    products: int


@lru_cache(maxsize=512)
def _ready(problem: Problem) -> _Ready:
    """Return what a call needs."""
    plan, numbers = _layout(problem), table(problem)
    convolve, pack = KERNELS.convolve[problem.dtype], KERNELS.pack_weight[problem.dtype]
    return _Ready(convolve, pack, numbers, plan.weights, plan.units, _threads(problem), plan.scratch, plan.covers,
                  problem.flops // 2)  # fmt: skip


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as tiles of filters, for each job, group and tile `(channels, cells, ROWS)`."""
    ready = _ready(problem)
    packed = np.empty(ready.weights, problem.dtype)
    weight = plain(weight, problem.dtype)
    if ready.units:
        ready.pack(weight, packed, ready.table)
    return packed


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    y = np.empty(problem.y_shape, problem.dtype)
    if bias is not None:
        bias = plain(bias, problem.dtype)
    _run(_ready(problem), plain(x, problem.dtype), weight, bias, y)
    return y


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    ready = _ready(problem)
    dx = (np.empty if ready.covers else np.zeros)(problem.x_shape, problem.dtype)
    _run(ready, plain(dy, problem.dtype), weight, None, dx)
    return dx


def _run(ready: _Ready, source: Array, weight: Array, bias: Array | None, result: Array) -> None:
    """Compute all units, shared by threads."""
    places = source, weight, 0 if bias is None else bias, result, ready.table

    if ready.threads == 1 and ready.products < threads.LARGEST:  # a small image's call is mostly Python
        if ready.units:
            ready.convolve(*places, scratch(ready.scratch), 0, ready.units)
        return

    def calls(start: int, stop: int, own: int) -> team.Calls:
        yield ready.convolve, (*places, own, start, stop)

    own = scratch(ready.scratch), ready.scratch
    team.run(calls, ready.units, ready.threads, own, multiply_adds=ready.products)
