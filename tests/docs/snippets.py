"""Read the fenced blocks of a Markdown file and run them: the tester behind `test_snippets.py`.

Python blocks of one file run in order in one namespace. A block with `>>>` is a doctest, whose output is
compared; one without is executed. Shell blocks stand under a comment that says what becomes of them:
`<!-- run -->` (lines `$ deepconv ...` are run and their output compared) or `<!-- not run: why -->`.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
SHELLS = ("sh", "bash", "shell", "console")
LANGUAGES = ("python", "text", "math", "toml", "json", *SHELLS)

FENCE = re.compile(r"^```(?P<language>[\w-]*)\s*$")
COMMENT = re.compile(r"^<!--\s*(?P<note>.*?)\s*-->$")


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands in it, where its first line is, and the comment above it."""

    language: str
    text: str
    line: int
    note: str


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a file in order; an open end is an error."""
    found, start, language, note = [], 0, "", ""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line)
        if start and line.rstrip() == "```":
            found.append(Block(language, "\n".join(lines[start : number - 1]) + "\n", start + 1, note))
            start, note = 0, ""
        elif not start and fence:
            start, language = number, fence["language"]
        elif not start and line.strip():
            comment = COMMENT.match(line)
            note = comment["note"] if comment else ""
    if start:
        raise ValueError(f"{path.name}: the block opened in line {start} never ends")
    return found


def run_file(path: Path) -> list[str]:
    """Run a file's blocks and return what went wrong, one text for each failing block."""
    namespace: dict[str, Any] = {"__name__": path.stem}
    failures = []
    for block in blocks(path):
        if block.language not in LANGUAGES:
            failure = f"language {block.language!r} is none of {', '.join(LANGUAGES)}"
        elif block.language == "python":
            failure = (
                run_doctest(block, path, namespace)
                if ">>>" in block.text
                else run_plain(block, path, namespace)
            )
        elif block.language in SHELLS:
            failure = run_shell(block)
        else:
            failure = ""
        if failure:
            failures.append(f"{path.name}:{block.line}: {failure}")
    return failures


def run_doctest(block: Block, path: Path, namespace: dict[str, Any]) -> str:
    """Run a block as a doctest in the file's namespace; return the report of what differs."""
    test = doctest.DocTestParser().get_doctest(block.text, {}, path.name, str(path), block.line - 1)
    test.globs = namespace
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append, clear_globs=False)
    return "".join(report)


def run_plain(block: Block, path: Path, namespace: dict[str, Any]) -> str:
    """Execute a block that shows no output; return its traceback if it raises."""
    try:
        exec(compile("\n" * (block.line - 1) + block.text, str(path), "exec"), namespace)
    except Exception:  # noqa: BLE001  (whatever a snippet raises is what is reported)
        return traceback.format_exc()
    return ""


def run_shell(block: Block) -> str:
    """Run a shell block as its comment says, or return what is missing."""
    if block.note.startswith("not run:"):
        return "" if block.note.removeprefix("not run:").strip() else "`not run:` gives no reason"
    if block.note != "run":
        return "a shell block needs <!-- run --> or <!-- not run: why --> above it"
    expected: dict[str, list[str]] = {}
    for line in block.text.splitlines():
        if line.startswith("$ "):
            command = line[2:]
            expected[command] = []
        elif expected:
            expected[command].append(line)
    if not expected:
        return "a block that is run needs lines that begin with `$ `"
    return "".join(run_command(command, "\n".join(lines) + "\n") for command, lines in expected.items())


def run_command(command: str, expected: str) -> str:
    """Run a command with this Python's programs first on the path; return how its output differs."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        shlex.split(command), env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode:
        return f"`{command}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    if expected.strip() and not doctest.OutputChecker().check_output(expected, done.stdout, FLAGS):
        return f"`{command}`: expected\n{expected}got\n{done.stdout}"
    return ""
