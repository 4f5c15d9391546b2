"""Bringing sets of numbers to mean 0 and variance 1: batch, group and layer normalisation.

All work on `x (N, C, L)`, L the pixels. What differs is which numbers form a set: a channel over the
batch, a group of channels within one image, or one image. So everything is first summed over L for each
image and channel, in few passes over memory, and the rest happens on `(N, C)`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepconv.arrays import Array

Merge = Callable[[Array], Array]
"""From sums `(N, C)` to the sums of the sets they are in: `(N, C)` again, or `(1, C)`."""

# Longer rows than this are summed pairwise, which is slower and loses less.
_SHORT_ROW = 4096


def over_batch(sums: Array) -> Array:
    """Merge each channel over the batch: `(N, C)` to `(1, C)`."""
    merged: Array = sums.sum(axis=0, keepdims=True)
    return merged


def over_groups(groups: int) -> Merge:
    """Return how to merge each group of channels within one image: `(N, C)` to `(N, C)`."""

    def merge(sums: Array) -> Array:
        n, c = sums.shape
        grouped = sums.reshape(n, groups, c // groups).sum(axis=2)
        return np.repeat(grouped, c // groups, axis=1)

    return merge


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


def centre(x: Array, merge: Merge, count: int) -> Centred:
    """Return `x (N, C, L)` less the means of its sets.

    The variance is summed from the differences: `mean(x²) - mean(x)²` would lose all its digits where the
    mean is large.

    Args:
        x: float32 or float64.
        merge: which numbers form a set.
        count: how many there are in each; a set without any has mean 0 and variance 0.
    """
    share = x.dtype.type(1 / max(count, 1))
    mean = merge(row_sums(x)) * share
    values = x - mean[..., None]
    return Centred(values, mean, merge(row_products(values, values)) * share)


def affine(values: Array, scale: Array, shift: Array | None) -> Array:
    """Return `values * scale + shift` in place, a number of each for every `(N or 1, C)`."""
    values *= scale[..., None]
    if shift is not None:
        values += shift[..., None]
    return values


def normalise(
    x: Array, weight: Array | None, bias: Array | None, merge: Merge, count: int, eps: float
) -> Array:
    """Return `weight · (x - mean) / sqrt(var + eps) + bias`, weight and bias a number per channel."""
    centred = centre(x, merge, count)
    scale = centred.inverse_deviation(eps)
    return affine(centred.values, scale if weight is None else scale * weight, bias)


def normalise_by(
    x: Array, weight: Array | None, bias: Array | None, mean: Array, var: Array, eps: float
) -> Array:
    """Return the same for a mean and a variance per channel that are given."""
    scale = deviation(var, eps)
    return affine(x - mean[:, None], scale if weight is None else scale * weight, bias)


def deviation(var: Array, eps: float) -> Array:
    """Return `1 / sqrt(var + eps)`, infinite where that is 0."""
    with np.errstate(divide="ignore"):
        inverse: Array = 1 / np.sqrt(var + var.dtype.type(eps))
    return inverse


def statistics(x: Array, count: int) -> tuple[Array, Array]:
    """Return the mean and biased variance of each channel of `x (N, C, L)` over the batch, `count` numbers."""
    centred = centre(x, over_batch, count)
    return centred.mean[0], centred.var[0]


@dataclass(frozen=True)
class Gradients:
    """The gradients of a normalisation: dx `(N, C, L)`, dw and db a number per channel."""

    dx: Array
    dw: Array
    db: Array


def gradients(dy: Array, x: Array, weight: Array | None, merge: Merge, count: int, eps: float) -> Gradients:
    """Return the gradients of `normalise`.

    With `h = (x - mean) / s`, `s = sqrt(var + eps)` and `g = weight · dy`, each set of M numbers has
    `dx = (g - Σg / M - h · Σ(g·h) / M) / s` (Ioffe and Szegedy 2015): a number times dy, plus a number
    times the centred x, plus a number.
    """
    centred = centre(x, merge, count)
    inverse = centred.inverse_deviation(eps)
    dy_sums, dy_products = row_sums(dy), row_products(dy, centred.values)
    dw, db = (dy_products * inverse).sum(axis=0), dy_sums.sum(axis=0)
    per_channel = 1 if weight is None else weight
    share = x.dtype.type(1 / max(count, 1))
    tilt = -(inverse**3) * merge(dy_products * per_channel) * share
    shift = -inverse * merge(dy_sums * per_channel) * share
    dx = affine(centred.values, tilt, shift)
    dx += dy * (inverse * per_channel)[..., None]
    return Gradients(dx, dw, db)


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
