"""What both estimators share: their settings, and how X becomes samples and samples a trained network."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from deepconv.arrays import Array
from deepconv.data.augment import Affine, Augment
from deepconv.estimators.layout import Layout, flat_rows
from deepconv.estimators.networks import build
from deepconv.estimators.samples import Samples, Scale, distinct
from deepconv.training.callbacks import EpochLines
from deepconv.training.history import History
from deepconv.training.losses import Loss
from deepconv.training.optimizers import SGD, AdamW, Optimizer
from deepconv.training.schedules import Constant, Cosine, OneCycle, Schedule
from deepconv.training.settings import number, whole
from deepconv.training.stopping import EarlyStopping
from deepconv.training.trainer import Trainer

__all__ = ["ConvEstimator"]

_SCHEDULES: dict[str, Schedule] = {"one_cycle": OneCycle(), "cosine": Cosine(), "constant": Constant()}
_SOLVERS = ("adam", "sgd")
_AUTO_BATCH, _AUTO_STEPS = (16, 64), 20
_AT_ONCE = 2**20  # numbers that go through the network together in inference


class ConvEstimator(BaseEstimator):  # type: ignore[misc]
    """The part of a convolutional estimator that doesn't depend on what y is; see `ConvClassifier`."""

    _dropout = 0.0
    _random: np.random.RandomState

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
        self.layers = layers
        self.image_shape = image_shape
        self.channels = channels
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.augment = augment
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags

    # -- what the classifier and the regressor say ----------------------------------------------

    def _targets(self, y: Any, anew: bool, classes: Any) -> Array:
        """Return y as the loss takes it, having learned what it consists of."""
        raise NotImplementedError

    def _loss(self) -> Loss:
        raise NotImplementedError

    def _outputs(self) -> int:
        """Return how many numbers the network gives for a sample."""
        raise NotImplementedError

    def _importance(self, y: Any, weight: Array) -> Array:
        """Return the samples' weights, with what the estimator itself adds to them."""
        return weight

    def _apart(self, target: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return the places of the samples that are trained on and of those that validate."""
        order = rng.permutation(len(target))
        count = math.ceil(self.validation_fraction * len(target))
        return np.sort(order[count:]), np.sort(order[:count])

    def _validation_score(self, history: History, epoch: int, target: Array, weight: Array) -> float:
        raise NotImplementedError

    # -- fitting ----------------------------------------------------------------------------------

    def _learn(
        self, X: Any, y: Any, sample_weight: Any, *, epochs: int, anew: bool, classes: Any = None
    ) -> Self:
        """Train on X and y: a new network, or the one that is there."""
        op = f"{type(self).__name__}.fit"
        self._check_settings(op)
        rows, y, layout = self._read(op, X, y, anew)
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():
            raise ValueError(f"{op}: sample_weight is zero for every sample; give one above 0")
        if not weight.all():
            kept = np.flatnonzero(weight)
            rows, y, weight = rows[kept], y[kept], weight[kept]
        target = self._targets(y, anew, classes)
        weight = self._importance(y, weight)
        random = check_random_state(self.random_state) if anew else self._random
        seed = int(random.randint(2**31 - 1))
        places, weight = distinct(rows, layout, target, weight)
        if anew:
            self._start(op, layout, rows, places, weight, target, seed)
        self._random = random
        data = rows, self._scaled(target), places, weight
        self._train(op, data, epochs, seed)
        return self

    def _read(self, op: str, X: Any, y: Any, anew: bool) -> tuple[Array, Any, Layout]:
        """Return X as flat rows, y, and the layout of the rows."""
        X, shape = flat_rows(op, X, None if anew else self._layout)
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype="numeric", multi_output=True, reset=anew,
        )  # fmt: skip
        rows = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
        y = y.toarray() if hasattr(y, "toarray") else y
        if not anew:
            return rows, y, self._layout
        return rows, y, Layout.of(op, shape or rows.shape[1:], self.image_shape, self.channels)

    def _start(
        self, op: str, layout: Layout, rows: Array, places: Array, weight: Array, target: Array, seed: int
    ) -> None:
        """Make a new network, and measure what the samples are scaled by."""
        self._measure(target[places], weight)
        inputs, outputs = layout.input_shape, self._outputs()
        self.network_ = build(op, self.layers, inputs, outputs, dropout=self._dropout, seed=seed)
        self._layout, self._scale = layout, Scale.of(rows, layout, places, weight)
        self.image_shape_ = layout.shape
        self.n_outputs_ = outputs
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None
        self._optimizer_state: dict[str, Array] | None = None

    def _measure(self, target: Array, weight: Array) -> None:
        """Learn what the targets are scaled by; nothing for classes."""

    def _scaled(self, target: Array) -> Array:
        """Return the targets as the network learns them."""
        return target

    def _train(self, op: str, data: tuple[Array, Array, Array, Array], epochs: int, seed: int) -> None:
        """Go through the samples so many times, and keep the record of it."""
        rows, target, places, weight = data
        held = np.empty(0, np.intp)
        if self.early_stopping and epochs > 1:
            kept, held = self._apart(target[places], np.random.default_rng(seed))
            if not (len(kept) and len(held)):
                raise ValueError(
                    f"{op}: validation_fraction={self.validation_fraction} of {len(places)} distinct samples "
                    f"leaves {len(kept)} to train on and {len(held)} to validate; give more, or early_stopping=False"
                )
            checked = self._part(rows, target, places[held], weight[held], shuffle=False)
            places, trained_weight = places[kept], weight[kept]
        else:
            checked, trained_weight = None, weight
        trainer = Trainer(
            self.network_,
            self._loss(),
            optimizer := self._optimizer(),
            schedule=_SCHEDULES[self.learning_rate] if epochs > 1 else None,
            callbacks=[_Continue(optimizer, self)] + [EpochLines(sys.stdout)] * bool(self.verbose),
            seed=seed,
            early_stopping=None if checked is None else EarlyStopping(int(self.n_iter_no_change)),
        )
        train = self._part(rows, target, places, trained_weight, shuffle=True)
        augment = self._augmentation(op, train)
        try:
            trainer.fit(train, checked, epochs=epochs, augment=augment)
        except KeyboardInterrupt:
            warnings.warn(
                f"{op}: interrupted; the weights are those at the end of epoch {len(trainer.history)} of {epochs}",
                ConvergenceWarning,
                stacklevel=4,
            )
        self._optimizer_state = optimizer.state()
        self._record(trainer.history, None if checked is None else (target[data[2][held]], weight[held]))

    def _record(self, history: History, checked: tuple[Array, Array] | None) -> None:
        """Add a run to the attributes that tell of it."""
        self.n_iter_ += len(history)
        self.loss_curve_ = [*self.loss_curve_, *history.column("loss")]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else math.nan
        self.best_loss_ = min(self.loss_curve_) if self.loss_curve_ and checked is None else None
        if checked is not None:
            scores = [self._validation_score(history, epoch, *checked) for epoch in range(len(history))]
            self.validation_scores_ = [*(self.validation_scores_ or []), *scores]
            self.best_validation_score_ = scores[history.best_epoch - 1] if history.best_epoch else None

    def _part(self, rows: Array, target: Array, places: Array, weight: Array, *, shuffle: bool) -> Samples:
        total = float(weight.sum())
        equal = bool(len(weight)) and bool(np.all(weight == weight[0]))
        shares = None if equal or not total else weight * (len(weight) / total)
        size = self._batch(len(places))
        return Samples(
            rows, target, places, shares, self._layout, self._scale, batch_size=size, shuffle=shuffle
        )

    def _batch(self, samples: int) -> int:
        if self.batch_size == "auto":  # so many that small sets make some steps in an epoch, too
            return int(np.clip(samples // _AUTO_STEPS, *_AUTO_BATCH))
        return int(self.batch_size)

    def _optimizer(self) -> Optimizer:
        rate, decay = float(self.learning_rate_init), float(self.alpha)
        if self.solver == "sgd":
            return SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
        return AdamW(rate, weight_decay=decay)

    def _augmentation(self, op: str, train: Samples) -> Augment | None:
        """Return what changes the training pictures, if anything."""
        if self.augment is None or self.augment is False:
            return None
        if callable(self.augment):
            return self.augment
        if len(self._layout.input_shape) != 3:
            raise ValueError(
                f"{op}: augment=True turns and moves pictures, and a sample is {self._layout.shape}; "
                f"give image_shape=(H, W), or a function augment(x, rng)"
            )
        pictures = next(iter(train.epoch(0, 0)))[0]
        edges = (pictures[:, :, [0, -1]].ravel(), pictures[..., [0, -1]].ravel())
        side = min(self._layout.input_shape[1:])
        return Affine(
            degrees=8.0, scale=0.08, shift=0.06 * side, shear=0.08, fill=float(np.median(np.concatenate(edges)))
        )  # fmt: skip

    def _check_settings(self, op: str) -> None:
        """Refuse settings that can't work, before anything is computed."""
        for name, words in (("solver", _SOLVERS), ("learning_rate", tuple(_SCHEDULES))):
            if getattr(self, name) not in words:
                known = ", ".join(map(repr, words))
                raise ValueError(f"{op}: {name}={getattr(self, name)!r:.100} is not one of {known}")
        for name in ("max_iter", "n_iter_no_change"):
            if whole(op, name, getattr(self, name)) < 1:
                raise ValueError(f"{op}: {name}={getattr(self, name)} is below 1")
        for name in ("alpha", "learning_rate_init"):
            if not 0 <= number(op, name, getattr(self, name)) < math.inf:
                raise ValueError(f"{op}: {name}={getattr(self, name)} is not a finite number ≥ 0")
        if self.learning_rate_init == 0:
            raise ValueError(f"{op}: learning_rate_init=0 learns nothing; use 0.01")
        if not 0 < number(op, "validation_fraction", self.validation_fraction) < 1:
            raise ValueError(f"{op}: validation_fraction={self.validation_fraction} is not between 0 and 1")
        if self.batch_size != "auto" and whole(op, "batch_size", self.batch_size) < 1:
            raise ValueError(f"{op}: batch_size={self.batch_size} is below 1; give samples, or 'auto'")
        no_function = isinstance(self.augment, type) or not callable(self.augment)
        if no_function and not (self.augment is None or isinstance(self.augment, bool)):
            raise TypeError(
                f"{op}: augment={self.augment!r:.100} is no augmentation; give True, or one of dc.data such "
                f"as dc.data.Flip()"
            )

    # -- predicting -------------------------------------------------------------------------------

    def _predict_raw(self, X: Any) -> Array:
        """Return what the network gives, `(N, outputs)`, float64, a few samples at a time."""
        check_is_fitted(self, "network_")
        X, _ = flat_rows(f"{type(self).__name__}.predict", X, self._layout)
        X = validate_data(self, X, accept_sparse="csr", dtype="numeric", reset=False)
        few = max(1, _AT_ONCE // math.prod(self._layout.input_shape))
        raw = np.empty((X.shape[0], self.n_outputs_))
        for start in range(0, len(raw), few):
            part = X[start : start + few]
            rows = np.asarray(part.toarray() if hasattr(part, "toarray") else part)
            # What comes in float64 is computed in it, so that a sample's number doesn't depend on its batch
            # by more than float64's last bits; the weights are float32 and stay so.
            wide = np.float64 if rows.dtype == np.float64 else np.float32
            x = self._scale.down(self._layout.pictures(rows), dtype=wide)
            with np.errstate(over="ignore", invalid="ignore"):
                raw[start : start + few] = self.network_(x)
        return raw


class _Continue:
    """Gives an optimizer, which the trainer starts afresh, the state that the estimator's last run left it in.

    Args:
        optimizer: of this run.
        estimator: whose it is.
    """

    def __init__(self, optimizer: Optimizer, estimator: ConvEstimator) -> None:
        self.optimizer, self.estimator = optimizer, estimator

    def on_fit_start(self, progress: object) -> None:
        """Give it back.

        Args:
            progress: not used.
        """
        state = self.estimator._optimizer_state
        if state is not None:
            kept = self.estimator.network_.parameters()
            if {key.partition(".")[0] for key in state} - {"steps"} == set(self.optimizer.slots):
                self.optimizer.load_state(state, kept)
