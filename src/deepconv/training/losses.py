"""Losses: how far a prediction is from its target, as one number and its gradient."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cache
from typing import Any

import numpy as np

from deepconv.arrays import Array, as_array, dtypes
from deepconv.engine import losses as engine
from deepconv.training.settings import number

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Huber", "Loss", "MeanSquared"]


class Loss(ABC):
    """A loss: the average of what each prediction costs, and the gradient of that average.

    The division by the number of predictions happens here and nowhere else: layers add gradients up
    over the batch. To write a loss of your own, give `_terms`; it is usable at once.

    Example:
        >>> class Absolute(Loss):
        ...     def _terms(self, prediction, target):
        ...         return np.abs(prediction - target), np.sign(prediction - target)
        >>> Absolute()(np.array([[1.0], [4.0]]), np.array([[0.0], [2.0]]))
        1.5
    """

    def __call__(self, prediction: Any, target: Any, *, weight: Any = None) -> float:
        """Return the loss alone; see `apply`."""
        return self._evaluate(prediction, target, weight, slope=False)[0]

    def apply(self, prediction: Any, target: Any, *, weight: Any = None) -> tuple[float, Array]:
        """Compare a prediction with its target.

        Args:
            prediction: what the model returned, `(N, …)`, floats.
            target: what was wanted; each loss says in which shape.
            weight: how much each of the N samples counts, `(N,)`, not negative. The result is then the
                weighted average `Σ wᵢ·lᵢ / Σ wᵢ`.

        Returns:
            The loss, and its gradient with respect to `prediction`, in its shape and dtype. An empty
            batch gives 0 and an empty gradient.

        Raises:
            TypeError: the prediction is not of floats, or the target is of a wrong dtype.
            ValueError: shapes don't fit, or the target or weight holds values that can't be.

        Example:
            >>> MeanSquared().apply([[1.0], [4.0]], [[0.0], [2.0]])
            (2.5, array([[1.],
                   [2.]]))
        """
        value, slope = self._evaluate(prediction, target, weight, slope=True)
        return value, np.asarray(slope)

    def _evaluate(
        self, prediction: Any, target: Any, weight: Any, *, slope: bool
    ) -> tuple[float, Array | None]:
        """Return the loss and, if wanted, its gradient, from arguments that are checked here."""
        prediction = as_array(self._name, "prediction", prediction)
        target = as_array(self._name, "target", target)
        if prediction.dtype.kind != "f":
            raise TypeError(f"{self._name}: prediction has dtype {prediction.dtype}; give floats")
        if prediction.ndim == 0:
            raise ValueError(f"{self._name}: prediction has shape (); give a batch (N, …)")
        compute, result = dtypes(self._name, prediction)
        self.check_target(prediction.shape, target)
        value, found = self._average(prediction.astype(compute, copy=False), target, weight, slope=slope)
        return value, None if found is None else found.astype(result, copy=False)

    def _average(
        self, prediction: Array, target: Array, weight: Any, *, slope: bool
    ) -> tuple[float, Array | None]:
        """Return the average of the terms, and of their slopes where they are wanted or cost nothing."""
        terms, slopes = self._terms(prediction, target)
        share: Any = 1 / max(terms.size, 1)
        if weight is not None:
            share = self._shares(weight, prediction.shape[0], terms)
        value = float(np.sum(terms * share, dtype=np.float64))
        if not slope:
            return value, None
        if isinstance(share, np.ndarray):  # terms may lack the class axis that the slope has
            share = share.reshape(share.shape + (1,) * (slopes.ndim - share.ndim))
        return value, slopes * share

    def accuracy(self, prediction: Any, target: Any) -> float | None:
        """Return the fraction predicted right, or None where a loss knows no right and wrong."""
        return None

    def check_target(self, shape: tuple[int, ...], target: Array) -> None:
        """Say what is wrong with a target for predictions of this shape, if anything is.

        Args:
            shape: the prediction's shape.
            target: the target.

        Raises:
            ValueError: the shapes differ.
            TypeError: the target's dtype doesn't fit.

        Example:
            >>> MeanSquared().check_target((5, 1), np.zeros(5))
            Traceback (most recent call last):
            ValueError: MeanSquared: target has shape (5,), prediction (5, 1); reshape one of them
        """
        if target.shape != shape:
            raise ValueError(
                f"{self._name}: target has shape {target.shape}, prediction {shape}; reshape one of them"
            )

    @abstractmethod
    def _terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Return each prediction's own loss, `(N, …)`, and its slope, in the prediction's shape."""

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _shares(self, weight: Any, samples: int, terms: Array) -> Array:
        """Return what each sample's terms count in the average, `(N, 1, …)`, in the terms' rank."""
        weight = as_array(self._name, "weight", weight)
        if weight.shape != (samples,):
            raise ValueError(
                f"{self._name}: weight has shape {weight.shape}; give one per sample, ({samples},)"
            )
        total = float(np.sum(weight, dtype=np.float64))
        if samples and not (np.all(weight >= 0) and 0 < total < math.inf):
            raise ValueError(
                f"{self._name}: weight adds up to {total:g}; give finite weights ≥ 0, one above 0"
            )
        share = weight / (max(total, 1e-300) * max(terms.size, 1) / max(samples, 1))
        return np.asarray(share, terms.dtype).reshape(samples, *(1,) * (terms.ndim - 1))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in sorted(vars(self).items()))
        return f"{self._name}({settings})"


