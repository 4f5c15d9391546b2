"""`deepconv predict`: name what pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deepconv.cli import console
from deepconv.cli.outputs import find_pictures
from deepconv.cli.wording import in_words

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(help="The model file that [bold]deepconv train[/] wrote.")],
    pictures: Annotated[
        list[Path], typer.Argument(help="Pictures of any format, size and mode, or folders of them.")
    ],
    top: Annotated[
        int | None, typer.Option(min=1, help="How many classes to show: 3, or with --json all of them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Name what pictures show, with nothing but a model file.

    A photograph may have any size; its middle is looked at. A digit may be dark on white or white on dark, small,
    large or off-centre; there should be one of it.

    A picture that can't be read is reported and the others are done; the exit status is then 1.

    --json prints {"predictions": [{"file", "classes": [{"name", "probability"}, …]}, …], "errors": [{"file",
    "error"}, …]}, classes from likely to unlikely.
    """
    from deepconv.data import pictures as _needs_pillow  # noqa: F401  (said before any work is done)
    from deepconv.predict import ModelError, load_classifier

    try:
        classifier = load_classifier(model)
    except OSError as error:
        raise ValueError(
            f"predict: model {model} can't be read: {error.strerror or error}; name the model.safetensors that "
            f"deepconv train wrote"
        ) from error
    predictions: list[dict[str, Any]] = []
    found, closed = find_pictures("predict", pictures)
    errors = [{"file": file, "error": reason} for file, reason in closed]
    for entry in errors:
        console.fail(f"{entry['file']}: {entry['error']}")
    for picture in found:
        try:
            ranking = classifier.classify_file(picture)[:top]
        except ModelError:
            raise
        except (ValueError, OSError) as error:  # OSError: a name that is too long
            said = in_words("predict", error, {"path": ""})
            console.fail(said)
            errors.append({"file": str(picture), "error": said})
            continue
        classes = [{"name": name, "probability": probability} for name, probability in ranking]
        predictions.append({"file": str(picture), "classes": classes})
    if as_json:
        console.say_json({"predictions": predictions, "errors": errors})
    elif predictions:
        console.say(_table(predictions, top or 3))
    return 1 if errors else 0


def _table(predictions: list[dict[str, Any]], top: int) -> str:
    """Return a line for each picture: its name, then the likeliest classes."""
    names = [console.printable(entry["file"]) for entry in predictions]
    width = max(map(len, names))
    lines = []
    for name, entry in zip(names, predictions, strict=True):
        shown = [
            f"{console.printable(kind['name'])} {kind['probability'] * 100:5.1f} %"
            for kind in entry["classes"][:top]
        ]
        lines.append(f"{name:<{width}}   {'   '.join(shown)}")
    return "\n".join(lines)
