"""What a person sees while a network trains: a line per epoch, and a bar with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from deepconv.training import EpochRecord
from deepconv.training import Progress as Step

__all__ = ["EpochProgress", "counting"]


class EpochProgress:
    """A callback for the trainer. On a terminal a bar moves under the lines; elsewhere there are lines only.

    Args:
        console: where to write.

    Example:
        >>> progress = EpochProgress(Console(width=100))
        >>> progress.on_fit_start(Step(epoch=0, epochs=2, batch=0, batches=41))
        >>> progress.on_epoch_end(EpochRecord(1, loss=0.25, accuracy=0.9, seconds=2.0))
        epoch 1/2   loss 0.2500   accuracy  90.0 %   2.0 s   0:02 left
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._epochs, self._before, self._done, self._seconds = 0, 0, 0, 0.0
        self._bar: Progress | None = None
        self._task: Any = None
        self._began = 0.0

    def on_fit_start(self, step: Step) -> None:
        """Note how long the run will be, and start the bar.

        Args:
            step: where the run stands; past its start if it was resumed.
        """
        self._epochs, self._before, self._done = step.epochs, step.epoch, step.epoch
        self._began = time.perf_counter()
        if self.console.is_terminal:
            columns = (
                "[bold]{task.fields[epoch]}",
                BarColumn(40),
                "{task.percentage:3.0f} %",
                "{task.fields[news]}",
            )
            parts = [TextColumn(part) if isinstance(part, str) else part for part in columns]
            self._bar = Progress(*parts, console=self.console, transient=True)
            self._bar.start()
            total = step.epochs * step.batches
            done = step.epoch * step.batches
            self._task = self._bar.add_task("", total=total, completed=done, epoch="", news="")

    def on_batch_end(self, step: Step) -> None:
        """Move the bar.

        Args:
            step: the batch just done.
        """
        if self._bar is None:
            return
        share = step.fraction - self._before / step.epochs
        passed = time.perf_counter() - self._began
        left = passed / share * (1 - step.fraction) if share > 0 else 0.0
        news = [f"loss {step.loss:.3f}" if step.loss is not None else "", _percent("accuracy", step.accuracy)]
        self._bar.update(
            self._task,
            completed=(step.epoch - 1) * step.batches + step.batch,
            epoch=f"epoch {step.epoch}/{step.epochs}",
            news="   ".join([*filter(None, news), f"{_clock(left)} left"]),
        )

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Write the epoch's line.

        Args:
            record: the epoch's.
        """
        self._seconds += record.seconds
        self._done += 1
        left = self._seconds / (self._done - self._before) * (self._epochs - self._done)
        width = len(str(self._epochs))
        parts = [
            f"epoch {record.epoch:>{width}}/{self._epochs}",
            f"loss {record.loss:.4f}",
            _percent("accuracy", record.accuracy),
            _percent("validation", record.validation_accuracy),
            f"{record.seconds:.1f} s",
            f"{_clock(left)} left",
        ]
        self.console.print("   ".join(filter(None, parts)), highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away, however the run ended."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def counting(console: Console | None, words: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far something has come that is counted, for as long as the block takes.

    Args:
        console: where to; None, or one that is no terminal, shows nothing.
        words: what is being done.

    Yields:
        A function to be called with the number done and the number of all; None where nothing is shown.

    Example:
        >>> with counting(None, "Looking through photos") as count:
        ...     print(count)
        None
    """
    if console is None or not console.is_terminal:
        yield None
        return
    parts = (
        TextColumn("{task.description}"),
        BarColumn(40),
        TextColumn("{task.completed:,} of {task.total:,}"),
    )
    with Progress(*parts, console=console, transient=True) as bar:
        task = bar.add_task(words.replace("[", r"\["), total=0)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _percent(name: str, value: float | None) -> str:
    return "" if value is None else f"{name} {value * 100:5.1f} %"


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
