"""`deepconv train`: train a network on the digits that ship, and leave a folder behind."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from deepconv.cli import console
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
from deepconv.files import clear_parts
from deepconv.training.digits import DigitsRun, DigitsSettings, train_digits

__all__ = ["train"]

_DEFAULTS = DigitsSettings()
_NOTHING_KEPT = "Stopped before the first epoch's end; nothing is kept."


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="digits",
            help="The 1,797 handwritten digits that come with deepconv. A folder of that name is ./digits "
            "(folders of pictures: a later version).",
        ),
    ],
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, max=1_000_000, help=f"How often each digit is seen [dim]({_DEFAULTS.epochs})[/]."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help=f"Digits per step [dim]({_DEFAULTS.batch_size})[/].")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help=f"The highest of the schedule [dim]({_DEFAULTS.learning_rate})[/].")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help=f"Decides everything random [dim]({_DEFAULTS.seed})[/].")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="<path>", help="The folder to write; digits-run, or the next number that is free."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Train a network on handwritten digits; half a minute.

    Writes a folder: model.safetensors (all that [bold]deepconv predict[/] needs), history.json and
    report.png. A fifth of the digits, drawn by the seed, is held out and scored once at the end.

    A folder that holds a run is never written over. A stopped run goes on with --resume, to the same bits.

    --json prints test_accuracy, test_loss, test_digits, test_mistakes, validation_accuracy, train_digits,
    validation_digits, parameters, seconds, settings (epochs, batch_size, learning_rate, seed), and the
    paths out, model, history and report.
    """
    if data != "digits":
        raise ValueError(_not_here_yet(data))
    # What is not installed is said before half a minute is spent.
    from deepconv import report as _needs_matplotlib  # noqa: F401
    from deepconv.cli import progress as _needs_rich  # noqa: F401

    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    settings = _settings(given, {})  # checked before a folder is made
    if out == "":
        raise ValueError("train: --out is empty; name a folder, or write --out . for this one")
    result, folder = _result_in(out, settings, given, resume=resume, talk=not quiet)
    result = {name: value for name, value in result.items() if name not in _LONG} | _paths(folder)
    if as_json:
        console.say_json(result)
    elif not quiet:
        _show(result, folder)
    return 0


def _result_in(
    out: str | None, settings: DigitsSettings, given: dict[str, Any], *, resume: bool, talk: bool
) -> tuple[dict[str, Any], Path]:
    """Train, or resume, or find what a finished run came to, with no other run in the folder meanwhile."""
    try:
        folder = choose_folder(None if out is None else Path(out), resume=resume)
        with holding(folder, resume=resume):
            if resume:
                found = read_history(folder)
                settings = _settings(given, found.get("settings", {}))
                if "test_accuracy" in found and not (folder / CHECKPOINT).exists():
                    return found, folder  # finished already
            return _run(folder, settings, resume=resume, talk=talk), folder
    except BrokenPipeError:
        raise  # of standard error, not of the folder
    except OSError as error:
        raise ValueError(
            f"train: {out or 'the current folder'} can't be written: {error.strerror or error}; make room or name "
            f"another folder with --out"
        ) from error


_LONG = ("epochs", "best_epoch", "confusion", "mistakes")
"""What history.json has and --json leaves out."""


def _not_here_yet(data: str) -> str:
    folder = f"{data.rstrip('/')} is a folder, and training" if Path(data).is_dir() else "Training"
    return f"train: {folder} on pictures of one's own comes in a later version; write deepconv train digits"


def _settings(given: dict[str, Any], found: dict[str, Any]) -> DigitsSettings:
    """Return what the run is told: by the options, else as it began, else by default."""
    known = {field.name for field in fields(DigitsSettings)}
    began = {name: value for name, value in found.items() if name in known}
    told = {name: value for name, value in given.items() if value is not None}
    for name in told.keys() & began.keys():
        if told[name] != began[name]:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"train: {option} {told[name]} is not the {began[name]} that this run began with; leave it "
                f"out to go on, or leave out --resume to begin anew"
            )
    return DigitsSettings(**{**asdict(_DEFAULTS), **began, **told})


