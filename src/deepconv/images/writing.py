"""Which file format holds what of a picture, and what is done, and said, about the rest."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.files import replace_file
from deepconv.geometry import whole_number
from deepconv.images.files import encode
from deepconv.images.picture import Picture

__all__ = ["ENDINGS", "write_image"]

_OP = "write_image"


@dataclass(frozen=True)
class _Format:
    """What a file format holds: how many channels, 16 bits, floats, what beside pixels, how long a side."""

    name: str
    channels: tuple[int, ...]
    deep: bool = False
    floats: bool = False
    holds: frozenset[str] = frozenset()
    side: int = 1 << 31


_JPEG = _Format("JPEG", (1, 3), holds=frozenset({"profile", "exif", "xmp", "dpi", "comment"}), side=65_500)
_TIFF = _Format("TIFF", (1, 2, 3, 4), True, True, frozenset({"profile", "exif", "xmp", "dpi"}))
_PPM = _Format("PPM", (1, 3), True)
_ENDINGS = {
    ".png": _Format("PNG", (1, 2, 3, 4), True, holds=frozenset({"profile", "exif", "xmp", "dpi", "text"})),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": _Format("WEBP", (3, 4), holds=frozenset({"profile", "exif", "xmp"}), side=16_383),
    ".avif": _Format("AVIF", (3, 4), holds=frozenset({"profile", "exif", "xmp"}), side=65_536),
    ".bmp": _Format("BMP", (1, 3), holds=frozenset({"dpi"})),
    ".gif": _Format("GIF", (1, 3), holds=frozenset({"comment"}), side=65_535),
    ".tga": _Format("TGA", (1, 2, 3, 4), side=65_535),
    ".ppm": _PPM,
    ".pgm": _PPM,
    ".pnm": _PPM,
}
ENDINGS: tuple[str, ...] = tuple(_ENDINGS)
"""What the name of a picture file that is written may end in."""

_WORDS = {
    "profile": "colour profile",
    "exif": "EXIF data",
    "xmp": "XMP data",
    "text": "texts",
    "comment": "comment",
}


def write_image(
    path: str | os.PathLike[str],
    picture: Picture | Array,
    *,
    overwrite: bool = False,
    quality: int | None = None,
) -> tuple[str, ...]:
    """Write a picture whole or not at all, with the profile, EXIF data and the like that its format holds.

    What a format doesn't hold is converted, and said: transparency is laid on white, 16 bits are rounded to 8,
    floats to 16 bits where there are 16 (0 is black, 1 white, what lies beyond is clipped), or to 8.

    Args:
        path: the file; its ending tells the format, one of `ENDINGS`.
        picture: a `Picture`, or an array: `(H, W)` or `(H, W, C)` of uint8, uint16, floats or booleans; of two
            or four channels the last is alpha.
        overwrite: a file that exists already is replaced.
        quality: of JPEG (92 if None), WebP (lossless if None) and AVIF (90 if None), from 1 to 100.

    Returns:
        What was changed or left out, a line each.

    Raises:
        FileExistsError: the file exists already, and `overwrite` is false.
        TypeError: the pixels are of a type that is no picture's, or `path` is no path.
        ValueError: the ending is not known, or the picture or the quality doesn't fit.
        OSError: the folder is missing, or can't be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(Path(folder) / "a.jpg", np.zeros((4, 5, 4), np.uint8))
        ('transparency was laid on white for JPEG',)
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{_OP}: path={path!r:.100} is no path; use write_image(path, picture)")
    file = Path(path)
    where = f"{_OP}: path={str(file)!r}"
    kind = _ENDINGS.get(file.suffix.lower())
    if kind is None:
        raise ValueError(f"{where}: {file.suffix or 'no ending'!r} names no format; use {', '.join(ENDINGS)}")
    if quality is not None and not 1 <= (whole_number(quality) or 0) <= 100:
        raise ValueError(f"{_OP}: quality={quality!r}; use a whole number from 1 to 100")
    ready = _as_picture(picture)
    if file.exists() and not (overwrite and file.is_file()):
        if file.is_file():
            raise FileExistsError(f"{where} exists already; choose another name or pass overwrite=True")
        raise ValueError(f"{where} is not a plain file; choose another name")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{where}: there is no folder {str(file.parent)!r}; make it first")
    if max(ready.pixels.shape[:2]) > kind.side:
        raise ValueError(
            f"{where}: {kind.name} holds {kind.side:,} pixels a side and this has "
            f"{max(ready.pixels.shape[:2]):,}; write it as .png or .tif"
        )
    notes: list[str] = []
    ready = _with_channels(ready, kind, notes)
    ready = replace(ready, pixels=_with_depth(ready.pixels, kind, notes))
    holds = _holds(ready, kind, notes)
    try:
        replace_file(file, lambda stream: encode(stream, kind.name, ready, quality=quality, holds=holds))
    except (ValueError, SystemError, MemoryError) as error:  # a side too long for the format, and the like
        raise ValueError(f"{where}: {kind.name} can't hold it: {error}; write it as .png or .tif") from error
    except OSError as error:
        raise type(error)(f"{where} can't be written: {error.strerror or error}") from error
    return tuple(notes)


