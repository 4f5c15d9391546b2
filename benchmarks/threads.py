"""What a second thread does to our 3×3 bodies: `python -m benchmarks.layers --threads 2`.

CPU time in all and the share of each thread say whether the work is split evenly and at what cost; wall
time is printed beside, though on a shared machine it says little. Two processes that make the same call on one
thread at the same time share nothing but the machine: how much slower they make each other is its own part of
the growth, which no way of splitting avoids.
"""

import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.cases import PASSES, Layer
from benchmarks.peers import request
from benchmarks.processes import ALLOCATORS, OURS, Worker, tell
from benchmarks.tables import LOST, table

LARGEST_SHARE = 0.55
GROWTH = 1.15

_HEAD = """## Two threads

Written by `python -m benchmarks.layers --threads 2`, {runs} runs: CPU time of all threads together, with
two over with one (at most {growth}; the median of the runs'), and the larger thread's share of it (at most {share}).
"Machine" is the same growth for two processes that make the call on one thread each, both at once: cores share
caches, memory and more. Wall time is beside it; on a shared machine it says little.{warning}

"""

_WARNING = " This run had one processor for both threads, so its shares and wall times say nothing."


def view_threads(layers: Sequence[Layer], runs: int) -> str:
    """Measure each pass of the layers with one thread and with two, and return this part of the page."""
    if not layers:
        raise SystemExit("nothing to measure: two threads are shown for the 3×3 bodies (--only body)")
    alone = len(os.sched_getaffinity(0)) < 2
    if alone:
        tell("one processor only: two threads can't run at once; start this without taskset")
    warm = ALLOCATORS["warm"]
    one, other = (Worker("layers", OURS, "threads", environment=warm) for _ in range(2))
    two = Worker("layers", OURS, "threads", threads=2, environment=warm)
    rows: list[list[str]] = []
    for layer in layers:
        for which in PASSES:
            answers: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
            beside: list[dict[str, Any]] = []
            for _ in range(runs):
                answers[1].append(one.ask(request(layer, which, 1)))
                answers[2].append(two.ask(request(layer, which, 2)))
                with ThreadPoolExecutor(2) as pool:
                    beside += pool.map(
                        lambda worker, asked: worker.ask(asked), (one, other), [request(layer, which, 1)] * 2
                    )
            rows.append([layer.name, which, *cells(answers[1], answers[2], beside)])
            tell("  ".join(rows[-1]))
    for worker in (one, two, other):
        worker.close()
    head = ["layer", "pass", "CPU ms, one", "two", "growth", "machine", "larger share", "wall ms, one", "two"]
    text = _HEAD.format(runs=runs, growth=GROWTH, share=LARGEST_SHARE, warning=_WARNING if alone else "")
    return text + table(head, rows, left=2)


def cells(
    one: Sequence[Mapping[str, Any]], two: Sequence[Mapping[str, Any]], beside: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return a row's figures: a run has an answer with one thread, one with two, and two beside another process.

    A growth is the median of the runs': the clock of a shared machine's cores changes within seconds.
    """
    cpu = [statistics.median(answer["cpu"] for answer in answers) for answers in (one, two)]
    wall = [statistics.median(answer["wall"] for answer in answers) for answers in (one, two)]
    share = statistics.median(answer["shares"][0] for answer in two)
    growth = statistics.median(b["cpu"] / a["cpu"] for a, b in zip(one, two, strict=True))
    twice = [answer for answer in one for _ in range(2)]
    machine = statistics.median(b["cpu"] / a["cpu"] for a, b in zip(twice, beside, strict=True))
    return [
        *(f"{seconds * 1e3:.2f}" for seconds in cpu),
        f"{growth:.2f}" + (LOST if growth > GROWTH else ""),
        f"{machine:.2f}",
        f"{share:.2f}" + (LOST if share > LARGEST_SHARE else ""),
        *(f"{seconds * 1e3:.2f}" for seconds in wall),
    ]
