"""`deepconv filter`: image kernels laid over pictures of one's own."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from deepconv.cli import console
from deepconv.cli import filter_options as options
from deepconv.cli.outputs import Job, Plan, plan_outputs
from deepconv.cli.wording import in_words, option_names

__all__ = ["filter_pictures"]

_BRIGHT = 2  # a sum of weights from which on most of a photograph is clipped to white


def filter_pictures(
    pictures: options.Pictures = None,
    kernel: options.Kernel = None,
    out: options.Out = None,
    border: options.BorderRule = options.Border.reflect,
    constant: options.Constant = 0.0,
    divisor: options.Divisor = None,
    offset: options.Offset = 0.0,
    signed: options.SignedRule = None,
    linear: options.Linear = False,
    flip: options.Flip = False,
    alpha: options.AlphaRule = options.Alpha.auto,
    quality: options.Quality = None,
    recursive: options.Recursive = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
    show: options.Show = False,
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
    asked = {
        "border": border.value,
        "constant": constant,
        "divisor": _divisor(divisor),
        "offset": offset,
        "signed": signed.value if signed else None,
        "linear": linear,
        "flip": flip,
        "alpha": alpha.value,
    }
    _try(chosen, asked)
    plan = plan_outputs("filter", pictures, out, _tag(chosen), recursive=recursive, force=force)
    if not quiet and asked["divisor"] is None and chosen.total >= _BRIGHT and asked["signed"] != "stretch":
        console.say_aside(
            f"The weights add up to {chosen.total:g}, and it gets as much brighter: --divisor sum keeps the brightness."
        )
    return _run(plan, chosen, asked, quality=quality, force=force, quiet=quiet, as_json=as_json)


def _run(
    plan: Plan,
    chosen: Any,
    asked: dict[str, Any],
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
                    done.append(_one(job, chosen, asked, quality=quality, force=force))
                except (ValueError, OSError, MemoryError) as error:
                    if not plan.several:
                        raise
                    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                    said = in_words("filter", said, option_names(filter_pictures))
                    said = said if str(job.source) in said else f"{job.source}: {said}"
                    console.fail(said)
                    errors.append({"file": str(job.source), "error": said})
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


def _one(job: Job, chosen: Any, asked: dict[str, Any], *, quality: int | None, force: bool) -> dict[str, Any]:
    """Filter one picture and return what there is to say of it."""
    from deepconv import images

    picture = images.read_image(job.source)
    result = images.apply(picture, chosen, **asked)
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


def _try(chosen: Any, asked: dict[str, Any]) -> None:
    """Refuse what fits no picture before any is read, by filtering one of the kernel's own size."""
    import numpy as np

    from deepconv import images

    images.apply(np.zeros(chosen.kernels[0].shape, np.float32), chosen, **asked)


def _tag(chosen: Any) -> str:
    """Return what names a result: the kernel with its settings, in letters that every system takes."""
    if chosen.name == "own kernel":
        return "filtered"
    words = [chosen.name if chosen.settings else Path(chosen.name).stem]
    for setting in str(chosen).split()[1:] if chosen.settings else []:
        name, _, value = setting.partition("=")
        words.append(value if value[0].isalpha() else name + value)
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