def _as_picture(picture: Picture | Array) -> Picture:
    """Return a picture of `(H, W)` or `(H, W, 2 to 4)` uint8, uint16, float32 or float64."""
    ready = picture if isinstance(picture, Picture) else Picture(as_array(_OP, "picture", picture))
    pixels = ready.pixels
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise ValueError(
            f"{_OP}: the picture has shape {pixels.shape}; use (height, width) or (height, width, channels) "
            f"with up to 4 channels"
        )
    if pixels.dtype == bool:
        pixels = pixels * np.uint8(255)
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    if pixels.dtype.kind != "f" and pixels.dtype not in (np.uint8, np.uint16):
        raise TypeError(
            f"{_OP}: the picture has dtype {pixels.dtype}; use uint8, uint16 or floats from 0 to 1"
        )
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return replace(ready, pixels=pixels, alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4))


def _with_channels(picture: Picture, kind: _Format, notes: list[str]) -> Picture:
    """Return the picture with channels that the format has."""
    if picture.alpha and picture.channels not in kind.channels and picture.channels + 2 not in kind.channels:
        notes.append(f"transparency was laid on white for {kind.name}")
        pixels = picture.pixels
        white = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
        opaque = pixels[..., -1:] / np.float64(white)
        laid = pixels[..., :-1] * opaque + white * (1 - opaque)
        laid = laid if pixels.dtype.kind == "f" else np.rint(laid)
        laid = laid.astype(pixels.dtype)
        picture = replace(picture, pixels=laid[..., 0] if laid.shape[2] == 1 else laid, alpha=False)
    if picture.channels not in kind.channels:  # grey where only colours are held
        parts = np.atleast_3d(picture.pixels)
        picture = replace(picture, pixels=np.concatenate([parts[..., :1]] * 2 + [parts], axis=-1))
    return picture


def _with_depth(pixels: Array, kind: _Format, notes: list[str]) -> Array:
    """Return the pixels in a type that the format has."""
    if (
        pixels.dtype == np.uint8
        or (pixels.dtype == np.uint16 and kind.deep)
        or (kind.floats and pixels.dtype.kind == "f")
    ):
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint16:
        notes.append(f"16 bits were rounded to 8, as {kind.name} holds no more")
        return np.rint(pixels / np.float32(257)).astype(np.uint8)
    target: Any = np.uint16 if kind.deep else np.uint8
    beyond = int(np.count_nonzero(~((pixels >= 0) & (pixels <= 1))))
    clipped = f", {beyond:,} numbers beyond 0 to 1 clipped" if beyond else ""
    if 2 * np.count_nonzero(pixels > 1) > pixels.size:
        clipped += ": 1 is white, so divide numbers from 0 to 255 by 255"
    notes.append(f"floats were rounded to {16 if kind.deep else 8} bits, as {kind.name} holds none{clipped}")
    top = np.iinfo(target).max
    rounded: Array = np.rint(np.nan_to_num(pixels, nan=0.0).clip(0, 1) * pixels.dtype.type(top)).astype(
        target
    )
    return rounded


def _holds(picture: Picture, kind: _Format, notes: list[str]) -> frozenset[str]:
    """Return what is written besides pixels, and note what the format has no place for."""
    there = {name for name in ("profile", "exif", "xmp", "dpi", "text") if getattr(picture, name)}
    if set(picture.text) == {"Comment"} and "comment" in kind.holds:
        there = there - {"text"} | {"comment"}
    comment = picture.text.get("Comment", "").encode(errors="replace")
    parts = {"exif": picture.exif, "xmp": picture.xmp, "comment": comment}
    large = {n for n, part in parts.items() if kind.name == "JPEG" and len(part or b"") > 65_000}
    lost = sorted(_WORDS[name] for name in (there - kind.holds | large) if name in _WORDS)
    if lost:
        notes.append(f"left out, as {kind.name} has no place for it: {', '.join(lost)}")
    if kind.name == "GIF":
        notes.append("colours were reduced to 256, as GIF holds no more")
    return kind.holds - large
