"""Picture files, read and written with all that goes with the pixels: a stranger's file is not trusted."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from deepconv.arrays import Array
from deepconv.images.picture import Picture
from deepconv.images.raw import (
    NATIVE,
    PIXEL_LIMIT,
    check_size,
    check_strips,
    png_beside,
    png_chunks,
    ppm_bytes,
    read_ppm,
    read_tiff,
    resolution,
    tiff_strips,
    upright,
)  # fmt: skip

__all__ = ["PIXEL_LIMIT", "encode", "opened", "read_image"]

# Pictures made of pixels. Formats that run another program (EPS), fetch parts from elsewhere or hold
# plain data (WMF, FITS, HDF5, …) stay closed.
_FORMATS = (
    *("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP"),
    *("PPM", "TGA", "ICO", "PCX", "SGI", "AVIF", "JPEG2000"),
)

# What Pillow's decoders are known to raise on a damaged file, besides its own error types.
_DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError,
    EOFError, RuntimeError, struct.error, zlib.error, MemoryError, Image.DecompressionBombError,
)  # fmt: skip

# For a file of 16 bits a channel, how Pillow unpacks the high byte of each number, and how it would unpack the
# low one: as the high byte of numbers in the other order. Grey with alpha has no such word; four bytes have.
_OTHER = {"L": "B", "B": "L", "N": "B" if NATIVE == "L" else "L"}
_DEEP = {"RGB;16", "RGBA;16", "RGBX;16"}
_ORIENTATION, _EXIF_IFD, _GPS_IFD, _XMP_TAG = 0x0112, 0x8769, 0x8825, 700

# Modes of colours that become sRGB.
_OTHER_COLOURS = ("CMYK", "LAB", "HSV", "YCbCr")

# The same mark, as XMP has it.
_TURNED = re.compile(rb'tiff:Orientation="\d"|<tiff:Orientation>\d</tiff:Orientation>')

# What of a TIFF file's first directory speaks of the picture and not of how its pixels are stored.
_TIFF_KEPT = (270, 271, 272, 305, 306, 315, 316, 33432, _EXIF_IFD, _GPS_IFD)


class _Quiet:
    """While any thread decodes: no warnings, and no size limit of Pillow's below ours, which is checked here.

    Both are settings of the whole process. Each thread that saved and restored them by itself would restore
    what another had set; so the first one in saves them, and the last one out restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore = contextlib.ExitStack()

    @contextlib.contextmanager
    def __call__(self, pixel_limit: int) -> Iterator[None]:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._restore.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                self._restore.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
                Image.MAX_IMAGE_PIXELS = max(PIXEL_LIMIT, pixel_limit)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._restore.close()


_quiet = _Quiet()


