"""One channel in each group: planes convolved with a kernel's cells in registers (`kernels/depthwise`).

A channel may have any number of filters. What bounds it is memory, 12 bytes a pixel for 2 · cells operations.
NaN and infinities arrive where the definition puts them. One exception: in the gradient of the input, an
infinite weight also meets the zeros around the gradient of the output, and 0·∞ is NaN.
"""

from functools import lru_cache

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms.bands import Form, form, why_not
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

KERNELS = library("depthwise")
_CELLS = 9  # the kernel's own number


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: it serves groups of one channel, on one or two axes."""
    why = why_not(problem)
    if why is None and problem.groups != problem.in_channels:
        return f"{problem.in_channels} channels in {problem.groups} groups are not one in each"
    if why is None and workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return why


@lru_cache(maxsize=1024)
def _form(problem: Problem) -> Form:
    """Return the problem's form: half of the first cache for what is read."""
    return form(problem, machine.caches().l1 // 2, 16)


@lru_cache(maxsize=1024)
def _scratch(problem: Problem) -> int:
    """Return the bytes of scratch memory of one thread."""
    f = _form(problem)
    numbers = f.sources * f.channel + 16 * f.columns + 64 * f.lanes
    if problem.which == "weight_grad":
        numbers += f.results * (problem.window.taps + _CELLS) * f.lanes + f.band * f.columns
    elif f.phases > 1:
        numbers += f.phases * f.band * f.y_columns
    return numbers * f.itemsize


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: each thread's scratch memory, and the prepared weight."""
    weight = problem.out_channels * problem.window.taps * problem.dtype.itemsize
    return problem.threads * _scratch(problem) + weight


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: the products, and the planes copied and written."""
    rate = rates()
    products = problem.flops / rate.tile * width(problem.dtype) * 1.5
    return rate.call + products + problem.operand_bytes / rate.copy


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as `(C, filters of a channel · cells)`, the cells in the form's order."""
    f = _form(problem)
    grouped = weight.reshape(f.groups * f.results, -1)
    return plain(grouped[:, f.order], problem.dtype)


def _convolve(problem: Problem, x: Array, weight: Array, bias: Array | None, y: Array) -> Array:
    """Write to `y` what comes of `x`, which may be the output's gradient as well."""
    size, kernel = _scratch(problem), KERNELS.convolve[problem.dtype]
    x = plain(x, problem.dtype)
    bias = bias if bias is None else plain(bias, problem.dtype)
    table = _form(problem).table
    ends = address(x), address(weight), 0 if bias is None else address(bias), address(y), address(table)

    def work(start: int, stop: int) -> None:
        kernel(*ends, scratch(size), start, stop, problem.relu)

    tasks = problem.batch * problem.groups
    threads.share(work, tasks, threads.worth(problem.threads, problem.flops // 2))
    return y


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    return _convolve(problem, x, weight, bias, np.empty(problem.y_shape, problem.dtype))


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    return _convolve(problem, dy, weight, None, np.empty(problem.x_shape, problem.dtype))


def weight_grad(problem: Problem, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    dw = np.empty(problem.weight_shape, problem.dtype)
    size, kernel = _scratch(problem), KERNELS.weight_grad[problem.dtype]
    dy, x = plain(dy, problem.dtype), plain(x, problem.dtype)
    ends = address(dy), address(x), address(dw), address(_form(problem).table)

    def work(start: int, stop: int) -> None:
        kernel(*ends, scratch(size), problem.batch, start, stop)

    threads.share(work, problem.groups, threads.worth(problem.threads, problem.flops // 2))
    return dw
