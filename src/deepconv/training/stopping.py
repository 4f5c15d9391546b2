"""Early stopping: which epoch was best, and when to wait no longer for a better one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepconv.training.history import History
from deepconv.training.settings import number, whole

__all__ = ["EarlyStopping"]

_SIGNS = {"validation_loss": 1.0, "validation_accuracy": -1.0}


@dataclass(frozen=True)
class EarlyStopping:
    """End the run with the best epoch's weights, and end it early when no better epoch comes.

    Everything is read off the history, so a resumed run decides as the uninterrupted one.

    Args:
        patience: how many epochs in a row may pass without a better one; None never stops early and only
            gives the best weights back at the end.
        metric: `"validation_loss"`, of which less is better, or `"validation_accuracy"`. Of equals, the
            first epoch wins.
        minimum_gain: by how much an epoch must be better to count, ≥ 0.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> from deepconv.training.history import EpochRecord
        >>> losses = [0.5, 0.3, 0.4, 0.3]
        >>> history = History([EpochRecord(i, 1.0, validation_loss=v) for i, v in enumerate(losses, 1)])
        >>> EarlyStopping(patience=2).best_epoch(history), EarlyStopping(patience=2).is_over(history)
        (2, True)
    """

    patience: int | None = 10
    metric: str = "validation_loss"
    minimum_gain: float = 0.0

    def __post_init__(self) -> None:
        if self.patience is not None and whole("EarlyStopping", "patience", self.patience) < 1:
            raise ValueError(f"EarlyStopping: patience={self.patience} is below 1; give epochs, or None")
        if self.metric not in _SIGNS:
            raise ValueError(f"EarlyStopping: metric={self.metric!r} is not one of {', '.join(_SIGNS)}")
        if not 0 <= number("EarlyStopping", "minimum_gain", self.minimum_gain) < math.inf:
            raise ValueError(f"EarlyStopping: minimum_gain={self.minimum_gain} is not a finite number ≥ 0")

    def best_epoch(self, history: History) -> int | None:
        """Return the number of the best epoch so far, or None before the first.

        Args:
            history: the run's.
        """
        best, lowest = None, math.inf
        for record in history:
            value = _SIGNS[self.metric] * getattr(record, self.metric)
            if value < lowest - (self.minimum_gain if best else 0.0):
                best, lowest = record.epoch, value
        return best

    def is_over(self, history: History) -> bool:
        """Tell whether patience has run out.

        Args:
            history: the run's.
        """
        best = self.best_epoch(history)
        return best is not None and self.patience is not None and len(history) - best >= self.patience
