"""Files of the same bytes among pictures: one that is trained on says nothing when it is held out too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from deepconv.arrays import Array

__all__ = ["find_originals"]

_END = 4096  # bytes: of most formats the end tells more than the beginning, which the same camera wrote
_BLOCK = 1 << 20
_CHUNK = 256  # files that a thread looks at in one go


def find_originals(paths: Sequence[Path], *, workers: int = 8) -> Array:
    """Return for each file the place of the first one with the same bytes: its own where there is none before.

    Only files of equal size are opened, of those only the ends are read, and only where these are equal too the
    whole of it, a block at a time. A file that can't be read equals no other.

    Args:
        paths: the files.
        workers: threads that read.

    Returns:
        `(N,)` places in `paths`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = [Path(folder) / name for name in "abc"]
        ...     for path, text in zip(paths, ("one", "two", "one"), strict=True):
        ...         _ = path.write_text(text)
        ...     find_originals(paths).tolist()
        [0, 1, 0]
    """
    originals = np.arange(len(paths))
    status = [_status(path) for path in paths]
    first: dict[Hashable, int] = {}  # of names of one file, only one is read
    for place, found in enumerate(status):
        originals[place] = first.setdefault(found[:2] if found and found[1] else place, place)
    groups = [np.flatnonzero(originals == np.arange(len(paths))).tolist()]
    tests: tuple[Callable[[int], Hashable], ...] = (
        lambda place: None if (found := status[place]) is None else found[2],
        lambda place: _digest(paths[place], _END),
        lambda place: _digest(paths[place], None),
    )
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="deepconv-copies") as pool:
        for test in tests:
            groups = _apart(groups, test, pool)
    for group in groups:
        originals[group[1:]] = group[0]
    return originals[originals]


def _apart(
    groups: list[list[int]], test: Callable[[int], Hashable], pool: ThreadPoolExecutor
) -> list[list[int]]:
    """Divide groups by what a test says of their members, None of one like no other; keep those of two and more."""
    members = [(number, place) for number, group in enumerate(groups) for place in group]
    found: dict[Hashable, list[int]] = {}
    chunks = [members[start : start + _CHUNK] for start in range(0, len(members), _CHUNK)]
    for chunk, said in zip(
        chunks, pool.map(lambda some: [test(place) for _, place in some], chunks), strict=True
    ):
        for (number, place), what in zip(chunk, said, strict=True):
            if what is not None:
                found.setdefault((number, what), []).append(place)
    return [group for group in found.values() if len(group) > 1]


def _status(path: Path) -> tuple[int, int, int] | None:
    """Return what makes a file the same one under another name, and its size."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size


def _digest(path: Path, end: int | None) -> bytes | None:
    """Return a checksum of a file, or of its last bytes."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            if end is not None:
                file.seek(max(0, os.fstat(file.fileno()).st_size - end))
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return digest.digest()
