"""Images made larger by whole factors, axis by axis: every output phase is one strided slice."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.windowed import Axis, fold, spread, window_axes
from deepconv.geometry import Window


def _repeats(shape: Sequence[int], factors: Sequence[int]) -> tuple[Axis, ...]:
    """Return the larger image's axes under windows as large as the factors: one for each pixel."""
    rank = len(factors)
    sizes = tuple(factors)
    window = Window(sizes, sizes, ((0, 0),) * rank, (1,) * rank)
    return window_axes(window, [n * f for n, f in zip(shape[-rank:], factors, strict=True)])


def nearest(x: Array, factors: Sequence[int]) -> Array:
    """Return `x (N, C, *spatial)` with every pixel repeated, `factors` times on each axis."""
    return spread(x, _repeats(x.shape, factors))


def nearest_input_grad(dy: Array, shape: Sequence[int], factors: Sequence[int]) -> Array:
    """Return the gradient of `nearest` for x of this shape: the sum over each pixel's copies."""
    return fold(np.add, dy, _repeats(shape, factors), 0)


def _mixtures(size: int, factor: int) -> Iterator[tuple[slice, slice, float]]:
    """Yield `(outputs, pixels, weight)`: by how much which pixels go into which outputs of one axis.

    Output o is centred on `(o + 1/2) / factor - 1/2` in the image and mixes the two pixels around that;
    beyond the outermost centres there is only the outermost pixel.
    """
    for phase in range(factor):
        centre = (phase + 0.5) / factor - 0.5
        low = -1 if centre < 0 else 0
        share = centre - low
        for shift, weight in ((low, 1 - share), (low + 1, share)):
            if weight == 0:
                continue
            first, last = max(0, -shift), min(size, size - shift)  # where the neighbour is in the image
            outputs = slice(first * factor + phase, (last - 1) * factor + phase + 1, factor)
            if first < last:
                yield outputs, slice(first + shift, last + shift), weight
            if shift:
                edge = 0 if shift < 0 else size - 1
                yield slice(edge * factor + phase, edge * factor + phase + 1), slice(edge, edge + 1), weight


def _along(axis: int, rank: int, part: slice) -> tuple[Any, ...]:
    """Return an index that takes `part` of one spatial axis."""
    return (..., part, *[slice(None)] * (rank - axis - 1))


def linear(x: Array, factors: Sequence[int]) -> Array:
    """Return `x (N, C, *spatial)` enlarged, interpolated linearly between the pixels' centres."""
    rank = len(factors)
    for a, factor in enumerate(factors):
        shape = list(x.shape)
        size = shape[a - rank]
        shape[a - rank] = size * factor
        y = np.zeros(shape, x.dtype)
        for outputs, pixels, weight in _mixtures(size, factor):
            y[_along(a, rank, outputs)] += x[_along(a, rank, pixels)] * x.dtype.type(weight)
        x = y
    return x


def linear_input_grad(dy: Array, shape: Sequence[int], factors: Sequence[int]) -> Array:
    """Return the gradient of `linear` for x of this shape: every output's dy, in the same shares."""
    rank = len(factors)
    for a, factor in reversed(list(enumerate(factors))):
        sizes = list(dy.shape)
        sizes[a - rank] = shape[a - rank]
        dx = np.zeros(sizes, dy.dtype)
        for outputs, pixels, weight in _mixtures(shape[a - rank], factor):
            dx[_along(a, rank, pixels)] += dy[_along(a, rank, outputs)] * dy.dtype.type(weight)
        dy = dx
    return dy
