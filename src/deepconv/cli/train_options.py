"""The options of `deepconv train`, with what the help says of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AsJson",
    "Augment",
    "BatchSize",
    "Data",
    "Epochs",
    "LearningRate",
    "MixUp",
    "Model",
    "Out",
    "Quiet",
    "Resume",
    "Seed",
    "Size",
    "Start",
    "Strict",
    "TestShare",
    "ValidationShare",
    "Workers",
]

Data = Annotated[
    str,
    typer.Argument(
        metavar="digits|FOLDER",
        help="The 1,797 handwritten digits that come with deepconv, or a folder of pictures that holds a folder "
        "for each class. A folder of the name digits is ./digits.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="The network: lenet, small, resnet or mobile [dim](chosen from the pictures)[/]."),
]
Size = Annotated[
    int | None,
    typer.Option(help="The side in pixels that pictures are brought to [dim](theirs, at most 64)[/]."),
]
Start = Annotated[
    Path | None,
    typer.Option("--from", metavar="<model>", help="Start from this model's weights, with a new last layer."),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1_000_000,
        help="How often each picture is seen [dim](30 for the digits; else by their number)[/].",
    ),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Pictures per step [dim](32)[/].")]
LearningRate = Annotated[
    float | None,
    typer.Option(help="The highest of the schedule [dim](0.01 for the digits; 0.005; 0.001 with --from)[/]."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Decides everything random [dim](0)[/].")]
Augment = Annotated[
    float | None,
    typer.Option(
        min=0, help="How much training pictures are changed [dim](1)[/]; 0 leaves them as they are."
    ),
]
MixUp = Annotated[
    float | None,
    typer.Option(min=0, help="Mix pairs of training pictures, such as 0.2 [dim](0: don't)[/]."),
]
ValidationShare = Annotated[
    float | None, typer.Option(min=0, max=1, help="The share watched during training [dim](0.1)[/].")
]
TestShare = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="The share held out and scored at the end [dim](0.2)[/]."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, max=64, help="Threads that decode pictures [dim](2)[/]; the result is the same."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a folder with files that are no pictures, or damaged.")
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="<path>",
        help="The folder to write; digits-run, or FOLDER-run, or the next number that is free.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
