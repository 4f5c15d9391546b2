"""Measure a slider's move in the studio: `python -m benchmarks.studio`.

A page asks for a filtered picture of a million pixels again and again; the server's CPU time goes to one convolution,
one encoding for the canvas, and the rest: JSON, the event loop, four megabytes through the socket.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import ALLOCATORS, OURS, Worker, tell, versions
from benchmarks.tables import LOST, arguments, publish, table

MOST_REST = 5e-3
"""The most seconds of a move that may be neither convolution nor encoding."""


@dataclass(frozen=True)
class Case:
    """One setting of the lab.

    Attributes:
        name: what the row is called.
        settings: as the page sends them.
    """

    name: str
    settings: Mapping[str, Any]


def _drawn(rows: int, columns: int) -> list[list[float]]:
    """Return a kernel that is no outer product."""
    return [[((3 * i + 5 * j + i * j) % 7 - 3) / 10 for j in range(columns)] for i in range(rows)]


CASES = [
    Case("sharpen, 3 x 3", {"name": "sharpen"}),
    Case("own grid, 5 x 5", {"kernel": _drawn(5, 5), "signed": "grey"}),
    Case("gaussian sigma=2", {"name": "gaussian sigma=2"}),
    Case("sobel, two kernels", {"name": "sobel", "signed": "absolute"}),
    Case("own grid, 15 x 15", {"kernel": _drawn(15, 15), "signed": "grey"}),
]

_HEAD = """## The studio

Written by `python -m benchmarks.studio`, {runs} runs: the server's CPU time for one move of a slider in the kernel lab,
a picture of 1000 x 1000 pixels in colour, one thread, medians; the page is a process of its own. The rest is JSON,
the event loop and four megabytes through the socket; ✗ marks more than 5 ms. {versions}.

"""


def measure(case: Case, worker: Worker, runs: int) -> list[str]:
    """Return one row."""
    answers = [worker.ask({"settings": dict(case.settings)}) for _ in range(runs)]
    move, convolution, encoding = (
        statistics.median(answer[name] for answer in answers) for name in ("move", "filter", "encode")
    )
    rest = max(0.0, move - convolution - encoding)
    cells = [f"{move * 1e3:.1f}"]
    cells += [f"{part * 1e3:.1f} ({part / move:.0%})" for part in (convolution, encoding)]
    cells.append(f"{rest * 1e3:.1f} ({rest / move:.0%})" + (LOST if rest > MOST_REST else ""))
    tell("  ".join([case.name, *cells]))
    return [case.name, *cells]


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    chosen = arguments("studio", __doc__).parse_args(words)
    worker = Worker("studio", OURS, "told", environment=ALLOCATORS[chosen.allocator])
    try:
        rows = [measure(case, worker, chosen.runs) for case in CASES if chosen.only in case.name]
    finally:
        worker.close()
    head = ["", "a move, ms", "convolution", "encoding", "the rest"]
    publish(
        chosen, "studio", _HEAD.format(runs=chosen.runs, versions=versions(["uvicorn"])) + table(head, rows)
    )


if __name__ == "__main__":
    main()
