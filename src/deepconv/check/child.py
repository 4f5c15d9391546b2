"""The process that runs a learner's file: `python -m deepconv.check.child FILE SECONDS BYTES`.

It reads cases from its standard input and writes what the code gives to a pipe of its own; both as `.npz` without
pickled objects. Its limits are set before the file is run.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepconv.check.adapters import Adapter, HalfWay, find

__all__ = ["read", "write"]


def write(stream: IO[bytes], head: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Send one message.

    Args:
        stream: where to.
        head: what JSON holds.
        arrays: plain arrays.

    Example:
        >>> stream = io.BytesIO()
        >>> write(stream, {"case": 1}, {"x": np.arange(3)})
        >>> _ = stream.seek(0)
        >>> read(stream, 10_000)
        ({'case': 1}, {'x': array([0, 1, 2])})
    """
    data = io.BytesIO()
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    np.savez(data, allow_pickle=False, head__=text, **arrays)
    body = data.getvalue()
    stream.write(len(body).to_bytes(8, "little") + body)
    stream.flush()


def read(stream: IO[bytes], most: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Receive one message; nothing in it is unpickled.

    Args:
        stream: where from.
        most: how many bytes it may have.

    Raises:
        EOFError: the other side has gone.
        ValueError: it is too long, or no such message.
    """
    size = int.from_bytes(_exactly(stream, 8), "little")
    if size > most:
        raise ValueError(f"an answer of {size} bytes, more than {most}")
    with np.load(io.BytesIO(_exactly(stream, size)), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("head__").tobytes()), arrays


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _limit(seconds: int, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _load(path: Path) -> list[Adapter]:
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("mine", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mine"] = module
    spec.loader.exec_module(module)
    return find(module)


def _told(error: BaseException) -> dict[str, Any]:
    """Return an error as the person would look for it: kind, words, and the line of their own file."""
    file = str(Path(sys.argv[1]).resolve())
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = own[-1].lineno if own else getattr(error, "lineno", None)
    return {"error": f"{type(error).__name__}: {error}"[:500], "line": line}


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value, np.float64) for name, value in found.items()}


def main() -> None:
    """Serve until standard input ends."""
    path, seconds, size = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # what the code prints is not an answer
    os.dup2(silence, 2)
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    write(answers, {"ready": True}, {})  # from here on it is the person's code that takes the time
    _limit(seconds, size)
    try:
        adapters = _load(path)
    except BaseException as error:  # noqa: BLE001 - whatever a stranger's file raises is told
        write(answers, _told(error), {})
        return
    offers = [{"name": a.name, "results": a.results, "settings": a.settings} for a in adapters]
    write(answers, {"offers": offers}, {})
    while True:
        try:
            head, arrays = read(requests, 2**30)
        except EOFError:
            return
        try:
            with np.errstate(all="ignore"):
                found = adapters[head["offer"]].call({**arrays, **head["settings"]})
            write(answers, {}, _plain(found))
        except HalfWay as half:
            write(answers, _told(half.error), _plain(half.found))
        except BaseException as error:  # noqa: BLE001
            write(answers, _told(error), {})


if __name__ == "__main__":
    main()
