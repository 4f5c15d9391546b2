"""What a trained network makes of pictures that it never saw: how many it names right, and what it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepconv.arrays import Array
from deepconv.data.batches import BatchSource
from deepconv.layers import Layer
from deepconv.operators.activation import softmax

__all__ = ["Sample", "TestScores", "score"]

KEPT = 24
"""Of how many samples the picture itself is kept, whatever the size of the set."""


@dataclass(frozen=True)
class Sample:
    """One picture of a test set, and what it was taken for.

    Args:
        place: its place in the set, from 0.
        x: what went into the network, `(C, H, W)`.
        label: the class it is of.
        prediction: the class it was taken for.
        probability: how surely.
    """

    place: int
    x: Array
    label: int
    prediction: int
    probability: float

    @property
    def right(self) -> bool:
        """Whether it was named right."""
        return self.label == self.prediction


@dataclass(frozen=True)
class TestScores:
    """What a network made of the pictures held out: some numbers for each, and the worst as pictures.

    Args:
        classes: the classes' names.
        labels: what the pictures are, `(N,)`.
        predictions: what they were taken for, `(N,)`.
        certainties: the probability of that, `(N,)`.
        loss: the mean cross-entropy, in nats.
        worst: the wrong answers, the surest first, then the right ones, the least sure first; a few.
    """

    __test__ = False  # no test, whatever pytest may think of the name

    classes: tuple[str, ...]
    labels: Array
    predictions: Array
    certainties: Array
    loss: float
    worst: tuple[Sample, ...] = ()

    @property
    def mistakes(self) -> int:
        """How many were named wrong."""
        return int((self.predictions != self.labels).sum())

    @property
    def accuracy(self) -> float:
        """The share that is right, 0 where there are none."""
        return (len(self.labels) - self.mistakes) / max(len(self.labels), 1)

    @property
    def confusion(self) -> Array:
        """How often each class (row) was taken for each (column), `(K, K)`."""
        size = len(self.classes)
        pairs = self.labels * size + self.predictions
        counts: Array = np.bincount(pairs, minlength=size * size).reshape(size, size)
        return counts

    @property
    def support(self) -> list[int]:
        """How many pictures of each class there are."""
        return [int(count) for count in np.bincount(self.labels, minlength=len(self.classes))]

    @property
    def recall(self) -> list[float | None]:
        """Of each class's pictures, the share that was named so; None where it has none."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def precision(self) -> list[float | None]:
        """Of what was taken for each class, the share that is; None where nothing was."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=0))


def score(model: Layer, source: BatchSource, classes: Sequence[str], *, kept: int = KEPT) -> TestScores:
    """Run a network over a test set, batch by batch, and keep little of each picture.

    Args:
        model: gives one score per class.
        source: the test set: batches of x and class numbers, those of `epoch(0, 0)`.
        classes: the classes' names.
        kept: of how many samples the picture is kept.

    Returns:
        The scores.

    Raises:
        ValueError: the model doesn't give a finite score for each class.

    Example:
        >>> from deepconv.data.batches import Batches
        >>> from deepconv.layers import Flatten
        >>> x = np.array([[9.0, 0.0], [0.0, 9.0], [0.0, 1.0], [9.0, 0.0]], np.float32)
        >>> scores = score(Flatten(), Batches(x, [0, 1, 1, 1], shuffle=False), ["cat", "dog"])
        >>> scores.accuracy, scores.confusion.tolist(), [sample.place for sample in scores.worst]
        (0.75, [[1, 0], [1, 2]], [3, 2, 0, 1])
    """
    columns: list[tuple[Array, Array, Array]] = []
    losses = 0.0
    worst: list[Sample] = []
    place = 0
    for x, y, *_ in source.epoch(0, 0):
        labels = np.asarray(y).astype(np.int64)
        chances = _probabilities(model, np.asarray(x), len(classes))
        rows = np.arange(len(labels))
        losses -= float(np.log(np.maximum(chances[rows, labels], np.finfo(np.float32).tiny)).sum())
        named = chances.argmax(axis=1)
        columns.append((labels, named, chances[rows, named]))
        worst = _worst([*worst, *_samples(place, x, *columns[-1], kept)], kept)
        place += len(labels)
    labels, named, sure = (
        (np.concatenate(parts) for parts in zip(*columns, strict=True)) if columns else _NOTHING
    )
    return TestScores(tuple(classes), labels, named, sure, losses / max(place, 1), tuple(worst))


_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def _probabilities(model: Layer, x: Array, classes: int) -> Array:
    scores = np.asarray(model(x.astype(model.dtype, copy=False)))
    if scores.shape != (len(x), classes) or not np.isfinite(scores).all():
        what = f"of shape {scores.shape}" if scores.shape != (len(x), classes) else "with NaN or infinity"
        raise ValueError(f"score: model gave scores {what} for {len(x)} pictures of {classes} classes")
    return softmax(scores.astype(np.float64))


def _samples(place: int, x: Array, labels: Array, named: Array, sure: Array, kept: int) -> list[Sample]:
    """Return those of a batch that may be among the worst of all; only their pictures are copied."""
    order = _order(named != labels, sure)[:kept]
    return [
        Sample(place + int(row), np.array(x[row]), int(labels[row]), int(named[row]), float(sure[row]))
        for row in order
    ]


def _worst(samples: list[Sample], kept: int) -> list[Sample]:
    wrong = np.array([not sample.right for sample in samples], bool)
    sure = np.array([sample.probability for sample in samples])
    return [samples[row] for row in _order(wrong, sure)[:kept]]


def _order(wrong: Array, sure: Array) -> Array:
    """Wrong answers first, the surest before; then the right ones, the least sure before."""
    order: Array = np.lexsort((np.where(wrong, -sure, sure), ~wrong))
    return order


def _shares(right: Array, all_of_them: Array) -> list[float | None]:
    return [int(r) / int(n) if n else None for r, n in zip(right, all_of_them, strict=True)]
