"""Max, average and Lp pooling, and their gradients, over the windows of `windowed`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.bits import all_ones, as_bits, keep
from deepconv.engine.windowed import Axis, Move, fold, fold_stage, moves_of, spread, stages
from deepconv.geometry import Window

# The winners' search holds a few arrays the size of its output: so many pixels keep them in cache.
_BLOCK_PIXELS = 1 << 17

# Up to so many cells the winner is sought over all axes at once.
_SEARCH_TOGETHER = 9


def _lowest(dtype: np.dtype[Any]) -> Any:
    """Return what every number of the type is at least."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def max_pool(x: Array, axes: Sequence[Axis]) -> Array:
    """Return the largest pixel of every window; NaN counts as the largest of all.

    Args:
        x: `(N, C, *spatial)` of float32, float64 or int64.
        axes: one for each spatial axis.

    Returns:
        `(N, C, *out)`; a window without a pixel gives -inf (the least int64).
    """
    return fold(np.maximum, x, axes, _lowest(x.dtype))


def _same(x: Array, y: Array) -> Array:
    """Tell where a pixel equals its window's maximum."""
    equal: Array = np.equal(x, y)
    return equal


def _is_nan(x: Array, _: Array) -> Array:
    """Tell where a pixel is NaN."""
    nan: Array = np.isnan(x)
    return nan


def _claims(
    stake: Array, x: Array, y: Array, moves: Sequence[Move], wins: Callable[[Array, Array], Array]
) -> Iterator[tuple[Move, Array]]:
    """Hand each window's stake to its first pixel that wins; yield, cell by cell, what the pixels get.

    What is claimed becomes 0 in `stake`, so that a tie gives nothing to those who come later.
    """
    left = as_bits(stake)
    for move in moves:
        out, pixels = move
        won = all_ones(wins(x[pixels], y[out]), stake.dtype)
        won &= left[out]
        left[out] ^= won
        yield move, won.view(stake.dtype)


def _winners(stake: Array, x: Array, y: Array, moves: Sequence[Move]) -> Iterator[tuple[Move, Array]]:
    """Yield the claims of every window: of its first maximum or, as in PyTorch, its last NaN."""
    nan = np.isnan(y)
    if nan.any():
        troubled = keep(stake, nan)
        yield from _claims(troubled, x, y, moves[::-1], _is_nan)
        stake[nan] = 0
    yield from _claims(stake, x, y, moves, _same)


def _search(axes: Sequence[Axis]) -> list[tuple[int, ...]]:
    """Return the stages of the search, last axis first: so a tie goes to the first row, then column."""
    return stages(axes, _SEARCH_TOGETHER)[::-1]


def _climb(x: Array, axes: Sequence[Axis]) -> list[tuple[Array, tuple[int, ...], Array]]:
    """Return `(x, stage, y)` for every stage of a maximum, in the order of the search."""
    steps = []
    for stage in _search(axes):
        y = fold_stage(np.maximum, x, axes, stage, _lowest(x.dtype))
        steps.append((x, stage, y))
        x = y
    return steps


def max_pool_indices(x: Array, axes: Sequence[Axis]) -> Array:
    """Return where in its plane each window's maximum stands, counted row by row.

    Args:
        x: `(N, C, *spatial)`.
        axes: one for each spatial axis.

    Returns:
        `(N, C, *out)` of int64; -1 for a window without a pixel.
    """
    spatial = x.shape[x.ndim - len(axes) :]
    places = np.broadcast_to(np.arange(int(np.prod(spatial))).reshape(spatial), x.shape)
    for image, stage, y in _climb(x, axes):
        stake = np.ones(y.shape, np.int64)
        found = np.zeros(y.shape, np.int64)
        for (out, pixels), won in _winners(stake, image, y, moves_of(axes, stage)):
            found[out] += won * places[pixels]
        # A window of nothing but -1 has no pixel either: its -inf is claimed, and -1 carried on.
        places = np.where(stake == 1, -1, found)
    return places


