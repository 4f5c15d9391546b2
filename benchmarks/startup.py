"""Measure what starts: `python -m benchmarks.startup`.

Importing, the first calls of a fresh install and of later processes, a call on one small image against
PyTorch's, and `deepconv train digits` as a whole. CPU time, each figure from processes of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import PASSES, Layer
from benchmarks.first_calls import CASES
from benchmarks.peers import PEERS, request
from benchmarks.processes import (
    OURS,
    ROOT,
    Row,
    installed,
    interleaved,
    process_environment,
    tell,
    versions,
    workers,
)
from benchmarks.tables import arguments, line, marked, publish, ratio, table
from benchmarks.targets import Result, results

COMPILING, LOADING, TRAINING = 5.0, 0.3, 8.0
"""The most CPU seconds: of a first compilation, of loading it later beyond importing Numba, of the digits."""

ACCURACY = 99.0
"""The least percent of held-out digits that must be right."""

SMALL = (
    Layer("1 channel, 1 filter", "small", 1, 1, 8, 1, 3, 1, 1, 1, 1),
    Layer("1 channel, 16 filters", "small", 1, 1, 8, 16, 3, 1, 1, 1, 1),
    Layer("16 channels, 16 filters", "small", 1, 16, 8, 16, 3, 1, 1, 1, 1),
)
"""3×3 layers on one image of 8×8."""

PARTS = ("imports", "first calls", "small calls", "digits")
"""What `--only` chooses among."""

_IMPORT = """
import sys, time
start = time.process_time()
{}
print(time.process_time() - start, "numba" in sys.modules)
"""


_STATEMENTS = (
    "import numpy",
    "import deepconv",
    "from deepconv import conv",
    "from deepconv import Sequential, Trainer",
    "import numba",
)


def import_seconds(statement: str, runs: int) -> tuple[float, bool]:
    """Return the median CPU seconds of an import statement, and whether that imports Numba."""
    command = [sys.executable, "-c", _IMPORT.format(statement)]
    lines = [_output(command, process_environment()).split() for _ in range(runs)]
    return statistics.median(float(seconds) for seconds, _ in lines), lines[0][1] == "True"


def _output(command: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def imports(runs: int) -> tuple[str, float]:
    """Return the table of imports, and the CPU seconds of Numba's."""
    found = {statement: import_seconds(statement, 3 * runs) for statement in _STATEMENTS}
    rows = [
        [f"`{statement}`", f"{seconds * 1e3:.0f}", "yes" if loads else "no"]
        for statement, (seconds, loads) in found.items()
    ]
    tell("  ".join(" ".join(row) for row in rows))
    return table(["", "CPU ms", "imports Numba"], rows), found["import numba"][0]


def first_calls(numba: float, runs: int) -> str:
    """Return the tables of first calls: with an empty folder of kernels, and with what that left there.

    Args:
        numba: CPU seconds of importing Numba, which are taken off where it was imported.
        runs: how often the later process is started.
    """
    rows, goals = [], []
    for case, (what, _) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            fresh = _compiling(case, folder, numba)
            sizes = [path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()]
            several = [_compiling(case, folder, numba) for _ in range(runs)]
            later = statistics.median(several)
        rows.append([what, f"{fresh:.2f}", f"{later:.3f}", str(len(sizes)), f"{sum(sizes) / 1e6:.1f}"])
        tell("  ".join(rows[-1]))
        if case == "one":
            goals.append(Result(f"compiling for {what}", fresh, COMPILING, most=True, unit=" s"))
        goals.append(Result(f"loading for {what}", later, LOADING, most=True, unit=" s"))
    head = ["first calls", "fresh install, CPU s", "later process, CPU s", "files", "MB"]
    return results(goals) + "\n\n" + table(head, rows)


def _compiling(case: str, folder: str, numba: float) -> float:
    """Return the CPU seconds that a new process's first calls take beyond its second ones and Numba's import."""
    environment = process_environment() | {"DEEPCONV_CACHE_DIR": folder}
    found = json.loads(_output([sys.executable, "-m", "benchmarks.first_calls", case], environment))
    return max(0.0, float(found["first"]) - float(found["second"]) - (numba if found["numba"] else 0.0))


