"""What the lab shows, as a line of Python and as a command for people to take along, and what the file is called."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from deepconv.images import Effect, format_kernel

__all__ = ["output_name", "written"]


def output_name(name: str) -> str:
    """Return what the result of a picture's file is called.

    Args:
        name: the picture's; empty where it has none.

    Example:
        >>> output_name("plain.jpg"), output_name("")
        ('plain-filtered.png', 'filtered.png')
    """
    return f"{PurePosixPath(name).stem}-filtered.png" if name else "filtered.png"


def written(
    name: str, chosen: Effect, given: Mapping[str, Any], stride: int, *, whole: bool
) -> dict[str, Any]:
    """Return the Python and the command that give what the page shows.

    Args:
        name: the picture's file, without a folder; empty where it has none.
        chosen: the kernel; `own kernel` is written out, others go by their names.
        given: `border`, `divisor`, `offset`, `signed` and `flip`, those that are not as they are anyway.
        stride: every how manieth pixel is kept.
        whole: whether the picture's numbers are integers: floats are shown as they come unless one says otherwise.

    Returns:
        `python`, `command` (None where there is none) and `file`, which both of them write.

    Example:
        >>> from deepconv.images import effect
        >>> written("a b.png", effect("sobel-x"), {"signed": "absolute", "flip": True}, 1, whole=True)[
        ...     "command"
        ... ]
        "deepconv filter 'a b.png' -k sobel-x --flip -o 'a b-filtered.png'"
    """
    own = chosen.name == "own kernel"
    rows = format_kernel(chosen.kernels[0]).splitlines() if own else []
    text = "; ".join(" ".join(row.split()) for row in rows) or str(chosen)
    same = {"divisor": 1, "signed": chosen.view if whole else None}
    kept = {
        key: _plain(value) for key, value in given.items() if value is not None and same.get(key) != value
    }
    source, file = name or "photo.jpg", output_name(name)
    arguments = "".join(f", {key}={value!r}" for key, value in kept.items())
    cut = f"[::{stride}, ::{stride}]" if stride > 1 else ""
    python = (
        "import deepconv as dc\n\n"
        f"picture = dc.images.read_image({source!r}).pixels\n"
        f"result = dc.images.apply(picture, {text!r}{arguments}){cut}\n"
        f"dc.images.write_image({file!r}, result)\n"
    )
    options = "".join(f" --{key}" if value is True else f" --{key}={value}" for key, value in kept.items())
    shell, out = (shlex.quote(f"./{word}" if word.startswith("-") else word) for word in (source, file))
    command = f"deepconv filter {shell} -k {shlex.quote(text)}{options} -o {out}"
    return {"python": python, "command": None if stride > 1 else command, "file": file}


def _plain(value: Any) -> Any:
    """Return a whole number without its point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
