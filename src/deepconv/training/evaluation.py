"""Evaluation: a model measured on a data set, and the averages that training reports."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.data.batches import Batches, BatchSource
from deepconv.layers.base import Layer
from deepconv.training.losses import Loss

__all__ = ["Data", "Meter", "evaluate", "open_data"]

Data = tuple[Any, Any] | BatchSource
"""Samples and targets `(x, y)`, or an object that gives batches."""


def evaluate(model: Layer, loss: Loss, data: Data, *, batch_size: int = 256) -> tuple[float, float | None]:
    """Measure a model in inference mode, batch by batch; nothing is changed.

    Args:
        model: what to measure.
        loss: what to measure by.
        data: `(x, y)` or a `BatchSource`.
        batch_size: samples at a time, for arrays.

    Returns:
        The average loss of a sample, and the accuracy where the loss has one.

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
    for x, y in source.epoch(0, 0):
        with np.errstate(all="ignore"):  # what overflows shows in the loss
            prediction = model(np.asarray(x).astype(model.dtype, copy=False))
            meter.add(loss(prediction, y), loss.accuracy(prediction, y), len(x))
    return meter.loss, meter.accuracy


def open_data(op: str, data: Data, batch_size: int | None, *, shuffle: bool = False) -> BatchSource:
    """Return data in any of its forms as a source of batches.

    Args:
        op: who asks and for what, for the message.
        data: `(x, y)` or a `BatchSource`, which is returned as it is.
        batch_size: for `(x, y)`; None is 32.
        shuffle: for `(x, y)`.

    Raises:
        TypeError: it is neither.
        ValueError: it is empty, x and y don't belong together, or `batch_size` has no use.

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
    elif isinstance(data, tuple | list) and len(data) == 2:
        try:
            source = Batches(*data, batch_size=32 if batch_size is None else batch_size, shuffle=shuffle)
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
