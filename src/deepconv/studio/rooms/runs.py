"""A training run that the page started: in a thread of its own, in a folder of its own, stoppable at any step."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.data.digits import CLASSES
from deepconv.data.preprocessing import DIGITS
from deepconv.files import Hold, atomic_write, hold
from deepconv.layers import Layer
from deepconv.models.digits import digits_network
from deepconv.training.callbacks import Progress
from deepconv.training.checkpoints import read_checkpoint
from deepconv.training.digits import SMOOTHING, DigitsSettings, train_digits
from deepconv.training.history import EpochRecord
from deepconv.training.losses import CrossEntropy

__all__ = ["Run", "least_loss", "start", "waiting"]

_NAME = "studio-run"
_CHECKPOINT, _MODEL, _SETTINGS = "checkpoint.safetensors", "model.safetensors", "settings.json"
_AT_ONCE = threading.BoundedSemaphore(2)
"""How many runs a studio has at once: each keeps a processor busy."""


class _Stopped(Exception):
    """The person has stopped the run."""


class Run:
    """A run under way.

    Args:
        folder: where its checkpoint is and its model will be.
        settings: what it was told.
        records: the epochs that it had before it was stopped.
    """

    classes: tuple[str, ...] = tuple(CLASSES)
    preprocessing: Sequence[Mapping[str, Any]] = DIGITS

    def __init__(self, folder: Path, settings: DigitsSettings, records: Sequence[EpochRecord] = ()) -> None:
        self.folder, self.settings, self.epochs = folder, settings, settings.epochs
        self.records: list[dict[str, Any]] = [asdict(record) for record in records]
        """What each epoch came to, those before it was stopped included."""
        self.batch: dict[str, Any] | None = None
        """The last news of a step."""
        self._going, self._stop = threading.Event(), threading.Event()
        self._going.set()
        self.alive = True
        """Whether it is still going, or waiting to go on."""

    def pause(self) -> None:
        """Wait before the next step."""
        self._going.clear()

    @property
    def paused(self) -> bool:
        """Whether it waits to go on."""
        return self.alive and not self._going.is_set()

    def go_on(self) -> None:
        """Go on after a pause."""
        self._going.set()

    def stop(self) -> None:
        """End before the next step; the checkpoint of the last whole epoch stays."""
        self._stop.set()
        self._going.set()

    def check(self) -> None:
        """Wait while paused, and end where stopped; called after every step."""
        self._going.wait()
        if self._stop.is_set():
            raise _Stopped


def start(
    *,
    epochs: int,
    seed: int,
    resume: bool,
    batch: Callable[[dict[str, Any]], object],
    epoch: Callable[[Layer, dict[str, Any]], object],
    end: Callable[[Layer | None, dict[str, Any]], object],
) -> Run:
    """Begin a run on the digits in a thread.

    Args:
        epochs: how many.
        seed: decides everything random.
        resume: go on with the last stopped run in the current folder, with its own settings.
        batch: told of the steps, a few times in each epoch.
        epoch: told of every epoch, with the network.
        end: told how it ended, with the finished network or None.

    Raises:
        ValueError: two are running already, or there is nothing to resume, or the folder can't be written.
    """
    if not _AT_ONCE.acquire(blocking=False):
        raise ValueError(
            "train: two networks are being trained in this studio already; wait for one, or stop it"
        )
    try:
        run, held = _resumable() if resume else _fresh(DigitsSettings(epochs=epochs, seed=seed))
    except BaseException:
        _AT_ONCE.release()
        raise
    work = (run, held, digits_network(), batch, epoch, end)
    threading.Thread(target=_work, args=work, name="studio-training", daemon=True).start()
    return run


def waiting() -> dict[str, Any] | None:
    """Return which run `start(resume=True)` would go on with: its folder and settings, and the epochs it has.

    `busy` says that somebody writes into it still, perhaps only until its next step; None where nothing waits.
    """
    busy: Path | None = None
    for folder in _stopped():
        held = hold(folder)
        if held is None:
            busy = busy or folder
            continue
        held.release()
        return _described(folder, busy=False)
    return _described(busy, busy=True) if busy else None


def _described(folder: Path, *, busy: bool) -> dict[str, Any] | None:
    try:
        settings, records = _read(folder)
    except ValueError:
        return None
    return {
        "folder": str(folder), "epochs": settings.epochs, "seed": settings.seed, "done": len(records), "busy": busy,
    }  # fmt: skip


def _fresh(settings: DigitsSettings) -> tuple[Run, Hold]:
    for number in range(1, 10_000):
        folder = Path(_NAME if number == 1 else f"{_NAME}-{number}")
        held = None
        try:
            folder.mkdir()
            held = hold(folder)
            if held is None:  # another process was quicker
                continue
            atomic_write(folder / _SETTINGS, json.dumps(asdict(settings)).encode())
        except FileExistsError:
            continue
        except OSError as error:
            if held is not None:
                held.release()
            raise ValueError(
                f"train: {folder} can't be written: {error.strerror}; start the studio elsewhere"
            ) from error
        return Run(folder, settings), held
    raise ValueError(f"train: there are ten thousand folders named {_NAME}; remove some")


def _stopped() -> list[Path]:
    """Return the folders of runs that didn't come to their end, the last first.

    One that was stopped in its first epoch has no checkpoint yet and begins anew.
    """
    found = []
    for path in Path().glob(f"{_NAME}*/{_SETTINGS}"):
        folder = path.parent
        if (folder / _CHECKPOINT).is_file() or not (folder / _MODEL).exists():
            newest = folder / _CHECKPOINT if (folder / _CHECKPOINT).is_file() else path
            found.append((newest.stat().st_mtime_ns, folder))
    return [folder for _, folder in sorted(found, reverse=True)]


def _resumable() -> tuple[Run, Hold]:
    """Take the last stopped run that nobody else writes."""
    folders = _stopped()
    for folder in folders:
        held = hold(folder)
        if held is None:
            continue
        try:
            return Run(folder, *_read(folder)), held
        except BaseException:
            held.release()
            raise
    if folders:
        raise ValueError(
            f"train: {folders[0]} is being trained right now, by another page or another studio; wait for it, or "
            f"begin a new run"
        )
    raise ValueError("train: there is no stopped run to go on with; begin a new one")


def _read(folder: Path) -> tuple[DigitsSettings, list[EpochRecord]]:
    """Return a run's settings and the epochs that its checkpoint holds."""
    try:
        settings = DigitsSettings(**json.loads((folder / _SETTINGS).read_text()))
    except (ValueError, TypeError, OSError):
        raise ValueError(f"train: {folder} holds no settings that can be read; begin a new run") from None
    if not (folder / _CHECKPOINT).is_file():
        return settings, []
    return settings, list(read_checkpoint(folder / _CHECKPOINT).history)


