"""`deepconv check`: a learner's own convolution held against the library's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepconv.cli import console

__all__ = ["check"]


def check(
    file: Annotated[Path, typer.Argument(help="A Python file.", metavar="FILE")],
    seconds: Annotated[
        float, typer.Option(min=0.5, max=600, help="The longest that one call may take.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> int:
    """Hold your own convolution against the library's, and say where it differs and why it probably does.

    The file may offer arr2vec and vec2arr, im2col and col2im, conv2d, conv_forward and conv_backward, or a class
    with forward and backward. It runs in a process of its own, with a limit on time and memory. The exit status is
    0 where everything is right and 1 where something differs.
    """
    from deepconv.check.report import check_file

    report = check_file(file, seconds=seconds)
    if as_json:
        console.say_json(report.to_dict())
        return 0 if report.right else 1
    for finding in report.findings:
        said = f"{console.printable(finding.name)}: {finding.result}"
        if finding.case is None:
            console.say(f"right  {said}, {finding.tried} of {finding.tried} cases")
            continue
        console.say(f"WRONG  {said}, {finding.right} of {finding.tried} cases right")
        console.say(f"       first in {finding.case}")
        line = f" (line {finding.line})" if finding.line else ""
        console.say(f"       {console.printable(finding.problem or '')}{line}")
        if finding.reason:
            console.say(f"       likely: {finding.reason}")
    for note in report.notes:
        console.say_aside(note)
    return 0 if report.right else 1
