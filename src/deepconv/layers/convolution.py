"""Convolution as a layer: one of any rank, and its three names."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import PADDING_MODES, Padding, Sizes, check_groups, per_axis, split_batch, window
from deepconv.layers import sizes
from deepconv.layers.base import Gradients, Layer, Pullback
from deepconv.layers.initialisation import he_normal, zeros
from deepconv.layers.parameter import Parameter
from deepconv.operators.convolution import (
    conv,
    conv_bias_grad,
    conv_input_grad,
    conv_relu,
    conv_weight_grad,
)


class Filters(Layer):
    """What convolution and its transpose share: filters of a rank, over channels that may be inferred."""

    rank: ClassVar[int]
    in_channels: int | None
    weight: Parameter
    bias: Parameter | None

    def infer(self, *inputs: Array) -> None:
        if self.in_channels is None:
            self.in_channels = sizes.infer_channels(type(self).__name__, inputs[0], self.rank)
            self.weight.shape = self._weight_shape()

    def check(self, *inputs: Array) -> None:
        name = type(self).__name__
        _, batched = split_batch(name, inputs[0], self.rank)
        sizes.check_channels(name, "in_channels", self.in_channels or 0, inputs[0], int(batched))

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "bias": self.bias is not None}

    def _weight_shape(self) -> tuple[int, ...] | None:
        """Return the weight's shape, None while the channels are to be inferred."""
        raise NotImplementedError


class Conv(Filters):
    """Slide a window over the image and sum the products; the base of `Conv1d`, `Conv2d`, `Conv3d`.

    `x (N, C, *spatial)` or `(C, *spatial)`, `weight (K, C/groups, *kernel)`, `y (N, K, *out)` with
    `⌊(size + before + after - dilation·(kernel-1) - 1) / stride⌋ + 1` places on an axis. The kernel isn't
    flipped. Weights start as `he_normal`, biases as zeros.

    Args:
        in_channels: C; None infers it at first use.
        out_channels: K, how many filters there are.
        kernel_size: the window's size, one number or one per axis.
        stride: the window's step, one number or one per axis.
        padding: an int, one per axis, a (before, after) pair per axis, `"valid"`, `"same"`,
            `"same_lower"` or `"causal"`.
        dilation: the distance between two cells of the window; 1 is a solid window.
        groups: into how many independent parts the channels fall.
        padding_mode: `"zeros"`, `"reflect"`, `"replicate"` or `"circular"`.
        bias: whether a number per filter is added.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> layer = Conv2d(None, 4, 3, stride=2, padding="same").initialize((3, 7, 8))
        >>> layer(np.zeros((2, 3, 7, 8), np.float32)).shape
        (2, 4, 4, 4)
        >>> layer
        Conv2d(3, 4, 3, stride=2, padding='same')
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Sizes,
        *,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        self.in_channels = sizes.count_or_none(name, "in_channels", in_channels)
        self.out_channels = sizes.count(name, "out_channels", out_channels)
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding, self.groups = padding, sizes.count(name, "groups", groups)
        self.padding_mode = sizes.choice(name, "padding_mode", padding_mode, PADDING_MODES)
        self._check_geometry()
        self.weight = Parameter(self._weight_shape(), he_normal)
        has_bias = sizes.flag(name, "bias", bias)
        self.bias = Parameter((self.out_channels,), zeros, decay=False) if has_bias else None

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        weight, options = self.weight.value, self._options()
        y = conv(x, weight, None if self.bias is None else self.bias.value, **options)

        def pull(dy: Array) -> Any:
            gradients: Gradients = {self.weight: conv_weight_grad(dy, x, weight.shape, **options)}
            if self.bias is not None:
                gradients[self.bias] = conv_bias_grad(dy if x.ndim == self.rank + 2 else dy[None])
            return lambda: conv_input_grad(dy, weight, x.shape, **options), gradients

        return y, Pullback(type(self).__name__, y, pull)

    def rectified(self, x: Any) -> Array:
        """Return what a `ReLU` behind this layer would make of its output, in inference, in one pass over memory."""
        (x,) = self.prepare(x)
        bias = None if self.bias is None else self.bias.value
        return conv_relu(x, self.weight.value, bias, **self._options())

    def multiply_adds(self, input_shapes: Any, output_shape: tuple[int, ...]) -> int:
        outputs = int(np.prod(output_shape[1:], dtype=object))
        return outputs * int(np.prod(self.weight.value.shape, dtype=object))

    def _options(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups", "padding_mode")
        return {name: getattr(self, name) for name in names}

    def _check_geometry(self) -> None:
        """Meet every wrong size here, where it was written, not at the first image."""
        name, kernel = type(self).__name__, self.kernel_size
        spans = per_axis(name, "kernel_size", kernel, self.rank)
        reach = per_axis(name, "dilation", self.dilation, self.rank)
        image = [k * d for k, d in zip(spans, reach, strict=True)]  # large enough for this window
        window(name, image, kernel, stride=self.stride, padding=self.padding, dilation=self.dilation)
        check_groups(name, self.groups, out_channels=(self.out_channels, "the layer's own"))

    def _weight_shape(self) -> tuple[int, ...] | None:
        name = type(self).__name__
        if self.in_channels is None:
            return None
        check_groups(name, self.groups, in_channels=(self.in_channels, "the layer's own"))
        kernel = per_axis(name, "kernel_size", self.kernel_size, self.rank)
        return (self.out_channels, self.in_channels // self.groups, *kernel)


class Conv1d(Conv):
    """Convolution over one spatial axis: `x (N, C, W)`; see `Conv` for the arguments.

    Example:
        >>> Conv1d(2, 4, 3, padding="causal").initialize((2, 9))(np.zeros((5, 2, 9))).shape
        (5, 4, 9)
    """

    rank = 1


class Conv2d(Conv):
    """Convolution over two spatial axes: `x (N, C, H, W)`; see `Conv` for the arguments.

    Example:
        >>> Conv2d(3, 4, (3, 5)).initialize((3, 9, 9))(np.zeros((2, 3, 9, 9))).shape
        (2, 4, 7, 5)
    """

    rank = 2


class Conv3d(Conv):
    """Convolution over three spatial axes: `x (N, C, D, H, W)`; see `Conv` for the arguments.

    Example:
        >>> Conv3d(1, 2, 3, padding=1).initialize((1, 4, 5, 6))(np.zeros((2, 1, 4, 5, 6))).shape
        (2, 2, 4, 5, 6)
    """

    rank = 3
