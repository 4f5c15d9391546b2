"""Writing a file so that a reader sees the old one or the new one, never a part of either."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write", "clear_parts", "replace_file"]


def replace_file(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a new file, and put it in `path`'s place only once it is safely on the disk.

    The new file lies in the same folder under a name of its own until it is whole. Whatever goes wrong
    (a full disk, an error in `write`, Ctrl-C), it is removed and `path` keeps what it held. Only a killed
    process can leave it behind, as `.NAME.….part`. A symbolic link is followed, not replaced.

    Args:
        path: the file to write; its folder must exist.
        write: called once with a binary file open for writing.

    Raises:
        OSError: the folder is missing or cannot be written, the disk is full, or `path` is a folder, a
            device or anything else that is not a plain file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     replace_file(Path(folder) / "note.txt", lambda file: file.write(b"whole"))
        ...     (Path(folder) / "note.txt").read_bytes()
        b'whole'
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(f"replace_file: path={os.fspath(path)!r} is not a plain file; name one")
    part = target.with_name(f"{_stem(target)}{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    _sync_folder(target.parent)


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` whole or not at all, as `replace_file` does.

    Args:
        path: the file to write; its folder must exist.
        data: what it shall hold.

    Raises:
        OSError: as for `replace_file`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(Path(folder) / "a", b"1")
        ...     os.listdir(folder)
        ['a']
    """
    replace_file(path, lambda file: file.write(data))


def clear_parts(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left of their attempts to write `path`.

    Only for a file that nobody else writes at the same time, such as the checkpoint of a run.

    Args:
        path: the file that they were to replace.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / ".a.0123abcd.part").write_bytes(b"half")
        ...     clear_parts(Path(folder) / "a")
        ...     os.listdir(folder)
        []
    """
    target = Path(os.path.realpath(path))
    for part in target.parent.glob(f"{glob.escape(_stem(target))}{'[0-9a-f]' * 8}.part"):
        with contextlib.suppress(OSError):
            part.unlink()


def _stem(target: Path) -> str:
    """Return how the names of its files in the making begin: hidden, and short whatever its own name is."""
    return f".{target.name[:50]}."


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where folders can be synced at all."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows has no handle on a folder
        return
    with contextlib.suppress(OSError):  # some network file systems refuse; the file's own bytes are safe
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
