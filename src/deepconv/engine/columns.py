"""im2col and col2im: every window as a row, and the way back, which adds up."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.algorithms.layout import inside, padded, tap_slices, windows
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.settings import get_threads, get_workspace_limit
from deepconv.geometry import Window

KERNELS = library("columns")

_ROOM = 2 * 2**20
"""Bytes that a padded image may take in scratch; of a larger one some channels are taken at once."""

_RANK = 3


class _Task(NamedTuple):
    """What the kernels are told beside addresses: how many channels at once, the runs of a window, the geometry."""

    table: Array
    numbers: tuple[int, ...]
    scratch: int


@lru_cache(maxsize=256)
def _task(window: Window, image: tuple[int, ...], channels: int, itemsize: int, limit: int) -> _Task:
    """Return the kernels' task for an image of that size."""
    padded, missing = window.padded_size(image), _RANK - window.rank
    plane = math.prod(padded)
    block = min(channels, max(1, min(_ROOM, limit) // (plane * itemsize)))
    steps = [math.prod(padded[a + 1 :]) for a in range(window.rank)]
    run = window.kernel[-1] if window.dilation[-1] == 1 else 1
    cells = (*window.kernel[:-1], window.kernel[-1] // run)
    offsets = [
        c * plane + sum(t * d * step for t, d, step in zip(tap, window.dilation, steps, strict=True))
        for c in range(block)
        for tap in np.ndindex(*cells)
    ]

    def three(numbers: Iterable[int], filling: int) -> tuple[int, ...]:
        return (*[filling] * missing, *numbers)

    geometry = (
        *three(image, 1),
        *three((before for before, _ in window.padding), 0),
        *three(padded, 1),
        *three(window.output_size(image), 1),
        *three(window.stride, 1),
    )
    numbers = (channels, block, window.taps, len(offsets), run, *geometry)
    slack = 2 * machine.target().vector_bytes
    return _Task(np.array(offsets, np.int64), numbers, block * plane * itemsize + slack)


def _run(kernel: str, source: Array, target: Array, window: Window, image: Array) -> None:
    """Call a kernel for all images."""
    dtype, shape, used = source.dtype, image.shape, get_threads()
    task = _task(window, shape[2:], shape[1], dtype.itemsize, get_workspace_limit() // used)
    call = getattr(KERNELS, kernel)[dtype]
    places = (address(source), address(target), address(task.table))

    def work(start: int, stop: int) -> None:
        call(*places, scratch(task.scratch), start, stop, *task.numbers)

    threads.share(work, shape[0], threads.worth(used, 4 * max(source.size, target.size)))


def _compiles(window: Window, *arrays: Array) -> bool:
    """Tell whether the kernels serve: some numbers, that floats of their size can stand for, and not too many axes."""
    if window.rank > _RANK or machine.why_not_compiled() is not None:
        return False
    return all(a.size and a.dtype.isnative for a in arrays)


def im2col(x: Array, window: Window) -> Array:
    """Return `(N, L, C·taps)` of `x (N, C, *image)`."""
    shape = (len(x), math.prod(window.output_size(x.shape[2:])), x.shape[1] * window.taps)
    if x.itemsize in (4, 8) and 0 not in shape and _compiles(window, x):
        cols = np.empty(shape, x.dtype)
        bits = np.dtype(f"f{x.itemsize}")  # nothing is computed: any number's bits may go as a float's
        _run("im2col", plain(x, x.dtype).view(bits), cols.view(bits), window, x)
        return cols
    out = window.output_size(x.shape[2:])
    seen = windows(padded(x, window, x.dtype, last=False), window, out, last=False)
    cells = 1 + window.rank  # the axes before are C and the kernel's, those after N and the output's
    order = (*range(cells, cells + 1 + window.rank), *range(cells))
    return seen.transpose(order).reshape(len(x), math.prod(out), x.shape[1] * window.taps)


def col2im(cols: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """Return the image of `x_shape` from `cols (N, L, C·taps)`, each pixel the sum of the cells that show it."""
    out = window.output_size(x_shape[2:])
    if cols.dtype.char in "fd" and _compiles(window, cols):
        x = np.empty(x_shape, cols.dtype)
        _run("col2im", plain(cols, cols.dtype), x, window, x)
        return x
    cells = cols.reshape(x_shape[0], *out, x_shape[1], *window.kernel)
    cells = np.moveaxis(cells, 1 + window.rank, 0)  # (C, N, *out, *kernel)
    total = np.zeros((x_shape[1], x_shape[0], *window.padded_size(x_shape[2:])), cols.dtype)
    for tap, place in tap_slices(window, out, last=False):
        seen: tuple[Any, ...] = (..., *tap)
        total[place] += cells[seen]
    return np.ascontiguousarray(total[inside(window, x_shape[2:], last=False)].swapaxes(0, 1))
