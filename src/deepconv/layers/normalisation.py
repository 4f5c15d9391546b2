"""Normalisation as layers: activations brought to mean 0 and variance 1, then scaled and shifted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import check_groups
from deepconv.layers import sizes
from deepconv.layers.activation import ReLU6
from deepconv.layers.base import Layer, Pullback
from deepconv.layers.initialisation import ones, zeros
from deepconv.layers.parameter import Buffer, Parameter
from deepconv.operators import normalisation as norm
from deepconv.operators import normalised


class BatchNorm(Layer):
    """Normalise each channel over the batch and the image: `x (N, C, *spatial)`, of any rank.

    `y = weight·(x - mean) / sqrt(var + eps) + bias`. In training, mean and (biased) variance are the
    batch's own, and the running ones move towards them, the variance unbiased, when the pullback's updates
    are committed; otherwise the running ones are used. Ioffe and Szegedy 2015. A layer used twice in one
    graph takes the mean of the two uses' updates.

    Args:
        features: C; None infers it at first use.
        eps: added to the variance.
        momentum: the batch's share in the running statistics: `new = (1-momentum)·old + momentum·batch`.

    Raises:
        TypeError, ValueError: an argument that can't work; in training, fewer than two values per channel.

    Example:
        >>> layer = BatchNorm().initialize((2, 3))
        >>> y, pullback = layer.apply(np.arange(12.0).reshape(2, 2, 3))
        >>> bool(abs(y.mean()) < 1e-6), layer.running_mean.value
        (True, array([0., 0.], dtype=float32))
        >>> pullback.commit()
        >>> layer.running_mean.value
        array([0.4, 0.7], dtype=float32)
    """

    first_axis_is_batch = True

    def __init__(self, features: int | None = None, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.features = sizes.count_or_none("BatchNorm", "features", features)
        self.eps = sizes.number("BatchNorm", "eps", eps, 0)
        self.momentum = sizes.number("BatchNorm", "momentum", momentum, 0, 1)
        shape = None if self.features is None else (self.features,)
        self.weight, self.bias = Parameter(shape, ones, decay=False), Parameter(shape, zeros, decay=False)
        self.running_mean, self.running_var = Buffer(shape, fill=0), Buffer(shape, fill=1)

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        return self._train(x) if training else self._infer(x)

    def limited(self, activation: Layer, x: Any) -> tuple[Array, Pullback]:
        """Return what `activation`, a `ReLU` or `ReLU6`, makes of the output, in training, in one pass over memory."""
        (x,) = self.prepare(x)
        return self._train(x, (0.0, 6.0 if isinstance(activation, ReLU6) else math.nan))

    def infer(self, *inputs: Array) -> None:
        if self.features is None:
            _check_rank("BatchNorm", inputs[0])
            self.features = inputs[0].shape[1]
            for value in (self.weight, self.bias, self.running_mean, self.running_var):
                value.shape = (self.features,)

    def check(self, *inputs: Array) -> None:
        _check_rank("BatchNorm", inputs[0])
        sizes.check_channels("BatchNorm", "features", self.features or 0, inputs[0], 1)

    def _infer(self, x: Array) -> tuple[Array, Pullback]:
        """Return the output by the running statistics, and the way back, on which they are constants."""
        weight, bias, eps = self.weight.value, self.bias.value, self.eps
        statistics = {"mean": self.running_mean.value, "var": self.running_var.value}
        y = norm.batch_norm(x, weight, bias, **statistics, eps=eps)

        def pull(dy: Array) -> Any:
            dx, dw, db = norm.batch_norm_gradients(dy, x, weight, **statistics, eps=eps)
            return dx, {self.weight: dw, self.bias: db}

        y = y.astype(np.result_type(x, weight), copy=False)  # the running statistics may be wider
        return y, Pullback("BatchNorm", y, pull)

    def _train(self, x: Array, limits: tuple[float, float] = (math.nan, math.nan)) -> tuple[Array, Pullback]:
        """Return the output by the batch's own statistics, the way back, and where the running ones would go.

        Args:
            x: the input.
            limits: what the output is cut off at, below and above; NaN is no limit.
        """
        values = x.size // x.shape[1]
        if values < 2:
            raise ValueError(
                f"BatchNorm: x has {values} values per channel (shape {x.shape}), and training needs two or "
                f"more to tell their variance; use a larger batch, or training=False"
            )
        weight, bias, eps = self.weight.value, self.bias.value, self.eps
        y, mean, var = normalised.train("BatchNorm", x, weight, bias, eps, limits)

        def pull(dy: Array) -> Any:
            vectors = (weight, bias, mean, var)
            dx, dw, db = normalised.train_gradients("BatchNorm", dy, x, vectors, eps, limits)
            return dx, {self.weight: dw, self.bias: db}

        pairs = ((self.running_mean, mean), (self.running_var, var * (values / (values - 1))))
        updates = {buffer: self._moved(buffer.value, batch) for buffer, batch in pairs}
        return y, Pullback("BatchNorm", y, pull, updates)

    def _moved(self, old: Array, batch: Array) -> Array:
        moved: Array = (1 - self.momentum) * old + self.momentum * batch
        return moved.astype(old.dtype, copy=False)


class GroupNorm(Layer):
    """Normalise groups of channels within each sample: `x (N, C, *spatial)`. Wu and He 2018.

    Args:
        groups: into how many groups the channels fall; 1 normalises the whole sample.
        channels: C; None infers it at first use.
        eps: added to the variance.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> GroupNorm(2).initialize((4, 5, 6))(np.zeros((3, 4, 5, 6))).shape
        (3, 4, 5, 6)
    """

    first_axis_is_batch = True

    def __init__(self, groups: int, channels: int | None = None, *, eps: float = 1e-5) -> None:
        self.groups = sizes.count("GroupNorm", "groups", groups)
        self.channels = sizes.count_or_none("GroupNorm", "channels", channels)
        self.eps = sizes.number("GroupNorm", "eps", eps, 0)
        shape = self._shape()
        self.weight, self.bias = Parameter(shape, ones, decay=False), Parameter(shape, zeros, decay=False)

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        weight, groups, eps = self.weight.value, self.groups, self.eps
        y = norm.group_norm(x, groups, weight, self.bias.value, eps=eps)

        def pull(dy: Array) -> Any:
            dx, dw, db = norm.group_norm_gradients(dy, x, groups, weight, eps=eps)
            return dx, {self.weight: dw, self.bias: db}

        return y, Pullback("GroupNorm", y, pull)

    def infer(self, *inputs: Array) -> None:
        if self.channels is None:
            _check_rank("GroupNorm", inputs[0])
            self.channels = inputs[0].shape[1]
            self.weight.shape = self.bias.shape = self._shape()

    def check(self, *inputs: Array) -> None:
        _check_rank("GroupNorm", inputs[0])
        sizes.check_channels("GroupNorm", "channels", self.channels or 0, inputs[0], 1)

    def _shape(self) -> tuple[int, ...] | None:
        if self.channels is None:
            return None
        check_groups("GroupNorm", self.groups, channels=(self.channels, "the layer's own"))
        return (self.channels,)


class LayerNorm(Layer):
    """Normalise the last axes of each sample, with a weight and a bias for each of their places.

    Ba, Kiros and Hinton 2016. For images, `GroupNorm(1)` has a weight per channel instead.

    Args:
        shape: the sizes of the last axes, one number or several; None infers all axes but the batch.
        eps: added to the variance.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> LayerNorm(4)(np.array([[1.0, 2.0, 3.0, 4.0]])).round(3)
        array([[-1.342, -0.447,  0.447,  1.342]])
    """

    def __init__(self, shape: int | tuple[int, ...] | None = None, *, eps: float = 1e-5) -> None:
        if shape is not None:
            listed = shape if isinstance(shape, tuple | list) else (shape,)
            shape = tuple(sizes.count("LayerNorm", "shape", size) for size in listed)
        if shape == ():
            raise ValueError("LayerNorm: shape=() has no axis; give the sizes of the last axes")
        self.shape = shape
        self.eps = sizes.number("LayerNorm", "eps", eps, 0)
        self.weight, self.bias = Parameter(shape, ones, decay=False), Parameter(shape, zeros, decay=False)

    def apply(
        self, x: Any, *, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        (x,) = self.prepare(x)
        weight, shape, eps = self.weight.value, self.weight.value.shape, self.eps
        y = norm.layer_norm(x, shape, weight, self.bias.value, eps=eps)

        def pull(dy: Array) -> Any:
            gradients = {
                self.weight: norm.layer_norm_weight_grad(dy, x, shape, eps=eps),
                self.bias: norm.layer_norm_bias_grad(dy, shape),
            }
            return lambda: norm.layer_norm_input_grad(dy, x, shape, weight, eps=eps), gradients

        return y, Pullback("LayerNorm", y, pull)

    def infer(self, *inputs: Array) -> None:
        if self.shape is None:
            _check_rank("LayerNorm", inputs[0])
            self.shape = self.weight.shape = self.bias.shape = inputs[0].shape[1:]

    def check(self, *inputs: Array) -> None:
        x, shape = inputs[0], self.shape or ()
        if x.shape[x.ndim - len(shape) :] != shape or x.ndim < len(shape):
            raise ValueError(
                f"LayerNorm: x has shape {x.shape} but shape={shape}; its last axes must be {shape}"
            )


def _check_rank(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"{name}: x has shape {x.shape}, without channels; pass (N, C, *spatial)")