def small_calls(peers: Sequence[str], runs: int, allocator: str) -> str:
    """Return the table of calls on one image of 8×8, in microseconds."""
    rows: list[list[str]] = []
    with workers("layers", peers, allocator) as asked:
        for layer in SMALL:
            for which in PASSES:
                # Calls so short are asked for often, as the clock of a shared machine changes between them.
                row = interleaved(asked, request(layer, which), 5 * runs)
                rows.append([layer.name, which, *_microseconds(row, peers)])
                tell(line(f"{layer.name} {which}", row))
    others = [peer for peer in peers if peer != OURS]
    return table(["layer", "pass", "µs", *(f"{peer} µs" for peer in others), *others], rows, left=2)


def _microseconds(row: Row, peers: Sequence[str]) -> list[str]:
    others = [peer for peer in peers if peer != OURS]
    return [
        *(f"{row[peer].warm * 1e6:.1f}" for peer in [OURS, *others]),
        *(marked(ratio(row, peer)) for peer in others),
    ]


def digits(runs: int) -> str:
    """Return the table of `deepconv train digits`: the first run compiles, the others find it done."""
    with tempfile.TemporaryDirectory() as folder:
        found = [_train(Path(folder), index) for index in range(1 + runs)]
    for seconds, accuracy in found:
        tell(f"train digits  {seconds:.2f} s  {accuracy:.2f} %")
    later = statistics.median(seconds for seconds, _ in found[1:])
    goals = [
        Result("`deepconv train digits`, the whole process", later, TRAINING, most=True, unit=" s"),
        Result("held-out digits right", found[0][1], ACCURACY, unit=" %"),
    ]
    return results(goals) + f"\n\nThe first run, which compiles, took {found[0][0]:.2f} CPU seconds."


def _train(folder: Path, index: int) -> tuple[float, float]:
    """Train once, with the folder's kernels; return CPU seconds of the process, and percent of digits right."""
    command = [sys.executable, "-m", "deepconv.cli", "train", "digits", "--json"]
    environment = process_environment() | {"DEEPCONV_CACHE_DIR": str(folder / "kernels")}
    process = subprocess.Popen(
        [*command, "--out", str(folder / f"run{index}")], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    with process:
        told = process.stdout.read() if process.stdout is not None else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"deepconv train digits ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, 100 * float(json.loads(told)["test_accuracy"])


_HEAD = """## Start-up

Written by `python -m benchmarks.startup`, {runs} runs: CPU time of processes of their own. {versions}.
"""

_FIRST = """
First calls, in a process of its own, beyond what the same calls take the second time and beyond importing Numba
where that was imported. A fresh install has an empty folder of kernels; a later process finds it filled.
"""

_SMALL = """
A convolution 3×3, padding 1, of one image of 8×8, all of the public function's checks included.
"""


def report(chosen: argparse.Namespace) -> str:
    """Measure the parts that were asked for, and return them as this part of the page."""
    wanted = [part for part in PARTS if chosen.only in part]
    if not wanted:
        raise SystemExit(f"nothing to measure: --only {chosen.only!r} names none of {', '.join(PARTS)}")
    peers = [peer for peer in installed(PEERS) if peer in (OURS, "torch")]
    text = [_HEAD.format(runs=chosen.runs, versions=versions(peers))]
    shown, numba = imports(chosen.runs)
    if "imports" in wanted:
        text += [shown, ""]
    if "first calls" in wanted:
        text += [_FIRST, first_calls(numba, min(chosen.runs, 3)), ""]
    if "small calls" in wanted:
        text += [_SMALL, small_calls(peers, chosen.runs, chosen.allocator), ""]
    if "digits" in wanted:
        text += [digits(min(chosen.runs, 2)), ""]
    return "\n".join(text)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    chosen = arguments("startup", __doc__).parse_args(words)
    publish(chosen, "startup", report(chosen))


if __name__ == "__main__":
    main()
