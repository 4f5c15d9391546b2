"""The options of `deepconv filter`, with what the help says of each."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = [
    "Alpha",
    "AlphaRule",
    "AsJson",
    "Border",
    "BorderRule",
    "Constant",
    "Divisor",
    "Flip",
    "Force",
    "Kernel",
    "Linear",
    "Offset",
    "Out",
    "Pictures",
    "Quality",
    "Quiet",
    "Recursive",
    "Show",
    "Signed",
    "SignedRule",
]


class Border(StrEnum):
    """What a picture is taken to be beyond its edge.

    Example:
        >>> Border("wrap").value
        'wrap'
    """

    reflect = "reflect"
    mirror = "mirror"
    edge = "edge"
    wrap = "wrap"
    zero = "zero"
    constant = "constant"
    crop = "crop"


class Signed(StrEnum):
    """How negative results are shown.

    Example:
        >>> Signed("grey").value
        'grey'
    """

    clip = "clip"
    absolute = "absolute"
    grey = "grey"
    stretch = "stretch"


class Alpha(StrEnum):
    """What is done with transparency.

    Example:
        >>> Alpha("keep").value
        'keep'
    """

    auto = "auto"
    filter = "filter"
    keep = "keep"
    ignore = "ignore"


Pictures = Annotated[
    list[str] | None,
    typer.Argument(help="Picture files, and folders of them. With --list, kernels.", metavar="PICTURES"),
]
Kernel = Annotated[
    str | None,
    typer.Option(
        "--kernel",
        "-k",
        help="A kernel's name, with settings if you like ('gaussian sigma=2'), its numbers "
        "('0 -1 0; -1 5 -1; 0 -1 0'), or a .csv, .json, .txt or .npy file.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        help="The file to write; for several pictures a folder [dim](photo-sharpen.jpg beside photo.jpg)[/].",
    ),
]
BorderRule = Annotated[
    Border, typer.Option(help="What lies beyond the edge; crop keeps only what needs nothing from there.")
]
Constant = Annotated[float, typer.Option(help="With --border constant: 0 for black to 1 for white.")]
Divisor = Annotated[
    str | None, typer.Option(help="What the sums are divided by: a number, or sum for the weights' sum.")
]
Offset = Annotated[float, typer.Option(help="Added then, as a part of the full range: 0.5 is middle grey.")]
SignedRule = Annotated[
    Signed | None,
    typer.Option(help="How negative results are shown [dim](by the kernel: see --list)[/]."),
]
Linear = Annotated[bool, typer.Option("--linear", help="Filter light instead of its sRGB encoding.")]
Flip = Annotated[
    bool, typer.Option("--flip", help="Turn the kernel by half a turn: convolution, not correlation.")
]
AlphaRule = Annotated[
    Alpha,
    typer.Option(help="Transparency: auto filters it with blurs and keeps it with other kernels."),
]
Quality = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF [dim](92, lossless and 90)[/]."),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Look into folders' folders, and keep their structure.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of the files' names.")]
Show = Annotated[
    bool,
    typer.Option(
        "--list", help="Show the kernels as numbers, with formula and settings: all, or those named."
    ),
]
