"""im2col and col2im: every window as a row, and the way back, which adds up."""

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.algorithms.layout import inside, padded, tap_slices, windows
from deepconv.geometry import Window


def im2col(x: Array, window: Window) -> Array:
    """Return `(N, L, C·taps)` of `x (N, C, *image)`."""
    out = window.output_size(x.shape[2:])
    seen = windows(padded(x, window, x.dtype, last=False), window, out, last=False)
    cells = 1 + window.rank  # the axes before are C and the kernel's, those after N and the output's
    order = (*range(cells, cells + 1 + window.rank), *range(cells))
    return seen.transpose(order).reshape(len(x), math.prod(out), x.shape[1] * window.taps)


def col2im(cols: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """Return the image of `x_shape` from `cols (N, L, C·taps)`, each pixel the sum of the cells that show it."""
    out = window.output_size(x_shape[2:])
    cells = cols.reshape(x_shape[0], *out, x_shape[1], *window.kernel)
    cells = np.moveaxis(cells, 1 + window.rank, 0)  # (C, N, *out, *kernel)
    total = np.zeros((x_shape[1], x_shape[0], *window.padded_size(x_shape[2:])), cols.dtype)
    for tap, place in tap_slices(window, out, last=False):
        seen: tuple[Any, ...] = (..., *tap)
        total[place] += cells[seen]
    return np.ascontiguousarray(total[inside(window, x_shape[2:], last=False)].swapaxes(0, 1))
