"""`deepconv gallery`: one sheet of a picture under every effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepconv.cli import console
from deepconv.cli.outputs import beside, is_folder, plan_outputs

__all__ = ["gallery"]


def gallery(
    picture: Annotated[Path, typer.Argument(help="A picture file.")],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="The file to write [dim](photo-gallery.png beside photo.jpg)[/]."),
    ] = None,
    columns: Annotated[
        int | None, typer.Option(min=1, max=36, help="Pictures in a row [dim](as suits a screen)[/].")
    ] = None,
    tile: Annotated[int, typer.Option(min=48, max=1024, help="Pixels of each picture's longer side.")] = 240,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the file's name.")] = False,
) -> None:
    """Make one labelled sheet of a picture under every effect, to choose from.

    Under each stands what deepconv filter -k takes, and which options beside it. The picture is shrunk first and
    filtered then, as kernels act on neighbouring pixels: filter a part of a large photograph to see what they do to
    its own pixels.
    """
    from deepconv import images
    from deepconv.images import files as _needs_pillow  # noqa: F401  (said before any work is done)

    if is_folder(picture):
        raise ValueError(f"gallery: {picture} is a folder; name one picture")
    own = beside(picture, "gallery", ".png")
    wanted = str(own if out is None else Path(out) / own.name if is_folder(Path(out)) else Path(out))
    (job,) = plan_outputs("gallery", [str(picture)], wanted, "gallery", recursive=False, force=force).jobs
    read = images.read_image(job.source)
    height, width = read.pixels.shape[:2]
    sheet = images.contact_sheet(
        read, columns=columns, tile=tile, title=f"{picture.name}, {width} x {height} pixels"
    )
    notes = [*read.notes, *images.write_image(job.out, sheet, overwrite=force)]
    if not quiet:
        for note in notes:
            console.say_aside(f"{picture}: {note}")
    if as_json:
        high, wide = sheet.pixels.shape[:2]
        console.say_json(
            {
                "file": str(picture),
                "out": str(job.out),
                "width": wide,
                "height": high,
                "effects": list(images.GALLERY),
                "notes": notes,
            }
        )
    elif not quiet:
        console.say(console.printable(str(job.out)))
