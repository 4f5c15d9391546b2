"""Files that others look at meanwhile: a reader sees the old one or the new one, and two runs never share a folder."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["Hold", "atomic_write", "clear_parts", "hold", "replace_file"]

_HELD: set[Path] = set()
"""What this process holds: where the system has no locks (Windows, some network drives) they keep its threads apart."""

_LOCK = threading.Lock()


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


class Hold:
    """A folder that is held until `release`, or until the process ends, however it ends.

    Args:
        folder: its full path.
        handle: the open folder that the system's lock is on; None where there are no locks.
    """

    def __init__(self, folder: Path, handle: int | None) -> None:
        self._folder, self._handle = folder, handle

    def release(self) -> None:
        """Let others have the folder. Nothing is left behind."""
        with _LOCK:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
            _HELD.discard(self._folder)


def hold(folder: str | os.PathLike[str]) -> Hold | None:
    """Take a folder for oneself.

    Args:
        folder: the folder.

    Returns:
        The hold; None where another thread or process has it.

    Raises:
        OSError: the folder can't be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mine = hold(folder)
        ...     print(hold(folder))
        ...     mine.release()
        None
    """
    own = Path(folder).resolve()
    with _LOCK:
        if own in _HELD:
            return None
        try:
            handle = _locked(own)
        except BlockingIOError:
            return None
        _HELD.add(own)
    return Hold(own, handle)


def _locked(folder: Path) -> int | None:
    """Return the open folder with the system's lock on it, None where there are no locks."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    return handle


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
