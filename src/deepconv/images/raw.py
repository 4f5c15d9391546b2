"""Formats whose deep pictures Pillow can't read or write: 16-bit colour PNG and PPM, TIFF of 16 bits and of floats.

Nothing here knows of Pillow. Sizes are checked against what a file holds before memory is taken.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from deepconv.arrays import Array

__all__ = [
    "PIXEL_LIMIT", "check_size", "check_strips", "png_beside", "png_chunks", "ppm_bytes", "read_ppm", "read_tiff",
    "resolution", "tiff_strips", "upright",
]  # fmt: skip

PIXEL_LIMIT = 200_000_000
"""The largest width times height that is decoded; more is refused before any pixel is."""

_BAND = 1 << 20
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
_DEFLATE = (8, 32946)


def check_size(size: tuple[int, ...], pixel_limit: int) -> None:
    """Refuse a picture of more pixels than are allowed.

    Args:
        size: its two sides.
        pixel_limit: the most that they may make; named where somebody chose it.

    Raises:
        ValueError: it has more.

    Example:
        >>> check_size((12, 9), 100)
        Traceback (most recent call last):
        ValueError: 12x9 pixels, more than pixel_limit=100; shrink it first, or raise the limit
    """
    if size[0] * size[1] > pixel_limit:
        usual = pixel_limit == PIXEL_LIMIT
        limit = f"{pixel_limit:,}" if usual else f"pixel_limit={pixel_limit:,}"
        remedy = "shrink it first" if usual else "shrink it first, or raise the limit"
        raise ValueError(f"{size[0]}x{size[1]} pixels, more than {limit}; {remedy}")


def png_chunks(pixels: Array, extra: Iterable[tuple[bytes, bytes]] = ()) -> Iterator[bytes]:
    """Write a picture of 16 bits as a PNG file, part by part.

    Each row is stored as its difference to the row above (PNG's filter 2).

    Args:
        pixels: uint16, `(H, W)` or `(H, W, C)` with one to four channels.
        extra: chunks that stand before the pixels, as (name, data).

    Yields:
        The file's bytes.

    Example:
        >>> len(b"".join(png_chunks(np.zeros((4, 5), np.uint16))))
        83
    """
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels, ">u2").reshape(height, -1).view(np.uint8)
    channels = rows.shape[1] // (2 * width)
    yield b"\x89PNG\r\n\x1a\n"
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0))
    for name, data in extra:
        yield _chunk(name, data)
    packer = zlib.compressobj(6)
    step = max(1, _BAND // rows.shape[1])
    for top in range(0, height, step):
        band = np.full((min(step, height - top), rows.shape[1] + 1), 2, np.uint8)
        band[:, 1:] = rows[top : top + step]
        band[1:, 1:] -= rows[top : top + len(band) - 1]
        if top:
            band[0, 1:] -= rows[top - 1]
        if data := packer.compress(band.tobytes()):
            yield _chunk(b"IDAT", data)
    yield _chunk(b"IDAT", packer.flush())
    yield _chunk(b"IEND", b"")


def png_beside(what: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file that hold profile, resolution and EXIF data.

    Args:
        what: some of `icc_profile`, `dpi`, `exif`, as Pillow names them.

    Yields:
        (name, data).

    Example:
        >>> [name for name, data in png_beside({"dpi": (72, 72)})]
        [b'pHYs']
    """
    if profile := what.get("icc_profile"):
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)
    if dpi := what.get("dpi"):
        yield b"pHYs", struct.pack(">IIB", *(round(number / 0.0254) for number in dpi), 1)
    if exif := what.get("exif"):
        yield b"eXIf", exif.removeprefix(b"Exif\0\0")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def ppm_bytes(pixels: Array) -> bytes:
    """Write grey or colours of 8 or 16 bits as a binary PGM or PPM file.

    Example:
        >>> ppm_bytes(np.full((1, 2), 65, np.uint8)).split()
        [b'P5', b'2', b'1', b'255', b'AA']
    """
    height, width = pixels.shape[:2]
    kind, top = ("P5" if pixels.ndim == 2 else "P6"), np.iinfo(pixels.dtype).max
    order = ">u2" if top > 255 else "u1"
    return f"{kind} {width} {height} {top}\n".encode() + pixels.astype(order).tobytes()


