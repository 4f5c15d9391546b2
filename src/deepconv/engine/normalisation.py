"""Bringing sets of numbers to mean 0 and variance 1: batch, group and layer normalisation.

All work on `x (N, C, L)`, L the pixels. What differs is which numbers form a set: a channel over the
batch, a group of channels within one image, or one image. So everything is first summed over L for each
image and channel, in few passes over memory, and the rest happens on `(N, C)`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine, passes
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.machine import why_not_compiled
from deepconv.engine.settings import get_threads

KERNELS = library("normalisation")

Limits = tuple[float, float]
"""The smallest and the largest number that comes out; NaN limits nothing."""

UNLIMITED = (math.nan, math.nan)

# Multiply-adds that a number is worth, forward and back: these passes wait for memory.
_WORK = 8

# Longer rows than this are summed pairwise, which is slower and loses less.
_SHORT_ROW = 4096

# Images of so few pixels are taken one after the other, with the channels side by side.
_SMALL = 32


@dataclass(frozen=True)
class Sets:
    """Which numbers of `(N, C, L)` are brought to mean 0 together.

    Attributes:
        groups: into so many the channels of each image fall, each a set; None takes each channel over the batch.
    """

    groups: int | None = None

    def merge(self, sums: Array) -> Array:
        """Return the sums of the sets from sums `(N, C)`: `(N, C)` again, or `(1, C)` over the batch."""
        if self.groups is None:
            merged: Array = sums.sum(axis=0, keepdims=True)
            return merged
        n, c = sums.shape
        grouped = sums.reshape(n, self.groups, c // self.groups).sum(axis=2)
        return np.repeat(grouped, c // self.groups, axis=1)

    def layout(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Return how many sets there are and where they lie, in the words of `kernels/normalisation`."""
        n, c, length = shape
        if self.groups is None:
            return c, (n, c * length, length, length, 1, c)
        runs = c // self.groups
        return n * self.groups, (1, 0, runs * length, runs * length, runs, self.groups)


over_batch = Sets()
over_groups = Sets


def _compiles(x: Array) -> bool:
    """Tell whether `x (N, C, L)` is for the kernels; single numbers lie too far apart for vectors."""
    return x.dtype.char in "fd" and x.shape[2] > 1 and x.size > 0 and why_not_compiled() is None


def _run(
    kernel: str, arrays: tuple[Array | None, ...], given: bool, sets: Sets, x: Array, *numbers: float
) -> None:
    """Call a kernel for all sets of `x`, which is among the arrays; for None it gets the address 0."""
    call = getattr(KERNELS, kernel)[x.dtype]
    count, layout = sets.layout(x.shape)
    places = [0 if a is None else a for a in arrays]

    def work(start: int, stop: int) -> None:
        call(*places, given, start, stop, *layout, *numbers)

    threads.share(work, count, threads.worth(get_threads(), _WORK * x.size))


def _plain(dtype: np.dtype[Any], *arrays: Array | None) -> list[Any]:
    return [None if a is None else plain(a, dtype) for a in arrays]


def _normalised(
    x: Array, vectors: tuple[Array | None, Array | None], sets: Sets, eps: float, limits: Limits
) -> tuple[Array, Array, Array]:
    """Return `y`, and mean and variance of each set, by the kernels."""
    x, weight, bias = _plain(x.dtype, x, *vectors)
    y = np.empty_like(x)
    mean, var = np.empty((2, sets.layout(x.shape)[0]), x.dtype)
    _run("normalise", (x, y, weight, bias, mean, var), False, sets, x, eps, *limits)
    return y, mean, var


def row_sums(x: Array) -> Array:
    """Return the sum of `x (N, C, L)` over L."""
    if x.shape[2] == 1:
        return x[:, :, 0]
    sums: Array = np.einsum("ncl->nc", x) if x.shape[2] <= _SHORT_ROW else x.sum(axis=2)
    return sums


def row_products(a: Array, b: Array) -> Array:
    """Return the sum of `a * b` over L."""
    if a.shape[2] == 1:
        single: Array = a[:, :, 0] * b[:, :, 0]
        return single
    sums: Array = np.vecdot(a, b)
    return sums


@dataclass(frozen=True)
class Centred:
    """Numbers less the means of their sets, and what was found on the way.

    Attributes:
        values: `x - mean`, `(N, C, L)`.
        mean: of each set, `(N, C)` or `(1, C)`.
        var: of each set, biased, of the same shape.
    """

    values: Array
    mean: Array
    var: Array

    def inverse_deviation(self, eps: float) -> Array:
        """Return `1 / sqrt(var + eps)`."""
        inverse: Array = 1 / np.sqrt(self.var + self.var.dtype.type(eps))
        return inverse


