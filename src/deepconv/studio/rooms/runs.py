"""A training run that the page started: in a thread of its own, in a folder of its own, stoppable at any step."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepconv.data.digits import CLASSES
from deepconv.data.preprocessing import DIGITS
from deepconv.files import atomic_write
from deepconv.layers import Layer
from deepconv.models.digits import digits_network
from deepconv.training.callbacks import Progress
from deepconv.training.digits import DigitsSettings, train_digits
from deepconv.training.history import EpochRecord

__all__ = ["Run", "start"]

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
    """

    classes: tuple[str, ...] = tuple(CLASSES)
    preprocessing: Sequence[Mapping[str, Any]] = DIGITS

    def __init__(self, folder: Path, settings: DigitsSettings) -> None:
        self.folder, self.settings, self.epochs = folder, settings, settings.epochs
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
        folder, settings = _resumable() if resume else _fresh(DigitsSettings(epochs=epochs, seed=seed))
    except BaseException:
        _AT_ONCE.release()
        raise
    run, network = Run(folder, settings), digits_network()
    work = (run, network, batch, epoch, end)
    threading.Thread(target=_work, args=work, name="studio-training", daemon=True).start()
    return run


def _fresh(settings: DigitsSettings) -> tuple[Path, DigitsSettings]:
    for number in range(1, 10_000):
        folder = Path(_NAME if number == 1 else f"{_NAME}-{number}")
        try:
            folder.mkdir()
            atomic_write(folder / _SETTINGS, json.dumps(asdict(settings)).encode())
        except FileExistsError:
            continue
        except OSError as error:
            raise ValueError(
                f"train: {folder} can't be written: {error.strerror}; start the studio elsewhere"
            ) from error
        return folder, settings
    raise ValueError(f"train: there are ten thousand folders named {_NAME}; remove some")


def _resumable() -> tuple[Path, DigitsSettings]:
    found = [
        path.parent for path in Path().glob(f"{_NAME}*/{_CHECKPOINT}") if (path.parent / _SETTINGS).is_file()
    ]
    if not found:
        raise ValueError("train: there is no stopped run to go on with; begin a new one")
    folder = max(found, key=lambda path: (path / _CHECKPOINT).stat().st_mtime)
    try:
        return folder, DigitsSettings(**json.loads((folder / _SETTINGS).read_text()))
    except (ValueError, TypeError, OSError):
        raise ValueError(f"train: {folder} holds no settings that can be read; begin a new run") from None


class _News:
    """Callback of the trainer."""

    def __init__(self, run: Run, network: Layer, batch: Any, epoch: Any) -> None:
        self._run, self._network, self._batch, self._epoch = run, network, batch, epoch

    def on_batch_end(self, progress: Progress) -> None:
        self._run.check()
        if progress.batch % max(1, progress.batches // 4) == 0:
            self._batch({"epoch": progress.epoch, "fraction": progress.fraction, "loss": progress.loss})

    def on_epoch_end(self, record: EpochRecord) -> None:
        self._epoch(self._network, asdict(record))


def _work(run: Run, network: Layer, batch: Any, epoch: Any, end: Any) -> None:
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
        _AT_ONCE.release()
    end(model, news)
