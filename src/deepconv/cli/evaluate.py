"""`deepconv evaluate`: how often a model is right on a folder of pictures, and what it confuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from deepconv.cli import console
from deepconv.cli.outputs import is_picture_name

__all__ = ["evaluate"]

_MATRIX = 20  # classes up to which the confusion matrix is printed
_PAIRS = 10  # confusions named where it isn't
_NAMED = 5  # files passed over that are named
_UNREAD = (".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd", ".svg", ".eps", ".pdf")
"""Pictures of kinds that can't be read here, which a person means to be counted."""
_PARTS = ("all", "train", "validation", "test")


def evaluate(
    model: Annotated[Path, typer.Argument(help="The model file that [bold]deepconv train[/] wrote.")],
    folder: Annotated[
        Path,
        typer.Argument(
            help="A folder with a folder of pictures for each class, named as the model's classes."
        ),
    ],
    part: Annotated[
        str | None,
        typer.Option(
            help="all, train, validation or test [dim](test, if the folder has such a part; else all)[/]. "
            "Without a ready split it is the part that the model's own run drew from the same folder."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=0, max=64, help="Threads that decode pictures [dim](2)[/]; the result is the same."),
    ] = 2,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a folder with files that are no pictures, or damaged.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> int:
    """Tell how often a model names the pictures of a folder right, for every class, and what it takes for what.

    A picture that can't be read is reported and left out; the exit status is then 1. Files that are no pictures by
    their names, and empty folders, are passed over. A class that the model doesn't know is an error.

    --json prints accuracy, loss, pictures, mistakes, part, classes ([{"name", "precision", "recall", "support"}, …],
    precision and recall null where there is nothing to divide by), confusion (rows are what a picture is, columns
    what it was taken for), errors ([{"file", "error"}, …]) and skipped_files ([{"file", "reason"}, …]).
    """
    from deepconv.data import pictures as _needs_pillow  # noqa: F401  (said before any work is done)
    from deepconv.predict import load_classifier

    try:
        classifier = load_classifier(model)
    except OSError as error:
        raise ValueError(
            f"evaluate: model {model} can't be read: {error.strerror or error}; name the model.safetensors that "
            f"deepconv train wrote"
        ) from error
    scores, unread, chosen = _scored(classifier, folder, part, workers=workers, strict=strict)
    skipped = [{"file": file, "reason": reason} for file, reason in unread if _was_no_picture(file, reason)]
    errors = [{"file": file, "error": reason} for file, reason in unread if not _was_no_picture(file, reason)]
    for entry in errors:
        console.fail(f"{entry['file']}: {entry['error']}")
    if skipped:
        console.say_aside(_passed_over([entry["file"] for entry in skipped]))
    result = _result(scores, chosen, errors, skipped)
    if as_json:
        console.say_json(result)
    else:
        _show(result)
    return 1 if errors else 0


def _scored(
    classifier: Any, root: Path, part: str | None, *, workers: int, strict: bool
) -> tuple[Any, list[tuple[str, str]], str]:
    """Return the scores, what was left out and why, and which part it was."""
    from rich.console import Console

    from deepconv.cli.progress import counting
    from deepconv.data.folders import scan_folder

    with counting(Console(stderr=True), f"Looking through {root}") as progress:
        folder = scan_folder(root, strict=strict, classes=classifier.classes, progress=progress)
    rows, chosen = _rows(classifier, folder, part)
    if not len(rows):
        raise ValueError(f"evaluate: {root} has no pictures in its {chosen} part; choose another --part")
    scores, failed = classifier.score(folder, rows, workers=workers, strict=strict)
    return scores, [*folder.skipped, *sorted(failed.items())], chosen


def _was_no_picture(file: str, reason: str) -> bool:
    """Tell a README or an empty folder from a picture that can't be read."""
    if file.endswith("/"):
        return not reason.startswith("can't be read")
    beside = reason.startswith("lies beside")
    return beside or not (is_picture_name(file) or file.lower().endswith(_UNREAD))


def _passed_over(files: list[str]) -> str:
    named = ", ".join(files[:_NAMED]) + (f" and {len(files) - _NAMED:,} more" if len(files) > _NAMED else "")
    return f"Passed over what is no picture of a class: {named}; --strict refuses {'them' if len(files) > 1 else 'it'}."


def _rows(classifier: Any, folder: Any, part: str | None) -> tuple[Any, str]:
    """Return the rows of a part: of a ready split, or as the model's run drew them."""
    import numpy as np

    if part is not None and part not in _PARTS:
        raise ValueError(f"evaluate: --part {part} is not one of {', '.join(_PARTS)}")
    chosen = part or ("test" if folder.parts and "test" in folder.parts else "all")
    if chosen == "all":
        return np.arange(len(folder)), chosen
    if folder.parts and chosen in folder.parts and (chosen != "train" or "validation" in folder.parts):
        return folder.parts[chosen], chosen
    return classifier.part(folder, chosen), chosen


def _result(
    scores: Any, part: str, errors: list[dict[str, str]], skipped: list[dict[str, str]]
) -> dict[str, Any]:
    """Return the numbers; the keys are documented in docs/cli.md."""
    columns = zip(scores.classes, scores.precision, scores.recall, scores.support, strict=True)
    return {
        "accuracy": scores.accuracy,
        "loss": scores.loss,
        "pictures": len(scores.labels),
        "mistakes": scores.mistakes,
        "part": part,
        "classes": [
            {"name": name, "precision": precision, "recall": recall, "support": support}
            for name, precision, recall, support in columns
        ],
        "confusion": scores.confusion.tolist(),
        "errors": errors,
        "skipped_files": skipped,
    }


def _show(result: Mapping[str, Any]) -> None:
    """Print the accuracy, a line for each class, and the confusion matrix or the worst confusions."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = Console(highlight=False)
    right = result["pictures"] - result["mistakes"]
    out.print(
        Text(f"accuracy {result['accuracy'] * 100:.2f} %").append(
            f"  ({right:,} of {result['pictures']:,} pictures right; part: {result['part']})", "dim"
        )
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in ("precision", "recall", "pictures"):
        table.add_column(name, justify="right")
    names = [console.printable(entry["name"]) for entry in result["classes"]]
    for name, entry in zip(names, result["classes"], strict=True):
        table.add_row(
            Text(name), _percent(entry["precision"]), _percent(entry["recall"]), f"{entry['support']:,}"
        )
    out.print(table)
    if len(names) <= _MATRIX:
        out.print(_matrix(names, result["confusion"]))
    for line in _confused(names, result["confusion"]) if len(names) > _MATRIX else ():
        console.say(line)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def _matrix(names: list[str], confusion: list[list[int]]) -> Any:
    """Rows are what a picture is; the columns are numbered where their names would be too wide."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="is ↓  taken for →", title_justify="left", title_style=""
    )
    table.add_column("", overflow="fold")
    numbered = sum(max(len(name), 3) + 3 for name in names) > 70
    for number, name in enumerate(names, 1):
        table.add_column(str(number) if numbered else Text(name), justify="right", no_wrap=True)
    for number, (name, counts) in enumerate(zip(names, confusion, strict=True), 1):
        cells = [
            Text(str(count) if count else "·", "dim" if not count else "" if row == column else "bold red")
            for row, column, count in ((number - 1, column, count) for column, count in enumerate(counts))
        ]
        table.add_row(Text(f"{number} {name}" if numbered else name), *cells)
    return table


def _confused(names: list[str], confusion: list[list[int]]) -> list[str]:
    pairs = [
        (count, row, column)
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    return [f"{names[row]} taken for {names[column]}: {count:,}" for count, row, column in pairs[:_PAIRS]]
