"""Samples: equal ones counted instead of repeated, brought to one scale, and given to the trainer in batches.

`fit` sees each distinct sample once, with the sum of its weights, in an order that its content decides. So a
weight of 3 is a sample that stands there three times, a weight of 0 one that doesn't, and the order of X's
rows changes nothing, all of it to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from deepconv.arrays import Array
from deepconv.estimators.layout import Layout

__all__ = ["Samples", "Scale", "distinct"]

_CHUNK = 2**21  # numbers converted at once: 16 MB of float64


def distinct(rows: Array, layout: Layout, target: Array, weight: Array) -> tuple[Array, Array]:
    """Return one place for each distinct pair of row and target, and the sum of their weights.

    Args:
        rows: `(N, numbers)`.
        layout: what they are, so that channels first and last have one order.
        target: `(N, …)`.
        weight: `(N,)`; samples of weight 0 are left out.

    Returns:
        places and weights, in an order that depends on the contents alone.

    Example:
        >>> rows = np.array([[1], [2], [1], [3]])
        >>> places, weights = distinct(rows, Layout((1,), None), np.zeros(4), np.array([1, 2, 2, 0]))
        >>> sorted(zip(places.tolist(), weights.tolist()))
        [(0, 3.0), (1, 2.0)]
    """
    found: dict[bytes, list[int]] = {}
    for place in np.flatnonzero(weight).tolist():
        key = blake2b(layout.pictures(rows[place : place + 1]).tobytes(), digest_size=16)
        key.update(target[place].tobytes())
        found.setdefault(key.digest(), []).append(place)
    kept = [found[key] for key in sorted(found)]
    sums = [math.fsum(weight[places]) for places in kept]
    return np.array([places[0] for places in kept], np.intp), np.array(sums)


@dataclass(frozen=True)
class Scale:
    """A mean and a deviation for each channel, which are brought to 0 and 1.

    Args:
        mean: `(C,)`.
        deviation: `(C,)`, above 0.

    Example:
        >>> scale = Scale(np.array([3.0]), np.array([2.0]))
        >>> scale.down(np.array([[1.0], [7.0]])).tolist(), scale.up(np.array([[-1.0], [2.0]])).tolist()
        ([[-1.0], [2.0]], [[1.0], [7.0]])
    """

    mean: Array
    deviation: Array

    def down(self, x: Array, *, dtype: DTypeLike = np.float32) -> Array:
        """Return `(N, C, …)` scaled, in a dtype of floats."""
        wide = np.float32 if x.dtype.itemsize == 1 else np.float64  # where the mean is far from 0
        shape = (-1, *(1 for _ in x.shape[2:]))
        y = np.subtract(x, self.mean.astype(wide).reshape(shape), dtype=wide, order="C")
        y /= self.deviation.astype(wide).reshape(shape)
        scaled: Array = y.astype(dtype, copy=False)
        return scaled

    def up(self, y: Array) -> Array:
        """Return `(N, C)` in the units of before, as float64."""
        found: Array = y * self.deviation + self.mean
        return found

    @staticmethod
    def of(samples: Array, layout: Layout, places: Array, weight: Array) -> Scale:
        """Measure the samples at some places, each counted by its weight.

        Args:
            samples: flat rows.
            layout: what they are.
            places: which of them.
            weight: one for each place.

        Example:
            >>> Scale.of(np.array([[1.0, 3.0]]), Layout((2,), None), np.array([0]), np.ones(1))
            Scale(mean=array([2.]), deviation=array([1.]))
        """
        numbers = math.prod(layout.shape)
        few, channels = max(1, _CHUNK // numbers), layout.input_shape[0]
        parts = [slice(start, start + few) for start in range(0, len(places), few)]
        values = float(weight.sum()) * (numbers // channels)

        def total(mean: Array, power: int) -> Array:
            found = np.zeros(channels)
            for part in parts:
                x = layout.pictures(samples[places[part]]).astype(np.float64)
                x = x.reshape(len(x), channels, -1) - mean[:, None]
                found += np.einsum("ncl,n->c", x**power, weight[part])
            return found / values

        with np.errstate(over="ignore"):
            mean = total(np.zeros(channels), 1)
            deviation = np.sqrt(total(mean, 2))
        flat = ~(deviation > 1e-12 * np.abs(mean)) | ~np.isfinite(deviation)
        return Scale(mean, np.where(flat, 1.0, deviation))


class Samples:
    """A part of the samples as a source of batches for the trainer, each scaled when its turn comes.

    The batches of an epoch are as large as each other, up to one, and no larger than `batch_size`.

    Args:
        rows: all samples, flat, of any dtype.
        target: `(N, …)`.
        places: which of them are in this part.
        weight: of each place, 1 on average; None for all 1.
        layout: what a row is.
        scale: what its channels are brought to.
        batch_size: the most samples in a batch.
        shuffle: False keeps the order.

    Example:
        >>> rows = np.arange(10.0).reshape(5, 2)
        >>> samples = Samples(
        ...     rows,
        ...     np.arange(5),
        ...     np.arange(5),
        ...     None,
        ...     Layout((2,), None),
        ...     Scale(np.zeros(1), np.ones(1)),
        ...     batch_size=3,
        ...     shuffle=False,
        ... )
        >>> [x.shape for x, y in samples.epoch(0, 1)]
        [(3, 1, 2), (2, 1, 2)]
    """

    def __init__(
        self,
        rows: Array,
        target: Array,
        places: Array,
        weight: Array | None,
        layout: Layout,
        scale: Scale,
        *,
        batch_size: int,
        shuffle: bool,
    ) -> None:
        self.rows, self.target, self.places, self.weight = rows, target, places, weight
        self.layout, self.scale, self.batch_size, self.shuffle = layout, scale, batch_size, shuffle

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.places) / self.batch_size)

    def epoch(self, seed: int, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Give one epoch's batches `(x, y)`, or `(x, y, weight)`; 0 keeps the order.

        Args:
            seed: the run's seed.
            epoch: the epoch's number.
        """
        order = np.arange(len(self.places))
        if self.shuffle and epoch:
            np.random.default_rng([seed, epoch]).shuffle(order)
        for part in np.array_split(order, len(self)):
            places = self.places[part]
            x, y = self.scale.down(self.layout.pictures(self.rows[places])), self.target[places]
            yield (x, y) if self.weight is None else (x, y, self.weight[part])