def centre(x: Array, sets: Sets, count: int) -> Centred:
    """Return `x (N, C, L)` less the means of its sets.

    The variance is summed from the differences: `mean(x²) - mean(x)²` would lose all its digits where the
    mean is large.

    Args:
        x: float32 or float64.
        sets: which numbers form a set.
        count: how many there are in each; a set without any has mean 0 and variance 0.
    """
    share = x.dtype.type(1 / max(count, 1))
    mean = sets.merge(row_sums(x)) * share
    values = x - mean[..., None]
    return Centred(values, mean, sets.merge(row_products(values, values)) * share)


def affine(values: Array, scale: Array, shift: Array | None) -> Array:
    """Return `values * scale + shift` in place, a number of each for every `(N or 1, C)`."""
    values *= scale[..., None]
    if shift is not None:
        values += shift[..., None]
    return values


def normalise(
    x: Array, weight: Array | None, bias: Array | None, sets: Sets, count: int, eps: float
) -> Array:
    """Return `weight · (x - mean) / sqrt(var + eps) + bias`, weight and bias a number per channel."""
    if _compiles(x):
        return _normalised(x, (weight, bias), sets, eps, UNLIMITED)[0]
    centred = centre(x, sets, count)
    scale = centred.inverse_deviation(eps)
    return affine(centred.values, scale if weight is None else scale * weight, bias)


def normalise_by(
    x: Array, weight: Array | None, bias: Array | None, mean: Array, var: Array, eps: float
) -> Array:
    """Return the same for a mean and a variance per channel that are given."""
    if _compiles(x):
        x, weight, bias, mean, var = _plain(x.dtype, x, weight, bias, mean, var)
        y = np.empty_like(x)
        _run("normalise", (x, y, weight, bias, mean, var), True, over_batch, x, eps, *UNLIMITED)
        return y
    scale = deviation(var, eps)
    return affine(x - mean[:, None], scale if weight is None else scale * weight, bias)


def deviation(var: Array, eps: float) -> Array:
    """Return `1 / sqrt(var + eps)`, infinite where that is 0."""
    with np.errstate(divide="ignore"):
        inverse: Array = 1 / np.sqrt(var + var.dtype.type(eps))
    return inverse


def statistics(x: Array, count: int) -> tuple[Array, Array]:
    """Return the mean and biased variance of each channel of `x (N, C, L)` over the batch, `count` numbers."""
    if _compiles(x):
        (x,) = _plain(x.dtype, x)
        mean, var = np.empty((2, x.shape[1]), x.dtype)
        _run("normalise", (x, None, None, None, mean, var), False, over_batch, x, 0.0, *UNLIMITED)
        return mean, var
    centred = centre(x, over_batch, count)
    return centred.mean[0], centred.var[0]


@dataclass(frozen=True)
class Gradients:
    """The gradients of a normalisation: dx `(N, C, L)`, dw and db a number per channel."""

    dx: Array
    dw: Array
    db: Array


def gradients(dy: Array, x: Array, weight: Array | None, sets: Sets, count: int, eps: float) -> Gradients:
    """Return the gradients of `normalise`.

    With `h = (x - mean) / s`, `s = sqrt(var + eps)` and `g = weight · dy`, each set of M numbers has
    `dx = (g - Σg / M - h · Σ(g·h) / M) / s` (Ioffe and Szegedy 2015): a number times dy, plus a number
    times the centred x, plus a number.
    """
    if _compiles(x):
        mean, var = np.empty((2, sets.layout(x.shape)[0]), x.dtype)
        return _gradients(dy, x, (weight, None, mean, var), False, sets, eps, UNLIMITED)
    centred = centre(x, sets, count)
    inverse = centred.inverse_deviation(eps)
    dy_sums, dy_products = row_sums(dy), row_products(dy, centred.values)
    dw, db = (dy_products * inverse).sum(axis=0), dy_sums.sum(axis=0)
    per_channel = 1 if weight is None else weight
    share = x.dtype.type(1 / max(count, 1))
    tilt = -(inverse**3) * sets.merge(dy_products * per_channel) * share
    shift = -inverse * sets.merge(dy_sums * per_channel) * share
    dx = affine(centred.values, tilt, shift)
    dx += dy * (inverse * per_channel)[..., None]
    return Gradients(dx, dw, db)


