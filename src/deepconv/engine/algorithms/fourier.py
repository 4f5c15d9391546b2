"""Large kernels of stride 1: tiles of the padded images, multiplied in Fourier space, in float64 (overlap-save).

    forward: Y = Σ_c conj(W) · X     input gradient: dX = Σ_k W · dY, the same with the kernel turned around

for each frequency. Errors are of the size of float64's last place of a tile's largest sum, so what is 10^15 times
smaller is lost; a NaN or an infinity reaches all of the tiles that see it, and all of what a filter that holds
one gives.
"""

import math
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.fourier_tiles import BESIDE, PER_STEP, RELUCTANCE, SIZES, tile_size
from deepconv.engine.kernels import threads
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates

_USUAL = {1: 1 << 15, 2: 512, 3: 64}
"""A tile's size along each axis, by the number of axes."""

_LEAST = 64
"""Cells of a kernel below which it never pays."""

_PRODUCT = 30.0
"""Bytes that NumPy copies while it multiplies and adds a complex number."""


class Form(NamedTuple):
    """A problem as sums over one kind of channel, whichever the pass.

    Attributes:
        sources, results: channels that are read and that are written, in all groups.
        before: zeros before the first number of each axis; fewer than none are numbers left out.
        out: the result's spatial size.
        tile: a tile's size.
        step: how far one tile's results lie from the next one's.
    """

    sources: int
    results: int
    before: tuple[int, ...]
    out: tuple[int, ...]
    tile: tuple[int, ...]
    step: tuple[int, ...]

    @property
    def frequencies(self) -> int:
        """How many complex numbers a tile's transform has."""
        return math.prod(self.tile[:-1]) * (self.tile[-1] // 2 + 1)

    @property
    def corners(self) -> list[tuple[int, ...]]:
        """Where in the result each tile begins."""
        return list(product(*(range(0, n, step) for n, step in zip(self.out, self.step, strict=True))))


@lru_cache(maxsize=256)
def _form(problem: Problem) -> Form:
    """Return the form of a forward or an input gradient."""
    span = problem.window.span
    before = tuple(first for first, _ in problem.window.padding)
    sources, results, out = problem.in_channels, problem.out_channels, problem.out
    if problem.which == "input_grad":
        before = tuple(reach - 1 - first for reach, first in zip(span, before, strict=True))
        sources, results, out = results, sources, problem.image
    usual = _USUAL[problem.window.rank]
    tile = tuple(tile_size(reach, n + reach - 1, usual) for reach, n in zip(span, out, strict=True))
    step = tuple(n - reach + 1 for n, reach in zip(tile, span, strict=True))
    return Form(sources, results, before, out, tile, step)


def refuses(problem: Problem) -> str | None:
    """Say why this can't compute `problem`, or None: it serves stride 1, one to three axes."""
    if problem.dtype not in (np.float32, np.float64):
        return f"it computes in float64, not {problem.dtype}"
    if problem.exact:
        return "the sums must be exact, and it rounds"
    if any(stride != 1 for stride in problem.window.stride):
        return f"the stride {problem.window.stride} is not 1"
    if problem.window.rank not in _USUAL:
        return f"there are {problem.window.rank} spatial axes, more than 3"
    if problem.window.taps < _LEAST:
        return f"the kernel has {problem.window.taps} cells, fewer than {_LEAST}"
    if max(problem.window.span) > SIZES[-1] // 2:
        return f"the kernel reaches over {max(problem.window.span):,} numbers, more than half of the largest tile"
    if workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return None


def workspace(problem: Problem) -> int:
    """Return the bytes it takes: the kernels' transforms, and for each thread those of a group's channels and a sum."""
    form = _form(problem)
    tasks = problem.batch * math.prod(-(-n // step) for n, step in zip(form.out, form.step, strict=True))
    kernels = form.results * (form.sources // problem.groups) + 2
    tiles = form.sources // problem.groups + 5
    used = threads.worth(min(problem.threads, max(1, tasks)), problem.flops // 2)
    return 16 * form.frequencies * (kernels + tiles * used)


def cost(problem: Problem) -> float:
    """Return the nanoseconds it takes: transforms there and back, products, the kernels' own transforms."""
    form, rate = _form(problem), rates()
    tiles = problem.batch * math.prod(-(-n // step) for n, step in zip(form.out, form.step, strict=True))
    pairs = form.results * (form.sources // problem.groups)
    size = math.prod(form.tile)
    transform = size * (PER_STEP * math.log2(size) + BESIDE) / 2
    moved = (tiles * (form.sources + form.results) + pairs) * transform + tiles * pairs * size / 2 * _PRODUCT
    calls = (tiles * (form.sources + form.results + pairs) + pairs) * rate.numpy_call / 2
    return rate.numpy_call + RELUCTANCE * moved / rate.numpy_copy + calls


def prepare(problem: Problem, weight: Array) -> Array:
    """Return the kernels' transforms, `(results, sources in a group, *frequencies)`, as the pass multiplies by them."""
    form, groups = _form(problem), problem.groups
    cells = tuple(
        slice(0, span, d) for span, d in zip(problem.window.span, problem.window.dilation, strict=True)
    )
    if problem.which == "input_grad":
        parts = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        weight = parts.reshape(form.results, -1, *weight.shape[2:])
        weight = np.flip(weight, tuple(range(2, weight.ndim)))
    shape = (*weight.shape[:2], *form.tile[:-1], form.tile[-1] // 2 + 1)
    prepared: Array = np.empty(shape, np.complex128)
    kernel = np.zeros(problem.window.span)
    for k, c in np.ndindex(*weight.shape[:2]):
        kernel[cells] = weight[k, c]
        np.conj(_transform(kernel, form.tile), out=prepared[k, c])
    return prepared


def forward(problem: Problem, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return `y` of `x (N, C, *image)` and the prepared weight."""
    y: Array = np.empty(problem.y_shape, problem.dtype)
    return _summed(problem, x, weight, bias, y)


def input_grad(problem: Problem, dy: Array, weight: Array) -> Array:
    """Return `dx` of `dy (N, K, *out)` and the prepared weight."""
    dx: Array = np.empty(problem.x_shape, problem.dtype)
    return _summed(problem, dy, weight, None, dx)


def _summed(problem: Problem, source: Array, weight: Array, bias: Array | None, result: Array) -> Array:
    """Write the sums over the sources of a group to every result of it, tile by tile, and return the result."""
    form = _form(problem)
    corners = form.corners
    read, written = form.sources // problem.groups, form.results // problem.groups

    def work(start: int, stop: int) -> None:
        spectra: Array = np.empty((read, *weight.shape[2:]), np.complex128)
        for n, corner in (divmod(task, len(corners)) for task in range(start, stop)):
            first = corners[corner]
            to: Any = tuple(slice(a, a + step) for a, step in zip(first, form.step, strict=True))
            for group in range(problem.groups):
                for c in range(read):
                    pixels = _gathered(source[n, group * read + c], first, form)
                    spectra[c] = _transform(pixels, form.tile)
                for k in range(group * written, (group + 1) * written):
                    total = weight[k, 0] * spectra[0]
                    for c in range(1, read):
                        total += weight[k, c] * spectra[c]
                    there = result[n, k][to]
                    found = np.fft.irfftn(total, form.tile, tuple(range(len(form.tile))))
                    there[...] = found[tuple(map(slice, there.shape))]
                    if bias is not None:
                        there += bias[k]

    tasks = problem.batch * len(corners)
    threads.share(work, tasks, threads.worth(problem.threads, problem.flops // 2))
    return result


def _transform(numbers: Array, tile: tuple[int, ...]) -> Array:
    """Return the transform of real numbers, with zeros behind them up to a tile."""
    return np.fft.rfftn(numbers, tile, tuple(range(len(tile))))


def _gathered(channel: Array, first: tuple[int, ...], form: Form) -> Array:
    """Return what the tile whose results begin at `first` sees of a channel, in float64, zeros around it."""
    pixels = np.zeros(form.tile)
    inside, seen = [], []
    for a, before, size, tile in zip(first, form.before, channel.shape, form.tile, strict=True):
        low, high = max(0, a - before), min(size, a - before + tile)
        seen.append(slice(low, max(low, high)))
        inside.append(slice(low - a + before, max(low, high) - a + before))
    pixels[tuple(inside)] = channel[tuple(seen)]
    return pixels