def read_ppm(stream: BinaryIO, offset: int, shape: tuple[int, ...], top: int) -> Array:
    """Read the numbers of a binary PPM file of more than 8 bits.

    Args:
        stream: the file.
        offset: where its numbers begin.
        shape: `(height, width, channels)`.
        top: what stands for white; the numbers are stretched to 65535.

    Returns:
        uint16 of that shape.

    Raises:
        ValueError: the file ends too early.

    Example:
        >>> import io
        >>> read_ppm(io.BytesIO(bytes([0, 1, 2, 0])), 0, (1, 1, 2), 512).tolist()
        [[[128, 65535]]]
    """
    stream.seek(offset)
    length = 2 * int(np.prod(shape))
    data = stream.read(length)
    if len(data) < length:
        raise ValueError("the file ends too early")
    values = np.frombuffer(data, ">u2").reshape(shape)
    if top == 65535:
        return values.astype(np.uint16)
    stretched: Array = np.rint(np.minimum(values, top) * (65535 / top)).astype(np.uint16)
    return stretched


def tiff_strips(pixels: Array) -> tuple[list[bytes], dict[int, Any]]:
    """Pack a picture for a TIFF file: strips of rows, deflated, integers as differences along the row.

    Args:
        pixels: uint8, uint16, float32 or float64; `(H, W)` or `(H, W, C)` with one to four channels.

    Returns:
        The strips, and the tags that describe them, without `StripOffsets`.

    Example:
        >>> strips, tags = tiff_strips(np.zeros((4, 5, 3), np.uint16))
        >>> len(strips), tags[258]
        (1, (16, 16, 16))
    """
    height, width = pixels.shape[:2]
    values = pixels.reshape(height, width, -1).astype(pixels.dtype.newbyteorder("<"), copy=False)
    channels, whole = values.shape[2], values.dtype.kind == "u"
    step = max(1, _BAND // (width * channels * values.itemsize))
    strips = []
    for top in range(0, height, step):
        band = values[top : top + step]
        if whole:
            band = band.copy()
            band[:, 1:] -= values[top : top + step, :-1]
        strips.append(zlib.compress(band.tobytes(), 6))
    tags: dict[int, Any] = {
        256: width, 257: height, 258: (8 * values.itemsize,) * channels, 259: 8,
        262: 2 if channels > 2 else 1, 277: channels, 278: step, 279: tuple(map(len, strips)), 284: 1,
        317: 2 if whole else 1, 339: (1 if whole else 3,) * channels,
    }  # fmt: skip
    if channels in (2, 4):
        tags[338] = (2,)  # alpha, not premultiplied
    return strips, tags


def read_tiff(stream: BinaryIO, tags: Mapping[int, Any], order: str, pixel_limit: int) -> Array:
    """Read the pixels of a TIFF file of 8 to 64 bits a number, uncompressed or deflated.

    Args:
        stream: the file.
        tags: its first directory.
        order: `<` or `>`, the order of its bytes.
        pixel_limit: a picture of more pixels is refused.

    Returns:
        `(H, W)` or `(H, W, C)` of the file's numbers: uint8, uint16, float16, float32 or float64.

    Raises:
        ValueError: it is too large, damaged, or of a kind that isn't read here; the text says which.

    Example:
        >>> import io
        >>> strips, tags = tiff_strips(np.array([[1.5, 2.5]]))
        >>> read_tiff(io.BytesIO(strips[0]), {**tags, 273: (0,)}, "<", 100).tolist()
        [[1.5, 2.5]]
    """
    width, height, channels = int(tags.get(256, 0)), int(tags.get(257, 0)), int(tags.get(277, 1))
    if not (width > 0 and height > 0):
        raise ValueError(f"{width}x{height} pixels is no size")
    check_size((width, height), pixel_limit)
    bits, kind = set(_all(tags.get(258, 1))), set(_all(tags.get(339, 1)))
    types = {(8, 1): "u1", (16, 1): "u2", (16, 3): "f2", (32, 3): "f4", (64, 3): "f8"}
    dtype = types.get((bits.pop(), kind.pop())) if len(bits) == len(kind) == 1 else None
    packing, ahead = tags.get(259, 1), tags.get(317, 1)
    if dtype is None or not 1 <= channels <= 4 or tags.get(262) not in (1, 2) or 273 not in tags:
        raise ValueError(
            "a TIFF file of an unusual kind; save it as 8 or 16 bits or floats, grey or RGB, in strips"
        )
    if packing not in (1, *_DEFLATE) or ahead not in (1, 2) or (ahead == 2 and dtype[0] == "f"):
        raise ValueError(
            f"a TIFF file of {dtype[1:]}-byte numbers with compression {packing}, predictor {ahead}; "
            f"save it uncompressed or deflated"
        )
    number = np.dtype(order + dtype)
    apart = channels > 1 and tags.get(284, 1) == 2  # one plane after the other
    shape = (channels, height, width, 1) if apart else (1, height, width, channels)
    held = stream.seek(0, io.SEEK_END) * (1 if packing == 1 else 1100)  # deflate packs no tighter
    if math.prod(shape) * number.itemsize > held:
        raise ValueError("it holds fewer pixels than its header tells of; save it again")
    out = np.empty(shape, number.newbyteorder("="))
    rows = max(1, min(int(tags.get(278, height)), height))
    pieces = [(plane, top) for plane in range(shape[0]) for top in range(0, height, rows)]
    places, lengths = _all(tags[273]), _all(tags.get(279, ()))
    if len(places) != len(pieces) or len(lengths) != len(pieces):
        raise ValueError("its list of strips is damaged; save it again")
    for (plane, top), place, length in zip(pieces, places, lengths, strict=True):
        into = out[plane, top : top + rows]
        stream.seek(place)
        need = into.nbytes
        data = stream.read(length if packing != 1 else min(length, need))
        if packing != 1:
            data = zlib.decompressobj().decompress(data, need)
        if len(data) < need:
            raise ValueError("the file ends too early; save it again")
        into[...] = np.frombuffer(data[:need], number).reshape(into.shape)
        if ahead == 2:
            np.cumsum(into, axis=1, dtype=into.dtype, out=into)
    pixels = np.concatenate(list(out), axis=-1) if apart else out[0]
    return pixels[..., 0] if channels == 1 else pixels


def check_strips(tags: Mapping[int, Any], size: int) -> None:
    """Refuse a TIFF file whose pixels lie beyond its end; libtiff would write to the screen about it.

    Args:
        tags: its first directory.
        size: the file's bytes.

    Raises:
        ValueError: a strip or a tile reaches beyond the end.

    Example:
        >>> check_strips({273: (8, 20), 279: (12, 13)}, 32)
        Traceback (most recent call last):
        ValueError: the file ends too early; save it again
    """
    for places, lengths in ((273, 279), (324, 325)):
        pairs = zip(_all(tags.get(places, ())), _all(tags.get(lengths, ())), strict=False)
        if any(place + length > size for place, length in pairs):
            raise ValueError("the file ends too early; save it again")


def resolution(value: Any) -> tuple[float, float] | None:
    """Return pixels per inch, across and down, of what a file says; None where it makes no sense.

    Example:
        >>> resolution((72, 72)), resolution((0, 0)), resolution("many")
        ((72.0, 72.0), None, None)
    """
    try:
        across, down = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def upright(pixels: Array, orientation: int) -> Array:
    """Return a picture as EXIF's orientation mark means it.

    Args:
        pixels: `(H, W)` or `(H, W, C)` as they are stored.
        orientation: 1 to 8; anything else turns nothing.

    Example:
        >>> upright(np.array([[1, 2, 3]]), 6).tolist()
        [[1], [2], [3]]
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _all(value: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in value) if isinstance(value, (tuple, list)) else (int(value),)


NATIVE = "L" if sys.byteorder == "little" else "B"
"""The letter by which Pillow names this machine's order of bytes."""
