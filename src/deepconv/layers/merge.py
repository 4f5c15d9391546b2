"""Where branches of a network meet: added up, or laid side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.layers.base import Layer, Pullback


class Add(Layer):
    """The sum of several inputs of one shape.

    Example:
        >>> Add()(np.array([1.0, 2.0]), np.array([10.0, 20.0]))
        array([11., 22.])
    """

    def apply(
        self, *inputs: Any, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        arrays = self.prepare(*inputs)
        y = arrays[0]
        for x in arrays[1:]:
            y = y + x
        return y, Pullback("Add", y, lambda dy: (tuple(dy for _ in arrays), {}))

    def check(self, *inputs: Array) -> None:
        shapes = [x.shape for x in inputs]
        if len(set(shapes)) != 1:
            raise ValueError(f"Add: the inputs have shapes {shapes}; pass one or more of one shape")


class Concatenate(Layer):
    """Several inputs laid one after another along an axis.

    Args:
        axis: along which axis; 1 is the channels.

    Raises:
        TypeError: `axis` is not a whole number.

    Example:
        >>> Concatenate()(np.zeros((2, 3, 4)), np.zeros((2, 5, 4))).shape
        (2, 8, 4)
    """

    def __init__(self, axis: int = 1) -> None:
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise TypeError(f"Concatenate: axis={axis!r} is not a whole number")
        self.axis = axis
        self.first_axis_is_batch = self.axis >= 1

    def apply(
        self, *inputs: Any, training: bool = True, rng: np.random.Generator | None = None
    ) -> tuple[Array, Pullback]:
        arrays = self.prepare(*inputs)
        y = np.concatenate(arrays, axis=self.axis)
        ends = np.cumsum([x.shape[self.axis] for x in arrays])[:-1]
        return y, Pullback("Concatenate", y, lambda dy: (tuple(np.split(dy, ends, axis=self.axis)), {}))

    def check(self, *inputs: Array) -> None:
        shapes, axis = [x.shape for x in inputs], self.axis
        ranks = {len(shape) for shape in shapes}
        if len(ranks) != 1 or not -min(ranks) <= axis < min(ranks):
            raise ValueError(f"Concatenate: axis={axis} doesn't fit the inputs' shapes {shapes}")
        if len({(*s[: axis % len(s)], *s[axis % len(s) + 1 :]) for s in shapes}) != 1:
            raise ValueError(f"Concatenate: shapes {shapes} differ elsewhere than on axis={axis}")
