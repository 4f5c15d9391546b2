"""First values of weights: what keeps the size of activations the same from layer to layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepconv.arrays import Array


def he_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw a weight `(out, in, *kernel)` from a normal distribution of deviation `sqrt(2 / fan_in)`.

    `fan_in = in·R·S` is the number of products summed in one output; ReLU halves the second moment and
    the 2 restores it. He et al. 2015, "Delving deep into rectifiers", equation 10.

    Args:
        generator: where the numbers come from.
        shape: the weight's shape, output channels first.

    Example:
        >>> weight = he_normal(np.random.default_rng(0), (64, 32, 3, 3))
        >>> bool(abs(weight.std() / (2 / (32 * 3 * 3)) ** 0.5 - 1) < 0.02)
        True
    """
    return generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))


@dataclass(frozen=True)
class HeTransposed:
    """He's initialisation for a transposed convolution's weight `(C, K/groups, *kernel)`.

    There the inputs come first, and a stride spreads them: on average `C/groups · R·S / stride²` products
    meet in one output.

    Args:
        groups: the layer's groups.
        stride: the layer's stride on each axis.

    Example:
        >>> weight = HeTransposed(1, (2, 2))(np.random.default_rng(0), (16, 8, 4, 4))
        >>> bool(abs(weight.std() / (2 / (16 * 4 * 4 / 4)) ** 0.5 - 1) < 0.05)
        True
    """

    groups: int
    stride: tuple[int, ...]

    def __call__(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw a weight of this shape."""
        fan_in = shape[0] / self.groups * math.prod(shape[2:]) / math.prod(self.stride)
        return generator.standard_normal(shape) * math.sqrt(2 / fan_in)


def zeros(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return zeros, the first values of biases; nothing is drawn.

    Args:
        generator: not used.
        shape: the array's shape.

    Example:
        >>> zeros(np.random.default_rng(0), (2,))
        array([0., 0.])
    """
    return np.zeros(shape)


def ones(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return ones, the first values of a normalisation's scales; nothing is drawn.

    Args:
        generator: not used.
        shape: the array's shape.

    Example:
        >>> ones(np.random.default_rng(0), (2,))
        array([1., 1.])
    """
    return np.ones(shape)
