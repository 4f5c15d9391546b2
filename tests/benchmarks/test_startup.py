"""What starts is measured in processes of its own, and targets are held the right way round."""

import json
import os
import subprocess
import sys
from functools import partial

import pytest

from benchmarks import startup
from benchmarks.first_calls import CASES, body, seconds_of
from benchmarks.peers import deepconv
from benchmarks.processes import ROOT, process_environment
from benchmarks.targets import Result, results


def test_importing_deepconv_does_not_import_numba():
    seconds, numba = startup.import_seconds("import deepconv", 1)
    assert 0 < seconds < 5
    assert not numba


def test_first_and_second_calls_are_told_apart():
    command = [sys.executable, "-m", "benchmarks.first_calls", "one"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    assert 0 < told["second"] <= told["first"] * 1.5
    assert isinstance(told["numba"], bool)


def test_operands_are_not_timed():
    assert seconds_of([]) == 0
    assert 0 < seconds_of([partial(deepconv, body(), "forward")]) < 5
    assert all(what and callable(make) for what, make in CASES.values())


def test_a_target_is_the_most_or_the_least():
    text = results([Result("fast", 2.0, 1.8), Result("slow", 6.0, 5.0, most=True, unit=" s")])
    assert "| fast | 2.00 | at least 1.8 | reached |" in text
    assert "| slow | 6.00 s | at most 5 s | missed ✗ |" in text


def test_a_part_that_is_not_there_is_said():
    with pytest.raises(SystemExit, match="names none of imports, first calls, small calls, digits"):
        startup.main(["--only", "nonsense"])


def test_processes_may_keep_bytecode(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    environment = process_environment(threads=2)
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert (environment["OMP_NUM_THREADS"], environment["PATH"]) == ("2", os.environ["PATH"])
