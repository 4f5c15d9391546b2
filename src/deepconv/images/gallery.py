"""One labelled sheet of a picture under many effects."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deepconv.arrays import Array, as_array
from deepconv.geometry import whole_number
from deepconv.images.applying import apply
from deepconv.images.effects import GALLERY, effect
from deepconv.images.picture import Picture

__all__ = ["COLUMNS", "TILES", "contact_sheet"]

TILES = (48, 1024)
"""The least and the most pixels that the longer side of a sheet's pictures may have."""

COLUMNS = (1, 36)
"""The fewest and the most pictures in a row."""

_OP = "contact_sheet"
_PAPER, _INK, _PALE = (250, 250, 248), (28, 30, 33), (112, 116, 122)
_LONGEST = 4  # a picture longer than so many times its shorter side is shown by its middle
_CHECKS = (255, 226)  # what is seen through transparency
_MOST = 400  # effects on a sheet
_BAND = 64  # rows


def contact_sheet(
    picture: Picture | Array,
    *,
    effects: Mapping[str, Mapping[str, Any]] = GALLERY,
    columns: int | None = None,
    tile: int = 240,
    title: str = "",
) -> Picture:
    """Lay many effects over a picture and put the results on one sheet, each with its name and settings.

    The picture is shrunk to a tile first and filtered then: a kernel acts on neighbouring pixels, and what it does
    to a photograph of twelve megapixels would be gone when that is shrunk. So every pixel that is seen is one that
    was computed. A picture smaller than a tile is filtered as it is, and its pixels are drawn as squares. Of one more
    than four times as long as wide the middle is shown. What is transparent shows a chequered ground.

    Args:
        picture: a `Picture`, or an array as `apply` takes it.
        effects: texts for `effect`, each with what else to tell `apply`.
        columns: pictures in a row; None chooses a sheet about as wide as a screen.
        tile: pixels of a tile's longer side, 48 to 1024.
        title: what stands at the top, such as the file's name.

    Returns:
        The sheet, 8 bits RGB, with the picture's colour profile and none of its EXIF data.

    Raises:
        ValueError: an argument is out of range, or an effect is not known.
        TypeError: the picture is of a type that no picture has.

    Example:
        >>> photo = np.zeros((90, 160, 3), np.uint8)
        >>> contact_sheet(photo, effects={"sharpen": {}, "emboss": {"divisor": 2}}, columns=2, tile=160)
        Picture: 356 x 154 pixels, RGB, uint8
    """
    whole = picture if isinstance(picture, Picture) else Picture(as_array(_OP, "picture", picture))
    least, most = TILES
    if not least <= (whole_number(tile) or 0) <= most:
        raise ValueError(f"{_OP}: tile={tile!r}; use a whole number of pixels from {least} to {most}")
    if columns is not None and not COLUMNS[0] <= (whole_number(columns) or 0) <= COLUMNS[1]:
        raise ValueError(f"{_OP}: columns={columns!r}; use a whole number from {COLUMNS[0]} to {COLUMNS[1]}")
    if not 0 < len(effects) <= _MOST:
        raise ValueError(f"{_OP}: {len(effects)} effects; name 1 to {_MOST}")
    small = _shrunk(whole, tile)
    height, width = small.shape[:2]
    labels = _labels(effects)
    page = _Page.around(width, height, labels, columns, tile, bool(title))
    sheet = Image.new("RGB", page.size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        _write_title(draw, page, title, f"filtered and shown at {width} x {height} pixels")
    for place, (text, more) in enumerate(effects.items()):
        left, top = page.corner(place)
        shown = apply(small, text, **more)
        shown = _visible(shown.repeat(page.scale, axis=0).repeat(page.scale, axis=1))
        sheet.paste(Image.fromarray(shown), (left, top))
        _write_label(draw, page, (left, top + page.tile[1]), labels[place])
    return Picture(np.asarray(sheet), profile=whole.profile if whole.channels >= 3 else None)


@dataclass(frozen=True)
class _Page:
    """Where everything stands.

    Attributes:
        tile: width and height of what a picture has.
        scale: how many pixels of the sheet a pixel of the picture takes.
        columns: pictures in a row.
        rows: how many rows there are.
        letters: the height of a name's letters.
        head: the title's height.
    """

    tile: tuple[int, int]
    scale: int
    columns: int
    rows: int
    letters: int
    head: int

    @classmethod
    def around(
        cls,
        width: int,
        height: int,
        labels: Sequence[tuple[str, str]],
        columns: int | None,
        longest: int,
        titled: bool,
    ) -> _Page:
        """Return the page for pictures of a size with these labels."""
        count = len(labels)
        scale = max(1, longest // max(width, height))
        letters = min(22, max(12, round(longest / 17)))
        small = _font(_smaller(letters))
        widest = max(math.ceil(small.getlength(settings)) for _, settings in labels)
        tile = (max(width * scale, 9 * letters, min(widest, 24 * letters)), height * scale)
        head = 4 * letters if titled else 0

        def odd(wide: int) -> float:
            """Tell how far a sheet is from a screen's shape, and how many places stay empty."""
            high = -(-count // wide)
            shape = wide * (tile[0] + letters) / (high * (tile[1] + 4 * letters))
            return abs(math.log(shape / 1.3)) + (wide * high - count) / count * 3

        wide = columns or min(range(1, min(count, COLUMNS[1]) + 1), key=odd)
        wide = min(wide, count)
        return cls(tile, scale, wide, -(-count // wide), letters, head)

    @property
    def gap(self) -> int:
        """Between pictures, and around them."""
        return max(8, self.letters)

    @property
    def below(self) -> int:
        """A label's height."""
        return 3 * self.letters + self.letters // 3

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        return (
            self.columns * self.tile[0] + (self.columns + 1) * self.gap,
            self.head + self.rows * (self.tile[1] + self.below + self.gap) + self.gap,
        )

    def corner(self, place: int) -> tuple[int, int]:
        """Return where a picture begins: left and top."""
        row, column = divmod(place, self.columns)
        return (
            self.gap + column * (self.tile[0] + self.gap),
            self.head + self.gap + row * (self.tile[1] + self.below + self.gap),
        )


def _shrunk(picture: Picture, longest: int) -> Array:
    """Return the picture's middle at the size of a tile, 8 bits, never enlarged."""
    pixels = picture.pixels
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise ValueError(
            f"{_OP}: picture has shape {pixels.shape}; use (height, width) or (height, width, channels) with up to 4"
        )
    height, width = pixels.shape[:2]
    rows, columns = min(height, _LONGEST * width), min(width, _LONGEST * height)
    top, left = (height - rows) // 2, (width - columns) // 2
    pixels = pixels[top : top + rows, left : left + columns]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    share = longest / max(rows, columns)
    small = Image.fromarray(_eight_bits(pixels))
    if share < 1:
        size = max(1, round(columns * share)), max(1, round(rows * share))
        # Colours are weighed by their opacity.
        small = small.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small)


def _eight_bits(pixels: Array) -> Array:
    """Return pixels of any depth as 8 bits, as `write_image` rounds them."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype != np.uint16 and pixels.dtype.kind != "f":
        raise TypeError(
            f"{_OP}: picture has dtype {pixels.dtype} (shape {pixels.shape}); make it uint8, uint16 or floats from "
            f"0 to 1"
        )
    out = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _BAND):  # by bands: beside a large picture there may be little memory
        band = pixels[top : top + _BAND]
        if pixels.dtype == np.uint16:
            out[top : top + _BAND] = np.rint(band / np.float32(257))
        else:
            out[top : top + _BAND] = np.rint(np.nan_to_num(band, nan=0.0).clip(0, 1) * 255)
    return out


def _visible(pixels: Array) -> Array:
    """Return pixels as three colours, a chequered ground under what is transparent."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 3:
        return pixels
    rows, columns = (np.arange(side) // 8 for side in pixels.shape[:2])
    light, dark = (np.float32(grey) for grey in _CHECKS)
    ground = np.where((rows[:, None] + columns) % 2, dark, light)[..., None]
    opaque = pixels[..., -1:] / np.float32(255)
    laid = np.rint(pixels[..., :-1] * opaque + ground * (1 - opaque)).astype(np.uint8)
    return np.repeat(laid, 3, axis=2) if laid.shape[2] == 1 else laid


def _write_title(draw: ImageDraw.ImageDraw, page: _Page, title: str, below: str) -> None:
    """Write what the sheet is of."""
    left, width = page.gap, page.size[0] - 2 * page.gap
    large, small = _font(round(1.5 * page.letters)), _font(page.letters)
    draw.text((left, page.gap), _fitted(draw, title, large, width), _INK, large)
    draw.text((left, page.gap + 2 * page.letters), _fitted(draw, below, small, width), _PALE, small)


def _write_label(
    draw: ImageDraw.ImageDraw, page: _Page, corner: tuple[int, int], label: tuple[str, str]
) -> None:
    """Write an effect's name, and its settings under it."""
    (left, top), letters, width = corner, page.letters, page.tile[0]
    down = top + letters // 2
    for text, colour, height in zip(label, (_INK, _PALE), (letters, _smaller(letters)), strict=True):
        font = _font(height)
        draw.text((left, down), _fitted(draw, text, font, width), colour, font)
        down += round(1.35 * letters)


def _labels(effects: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return of each effect its name, and its settings with what else is told to `apply`."""
    labels = []
    for text, more in effects.items():
        name, _, settings = str(effect(text)).partition(" ")
        words = [*settings.split(), *(f"{key}={value}" for key, value in more.items())]
        labels.append((name, ", ".join(words)))
    return labels


def _smaller(letters: int) -> int:
    """Return the height of the settings' letters."""
    return max(11, round(0.85 * letters))


def _font(letters: int) -> Any:
    """Return the letters that Pillow brings along, so that a sheet looks the same everywhere."""
    return ImageFont.load_default(letters)


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: Any, width: int) -> str:
    """Return a text cut so that it fits a width, `?` for letters that there are not."""
    missing = bytes(font.getmask("\uffff"))
    drawn = {letter for letter in set(text) if bytes(font.getmask(letter)) != missing}
    text = "".join(letter if letter in drawn else "?" for letter in text)
    if draw.textlength(text, font) <= width:
        return text
    fitting = bisect_right(
        range(len(text)), width, key=lambda n: math.ceil(draw.textlength(f"{text[:n]}...", font))
    )
    return f"{text[: max(0, fitting - 1)]}..."