def least_loss() -> float:
    """Return the lowest loss that there is: labels are smoothed, and what they are spread over can't be told."""
    share = SMOOTHING / len(CLASSES)
    spread = np.full((1, len(CLASSES)), share)
    spread[0, 0] += 1 - SMOOTHING
    return CrossEntropy(label_smoothing=SMOOTHING)(np.log(spread), np.array([0]))


class _News:
    """Callback of the trainer."""

    def __init__(self, run: Run, network: Layer, batch: Any, epoch: Any) -> None:
        self._run, self._network, self._batch, self._epoch = run, network, batch, epoch

    def on_batch_end(self, progress: Progress) -> None:
        self._run.check()
        if progress.batch % max(1, progress.batches // 4) == 0:
            self._run.batch = {
                "epoch": progress.epoch, "fraction": progress.fraction, "loss": progress.loss,
            }  # fmt: skip
            self._batch(self._run.batch)

    def on_epoch_end(self, record: EpochRecord) -> None:
        self._run.records.append(asdict(record))
        self._epoch(self._network, asdict(record))


def _work(run: Run, held: Hold, network: Layer, batch: Any, epoch: Any, end: Any) -> None:
    model, news = None, {}
    try:
        done = train_digits(
            run.settings,
            model=network,
            callbacks=[_News(run, network, batch, epoch)],
            checkpoint=run.folder / _CHECKPOINT,
            resume=True,
        )
        model, news = done.model, {"accuracy": done.scores.accuracy, "model": str(run.folder / _MODEL)}
        model.save(run.folder / _MODEL)
        (run.folder / _CHECKPOINT).unlink()
    except _Stopped:
        news = {"stopped": True, "checkpoint": str(run.folder / _CHECKPOINT)}
    except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to; the page is told
        news = {"error": f"{type(error).__name__}: {error}"}
    finally:
        run.alive = False
        held.release()
        _AT_ONCE.release()
    end(model, news)
