"""Few channels and filters in each group: pixels are lanes, filters share them in registers (`kernels/grouped`).

NaN and infinities arrive where the definition puts them. One exception: in the gradient of the input, an
infinite weight also meets the zeros around the gradient of the output, and 0·∞ is NaN.
"""

from functools import lru_cache

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
KERNELS = library("grouped")
_FILTERS, _CELLS = 4, 3  # the kernels' own numbers
_MOST = 16


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: it serves few channels in a group, on one or two axes."""
    why = why_not(problem)
    channels = problem.in_channels // problem.groups
    if why is None and channels > _MOST:
        return f"there are {channels} channels in a group, more than {_MOST}"
    if why is None and workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return why


@lru_cache(maxsize=1024)
def _form(problem: Problem) -> Form:
    """Return the problem's form: what is read stays in the first cache or, if a few rows don't, in the second."""
    return form(problem, machine.caches().l1 // 2, 4)


def _blocks(f: Form) -> int:
    """Return how many tiles the filters of a group fill."""
    return -(-f.results // _FILTERS)


@lru_cache(maxsize=1024)
def _scratch(problem: Problem) -> int:
    """Return the bytes of scratch memory of one thread."""
    f = _form(problem)
    numbers = f.sources * f.channel + 4 * f.columns + 64 * f.lanes
    if problem.which == "weight_grad":
        cells = f.sources * problem.window.taps + _CELLS
        numbers += _FILTERS * (f.band * f.columns + (1 + cells) * f.lanes)
    elif f.phases > 1:
        numbers += _FILTERS * f.phases * f.band * f.y_columns
    return numbers * f.itemsize


def workspace(problem: Problem) -> int:
    """Return the bytes it takes beside operands and result: each thread's scratch memory, and the prepared weight."""
    f = _form(problem)
    numbers = f.groups * _blocks(f) * _FILTERS * (f.sources * problem.window.taps + 1)
    return problem.threads * _scratch(problem) + numbers * f.itemsize * (problem.which != "weight_grad")


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: products, in tiles that may not be full, and planes copied and written."""
    rate, f = rates(), _form(problem)
    wasted = _blocks(f) * _FILTERS / f.results
    products = problem.flops * wasted / rate.tile * width(problem.dtype) * 1.6
    # A call costs Python more than one of `direct`: 81 against 49 µs for one 8×8 image of 16 channels.
    return 4 * rate.call + products + problem.operand_bytes / rate.copy


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the weight as `(groups, blocks of filters, cells, filters of a block)`, the cells in the form's order."""
    f = _form(problem)
    grouped = weight.reshape(f.groups, -1, weight.shape[1], problem.window.taps)
    if problem.which == "input_grad":
        grouped = grouped.swapaxes(1, 2)
    cells = grouped.reshape(f.groups, f.results, -1)[:, :, f.order]
    blocks = np.zeros((f.groups, _blocks(f) * _FILTERS, cells.shape[2]), problem.dtype)
    blocks[:, : f.results] = cells
    return np.ascontiguousarray(blocks.reshape(f.groups, -1, _FILTERS, cells.shape[2]).swapaxes(2, 3))


def _padded(f: Form, bias: Array, dtype: np.dtype[np.generic]) -> Array:
    """Return the bias in blocks of filters."""
    if f.results % _FILTERS == 0:
        return plain(bias, dtype)
    blocks = np.zeros((f.groups, _blocks(f) * _FILTERS), dtype)
    blocks[:, : f.results] = bias.reshape(f.groups, -1)
    return blocks


def _convolve(problem: Problem, x: Array, weight: Array, bias: Array | None, y: Array) -> Array:
    """Write to `y` what comes of `x`, which may be the output's gradient as well."""
    f, size, kernel = _form(problem), _scratch(problem), KERNELS.convolve[problem.dtype]
    x = plain(x, problem.dtype)
    bias = bias if bias is None else _padded(f, bias, problem.dtype)
    ends = x, weight, 0 if bias is None else bias, y, f.table
    bands = f.bands

    def calls(start: int, stop: int, own: int) -> team.Calls:
        yield kernel, (*ends, own, bands, start, stop, problem.relu)

    tasks, products = problem.batch * f.groups * bands, problem.flops // 2
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
    f, size, kernel = _form(problem), _scratch(problem), KERNELS.weight_grad[problem.dtype]
    dy, x = plain(dy, problem.dtype), plain(x, problem.dtype)
    ends = dy, x, dw, f.table

    def calls(start: int, stop: int, own: int) -> team.Calls:
        yield kernel, (*ends, own, problem.batch, start, stop)

    products = problem.flops // 2
    count = threads.worth(problem.threads, products)
    team.run(calls, f.groups * _blocks(f), count, (scratch(size), size), team.PIECES, multiply_adds=products)
    return dw
