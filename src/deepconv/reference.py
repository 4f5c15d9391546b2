"""The definition of convolution, in plain loops for any rank, and a faster oracle for larger cases.

Everything else in this package is held against this file. The definition says which cells meet:
output `o` of filter `k` sees input `i = o·stride + r·dilation - before` through the weight at `r`.
The three passes are the same meetings, each summing another pair's products:

    y[n, k, o]  += x[n, c, i]  · weight[k, c, r]
    dx[n, c, i] += dy[n, k, o] · weight[k, c, r]
    dw[k, c, r] += dy[n, k, o] · x[n, c, i]

Nothing is checked and nothing is fast here. Arrays have a batch axis; the result has the type of
the operands (float64 or int64 are meant).
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import Window

Index = tuple[int, ...]


def source(position: int, size: int, mode: str) -> int | None:
    """Return which pixel a position on an axis shows, and None where that is a zero of the padding.

    Args:
        position: from `-before` to `size + after - 1`.
        size: pixels on the axis.
        mode: zeros, reflect (the edge once), replicate or circular.

    Example:
        >>> [source(i, 3, "reflect") for i in range(-2, 5)]
        [2, 1, 0, 1, 2, 1, 0]
    """
    if 0 <= position < size:
        return position
    if mode == "zeros":
        return None
    if mode == "replicate":
        return 0 if position < 0 else size - 1
    if mode == "circular":
        return position % size
    return -position if position < 0 else 2 * (size - 1) - position


def meetings(image: Index, window: Window, mode: str = "zeros") -> Iterator[tuple[Index, Index, Index]]:
    """Yield each `(output cell, kernel cell, input cell)` that meet; zeros of the padding meet nobody.

    Args:
        image: the input's spatial size.
        window: the sliding window.
        mode: what the padding shows.

    Example:
        >>> list(meetings((3,), Window((2,), (1,), ((0, 0),), (1,))))
        [((0,), (0,), (0,)), ((0,), (1,), (1,)), ((1,), (0,), (1,)), ((1,), (1,), (2,))]
    """
    for out in np.ndindex(*window.output_size(image)):
        for tap in np.ndindex(*window.kernel):
            cell = tuple(
                source(o * s + r * d - before, n, mode)
                for o, s, r, d, (before, _), n in zip(
                    out, window.stride, tap, window.dilation, window.padding, image, strict=True
                )
            )
            if None not in cell:
                yield out, tap, cell  # type: ignore[misc]


def _channels(weight_shape: Index, groups: int) -> Iterator[tuple[int, int, int]]:
    """Yield each `(filter, its channel in the weight, that channel in the input)`."""
    filters, per_group = weight_shape[:2]
    for k, c in product(range(filters), range(per_group)):
        yield k, c, k // (filters // groups) * per_group + c


def conv(x: Array, weight: Array, window: Window, groups: int = 1, mode: str = "zeros") -> Array:
    """Return `y (N, K, *out)` of `x (N, C, *image)` and `weight (K, C/groups, *kernel)`, by the definition.

    Example:
        >>> w = Window((2,), (1,), ((0, 0),), (1,))
        >>> conv(np.array([[[1, 2, 4]]]), np.array([[[10, 1]]]), w).tolist()
        [[[12, 24]]]
    """
    y = np.zeros((len(x), len(weight), *window.output_size(x.shape[2:])), x.dtype)
    for o, r, i in meetings(x.shape[2:], window, mode):
        for k, c, channel in _channels(weight.shape, groups):
            for n in range(len(x)):
                y[n, k, *o] += x[n, channel, *i] * weight[k, c, *r]
    return y


def conv_input_grad(
    dy: Array, weight: Array, x_shape: Index, window: Window, groups: int = 1, mode: str = "zeros"
) -> Array:
    """Return `dx` of shape `x_shape` from `dy (N, K, *out)`, by the definition.

    Example:
        >>> w = Window((2,), (1,), ((0, 0),), (1,))
        >>> conv_input_grad(np.array([[[1, 2]]]), np.array([[[10, 1]]]), (1, 1, 3), w).tolist()
        [[[10, 21, 2]]]
    """
    dx = np.zeros(x_shape, dy.dtype)
    for o, r, i in meetings(x_shape[2:], window, mode):
        for k, c, channel in _channels(weight.shape, groups):
            for n in range(x_shape[0]):
                dx[n, channel, *i] += dy[n, k, *o] * weight[k, c, *r]
    return dx


def conv_weight_grad(
    dy: Array, x: Array, weight_shape: Index, window: Window, groups: int = 1, mode: str = "zeros"
) -> Array:
    """Return `dw` of shape `weight_shape` from `dy (N, K, *out)` and `x`, by the definition.

    Example:
        >>> w = Window((2,), (1,), ((0, 0),), (1,))
        >>> conv_weight_grad(np.array([[[1, 2]]]), np.array([[[1, 2, 4]]]), (1, 1, 2), w).tolist()
        [[[5, 10]]]
    """
    dw = np.zeros(weight_shape, dy.dtype)
    for o, r, i in meetings(x.shape[2:], window, mode):
        for k, c, channel in _channels(weight_shape, groups):
            for n in range(len(x)):
                dw[k, c, *r] += dy[n, k, *o] * x[n, channel, *i]
    return dw


def im2col(x: Array, window: Window) -> Array:
    """Return `(N, L, C·taps)`: what the window sees at each of its L places, a row each.

    Example:
        >>> im2col(np.array([[[1, 2, 3]]]), Window((2,), (1,), ((0, 0),), (1,))).tolist()
        [[[1, 2], [2, 3]]]
    """
    out = window.output_size(x.shape[2:])
    cols = np.zeros((len(x), *out, x.shape[1], *window.kernel), x.dtype)
    for o, r, i in meetings(x.shape[2:], window):
        for n, c in np.ndindex(*x.shape[:2]):
            cols[n, *o, c, *r] = x[n, c, *i]
    return cols.reshape(len(x), int(np.prod(out)), x.shape[1] * window.taps)


def col2im(cols: Array, x_shape: Index, window: Window) -> Array:
    """Return the image of shape `x_shape` in which each pixel is the sum of all cells of `cols` that showed it.

    Example:
        >>> col2im(np.array([[[1, 2], [2, 3]]]), (1, 1, 3), Window((2,), (1,), ((0, 0),), (1,))).tolist()
        [[[1, 4, 3]]]
    """
    cells = cols.reshape(x_shape[0], *window.output_size(x_shape[2:]), x_shape[1], *window.kernel)
    x = np.zeros(x_shape, cols.dtype)
    for o, r, i in meetings(x_shape[2:], window):
        for n, c in np.ndindex(*x_shape[:2]):
            x[n, c, *i] += cells[n, *o, c, *r]
    return x


# The oracle: the same meetings, all outputs of one kernel cell at a time. Tests hold it against the
# loops above, and larger cases against it.


def _seen(image: Index, window: Window, tap: Index, mode: str) -> tuple[tuple[Any, ...], Array]:
    """Return where `(N, C, *image)` is met by kernel cell `tap` at every output, and whether it is."""
    axes, masks = [], []
    for out, s, r, d, (before, _), n in zip(
        window.output_size(image), window.stride, tap, window.dilation, window.padding, image, strict=True
    ):
        cells = [source(o * s + r * d - before, n, mode) for o in range(out)]
        axes.append(np.array([c if c is not None else 0 for c in cells], dtype=np.intp))
        masks.append(np.array([c is not None for c in cells], dtype=bool))
    mask = np.ones((), bool)
    for m in masks:
        mask = mask[..., None] & m
    return (slice(None), slice(None), *np.ix_(*axes)), mask


def _grouped(a: Array, groups: int) -> Array:
    """Return `(N, C, *spatial)` as `(N, groups, C/groups, cells)`."""
    return a.reshape(len(a), groups, a.shape[1] // groups, int(np.prod(a.shape[2:])))


def conv_by_taps(x: Array, weight: Array, window: Window, groups: int = 1, mode: str = "zeros") -> Array:
    """Return what `conv` returns, adding one kernel cell's share to every output at a time.

    Example:
        >>> w = Window((2,), (1,), ((0, 0),), (1,))
        >>> conv_by_taps(np.array([[[1, 2, 4]]]), np.array([[[10, 1]]]), w).tolist()
        [[[12, 24]]]
    """
    image = x.shape[2:]
    y = np.zeros((len(x), len(weight), *window.output_size(image)), x.dtype)
    for tap in np.ndindex(*window.kernel):
        cells, mask = _seen(image, window, tap, mode)
        patch = _grouped(np.where(mask, x[cells], 0), groups)
        w = weight[:, :, *tap].reshape(groups, len(weight) // groups, weight.shape[1])
        y += np.einsum("ngcl,gkc->ngkl", patch, w).reshape(y.shape)
    return y


def conv_input_grad_by_taps(
    dy: Array, weight: Array, x_shape: Index, window: Window, groups: int = 1, mode: str = "zeros"
) -> Array:
    """Return what `conv_input_grad` returns, one kernel cell at a time.

    Example:
        >>> w = Window((2,), (1,), ((0, 0),), (1,))
        >>> conv_input_grad_by_taps(np.array([[[1, 2]]]), np.array([[[10, 1]]]), (1, 1, 3), w).tolist()
        [[[10, 21, 2]]]
    """
    dx = np.zeros(x_shape, dy.dtype)
    for tap in np.ndindex(*window.kernel):
        cells, mask = _seen(x_shape[2:], window, tap, mode)
        w = weight[:, :, *tap].reshape(groups, len(weight) // groups, weight.shape[1])
        share = np.einsum("ngkl,gkc->ngcl", _grouped(dy, groups), w)
        share = share.reshape(*x_shape[:2], *dy.shape[2:])
        np.add.at(dx, cells, np.where(mask, share, 0))
    return dx


def conv_weight_grad_by_taps(
    dy: Array, x: Array, weight_shape: Index, window: Window, groups: int = 1, mode: str = "zeros"
) -> Array:
    """Return what `conv_weight_grad` returns, one kernel cell at a time.

    Example:
        >>> w = Window((2,), (1,), ((0, 0),), (1,))
        >>> conv_weight_grad_by_taps(np.array([[[1, 2]]]), np.array([[[1, 2, 4]]]), (1, 1, 2), w).tolist()
        [[[5, 10]]]
    """
    dw = np.zeros(weight_shape, dy.dtype)
    for tap in np.ndindex(*window.kernel):
        cells, mask = _seen(x.shape[2:], window, tap, mode)
        patch = _grouped(np.where(mask, x[cells], 0), groups)
        dw[:, :, *tap] = np.einsum("ngkl,ngcl->gkc", _grouped(dy, groups), patch).reshape(weight_shape[:2])
    return dw
