"""The history of a run: one record per epoch, to be plotted, saved and gone on from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["EpochRecord", "History"]


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to. What was not measured is None.

    Args:
        epoch: its number, from 1.
        loss: on the training batches as they were trained on, averaged over their samples.
        accuracy: on the same, a fraction; None for losses that know no right and wrong.
        validation_loss: on the validation set, after the epoch.
        validation_accuracy: on the same.
        learning_rate: of the epoch's last step.
        seconds: how long it took, validation included.

    Example:
        >>> EpochRecord(epoch=1, loss=0.5, learning_rate=0.1, seconds=2.0).validation_loss is None
        True
    """

    epoch: int
    loss: float
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    learning_rate: float = 0.0
    seconds: float = 0.0


class History:
    """The records of a run's epochs, in order.

    `best_epoch` is the epoch whose weights the model was given at the end, where early stopping chose one.

    Example:
        >>> history = History([EpochRecord(1, loss=0.5), EpochRecord(2, loss=0.25)])
        >>> history.column("loss"), history[-1].epoch, len(history)
        ([0.5, 0.25], 2, 2)
        >>> History.from_json(history.to_json()) == history
        True
    """

    def __init__(self, records: list[EpochRecord] | None = None, best_epoch: int | None = None) -> None:
        self.records = list(records or [])
        self.best_epoch = best_epoch

    def column(self, name: str) -> list[Any]:
        """Return one value of every epoch, such as `column("validation_loss")`.

        Args:
            name: a field of `EpochRecord`.

        Raises:
            ValueError: there is no such field.

        Example:
            >>> History().column("speed")
            Traceback (most recent call last):
            ValueError: History.column: name='speed' is not one of epoch, loss, accuracy, ...
        """
        if name not in _FIELDS:
            raise ValueError(f"History.column: name={name!r} is not one of {', '.join(_FIELDS)}")
        return [getattr(record, name) for record in self.records]

    def to_json(self) -> str:
        """Return the history as JSON: `{"best_epoch": …, "epochs": [{"epoch": 1, "loss": …}, …]}`."""
        records = [asdict(record) for record in self.records]
        return json.dumps({"best_epoch": self.best_epoch, "epochs": records}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> History:
        """Read what `to_json` wrote.

        Args:
            text: the JSON.

        Raises:
            ValueError: it is not a history.

        Example:
            >>> History.from_json("[]")
            Traceback (most recent call last):
            ValueError: History.from_json: the text is not a history, but list
        """
        data = json.loads(text)
        if not isinstance(data, dict) or not isinstance(data.get("epochs"), list):
            raise ValueError(f"History.from_json: the text is not a history, but {type(data).__name__}")
        records = [_record(number, entry) for number, entry in enumerate(data["epochs"], 1)]
        best = data.get("best_epoch")
        if best is not None and not (isinstance(best, int) and 1 <= best <= len(records)):
            raise ValueError(
                f"History.from_json: best_epoch={best!r} is not one of its {len(records)} epochs"
            )
        return cls(records, best)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[EpochRecord]:
        return iter(self.records)

    def __getitem__(self, index: int) -> EpochRecord:
        return self.records[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"History({self.records!r}, best_epoch={self.best_epoch})"


_FIELDS = tuple(field.name for field in fields(EpochRecord))


def _record(number: int, entry: Any) -> EpochRecord:
    """Read one epoch's entry; each value is a finite number, and only what may be missing is None."""
    if not isinstance(entry, dict) or entry.keys() != set(_FIELDS) or entry["epoch"] != number:
        raise ValueError(f"History.from_json: entry {number} is not the record of epoch {number}")
    for name, value in entry.items():
        missing = value is None and name in ("accuracy", "validation_loss", "validation_accuracy")
        if not missing and not (type(value) in (int, float) and math.isfinite(value)):
            raise ValueError(f"History.from_json: epoch {number} has {name}={value!r}, not a number")
    return EpochRecord(**entry)
