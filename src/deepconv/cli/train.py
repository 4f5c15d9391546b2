"""`deepconv train`: train a network on the digits that ship or on a folder of pictures, and leave a folder behind."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

from deepconv.cli import console
from deepconv.cli import train_options as options
from deepconv.cli.folders import (
    CHECKPOINT,
    HISTORY,
    MODEL,
    REPORT,
    choose_folder,
    holding,
    put,
    read_history,
    remove_traces,
    stopped_run,
)
from deepconv.cli.train_job import TrainJob
from deepconv.files import clear_parts

__all__ = ["train"]

_NOTHING_KEPT = "Stopped before the first epoch's end; nothing is kept."


def train(
    data: options.Data,
    model: options.Model = None,
    size: options.Size = None,
    start: options.Start = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    seed: options.Seed = None,
    augment: options.Augment = None,
    mixup: options.MixUp = None,
    validation: options.ValidationShare = None,
    test: options.TestShare = None,
    workers: options.Workers = None,
    strict: options.Strict = False,
    out: options.Out = None,
    resume: options.Resume = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> int:
    """Train a network on handwritten digits (half a minute), or on a folder with a folder of pictures for each class.

    Writes a folder: model.safetensors (all that [bold]deepconv predict[/] needs), history.json and
    report.png. A fifth of every class, drawn by the seed, is held out and scored once at the end; a folder that has
    train/ and test/, and perhaps val/, in it is divided as these say.

    A folder that holds a run is never written over. A stopped run goes on with --resume, to the same bits; it
    loses the epoch in which it was stopped and no more.

    --json prints test_accuracy, test_loss, test_mistakes, validation_accuracy, parameters, seconds, settings (of the
    digits epochs, batch_size, learning_rate, seed), the counts test_digits, train_digits, validation_digits, or
    for a folder test_pictures, train_pictures, validation_pictures, test_copies, validation_copies, classes and
    skipped, and the paths out, model, history and report.
    """
    # What is not installed is said before half a minute is spent.
    from deepconv import report as _needs_matplotlib  # noqa: F401
    from deepconv.cli import progress as _needs_rich  # noqa: F401

    if out == "":
        raise ValueError("train: --out is empty; name a folder, or write --out . for this one")
    given = {
        "model": model, "size": size, "start": None if start is None else str(start), "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed, "augment": augment, "mixup": mixup,
        "validation": validation, "test": test,
    }  # fmt: skip
    job = _job(data, given, workers, strict=strict, talk=not quiet)
    if not resume:  # whatever is wrong is said before a folder is made
        job.settle({}, Path(job.name if out is None else out))
    result, folder = _result_in(out, job, resume=resume, talk=not quiet)
    result = {name: value for name, value in result.items() if name not in _LONG} | _paths(folder)
    if as_json:
        console.say_json(result)
    elif not quiet:
        _show(job, result, folder)
    return 0


_LONG = ("epochs", "best_epoch", "confusion", "mistakes", "data", "per_class", "skipped_files")
"""What history.json has and --json leaves out."""


def _job(data: str, given: dict[str, Any], workers: int | None, *, strict: bool, talk: bool) -> TrainJob:
    if data == "digits":
        from deepconv.cli.train_digits import DigitsJob

        return DigitsJob({**given, "workers": workers, "strict": strict})
    if not Path(data).exists():
        raise ValueError(
            f"train: there is no folder {data}; name one with a folder of pictures for each class, or write "
            f"deepconv train digits"
        )
    from deepconv.cli.train_pictures import PicturesJob
    from deepconv.data import pictures as _needs_pillow  # noqa: F401

    return PicturesJob(data, given, workers=2 if workers is None else workers, strict=strict, talk=talk)


def _result_in(out: str | None, job: TrainJob, *, resume: bool, talk: bool) -> tuple[dict[str, Any], Path]:
    """Train, or resume, or find what a finished run came to, with no other run in the folder meanwhile."""
    try:
        folder = choose_folder(None if out is None else Path(out), job.name, resume=resume)
        with holding(folder, resume=resume):
            if resume:
                found = read_history(folder)
                if "test_accuracy" in found and not (folder / CHECKPOINT).exists():
                    job.check(found, folder)
                    return found, folder  # finished already
                job.settle(found, folder)
            return _run(folder, job, resume=resume, talk=talk), folder
    except BrokenPipeError:
        raise  # of standard error, not of the folder
    except OSError as error:
        raise ValueError(
            f"train: {out or 'the current folder'} can't be written: {error.strerror or error}; make room or name "
            f"another folder with --out"
        ) from error


def _run(folder: Path, job: TrainJob, *, resume: bool, talk: bool) -> dict[str, Any]:
    """Train in a folder, and leave it whole, or as it can be resumed, or as it was."""
    from rich.console import Console

    from deepconv.cli.progress import EpochProgress

    began = time.perf_counter()
    progress = EpochProgress(Console(stderr=True))
    try:
        if not (resume and (folder / HISTORY).exists()):
            put(folder / HISTORY, json.dumps(job.begun(), indent=1))
        if talk:
            job.announce(folder)
            if not resume and (other := stopped_run(folder, job.name)):
                console.say_aside(f"{other} holds a stopped run; add --resume to go on with that one.")
        model = job.train([progress] if talk else [], folder / CHECKPOINT, resume=resume)
        progress.stop()
        return _finish(folder, job, model, time.perf_counter() - began)
    except BaseException as error:
        progress.stop()
        kept = (folder / CHECKPOINT).exists()
        if not kept:
            remove_traces(folder)
        if isinstance(error, KeyboardInterrupt):
            console.say_aside(_how_to_go_on(job, folder) if kept else _NOTHING_KEPT)
        raise


def _how_to_go_on(job: TrainJob, folder: Path) -> str:
    return f"Stopped. Go on with: deepconv train {job.words} --out {shlex.quote(str(folder))} --resume"


def _finish(folder: Path, job: TrainJob, model: Any, seconds: float) -> dict[str, Any]:
    """Write what the folder shall hold; the checkpoint goes when all of it is there."""
    result = job.result(seconds)
    model.save(folder / MODEL)
    job.report(folder / REPORT, result)
    put(folder / HISTORY, json.dumps({**result, **job.details()}, indent=1, allow_nan=False))
    for name in (MODEL, HISTORY, REPORT, CHECKPOINT):  # a killed run may have left something half written
        clear_parts(folder / name)
    (folder / CHECKPOINT).unlink()
    return result


def _paths(folder: Path) -> dict[str, str]:
    names = {"model": MODEL, "history": HISTORY, "report": REPORT}
    return {"out": str(folder), **{key: str(folder / name) for key, name in names.items()}}


def _show(job: TrainJob, result: dict[str, Any], folder: Path) -> None:
    """Print the closing table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = job.rows(result)
    rows |= {
        name: Text(str(folder / file))
        for name, file in zip(("model", "history", "report"), (MODEL, HISTORY, REPORT), strict=True)
    }
    table = Table(show_header=False, box=box.SIMPLE)
    table.add_column()
    table.add_column(overflow="fold")  # a path is never cut, however narrow the terminal
    for name, value in rows.items():
        table.add_row(name, value)
    Console(highlight=False).print(table)
    console.say(f"Now: deepconv predict {shlex.quote(str(folder / MODEL))} PICTURE")
