"""Sums and maxima over windows that slide, one cell of the window at a time.

A window's cell, moved over all the window's places, meets a regular grid of pixels: a strided slice.
So pooling takes one NumPy call per cell and none per pixel, padding is only a shorter slice (nothing
is copied into a bigger array), and a sum or a maximum over a square goes axis by axis:
`k + k` calls instead of `k * k`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import Window

Move = tuple[tuple[Any, ...], tuple[Any, ...]]
"""Two indices: the outputs whose windows hold one cell, and the pixels which that cell meets there."""

# Up to so many cells the axes are walked together, which saves the arrays between them.
_TOGETHER = 4


@dataclass(frozen=True, eq=False)
class Axis:
    """How the windows lie on one spatial axis; told from another by identity, as what is remembered of it.

    Attributes:
        size: pixels of the image.
        out: places of the window.
        moves: for each cell of the window, in order, the outputs that see a pixel through it and
            those pixels. A cell that falls on padding everywhere has no entry.
        disjoint: no pixel is in two windows.
    """

    size: int
    out: int
    moves: tuple[tuple[slice, slice], ...]
    disjoint: bool

    def steps(self) -> Array:
        """Return how far each window's cells lie behind those of the first: cell m meets `steps[o] + offsets[m]`."""
        if not self.moves:
            return np.zeros(self.out, np.intp)
        out, pixels = self.moves[0]
        return np.arange(self.out) // (out.step or 1) * (pixels.step or 1)

    def offsets(self) -> Array:
        """Return where each cell stands for the first window that has it, less that window's step."""
        steps = self.steps()
        return np.array([pixels.start - steps[out.start] for out, pixels in self.moves], np.intp)

    def counts(self) -> Array:
        """Return how many pixels each window holds."""
        counts = np.zeros(self.out, np.int64)
        for out, _ in self.moves:
            counts[out] += 1
        return counts


