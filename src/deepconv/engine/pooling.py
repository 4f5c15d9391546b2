"""Max, average and Lp pooling, and their gradients, over the windows of `windowed`."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import planes
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
    if (case := planes.plan(x, axes)) is not None:
        return planes.largest(x, case, _shape(x, axes, "out"))
    return fold(np.maximum, x, axes, _lowest(x.dtype))


def _shape(x: Array, axes: Sequence[Axis], name: str) -> tuple[int, ...]:
    """Return x's shape with spatial axes of their `out`, or their `size`."""
    return (*x.shape[: x.ndim - len(axes)], *(getattr(axis, name) for axis in axes))


def _first_largest(x: Array, y: Array, moves: Sequence[Move]) -> Array:
    """Return which cell of each window holds its maximum y: its number from behind, from 1; 0 for none.

    Counted from behind, the first of several equal ones is the largest number: a maximum of small
    integers finds it, and no branch is taken on a pixel. Of several NaN the last wins, as in PyTorch.
    """
    kind = np.min_scalar_type(len(moves))
    best = np.zeros(y.shape, kind)
    numbers = [kind.type(n) for n in range(len(moves), 0, -1)]
    for number, (out, pixels) in zip(numbers, moves, strict=True):
        claim = np.equal(x[pixels], y[out]).view(np.uint8) * number
        place = best[out]
        np.maximum(place, claim, out=place)
    if np.isnan(y).any():
        for number, (out, pixels) in zip(numbers, moves, strict=True):
            best[out][np.isnan(x[pixels])] = number
    return best


