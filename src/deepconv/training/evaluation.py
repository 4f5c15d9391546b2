"""Evaluation: a model measured on a data set, and the averages that training reports."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.batches import Batches, BatchSource
from deepconv.layers.base import Layer
from deepconv.training.losses import Loss

__all__ = ["Data", "Meter", "apply_weighted", "evaluate", "open_data", "unpack"]

Data = tuple[Any, Any] | tuple[Any, Any, Any] | BatchSource
"""Samples and targets `(x, y)`, with weights `(x, y, weight)`, or an object that gives batches."""


def evaluate(model: Layer, loss: Loss, data: Data, *, batch_size: int = 256) -> tuple[float, float | None]:
    """Measure a model in inference mode, batch by batch; nothing is changed.

    Args:
        model: what to measure.
        loss: what to measure by.
        data: `(x, y)`, `(x, y, weight)` or a `BatchSource`.
        batch_size: samples at a time, for arrays.

    Returns:
        The average loss of a sample, by its weight if it has one, and the accuracy where the loss has one:
        the share that is right, each sample counted once.

    Raises:
        ValueError: the set is empty or doesn't fit.

    Example:
        >>> from deepconv.layers import Flatten
        >>> from deepconv.training import CrossEntropy
        >>> x = np.array([[9.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]], np.float32)
        >>> loss, accuracy = evaluate(Flatten(), CrossEntropy(), (x, np.array([0, 1, 0, 1])))
        >>> round(loss, 2), accuracy
        (2.25, 0.75)
    """
    source = open_data("evaluate: data", data, None if isinstance(data, BatchSource) else batch_size)
    if isinstance(source, Batches) and source is not data:
        source.dtype = model.dtype
    meter = Meter()
    for batch in source.epoch(0, 0):
        x, y, weight = unpack(batch)
        with np.errstate(all="ignore"):  # what overflows shows in the loss
            prediction = model(np.asarray(x).astype(model.dtype, copy=False))
            value = loss(prediction, y) if weight is None else apply_weighted(loss, prediction, y, weight)[0]
            meter.add(value, loss.accuracy(prediction, y), len(x))
    return meter.loss, meter.accuracy


def unpack(batch: Any) -> tuple[Array, Array, Array | None]:
    """Return a batch's samples, targets and weights, None where it has none.

    Example:
        >>> unpack((np.zeros((2, 3)), np.array([0, 1])))[2] is None
        True
    """
    x, y, *rest = batch
    return x, y, rest[0] if rest else None


def apply_weighted(loss: Loss, prediction: Array, target: Array, weight: Any) -> tuple[float, Array]:
    """Return `Σ wᵢ·lᵢ / B` and its gradient, for the B samples of one batch.

    Divided by the number of samples, not by the sum of the batch's weights: the average over the batches is
    then that over all samples, whatever weights a batch happened to draw, and it may draw zeros only.

    Args:
        loss: the loss l.
        prediction: what the model returned, `(B, …)`.
        target: what was wanted.
        weight: `(B,)`, not negative; None counts each once.

    Raises:
        ValueError: a weight is negative or not finite.

    Example:
        >>> from deepconv.training import MeanSquared
        >>> apply_weighted(MeanSquared(), np.array([[1.0], [2.0]]), np.zeros((2, 1)), [2.0, 0.0])[0]
        1.0
    """
    if weight is None:
        return loss.apply(prediction, target)
    weight = np.asarray(weight, np.float64)
    if weight.shape == prediction.shape[:1] and not weight.any():
        return 0.0, np.zeros_like(prediction)
    value, slope = loss.apply(prediction, target, weight=weight)
    share = float(weight.mean())
    return value * share, slope * np.asarray(share, slope.dtype)


def open_data(op: str, data: Data, batch_size: int | None, *, shuffle: bool = False) -> BatchSource:
    """Return data in any of its forms as a source of batches.

    Args:
        op: who asks and for what, for the message.
        data: `(x, y)`, `(x, y, weight)`, or a `BatchSource`, which is returned as it is.
        batch_size: for arrays; None is 32.
        shuffle: for arrays.

    Raises:
        TypeError: it is neither.
        ValueError: it is empty, its arrays don't belong together, or `batch_size` has no use.

    Example:
        >>> len(open_data("train", (np.zeros((50, 3)), np.zeros(50)), 20))
        3
    """
    if isinstance(data, BatchSource):
        if batch_size is not None:
            raise ValueError(
                f"{op}: gives its own batches, so batch_size={batch_size} has no use; leave it out"
            )
        source = data
    elif isinstance(data, tuple | list) and len(data) in {2, 3}:
        x, y, weight = unpack(data)
        try:
            size = 32 if batch_size is None else batch_size
            source = Batches(x, y, weight=weight, batch_size=size, shuffle=shuffle)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{op}: {error}") from None
    else:
        raise TypeError(f"{op}: is {type(data).__name__}; give (x, y), or an object with epoch() and len()")
    if not len(source):
        shape = f" (x has shape {source.x.shape})" if isinstance(source, Batches) else ""
        raise ValueError(f"{op}: has no samples{shape}; give at least one")
    return source


class Meter:
    """Averages over samples, not batches: the last batch may be short.

    Example:
        >>> meter = Meter()
        >>> meter.add(1.0, 0.5, samples=4)
        >>> meter.add(4.0, 1.0, samples=2)
        >>> meter.loss, round(meter.accuracy, 3)
        (2.0, 0.667)
    """

    def __init__(self) -> None:
        self._losses = self._hits = 0.0
        self._samples = 0
        self._counts = True

    def add(self, loss: float, accuracy: float | None, samples: int) -> None:
        """Take in a batch.

        Args:
            loss: its average loss.
            accuracy: its accuracy, or None where the loss has none.
            samples: how many it has.
        """
        self._samples += samples
        self._losses += loss * samples
        self._counts = self._counts and accuracy is not None
        self._hits += (accuracy or 0.0) * samples

    @property
    def loss(self) -> float:
        """The average loss of a sample so far."""
        return self._losses / max(self._samples, 1)

    @property
    def accuracy(self) -> float | None:
        """The accuracy so far, None where there is none."""
        return self._hits / max(self._samples, 1) if self._counts else None
