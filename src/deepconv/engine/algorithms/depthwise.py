"""One channel in each group: planes convolved with a kernel's cells in registers (`kernels/depthwise`).

A channel may have any number of filters. What bounds it is memory, 12 bytes a pixel for 2 · cells operations.
NaN and infinities arrive where the definition puts them. One exception: in the gradient of the input, an
infinite weight also meets the zeros around the gradient of the output, and 0·∞ is NaN.
"""

from functools import lru_cache
from math import prod

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms.bands import Form, form, why_not
from deepconv.engine.kernels import team, threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

FOLDS_RELU = True
KERNELS = library("depthwise")
NINE = library("nine_cells")
_CELLS = 9  # the kernel's own number
_ALONE = 7
"""How many times the products of one row alone take: a tile has four rows, which would share what they load.

Measured with kernels of 9 to 1,001 cells: 4.5 to 7.2 times.
"""


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
def _nine(problem: Problem) -> bool:
    """Say whether the kernels of nine cells compute it, which read rows where they are: 3×3 by twos."""
    window = problem.window
    if window.kernel != (3, 3) or window.dilation != (1, 1) or max(max(pair) for pair in window.padding) > 2:
        return False
    if window.stride != (2, 2) or problem.which != "input_grad":
        return window.stride == (2, 2)
    return problem.in_channels == problem.out_channels and all(before == 1 for before, _ in window.padding)


def _nine_scratch(problem: Problem) -> int:
    """Return the numbers of scratch memory of one thread of those: zeros, sums, and a copy of a plane or two."""
    f = _form(problem)
    image, out = prod(problem.image), prod(problem.out)
    copies = {"forward": image, "input_grad": out, "weight_grad": image + out}[problem.which]
    return copies + (9 * f.results + 32) * f.lanes + 64


@lru_cache(maxsize=1024)
def _scratch(problem: Problem) -> int:
    """Return the bytes of scratch memory of one thread."""
    f = _form(problem)
    if _nine(problem):
        return _nine_scratch(problem) * f.itemsize
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
    alone = problem.which != "weight_grad" and prod(problem.image[:-1]) == prod(problem.out[:-1]) == 1
    products = problem.flops / rate.tile * width(problem.dtype) * 1.5 * (_ALONE if alone else 1)
    # A call costs Python more than one of `direct`: 47 against 37 µs for one 8×8 image.
    return 2 * rate.call + products + problem.operand_bytes / rate.copy


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as `(C, filters of a channel · cells)`, the cells in the form's order."""
    f = _form(problem)
    grouped = weight.reshape(f.groups * f.results, -1)
    return plain(grouped[:, f.order], problem.dtype)


def _convolve(problem: Problem, x: Array, weight: Array, bias: Array | None, y: Array) -> Array:
    """Write to `y` what comes of `x`, which may be the output's gradient as well."""
    size, tasks = _scratch(problem), problem.batch * problem.groups
    x = plain(x, problem.dtype)
    bias = bias if bias is None else plain(bias, problem.dtype)
    ends = x, weight, 0 if bias is None else bias, y
    if not _nine(problem):
        form, kernel = _form(problem).table, KERNELS.convolve[problem.dtype]

        def calls(start: int, stop: int, own: int) -> team.Calls:
            yield kernel, (*ends, form, own, start, stop, problem.relu)

    elif problem.which == "forward":
        (top, _), (left, _) = problem.window.padding
        results = problem.out_channels // problem.groups
        sizes = *problem.image, top, left, *problem.out, results, problem.groups, tasks, problem.relu
        halve = NINE.halve[problem.dtype]

        def calls(start: int, stop: int, own: int) -> team.Calls:
            yield halve, (*ends, own, *sizes, start, stop)

    else:
        sizes = *problem.out, *problem.image, problem.groups, tasks
        double = NINE.double[problem.dtype]

        def calls(start: int, stop: int, own: int) -> team.Calls:
            yield double, (*ends[:2], ends[3], own, *sizes, start, stop)

    products = problem.flops // 2
    count = threads.worth(problem.threads, products)
    team.run(calls, tasks, count, (scratch(size), size), team.PIECES, multiply_adds=products)
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
    size = _scratch(problem)
    dy, x = plain(dy, problem.dtype), plain(x, problem.dtype)
    ends = dy, x, dw
    if _nine(problem):
        (top, _), (left, _) = problem.window.padding
        results = problem.out_channels // problem.groups
        sizes = *problem.image, top, left, *problem.out, results, problem.groups, problem.batch
        sums = NINE.half_sums[problem.dtype]

        def calls(start: int, stop: int, own: int) -> team.Calls:
            yield sums, (*ends, own, *sizes, start, stop)

    else:
        form, kernel = _form(problem).table, KERNELS.weight_grad[problem.dtype]

        def calls(start: int, stop: int, own: int) -> team.Calls:
            yield kernel, (*ends, form, own, problem.batch, start, stop)

    products = problem.flops // 2
    count = threads.worth(problem.threads, products)
    team.run(calls, problem.groups, count, (scratch(size), size), team.PIECES, multiply_adds=products)
    return dw