def window_axes(window: Window, image: Sequence[int]) -> tuple[Axis, ...]:
    """Return the axes of a window that slides over an image.

    Args:
        window: the window, its padding included.
        image: the image's spatial sizes, without padding.

    Example:
        >>> axes = window_axes(Window((3,), (2,), ((1, 1),), (1,)), (5,))
        >>> axes[0].out, axes[0].counts().tolist()
        (3, [2, 3, 2])
    """
    axes = []
    for a, (size, out) in enumerate(zip(image, window.output_size(image), strict=True)):
        stride, (before, _) = window.stride[a], window.padding[a]
        moves = []
        for cell in range(window.kernel[a]):
            offset = cell * window.dilation[a] - before
            first = max(0, -(offset // stride))
            last = min(out - 1, (size - 1 - offset) // stride)
            if first <= last:
                pixels = slice(first * stride + offset, last * stride + offset + 1, stride)
                moves.append((slice(first, last + 1), pixels))
        axes.append(Axis(size, out, tuple(moves), window.span[a] <= stride))
    return tuple(axes)


def adaptive_axes(image: Sequence[int], output: Sequence[int]) -> tuple[Axis, ...]:
    """Return the axes of adaptive pooling: window i is the pixels from ⌊i·n/o⌋ to ⌈(i+1)·n/o⌉.

    The pattern of windows repeats gcd(n, o) times along the axis, and each place in the pattern is a
    window that slides regularly.

    Args:
        image: the image's spatial sizes.
        output: how many windows each axis gets.

    Example:
        >>> adaptive_axes((8,), (3,))[0].counts().tolist()
        [3, 4, 3]
    """
    axes = []
    for size, out in zip(image, output, strict=True):
        repeats = math.gcd(size, out)
        step_out, step_in = out // repeats, size // repeats
        moves: list[tuple[slice, slice]] = []
        for place in range(step_out):
            start, stop = place * size // out, -(-(place + 1) * size // out)
            reach = (repeats - 1) * step_in + 1  # as many pixels as there are windows at this place
            outs = slice(place, out, step_out)
            moves += [(outs, slice(pixel, pixel + reach, step_in)) for pixel in range(start, stop)]
        axes.append(Axis(size, out, tuple(moves), size % out == 0))
    return tuple(axes)


def stages(axes: Sequence[Axis], together: int = _TOGETHER) -> list[tuple[int, ...]]:
    """Return which axes are walked at once, in order: all of them where the cells are few, else one by one.

    Args:
        axes: the spatial axes.
        together: up to how many cells all axes are walked at once.

    Example:
        >>> square = window_axes(Window((3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)), (8, 8))
        >>> stages(square), stages(square, together=9)
        ([(0,), (1,)], [(0, 1)])
    """
    if math.prod(len(axis.moves) for axis in axes) <= together:
        return [tuple(range(len(axes)))]
    return [(a,) for a in range(len(axes))]


def moves_of(axes: Sequence[Axis], stage: Sequence[int]) -> list[Move]:
    """Return the moves of one stage as indices of whole arrays, cells in row-major order.

    Args:
        axes: every spatial axis.
        stage: which of them are walked; the others are left as they are.
    """
    moves = []
    for cells in itertools.product(*(axes[a].moves for a in stage)):
        out: list[Any] = [slice(None)] * len(axes)
        pixels: list[Any] = [slice(None)] * len(axes)
        for a, (o, p) in zip(stage, cells, strict=True):
            out[a], pixels[a] = o, p
        moves.append(((..., *out), (..., *pixels)))
    return moves


def _resized(shape: Sequence[int], axes: Sequence[Axis], stage: Sequence[int], name: str) -> tuple[int, ...]:
    """Return `shape` with the stage's axes set to their `size` or their `out`."""
    sizes = list(shape)
    for a in stage:
        sizes[len(shape) - len(axes) + a] = getattr(axes[a], name)
    return tuple(sizes)


def fold_stage(ufunc: np.ufunc, x: Array, axes: Sequence[Axis], stage: Sequence[int], nothing: Any) -> Array:
    """Return `ufunc` over the windows of one stage's axes; arguments as in `fold`."""
    shape = _resized(x.shape, axes, stage, "out")
    moves = moves_of(axes, stage)
    # The first two cells that every window has fill the output without reading it first.
    full = [pixels for _, pixels in moves if x[pixels].shape == shape][:2]
    rest = [move for move in moves if not any(move[1] is pixels for pixels in full)]
    if len(full) == 2:
        y: Array = ufunc(x[full[0]], x[full[1]])
    elif full:
        y = x[full[0]].copy()
    else:
        y = np.full(shape, nothing, x.dtype)
    for out, pixels in rest:
        place = y[out]
        ufunc(place, x[pixels], out=place)
    return y


def fold(ufunc: np.ufunc, x: Array, axes: Sequence[Axis], nothing: Any) -> Array:
    """Return the sum (`np.add`) or maximum (`np.maximum`) of `x` over every window.

    Args:
        ufunc: an operation that is associative and commutative.
        x: `(..., *spatial)`.
        axes: one for each spatial axis.
        nothing: the result for a window without a pixel, which also changes no other.

    Returns:
        `(..., *out)`, of x's type.

    Example:
        >>> axes = window_axes(Window((2,), (2,), ((0, 0),), (1,)), (5,))
        >>> fold(np.add, np.arange(5.0), axes, 0).tolist()
        [1.0, 5.0]
    """
    for stage in stages(axes):  # rows first: whole rows are added to whole rows
        x = fold_stage(ufunc, x, axes, stage, nothing)
    return x


def spread(dy: Array, axes: Sequence[Axis]) -> Array:
    """Return the adjoint of summing: each pixel gets the sum of `dy` over the windows it is in.

    Args:
        dy: `(..., *out)`.
        axes: as in `fold`.

    Returns:
        `(..., *spatial)`, of dy's type.

    Example:
        >>> axes = window_axes(Window((2,), (1,), ((0, 0),), (1,)), (4,))
        >>> spread(np.array([1.0, 10.0, 100.0]), axes).tolist()
        [1.0, 11.0, 110.0, 100.0]
    """
    for stage in reversed(stages(axes)):
        dx = np.zeros(_resized(dy.shape, axes, stage, "size"), dy.dtype)
        disjoint = all(axes[a].disjoint for a in stage)
        for out, pixels in moves_of(axes, stage):
            if disjoint:
                dx[pixels] = dy[out]
            else:
                dx[pixels] += dy[out]
        dy = dx
    return dy
