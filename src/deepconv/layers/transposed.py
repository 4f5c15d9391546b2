"""Transposed convolution as a layer: the way back through a convolution, used as a way forward."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import Padding, Sizes, check_groups, per_axis
from deepconv.layers import sizes
from deepconv.layers.base import Gradients, Pullback
from deepconv.layers.convolution import Filters
from deepconv.layers.initialisation import HeTransposed, zeros
from deepconv.layers.parameter import Parameter
from deepconv.operators.transposed import (
    conv_transpose,
    conv_transpose_bias_grad,
    conv_transpose_input_grad,
    conv_transpose_weight_grad,
    stamp,
)


class ConvTranspose(Filters):
    """Spread every input over a window of outputs; the base of `ConvTranspose1d`, `2d`, `3d`.

    `x (N, C, *spatial)` or `(C, *spatial)`, `weight (C, K/groups, *kernel)`, `y (N, K, *out)` with
    `(size-1)·stride - before - after + dilation·(kernel-1) + output_padding + 1` places on an axis.
    Weights start as `HeTransposed`, biases as zeros.

    Args:
        in_channels: C; None infers it at first use.
        out_channels: K.
        kernel_size: the window's size, one number or one per axis.
        stride: how far apart two inputs' windows lie.
        padding: how much is cut off the output's edges: an int, one per axis, a pair per axis, `"valid"`,
            or `"same"` or `"same_lower"`, which leave `size·stride` places.
        output_padding: how much is added at the output's far edges.
        dilation: the distance between two cells of the window.
        groups: into how many independent parts the channels fall.
        bias: whether a number per output channel is added.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> layer = ConvTranspose2d(None, 4, 2, stride=2).initialize((3, 5, 6))
        >>> layer(np.zeros((1, 3, 5, 6), np.float32)).shape
        (1, 4, 10, 12)
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Sizes,
        *,
        stride: Sizes = 1,
        padding: Padding = 0,
        output_padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        name, rank = type(self).__name__, self.rank
        self.in_channels = sizes.count_or_none(name, "in_channels", in_channels)
        self.out_channels = sizes.count(name, "out_channels", out_channels)
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding, self.output_padding = padding, output_padding
        self.groups = sizes.count(name, "groups", groups)
        kernel = per_axis(name, "kernel_size", kernel_size, rank)
        strides, _, _, _ = stamp(name, kernel, stride, padding, output_padding, dilation)
        self.weight = Parameter(self._weight_shape(), HeTransposed(self.groups, strides))
        has_bias = sizes.flag(name, "bias", bias)
        self.bias = Parameter((self.out_channels,), zeros, decay=False) if has_bias else None

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        weight, options = self.weight.value, self._options()
        y = conv_transpose(x, weight, None if self.bias is None else self.bias.value, **options)

        def pull(dy: Array) -> Any:
            gradients: Gradients = {self.weight: conv_transpose_weight_grad(dy, x, weight.shape, **options)}
            if self.bias is not None:
                gradients[self.bias] = conv_transpose_bias_grad(dy if x.ndim == self.rank + 2 else dy[None])
            return lambda: conv_transpose_input_grad(dy, weight, x.shape, **options), gradients

        return y, Pullback(type(self).__name__, y, pull)

    def multiply_adds(self, input_shapes: Any, output_shape: tuple[int, ...]) -> int:
        inputs = int(np.prod(input_shapes[0][1:], dtype=object))
        return inputs * int(np.prod(self.weight.value.shape, dtype=object))

    def _options(self) -> dict[str, Any]:
        names = ("stride", "padding", "output_padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    def _weight_shape(self) -> tuple[int, ...] | None:
        name = type(self).__name__
        kernel = per_axis(name, "kernel_size", self.kernel_size, self.rank)
        check_groups(name, self.groups, out_channels=(self.out_channels, "the layer's own"))
        if self.in_channels is None:
            return None
        check_groups(name, self.groups, in_channels=(self.in_channels, "the layer's own"))
        return (self.in_channels, self.out_channels // self.groups, *kernel)


class ConvTranspose1d(ConvTranspose):
    """Transposed convolution over one spatial axis: `x (N, C, W)`; see `ConvTranspose`.

    Example:
        >>> ConvTranspose1d(2, 4, 3).initialize((2, 9))(np.zeros((5, 2, 9))).shape
        (5, 4, 11)
    """

    rank = 1


class ConvTranspose2d(ConvTranspose):
    """Transposed convolution over two spatial axes: `x (N, C, H, W)`; see `ConvTranspose`.

    Example:
        >>> ConvTranspose2d(2, 4, 3, stride=2).initialize((2, 4, 5))(np.zeros((1, 2, 4, 5))).shape
        (1, 4, 9, 11)
    """

    rank = 2


class ConvTranspose3d(ConvTranspose):
    """Transposed convolution over three spatial axes: `x (N, C, D, H, W)`; see `ConvTranspose`.

    Example:
        >>> ConvTranspose3d(1, 2, 2).initialize((1, 3, 4, 5))(np.zeros((1, 1, 3, 4, 5))).shape
        (1, 2, 4, 5, 6)
    """

    rank = 3