@contextlib.contextmanager
def opened(op: str, path: str | os.PathLike[str], pixel_limit: int = PIXEL_LIMIT) -> Iterator[Image.Image]:
    """Open a stranger's picture; whatever goes wrong inside the block names the file, in one line.

    Args:
        op: the operation that asks, for the message.
        path: the file.
        pixel_limit: a picture of more pixels is refused before any of them is decoded.

    Yields:
        Pillow's picture, its header read and nothing decoded.

    Raises:
        TypeError: `path` is no path.
        ValueError: the file is missing, not a picture, damaged, too large, or can't be read.

    Example:
        >>> with opened("read_image", "no such file.png") as picture:
        ...     pass
        Traceback (most recent call last):
        ValueError: read_image: path='no such file.png': no such file; name a picture file
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{op}: path={path!r:.100} is no path; give the name of a picture file")
    file = Path(path)
    try:
        is_file, exists = file.is_file(), file.exists()
    except (
        OSError,
        ValueError,
    ) as error:  # a name that no file can have, a folder that may not be looked into
        raise ValueError(f"{op}: path={str(path)!r} can't be read: {_reason(error)}") from error
    if not is_file:  # a folder, a device or a pipe would block or never end
        kind = "not a file" if exists else "no such file"
        raise ValueError(f"{op}: path={str(path)!r}: {kind}; name a picture file")
    try:
        with _quiet(pixel_limit):
            Image.init()  # without it only some of the formats are known
            formats = [name for name in _FORMATS if name in Image.OPEN]
            with Image.open(file, formats=formats) as picture:
                check_size(picture.size, pixel_limit)
                if isinstance(picture, TiffImageFile):
                    check_strips(dict(picture.tag_v2), file.stat().st_size)
                yield picture
    except _DAMAGED as error:
        raise ValueError(f"{op}: path={str(path)!r} can't be read: {_reason(error)}") from error


def read_image(path: str | os.PathLike[str], *, pixel_limit: int = PIXEL_LIMIT) -> Picture:
    """Read a picture file with everything in it that can be written again.

    Black and white, grey and colours keep their depth: 8 bits, 16 bits (colour PNG, TIFF and PPM too, whole),
    or floats. Palettes become colours, with alpha where they have a transparent one; CMYK and Lab become sRGB,
    through the file's profile where it has one. The camera's orientation mark is obeyed and taken off. Of an
    animation or a file of several pages the first is read.

    Args:
        path: the file.
        pixel_limit: a picture of more pixels (width times height) is refused before any of them is decoded.

    Returns:
        The picture; its `notes` say what was changed or left out.

    Raises:
        TypeError: `path` is no path.
        ValueError: the file is missing, not a picture, damaged, too large, or can't be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGBA", (3, 2), "red").save(Path(folder) / "red.png")
        ...     read_image(Path(folder) / "red.png")
        Picture: 3 x 2 pixels, RGBA, uint8
    """
    op = "read_image"
    try:
        with opened(op, path, pixel_limit) as picture:
            pixels, alpha, notes = _deep(picture, op, path, pixel_limit) or _shallow(picture)
            check_size(pixels.shape[:2], pixel_limit)  # an icon's header tells less than the picture inside
            beside = _described(picture)
            profile, changed = picture.info.get("icc_profile"), picture.mode in _OTHER_COLOURS
            return Picture(
                pixels,
                alpha,
                None if changed or not profile else bytes(profile),
                beside.exif,
                beside.xmp,
                beside.dpi,
                beside.text,
                picture.format or "",
                (*notes, *_pages(picture)),
            )
    except ValueError as error:
        if isinstance(error.__cause__, UnidentifiedImageError) and (
            found := _float_tiff(op, path, pixel_limit)
        ):
            return found
        raise


def _reason(error: BaseException) -> str:
    """Return what is wrong and what to do about it, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture in a known format; use PNG, JPEG, TIFF, WebP, GIF or BMP"
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own limit, above ours
        return f"{''.join(re.findall('[0-9]+', str(error))[:1])} pixels, far too many; shrink it first"
    if isinstance(error, MemoryError):
        return "there is too little memory for it; shrink it first"
    if isinstance(error, FileNotFoundError):
        return "it is gone; name a picture file"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}; check its name and who may read it"
    words = " ".join(str(error).split()) or type(error).__name__
    return words if "; " in words else f"{words}; save it again as PNG or JPEG"


def _deep(
    picture: Any, op: str, path: str | os.PathLike[str], pixel_limit: int
) -> tuple[Array, bool, list[str]] | None:
    """Return colours of 16 bits, of which Pillow itself keeps the upper eight; None where there are none."""
    rawmode = _raw_mode(picture)
    if (
        picture.format == "PPM"
        and picture.mode == "RGB"
        and picture.tile
        and isinstance(picture.tile[0].args, tuple)
    ):
        top = picture.tile[0].args[-1]
        if isinstance(top, int) and top > 255 and picture.tile[0].codec_name == "ppm" and picture.fp:
            shape = (picture.height, picture.width, 3)
            return read_ppm(picture.fp, picture.tile[0].offset, shape, top), False, []
    if rawmode == "LA;16B":  # its four bytes a pixel, taken as they are
        values = np.asarray(_decoded(picture, "RGBA"), np.uint16)
        return values[..., ::2] << 8 | values[..., 1::2], True, []
    if rawmode[:-1] not in _DEEP:
        return None
    with opened(op, path, pixel_limit) as again:
        values = np.asarray(_decoded(again, rawmode[:-1] + _OTHER[rawmode[-1]]), np.uint16)
    values |= np.asarray(_decoded(picture, rawmode), np.uint16) << 8
    key = picture.info.get("transparency")
    if picture.mode == "RGB" and isinstance(key, tuple):
        opaque = (values != np.array(key, np.uint16)).any(axis=-1, keepdims=True)
        values = np.concatenate([values, opaque * np.uint16(65535)], axis=-1)
    return values, values.shape[2] == 4, []


def _raw_mode(picture: Any) -> str:
    """Return how the file's numbers are packed, in Pillow's word, or an empty text."""
    if not picture.tile:
        return ""
    args = picture.tile[0].args
    word = args[0] if isinstance(args, tuple) and args else args
    return word if isinstance(word, str) else ""


