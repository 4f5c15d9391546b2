"""Processes that measure, seen from the one that asks: a worker each, asked in turn."""

import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

ROOT = Path(__file__).parents[1]
OURS = "deepconv"

ALLOCATORS: dict[str, dict[str, str]] = {
    "warm": {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)},
    "plain": {},
}
"""What a process is told about memory, by name.

A program that calls one function over and over gets each result in pages that the system has just cleared,
and pays for that as much as for the function itself, or not, as the sizes that were freed before happen to
be: glibc maps what is at least as large as the largest piece that it has unmapped. "warm" keeps freed memory
(up to its largest limit, pieces of 32 MB), as a program that uses arrays of many sizes soon does.
"""

_SAME = 1e-3  # how far digests of the same computation may be apart, relatively


@dataclass(frozen=True)
class Timed:
    """What one peer took for one thing.

    Attributes:
        warm: CPU seconds of a call, the median over the runs of medians.
        first: CPU seconds of the first call, which loads or compiles.
        digests: of the first calls' results.
    """

    warm: float
    first: float
    digests: tuple[float, ...]


Row = dict[str, Timed]
"""What every peer took for one thing."""


class Worker:
    """A peer's process.

    Args:
        subject: what it is asked about; see `worker.SUBJECTS`.
        peer: whose calls it makes.
        measure: what it measures; see `measures.MEASURES`.
        threads: how many its BLAS and OpenMP may use.
        environment: further variables for the process.
    """

    def __init__(
        self,
        subject: str,
        peer: str,
        measure: str = "time",
        *,
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.peer = peer
        command = [sys.executable, "-m", "benchmarks.worker", subject, peer, measure]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=process_environment(threads) | dict(environment or {}),
        )  # fmt: skip
        self.asks, self.answers = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Return the answer to a request, None where the peer has no such thing."""
        print(json.dumps(request), file=self.asks, flush=True)
        answer = self.answers.readline()
        if not answer:
            raise RuntimeError(f"{self.peer}: its process ended at {json.dumps(request)}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self.asks.close()
        self.process.wait()
        self.answers.close()


def process_environment(threads: int = 1) -> dict[str, str]:
    """Return this process's environment, with as many threads for each library as told.

    Bytecode may be kept, whatever is asked here: where it may not, as in many containers, each process parses the
    sources anew, 0.06 s of each start that nobody pays for a package that was installed.
    """
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | dict.fromkeys(names, str(threads))


@contextmanager
def workers(subject: str, peers: Iterable[str], allocator: str = "warm") -> Iterator[list[Worker]]:
    """Start a worker for each peer, and end them all."""
    with ExitStack() as stack:
        started = []
        for peer in peers:
            worker = Worker(subject, peer, environment=ALLOCATORS[allocator])
            stack.callback(worker.close)
            started.append(worker)
        yield started


def interleaved(asked: Sequence[Worker], request: Mapping[str, Any], runs: int, *, same: bool = True) -> Row:
    """Ask every worker in turn, `runs` times over, and return what each took.

    Args:
        asked: the workers.
        request: what they are asked.
        runs: how often.
        same: whether all must have computed the same.

    Raises:
        RuntimeError: two peers' results differ, so that they did not compute the same.
    """
    answers: dict[str, list[dict[str, Any]]] = {}
    for _ in range(runs):
        for worker in asked:
            answer = worker.ask(request)
            if answer is not None:
                answers.setdefault(worker.peer, []).append(answer)
    row = {peer: _timed(several) for peer, several in answers.items()}
    if same:
        check_same(row, json.dumps(request))
    return row


def _timed(answers: Sequence[Mapping[str, Any]]) -> Timed:
    warm = statistics.median(answer["warm"] for answer in answers)
    return Timed(warm, answers[0]["first"], tuple(answers[0]["digests"]))


def check_same(row: Row, what: str) -> None:
    """Raise RuntimeError where a peer's results are not ours."""
    ours = row[OURS].digests
    for peer, timed in row.items():
        close = (abs(a - b) <= _SAME * max(abs(a), abs(b)) for a, b in zip(ours, timed.digests, strict=True))
        if not all(close):
            raise RuntimeError(
                f"{OURS} and {peer} don't compute the same: norms {ours} and {timed.digests} of {what}"
            )


def installed(peers: Iterable[str]) -> list[str]:
    """Return the peers whose library is here, and tell of those that are not."""
    known = list(peers)
    found = [peer for peer in known if importlib.util.find_spec(library(peer))]
    missing = sorted({library(peer) for peer in known} - {library(peer) for peer in found})
    if missing:
        tell(f'not installed, so not measured: {", ".join(missing)}; pip install -e ".[bench]"')
    return found


def library(peer: str) -> str:
    """Return the module that a peer's calls come from."""
    return "torch" if peer.startswith("torch") else peer


def versions(peers: Iterable[str]) -> str:
    """Return which releases were measured."""
    names = dict.fromkeys(library(peer) for peer in [OURS, "numpy", "numba", *peers])
    return ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in names if importlib.util.find_spec(name)
    )


def tell(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
