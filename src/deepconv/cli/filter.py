"""`deepconv filter`: image kernels laid over pictures of one's own."""

from __future__ import annotations

import contextlib
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from deepconv.cli import console
from deepconv.cli.outputs import Job, Plan, plan_outputs

__all__ = ["filter_pictures"]


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


def filter_pictures(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            help="Picture files, and folders of them. With --list, kernels.", metavar="[PICTURES]..."
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            "-k",
            help="A kernel's name, with settings if you like ('gaussian sigma=2'), its numbers "
            "('0 -1 0; -1 5 -1; 0 -1 0'), or a .csv, .json, .txt or .npy file.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="The file to write; for several pictures a folder [dim](photo-sharpen.jpg beside photo.jpg)[/].",
        ),
    ] = None,
    border: Annotated[
        Border, typer.Option(help="What lies beyond the edge; crop keeps only what needs nothing from there.")
    ] = Border.reflect,
    constant: Annotated[
        float, typer.Option(help="With --border constant: 0 for black to 1 for white.")
    ] = 0.0,
    divisor: Annotated[
        str | None, typer.Option(help="What the sums are divided by: a number, or sum for the weights' sum.")
    ] = None,
    offset: Annotated[
        float, typer.Option(help="Added then, as a part of the full range: 0.5 is middle grey.")
    ] = 0.0,
    signed: Annotated[
        Signed | None,
        typer.Option(help="How negative results are shown [dim](by the kernel: see --list)[/]."),
    ] = None,
    linear: Annotated[
        bool, typer.Option("--linear", help="Filter light instead of its sRGB encoding.")
    ] = False,
    flip: Annotated[
        bool, typer.Option("--flip", help="Turn the kernel by half a turn: convolution, not correlation.")
    ] = False,
    alpha: Annotated[
        Alpha,
        typer.Option(help="Transparency: filtered with blurs and kept with other kernels, or your choice."),
    ] = Alpha.auto,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG, WebP and AVIF.", show_default="92, lossless and 90"),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders' folders, and keep their structure.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the files' names.")] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--list", help="Show the kernels as numbers, with formula and settings: all, or those named."
        ),
    ] = False,
) -> int:
    """Lay an image kernel over pictures: blur, sharpen, edges, relief, or numbers of your own.

    Example: deepconv filter photo.jpg -k sharpen -o out.png

    Every channel is filtered by itself, at the picture's own depth of 8 or 16 bits or floats; metadata and colour
    profile are kept. Nothing is replaced without --force. The names of the files written are printed.

    Of several pictures, one that can't be read is reported and the others are done; the exit status is then 1.
    """
    if show:
        return _list([*(pictures or ()), *([kernel] if kernel else ())], as_json)
    from deepconv import images
    from deepconv.images import files as _needs_pillow  # noqa: F401  (said before any work is done)

    if kernel is None:
        raise ValueError("filter: no kernel is named; add -k sharpen, or see them all with --list")
    if not pictures:
        raise ValueError("filter: no picture is named; write deepconv filter photo.jpg -k sharpen")
    chosen = images.effect(kernel)
    options = {
        "border": border.value,
        "constant": constant,
        "divisor": _divisor(divisor),
        "offset": offset,
        "signed": signed.value if signed else None,
        "linear": linear,
        "flip": flip,
        "alpha": alpha.value,
    }
    _try(chosen, options)
    plan = plan_outputs("filter", pictures, out, _tag(chosen), recursive=recursive, force=force)
    return _run(plan, chosen, options, quality=quality, force=force, quiet=quiet, as_json=as_json)


