"""Files that a page sends: read from memory, never put on a disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from deepconv.images import Picture
from deepconv.images.files import read_image
from deepconv.layers import Layer
from deepconv.storage import load

__all__ = ["LARGEST", "read_model", "read_upload"]

LARGEST = 40_000_000
"""Pixels of a picture that is taken in."""


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """Give bytes a name that files have: Linux keeps such a file in memory."""
    held = os.memfd_create("upload")
    try:
        with open(held, "wb", closefd=False) as stream:
            stream.write(data)
        yield f"/proc/self/fd/{held}"
    finally:
        os.close(held)


def read_upload(data: bytes) -> Picture:
    """Return a picture that came as the bytes of its file.

    Args:
        data: the file.

    Raises:
        ValueError: it is no picture, is damaged, or has more than 40 million pixels.

    Example:
        >>> read_upload(b"words")
        Traceback (most recent call last):
        ValueError: the picture can't be read: not a picture in a known format; use PNG, JPEG, ...
    """
    with _in_memory(data) as path:
        try:
            return read_image(path, pixel_limit=LARGEST)
        except ValueError as error:
            said = str(error).replace(f"read_image: path={path!r}", "the picture")
            raise ValueError(said.replace("pixel_limit=", "").replace(", or raise the limit", "")) from None


def read_model(data: bytes) -> Layer:
    """Return a model that came as the bytes of its file. No code in it is run; there is none.

    Args:
        data: the file.

    Raises:
        ValueError: it is no model of deepconv, or damaged.

    Example:
        >>> read_model(b"words")
        Traceback (most recent call last):
        ValueError: ...
    """
    with _in_memory(data) as path:
        try:
            return load(path)
        except ValueError as error:
            raise ValueError(str(error).replace(f"load: path={path!r}", "the model file")) from None
