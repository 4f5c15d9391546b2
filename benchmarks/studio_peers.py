"""The studio as it is measured: a server in this process, a page in another, and a slider that moves."""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from benchmarks.measures import Call
from benchmarks.processes import OURS, ROOT

MOVES = 15
SHAPE = (1000, 1000, 3)


@cache
def picture() -> Any:
    """Return a million pixels in colour: smooth, with some noise on top."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / 100
    base = 127 + 60 * np.sin(np.stack([x, y, x + y], axis=-1))
    return np.uint8(base + np.random.default_rng(0).normal(0, 8, SHAPE))


@cache
def page() -> tuple[IO[str], IO[str]]:
    """Start the studio here and a page elsewhere; return how to make it move and how to hear that it has."""
    from deepconv.images import write_image
    from deepconv.studio.server import serve

    told, address = threading.Event(), []

    def ready(where: str) -> None:
        address.append(where)
        told.set()

    threading.Thread(target=serve, kwargs={"port": 0, "ready": ready}, daemon=True).start()
    told.wait(60)
    file = Path(tempfile.mkdtemp()) / "picture.png"
    write_image(file, picture())
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.studio_client", address[0], str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    asks, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
    answers.readline()
    file.unlink()
    return asks, answers


def taken(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the CPU seconds of this process that each call takes, asked in turn, the median of several."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(MOVES + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn:  # the first one loads and compiles
                times[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def moved(asked: dict[str, Any]) -> Call:
    """Return a call that tells what a move costs: in all, of convolution, and of encoding."""
    import deepconv as dc
    from deepconv.studio.rooms import lab

    dc.set_threads(1)
    asks, answers = page()
    settings = lab.Settings(**asked["settings"])
    line = json.dumps(asked["settings"])

    def move() -> None:
        print(line, file=asks, flush=True)
        answers.readline()

    def call() -> dict[str, float]:
        result = settings.applied(picture())
        return taken(
            {
                "move": move,
                "filter": lambda: settings.applied(picture()),
                "encode": lambda: lab._rgba(result),
            }
        )

    return call


PEERS = {OURS: moved}
