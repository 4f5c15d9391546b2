"""The command line as a whole: help, version, errors and what is not installed."""

import os
import subprocess
import sys

import pytest

import deepconv
from tests.cli.conftest import deepconv as run
from tests.cli.conftest import in_a_process

COMMANDS = ("filter", "gallery", "train", "predict", "explain", "doctor")


def test_the_version():
    outcome = run("--version")
    assert (outcome.status, outcome.out) == (0, f"deepconv {deepconv.__version__}\n")


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_without_a_command_it_shows_what_there_is(words):
    outcome = run(*words)
    assert outcome.status == 0
    assert all(command in outcome.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    outcome = run(command, "--help")
    assert outcome.status == 0
    assert "--json" in outcome.out


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["fly"], "deepconv"), (["--fly"], "deepconv"), (["train"], "deepconv train"),
        (["doctor", "who"], "deepconv doctor"), (["explain"], "deepconv explain"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_one_line_and_names_the_help(words, command):
    assert f"(see {command} --help)" in run(*words).error


@pytest.mark.parametrize("words", [["-h"], ["train", "-h"]])
def test_h_is_help(words):
    assert run(*words).out == run(*words[:-1], "--help").out != ""


def test_it_is_installed_as_a_command_and_a_module(tmp_path):
    assert in_a_process("--version", cwd=tmp_path).out == f"deepconv {deepconv.__version__}\n"


MISSING = [
    ("typer", "typer", ["doctor"]),
    ("rich", "rich", ["train", "digits"]),
    ("PIL", "pillow", ["predict", "model", "picture"]),
    ("matplotlib", "matplotlib", ["train", "digits"]),
]


def without(cases, folder):
    """Run commands one after the other in one process, each without a module; return it and what must be said."""
    code = f"""
import sys
from deepconv.cli import main
for module, _, words in {cases!r}:
    sys.modules[module] = None
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 2
    else:
        raise AssertionError(words)
    del sys.modules[module]
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    said = [
        f'deepconv: {package} is not installed; pip install "deepconv[app]" brings it\n'
        for _, package, _ in cases
    ]
    return done, "".join(said)


@pytest.mark.parametrize(
    "cases", [MISSING, *(pytest.param([case], marks=pytest.mark.full, id=case[0]) for case in MISSING)]
)
def test_what_is_not_installed_is_said_before_any_work(tmp_path, cases):
    done, said = without(cases, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    command = f"{sys.executable} -m deepconv.cli doctor | true"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words", [["predict", "ä", "ö"], pytest.param(["train", "ä"], marks=pytest.mark.full)]
)
def test_a_terminal_without_unicode_still_gets_an_answer(tmp_path, words):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "deepconv.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("deepconv: ")
    assert "Traceback" not in done.stderr


CLOSED, BOTH, FULL = ">&-", ">&- 2>&-", "2>/dev/full"
ENDINGS = {"--version": 0, "doctor": 0, "fly": 2, "predict model picture": 2}
# A process each: by default each stream meets a success or an error.
SOME = [("doctor", CLOSED), ("fly", FULL), ("predict model picture", BOTH)]
REST = [
    (words, streams) for words in ENDINGS for streams in (CLOSED, BOTH, FULL) if (words, streams) not in SOME
]


@pytest.mark.parametrize(
    ("words", "streams"), [*SOME, *(pytest.param(*case, marks=pytest.mark.full) for case in REST)]
)
def test_a_closed_or_full_stream_changes_no_exit_status(tmp_path, words, streams):
    command = f"{sys.executable} -m deepconv.cli {words} {streams}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == ENDINGS[words]
    assert "Traceback" not in done.stderr


def test_interrupted_while_it_starts_it_says_nothing(tmp_path):
    code = (
        "import sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "from deepconv.cli import main; main(['doctor'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
