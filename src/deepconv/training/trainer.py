"""The trainer: epochs over batches, each step a pure `apply`, a loss, a pullback and an optimizer."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.augment import Augment
from deepconv.data.batches import Batches, BatchSource
from deepconv.engine.allocator import freed_memory_kept
from deepconv.files import clear_parts
from deepconv.layers.base import Layer
from deepconv.layers.parameter import Buffer, Parameter
from deepconv.training.callbacks import Progress, listeners
from deepconv.training.checkpoints import (
    Checkpoint,
    check_settings,
    describe,
    describe_data,
    read_checkpoint,
    write_checkpoint,
)
from deepconv.training.evaluation import Data, Meter, apply_weighted, evaluate, open_data, unpack
from deepconv.training.history import EpochRecord, History
from deepconv.training.losses import Loss
from deepconv.training.optimizers import Optimizer
from deepconv.training.schedules import Constant, Schedule
from deepconv.training.settings import number, whole
from deepconv.training.stopping import EarlyStopping

__all__ = ["Trainer", "TrainingDiverged"]


class TrainingDiverged(ArithmeticError):
    """Training met NaN or infinity and stopped.

    Args:
        message: what became NaN or infinite, where, and what to try.
        epoch: the epoch's number, from 1.
        batch: the batch's number in it, from 1; None after the last.
        learning_rate: of that step.

    Example:
        >>> TrainingDiverged("loss=nan", epoch=3, batch=7, learning_rate=0.5).batch
        7
    """

    def __init__(self, message: str, *, epoch: int, batch: int | None, learning_rate: float) -> None:
        super().__init__(message)
        self.epoch, self.batch, self.learning_rate = epoch, batch, learning_rate


class Trainer:
    """Fits a model to data.

    A run is decided by its seed, data and settings alone. Sample order, augmentation and dropout of
    epoch e draw from generators made of the seed and e, so a run resumed from a checkpoint ends with the
    same bits as one that was never interrupted.

    Args:
        model: what to train; one without values is initialised from the seed.
        loss: what to make small.
        optimizer: how; `fit` starts it afresh.
        schedule: the factor on its learning rate, by step; None keeps it constant.
        callbacks: objects that are told what happens; see `deepconv.training.callbacks`.
        clip_norm: the longest that all gradients together may be; None doesn't clip.
        seed: decides everything random, ≥ 0.
        early_stopping: watches the validation set, and gives the best weights back at the end.
        checkpoint: the file to keep the run's state in, replaced whole at the end of every epoch.

    Raises:
        TypeError: a callback can't be one.
        ValueError: a setting is out of its range.

    Example:
        >>> from deepconv.layers import Linear
        >>> from deepconv.training import SGD, MeanSquared
        >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
        >>> trainer = Trainer(Linear(3, 1), MeanSquared(), SGD(0.1))
        >>> history = trainer.fit((x, x @ [[1.0], [2.0], [3.0]]), epochs=20)
        >>> trainer.model.parameters()["weight"].data.round(2)
        array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        *,
        schedule: Schedule | None = None,
        callbacks: Sequence[object] = (),
        clip_norm: float | None = None,
        seed: int = 0,
        early_stopping: EarlyStopping | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        _check_parts(model, loss, optimizer, schedule, early_stopping)
        if clip_norm is not None:
            number("Trainer", "clip_norm", clip_norm)
            if not 0 < clip_norm < math.inf:
                raise ValueError(
                    f"Trainer: clip_norm={clip_norm} is not a finite number above 0; None doesn't clip"
                )
        if whole("Trainer", "seed", seed) < 0:
            raise ValueError(f"Trainer: seed={seed} is negative; give a whole number ≥ 0")
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.schedule: Schedule = Constant() if schedule is None else schedule
        if not isinstance(callbacks, Sequence):
            raise TypeError(f"Trainer: callbacks={callbacks!r} is not a list; use callbacks=[...]")
        self.callbacks = tuple(callbacks)
        self.clip_norm, self.seed = clip_norm, int(seed)
        self.early_stopping = early_stopping
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.history = History()
        listeners(self.callbacks)

    def fit(
        self,
        train: Data,
        validation: Data | None = None,
        *,
        epochs: int = 10,
        batch_size: int | None = None,
        augment: Augment | None = None,
        resume: bool = False,
    ) -> History:
        """Train the model.

        However the run ends before its time (NaN, Ctrl-C, an error in a callback), the model is left as
        it was at the end of the last whole epoch, `history` holds the epochs up to it, and so does the
        checkpoint.

        Args:
            train: `(x, y)`, both `(N, …)`; x may be uint8 and is converted batch by batch. Or
                `(x, y, weight)` with how much each sample counts, `(N,)`; or a `BatchSource`, which gives
                batches itself.
            validation: the same; never trained on, seen in inference mode, and changes nothing.
            epochs: how often to go through the training set, all in all (a resumed run included).
            batch_size: samples per step, 32 if None; for arrays only.
            augment: called as `augment(x, rng)` on each training batch, in the model's dtype.
            resume: go on from the checkpoint; where there is no such file yet, start.

        Returns:
            One record per epoch.

        Raises:
            ValueError: sets that are empty or don't fit the model or the loss, early stopping without
                validation, or a checkpoint that is damaged or of another run.
            TrainingDiverged: the loss, a gradient or the weights became NaN or infinite.
            OSError: the checkpoint can't be written.
        """
        self._check(epochs, validation, resume)
        source, check = self._open("train", train, batch_size), None
        if validation is not None:
            own = isinstance(validation, BatchSource)
            check = self._open("validation", validation, None if own else batch_size)
        run = _Run(self, source, check, epochs, augment)
        self.optimizer.reset()
        self.history = History()
        if self.checkpoint is not None:
            clear_parts(self.checkpoint)
            if resume and self.checkpoint.exists():
                self.history = run.resume(self.checkpoint)
        with freed_memory_kept():
            run.go()
        return self.history

    def _check(self, epochs: int, validation: Data | None, resume: bool) -> None:
        """Refuse what can't work before anything is computed."""
        if whole("Trainer.fit", "epochs", epochs) < 1:
            raise ValueError(f"Trainer.fit: epochs={epochs} is below 1")
        if resume and self.checkpoint is None:
            raise ValueError(
                "Trainer.fit: resume=True needs a file to resume from; give Trainer(checkpoint=…)"
            )
        if self.checkpoint is not None:
            folder, shown = self.checkpoint.parent, f"Trainer.fit: checkpoint={str(self.checkpoint)!r}"
            if not folder.is_dir():
                raise FileNotFoundError(f"{shown} is in a folder that isn't there; create it first")
            if not os.access(folder, os.W_OK):
                raise PermissionError(f"{shown} is in a folder that can't be written; choose another")
        if self.early_stopping is not None:
            metric = self.early_stopping.metric
            if validation is None:
                raise ValueError(
                    f"Trainer.fit: early_stopping watches {metric}, but validation=None; give validation=(x, y)"
                )
            if metric == "validation_accuracy" and type(self.loss).accuracy is Loss.accuracy:
                raise ValueError(
                    f"Trainer.fit: early_stopping watches {metric}, but {self.loss!r} knows no accuracy; "
                    f"watch validation_loss"
                )

    def _open(self, name: str, data: Data, batch_size: int | None) -> BatchSource:
        """Return the data as batches, with the model initialised for them and the targets checked."""
        op = f"Trainer.fit: {name}"
        source = open_data(op, data, batch_size, shuffle=name == "train")
        batch = next(iter(source.epoch(self.seed, 0)), None)
        if batch is None:
            raise ValueError(f"{op}: has no samples, though its len() is {len(source)}")
        first = np.asarray(batch[0])
        owned: list[Parameter | Buffer] = [*self.model.parameters().values(), *self.model.buffers().values()]
        if any(value.data is None for value in owned):
            self.model.initialize(first.shape[1:], seed=self.seed)
        if isinstance(source, Batches):
            if source is not data:  # ours, so that float64 reaches a float64 model whole
                source.dtype = self.model.dtype
            outputs = self.model(first[:1].astype(self.model.dtype, copy=False)).shape[1:]
            try:
                self.loss.check_target((source.samples, *outputs), source.y)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{op}: {error}") from None
        return source


