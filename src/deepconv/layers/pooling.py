"""Pooling as layers: a window's maximum or mean, and the mean of a whole image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.planes import Winners
from deepconv.geometry import Padding, Sizes, padding_pairs, per_axis
from deepconv.layers import sizes
from deepconv.layers.base import Layer, Pullback
from deepconv.layers.pullback import Pull
from deepconv.operators import winners
from deepconv.operators.pooling import (
    avg_pool,
    avg_pool_input_grad,
    global_avg_pool,
    global_avg_pool_input_grad,
    max_pool,
    max_pool_input_grad,
)


class MaxPool(Layer):
    """The greatest value in each window; the base of `MaxPool1d`, `MaxPool2d`, `MaxPool3d`.

    `x (N, C, *spatial)` or `(C, *spatial)`; the gradient goes to the first of equal greatest values.

    Args:
        kernel_size: the window's size, one number or one per axis.
        stride: the window's step; None is the kernel's size, so that windows don't overlap.
        padding: how much is added at the edges; padding never wins.
        dilation: the distance between two cells of the window.
        ceil_mode: whether a last window may reach over the far edge.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> MaxPool2d(2)(np.arange(12.0).reshape(1, 1, 3, 4))
        array([[[[5., 7.]]]])
    """

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: Sizes,
        *,
        stride: Sizes | None = None,
        padding: Padding = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        name = type(self).__name__
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.ceil_mode = sizes.flag(name, "ceil_mode", ceil_mode)
        _check_window(name, self.rank, kernel_size, stride, padding)
        per_axis(name, "dilation", dilation, self.rank)

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        options = _options(self)
        name, dtype = type(self).__name__, x.dtype
        y, won = winners.max_pool(x, **options) if training else (max_pool(x, **options), None)
        if won is None:
            return y, Pullback(name, y, lambda dy: (max_pool_input_grad(dy, x, **options), {}))
        # Of what the way back holds nothing is as large as x.
        return y, Pullback(name, y, _back_to(won, dtype))


class MaxPool1d(MaxPool):
    """The greatest value in each window of one spatial axis: `x (N, C, W)`; see `MaxPool`.

    Example:
        >>> MaxPool1d(2)(np.array([[[1.0, 3.0, 2.0, 0.0]]]))
        array([[[3., 2.]]])
    """

    rank = 1


class MaxPool2d(MaxPool):
    """The greatest value in each window of two spatial axes: `x (N, C, H, W)`; see `MaxPool`.

    Example:
        >>> MaxPool2d(2)(np.zeros((1, 3, 7, 8))).shape
        (1, 3, 3, 4)
    """

    rank = 2


class MaxPool3d(MaxPool):
    """The greatest value in each window of three spatial axes: `x (N, C, D, H, W)`; see `MaxPool`.

    Example:
        >>> MaxPool3d(2, ceil_mode=True)(np.zeros((1, 3, 4, 5, 6))).shape
        (1, 3, 2, 3, 3)
    """

    rank = 3


class AvgPool(Layer):
    """The mean of each window; the base of `AvgPool1d`, `AvgPool2d`, `AvgPool3d`.

    Args:
        kernel_size: the window's size, one number or one per axis.
        stride: the window's step; None is the kernel's size, so that windows don't overlap.
        padding: how many zeros are added at the edges.
        dilation: the distance between two cells of the window.
        ceil_mode: whether a last window may reach over the far edge.
        count_include_pad: whether padding counts as values in the mean.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> AvgPool2d(2)(np.arange(12.0).reshape(1, 1, 3, 4))
        array([[[[2.5, 4.5]]]])
    """

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: Sizes,
        *,
        stride: Sizes | None = None,
        padding: Padding = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        name = type(self).__name__
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.ceil_mode = sizes.flag(name, "ceil_mode", ceil_mode)
        self.count_include_pad = sizes.flag(name, "count_include_pad", count_include_pad)
        _check_window(name, self.rank, kernel_size, stride, padding)
        per_axis(name, "dilation", dilation, self.rank)

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        options, shape = _options(self), x.shape
        y = avg_pool(x, **options)
        return y, Pullback(type(self).__name__, y, lambda dy: (avg_pool_input_grad(dy, shape, **options), {}))


class AvgPool1d(AvgPool):
    """The mean of each window of one spatial axis: `x (N, C, W)`; see `AvgPool`.

    Example:
        >>> AvgPool1d(2)(np.array([[[1.0, 3.0, 2.0, 0.0]]]))
        array([[[2., 1.]]])
    """

    rank = 1


class AvgPool2d(AvgPool):
    """The mean of each window of two spatial axes: `x (N, C, H, W)`; see `AvgPool`.

    Example:
        >>> AvgPool2d(3, stride=1, padding="same")(np.zeros((1, 3, 7, 8))).shape
        (1, 3, 7, 8)
    """

    rank = 2


class AvgPool3d(AvgPool):
    """The mean of each window of three spatial axes: `x (N, C, D, H, W)`; see `AvgPool`.

    Example:
        >>> AvgPool3d(2)(np.zeros((1, 3, 4, 5, 6))).shape
        (1, 3, 2, 2, 3)
    """

    rank = 3


class GlobalAvgPool(Layer):
    """The mean of each channel over the whole image: `(N, C, *spatial)` to `(N, C)`.

    Example:
        >>> GlobalAvgPool()(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[1.5, 5.5]])
    """

    first_axis_is_batch = True

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        shape, pooled = x.shape, (*x.shape[:2], *(1 for _ in x.shape[2:]))
        y = global_avg_pool(x).reshape(shape[:2])
        return y, Pullback(
            "GlobalAvgPool", y, lambda dy: (global_avg_pool_input_grad(dy.reshape(pooled), shape), {})
        )


def _back_to(won: Winners, dtype: np.dtype[Any]) -> Pull:
    """Return the way back to the winners."""
    return lambda dy: (winners.max_pool_input_grad(dy, won, dtype), {})


def _options(layer: MaxPool | AvgPool) -> dict[str, Any]:
    """The operator's arguments; a kernel with one size per axis also tells it the rank."""
    options: dict[str, Any] = {
        "kernel_size": per_axis(type(layer).__name__, "kernel_size", layer.kernel_size, layer.rank),
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "ceil_mode": layer.ceil_mode,
    }
    if isinstance(layer, AvgPool):
        options["count_include_pad"] = layer.count_include_pad
    return options


def _check_window(name: str, rank: int, kernel: Sizes, stride: Sizes | None, padding: Padding) -> None:
    per_axis(name, "kernel_size", kernel, rank)
    per_axis(name, "stride", kernel if stride is None else stride, rank)
    if not isinstance(padding, str):
        padding_pairs(name, padding, rank)
