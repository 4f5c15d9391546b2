"""Reading a stranger's picture into an array, whatever its format, size and mode, without trusting it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from deepconv.arrays import Array
from deepconv.images.files import PIXEL_LIMIT, opened

__all__ = ["PIXEL_LIMIT", "measure_picture", "read_picture"]


def read_picture(
    path: str | os.PathLike[str],
    *,
    pixel_limit: int = PIXEL_LIMIT,
    longest_side: int | None = None,
    at_least: tuple[int, int] | None = None,
) -> Array:
    """Read a picture file as colours between 0 (black) and 1 (full).

    Any mode is understood: black and white, grey, palette, colour, CMYK, 16-bit, float. The camera's
    orientation mark is obeyed. Transparent pictures are laid on white, or on black where what is visible
    is itself nearly white. Of an animation the first frame is read.

    Args:
        path: the file.
        pixel_limit: a picture of more pixels is refused before any of them is decoded.
        longest_side: shrink a larger picture, by averaging, until no side is more than twice this.
        at_least: shrink a larger picture, by averaging, by the largest whole factor that leaves at least
            this height and width. A JPEG is decoded small at once, which is many times as fast.

    Returns:
        `(height, width, 3)` float32, red, green and blue.

    Raises:
        ValueError: the file is missing, not a picture, damaged, or too large; the text names it.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "red.png"
        ...     Image.new("RGB", (3, 2), "red").save(file)
        ...     read_picture(file)[0, 0].tolist(), read_picture(file).shape
        ([1.0, 0.0, 0.0], (2, 3, 3))
    """
    with opened("read_picture", path, pixel_limit) as picture:
        if at_least is not None and picture.format in {"JPEG", "MPO"}:
            height, width = at_least[::-1] if _lies_on_its_side(picture) else at_least
            picture.draft(None, (width, height))
        colours = _eight_bits(ImageOps.exif_transpose(picture))
        factor = 1 if longest_side is None else max(colours.size) // longest_side
        if at_least is not None:
            factor = min(colours.height // at_least[0], colours.width // at_least[1])
        if factor > 1:
            colours = colours.reduce(factor)
        if colours.mode == "RGBA":
            colours = _on_contrasting_paper(colours)
        return np.asarray(colours, dtype=np.float32) / np.float32(255)


def measure_picture(path: str | os.PathLike[str], *, pixel_limit: int = PIXEL_LIMIT) -> tuple[int, int, bool]:
    """Return what a picture file's header says; no pixel is decoded.

    Args:
        path: the file.
        pixel_limit: a picture of more pixels is refused.

    Returns:
        `(height, width, grey)`: the size when it stands upright, and whether it has no colour.

    Raises:
        ValueError: the file is missing, not a picture, or too large; the text names it.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (3, 2), "red").save(pathlib.Path(folder) / "red.png")
        ...     measure_picture(pathlib.Path(folder) / "red.png")
        (2, 3, False)
    """
    with opened("measure_picture", path, pixel_limit) as picture:
        width, height = picture.size
        if _lies_on_its_side(picture):
            width, height = height, width
        return height, width, _is_grey(picture)


def _lies_on_its_side(picture: Image.Image) -> bool:
    """Tell whether the camera's mark asks for a quarter turn."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return False  # Pillow would decode all of it in search of a mark that may follow the pixels
    if picture.format == "TIFF" and picture.size[0] != picture.getexif().get(0x0100):
        return False  # Pillow has turned its size already
    return picture.getexif().get(0x0112) in {5, 6, 7, 8}


def _is_grey(picture: Image.Image) -> bool:
    if picture.mode in {"P", "PA"} and picture.palette is not None:
        colours = np.frombuffer(bytes(picture.palette.getdata()[1]), np.uint8)
        step = len(picture.palette.mode)
        table = colours[: len(colours) // step * step].reshape(-1, step)[:, :3]
        return bool((table == table[:, :1]).all())
    return picture.mode in {"1", "L", "LA", "La", "I", "F"} or picture.mode.startswith("I;16")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return the picture in mode RGB, or RGBA where parts of it are transparent."""
    if picture.mode.startswith(("I", "F")):
        return _from_wide_numbers(picture)
    see_through = picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info
    return picture.convert("RGBA" if see_through else "RGB")


def _from_wide_numbers(picture: Image.Image) -> Image.Image:
    """Scale 16- and 32-bit integers and floats by the range they are likely to mean."""
    values = np.nan_to_num(np.asarray(picture, dtype=np.float32))
    values -= min(0.0, float(values.min(initial=0.0)))
    largest = float(values.max(initial=0.0))
    full = next((top for top in (1.0, 255.0, 65535.0) if largest <= top), largest)
    if picture.mode.startswith("I;16"):
        full = 65535.0
    values *= 255.0 / full
    return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")


def _on_contrasting_paper(picture: Image.Image) -> Image.Image:
    """Lay what is visible on white, or on black if it is nearly white itself."""
    pixels: Any = np.asarray(picture)
    visible = pixels[..., 3].astype(np.float32)
    light = float((pixels[..., :3].mean(axis=-1, dtype=np.float32) * visible).sum() / max(visible.sum(), 1.0))
    dark_paper = light > 200 and bool((visible < 255).any())
    paper = Image.new("RGBA", picture.size, "black" if dark_paper else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")
