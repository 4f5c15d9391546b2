"""IDX, the format of MNIST's files: a few sizes, then the numbers.

MNIST is of Y. LeCun, C. Cortes and C. J. C. Burges; Fashion-MNIST, Kuzushiji-MNIST and EMNIST come in files
of the same names and are read alike (from disk: what is downloaded is MNIST).
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import numpy as np

from deepconv.arrays import Array
from deepconv.data.packed import TrainTest, missing, opened, read_rest

__all__ = ["load_mnist", "read_idx"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 8
_MEGABYTES = 12


def read_idx(path: str | os.PathLike[str], *, byte_limit: int = 2**31) -> Array:
    """Read an IDX file, gzipped or not.

    Args:
        path: the file.
        byte_limit: a file with more bytes of numbers than this is refused before any is read.

    Returns:
        the numbers, in the shape and type that the file says.

    Raises:
        OSError: there is no such file, or it can't be read.
        ValueError: it is no IDX file, damaged, or its sizes don't fit what is in it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "a.idx"
        ...     _ = file.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 5, 6, 7]))
        ...     read_idx(file)
        array([[5, 6, 7]], dtype=uint8)
    """
    with opened("read_idx", path) as (file, most):
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or not 0 < head[3] <= _MOST_AXES:
            raise ValueError(f"is no IDX file: it begins with {head.hex(' ') or 'nothing'}; get it again")
        sizes = file.read(4 * head[3])
        if len(sizes) < 4 * head[3]:
            raise ValueError("ends within its header; get it again")
        shape = struct.unpack(f">{head[3]}I", sizes)
        dtype = np.dtype(_DTYPES[head[2]])
        size = math.prod(shape) * dtype.itemsize
        if size > min(most, byte_limit):
            bound = "it can hold" if most < byte_limit else f"the {byte_limit:,} allowed"
            raise ValueError(f"says it has shape {shape}, {size:,} bytes, more than {bound}; get it again")
        numbers = read_rest(file, size).view(dtype).reshape(shape)
    return numbers.astype(dtype.newbyteorder("="), copy=False)


def load_mnist(folder: str | os.PathLike[str], *, download: bool = False) -> TrainTest:
    """Read MNIST's 70,000 handwritten digits from their four files, gzipped or not.

    Args:
        folder: where `train-images-idx3-ubyte.gz` and the others lie, under their own names.
        download: fetch those that aren't there, and make the folder if need be.

    Returns:
        images `(N, 1, 28, 28)` uint8, from 0 for paper to 255 for ink, and labels `(N,)` int64, for
        training (60,000) and test (10,000).

    Raises:
        OSError: a file isn't there, can't be read or can't be fetched.
        ValueError: a file is damaged, or they don't belong together.

    Example:
        >>> load_mnist("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: load_mnist: folder='nowhere' lacks train-images-idx3-ubyte, ...
    """
    from deepconv.data.downloads import MNIST, fetch

    place = Path(folder)
    names = [published.name.removesuffix(".gz") for published in MNIST]
    if download:
        for published in MNIST:
            if _found(place, published.name.removesuffix(".gz")) is None:
                fetch(published, place)
    files = {name: _found(place, name) for name in names}
    lacking = [name for name, file in files.items() if file is None]
    if lacking:
        raise missing("load_mnist", place, lacking, _MEGABYTES)
    parts = []
    for part in ("train", "t10k"):
        given = [file for name, file in files.items() if file is not None and name.startswith(part)]
        images, labels = read_idx(given[0]), read_idx(given[1])
        if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"load_mnist: {given[0].name} has shape {images.shape} ({images.dtype}) and {given[1].name} "
                f"{labels.shape}; they don't belong together: get them again"
            )
        parts.append((images[:, None], labels.astype(np.int64)))
    return TrainTest(*parts)


def _found(folder: Path, name: str) -> Path | None:
    """Return the file of this name, gzipped or not, with the dot that some unpackers leave in it or not."""
    dotted = name.replace("-idx", ".idx")
    candidates = (folder / form for form in (name, f"{name}.gz", dotted, f"{dotted}.gz"))
    return next((file for file in candidates if file.is_file()), None)
