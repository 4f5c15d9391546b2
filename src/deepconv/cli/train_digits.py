"""`deepconv train digits`: the handwritten digits that ship."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.text import Text

from deepconv.cli import console
from deepconv.cli.train_job import TrainJob, told
from deepconv.layers import Layer
from deepconv.training.digits import DigitsRun, DigitsSettings, train_digits

__all__ = ["DigitsJob"]


class DigitsJob(TrainJob):
    """A run on the digits.

    Args:
        given: the options' values, None where they were left out.

    Raises:
        ValueError: an option that digits don't have, or a value out of its range.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__("digits", "digits-run")
        known = {field.name for field in fields(DigitsSettings)}
        for name, value in given.items():
            if name not in known and value not in (None, False):
                option = "from" if name == "start" else name
                raise ValueError(
                    f"train: --{option} is for folders of pictures; leave it out to train on digits"
                )
        self._given = {name: value for name, value in given.items() if name in known}
        self.settings = DigitsSettings()
        self.run: DigitsRun | None = None

    def check(self, found: Mapping[str, Any], folder: Path) -> None:
        self._told(found, folder)

    def settle(self, found: Mapping[str, Any], folder: Path) -> None:
        self.settings = DigitsSettings(**{**asdict(DigitsSettings()), **self._told(found, folder)})

    def _told(self, found: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        if "data" in found:
            raise ValueError(
                f"train: {folder} holds a run on a folder of pictures, not on digits; name that folder in the place "
                f"of digits, or another run's with --out"
            )
        known = {field.name for field in fields(DigitsSettings)}
        began = {name: value for name, value in found.get("settings", {}).items() if name in known}
        return told(self._given, began, {})

    def begun(self) -> dict[str, Any]:
        return {"settings": self.settings.to_dict()}

    def announce(self, folder: Path) -> None:
        console.say_aside(f"Training on handwritten digits; writing to {folder}.")

    def train(self, callbacks: Sequence[object], checkpoint: Path, *, resume: bool) -> Layer:
        self.run = train_digits(self.settings, callbacks=callbacks, checkpoint=checkpoint, resume=resume)
        return self.run.model

    def result(self, seconds: float) -> dict[str, Any]:
        from deepconv.data.digits import split_digits

        run = self._finished()
        split = split_digits(run.settings.seed)
        values = [parameter.data for parameter in run.model.parameters().values()]
        return {
            "test_accuracy": run.scores.accuracy,
            "test_loss": run.scores.loss,
            "test_digits": len(run.scores.labels),
            "test_mistakes": run.scores.mistakes,
            "validation_accuracy": run.history[-1].validation_accuracy,
            "train_digits": len(split.train[1]),
            "validation_digits": len(split.validation[1]),
            "parameters": sum(value.size for value in values if value is not None),
            "seconds": round(seconds, 2),
            "settings": run.settings.to_dict(),
        }

    def details(self) -> dict[str, Any]:
        """Return the epochs, the confusion matrix and the mistakes."""
        run = self._finished()
        scores = run.scores
        mistakes = [
            {
                "place": int(place),
                "is": scores.classes[scores.labels[place]],
                "taken_for": scores.classes[scores.predictions[place]],
                "probability": float(scores.certainties[place]),
            }
            for place in (scores.predictions != scores.labels).nonzero()[0]
        ]
        return {
            **json.loads(run.history.to_json()),
            "confusion": scores.confusion.tolist(),
            "mistakes": mistakes,
        }

    def report(self, path: Path, result: Mapping[str, Any]) -> None:
        from deepconv.report import write_report

        run = self._finished()
        settings, percent = run.settings, f"{result['test_accuracy'] * 100:.2f} %"
        write_report(
            path,
            title=f"Handwritten digits: {percent} of {result['test_digits']} held-out digits right",
            subtitle=f"{result['train_digits']:,} digits trained on, {result['validation_digits']} for validation · "
            f"{settings.epochs} epoch{'s' * (settings.epochs != 1)} of batches of {settings.batch_size} · "
            f"learning rate {settings.learning_rate:g} · seed {settings.seed} · {result['parameters']:,} parameters · "
            f"{result['seconds']:.0f} s",
            history=run.history,
            model=run.model,
            scores=run.scores,
            things="digits",
        )

    def rows(self, result: Mapping[str, Any]) -> dict[str, Text]:
        right = result["test_digits"] - result["test_mistakes"]
        accuracy = Text(f"{result['test_accuracy'] * 100:.2f} %", "bold green")
        accuracy.append(
            f"  ({right} of {result['test_digits']} digits that it never saw)", "not bold default"
        )
        epochs, seconds = result["settings"]["epochs"], result["seconds"]
        return {
            "held-out accuracy": accuracy,
            "validation accuracy": Text(f"{(result['validation_accuracy'] or 0) * 100:.2f} %"),
            "trained on": Text(
                f"{result['train_digits']:,} digits, {epochs} epoch{'s' * (epochs != 1)}, {seconds:.1f} s"
            ),
        }

    def _finished(self) -> DigitsRun:
        if self.run is None:
            raise RuntimeError("DigitsJob: there is no run yet; call train first")
        return self.run