class CrossEntropy(Loss):
    """Softmax cross-entropy of logits: `l = −Σₖ qₖ · log softmax(z)ₖ`.

    The prediction is `(N, K, …)` raw scores of K classes. The target is the class numbers `(N, …)`, or
    probabilities `(N, K, …)`. With label smoothing ε the target q becomes `(1 − ε)·q + ε/K` (Szegedy
    et al., "Rethinking the Inception Architecture", 2016, section 7). The gradient is `softmax(z) − q`.

    Args:
        label_smoothing: ε, from 0 to 1.

    Raises:
        ValueError: a label is not one of the K classes, probabilities don't add up to 1, shapes differ.
        TypeError: class numbers that are not integers.

    Example:
        >>> round(CrossEntropy()([[2.0, 0.0, 0.0]], [0]), 4)
        0.2395
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= number("CrossEntropy", "label_smoothing", label_smoothing) <= 1:
            raise ValueError(f"CrossEntropy: label_smoothing={label_smoothing} is not from 0 to 1")
        self.label_smoothing = float(label_smoothing)

    def accuracy(self, prediction: Any, target: Any) -> float | None:
        """Return the fraction whose highest score is the target's class (0 for an empty batch).

        Example:
            >>> CrossEntropy().accuracy(np.array([[2, 1], [0, 3.0]]), np.array([0, 0]))
            0.5
        """
        best = np.argmax(prediction, axis=1) if np.shape(prediction)[1] else np.empty(0)
        wanted = np.argmax(target, axis=1) if np.ndim(target) == np.ndim(prediction) else target
        return float(np.count_nonzero(best == wanted) / best.size) if best.size else 0.0

    def check_target(self, shape: tuple[int, ...], target: Array) -> None:
        """Say what is wrong with class numbers or probabilities for scores of this shape."""
        if len(shape) < 2:
            raise ValueError(f"CrossEntropy: prediction has shape {shape}; give scores (N, K, …)")
        labels = (shape[0], *shape[2:])
        if target.shape == shape:
            _check_probabilities(target)
        elif target.shape != labels:
            raise ValueError(
                f"CrossEntropy: target has shape {target.shape}, prediction {shape}; "
                f"give class numbers {labels} or probabilities {shape}"
            )
        elif target.dtype.kind not in "biu":
            raise TypeError(f"CrossEntropy: class numbers have dtype {target.dtype}; use astype(int)")
        elif _beyond(target, shape[1]):
            wrong = target.min() if target.min() < 0 else target.max()
            raise ValueError(
                f"CrossEntropy: label {wrong} is not one of the prediction's {shape[1]} classes "
                f"0 … {shape[1] - 1} (prediction {shape}); renumber the labels or give the model more outputs"
            )

    def _evaluate(
        self, prediction: Any, target: Any, weight: Any, *, slope: bool
    ) -> tuple[float, Array | None]:
        if weight is None and _simple(prediction, target):
            share = 1 / target.size
            terms, found = engine.cross_entropy(prediction, target, self.label_smoothing, share, slope=slope)
            value = engine.added(terms)
            if value == value:  # NaN: a label is wrong, which is said below, or a score is NaN
                return value * share, found
        return super()._evaluate(prediction, target, weight, slope=slope)

    def _average(
        self, prediction: Array, target: Array, weight: Any, *, slope: bool
    ) -> tuple[float, Array | None]:
        if target.ndim == prediction.ndim or not engine.compiles(prediction):
            return super()._average(prediction, target, weight, slope=slope)
        samples = prediction.shape[0]
        share: Any = 1 / target.size
        if weight is not None:
            share = self._shares(weight, samples, np.empty(target.shape, prediction.dtype)).reshape(samples)
        terms, found = engine.cross_entropy(prediction, target, self.label_smoothing, share, slope=slope)
        if weight is not None:
            terms = terms.reshape(samples, -1) * share[:, None]
            return float(terms.sum(dtype=np.float64)), found
        return engine.added(terms) * share, found

    def _terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        prediction = np.ascontiguousarray(prediction)  # so that _hard's reshape of the slope is a view
        shifted = prediction - prediction.max(axis=1, keepdims=True, initial=-np.inf)
        slope = np.exp(shifted)
        total = slope.sum(axis=1, keepdims=True)
        slope /= total
        terms = np.log(total[:, 0])
        if target.ndim == prediction.ndim:
            wanted = target.astype(prediction.dtype) * (1 - self.label_smoothing)
            wanted += self.label_smoothing / prediction.shape[1]
            with np.errstate(invalid="ignore"):  # a probability 0 of a score −inf costs nothing
                terms -= np.where(wanted == 0, 0, wanted * shifted).sum(axis=1)
            slope -= wanted
        else:
            self._hard(terms, slope, shifted, target)
        return terms, slope

    def _hard(self, terms: Array, slope: Array, shifted: Array, labels: Array) -> None:
        """Finish `terms` and `slope` for class numbers, without building their one-hot table."""
        n, k = shifted.shape[:2]
        positions = labels.size // max(n, 1)  # an empty batch would leave reshape's -1 undefined
        at = (np.arange(n)[:, None], labels.reshape(n, positions).astype(np.intp), np.arange(positions))
        hit = shifted.reshape(n, k, positions)[at].reshape(labels.shape)
        if self.label_smoothing:
            terms -= (1 - self.label_smoothing) * hit + self.label_smoothing * shifted.mean(axis=1)
            slope -= self.label_smoothing / k
        else:
            terms -= hit
        slope.reshape(n, k, positions)[at] -= 1 - self.label_smoothing


class BinaryCrossEntropy(Loss):
    """Cross-entropy of logits of yes-or-no questions: `l = max(z, 0) − z·t + log(1 + e^−|z|)`.

    Prediction and target have the same shape; the target t is 0, 1, a boolean or a probability between.
    The gradient is `sigmoid(z) − t`. Nothing overflows, however large z is.

    Raises:
        ValueError: shapes differ, or a target is outside 0 to 1.

    Example:
        >>> round(BinaryCrossEntropy()([[0.0, 2.0]], [[1, 0]]), 4)
        1.41
    """

    def accuracy(self, prediction: Any, target: Any) -> float | None:
        """Return the fraction on the right side of a probability of one half."""
        right = (np.asarray(prediction) > 0) == (np.asarray(target) > 0.5)
        return float(np.mean(right)) if right.size else 0.0

    def check_target(self, shape: tuple[int, ...], target: Array) -> None:
        """Say what is wrong with probabilities for scores of this shape."""
        super().check_target(shape, target)
        if target.size and not (target.min() >= 0 and target.max() <= 1):
            raise ValueError(
                f"BinaryCrossEntropy: target goes from {target.min():g} to {target.max():g}; "
                f"give values from 0 to 1"
            )

    def _terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        target = target.astype(prediction.dtype, copy=False)
        small = np.exp(-np.abs(prediction))
        terms = np.maximum(prediction, 0) - prediction * target + np.log1p(small)
        sigmoid = np.where(prediction >= 0, 1, small) / (1 + small)
        return terms, sigmoid - target


class MeanSquared(Loss):
    """The mean squared error: `l = (p − t)²`, averaged over every number of the prediction.

    Prediction and target have the same shape; nothing is broadcast.

    Raises:
        ValueError: shapes differ.

    Example:
        >>> MeanSquared()([[1.0, 3.0]], [[0.0, 1.0]])
        2.5
    """

    def _terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        error = prediction - target.astype(prediction.dtype, copy=False)
        return error * error, 2 * error


class Huber(Loss):
    """Squared for small errors, straight for large ones, so that outliers pull less.

    `l = e²/2` where `|e| ≤ δ`, else `δ·(|e| − δ/2)`, with `e = p − t` (Huber, "Robust Estimation of a
    Location Parameter", 1964). Prediction and target have the same shape.

    Args:
        delta: δ, above 0, in the units of the target.

    Raises:
        ValueError: shapes differ.

    Example:
        >>> Huber()([[0.5, 3.0]], [[0.0, 0.0]])
        1.3125
    """

    def __init__(self, delta: float = 1.0) -> None:
        if not 0 < number("Huber", "delta", delta) < math.inf:
            raise ValueError(f"Huber: delta={delta} is not a finite number above 0")
        self.delta = float(delta)

    def _terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        error = prediction - target.astype(prediction.dtype, copy=False)
        slope = np.clip(error, -self.delta, self.delta)
        return slope * (error - slope / 2), slope


_CLASSES = np.dtype(np.int64)


def _simple(scores: Any, labels: Any) -> bool:
    """Tell whether these are scores and class numbers that need no look and no conversion, the labels' range apart."""
    if type(scores) is not np.ndarray or type(labels) is not np.ndarray or labels.dtype is not _CLASSES:
        return False
    shape = scores.shape
    return len(shape) > 1 and labels.shape == (shape[0], *shape[2:]) and engine.compiles(scores)


def _beyond(labels: Array, classes: int) -> bool:
    """Tell whether a label isn't from 0 to below `classes`; read without its sign, a negative one is huge."""
    if labels.dtype.kind == "i":
        labels = labels.view(_unsigned(labels.dtype))
    return bool(labels.size and np.maximum.reduce(labels, axis=None) >= classes)


@cache
def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.str.replace("i", "u"))


def _check_probabilities(target: Array) -> None:
    if not target.size:
        return
    sums = np.sum(target, axis=1, dtype=np.float64)
    worst = float(sums.flat[np.argmax(np.abs(sums - 1))])
    if not target.min() >= 0 or not abs(worst - 1) <= 1e-3:
        raise ValueError(
            f"CrossEntropy: target of shape {target.shape} is read as probabilities over axis 1, but has "
            f"minimum {float(target.min()):g} and a sum of {worst:g}; give values ≥ 0 that add up to 1"
        )
