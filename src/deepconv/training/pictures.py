"""The recipe behind `deepconv train FOLDER`: what is chosen from the pictures, and how the network is trained."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.augment import Affine, Augment, ColourJitter, Compose, CutOut, Flip
from deepconv.data.decoding import PictureBatches, picture_statistics
from deepconv.data.folders import PictureFolder, split_folder
from deepconv.layers import Layer
from deepconv.layers.summary import Summary, summarise
from deepconv.models.pictures import NETWORKS, choose_network, choose_size, picture_network
from deepconv.training.history import History
from deepconv.training.losses import CrossEntropy
from deepconv.training.optimizers import AdamW
from deepconv.training.schedules import OneCycle
from deepconv.training.scores import TestScores, score
from deepconv.training.start import Start, read_start
from deepconv.training.trainer import Trainer

__all__ = [
    "PicturesPlan",
    "PicturesRun",
    "PicturesSettings",
    "choose_epochs",
    "plan_pictures",
    "train_pictures",
]

_LEARNING_RATE, _GENTLE = 0.005, 0.001
_SEEN, _FEWEST, _MOST = 60_000, 15, 100


@dataclass(frozen=True)
class PicturesSettings:
    """What a run on a folder of pictures can be told. None lets `plan_pictures` choose from the pictures.

    Args:
        epochs: how often each training picture is seen; see `choose_epochs`.
        batch_size: pictures per step.
        learning_rate: the highest of the one-cycle schedule; 0.005, or 0.001 from another model's weights.
        seed: draws the parts, the first weights, the order and the changes to the pictures.
        model: the network, one of `deepconv.models.NETWORKS`; see `choose_network`.
        size: the side of the square that pictures are brought to, in pixels; see `choose_size`.
        channels: 1 for grey, 3 for colour; grey where no picture has colours.
        augment: how much training pictures are changed: 1 as is usual, 0 not at all.
        mixup: α of mixing pairs of pictures; 0 doesn't.
        validation: the share of each class that is looked at after every epoch.
        test: the share of each class that is held out and scored once.
        balance: weigh pictures so that every class counts the same, however many it has.
        start: a model file whose weights are started from, with a new last layer.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> PicturesSettings(size=32).size
        32
        >>> PicturesSettings(batch_size=0)
        Traceback (most recent call last):
        ValueError: pictures: batch_size=0 must be a whole number of at least 1
    """

    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    seed: int = 0
    model: str | None = None
    size: int | None = None
    channels: int | None = None
    augment: float = 1.0
    mixup: float = 0.0
    validation: float = 0.1
    test: float = 0.2
    balance: bool = True
    start: str | None = None

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "seed": 0, "size": 8}
        for name, value in least.items():
            given = getattr(self, name)
            if given is None and name in ("epochs", "size"):
                continue
            if type(given) is not int or given < value:
                raise ValueError(f"pictures: {name}={given!r} must be a whole number of at least {value}")
        for name in ("learning_rate", "augment", "mixup", "validation", "test"):
            given = getattr(self, name)
            if given is not None and not (
                type(given) in (int, float) and math.isfinite(given) and given >= 0
            ):
                raise ValueError(f"pictures: {name}={given!r} must be a finite number of at least 0")
        if self.learning_rate == 0:
            raise ValueError("pictures: learning_rate=0 teaches nothing; use 0.005")
        if not self.test or self.validation + self.test >= 1:
            raise ValueError(
                f"pictures: validation={self.validation} and test={self.test} must leave some pictures to train on, "
                f"and some to test on; use 0.1 and 0.2"
            )
        if self.model is not None and self.model not in NETWORKS:
            raise ValueError(f"pictures: model={self.model!r} is not one of {', '.join(NETWORKS)}")
        if self.channels not in (None, 1, 3):
            raise ValueError(f"pictures: channels={self.channels!r} is neither 1 (grey) nor 3 (colour)")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data.

        Example:
            >>> PicturesSettings().to_dict()["batch_size"]
            32
        """
        return asdict(self)