def _decoded(picture: Any, rawmode: str) -> Image.Image:
    """Decode a picture with its numbers unpacked in a way of our own, and turn it upright."""
    tiles = []
    for tile in picture.tile:
        args = (rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode
        tiles.append(tile._replace(args=args))
    picture.tile = tiles
    return ImageOps.exif_transpose(picture)


def _shallow(picture: Image.Image) -> tuple[Array, bool, list[str]]:
    """Return pixels, whether the last channel is alpha, and notes, of what Pillow decodes by itself."""
    notes, mode = [], picture.mode
    if ";16" in _raw_mode(picture) and not mode.startswith("I"):
        notes.append(f"16-bit {mode} was read as 8 bits")
    key = picture.info.get("transparency")
    turned = ImageOps.exif_transpose(picture)
    if mode.startswith("I;16"):
        pixels = np.asarray(turned).astype(np.uint16)
        if isinstance(key, int):
            return np.stack([pixels, (pixels != key) * np.uint16(65535)], axis=-1), True, notes
        return pixels, False, notes
    if mode == "I" and picture.format == "PPM":
        return np.asarray(turned).astype(np.uint16), False, notes
    if mode == "I":
        notes.append("whole numbers of 32 bits were read as floats, as they are")
        return np.asarray(turned).astype(np.float64), False, notes
    if mode == "F":
        return np.array(turned, np.float32), False, notes
    if mode in _OTHER_COLOURS:
        turned, note = _as_srgb(turned)
        notes.append(note)
    see_through = mode in ("RGBA", "LA", "PA", "La", "RGBa") or key is not None
    grey = mode in ("1", "L", "LA", "La")
    target = ("LA" if see_through else "L") if grey else ("RGBA" if see_through else "RGB")
    return np.array(turned.convert(target)), see_through, notes


def _as_srgb(picture: Image.Image) -> tuple[Image.Image, str]:
    """Return a picture of other colours as sRGB, through its profile where it has one, and a note."""
    mode, profile = picture.mode, picture.info.get("icc_profile")
    if mode == "LAB" or (profile and mode == "CMYK"):
        try:
            source = (
                ImageCms.createProfile("LAB")
                if mode == "LAB"
                else ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
            )
            converted = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
        else:
            if converted is not None:
                return (
                    converted,
                    f"{mode} was converted to sRGB through {'its profile' if profile else 'CIE Lab'}",
                )
    what = "its profile is damaged" if profile else "it has no profile"
    return picture.convert("RGB"), f"{mode} was converted to RGB by the plain formula ({what})"


def _described(picture: Image.Image) -> Picture:
    """Return what stands in the file beside its pixels, the orientation mark taken off."""
    info = picture.info
    data = _kept_exif(picture.getexif(), picture.format == "TIFF")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    xmp = _TURNED.sub(b"", xmp.encode() if isinstance(xmp, str) else bytes(xmp)) if xmp else None
    texts = dict(getattr(picture, "text", None) or {})
    if isinstance(comment := info.get("comment"), (bytes, str)):
        texts["Comment"] = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else comment
    text = {
        str(k): str(v) for k, v in texts.items() if not k.startswith(("XML:com.adobe", "Raw profile type"))
    }
    return Picture(np.zeros((1, 1)), exif=data, xmp=xmp, dpi=resolution(info.get("dpi")), text=text)


def _kept_exif(exif: Image.Exif, is_tiff: bool) -> bytes | None:
    """Return EXIF data without the orientation mark, and without the thumbnail, which shows the old picture."""
    kept, inner = Image.Exif(), 0
    try:
        for tag, value in exif.items():
            if tag in (_EXIF_IFD, _GPS_IFD):
                kept.get_ifd(tag).update(exif.get_ifd(tag))
                inner += 1
            elif tag != _ORIENTATION and (not is_tiff or tag in _TIFF_KEPT):
                kept[tag] = value
        return kept.tobytes() if len(kept) or inner else None
    except _DAMAGED:  # what a camera wrote may be anything
        return None


def _pages(picture: Image.Image) -> list[str]:
    """Return a note where the file has more pictures than the one that was read."""
    pages = 1
    if picture.format != "MPO":  # a phone's photograph: what follows is a preview or a map of depths
        with contextlib.suppress(*_DAMAGED):
            pages = int(getattr(picture, "n_frames", 1))
    return (
        [f"the first of {pages} {'pages' if picture.format == 'TIFF' else 'frames'} was read"]
        if pages > 1
        else []
    )


def _float_tiff(op: str, path: str | os.PathLike[str], pixel_limit: int) -> Picture | None:
    """Read a TIFF file of a kind that Pillow doesn't know, such as floats in colour; None if it is no TIFF."""
    try:
        with open(path, "rb") as stream, _quiet(pixel_limit):
            header = stream.read(8)
            if header[:4] not in (b"II*\0", b"MM\0*"):
                return None
            tags = ImageFileDirectory_v2(header)
            stream.seek(tags.next)
            tags.load(stream)
            pixels = read_tiff(stream, dict(tags), "<" if header[:2] == b"II" else ">", pixel_limit)
            exif = Image.Exif()
            stream.seek(0)
            exif.load_from_fp(stream)
            kept = _kept_exif(exif, True)
    except _DAMAGED as error:
        raise ValueError(f"{op}: path={str(path)!r} can't be read: {_reason(error)}") from error
    pixels = pixels.astype(np.float32) if pixels.dtype == np.float16 else pixels
    pixels = upright(pixels, tags.get(_ORIENTATION, 1))
    alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    dpi = resolution((tags.get(282), tags.get(283))) if tags.get(296) == 2 else None
    return Picture(pixels, alpha, tags.get(34675), kept, tags.get(_XMP_TAG), dpi, format="TIFF")


def encode(
    stream: BinaryIO, kind: str, picture: Picture, *, quality: int | None, holds: frozenset[str]
) -> None:
    """Write a picture that fits a format, and of what goes with it what the format holds.

    Args:
        stream: the file.
        kind: the format, by Pillow's name.
        picture: its pixels are of a depth and a number of channels that the format has.
        quality: of a lossy format, 1 to 100.
        holds: what is written besides pixels: some of `profile`, `exif`, `xmp`, `dpi`, `text`, `comment`.

    Raises:
        ValueError: Pillow refuses the picture.
        OSError: the same, or the file can't be written.

    Example:
        >>> stream = io.BytesIO()
        >>> encode(stream, "BMP", Picture(np.eye(3) > 0), quality=None, holds=frozenset())
        >>> Image.open(stream).size
        (3, 3)
    """
    given = {name: getattr(picture, name) for name in ("profile", "xmp", "dpi") if name in holds}
    options: dict[str, Any] = {
        "icc_profile": given.get("profile"),
        "xmp": given.get("xmp"),
        "dpi": given.get("dpi"),
    }
    options["exif"] = _exif_of(picture) if "exif" in holds else None
    options["comment"] = picture.text.get("Comment") if "comment" in holds else None
    options = {name: value for name, value in options.items() if value}
    pixels = picture.pixels
    if kind == "TIFF":
        _write_tiff(stream, picture)
        return
    if kind == "PPM":
        stream.write(ppm_bytes(pixels))
        return
    if kind == "PNG":
        texts = _png_texts(picture)
        options.pop("xmp", None)
        if pixels.dtype == np.uint16:
            extra = [*png_beside(options), *((chunk[0], chunk[1]) for chunk in texts.chunks)]
            stream.writelines(png_chunks(pixels, extra))
            return
        # Pillow's own 6 takes three times as long for smooth photographs and makes them a tenth smaller.
        options |= {"pnginfo": texts, "compress_level": 3}
    if kind == "JPEG":
        options |= {"quality": quality or 92, "subsampling": 0 if (quality or 92) >= 90 else 2}
    elif kind == "WEBP":
        options |= {"lossless": quality is None, "quality": quality or 80, "exact": True}
    elif kind == "AVIF":
        options["quality"] = quality or 90
    Image.fromarray(pixels).save(stream, kind, **options)


def _exif_of(picture: Picture) -> bytes | None:
    """Return the EXIF data with the size that the picture has now, and no orientation: it stands upright."""
    if picture.exif is None:
        return None
    exif = Image.Exif()
    exif.load(picture.exif)
    exif.pop(_ORIENTATION, None)
    inner = exif.get_ifd(_EXIF_IFD) if _EXIF_IFD in exif else {}
    for tag, size in ((0xA002, picture.pixels.shape[1]), (0xA003, picture.pixels.shape[0])):
        if tag in inner:
            inner[tag] = size
    return exif.tobytes()


def _png_texts(picture: Picture) -> PngInfo:
    texts = PngInfo()
    for name, value in picture.text.items():
        key = name.encode("latin-1", "replace")[:79].decode("latin-1").strip() or "Comment"
        texts.add_text(key, value)
    if picture.xmp:
        texts.add_itxt("XML:com.adobe.xmp", picture.xmp.decode("utf-8", "replace"))
    return texts


def _write_tiff(stream: BinaryIO, picture: Picture) -> None:
    """Write header, directory and strips."""
    strips, tags = tiff_strips(picture.pixels)
    directory = ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    if data := _exif_of(picture):
        exif = Image.Exif()
        exif.load(data)
        for tag, value in exif.items():
            if tag in _TIFF_KEPT:
                directory[tag] = dict(exif.get_ifd(tag)) if tag in (_EXIF_IFD, _GPS_IFD) else value
    for tag, value in tags.items():
        directory[tag] = value
    lengths = [len(strip) for strip in strips]
    if sum(lengths) > 4_000_000_000:
        raise ValueError("more than a TIFF file's four gigabytes; write it as PNG")
    directory[273] = tuple(
        sum(lengths[:place]) for place in range(len(strips))
    )  # from the directory's end on
    if picture.dpi:
        directory[282], directory[283], directory[296] = *picture.dpi, 2
    if picture.profile:
        directory[34675] = picture.profile
    if picture.xmp:
        directory[_XMP_TAG] = picture.xmp
    stream.write(struct.pack("<2sHI", b"II", 42, 8))
    stream.write(directory.tobytes(8))
    stream.writelines(strips)