def _max_stage_input_grad(dy: Array, x: Array, y: Array, axes: Sequence[Axis], stage: Sequence[int]) -> Array:
    """Return the gradient of one stage of a maximum, a few planes at a time."""
    rank = len(axes)
    planes = [a.reshape(-1, *a.shape[a.ndim - rank :]) for a in (dy, x, y)]
    moves = moves_of(axes, stage)
    disjoint = all(axes[a].disjoint for a in stage)
    dx = np.zeros(planes[1].shape, dy.dtype)
    step = max(1, _BLOCK_PIXELS // max(1, int(np.prod(dx.shape[1:]))))
    for start in range(0, len(dx), step):
        dy_block, x_block, y_block = (a[start : start + step] for a in planes)
        dx_block = dx[start : start + step]
        # Where windows share no pixel, a pixel is written once and need not be read: unless it is
        # visited again for a NaN.
        once = disjoint and not np.isnan(y_block).any()
        for (_, pixels), won in _winners(dy_block.copy(), x_block, y_block, moves):
            if once:
                dx_block[pixels] = won
            else:
                dx_block[pixels] += won
    return dx.reshape(x.shape)


def max_pool_input_grad(dy: Array, x: Array, axes: Sequence[Axis]) -> Array:
    """Return the gradient of `max_pool`: each window's dy goes to the pixel that won it.

    Args:
        dy: `(N, C, *out)`.
        x: `(N, C, *spatial)`, of the same type.
        axes: one for each spatial axis.
    """
    for image, stage, y in reversed(_climb(x, axes)):
        dy = _max_stage_input_grad(dy, image, y, axes, stage)
    return dy


def window_counts(
    axes: Sequence[Axis], window: Window | None = None, image: Sequence[int] = ()
) -> Array | int:
    """Return by what each window's sum is divided for its mean: the pixels it holds, at least 1.

    Args:
        axes: one for each spatial axis.
        window: the window itself where padding counts as pixels (but what a ceil_mode window reads
            beyond the padding does not); None where it doesn't.
        image: the image's spatial sizes, needed with `window`.

    Returns:
        An array of the output's spatial shape, or one number where all are equal.
    """
    counts = [axis.counts() for axis in axes]
    if window is not None:
        padded = window.padded_size(image)
        for a, axis in enumerate(axes):
            starts = np.arange(axis.out) * window.stride[a]
            room = -(-(padded[a] - starts) // window.dilation[a])
            counts[a] = np.minimum(room, window.kernel[a])
    total = np.ones((), np.int64)
    for count in counts:
        total = np.multiply.outer(total, np.maximum(count, 1))
    if total.size and (total == total.flat[0]).all():
        return int(total.flat[0])
    return total


def avg_pool(x: Array, axes: Sequence[Axis], divisor: Array | float) -> Array:
    """Return each window's sum, divided.

    Args:
        x: `(N, C, *spatial)` of float32 or float64.
        axes: one for each spatial axis.
        divisor: a number, or one for each window.
    """
    y = fold(np.add, x, axes, 0)
    y /= np.asarray(divisor, y.dtype)
    return y


def avg_pool_input_grad(dy: Array, axes: Sequence[Axis], divisor: Array | float) -> Array:
    """Return the gradient of `avg_pool`: each pixel gets its share of every window it is in."""
    return spread(dy / np.asarray(divisor, dy.dtype), axes)


def power(x: Array, p: float) -> Array:
    """Return `|x|^p`."""
    if p == 2:
        return x * x
    size = np.abs(x)
    return size if p == 1 else size**p


def root(sums: Array, p: float) -> Array:
    """Return the p-th root."""
    if p == 1:
        return sums
    y: Array = np.sqrt(sums) if p == 2 else sums ** (1 / p)
    return y


def lp_scale(x: Array, p: float, terms: int) -> Any:
    """Return what x is divided by so that its p-th powers neither overflow nor all vanish; mostly 1."""
    largest = float(np.abs(x).max(initial=0))
    limits = np.finfo(x.dtype)
    high = (float(limits.max) / max(terms, 1)) ** (1 / p)
    low = (float(limits.tiny) / float(limits.eps)) ** (1 / p)
    return x.dtype.type(1 if low < largest < high or not 0 < largest < np.inf else largest)


def lp_share(dy: Array, y: Array, p: float) -> Array:
    """Return `dy / y^(p-1)`, what a window gives to its pixels; 0 where y is 0."""
    if p == 1:
        return dy
    share: Array = dy / np.where(y == 0, np.inf, y) ** (p - 1)
    return share


def lp_slope(x: Array, p: float) -> Array:
    """Return `sign(x) |x|^(p-1)`, what a pixel makes of it."""
    if p == 2:
        return x
    sign: Array = np.sign(x)
    if p > 1:
        sign *= np.abs(x) ** (p - 1)
    return sign


def _terms(axes: Sequence[Axis]) -> int:
    """Return how many pixels a window holds at most."""
    return int(np.prod([len(axis.moves) for axis in axes]))


def lp_pool(x: Array, axes: Sequence[Axis], p: float) -> Array:
    """Return `(Σ|x|^p)^(1/p)` over every window.

    Args:
        x: `(N, C, *spatial)` of float32 or float64.
        axes: one for each spatial axis.
        p: at least 1.
    """
    scale = lp_scale(x, p, _terms(axes))
    y = root(fold(np.add, power(x / scale, p), axes, 0), p)
    y *= scale
    return y


def lp_pool_input_grad(dy: Array, x: Array, axes: Sequence[Axis], p: float) -> Array:
    """Return the gradient of `lp_pool`: `Σ dy · sign(x) · (|x| / y)^(p-1)`, and 0 where y is 0.

    Args:
        dy: `(N, C, *out)`.
        x, axes, p: as in `lp_pool`.
    """
    x = x / lp_scale(x, p, _terms(axes))  # the gradient knows no scale
    y = root(fold(np.add, power(x, p), axes, 0), p)
    with np.errstate(invalid="ignore"):  # inf / inf is NaN, as it should be
        dx: Array = spread(lp_share(dy, y, p), axes) * lp_slope(x, p)
    return dx
