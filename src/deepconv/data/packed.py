"""Reading data files that may be gzipped, without taking more memory than was checked before."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from deepconv.arrays import Array

__all__ = ["TrainTest", "missing", "opened", "read_rest", "tar_members"]

_MOST_EXPANSION = 1032  # deflate can't make a byte into more than this many
_CHUNK = 2**20
_MOST_MEMBERS = 1000


class TrainTest(NamedTuple):
    """A data set as its publishers divided it.

    Args:
        train: images `(N, C, H, W)` uint8 and labels `(N,)` int64.
        test: the same, held out.
    """

    train: tuple[Array, Array]
    test: tuple[Array, Array]


@contextmanager
def opened(op: str, path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file, unpacked if it is gzipped; whatever goes wrong in the block names the file.

    Args:
        op: who asks, for the message.
        path: the file.

    Yields:
        the file, and the most bytes that can be in it.

    Raises:
        OSError: there is no such file, or it can't be read.
        ValueError: it is no plain file, damaged, or the block raised.

    Example:
        >>> with opened("read", __file__) as (file, most):
        ...     len(file.read()) == most
        True
    """
    where = f"{op}: path={os.fspath(path)!r}"
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{where} is not there; name a file") from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{where} is not a plain file; name one")
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield cast("BinaryIO", unpacked), status.st_size * _MOST_EXPANSION
            else:
                yield file, status.st_size
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{where} is damaged: {error}; get it again") from error
    except ValueError as error:
        raise ValueError(f"{where} {error}") from error


def read_rest(file: BinaryIO, size: int) -> Array:
    """Read all that is left of a file, which must be `size` bytes.

    Args:
        file: the file; `size` has been checked against the most that can be in it.
        size: the bytes that its header promises.

    Returns:
        the bytes, `(size,)` uint8.

    Raises:
        ValueError: there are fewer or more.

    Example:
        >>> import io
        >>> read_rest(io.BytesIO(b"abc"), 2)
        Traceback (most recent call last):
        ValueError: holds more than the 2 bytes of data that it should; get it again
    """
    data = np.empty(size, np.uint8)
    view, done = data.data, 0
    while done < size:
        count = file.readinto(view[done : done + _CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"ends after {done} of {size} bytes of data; get it again")
        done += count
    if file.read(1):
        raise ValueError(f"holds more than the {size} bytes of data that it should; get it again")
    return data


def tar_members(file: BinaryIO, byte_limit: int) -> Iterator[tuple[str, int]]:
    """Give the name and size of each plain file in a tar; its data may be read before the next is asked for.

    Nothing is unpacked, and no member's size is believed further than `byte_limit`.

    Args:
        file: the tar, unpacked.
        byte_limit: the most bytes that all members may have.

    Yields:
        the name and the size.

    Raises:
        ValueError: it is no tar, or larger than that.

    Example:
        >>> import io, tarfile
        >>> packed = io.BytesIO()
        >>> with tarfile.open(fileobj=packed, mode="w") as tar:
        ...     tar.addfile(tarfile.TarInfo("a"))
        >>> _ = packed.seek(0)
        >>> list(tar_members(packed, 10**6))
        [('a', 0)]
    """
    place = 0
    for _ in range(_MOST_MEMBERS):
        header = file.read(512)
        if not header.strip(b"\0"):
            return
        try:
            size = int(header[124:136].strip(b"\0 ") or b"0", 8)
        except ValueError:
            size = -1
        if len(header) < 512 or size < 0 or header[257:262] != b"ustar":
            raise ValueError("is no tar archive, or damaged; get it again")
        place += 512 + -(-size // 512) * 512
        if place > byte_limit:
            raise ValueError(f"unpacks to more than {byte_limit:,} bytes; get it again")
        if header[156:157] in (b"0", b"\0"):
            yield header[:100].rstrip(b"\0").decode("utf-8", "backslashreplace"), size
        while file.tell() < place:  # what nobody has read
            if not file.read(min(_CHUNK, place - file.tell())):
                raise ValueError("ends in the middle of a file; get it again")
    raise ValueError(f"holds more than {_MOST_MEMBERS} files; get it again")


def missing(op: str, folder: Path, names: list[str], megabytes: int) -> FileNotFoundError:
    """Return the error that says which files of a data set aren't there, and how to get them.

    Args:
        op: who asks.
        folder: where they were looked for.
        names: the files.
        megabytes: what all of them take to download.

    Example:
        >>> raise missing("load_mnist", Path("here"), ["a", "b"], 11)
        Traceback (most recent call last):
        FileNotFoundError: load_mnist: folder='here' lacks a, b; put them there, or download=True fetches 11 MB
    """
    return FileNotFoundError(
        f"{op}: folder={str(folder)!r} lacks {', '.join(names)}; put them there, or download=True fetches "
        f"{megabytes} MB"
    )
