"""The classifier: one of several classes for each sample, or any number of yes-or-no labels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from deepconv.arrays import Array
from deepconv.data.augment import Augment
from deepconv.data.digits import stratified
from deepconv.estimators.base import ConvEstimator
from deepconv.operators.activation import log_softmax, sigmoid, softmax
from deepconv.training.history import History
from deepconv.training.losses import BinaryCrossEntropy, CrossEntropy, Loss

__all__ = ["ConvClassifier"]


class ConvClassifier(ClassifierMixin, ConvEstimator):  # type: ignore[misc]
    """A convolutional network for classes, with the interface of scikit-learn's `MLPClassifier`.

    X is pictures `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`, or flat rows `(N, numbers)` that
    `image_shape` gives a shape; without it rows are signals and are convolved along their length. What a
    channel's mean and deviation are over all of X is learned in `fit`, and each channel is scaled by them, so
    pictures of 0 to 255 need no scaler before; features of different units, side by side in flat rows, do.

    Equal samples are counted, not repeated: a sample of weight 3 is three equal samples, one of weight 0 is
    none, and the order of X's rows changes nothing. `random_state` decides everything else.

    Args:
        layers: "auto", a network that grows with the size of the pictures; "small", "lenet", "resnet" or
            "mobile", those of `deepconv train` for pictures; a tuple such as `(32, "pool", 64, "pool", 128)`
            of filters (a 3 × 3 convolution, batch normalisation and ReLU each; hidden units after
            "flatten" or "global"), the words "pool" (the maximum of 2 × 2), "flatten" (all positions
            in a row) and "global" (the mean of each channel), and layers; or a layer or a list of
            layers of this package. The last linear layer is added, unless layers alone already end in a row of
            numbers. Layers are copied, never trained themselves; those that have values start from them.
        image_shape: of one sample: `(H, W)`, `(H, W, C)`, `(C, H, W)`, `(length,)`, or one axis more for volumes.
        channels: "first", "last" or "auto": the one of these axes that has 1 to 4.
        solver: "adam" (with the weight decay kept apart, AdamW) or "sgd" (with Nesterov's momentum 0.9).
        alpha: weight decay, ≥ 0.
        batch_size: the most samples in a step; "auto" is a twentieth of them, from 16 to 64.
        learning_rate: how the rate goes along the run: "one_cycle" (up, then down to almost nothing),
            "cosine" or "constant".
        learning_rate_init: the highest learning rate.
        max_iter: epochs.
        early_stopping: hold a part out, stop when it no longer improves, and keep the best epoch's weights.
        validation_fraction: that part, stratified.
        n_iter_no_change: how many epochs may pass without a lower loss on it.
        augment: True turns, moves and resizes the training pictures a little; or a function of
            `deepconv.data` or your own, `augment(x, rng)`, of scaled batches `(N, C, H, W)`.
        class_weight: a dict of weights by class, or "balanced", as scikit-learn has it.
        random_state: a number, a `RandomState`, or None for another network every time.
        verbose: print a line for each epoch.
        warm_start: let `fit` go on with the network that is there.

    Attributes:
        classes_: the labels, sorted.
        network_: the trained layers; `network_.save(path)` writes them to a file.
        n_iter_: epochs done.
        loss_curve_: the training loss of each; `loss_` is the last, `best_loss_` the lowest.
        validation_scores_: accuracy on the part held out, each epoch, or None.
        best_validation_score_: of the epoch whose weights were kept.
        n_features_in_: numbers of a sample.
        feature_names_in_: the columns of a data frame.
        image_shape_: the shape of one sample.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> model = ConvClassifier(image_shape=(8, 8), max_iter=3, random_state=0).fit(X[:600], y[:600])
        >>> model.score(X[600:], y[600:]) > 0.8
        True
    """

    _dropout = 0.3

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
        class_weight: Any = None,
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
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network, or with `warm_start` go on with the one that is there.

        Ctrl-C ends the training with what was learned until then, and a warning.

        Args:
            X: pictures or flat rows; NumPy arrays of any real dtype, lists, data frames, sparse matrices.
            y: `(N,)` labels, numbers or strings; or `(N, labels)` of 0 and 1, any number of which may be 1.
            sample_weight: `(N,)`, how much each sample counts; None counts all alike.

        Returns:
            The estimator itself.

        Raises:
            ValueError, TypeError: X, y or a setting can't work.
            TrainingDiverged: the loss became NaN or infinite.
        """
        anew = not (self.warm_start and hasattr(self, "network_"))
        return self._learn(X, y, sample_weight, epochs=self.max_iter, anew=anew)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go once through some samples, at a constant learning rate; the first call learns what they are scaled by.

        Args:
            X: as for `fit`.
            y: as for `fit`; some classes may be missing.
            classes: all there are; needed at the first call, and the same at others if given.
            sample_weight: as for `fit`.

        Returns:
            The estimator itself.

        Raises:
            ValueError, TypeError: as for `fit`, or `classes` is missing or has changed.
            TrainingDiverged: the loss became NaN or infinite.
        """
        anew = not hasattr(self, "network_")
        if anew and classes is None:
            raise ValueError(
                "ConvClassifier.partial_fit: classes=None at the first call; give every class there is"
            )
        if not (
            anew
            or classes is None
            or np.array_equal(np.unique(np.asarray(classes)), np.unique(self.classes_))
        ):
            raise ValueError(
                f"ConvClassifier.partial_fit: classes={classes!r:.100} are not the {len(self.classes_)} of the "
                f"first call; leave them out, or begin with a new estimator"
            )
        return self._learn(X, y, sample_weight, epochs=1, anew=anew, classes=classes)

    def predict(self, X: Any) -> Array:
        """Return the likeliest class of each sample, or the labels that are likelier than not.

        Args:
            X: as for `fit`.
        """
        raw = self._predict_raw(X)
        if self._multilabel:
            return (raw > 0).astype(np.intp)
        found: Array = self.classes_[raw.argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, `(N, classes)`, in the order of `classes_`.

        Args:
            X: as for `fit`.
        """
        raw = self._predict_raw(X)
        return sigmoid(raw) if self._multilabel else softmax(raw)

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`.

        Args:
            X: as for `fit`.
        """
        raw = self._predict_raw(X)
        return -np.logaddexp(0, -raw) if self._multilabel else log_softmax(raw)

    def _targets(self, y: Any, anew: bool, classes: Any) -> Array:
        check_classification_targets(y)
        multilabel = type_of_target(y).startswith("multilabel")
        if not multilabel:
            y = column_or_1d(y, warn=True)
        if not anew:
            return self._encode(y, multilabel)
        self._multilabel = multilabel
        if multilabel:
            if classes is not None and len(classes) != y.shape[1]:
                raise ValueError(
                    f"ConvClassifier.partial_fit: classes={classes!r:.100} names {len(classes)} labels, and y has "
                    f"{y.shape[1]} columns, one for each; name each of them"
                )
            self.classes_ = np.arange(y.shape[1]) if classes is None else np.asarray(classes)
            return np.asarray(y, np.float32)
        self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        if len(self.classes_) < 2:
            shown = ", ".join(map(repr, self.classes_.tolist()))
            raise ValueError(f"ConvClassifier.fit: y has one class, {shown}; two or more are needed")
        return self._encode(y, multilabel)

    def _encode(self, y: Array, multilabel: bool) -> Array:
        if multilabel != self._multilabel or (multilabel and y.shape[1] != len(self.classes_)):
            raise ValueError(
                "ConvClassifier.fit: y has another form than in the first fit; give the same classes"
            )
        if multilabel:
            return np.asarray(y, np.float32)
        places = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        unknown = self.classes_[places] != y
        if unknown.any():
            raise ValueError(
                f"ConvClassifier.fit: y has the class {y[unknown].tolist()[0]!r:.100}, which is not among the "
                f"{len(self.classes_)} of classes_; name every class at the first partial_fit, or begin with a "
                f"new estimator"
            )
        return places.astype(np.int64)

    def _importance(self, y: Any, weight: Array) -> Array:
        if self.class_weight is None:
            return weight
        if isinstance(self.class_weight, str) and self.class_weight == "balanced" and y.ndim == 1:
            classes, numbers = np.unique(y, return_inverse=True)
            counts = np.bincount(numbers, weights=weight)
            weight = weight * (weight.sum() / (len(classes) * counts))[numbers]
        else:
            weight = weight * compute_sample_weight(self.class_weight, y)
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise ValueError(
                f"ConvClassifier.fit: class_weight={self.class_weight!r:.100} has a weight that is negative or "
                f"not finite; give numbers ≥ 0"
            )
        if not weight.any():
            raise ValueError(
                f"ConvClassifier.fit: class_weight={self.class_weight!r:.100} is zero for every sample"
            )
        return weight

    def _apart(self, target: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        if self._multilabel:
            return super()._apart(target, rng)
        return stratified(target, self.validation_fraction, rng)

    def _outputs(self) -> int:
        return len(self.classes_)

    def _loss(self) -> Loss:
        return BinaryCrossEntropy() if self._multilabel else CrossEntropy()

    def _validation_score(self, history: History, epoch: int, target: Array, weight: Array) -> float:
        return float(history[epoch].validation_accuracy or 0.0)
