"""Large kernels: tiles of the padded picture, multiplied with the kernel in Fourier space, in float64 (overlap-save).

A tile's errors are of the size of float64's last place of its largest number: what is 10^15 times smaller than
that is lost. A tile that holds a NaN or an infinity is summed as the definition says, so neither spreads.
"""

import math
from functools import lru_cache

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.fourier_tiles import BESIDE, PER_STEP, RELUCTANCE, SIZES, tile_size
from deepconv.engine.kernels import threads
from deepconv.engine.pictures import direct, taps
from deepconv.engine.pictures.problem import Kernel, PlaneProblem
from deepconv.engine.rates import rates

_USUAL = 512


def refuses(problem: PlaneProblem) -> str | None:
    """Say why this can't compute a problem, or None."""
    if problem.exact:
        return "the sums must be exact, and it rounds"
    if not problem.finite:
        return "the kernel holds a NaN or an infinity"
    if max(len(problem.rows), len(problem.columns)) > SIZES[-1] and max(problem.kernel) > SIZES[-1] // 2:
        return f"the kernel is larger than half of the largest tile, {SIZES[-1]:,}"
    if workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return None


@lru_cache(maxsize=64)
def tile(problem: PlaneProblem) -> tuple[int, int]:
    """Return the tile's height and width: what costs least for each pixel, up to four times the kernel or 512."""
    padded = (len(problem.rows), len(problem.columns))
    return tile_size(problem.kernel[0], padded[0], _USUAL), tile_size(problem.kernel[1], padded[1], _USUAL)


def _tiles(problem: PlaneProblem) -> tuple[int, int]:
    """Return how many tiles stand above and beside each other."""
    (down, across), (n, m) = problem.out, tile(problem)
    return -(-down // (n - problem.kernel[0] + 1)), -(-across // (m - problem.kernel[1] + 1))


def workspace(problem: PlaneProblem) -> int:
    """Return the bytes of the kernel's transform and of each thread's tile, four times over as it is transformed."""
    n, m = tile(problem)
    down, across = _tiles(problem)
    return (n * m + 2 * n) * 8 * (1 + 5 * min(problem.threads, down * across))


def cost(problem: PlaneProblem) -> float:
    """Return nanoseconds on one thread, times how reluctantly it is chosen."""
    (n, m), (down, across) = tile(problem), _tiles(problem)
    numbers = n * m * (1 + down * across * problem.channels)
    bytes_each = PER_STEP * math.log2(n * m) + BESIDE
    return rates().numpy_call + RELUCTANCE * numbers * bytes_each / rates().numpy_copy


def correlate(problem: PlaneProblem, image: Array, kernel: Kernel, constant: float, out: Array) -> None:
    """Write the sums of products to `out`; see `choice.correlate`."""
    n, m = tile(problem)
    down, across = _tiles(problem)
    step, step_across = n - problem.kernel[0] + 1, m - problem.kernel[1] + 1
    rows, columns = problem.rows, problem.columns
    answer = np.conj(np.fft.rfft2(kernel.numbers.astype(np.float64), (n, m)))

    def work(start: int, stop: int) -> None:
        for i, c in (divmod(task, problem.channels) for task in range(start, stop)):
            top, left = i // across * step, i % across * step_across
            there, beside = rows[top : top + n], columns[left : left + m]
            pixels = _gathered(image[:, :, c], there, beside, constant)
            to = out[top : top + step, left : left + step_across, c]
            if np.isfinite(pixels).all():
                product = np.fft.rfft2(pixels, (n, m))
                product *= answer
                to[...] = np.fft.irfft2(product, (n, m))[: to.shape[0], : to.shape[1]]
            else:
                _as_defined(problem, pixels.astype(image.dtype), kernel, to)

    used = threads.worth(problem.threads, problem.numbers * 100)
    threads.share(work, down * across * problem.channels, used)


def _gathered(plane: Array, rows: Array, columns: Array, constant: float) -> Array:
    """Return a tile of the padded picture in float64; -1 stands for the constant."""
    pixels = plane[rows[:, None], columns].astype(np.float64)
    pixels[rows < 0] = constant
    pixels[:, columns < 0] = constant
    return pixels


def _as_defined(problem: PlaneProblem, pixels: Array, kernel: Kernel, out: Array) -> None:
    """Write the sums of one tile, each product by itself."""
    height, width = pixels.shape
    part = PlaneProblem(height, width, 1, problem.kernel, (0, 0), "crop", problem.dtype, problem.cells)
    way = taps if direct.refuses(part) else direct
    way.correlate(part, pixels[:, :, None], kernel, 0.0, out[:, :, None])
