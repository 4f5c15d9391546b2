"""Batches: a data set in small parts, in an order drawn anew for every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from deepconv.arrays import Array, as_array
from deepconv.geometry import whole_number

__all__ = ["BatchSource", "Batches"]


@runtime_checkable
class BatchSource(Protocol):
    """What the trainer can train on: `Batches`, or any object with these two methods.

    Write one to read from a disk or a network: nothing but the current batch needs to be in memory.

    Example:
        >>> class Noise:
        ...     def __len__(self):
        ...         return 10
        ...
        ...     def epoch(self, seed, epoch):
        ...         rng = np.random.default_rng([seed, epoch])
        ...         for _ in range(10):
        ...             yield rng.random((4, 1, 8, 8), np.float32), rng.integers(0, 2, 4)
        >>> isinstance(Noise(), BatchSource)
        True
    """

    def __len__(self) -> int:
        """Return the number of batches in an epoch; every epoch has the same."""

    def epoch(self, seed: int, epoch: int) -> Iterable[tuple[Array, Array] | tuple[Array, Array, Array]]:
        """Give the epoch's batches `(x, y)`, in an order that depends on `seed` and `epoch` alone.

        A batch may be `(x, y, weight)`: how much each sample counts, `(B,)`, not negative and 1 on average
        over the epoch.

        Args:
            seed: the run's seed.
            epoch: counted from 1; 0 asks for validation, for which the order should always be the same.
        """


class Batches:
    """Arrays in batches, shuffled anew in every epoch.

    Epoch e of seed s is drawn by `default_rng([s, e])`, so it can be had again without those before it.
    The last batch may be short. Only one batch is converted and held at a time: `x` may be uint8, or
    an array mapped from a file that is larger than the memory.

    Args:
        x: samples, `(N, …)`.
        y: their targets, `(N, …)`.
        batch_size: samples in a batch.
        shuffle: False keeps the arrays' order.
        dtype: what each batch of x is converted to; the trainer passes the model's.
        prepare: applied to each batch of x before that, such as a model's preprocessing.
        weight: how much each sample counts, `(N,)`; their scale is taken out, so that they are 1 on average.

    Raises:
        TypeError: x, y or the weights are not an array of numbers.
        TypeError: `batch_size` is not a whole number.
        ValueError: x, y and the weights differ in length, a weight is negative or not finite, or all are 0,
            or `batch_size` is below 1.

    Example:
        >>> batches = Batches(np.arange(5), np.arange(5), batch_size=2)
        >>> [x.tolist() for x, y in batches.epoch(seed=0, epoch=1)]
        [[1.0, 4.0], [3.0, 0.0], [2.0]]
        >>> len(batches), batches.samples
        (3, 5)
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        dtype: DTypeLike = np.float32,
        prepare: Callable[[Array], Array] | None = None,
        weight: Any = None,
    ) -> None:
        self.x, self.y = as_array("Batches", "x", x), as_array("Batches", "y", y)
        if self.x.ndim == 0 or self.y.ndim == 0 or len(self.x) != len(self.y):
            raise ValueError(
                f"Batches: x has shape {self.x.shape} and y {self.y.shape}; give one target per sample"
            )
        if whole_number(batch_size) is None:
            raise TypeError(f"Batches: batch_size={batch_size!r} is not a whole number")
        if batch_size < 1:
            raise ValueError(f"Batches: batch_size={batch_size} is below 1; use 32, say")
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.dtype = np.dtype(dtype)
        self.prepare = prepare
        self.weight = None if weight is None else _weights(weight, len(self.x))

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.x)

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.x) / self.batch_size)

    def epoch(
        self, seed: int = 0, epoch: int = 0
    ) -> Iterator[tuple[Array, Array] | tuple[Array, Array, Array]]:
        """Give one epoch's batches `(x, y)`, or `(x, y, weight)` where samples have weights.

        Args:
            seed: the run's seed.
            epoch: the epoch's number.

        Yields:
            `x (B, …)` in `dtype`, a copy that may be changed, and `y (B, …)`; the weights `(B,)`.
        """
        rows = np.arange(self.samples)
        if self.shuffle:
            np.random.default_rng([seed, epoch]).shuffle(rows)
        for start in range(0, self.samples, self.batch_size):
            part = rows[start : start + self.batch_size]
            x = self.x[part]
            if self.prepare is not None:
                x = self.prepare(x)
            x = x.astype(self.dtype, copy=False)
            yield (x, self.y[part]) if self.weight is None else (x, self.y[part], self.weight[part])


def _weights(weight: Any, samples: int) -> Array:
    """Return what each sample counts, 1 on average."""
    weight = as_array("Batches", "weight", weight)
    if weight.shape != (samples,):
        raise ValueError(f"Batches: weight has shape {weight.shape}; give one per sample, ({samples},)")
    weight = weight.astype(np.float64)
    total = float(weight.sum())
    if samples and not (np.all(weight >= 0) and 0 < total < math.inf):
        raise ValueError(f"Batches: weight adds up to {total:g}; give finite weights ≥ 0, one above 0")
    scaled: Array = weight * (samples / max(total, 1e-300))
    return scaled
