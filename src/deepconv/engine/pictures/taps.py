"""The plainest: one cell of the kernel at a time, over bands of rows of a padded copy."""

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.pictures.problem import Kernel, PlaneProblem
from deepconv.engine.rates import rates, width

_BAND = 1 << 17
"""Numbers of a band, which a cache of a megabyte holds."""


def refuses(problem: PlaneProblem) -> str | None:
    """Return None: it computes all there is."""
    return None


def workspace(problem: PlaneProblem) -> int:
    """Return the bytes of a band: padded, summed, and the products of a cell."""
    (height, across), cells_down = problem.out, problem.kernel[0]
    band = min(height, _rows(problem))
    row = (across + problem.kernel[1] - 1) * problem.channels
    return 4 * (band + cells_down - 1) * row * problem.dtype.itemsize


def _rows(problem: PlaneProblem) -> int:
    """Return the rows of a band."""
    return max(1, _BAND // max(1, len(problem.columns) * problem.channels))


def cost(problem: PlaneProblem) -> float:
    """Return nanoseconds on one thread: each cell reads and writes a band twice."""
    passes = sum(problem.sides) if problem.sides else problem.cells
    return rates().numpy_call + problem.numbers * width(problem.dtype) * (1 + 1.2 * passes)


def correlate(problem: PlaneProblem, image: Array, kernel: Kernel, constant: float, out: Array) -> None:
    """Write the sums of products to `out`; see `choice.correlate`."""
    height, across = problem.out
    cells_down, rows, columns = problem.kernel[0], problem.rows, problem.columns
    band = _rows(problem)
    for top in range(0, height, band):
        stop = min(height, top + band)
        there = rows[top : stop + cells_down - 1]
        padded = image[there][:, columns]
        padded[there < 0] = constant
        padded[:, columns < 0] = constant
        if kernel.factors is None:
            out[top:stop] = _sums(padded, kernel.numbers, stop - top, across)
        else:
            down = _sums(padded, kernel.factors[0][:, None], stop - top, len(columns))
            out[top:stop] = _sums(down, kernel.factors[1][None], stop - top, across)


def _sums(padded: Array, kernel: Array, height: int, across: int) -> Array:
    """Return the sums of products of a kernel's cells, those that are zero left out."""
    total: Array = np.zeros((height, across, padded.shape[2]), padded.dtype)
    product: Array = np.empty_like(total)
    cell: Any
    for r, s in np.argwhere(kernel != 0):
        cell = kernel[r, s]
        np.multiply(padded[r : r + height, s : s + across], cell, out=product)
        total += product
    return total
