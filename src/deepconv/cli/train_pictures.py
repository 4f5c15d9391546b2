"""`deepconv train FOLDER`: pictures of one's own, in a folder for each class."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepconv.cli import console
from deepconv.cli.progress import counting
from deepconv.cli.train_job import TrainJob, told
from deepconv.data.folders import PictureFolder, scan_folder
from deepconv.layers import Layer
from deepconv.training.pictures import (
    PicturesPlan,
    PicturesRun,
    PicturesSettings,
    fingerprint,
    plan_pictures,
    train_pictures,
)

__all__ = ["PicturesJob"]

_LISTED = 24  # classes in the summary's table
_NAMED = 3  # files passed over that the summary names
_OPTIONS = {"start": "--from"}


class PicturesJob(TrainJob):
    """A run on a folder of pictures.

    Args:
        data: the folder, as it was typed.
        given: the options' values, None where they were left out.
        workers: threads that decode pictures.
        strict: refuse what would be passed over.
        talk: whether the looking through a large folder may be seen.
    """

    def __init__(
        self, data: str, given: Mapping[str, Any], *, workers: int, strict: bool, talk: bool
    ) -> None:
        self.root = Path(data)
        super().__init__(shlex.quote(data), f"{self.root.resolve().name or 'pictures'}-run")
        self._given, self._workers, self._strict, self._talk = given, workers, strict, talk
        self._folder: PictureFolder | None = None
        self._plan: PicturesPlan | None = None
        self._run: PicturesRun | None = None
        PicturesSettings(**told(given, {}, _OPTIONS))  # a wrong option is said before any file is opened

    def check(self, found: Mapping[str, Any], folder: Path) -> None:
        self._told(found, folder)

    def _told(self, found: Mapping[str, Any], folder: Path) -> PicturesSettings:
        if found and not isinstance(found.get("data"), dict):
            raise ValueError(
                f"train: {folder} holds a run on digits, not on pictures; write deepconv train digits, or name another "
                f"run's folder with --out"
            )
        known = {field.name for field in fields(PicturesSettings)}
        began = {name: value for name, value in found.get("settings", {}).items() if name in known}
        return PicturesSettings(**told(self._given, began, _OPTIONS))

    def settle(self, found: Mapping[str, Any], folder: Path) -> None:
        settings = self._told(found, folder)
        if _inside(folder, self.root):
            raise ValueError(
                f"train: {folder} would lie among the pictures in {self.root}, as if it were a class; name a folder "
                f"elsewhere with --out"
            )
        if self._folder is None:
            self._folder = self._looked_through()
        data = found.get("data")
        if data is not None and data.get("fingerprint") != fingerprint(self._folder):
            raise ValueError(
                f"train: the pictures in {self.root} are not those that the run in {folder} began with "
                f"({data.get('pictures')} then, {len(self._folder)} now); bring them back, or begin anew"
            )
        self._plan = plan_pictures(self._folder, settings)

    def begun(self) -> dict[str, Any]:
        plan = self._planned()
        data = {
            "folder": str(self.root), "pictures": len(plan.folder), "fingerprint": fingerprint(plan.folder)
        }  # fmt: skip
        return {"data": data, "settings": plan.settings.to_dict()}

    def announce(self, folder: Path) -> None:
        plan = self._planned()
        console.say_aside(f"{self.root}: {_found(plan.folder)}")
        _show_classes(plan)
        for line in _choices(plan):
            console.say_aside(line)
        for line in _copied(plan):
            console.say_aside(line)
        if plan.folder.skipped:
            console.say_aside(_passed_over(plan.folder.skipped))
        console.say_aside(f"Writing to {folder}, after every epoch: Ctrl-C loses no more than the one begun.")

    def train(self, callbacks: Sequence[object], checkpoint: Path, *, resume: bool) -> Layer:
        self._run = train_pictures(
            self._planned(), callbacks=callbacks, checkpoint=checkpoint, resume=resume, workers=self._workers,
            strict=self._strict,
        )  # fmt: skip
        return self._run.model

    def result(self, seconds: float) -> dict[str, Any]:
        run, plan = self._finished(), self._planned()
        return {
            "test_accuracy": run.scores.accuracy,
            "test_loss": run.scores.loss,
            "test_pictures": len(run.scores.labels),
            "test_mistakes": run.scores.mistakes,
            "validation_accuracy": run.history[-1].validation_accuracy,
            "train_pictures": len(plan.parts["train"]),
            "validation_pictures": len(plan.parts["validation"]),
            "test_copies": plan.copies["test"],
            "validation_copies": plan.copies["validation"],
            "skipped": len(plan.folder.skipped) + len(run.failed),
            "classes": list(plan.folder.classes),
            "parameters": plan.summary.parameters,
            "seconds": round(seconds, 2),
            "settings": plan.settings.to_dict(),
        }

    def details(self) -> dict[str, Any]:
        """Return the epochs, what there was of each class, the confusion matrix, the mistakes, what was passed over."""
        run, plan = self._finished(), self._planned()
        scores, names = run.scores, plan.folder.classes
        parts = {part: plan.folder.counts(rows) for part, rows in plan.parts.items()}
        per_class = [
            {
                "name": name,
                **{part: int(counts[label]) for part, counts in parts.items()},
                "precision": scores.precision[label],
                "recall": scores.recall[label],
            }
            for label, name in enumerate(names)
        ]
        mistakes = [
            {
                "file": run.files[place],
                "is": names[scores.labels[place]],
                "taken_for": names[scores.predictions[place]],
                "probability": float(scores.certainties[place]),
            }
            for place in (scores.predictions != scores.labels).nonzero()[0]
        ]
        skipped = [
            {"file": file, "reason": reason} for file, reason in [*plan.folder.skipped, *run.failed.items()]
        ]
        return {
            "data": self.begun()["data"],
            **json.loads(run.history.to_json()),
            "per_class": per_class,
            "confusion": scores.confusion.tolist(),
            "mistakes": mistakes,
            "skipped_files": skipped,
        }

    def report(self, path: Path, result: Mapping[str, Any]) -> None:
        from deepconv.report import write_report

        run, plan = self._finished(), self._planned()
        told, percent = plan.settings, f"{result['test_accuracy'] * 100:.2f} %"
        network = told.model or "another model's network"
        write_report(
            path,
            title=f"{self.root.resolve().name}: {percent} of {result['test_pictures']:,} held-out pictures right",
            subtitle=f"{result['train_pictures']:,} pictures of {len(plan.folder.classes)} classes trained on, "
            f"{result['validation_pictures']:,} for validation · {network} at {_by(plan.size)} · {told.epochs} epochs "
            f"of batches of {told.batch_size} · learning rate {told.learning_rate:g} · seed {told.seed} · "
            f"{result['parameters']:,} parameters · {result['seconds']:.0f} s"
            + (f" · {_copies(copies, 'test')}" if (copies := result["test_copies"]) else ""),
            history=run.history,
            model=run.model,
            scores=run.scores,
            shown=run.shown,
        )

    def rows(self, result: Mapping[str, Any]) -> dict[str, Text]:
        right = result["test_pictures"] - result["test_mistakes"]
        accuracy = Text(f"{result['test_accuracy'] * 100:.2f} %", "bold green")
        copies = result.get("test_copies", 0)
        seen = f", {_copies(copies, 'test')}" if copies else " that it never saw"
        accuracy.append(
            f"  ({right:,} of {result['test_pictures']:,} pictures{seen})",
            "bold red" if copies else "not bold default",
        )
        epochs, checked = result["settings"]["epochs"], result["validation_accuracy"]
        rows = {
            "held-out accuracy": accuracy,
            "validation accuracy": Text("–" if checked is None else f"{checked * 100:.2f} %"),
            "trained on": Text(
                f"{result['train_pictures']:,} pictures, {epochs} epoch{'s' * (epochs != 1)}, "
                f"{result['seconds']:.1f} s"
            ),
        }
        if result["skipped"]:
            count = result["skipped"]
            rows["passed over"] = Text(f"{count:,} file{'s' * (count != 1)}, named in history.json")
        return rows

    def _looked_through(self) -> PictureFolder:
        with counting(
            Console(stderr=True) if self._talk else None, f"Looking through {self.root}"
        ) as progress:
            return scan_folder(self.root, strict=self._strict, progress=progress)

    def _planned(self) -> PicturesPlan:
        if self._plan is None:
            raise RuntimeError("PicturesJob: there is no plan yet; call settle first")
        return self._plan

    def _finished(self) -> PicturesRun:
        if self._run is None:
            raise RuntimeError("PicturesJob: there is no run yet; call train first")
        return self._run


def _inside(folder: Path, root: Path) -> bool:
    return root.resolve() in (folder.resolve(), *folder.resolve().parents)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _found(folder: PictureFolder) -> str:
    """Return how many pictures there are, of what, and how large."""
    areas = folder.sizes.prod(axis=1)
    ends = [
        _by((int(height), int(width))) for height, width in folder.sizes[[areas.argmin(), areas.argmax()]]
    ]
    sizes = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return (
        f"{len(folder):,} pictures of {len(folder.classes)} classes, {sizes} pixels, "
        f"{'all grey' if folder.grey else 'in colour'}{', with a ready split' if folder.parts else ''}"
    )


def _show_classes(plan: PicturesPlan) -> None:
    """Print how many pictures of each class every part has; of many classes, of those with fewest and with most."""
    folder = plan.folder
    counts = {part: folder.counts(plan.parts[part]) for part in ("train", "validation", "test")}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for part in counts:
        table.add_column(part, justify="right")
    labels = list(range(len(folder.classes)))
    if len(labels) > _LISTED:
        order = np.argsort(counts["train"], kind="stable").tolist()
        labels = sorted([*order[: _LISTED // 2], *order[-_LISTED // 2 :]])
    for label in labels:
        table.add_row(
            Text(console.printable(folder.classes[label])), *(f"{c[label]:,}" for c in counts.values())
        )
    if len(labels) < len(folder.classes):
        table.add_row(Text(f"… {len(folder.classes) - len(labels)} more"), *("…" for _ in counts))
    table.add_section()
    table.add_row("in all", *(f"{column.sum():,}" for column in counts.values()))
    Console(stderr=True, highlight=False).print(table)


def _choices(plan: PicturesPlan) -> list[str]:
    """Return what was chosen, or told, in lines."""
    told, start = plan.settings, plan.start
    network = f"network {told.model}" if start is None else f"the network of {told.start}"
    if start is not None:
        kept = start.kept(plan.folder.classes)
        network += (
            f" with a new last layer ({len(kept)} of {len(plan.folder.classes)} classes it knew before)"
        )
    counts = plan.folder.counts(plan.parts["train"])
    pictures = (
        f"{network[0].upper()}{network[1:]}, pictures brought to {_by(plan.size)} in "
        f"{'grey' if plan.channels == 1 else 'colour'}: {plan.summary.parameters:,} parameters, "
        f"{plan.summary.multiply_adds / 1e6:,.1f} million multiplications a picture."
    )
    changes = "pictures flipped, moved, coloured and covered anew" if told.augment else "pictures unchanged"
    mixed = f", mixed in pairs ({told.mixup:g})" if told.mixup else ""
    course = (
        f"{told.epochs} epoch{'s' * (told.epochs != 1)} of batches of {told.batch_size}, "
        f"learning rate {told.learning_rate:g}, seed {told.seed}, {changes}{mixed}."
    )
    lines = [pictures, course]
    usual, brought = PicturesSettings(), plan.folder.parts or {}
    lines += [
        f"--{part} {getattr(told, part):g} changes nothing: the folder brings its own {part} part."
        for part in ("validation", "test")
        if part in brought and getattr(told, part) != getattr(usual, part)
    ]
    if told.balance and counts.max() > counts.min():
        lines.append(
            f"Classes have {counts.min():,} to {counts.max():,} pictures; each picture is weighed so that all "
            f"classes count the same."
        )
    return lines


def _copied(plan: PicturesPlan) -> list[str]:
    """Return what is to be said of files with the same bytes, in lines."""
    copies, lines = plan.copies, []
    originals = plan.folder.originals
    equal = 0 if originals is None else int((originals != np.arange(len(originals))).sum())
    if equal:
        lines.append(
            f"{equal:,} picture{'s are copies' if equal != 1 else ' is a copy'} of others, byte for byte"
            f"{'.' if any(copies.values()) else '; copies stay together in one part.'}"
        )
    for part, count in copies.items():
        if count:
            remedy = f"what is found on the {part} part is too good by them: remove them from one of the two"
            lines.append(f"Beware: {_copies(count, part)}; {remedy}.")
    return lines


def _copies(count: int, part: str) -> str:
    several = "s are copies" if count != 1 else " is a copy"
    return f"{count:,} {part} picture{several} of training pictures"


def _passed_over(skipped: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(f"{file} ({reason})" for file, reason in skipped[:_NAMED])
    more = f" and {len(skipped) - _NAMED:,} more" if len(skipped) > _NAMED else ""
    files = f"{len(skipped):,} file{'s' * (len(skipped) != 1)}"
    return (
        f"Passed over {files}: {named}{more}; history.json will name all of them, and --strict refuses them."
    )
