"""Pooling of whole images: one number for each channel, the spatial axes kept with size 1."""

from collections.abc import Sequence

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import planes, pooling


def _flat(x: Array) -> Array:
    """Return the images with their pixels on one axis."""
    return x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))


def _kept(y: Array, rank: int) -> Array:
    """Return `(N, C)` as `(N, C, 1, ...)`."""
    return y.reshape(*y.shape[:2], *[1] * rank)


def mean(x: Array) -> Array:
    """Return the mean of every channel of `x (N, C, *spatial)`."""
    if (means := planes.means(x, x.shape[0] * x.shape[1])) is None:
        return _kept(_flat(x).mean(axis=2), x.ndim - 2)
    return means.reshape(*x.shape[:2], *[1] * (x.ndim - 2))


def mean_input_grad(dy: Array, shape: Sequence[int]) -> Array:
    """Return the gradient of `mean` for images of this shape."""
    if (dx := planes.means_grad(dy, shape)) is not None:
        return dx
    share = dy / dy.dtype.type(np.prod(shape[2:]))
    return np.broadcast_to(share, shape).copy()


def maximum(x: Array) -> Array:
    """Return the largest pixel of every channel of `x (N, C, *spatial)`."""
    return _kept(_flat(x).max(axis=2), x.ndim - 2)


def maximum_input_grad(dy: Array, x: Array) -> Array:
    """Return the gradient of `maximum`: dy at the first largest pixel, or the first NaN."""
    flat = _flat(x)
    dx = np.zeros(flat.shape, dy.dtype)
    np.put_along_axis(dx, flat.argmax(axis=2)[..., None], _flat(dy), axis=2)
    return dx.reshape(x.shape)


def maximum_indices(x: Array) -> Array:
    """Return where the first largest pixel (or NaN) of every channel stands, counted row by row."""
    return _kept(_flat(x).argmax(axis=2), x.ndim - 2)


def lp(x: Array, p: float) -> Array:
    """Return `(Σ|x|^p)^(1/p)` of every channel of `x (N, C, *spatial)`."""
    flat = _flat(x)
    scale = pooling.lp_scale(x, p, flat.shape[2])
    sums = pooling.power(flat / scale, p).sum(axis=2)
    return _kept(pooling.root(sums, p) * scale, x.ndim - 2)


def lp_input_grad(dy: Array, x: Array, p: float) -> Array:
    """Return the gradient of `lp`, 0 where all pixels are."""
    flat = _flat(x)
    flat = flat / pooling.lp_scale(x, p, flat.shape[2])
    y = pooling.root(pooling.power(flat, p).sum(axis=2, keepdims=True), p)
    with np.errstate(invalid="ignore"):
        return (pooling.lp_share(_flat(dy), y, p) * pooling.lp_slope(flat, p)).reshape(x.shape)