def _places(axes: Sequence[Axis], stage: Sequence[int], sizes: Sequence[int]) -> tuple[Array, Array]:
    """Return `(offsets, base)`: cell c of window o meets pixel `offsets[c] + base[o]`, counted row by row.

    Args:
        axes: every spatial axis.
        stage: which of them have windows.
        sizes: of the plane before the stage.

    Returns:
        Offsets for cells counted from behind; the one for no cell makes any place negative. The base of
        each window of the stage's output plane, flat.
    """
    base, offsets = np.zeros((), np.intp), np.zeros(1, np.intp)
    for a, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        steps = axis.steps() if a in stage else np.arange(size)
        base = np.add.outer(base * size, steps)
        offsets = offsets * size
        if a in stage:
            offsets = np.add.outer(offsets, axis.offsets()).reshape(-1)
    nowhere = np.array([np.iinfo(np.intp).min // 2])
    return np.concatenate([nowhere, offsets[::-1]]), base.reshape(-1)


def _search(axes: Sequence[Axis]) -> Callable[[Array], Array]:
    """Return what finds the winners in planes `(P, *spatial)`: the place of each in its plane, `(P, outputs)`.

    Where the cells are many the axes are searched one by one, the last first: then a tie goes to the
    first row, and in it to the first column.
    """
    sizes = [axis.size for axis in axes]
    steps = []
    for stage in reversed(stages(axes, _SEARCH_TOGETHER)):
        steps.append((stage, moves_of(axes, stage), *_places(axes, stage, sizes)))
        sizes = [axis.out if a in stage else n for a, (axis, n) in enumerate(zip(axes, sizes, strict=True))]

    def search(x: Array) -> Array:
        found: Array | None = None
        for stage, moves, offsets, base in steps:
            y = fold_stage(np.maximum, x, axes, stage, _lowest(x.dtype))
            places = offsets[_first_largest(x, y, moves).reshape(len(x), -1)]
            places += base
            if found is not None:  # a pixel of the step before stands for the one that won there
                lost = places < 0
                places = np.take_along_axis(found, np.where(lost, 0, places), axis=1)
                places[lost] = -1
            found, x = places, y
        return np.zeros(x.shape, np.intp) if found is None else found

    return search


def _blocks(planes: int, pixels: int) -> Iterator[slice]:
    """Yield slices of so many planes, a few planes each."""
    step = max(1, _BLOCK_PIXELS // max(1, pixels))
    for start in range(0, planes, step):
        yield slice(start, start + step)


def max_pool_indices(x: Array, axes: Sequence[Axis]) -> Array:
    """Return where in its plane each window's maximum stands, counted row by row.

    Args:
        x: `(N, C, *spatial)`.
        axes: one for each spatial axis.

    Returns:
        `(N, C, *out)` of int64; -1 for a window without a pixel.
    """
    shape = _shape(x, axes, "out")
    if (case := planes.plan(x, axes)) is not None:
        return planes.winners(x, case, shape)[1].in_planes().reshape(shape)
    flat, search = _planes(x, len(axes)), _search(axes)
    indices = np.empty((len(flat), math.prod(axis.out for axis in axes)), np.int64)
    for part in _blocks(len(flat), math.prod(axis.size for axis in axes)):
        indices[part] = np.maximum(search(flat[part]), -1)
    return indices.reshape(shape)


def max_pool_input_grad(dy: Array, x: Array, axes: Sequence[Axis]) -> Array:
    """Return the gradient of `max_pool`: each window's dy goes to the pixel that won it.

    Args:
        dy: `(N, C, *out)`.
        x: `(N, C, *spatial)`, of the same type.
        axes: one for each spatial axis.
    """
    if (case := planes.plan(x, axes)) is not None:
        return planes.largest_grad(dy, planes.winners(x, case, dy.shape)[1])
    search = _search(axes)
    return _given(dy, x.shape, axes, lambda part: search(_planes(x, len(axes))[part]))


def _planes(x: Array, rank: int) -> Array:
    """Return the planes of x, `(P, *spatial)`."""
    return x.reshape(-1, *x.shape[x.ndim - rank :])


def _given(dy: Array, shape: tuple[int, ...], axes: Sequence[Axis], find: Callable[[slice], Array]) -> Array:
    """Return the gradient of `max_pool`.

    Args:
        dy: `(N, C, *out)`.
        shape: that of x.
        axes: one for each spatial axis.
        find: gives the winners' places in some of the planes, an array that may be written to.
    """
    pixels, outputs = (math.prod(getattr(axis, name) for axis in axes) for name in ("size", "out"))
    dx = np.zeros((math.prod(shape) // pixels, pixels), dy.dtype)
    gradients, disjoint = dy.reshape(dy.size // outputs, outputs), all(axis.disjoint for axis in axes)
    for part in _blocks(len(dx), pixels):
        places = find(part)
        empty = bool(places.min(initial=0) < 0)  # some window has no pixel to give its gradient to
        kept = places.reshape(-1) >= 0 if empty else slice(None)
        places += np.arange(len(places))[:, None] * pixels
        where, gradient = places.reshape(-1)[kept], gradients[part].reshape(-1)[kept]
        if disjoint:
            dx[part].reshape(-1)[where] = gradient
        else:
            np.add.at(dx[part].reshape(-1), where, gradient)
    return dx.reshape(shape)


def max_pool_winners(x: Array, axes: Sequence[Axis]) -> tuple[Array, planes.Winners | None]:
    """Return what `max_pool` returns and which pixels these are, or None where finding them would take longer."""
    if (case := planes.plan(x, axes)) is not None:
        return planes.winners(x, case, _shape(x, axes, "out"))
    return max_pool(x, axes), None


def max_pool_input_grad_of(dy: Array, won: planes.Winners) -> Array:
    """Return the gradient of `max_pool` from the winners."""
    if dy.dtype == won.places.dtype:
        return planes.largest_grad(dy, won)
    places = won.in_planes()
    return _given(dy, won.shape, won.case.axes, lambda part: places[part])


@lru_cache(maxsize=256)
def window_counts(
    axes: tuple[Axis, ...], window: Window | None = None, image: tuple[int, ...] = ()
) -> Array | int:
    """Return by what each window's sum is divided for its mean: the pixels it holds, at least 1.

    Args:
        axes: one for each spatial axis.
        window: the window itself where padding counts as pixels (but what a ceil_mode window reads
            beyond the padding does not); None where it doesn't.
        image: the image's spatial sizes, needed with `window`.

    Returns:
        An array of the output's spatial shape, which is remembered and can't be written to, or one number where
        all are equal.
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
    total.flags.writeable = False
    return total


def avg_pool(x: Array, axes: Sequence[Axis], divisor: Array | float) -> Array:
    """Return each window's sum, divided.

    Args:
        x: `(N, C, *spatial)` of float32 or float64.
        axes: one for each spatial axis.
        divisor: a number, or one for each window.
    """
    if (case := planes.plan(x, axes)) is not None:
        return planes.sums(x, case, _shape(x, axes, "out"), divisor, before=False)
    y = fold(np.add, x, axes, 0)
    y /= np.asarray(divisor, y.dtype)
    return y


def avg_pool_input_grad(dy: Array, axes: Sequence[Axis], divisor: Array | float) -> Array:
    """Return the gradient of `avg_pool`: each pixel gets its share of every window it is in."""
    if (case := planes.plan(dy, axes, turned=True)) is not None:
        return planes.sums(dy, case, _shape(dy, axes, "size"), divisor, before=True)
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
