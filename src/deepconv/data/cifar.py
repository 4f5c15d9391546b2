"""CIFAR-10 and CIFAR-100 from their *binary* files: a label or two, then 3 × 32 × 32 bytes, and so on.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The "python version" of the
same data is pickle, which runs what is in it, and is not read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from deepconv.arrays import Array
from deepconv.data.packed import TrainTest, missing, opened, tar_members

__all__ = ["CIFAR10_CLASSES", "load_cifar10", "load_cifar100", "read_cifar"]

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
"""The names of CIFAR-10's labels."""

_PIXELS = 3 * 32 * 32
_RECORDS = {10: 1 + _PIXELS, 20: 2 + _PIXELS, 100: 2 + _PIXELS}
_TEN = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_HUNDRED = ("train.bin", "test.bin")
_CHUNK = 2**20
_TAR_LIMIT = 2**29

Pair = tuple[Array, Array]


def read_cifar(
    path: str | os.PathLike[str], *, classes: int | None = None, byte_limit: int = 2**28
) -> tuple[Array, Array]:
    """Read one of CIFAR's binary files, gzipped or not.

    Args:
        path: the file.
        classes: 10 for a file of CIFAR-10; of CIFAR-100's two labels, 100 takes the fine one and 20 the
            coarse. None tells CIFAR-10 (10) from CIFAR-100 (100) by the file's size.
        byte_limit: a file of more bytes is refused.

    Returns:
        images `(N, 3, 32, 32)` uint8 and labels `(N,)` int64.

    Raises:
        OSError: there is no such file, or it can't be read.
        ValueError: its size is not a whole number of pictures, or a label is not one of the classes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "a.bin"
        ...     _ = file.write_bytes(bytes([3] + [0] * 3072) * 2)
        ...     images, labels = read_cifar(file)
        >>> images.shape, labels
        ((2, 3, 32, 32), array([3, 3]))
    """
    if classes not in (None, *_RECORDS):
        raise ValueError(f"read_cifar: classes={classes!r} is none of 10, 20 and 100")
    with opened("read_cifar", path) as (file, _):
        return _records(_bounded(file, byte_limit), classes)


def load_cifar10(folder: str | os.PathLike[str], *, download: bool = False) -> TrainTest:
    """Read CIFAR-10's 60,000 photographs of 32 × 32 pixels from the binary version.

    Args:
        folder: where `cifar-10-binary.tar.gz` lies, or `data_batch_1.bin` and the others (gzipped or not),
            or the folder `cifar-10-batches-bin` with them.
        download: fetch the archive (170 MB) if neither is there, and make the folder if need be.

    Returns:
        images `(N, 3, 32, 32)` uint8 and labels `(N,)` int64, in `CIFAR10_CLASSES`' order, for training
        (50,000) and test (10,000).

    Raises:
        OSError: a file isn't there, can't be read or can't be fetched.
        ValueError: a file is damaged.

    Example:
        >>> load_cifar10("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: load_cifar10: folder='nowhere' lacks data_batch_1.bin, ...
    """
    parts = _load("load_cifar10", Path(folder), _TEN, 10, download=download)
    images, labels = zip(*parts[:-1], strict=True)
    return TrainTest((np.concatenate(images), np.concatenate(labels)), parts[-1])


def load_cifar100(
    folder: str | os.PathLike[str], *, coarse: bool = False, download: bool = False
) -> TrainTest:
    """Read CIFAR-100's 60,000 photographs of 32 × 32 pixels from the binary version.

    Args:
        folder: where `cifar-100-binary.tar.gz` lies, or `train.bin` and `test.bin` (gzipped or not), or the
            folder `cifar-100-binary` with them.
        coarse: take the 20 coarse labels, not the 100 fine ones.
        download: fetch the archive (169 MB) if neither is there, and make the folder if need be.

    Returns:
        images `(N, 3, 32, 32)` uint8 and labels `(N,)` int64, for training (50,000) and test (10,000).

    Raises:
        OSError: a file isn't there, can't be read or can't be fetched.
        ValueError: a file is damaged.

    Example:
        >>> load_cifar100("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: load_cifar100: folder='nowhere' lacks train.bin, test.bin; ...
    """
    return TrainTest(
        *_load("load_cifar100", Path(folder), _HUNDRED, 20 if coarse else 100, download=download)
    )


def _load(op: str, folder: Path, names: tuple[str, ...], classes: int, *, download: bool) -> list[Pair]:
    """Read the files of a data set, loose or in the archive, in the order of their names."""
    from deepconv.data.downloads import CIFAR10, CIFAR100, fetch

    published, unpacked = (
        (CIFAR10, "cifar-10-batches-bin") if classes == 10 else (CIFAR100, "cifar-100-binary")
    )
    loose = {name: _found(folder, unpacked, name) for name in names}
    lacking = [name for name, file in loose.items() if file is None]
    if not lacking:
        return [read_cifar(file, classes=classes) for file in loose.values() if file is not None]
    archive = folder / published.name
    if not archive.is_file():
        if not download:
            raise missing(op, folder, lacking, round(published.size / 1e6))
        fetch(published, folder)
    found: dict[str, Pair] = {}
    with opened(op, archive) as (file, _):
        for name, size in tar_members(file, _TAR_LIMIT):
            member = name.rpartition("/")[2]
            if member in names and member not in found:
                if size % _RECORDS[classes] or size > _TAR_LIMIT // 2:
                    raise ValueError(
                        f"holds {name!r} of {size:,} bytes, which is no whole number of pictures"
                    )
                data = np.frombuffer(file.read(size), np.uint8)
                if len(data) < size:
                    raise ValueError(f"ends in the middle of {name!r}; get it again")
                found[member] = _records(data, classes)
        absent = [name for name in names if name not in found]
        if absent:
            raise ValueError(f"lacks {', '.join(absent)}; get the archive of the binary version again")
    return [found[name] for name in names]


def _found(folder: Path, unpacked: str, name: str) -> Path | None:
    candidates = (place / form for place in (folder, folder / unpacked) for form in (name, f"{name}.gz"))
    return next((file for file in candidates if file.is_file()), None)


def _records(data: Array, classes: int | None) -> Pair:
    """Divide the bytes of a file into pictures and labels."""
    if classes is None:
        fits = [number for number in (10, 100) if len(data) and len(data) % _RECORDS[number] == 0]
        if len(fits) != 1:
            kind = "no whole number of pictures" if not fits else "as likely CIFAR-10 as CIFAR-100"
            raise ValueError(
                f"has {len(data):,} bytes, {kind}; name a CIFAR binary file, or give classes=10 or 100"
            )
        classes = fits[0]
    record = _RECORDS[classes]
    if not len(data) or len(data) % record:
        raise ValueError(
            f"has {len(data):,} bytes, no whole number of pictures of {record} bytes; get it again"
        )
    rows = data.reshape(-1, record)
    labels = rows[:, 1 if classes == 100 else 0].astype(np.int64)
    if labels.max() >= classes:
        raise ValueError(f"holds the label {labels.max()}, but there are {classes} classes; get it again")
    return np.ascontiguousarray(rows[:, -_PIXELS:]).reshape(-1, 3, 32, 32), labels


def _bounded(file: BinaryIO, byte_limit: int) -> Array:
    """Read a file whose size isn't known beforehand, as far as it may go."""
    data = bytearray()
    while block := file.read(_CHUNK):
        data += block
        if len(data) > byte_limit:
            raise ValueError(f"unpacks to more than {byte_limit:,} bytes; name a CIFAR binary file")
    return np.frombuffer(data, np.uint8)