def _check_parts(model: Any, loss: Any, optimizer: Any, schedule: Any, early_stopping: Any) -> None:
    """Meet what was mixed up where it was written: a class for its object, a name, the wrong order."""
    wanted = (
        ("model", model, Layer, "dc.Sequential(...)"),
        ("loss", loss, Loss, "dc.CrossEntropy()"),
        ("optimizer", optimizer, Optimizer, "dc.Adam()"),
        ("early_stopping", early_stopping, EarlyStopping | None, "dc.EarlyStopping(patience=5)"),
    )
    for name, value, kind, example in wanted:
        if not isinstance(value, kind):
            what = getattr(kind, "__name__", "EarlyStopping")
            raise TypeError(f"Trainer: {name}={value!r:.100} is no {what}; give an object such as {example}")
    if schedule is not None and (isinstance(schedule, type) or not callable(schedule)):
        raise TypeError(
            f"Trainer: schedule={schedule!r:.100} is no schedule; give an object such as dc.OneCycle()"
        )


class _Run:
    """One `fit`: what stays the same through its epochs, and the weights it may go back to."""

    def __init__(
        self,
        trainer: Trainer,
        train: BatchSource,
        validation: BatchSource | None,
        epochs: int,
        augment: Augment | None,
    ) -> None:
        self.trainer, self.train, self.validation = trainer, train, validation
        self.epochs, self.augment = epochs, augment
        self.model, self.stopping = trainer.model, trainer.early_stopping
        self.parameters = self.model.parameters()
        self.dtype = self.model.dtype
        self.listeners = listeners(trainer.callbacks)
        self.good = self.model.state()  # at the end of the last whole epoch
        self.best: dict[str, Array] = {}  # at the best epoch, where early stopping asks for one

    def go(self) -> None:
        """Run what is left of the epochs, and leave the model with its final weights."""
        history = self.trainer.history
        self._tell("on_fit_start", Progress(len(history) + 1, self.epochs, 0, len(self.train)))
        try:
            for epoch in range(len(history) + 1, self.epochs + 1):
                if self.stopping is not None and self.stopping.is_over(history):
                    break
                record = self._epoch(epoch)
                self._keep(record)
                self._tell("on_epoch_end", record)
        except BaseException:
            self.model.load_state(self.good)
            raise
        if self.best:
            self.model.load_state(self.best)
        self._tell("on_fit_end", history)

    def resume(self, path: Path) -> History:
        """Take up the state in a checkpoint of the same run, and return its history."""
        found = read_checkpoint(path)
        check_settings(found.settings, self.settings)
        if len(found.history) > self.epochs:
            raise ValueError(
                f"Trainer.fit: the checkpoint holds {len(found.history)} epochs, more than epochs={self.epochs}; "
                f"give at least as many, or start anew with resume=False"
            )
        self.trainer.optimizer.load_state(found.optimizer, self.parameters)
        self.model.load_state(found.model)
        self.good, self.best = dict(found.model), dict(found.best)
        return found.history

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Describe all that the run's result depends on, so that a checkpoint can be held against it."""
        trainer, shapes = self.trainer, {n: f"{p.shape} {p.value.dtype}" for n, p in self.parameters.items()}
        settings = {
            "parameters": shapes,
            "model": describe(self.model),
            "loss": describe(trainer.loss),
            "optimizer": describe(trainer.optimizer),
            "schedule": describe(trainer.schedule),
            "clip_norm": trainer.clip_norm,
            "seed": trainer.seed,
            "early_stopping": describe(trainer.early_stopping),
            "augment": describe(self.augment),
            **{f"train {name}": value for name, value in describe_data(self.train).items()},
            **{f"validation {name}": value for name, value in describe_data(self.validation).items()},
        }
        if trainer.schedule != Constant():  # a schedule depends on how long the run is; nothing else does
            settings["epochs"] = self.epochs
        return settings

    def _epoch(self, epoch: int) -> EpochRecord:
        """Train for one epoch, and validate."""
        start, progress = time.perf_counter(), None
        for progress in self._steps(epoch, start):
            self._tell("on_batch_end", progress)
        if progress is None or progress.batch != len(self.train):
            done = 0 if progress is None else progress.batch
            raise ValueError(
                f"Trainer.fit: train gave {done} batches in epoch {epoch}, but its len() is {len(self.train)}"
            )
        rate = progress.learning_rate or 0.0
        record = EpochRecord(epoch, progress.loss or 0.0, progress.accuracy, learning_rate=rate)
        if self.validation is not None:
            loss, accuracy = evaluate(self.model, self.trainer.loss, self.validation)
            if not math.isfinite(loss):
                raise self._diverged(f"validation loss={loss}", epoch, None, rate)
            record = replace(record, validation_loss=loss, validation_accuracy=accuracy)
        return replace(record, seconds=time.perf_counter() - start)

    def _steps(self, epoch: int, start: float) -> Iterator[Progress]:
        """Make an epoch's steps one by one."""
        trainer, batches, meter = self.trainer, len(self.train), Meter()
        augmenting, dropping = (np.random.default_rng([trainer.seed, epoch, use]) for use in (1, 2))
        for batch, parts in enumerate(self.train.epoch(trainer.seed, epoch), 1):
            given, y, weight = unpack(parts)
            if batch > batches:
                raise ValueError(
                    f"Trainer.fit: train gave more batches in epoch {epoch} than its len(), {batches}"
                )
            step = (epoch - 1) * batches + batch - 1
            rate = trainer.optimizer.learning_rate * trainer.schedule(step, self.epochs * batches)
            x = np.asarray(given).astype(self.dtype, copy=False)
            if self.augment is not None:
                x = self.augment(x, augmenting)
            with np.errstate(all="ignore"):  # what overflows shows in the loss or the gradient's norm
                meter.add(*self._step((x, y, weight), rate, dropping, epoch, batch), len(x))
            seconds = time.perf_counter() - start
            yield Progress(epoch, self.epochs, batch, batches, meter.loss, meter.accuracy, rate, seconds)

    def _step(
        self,
        data: tuple[Array, Array, Array | None],
        rate: float,
        rng: np.random.Generator,
        epoch: int,
        batch: int,
    ) -> tuple[float, float | None]:
        """Change the model by one batch; return its loss and accuracy."""
        trainer, (x, y, weight) = self.trainer, data
        prediction, pullback = self.model.apply(x, training=True, rng=rng)
        loss, slope = apply_weighted(trainer.loss, prediction, y, weight)
        if not math.isfinite(loss):
            cause = "" if np.isfinite(x).all() else ", as x of this batch holds NaN or infinity,"
            raise self._diverged(f"loss={loss}{cause}", epoch, batch, rate)
        try:
            trainer.optimizer.step(
                self.parameters, pullback.parameter_gradients(slope), rate, clip_norm=trainer.clip_norm
            )
        except FloatingPointError as error:
            raise self._diverged(f"loss={loss:.6g}, but {error}", epoch, batch, rate) from error
        pullback.commit()
        return loss, trainer.loss.accuracy(prediction, y)

    def _keep(self, record: EpochRecord) -> None:
        """Make the epoch part of the run: in the checkpoint, the history, and the weights to go back to."""
        history, trainer, state = self.trainer.history, self.trainer, self.model.state()
        for name, array in state.items():
            if not np.isfinite(array).all():
                raise self._diverged(
                    f"{name!r} holds NaN or infinity", record.epoch, None, record.learning_rate
                )
        longer, best = History([*history, record]), self.best
        if self.stopping is not None:
            longer.best_epoch = self.stopping.best_epoch(longer)
            best = state if longer.best_epoch == record.epoch else best
        if trainer.checkpoint is not None:
            optimizer = trainer.optimizer.state()
            write_checkpoint(trainer.checkpoint, Checkpoint(self.settings, longer, state, optimizer, best))
        history.records, history.best_epoch = longer.records, longer.best_epoch
        self.good, self.best = state, best

    def _diverged(self, what: str, epoch: int, batch: int | None, rate: float) -> TrainingDiverged:
        where = f"epoch {epoch}, " + (
            f"batch {batch} of {len(self.train)}" if batch else "after its last batch"
        )
        back = f"the end of epoch {epoch - 1}" if epoch > 1 else "what they were before it"
        clip = "" if self.trainer.clip_norm else " or set clip_norm=1.0"
        return TrainingDiverged(
            f"Trainer.fit: {what} at {where} (learning rate {rate:.6g}); the weights are back at {back}; "
            f"lower the learning rate{clip}, and see that x and y hold no NaN",
            epoch=epoch,
            batch=batch,
            learning_rate=rate,
        )

    def _tell(self, event: str, news: object) -> None:
        for listener in self.listeners[event]:
            listener(news)
