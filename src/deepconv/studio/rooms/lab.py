"""The kernel lab: any kernel on any picture, and the sum behind each pixel."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from deepconv.arrays import Array
from deepconv.images import KERNELS, Picture, apply, effect
from deepconv.images.effects import names_file
from deepconv.images.files import encode
from deepconv.studio.rooms.lab_pixel import behind
from deepconv.studio.rooms.lab_words import output_name, written
from deepconv.studio.rooms.numbers import from_page, to_page
from deepconv.studio.rooms.uploads import read_upload
from deepconv.studio.session import Answer, Session, method

__all__ = ["Settings", "catalogue", "load", "numbers", "pixel", "run", "save", "words"]

SHOWN = 1_000_000
"""Pixels of the picture that is filtered while a slider moves; a larger one is shrunk for it."""

_SIDE = 15
"""Rows and columns of the largest grid that the page shows."""


class Settings(BaseModel, extra="forbid", strict=True):
    """What the page asks to be done to its picture.

    Attributes:
        name: an effect by its name; used where `kernel` is None.
        kernel: the grid's numbers, row by row.
        border: what stands beyond the picture.
        divisor: what the sums are divided by; None is 1.
        offset: what is added then, as a part of the full range.
        signed: how negative results are shown.
        flip: convolution instead of correlation.
        stride: every how manieth pixel is kept.

    Example:
        >>> Settings(name="sharpen").border
        'reflect'
    """

    name: Annotated[str, Field(max_length=200)] = ""
    kernel: list[Any] | None = None
    border: Literal["reflect", "mirror", "edge", "wrap", "zero", "crop"] = "reflect"
    divisor: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None
    offset: Annotated[float, Field(ge=-1, le=1)] = 0.0
    signed: Literal["clip", "absolute", "grey", "stretch"] = "clip"
    flip: bool = False
    stride: Annotated[int, Field(ge=1, le=16)] = 1

    def chosen(self) -> Any:
        """Return what `apply` takes: an effect by its name, or the grid's numbers."""
        if self.kernel is None:
            _no_file(self.name)
            return effect(self.name)
        return from_page("kernel", self.kernel, "RS", _SIDE * _SIDE)

    def applied(self, pixels: Array) -> Array:
        """Return the pixels with this done to them."""
        out: Array = apply(
            pixels, self.chosen(), border=self.border, divisor=self.divisor, offset=self.offset,
            signed=self.signed, flip=self.flip,
        )  # fmt: skip
        return out[:: self.stride, :: self.stride]


Given = Annotated[Settings, Field(strict=False)]
"""Settings as they come in JSON."""


@dataclass(frozen=True)
class _Loaded:
    """A page's picture: as it came, and as it is shown."""

    whole: Picture
    shown: Array  # uint8, (H, W), (H, W, 3) or (H, W, 4)
    name: str  # of its file; empty for the shipped one and for what has none


@dataclass(frozen=True)
class _Filtered:
    """The result that a page shows, kept for the questions that follow about its pixels."""

    picture: _Loaded
    settings: Settings
    result: Array


@cache
def _shipped() -> _Loaded:
    return _loaded(files("deepconv.studio").joinpath("page/cat.jpg").read_bytes(), "")


def _loaded(data: bytes, name: str) -> _Loaded:
    whole = read_upload(data)
    return _Loaded(whole, _eight_bits(_shrunk(whole.pixels)), name)


def _shrunk(pixels: Array) -> Array:
    """Average whole blocks of pixels until few enough are left."""
    height, width = pixels.shape[:2]
    block = int(np.ceil(np.sqrt(height * width / SHOWN)))
    if block == 1:
        return pixels
    rows, columns = max(1, height // block), max(1, width // block)
    cut = pixels[: rows * block, : columns * block] if min(height, width) >= block else pixels[:block, :block]
    means: Array = cut.reshape(rows, -1, columns, cut.shape[1] // columns, *pixels.shape[2:]).mean(
        axis=(1, 3)
    )
    return means if pixels.dtype.kind == "f" else np.rint(means).astype(pixels.dtype)


def _eight_bits(pixels: Array) -> Array:
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257).astype(np.uint8)
    elif pixels.dtype.kind == "f":
        pixels = np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)
    grey_and_alpha = pixels.ndim == 3 and pixels.shape[2] == 2
    return pixels[..., [0, 0, 0, 1]] if grey_and_alpha else pixels


def _of(session: Session) -> _Loaded:
    found: _Loaded = session.state.get("lab") or _shipped()
    return found


def _filtered(session: Session, settings: Settings) -> Array:
    """Return the shown picture with the settings applied, and keep it for questions about its pixels."""
    picture = _of(session)
    _forget_result(session)  # first: the new one is written where the old one lay
    result = settings.applied(picture.shown)
    with contextlib.suppress(ValueError):  # no memory left to keep it in: it is computed again when asked for
        session.keep("result", result.nbytes)
        session.state["lab result"] = _Filtered(picture, settings, result)
    return result


def _forget_result(session: Session) -> None:
    session.state.pop("lab result", None)
    session.keep("result", 0)


def _last(session: Session, settings: Settings) -> Array:
    """Return what the page was last given, filtered anew where picture or settings are others by now."""
    last = session.state.get("lab result")
    if isinstance(last, _Filtered) and last.picture is _of(session) and last.settings == settings:
        return last.result
    return _filtered(session, settings)


def _rgba(pixels: Array) -> memoryview:
    """Return pixels as a canvas takes them."""
    result = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    # Channel by channel: three bytes at a time take NumPy six times as long.
    for channel in range(3 if pixels.ndim == 2 else pixels.shape[2]):
        result[..., channel] = pixels if pixels.ndim == 2 else pixels[..., channel]
    flat: memoryview = result.reshape(-1).data
    return flat


