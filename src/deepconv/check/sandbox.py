"""A learner's file in a process of its own, with a limit on time and memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepconv.arrays import Array
from deepconv.check.child import read, write

__all__ = ["Failed", "Sandbox", "sandbox"]

_MOST_ANSWER = 64 * 2**20
_START = 60.0
"""Seconds that Python and NumPy may take to start on a busy machine, before the person's code runs."""


class Failed(ValueError):
    """The code raised, took too long, or ended its process.

    Args:
        message: what happened.
        line: the line of the person's file where it did, where that is known.
        found: what had come out before; None where there is nobody left to ask.

    Example:
        >>> Failed("IndexError: …", 12).line
        12
    """

    def __init__(
        self, message: str, line: int | None = None, found: Mapping[str, Array] | None = None
    ) -> None:
        super().__init__(message)
        self.line, self.found = line, found


class Sandbox:
    """The running process.

    Args:
        process: it.
        seconds: how long an answer may take.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self._receive(max(_START, seconds))
        self.offers: list[dict[str, Any]] = self._receive(seconds)[0]["offers"]

    def call(
        self, offer: int, operands: Mapping[str, Array], settings: Mapping[str, int]
    ) -> dict[str, Array]:
        """Return what one of the offers makes of a case.

        Args:
            offer: its place in `offers`.
            operands: arrays by name.
            settings: stride and padding.

        Raises:
            Failed: the code raised, took too long or died.
        """
        stream = self._process.stdin
        try:
            if stream is None:
                raise BrokenPipeError
            write(stream, {"offer": offer, "settings": dict(settings)}, dict(operands))
        except BrokenPipeError:
            raise Failed("the process has ended") from None
        return self._receive(self._seconds)[1]

    def _receive(self, seconds: float) -> tuple[dict[str, Any], dict[str, Array]]:
        stream, late = self._process.stdout, threading.Event()

        def give_up() -> None:
            late.set()
            _kill(self._process)

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            if stream is None:
                raise EOFError
            head, arrays = read(stream, _MOST_ANSWER)
        except EOFError:
            raise Failed(self._ending(late.is_set(), seconds)) from None
        except Exception as error:  # noqa: BLE001 - the answers come from a stranger's process
            raise Failed(f"the process answered with something else ({type(error).__name__})") from None
        finally:
            timer.cancel()
        if "error" in head:
            raise Failed(str(head["error"]), head.get("line"), arrays)
        return head, arrays

    def _ending(self, late: bool, seconds: float) -> str:
        if late:
            return f"it takes longer than {seconds:g} seconds"
        status = self._process.wait(5)
        if status in {-signal.SIGXCPU, -signal.SIGKILL}:
            return "it takes more processor time than it may"
        return f"it ended its process (status {status})"


@contextlib.contextmanager
def sandbox(path: Path, *, seconds: float = 10.0, memory: int = 4 * 2**30) -> Iterator[Sandbox]:
    """Run a file in a process of its own for as long as the block takes.

    The process sees none of this one's environment but what Python needs, works in an empty folder, and may
    not make large files. It is no prison: it can read what the person can. Run what you would run yourself.

    Args:
        path: the file.
        seconds: the longest that one answer, and ten times that all together may take of processor time.
        memory: bytes of addresses that it may use.

    Raises:
        Failed: the file can't be run.
    """
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
    environment = {**keep, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "DEEPCONV_COMPILED": "0"}
    limits = [str(max(1, int(10 * seconds))), str(memory)]
    with tempfile.TemporaryDirectory(prefix="deepconv-check-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-m", "deepconv.check.child", str(path.resolve()), *limits],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder,
            env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            yield Sandbox(process, seconds)
        finally:
            _kill(process)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started, but what has left its session by `setsid`: this is no prison."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
