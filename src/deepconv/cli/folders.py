"""The folder that a training run writes: which one, and that nothing a person made is lost."""

from __future__ import annotations

import contextlib
import glob
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepconv.files import atomic_write, hold

__all__ = [
    "CHECKPOINT",
    "HISTORY",
    "MODEL",
    "REPORT",
    "choose_folder",
    "holding",
    "put",
    "read_history",
    "remove_traces",
    "stopped_run",
]

MODEL, HISTORY, REPORT = "model.safetensors", "history.json", "report.png"
CHECKPOINT = "checkpoint.safetensors"
_OURS = (MODEL, HISTORY, REPORT, CHECKPOINT)


def choose_folder(out: Path | None, name: str, *, resume: bool) -> Path:
    """Return the folder to write to, made if need be; never one in which a run would be written over.

    Args:
        out: the folder asked for; None takes `name`, `name-2` and so on in the current folder: the next one
            free, or to resume the last one.
        name: such as `digits-run`.
        resume: whether a stopped run is to go on there.

    Raises:
        ValueError: the folder holds a run already, or is no folder, or there is no run to resume.
        OSError: the folder can't be made.
    """
    if out is None:
        return _last_run(name) if resume else _next_free(name)
    if out.exists() and not out.is_dir():
        raise ValueError(f"train: --out {out} is a file; name a folder")
    if resume:
        _check_resumable(out)
    else:
        _check_free(out)
    out.mkdir(parents=True, exist_ok=True)
    return out


def _check_free(out: Path) -> None:
    held = _held(out)
    if held:
        stopped = CHECKPOINT in held or MODEL not in held
        remedy = "add --resume to go on with it, or name another" if stopped else "name another, or remove it"
        raise ValueError(f"train: --out {out} holds a {'stopped' if stopped else 'finished'} run; {remedy}")


def _check_resumable(out: Path) -> None:
    """An empty folder will do: a run may have been killed before it wrote anything."""
    if _held(out) or (out.is_dir() and all(entry.name.startswith(".") for entry in out.iterdir())):
        return
    raise ValueError(f"train: --out {out} holds no run to resume; leave out --resume to begin one there")


def _held(folder: Path) -> list[str]:
    return [name for name in _OURS if (folder / name).exists()]


@contextlib.contextmanager
def holding(folder: Path, *, resume: bool) -> Iterator[None]:
    """Keep every other run out of a folder for as long as the block takes.

    The system lets go of the lock when the process ends, however it ends, and nothing is left behind.

    Args:
        folder: the run's.
        resume: whether a run may be in it already.

    Raises:
        ValueError: another run is writing it, or did so in the meantime.
        OSError: the folder can't be opened.
    """
    held = hold(folder)
    if held is None:
        raise ValueError(
            f"train: a run is writing to {folder} right now; wait for it, or name another folder with --out"
        )
    try:
        if not resume:
            _check_free(folder)
        yield
    finally:
        held.release()


def _next_free(name: str) -> Path:
    number = 1
    while True:
        folder = Path(name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            if number == 1 and folder.is_dir() and not any(folder.iterdir()):
                return folder
            number += 1
        else:
            return folder


def _last_run(name: str) -> Path:
    """Return the last run that was stopped, or the last of all if none was."""
    runs = _runs(name)
    if not runs:
        raise ValueError(f"train: no {name} folder here holds a run to resume; name one with --out")
    stopped = [number for number, folder in runs.items() if (folder / CHECKPOINT).exists()]
    return runs[max(stopped or runs)]


def _runs(name: str) -> dict[int, Path]:
    """Return the runs in the current folder that chose their own name, by number."""
    runs: dict[int, Path] = {}
    for folder in Path().glob(f"{glob.escape(name)}*"):
        match = re.fullmatch(rf"{re.escape(name)}(?:-(\d+))?", folder.name)
        if match and _held(folder):
            runs[int(match[1] or 1)] = folder
    return runs


def stopped_run(but: Path, name: str) -> Path | None:
    """Return the last run in the current folder that could be resumed, None if there is none.

    Args:
        but: the run that is about to begin.
        name: such as `digits-run`.
    """
    if not re.fullmatch(rf"{re.escape(name)}(-\d+)?", str(but)):
        return None  # its name was chosen: other runs are none of its business
    runs = _runs(name)
    stopped = [runs[n] for n in sorted(runs) if (runs[n] / CHECKPOINT).exists() and runs[n] != but]
    return stopped[-1] if stopped else None


def read_history(folder: Path) -> dict[str, Any]:
    """Return what the folder's history.json says of the run so far, nothing if there is none.

    Args:
        folder: the run's.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / HISTORY
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"train: {path} is damaged ({error}); name another folder with --out") from error
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise ValueError(f"train: {path} is not of a run; name another folder with --out")
    return found


def remove_traces(folder: Path) -> None:
    """Remove what a run that came to nothing left behind, and the folder if it is empty then.

    Args:
        folder: the run's; it holds no checkpoint.
    """
    with contextlib.suppress(OSError):
        (folder / HISTORY).unlink(missing_ok=True)
        folder.rmdir()


def put(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Args:
        path: the file.
        text: what it shall hold.

    Raises:
        OSError: it can't be written.
    """
    atomic_write(path, (text + "\n").encode("utf-8"))
