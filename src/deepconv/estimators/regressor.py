"""The regressor: numbers, one or several for each sample."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from deepconv.arrays import Array
from deepconv.data.augment import Augment
from deepconv.estimators.base import ConvEstimator
from deepconv.estimators.layout import Layout
from deepconv.estimators.samples import Scale
from deepconv.training.history import History
from deepconv.training.losses import Loss, MeanSquared

__all__ = ["ConvRegressor"]


class ConvRegressor(MultiOutputMixin, RegressorMixin, ConvEstimator):  # type: ignore[misc]
    """A convolutional network for numbers, with the interface of scikit-learn's `MLPRegressor`.

    It makes the mean squared error small. y is scaled to mean 0 and deviation 1, each output by itself, and
    predictions are scaled back. The arguments are `ConvClassifier`'s, without `class_weight`.

    Attributes are those of `ConvClassifier` without `classes_`; `validation_scores_` are R².

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 6, 6))
        >>> y = x[:, 2:4, 2:4].mean(axis=(1, 2))
        >>> ConvRegressor((16, "pool", 32), random_state=0).fit(x, y).score(x, y) > 0.9
        True
    """

    def __init__(
        self,
        layers: Any = "auto",
        *,
        image_shape: Any = None,
        channels: str = "auto",
        solver: str = "adam",
        alpha: float = 0.01,
        batch_size: int | str = "auto",
        learning_rate: str = "one_cycle",
        learning_rate_init: float = 0.01,
        max_iter: int = 15,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        augment: bool | Augment | None = None,
        random_state: Any = None,
        verbose: bool = False,
        warm_start: bool = False,
    ) -> None:
        super().__init__(
            layers,
            image_shape=image_shape,
            channels=channels,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            max_iter=max_iter,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            augment=augment,
            random_state=random_state,
            verbose=verbose,
            warm_start=warm_start,
        )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network, or with `warm_start` go on with the one that is there.

        Args:
            X: as for `ConvClassifier.fit`.
            y: `(N,)` or `(N, outputs)`, numbers.
            sample_weight: `(N,)`, how much each sample counts; None counts all alike.

        Returns:
            The estimator itself.

        Raises:
            ValueError, TypeError: X, y or a setting can't work.
            TrainingDiverged: the loss became NaN or infinite.
        """
        anew = not (self.warm_start and hasattr(self, "network_"))
        return self._learn(X, y, sample_weight, epochs=self.max_iter, anew=anew)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go once through some samples, at a constant learning rate; the first call learns what they are scaled by.

        Args:
            X: as for `fit`.
            y: as for `fit`.
            sample_weight: as for `fit`.

        Returns:
            The estimator itself.
        """
        return self._learn(X, y, sample_weight, epochs=1, anew=not hasattr(self, "network_"))

    def predict(self, X: Any) -> Array:
        """Return the numbers predicted, `(N,)` or `(N, outputs)`.

        Args:
            X: as for `fit`.
        """
        check_is_fitted(self, "network_")
        found = self._target_scale.up(self._predict_raw(X))
        return found.reshape(-1) if self._row else found

    def _targets(self, y: Any, anew: bool, classes: Any) -> Array:
        y = np.asarray(y, np.float64)
        if len(y) < 2 and anew:
            raise ValueError(
                "ConvRegressor.fit: n_samples=1, and one sample can't be told from its mean; give two"
            )
        row = y.ndim == 1
        y = column_or_1d(y)[:, None] if row else y
        if anew:
            self._row = row
        elif y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"ConvRegressor.fit: y has {y.shape[1]} outputs, but the first fit had {self.n_outputs_}"
            )
        target: Array = y
        return target

    def _measure(self, target: Array, weight: Array) -> None:
        outputs = target.shape[1]
        places = np.arange(len(target))
        self._target_scale = Scale.of(target, Layout((outputs, 1), 0), places, weight)

    def _scaled(self, target: Array) -> Array:
        return self._target_scale.down(target)

    def _outputs(self) -> int:
        return len(self._target_scale.mean)

    def _loss(self) -> Loss:
        return MeanSquared()

    def _validation_score(self, history: History, epoch: int, target: Array, weight: Array) -> float:
        mean = np.average(target, axis=0, weights=weight)
        variance = float(np.average((target - mean) ** 2, axis=0, weights=weight).mean())
        return 1.0 - float(history[epoch].validation_loss or 0.0) / max(variance, 1e-12)
