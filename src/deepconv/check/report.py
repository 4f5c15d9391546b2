"""What was found: the first case and the first cell where it differs from the library, and the likely reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.check.cases import CASES, Case
from deepconv.check.sandbox import Failed, Sandbox, sandbox
from deepconv.check.slips import reason, same, wrong_axes

__all__ = ["Finding", "Report", "check_file"]

WORDS = {
    "y": "the output", "dx": "the input's gradient", "dw": "the weights' gradient", "db": "the bias's gradient",
    "cols": "the matrix of windows", "image": "the image put back together",
}  # fmt: skip
_LONGEST = 200_000  # bytes of a file


@dataclass(frozen=True)
class Finding:
    """One result of one function, held against the library's.

    Args:
        name: the person's function or class.
        result: what was looked at, in words.
        tried: how many cases were tried.
        right: how many of them came out right.
        case: the first case that did not, in words; None where all did.
        problem: what is wrong there: an error, a shape, or the first cell.
        cell: that cell's place, where there is one.
        mine: the person's number there.
        theirs: the library's.
        reason: the likely reason, where one is known.
        line: the line of the person's file at which an error was raised.
    """

    name: str
    result: str
    tried: int
    right: int
    case: str | None = None
    problem: str | None = None
    cell: tuple[int, ...] | None = None
    mine: float | None = None
    theirs: float | None = None
    reason: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Report:
    """All findings on a file.

    Args:
        findings: one for each result of each function.
        notes: what was not tried, and why.

    Example:
        >>> Report((), ()).right
        True
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether everything that was tried came out right."""
        return all(finding.case is None for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        findings = [
            {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(f).items()} for f in self.findings
        ]
        return {"right": self.right, "findings": findings, "notes": list(self.notes)}


_Outcome = tuple[Case, Array | Failed]
"""A case, and what the person's code made of it."""


def check_file(path: str | os.PathLike[str], *, seconds: float = 10.0) -> Report:
    """Run a learner's convolution in a process of its own and hold it against the library's.

    It may offer `arr2vec`/`im2col`, `vec2arr`/`col2im`, `conv_forward`/`conv_backward`, `conv2d`, a class with
    `forward` and `backward`, as the post, courses and textbooks name them.

    Args:
        path: a Python file, or a folder's `__init__.py`.
        seconds: the longest that one call may take.

    Returns:
        The findings.

    Raises:
        ValueError: the file can't be read or run, or offers nothing that can be checked; the text says why.

    Example:
        >>> check_file("missing.py")
        Traceback (most recent call last):
        ValueError: check: 'missing.py': no such file; name a Python file
    """
    file, where = Path(path), f"check: {os.fspath(path)!r}"
    if not file.is_file():
        raise ValueError(f"{where}: no such file; name a Python file")
    if file.stat().st_size > _LONGEST:
        raise ValueError(
            f"{where}: {file.stat().st_size:,} bytes, more than {_LONGEST:,}; give the convolution alone"
        )
    try:
        with sandbox(file, seconds=seconds) as process:
            if not process.offers:
                raise ValueError(
                    f"{where}: nothing to check; name a function arr2vec, vec2arr, im2col, col2im, conv2d, "
                    f"conv_forward or conv_backward, or give a class with forward and backward"
                )
            findings: list[Finding] = []
            notes: list[str] = []
            for number, offer in enumerate(process.offers):
                findings += _check(process, number, offer, notes)
    except Failed as error:
        line = f"line {error.line}: " if error.line else ""
        raise ValueError(f"{where}: {line}{error}") from None
    return Report(tuple(findings), tuple(notes))


def _check(process: Sandbox, number: int, offer: dict[str, Any], notes: list[str]) -> list[Finding]:
    """Try one offer on every case that it has settings for."""
    cases = [case for case in CASES if _can(case, offer)]
    if len(cases) < len(CASES):
        lacks = " and ".join(name for name in ("stride", "padding") if name not in offer["settings"])
        notes.append(f"{offer['name']} takes no {lacks}, so cases with it were left out")
    failures: dict[str, list[_Outcome]] = {result: [] for result in offer["results"]}
    passes: dict[str, list[_Outcome]] = {result: [] for result in offer["results"]}
    for case in cases:
        try:
            found: Mapping[str, Array] = process.call(number, case.operands(), case.words)
            problem = None
        except Failed as error:
            if error.found is None:
                raise  # too slow or dead: there is nobody left to ask
            found, problem = error.found, error
        for result in offer["results"]:
            outcome = found.get(result, problem)
            if outcome is None:
                continue
            held = replace(case, biased="bias" not in found)
            wrong = isinstance(outcome, Failed) or not same(held.expected(result), outcome)
            (failures if wrong else passes)[result].append((held, outcome))
    notes.extend(
        _missing(offer, [result for result in failures if not failures[result] and not passes[result]])
    )
    return [
        _finding(offer["name"], result, failures[result], [case for case, _ in passes[result]])
        for result in offer["results"]
        if failures[result] or passes[result]
    ]


def _missing(offer: dict[str, Any], results: list[str]) -> Iterator[str]:
    """Say which gradients were looked for in vain, and where they would have been found."""
    for result in results:
        if result in {"dw", "db"}:
            layer = offer["name"].startswith("class ")
            remedy = (
                f"keep it as self.{result} in backward" if layer else "return dx, dw, db from the way back"
            )
            yield f"{offer['name']}: no {WORDS[result].removeprefix('the ')} was found; {remedy}, and it is checked too"


def _can(case: Case, offer: dict[str, Any]) -> bool:
    heeded = offer["settings"]
    return (case.stride == 1 or "stride" in heeded) and (not case.padding or "padding" in heeded)


def _finding(name: str, result: str, failures: list[_Outcome], passes: list[Case]) -> Finding:
    words, right, tried = WORDS[result], len(passes), len(failures) + len(passes)
    if not failures:
        return Finding(name, words, tried, right)
    arrays = [(case, found) for case, found in failures if not isinstance(found, Failed)]
    beyond = [
        (case, None) for case, found in failures if isinstance(found, Failed) and "IndexError" in str(found)
    ]
    why = reason(result, [*arrays, *beyond], passes)
    if result == "db" and why is None and arrays and all(wrong_axes(*pair) for pair in arrays):
        why = "the gradient is summed over the wrong axes: it is dy.sum(axis=(0, 2, 3)), images and both spatial axes"
    case, found = failures[0]
    if isinstance(found, Failed):
        return Finding(name, words, tried, right, str(case), str(found), reason=why, line=found.line)
    expected = case.expected(result)
    if found.shape != expected.shape:
        nothing = found.ndim == 0 and bool(np.isnan(found))  # None, as a number
        had = "nothing was returned" if nothing else f"has shape {found.shape}"
        problem = f"{had} where {f'shape {expected.shape}' if nothing else expected.shape} is right"
        return Finding(name, words, tried, right, str(case), problem, reason=why)
    scale = max(1.0, float(np.abs(expected).max()))
    wrong = ~np.isclose(found, expected, rtol=0, atol=2e-5 * scale)
    cell = tuple(int(place) for place in np.argwhere(wrong)[0])
    mine, theirs = float(found[cell]), float(expected[cell])
    problem = f"is {mine:.6g} at {list(cell)} where {theirs:.6g} is right; {wrong.sum()} of {wrong.size} numbers differ"
    return Finding(name, words, tried, right, str(case), problem, cell, mine, theirs, why)
