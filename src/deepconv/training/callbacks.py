"""Callbacks: how a run tells the outside what it does. Without one it says nothing.

A callback is any object with some of these methods:

    on_fit_start(progress)     before the first epoch
    on_batch_end(progress)     after every step
    on_epoch_end(record)       after every epoch, once its checkpoint is safe
    on_fit_end(history)        at the end, once the model has its final weights; not after an error

They are called in the order in which they were given; an error in one ends the run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from deepconv.training.history import EpochRecord

__all__ = ["EpochLines", "Progress", "listeners"]

EVENTS = ("on_fit_start", "on_batch_end", "on_epoch_end", "on_fit_end")


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Args:
        epoch: its number, from 1; at the start of the run, that of the epoch about to begin.
        epochs: how many there will be at most.
        batch: batches done in this epoch.
        batches: how many an epoch has.
        loss: of this epoch's samples so far, on average; None at the start.
        accuracy: the same, where the loss has one.
        learning_rate: of the last step; None at the start.
        seconds: since the epoch began.

    Example:
        >>> progress = Progress(epoch=2, epochs=10, batch=30, batches=60)
        >>> progress.fraction
        0.15
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float | None = None
    accuracy: float | None = None
    learning_rate: float | None = None
    seconds: float = 0.0

    @property
    def fraction(self) -> float:
        """How much of the whole run is done."""
        return (self.epoch - 1 + self.batch / self.batches) / self.epochs


class EpochLines:
    """Write one line per epoch.

    Args:
        stream: where to; None is standard output.

    Example:
        >>> EpochLines().on_epoch_end(EpochRecord(3, loss=0.25, accuracy=0.9, learning_rate=0.01, seconds=1))
        epoch 3: loss 0.25, accuracy 90.00 %, learning rate 0.01, 1.0 s
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Write the line.

        Args:
            record: the epoch's.
        """
        parts = [f"loss {record.loss:.4g}"]
        if record.accuracy is not None:
            parts.append(f"accuracy {record.accuracy:.2%}".replace("%", " %"))
        if record.validation_loss is not None:
            parts.append(f"validation loss {record.validation_loss:.4g}")
        if record.validation_accuracy is not None:
            parts.append(f"validation accuracy {record.validation_accuracy:.2%}".replace("%", " %"))
        parts += [f"learning rate {record.learning_rate:.3g}", f"{record.seconds:.1f} s"]
        stream = sys.stdout if self.stream is None else self.stream
        stream.write(f"epoch {record.epoch}: {', '.join(parts)}\n")
        stream.flush()


def listeners(callbacks: Sequence[object]) -> dict[str, list[Callable[[Any], object]]]:
    """Return, for each event, the methods to call.

    Args:
        callbacks: the callbacks, in order.

    Raises:
        TypeError: one has no method for any event, or one for an event that doesn't exist.

    Example:
        >>> len(listeners([EpochLines()])["on_epoch_end"])
        1
        >>> listeners([print])
        Traceback (most recent call last):
        TypeError: callback: <built-in function print> has none of on_fit_start, on_batch_end, ...
    """
    for callback in callbacks:
        named = [name for name in dir(callback) if name.startswith("on_")]
        unknown = [name for name in named if name not in EVENTS]
        if unknown:
            raise TypeError(
                f"callback: {callback!r} has {unknown[0]}, but the events are {', '.join(EVENTS)}"
            )
        if not named:
            raise TypeError(f"callback: {callback!r} has none of {', '.join(EVENTS)}")
    return {event: [getattr(c, event) for c in callbacks if hasattr(c, event)] for event in EVENTS}