def _gradients(
    dy: Array,
    x: Array,
    vectors: tuple[Array | None, ...],
    given: bool,
    sets: Sets,
    eps: float,
    limits: Limits,
) -> Gradients:
    """Return the gradients by the kernels; `vectors` are weight, bias, mean and variance, these `given` or not."""
    dy, x, *vectors_ = _plain(x.dtype, dy, x, *vectors)
    dx = np.empty_like(x)
    rows = len(x) if sets.groups else 1
    dw, db = np.empty((2, rows, x.shape[1]), x.dtype)
    if given and sets.groups is None and x.shape[2] <= _SMALL and len(x) * x.shape[2] <= _SHORT_ROW:
        _short(x, (dy, x, dx, *vectors_, dw, db), eps, limits)
        return Gradients(dx, dw[0], db[0])
    _run("gradients", (dy, x, dx, *vectors_, dw, db), given, sets, x, eps, *limits)
    return Gradients(dx, *((dw[0], db[0]) if rows == 1 else (dw.sum(axis=0), db.sum(axis=0))))


def _short(x: Array, arrays: tuple[Array | None, ...], eps: float, limits: Limits) -> None:
    """Call the kernel of channels over a batch of small images; for None it gets the address 0."""
    (images, channels, length), run = x.shape, KERNELS.short_gradients[x.dtype]
    chunk = max(8, min(channels, machine.caches().l2 // 4 // (images * length * x.itemsize)))
    room = chunk * (2 * machine.target().vector_bytes + 5 * x.itemsize)
    places = [0 if a is None else a for a in arrays]

    def work(start: int, stop: int) -> None:
        run(*places, scratch(room), chunk, start, stop, images, channels, length, eps, *limits)

    passes.shared(work, channels, x.size)


def train(
    x: Array, weight: Array | None, bias: Array | None, eps: float, limits: Limits = UNLIMITED
) -> tuple[Array, Array, Array]:
    """Return `(y, mean, var)`: x normalised over the batch, cut off at the limits, and what it was normalised by."""
    if _compiles(x):
        return _normalised(x, (weight, bias), over_batch, eps, limits)
    centred = centre(x, over_batch, len(x) * x.shape[2])
    scale = centred.inverse_deviation(eps)
    y = affine(centred.values, scale if weight is None else scale * weight, bias)
    for limit, beyond in zip(limits, (np.less, np.greater), strict=True):
        y[beyond(y, limit)] = limit
    return y, centred.mean[0], centred.var[0]


def train_gradients(
    dy: Array,
    x: Array,
    vectors: tuple[Array | None, Array | None, Array, Array],
    eps: float,
    limits: Limits = UNLIMITED,
) -> Gradients:
    """Return the gradients of `train`; `vectors` are weight and bias, and the mean and variance that it returned."""
    if _compiles(x):
        return _gradients(dy, x, vectors, True, over_batch, eps, limits)
    weight, bias, mean, var = vectors
    if any(limit == limit for limit in limits):
        y = normalise_by(x, weight, bias, mean, var, eps)
        dy = np.where((y <= limits[0]) | (y >= limits[1]), dy.dtype.type(0), dy)
    return gradients(dy, x, weight, over_batch, len(x) * x.shape[2], eps)


def gradients_by(dy: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float) -> Gradients:
    """Return the gradients of `normalise_by`, whose mean and variance do not depend on x."""
    inverse = deviation(var, eps)
    products = row_products(dy, x - mean[:, None])
    scale = inverse if weight is None else inverse * weight
    return Gradients(dy * scale[:, None], (products * inverse).sum(axis=0), row_sums(dy).sum(axis=0))


def normalise_rows(x: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    """Return `weight · (x - mean) / sqrt(var + eps) + bias` for every row of `x (M, L)`, a weight per place."""
    y = normalise(x[:, None], None, None, over_groups(1), x.shape[1], eps)[:, 0]
    if weight is not None:
        y *= weight
    if bias is not None:
        y += bias
    return y


def row_gradients(dy: Array, x: Array, weight: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)` of `normalise_rows`: those of one group, its dy weighted beforehand."""
    weighted = dy if weight is None else dy * weight
    dx = gradients(weighted[:, None], x[:, None], None, over_groups(1), x.shape[1], eps).dx[:, 0]
    normal = normalise_rows(x, None, None, eps)
    normal *= dy
    return dx, normal.sum(axis=0), dy.sum(axis=0)