def _run(folder: Path, settings: DigitsSettings, *, resume: bool, talk: bool) -> dict[str, Any]:
    """Train in a folder, and leave it whole, or as it can be resumed, or as it was."""
    from rich.console import Console

    from deepconv.cli.progress import EpochProgress

    began = time.perf_counter()
    progress = EpochProgress(Console(stderr=True))
    try:
        if not (resume and (folder / HISTORY).exists()):
            put(folder / HISTORY, json.dumps({"settings": settings.to_dict()}, indent=1))
        if talk:
            _announce(folder, resume=resume)
        callbacks = [progress] if talk else []
        run = train_digits(settings, callbacks=callbacks, checkpoint=folder / CHECKPOINT, resume=resume)
        progress.stop()
        return _finish(folder, run, time.perf_counter() - began)
    except BaseException as error:
        progress.stop()
        kept = (folder / CHECKPOINT).exists()
        if not kept:
            remove_traces(folder)
        if isinstance(error, KeyboardInterrupt):
            console.say_aside(_how_to_go_on(folder) if kept else _NOTHING_KEPT)
        raise


def _announce(folder: Path, *, resume: bool) -> None:
    console.say_aside(f"Training on handwritten digits; writing to {folder}.")
    if not resume and (other := stopped_run(folder)):
        console.say_aside(f"{other} holds a stopped run; add --resume to go on with that one.")


def _how_to_go_on(folder: Path) -> str:
    return f"Stopped. Go on with: deepconv train digits --out {shlex.quote(str(folder))} --resume"


def _finish(folder: Path, run: DigitsRun, seconds: float) -> dict[str, Any]:
    """Write what the folder shall hold; the checkpoint goes when all of it is there."""
    result = _result(run, seconds)
    run.model.save(folder / MODEL)
    _report(folder, run, result)
    put(folder / HISTORY, json.dumps({**result, **_details(run)}, indent=1, allow_nan=False))
    for name in (MODEL, HISTORY, REPORT, CHECKPOINT):  # a killed run may have left something half written
        clear_parts(folder / name)
    (folder / CHECKPOINT).unlink()
    return result


def _result(run: DigitsRun, seconds: float) -> dict[str, Any]:
    """Return the numbers that the run came to; the keys are documented in docs/cli.md."""
    from deepconv.data.digits import split_digits

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


def _details(run: DigitsRun) -> dict[str, Any]:
    """Return what history.json has beyond the result: the epochs, the confusion matrix, the mistakes."""
    scores = run.scores
    wrong = (scores.predictions != scores.labels).nonzero()[0]
    mistakes = [
        {
            "place": int(place),
            "is": scores.classes[scores.labels[place]],
            "taken_for": scores.classes[scores.predictions[place]],
            "probability": float(scores.certainties[place]),
        }
        for place in wrong
    ]
    return {**json.loads(run.history.to_json()), "confusion": scores.confusion.tolist(), "mistakes": mistakes}


def _report(folder: Path, run: DigitsRun, result: dict[str, Any]) -> None:
    from deepconv.report import write_report

    told, percent = run.settings, f"{result['test_accuracy'] * 100:.2f} %"
    write_report(
        folder / REPORT,
        title=f"Handwritten digits: {percent} of {result['test_digits']} held-out digits right",
        subtitle=f"{result['train_digits']:,} digits trained on, {result['validation_digits']} for validation · "
        f"{told.epochs} epochs of batches of {told.batch_size} · learning rate {told.learning_rate:g} · "
        f"seed {told.seed} · {result['parameters']:,} parameters · {result['seconds']:.0f} s",
        history=run.history,
        model=run.model,
        scores=run.scores,
        things="digits",
    )


def _paths(folder: Path) -> dict[str, str]:
    names = {"model": MODEL, "history": HISTORY, "report": REPORT}
    return {"out": str(folder), **{key: str(folder / name) for key, name in names.items()}}


def _show(result: dict[str, Any], folder: Path) -> None:
    """Print the closing table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    right = result["test_digits"] - result["test_mistakes"]
    accuracy = Text(f"{result['test_accuracy'] * 100:.2f} %", "bold green")
    accuracy.append(f"  ({right} of {result['test_digits']} digits that it never saw)", "not bold default")
    epochs, seconds = result["settings"]["epochs"], result["seconds"]
    rows = {
        "held-out accuracy": accuracy,
        "validation accuracy": Text(f"{(result['validation_accuracy'] or 0) * 100:.2f} %"),
        "trained on": Text(
            f"{result['train_digits']:,} digits, {epochs} epoch{'s' * (epochs != 1)}, {seconds:.1f} s"
        ),
        "model": Text(str(folder / MODEL)),
        "history": Text(str(folder / HISTORY)),
        "report": Text(str(folder / REPORT)),
    }
    table = Table(show_header=False, box=box.SIMPLE)
    table.add_column()
    table.add_column(overflow="fold")  # a path is never cut, however narrow the terminal
    for name, value in rows.items():
        table.add_row(name, value)
    Console(highlight=False).print(table)
    console.say(f"Now: deepconv predict {shlex.quote(str(folder / MODEL))} PICTURE")