def _run(
    plan: Plan,
    chosen: Any,
    options: dict[str, Any],
    *,
    quality: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Do every picture, and say what was done, whatever ends it."""
    from rich.console import Console

    from deepconv.cli.progress import counting

    done: list[dict[str, Any]] = []
    errors = [{"file": file, "error": reason} for file, reason in plan.errors]
    for entry in errors:
        console.fail(f"{entry['file']}: {entry['error']}")
    shown = Console(stderr=True) if plan.several and not quiet else None
    try:
        with counting(shown, f"Filtering with {console.printable(str(chosen))}") as count:
            for number, job in enumerate(plan.jobs):
                if count:
                    count(number, len(plan.jobs))
                try:
                    done.append(_one(job, chosen, options, quality=quality, force=force))
                except (ValueError, OSError, MemoryError) as error:
                    if not plan.several:
                        raise
                    console.fail(str(error))
                    errors.append({"file": str(job.source), "error": str(error)})
                    continue
                if not quiet:
                    for note in done[-1]["notes"]:
                        console.say_aside(f"{job.source}: {note}")
    finally:  # names go to standard output only now: the bar would draw them into its own stream
        if not as_json and not quiet:
            console.say("\n".join(console.printable(entry["out"]) for entry in done))
    if as_json:
        console.say_json({"kernel": str(chosen), "pictures": done, "errors": errors})
    return 1 if errors else 0


def _one(
    job: Job, chosen: Any, options: dict[str, Any], *, quality: int | None, force: bool
) -> dict[str, Any]:
    """Filter one picture and return what there is to say of it."""
    from deepconv import images

    picture = images.read_image(job.source)
    result = images.apply(picture, chosen, **options)
    made = _made(job.out.parent)
    try:
        notes = images.write_image(job.out, result, overwrite=force, quality=quality)
    except BaseException:
        for folder in reversed(made):  # only what is empty goes
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    height, width = result.pixels.shape[:2]
    return {
        "file": str(job.source),
        "out": str(job.out),
        "width": width,
        "height": height,
        "mode": result.mode,
        "dtype": str(result.pixels.dtype),
        "notes": [*result.notes, *notes],
    }


def _made(folder: Path) -> list[Path]:
    """Make a folder and those above it, and return the ones that were not there."""
    new = []
    while not folder.exists():
        new.append(folder)
        folder = folder.parent
    for missing in reversed(new):
        missing.mkdir(exist_ok=True)
    return new[::-1]


def _divisor(text: str | None) -> float | str | None:
    if text is None or text == "sum":
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"filter: --divisor {text} is no number; write a number, or sum") from None


def _try(chosen: Any, options: dict[str, Any]) -> None:
    """Refuse what fits no picture before any is read, by filtering one of the kernel's own size."""
    import numpy as np

    from deepconv import images

    images.apply(np.zeros(chosen.kernels[0].shape, np.float32), chosen, **options)


def _tag(chosen: Any) -> str:
    """Return what names a result: the kernel with its settings, in letters that every system takes."""
    if chosen.name == "own kernel":
        return "filtered"
    words = [chosen.name if chosen.settings else Path(chosen.name).stem]
    words += str(chosen).replace("=", "").split()[1:] if chosen.settings else []
    return re.sub(r"[^\w.+-]", "_", "-".join(words))[:80]


def _list(named: list[str], as_json: bool) -> int:
    """Show kernels: every one of the catalogue, or those that are named."""
    from deepconv.images import KERNELS, describe, effect

    chosen = [effect(name) for name in named or KERNELS]
    if as_json:
        console.say_json({"kernels": [_facts(one) for one in chosen]})
        return 0
    texts, group = [], ""
    for one in chosen:
        entry = KERNELS.get(one.name)
        if not named and entry is not None and entry.group != group:
            group = entry.group
            texts.append(f"{group.upper()}")
        texts.append(describe(one))
    console.say("\n\n".join(texts))
    return 0


def _facts(chosen: Any) -> dict[str, Any]:
    """Return what there is to know of a kernel."""
    from deepconv.images import KERNELS

    entry = KERNELS.get(chosen.name) if chosen.settings or chosen.name in KERNELS else None
    known: dict[str, Any] = {"name": str(chosen)}
    if entry is not None:
        known |= {"group": entry.group, "does": entry.does, "formula": entry.formula, "source": entry.source}
        known["settings"] = [
            {
                "name": setting.name,
                "value": chosen.settings[setting.name],
                "range": setting.range,
                "meaning": setting.meaning,
            }
            for setting in entry.settings
        ]
    known |= {"signed": chosen.view, "sum": chosen.total, "kernels": [k.tolist() for k in chosen.kernels]}
    return known
