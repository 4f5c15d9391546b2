"""The command line as a person has it: words in; an exit status, what is printed and files out."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deepconv.cli import main
from deepconv.report import write_report
from tests.conftest import examples


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """What was said of an error: one line, no traceback, nothing on standard output."""
        assert self.status == 2, self
        assert self.out == ""
        assert self.err.count("\n") == 1
        assert self.err.startswith("deepconv: ")
        return self.err


def deepconv(*words: object) -> Outcome:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return Outcome(int(end.value.code or 0), out.getvalue(), err.getvalue())


def started(*words: object, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    command = [sys.executable, "-m", "deepconv.cli", *map(str, words)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200", "TERM": "xterm"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell lets what it starts in the background ignore Ctrl-C, and the tests may run there.
    options.setdefault("preexec_fn", lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    return subprocess.Popen(command, cwd=cwd, env=environment, **{**pipes, **options})


def in_a_process(*words: object, cwd: Path, **options: Any) -> Outcome:
    """Run a command in a process of its own."""
    with started(*words, cwd=cwd, **options) as process:
        out, err = process.communicate(timeout=600)
    return Outcome(process.returncode, out, err)


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs of this process write a line in the report's place, whose drawing takes longer than they do.

    The full run has every report drawn.
    """
    if examples(0, full=1):
        return
    words = inspect.signature(write_report)

    def sketch(path: Path, **given: Any) -> None:
        words.bind(path, **given)
        path.write_text(given["title"])

    monkeypatch.setattr("deepconv.report.write_report", sketch)


def interrupted(monkeypatch: pytest.MonkeyPatch, epoch: int, *words: object) -> Outcome:
    """Run a command in this process and send it Ctrl-C in an epoch's second batch."""
    from deepconv.cli.progress import EpochProgress

    def interrupt(self: EpochProgress, step: Any) -> None:
        if step.epoch == epoch and step.batch == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(EpochProgress, "on_batch_end", interrupt)
        return deepconv(*words)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run, shorter than a real one but good enough to be used."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    outcome = deepconv("train", "digits", "--epochs", 4, "--out", folder, "--quiet", "--json")
    assert outcome.status == 0, outcome
    assert outcome.err == ""
    (folder.parent / "printed.json").write_text(outcome.out)
    return folder
