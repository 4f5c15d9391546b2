"""What a layer owns: the arrays that training changes, and the arrays that only keep score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from deepconv.arrays import Array

Initialiser = Callable[[np.random.Generator, tuple[int, ...]], Array]


class Parameter:
    """An array that training changes: a weight or a bias.

    It holds no memory until it is initialised, so a layer of any size costs nothing to describe.
    Two parameters are the same only if they are the same object, which makes them keys of a dict.

    Args:
        shape: the array's shape, or None while a size is still to be inferred.
        initialiser: `initialiser(generator, shape)` gives the first values.
        decay: whether weight decay applies (weights yes; biases and scales no).

    Example:
        >>> import numpy as np
        >>> weight = Parameter((2, 3), lambda generator, shape: generator.normal(size=shape))
        >>> weight.data is None
        True
        >>> weight.initialise(np.random.default_rng(0), np.float32)
        >>> weight.data.shape, weight.data.dtype
        ((2, 3), dtype('float32'))
    """

    def __init__(
        self, shape: tuple[int, ...] | None, initialiser: Initialiser, *, decay: bool = True
    ) -> None:
        self.shape = shape
        self.initialiser = initialiser
        self.decay = decay
        self.data: Array | None = None
        self.grad: Array | None = None

    @property
    def value(self) -> Array:
        """The array itself; RuntimeError while there is none."""
        return _value(self.data)

    def initialise(self, generator: np.random.Generator, dtype: DTypeLike) -> None:
        """Draw the first values; they are drawn in float64, so every dtype starts from the same ones."""
        shape = _known(self.shape)
        values = np.asarray(self.initialiser(generator, shape))
        if values.shape != shape:
            raise ValueError(
                f"Parameter: its initialiser gives shape {values.shape} where shape={shape}; "
                f"use initialiser(generator, shape)"
            )
        self.data = _first(values, dtype)
        self.grad = None

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, decay={self.decay})"


class Buffer:
    """An array that belongs to a layer but isn't trained, such as a running mean.

    Args:
        shape: the array's shape, or None while a size is still to be inferred.
        fill: the value that every entry starts with.

    Example:
        >>> import numpy as np
        >>> mean = Buffer((2,), fill=0.0)
        >>> mean.initialise(np.random.default_rng(0), np.float64)
        >>> mean.data
        array([0., 0.])
    """

    def __init__(self, shape: tuple[int, ...] | None, *, fill: float) -> None:
        self.shape = shape
        self.fill = fill
        self.data: Array | None = None

    @property
    def value(self) -> Array:
        """The array itself; RuntimeError while there is none."""
        return _value(self.data)

    def initialise(self, generator: np.random.Generator, dtype: DTypeLike) -> None:
        """Fill the array; the generator isn't used, so buffers don't shift the parameters' values."""
        self.data = np.full(_known(self.shape), self.fill, dtype=dtype)

    def __repr__(self) -> str:
        return f"Buffer(shape={self.shape}, fill={self.fill})"


def _value(data: Array | None) -> Array:
    if data is None:
        raise RuntimeError("parameter: it has no values yet; call the model's initialize(input_shape) first")
    return data


def _known(shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None:
        raise RuntimeError("parameter: its shape isn't known yet; call the model's initialize(input_shape)")
    return shape


def _first(values: Array, dtype: DTypeLike) -> Array:
    return np.ascontiguousarray(values, dtype=dtype)