@method(lane="files")
def load(session: Session, blobs: list[bytes], *, name: Annotated[str, Field(max_length=255)] = "") -> Answer:
    """Take a person's picture in, or go back to the shipped one where none comes; it stays in memory.

    Args:
        session: the page's.
        blobs: one picture file, or nothing.
        name: the file's, for what is copied from the page.
    """
    if blobs:
        loaded = _loaded(blobs[0], name)
        _forget_result(session)  # the new picture may need its place
        session.keep("picture", loaded.whole.pixels.nbytes + loaded.shown.nbytes)
        session.state["lab"] = loaded
    else:
        session.state.pop("lab", None)
        session.keep("picture", 0)
    found = _of(session)
    height, width = found.shown.shape[:2]
    whole = list(found.whole.pixels.shape[:2])
    facts = {
        "height": height,
        "width": width,
        "whole": whole,
        "notes": list(found.whole.notes),
        "kind": repr(found.whole),
    }
    return Answer(facts, (_rgba(found.shown),))


@method()
def catalogue(session: Session, blobs: list[bytes]) -> Answer:
    """Return the named kernels, with their settings.

    Args:
        session: the page's.
        blobs: none.
    """
    return Answer(
        {
            "kernels": [
                {
                    "name": known.name, "does": known.does, "formula": known.formula, "group": known.group,
                    "settings": [
                        {
                            "name": s.name, "default": s.default, "low": s.low, "high": s.high, "kind": s.kind,
                            "words": list(s.words), "meaning": s.meaning,
                        }
                        for s in known.settings
                    ],
                }
                for known in KERNELS.values()
            ]
        }
    )  # fmt: skip


@method(latest=True)
def numbers(session: Session, blobs: list[bytes], *, text: Annotated[str, Field(max_length=8000)]) -> Answer:
    """Return a kernel that is named or written out: its size, and its numbers where the grid has room for them.

    Args:
        session: the page's.
        blobs: none.
        text: such as `gaussian sigma=1.2` or `0 1 0; 1 -4 1; 0 1 0`.
    """
    _no_file(text)
    found = effect(text)
    shape = found.kernels[0].shape
    return Answer(
        {
            "kernels": [to_page(kernel) for kernel in found.kernels] if max(shape) <= _SIDE else None,
            "count": len(found.kernels),
            "size": list(shape),
            "name": str(found),
            "view": found.view,
            "total": found.total,
        }
    )


def _no_file(text: str) -> None:
    """A page names kernels, not files of this machine."""
    if names_file(text):
        raise ValueError(f"{text}: names a file; load its numbers into the grid instead")


@method(latest=True)
def run(
    session: Session,
    blobs: list[bytes],
    *,
    settings: Given,
) -> Answer:
    """Filter the picture that is shown.

    Args:
        session: the page's.
        blobs: none.
        settings: what to do.
    """
    began = time.perf_counter()
    result = _filtered(session, settings)
    filtered = time.perf_counter()
    data = _rgba(result)
    height, width = result.shape[:2]
    spent = {"filter": filtered - began, "encode": time.perf_counter() - filtered}
    return Answer({"height": height, "width": width, "seconds": spent}, (data,))


@method(latest=True)
def pixel(
    session: Session,
    blobs: list[bytes],
    *,
    row: Annotated[int, Field(ge=0)],
    column: Annotated[int, Field(ge=0)],
    settings: Given,
) -> Answer:
    """Return the numbers behind one pixel of the result, as `behind` gives them, and the pixel itself.

    Args:
        session: the page's.
        blobs: none.
        row: of the result.
        column: of the result.
        settings: what to do.
    """
    result = _last(session, settings)
    if row >= result.shape[0] or column >= result.shape[1]:
        raise ValueError(f"row {row}, column {column} lies outside the result")
    found = behind(
        _of(session).shown, effect(settings.chosen()), (row * settings.stride, column * settings.stride),
        border=settings.border, divisor=settings.divisor, flip=settings.flip, most=_SIDE * _SIDE,
    )  # fmt: skip
    return Answer({**found, "shown": np.atleast_1d(result[row, column]).tolist()})


@method(lane="files")
def save(
    session: Session,
    blobs: list[bytes],
    *,
    settings: Given,
) -> Answer:
    """Filter the whole picture, as large and as deep as it came, and return it as a PNG file.

    Args:
        session: the page's.
        blobs: none.
        settings: what to do.
    """
    picture = _of(session)
    whole, pixels = picture.whole, picture.whole.pixels
    if pixels.dtype.kind == "f":  # a PNG holds none; 16 bits hold what is between black and white
        pixels = np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 65535).astype(np.uint16)
    out = settings.applied(pixels)
    stream = io.BytesIO()
    kept = frozenset({"profile", "exif", "xmp", "dpi", "text"})
    encode(stream, "PNG", whole.with_pixels(np.ascontiguousarray(out)), quality=None, holds=kept)
    return Answer({"file": output_name(picture.name)}, (stream.getvalue(),))


@method(latest=True)
def words(
    session: Session,
    blobs: list[bytes],
    *,
    settings: Given,
) -> Answer:
    """Return the same as a line of Python and as a command, for people to take along.

    Args:
        session: the page's.
        blobs: none.
        settings: what to do.
    """
    picture = _of(session)
    given = settings.model_dump(include={"border", "divisor", "offset", "flip"}, exclude_defaults=True)
    given["signed"] = settings.signed  # elsewhere its default depends on the kernel
    whole = picture.whole.pixels.dtype.kind != "f"
    return Answer(written(picture.name, effect(settings.chosen()), given, settings.stride, whole=whole))
