"""Arrays turned channels first with all cells of the batch behind, as one matrix product wants them.

A batch of images `(N, C, *spatial)` becomes `(C, N, *spatial)` or, where rows are short and images
many, `(C, *spatial, N)`: NumPy copies the last axis in one run, and a run of 64 images is copied
nine times as fast as runs of 8 pixels (measured on 64 images of 32 channels, 8×8, 3×3: 0.29 ms
against 1.37 ms for the columns, the turning included).
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from deepconv.arrays import Array
from deepconv.engine.problem import Problem
from deepconv.geometry import Window


def batch_last(problem: Problem, batch: int) -> bool:
    """Tell whether the batch goes behind the spatial axes: rows of at most 12 pixels, and more images.

    From 16 pixels on, turning the result back costs what the columns gained (measured on 9 layers).
    """
    return batch > problem.out[-1] and problem.out[-1] <= 12


def turned(a: Array, last: bool) -> Array:
    """Return a view of `(N, C, *spatial)` with channels first and the batch second or last."""
    return np.moveaxis(a, 0, -1) if last else a.swapaxes(0, 1)


def put_back(a: Array, target: Array, last: bool) -> None:
    """Write a turned array into `target (N, C, *spatial)`.

    With the batch last, one channel at a time: NumPy would take image by image, and each image would
    fetch every cache line of the array again. Measured for 32 channels of 8×8: 1.7 times as fast for 64
    images, 3.5 times for 128; for 64 images of 64 channels of 4×4, which fit a cache, 0.7 times.
    """
    if last:
        for channel, images in enumerate(np.moveaxis(a, -1, 1)):
            target[:, channel] = images
    else:
        target[...] = a.swapaxes(0, 1)


def padded(x: Array, window: Window, dtype: np.dtype[np.generic], last: bool) -> Array:
    """Return `x (N, C, *image)` turned, in `dtype`, with its zeros around it.

    A view where nothing has to be added.
    """
    source = turned(x, last)
    if not any(map(any, window.padding)) and x.dtype == dtype:
        return source
    spatial = window.padded_size(x.shape[2:])
    lead, tail = ((len(x),), ()) if not last else ((), (len(x),))
    result = np.zeros((x.shape[1], *lead, *spatial, *tail), dtype)
    result[inside(window, x.shape[2:], last)] = source
    return result


def inside(window: Window, image: tuple[int, ...], last: bool) -> tuple[slice, ...]:
    """Return where the image stands in its turned, padded array."""
    spatial = tuple(slice(before, before + n) for n, (before, _) in zip(image, window.padding, strict=True))
    return (slice(None), *spatial) if last else (slice(None), slice(None), *spatial)


def windows(turned_padded: Array, window: Window, out: tuple[int, ...], last: bool) -> Array:
    """Return a read-only view of a turned, padded array as `(C, *kernel, *cells)`.

    `cells` is `(N, *out)` or `(*out, N)`. Nothing is copied.
    """
    first = 1 if last else 2
    steps = turned_padded.strides[first : first + window.rank]
    taps = tuple(step * d for step, d in zip(steps, window.dilation, strict=True))
    moves = tuple(step * s for step, s in zip(steps, window.stride, strict=True))
    n, n_step = (turned_padded.shape[-1], turned_padded.strides[-1]) if last else (
        turned_padded.shape[1], turned_padded.strides[1])  # fmt: skip
    cells, cell_steps = ((*out, n), (*moves, n_step)) if last else ((n, *out), (n_step, *moves))
    return as_strided(
        turned_padded,
        (len(turned_padded), *window.kernel, *cells),
        (turned_padded.strides[0], *taps, *cell_steps),
        writeable=False,
    )


def tap_slices(
    window: Window, out: tuple[int, ...], last: bool
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield each kernel cell and the slices of a turned, padded array that it meets."""
    for tap in np.ndindex(*window.kernel):
        spatial = tuple(
            slice(r * d, r * d + (n - 1) * s + 1, s)
            for r, d, n, s in zip(tap, window.dilation, out, window.stride, strict=True)
        )
        yield tap, (slice(None), *spatial) if last else (slice(None), slice(None), *spatial)


def matrix(a: Array, groups: int, taps: int = 1) -> Array:
    """Return a turned array as `(groups, C/groups·taps, cells)`, copied where its cells are not in order."""
    rows = len(a) // groups * taps
    return a.reshape(groups, rows, math.prod(a.shape) // (groups * rows))


def chunks(problem: Problem, bytes_per_image: int) -> Iterator[slice]:
    """Yield parts of the batch, each of as many images as the workspace limit admits, at least one."""
    at_once = max(1, problem.workspace_limit // max(1, bytes_per_image))
    for start in range(0, problem.batch, at_once):
        yield slice(start, min(problem.batch, start + at_once))