@dataclass(frozen=True)
class PicturesPlan:
    """A run before it begins: everything chosen, nothing decoded.

    Args:
        folder: the pictures.
        parts: the rows of "train", "validation" and "test".
        settings: with nothing left open but `model`, which is None where the network is another model's.
        network: what will be trained; without values unless it is another model's.
        summary: the network's parameters and multiplications.
        start: the model started from, if there is one.
    """

    folder: PictureFolder
    parts: Mapping[str, Array]
    settings: PicturesSettings
    network: Layer
    summary: Summary
    start: Start | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width that every picture is brought to."""
        if self.start is not None:
            return self.start.size
        side = self.settings.size or 0
        return side, side

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.settings.channels or 3

    @property
    def copies(self) -> dict[str, int]:
        """How many "test" and "validation" pictures are, byte for byte, training pictures: of a ready split only."""
        train = self.parts["train"]
        return {part: len(self.folder.copies(self.parts[part], train)) for part in ("test", "validation")}


@dataclass(frozen=True)
class PicturesRun:
    """A finished run.

    Args:
        plan: what it was.
        model: the trained network; its `metadata` holds classes, preprocessing and settings.
        history: one record per epoch.
        scores: the held-out pictures, scored once.
        files: their names, in the order of the scores.
        failed: files that could not be decoded, and why.
        mean: of each channel of the training part.
        std: the standard deviation.
    """

    plan: PicturesPlan
    model: Layer
    history: History
    scores: TestScores
    files: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    mean: Sequence[float] = ()
    std: Sequence[float] = ()

    def shown(self, x: Array) -> Array:
        """Return what went into the network as a picture again, `(H, W)` or `(H, W, 3)`, 0 to 1.

        Args:
            x: `(C, H, W)`.
        """
        picture: Array = np.moveaxis(x, 0, -1) * np.asarray(self.std) + np.asarray(self.mean)
        return picture[..., 0] if picture.shape[-1] == 1 else picture


def choose_epochs(pictures: int) -> int:
    """Return how many epochs a training part of this size deserves.

    As many as show the network 60,000 pictures, but at least 15, as the learning rate has to rise and fall, and
    at most 100, as the same few pictures say no more the hundredth time.

    Args:
        pictures: how many are trained on.

    Example:
        >>> [choose_epochs(pictures) for pictures in (50, 2000, 25_000)]
        [100, 30, 15]
    """
    return max(_FEWEST, min(_MOST, math.ceil(_SEEN / max(pictures, 1))))


def plan_pictures(folder: PictureFolder, settings: PicturesSettings | None = None) -> PicturesPlan:
    """Divide the pictures and choose whatever the settings leave open; nothing is decoded.

    Args:
        folder: what `scan_folder` found.
        settings: None leaves everything open.

    Returns:
        The plan.

    Raises:
        ValueError: a class has too few pictures, or the model to start from doesn't fit.
        OSError: that model can't be read.
    """
    told = settings or PicturesSettings()
    parts = split_folder(folder, told.seed, validation=told.validation, test=told.test)
    pictures, classes = len(parts["train"]), len(folder.classes)
    start = None if told.start is None else read_start(Path(told.start), folder.classes, told.seed)
    if start is not None:
        told = _following(told, start)
        network, size = start.network, start.size
    else:
        side = told.size or choose_size(float(np.median(folder.sizes[parts["train"]].min(axis=1))))
        channels = told.channels or (1 if folder.grey else 3)
        name = told.model or choose_network(pictures=pictures, classes=classes, channels=channels, size=side)
        told = replace(told, size=side, channels=channels, model=name)
        network, size = picture_network(name, channels=channels, classes=classes, size=side), (side, side)
    told = replace(
        told,
        epochs=told.epochs or choose_epochs(pictures),
        learning_rate=told.learning_rate or (_LEARNING_RATE if start is None else _GENTLE),
    )
    summary = summarise(network, [(told.channels or 3, *size)])
    return PicturesPlan(folder, parts, told, network, summary, start)


def _following(told: PicturesSettings, start: Start) -> PicturesSettings:
    """The network, the size and the channels are those of the model started from; nothing else may be asked for."""
    size, channels = start.size[0], start.channels
    follows = (("size", told.size, size), ("channels", told.channels, channels), ("model", told.model, None))
    for name, given, own in follows:
        if given not in (None, own):
            has = "brings its own network" if own is None else f"has {own}"
            raise ValueError(f"pictures: {name}={given!r}, but the model to start from {has}; leave it out")
    return replace(told, model=None, size=size, channels=channels)


def train_pictures(
    plan: PicturesPlan,
    *,
    callbacks: Sequence[object] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    workers: int = 2,
    strict: bool = False,
) -> PicturesRun:
    """Train a network on a folder of pictures and score it once on those held out.

    AdamW with a one-cycle learning rate and softened labels; every training picture is changed a little, anew in
    every epoch. Values are standardised by the training part's mean and deviation.

    Args:
        plan: what `plan_pictures` chose.
        callbacks: told of every batch and epoch; see `deepconv.training.callbacks`.
        checkpoint: a file to keep the run's state in after each epoch.
        resume: go on from `checkpoint` if it is there.
        workers: threads that decode; any number gives the same result.
        strict: decode all files first, and stop at one that can't be; else it is left out and named in `failed`.

    Returns:
        The run.

    Raises:
        ValueError: no picture can be decoded, or a checkpoint is damaged or of another run.
        TrainingDiverged: the loss became NaN or infinite.
        OSError: the checkpoint can't be written.
    """
    told, folder, size = plan.settings, plan.folder, plan.size
    if plan.start is None:
        mean, std = picture_statistics(
            folder, plan.parts["train"], size=size, channels=plan.channels, workers=workers
        )
    else:
        mean, std = plan.start.mean, plan.start.std
    common: dict[str, Any] = {
        "size": size, "channels": plan.channels, "batch_size": told.batch_size, "workers": workers,
        "mean": mean, "std": std, "strict": strict,
    }  # fmt: skip
    if strict:  # a damaged picture is met now, not at the end of the run
        for _ in PictureBatches(folder, **common).epoch(0, 0):
            pass
    counts = folder.counts(plan.parts["train"])
    train = PictureBatches(
        folder, plan.parts["train"], shuffle=True, augment=_augment(plan), mixup=told.mixup,
        balance=told.balance and counts.min() != counts.max(), **common,
    )  # fmt: skip
    validation, test = (PictureBatches(folder, plan.parts[part], **common) for part in ("validation", "test"))
    trainer = Trainer(
        plan.network,
        CrossEntropy(label_smoothing=0.1),
        AdamW(told.learning_rate or _LEARNING_RATE, weight_decay=0.05),
        schedule=OneCycle(rise=0.25),
        callbacks=callbacks,
        clip_norm=5.0,
        seed=told.seed,
        checkpoint=checkpoint,
    )
    history = trainer.fit(
        train, validation if len(validation) else None, epochs=told.epochs or _FEWEST, resume=resume
    )
    scores = score(trainer.model, test, folder.classes)
    names = [folder.files[row] for row in test.rows]
    files = tuple(name for name in names if name not in test.failed)
    failed = dict(sorted({**train.failed, **validation.failed, **test.failed}.items()))
    run = PicturesRun(plan, trainer.model, history, scores, files, failed, mean, std)
    trainer.model.metadata = _metadata(run, test.steps)
    return run


def _augment(plan: PicturesPlan) -> Augment | None:
    """Return how training pictures are changed.

    Flipped, for what is left or right of a cat says nothing; turned, resized and moved a little, with the
    picture mirrored at its edges; brighter, paler, harder; and a square covered. Grey pictures as small as characters
    are not flipped: a mirrored letter is another or none.
    """
    much = plan.settings.augment
    if not much:
        return None
    side = min(plan.size)
    move = Affine(
        degrees=10 * much, scale=0.15 * much, shift=side * min(0.1 * much, 0.5), border="mirror"
    )  # fmt: skip
    if plan.channels == 1 and side <= _CHARACTER:
        return move
    light = ColourJitter(brightness=0.2 * much, contrast=0.2 * much, saturation=0.2 * much)
    return Compose(Flip(), move, light, CutOut(round(side * min(0.25 * much, 1.0)), fill=0.5))


_CHARACTER = 28  # pixels, as in `choose_network`


def _metadata(run: PicturesRun, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what goes into the model file beside the network; nothing of it depends on time or place."""
    plan = run.plan
    settings = {name: value for name, value in plan.settings.to_dict().items() if name != "start"}
    metadata = {
        "task": "classification",
        "classes": list(plan.folder.classes),
        "preprocessing": steps,
        "pictures": {part: len(rows) for part, rows in plan.parts.items()},
        "fingerprint": fingerprint(plan.folder),
        "settings": settings,
        "test_accuracy": run.scores.accuracy,
    }
    if plan.start is not None:
        metadata["started_from"] = plan.start.fingerprint
    return metadata


def fingerprint(folder: PictureFolder) -> str:
    """Return a checksum of what a folder's division depends on: names, sizes in pixels, classes, which are copies.

    Args:
        folder: what `scan_folder` found.

    Returns:
        Eight hexadecimal digits; equal folders have equal ones, wherever they lie.
    """
    names = zlib.crc32("\n".join([*folder.classes, "", *folder.files]).encode())
    found = zlib.crc32(np.ascontiguousarray(folder.sizes, "<i8").tobytes(), names)
    if folder.originals is not None and (folder.originals != np.arange(len(folder))).any():
        found = zlib.crc32(np.ascontiguousarray(folder.originals, "<i8").tobytes(), found)
    return f"{found:08x}"
