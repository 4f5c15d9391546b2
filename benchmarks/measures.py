"""What is measured of a call, in the process that makes it: time, threads or memory.

Each measure is a class that takes a call and whose `answer` returns plain data. A worker keeps it as long
as it is asked about the same call.
"""

import ctypes
import ctypes.util
import math
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Call = Callable[[], Any]

_AT_LEAST = 0.06  # CPU seconds of calls that one answer rests on
_SAMPLES = (3, 200)
_SHORT = 5e-5  # CPU seconds under which calls are timed in blocks, as reading the clock would count
_DIGESTS = 3


class Measure(Protocol):
    """What a worker asks."""

    def answer(self) -> dict[str, Any]:
        """Return what was measured, as plain data."""
        ...


class Time:
    """CPU seconds of the first call and of later ones, and digests of what the first three returned.

    A call that changes what it works on, as a training step does, returns something else each time: equal
    digests of two peers then say that the changes were equal, too.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.first: float | None = None
        self.digests: list[float] = []

    def answer(self) -> dict[str, Any]:
        """Return `first`, `warm` (the median of calls made now) and `digests`."""
        if self.first is None:
            start = time.process_time()
            result = self.call()
            self.first = time.process_time() - start
            self.digests.append(digest(result))
            del result  # so that no two results ever live at once, as in the calls that are timed
            self.digests += [digest(self.call()) for _ in range(_DIGESTS - 1)]
        return {"first": self.first, "warm": median_cpu_seconds(self.call), "digests": self.digests}


class Once:
    """CPU seconds of one call for each answer: of a peer that takes seconds, and changes nothing."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.first: float | None = None
        self.digests: list[float] = []

    def answer(self) -> dict[str, Any]:
        """Return what `Time` returns."""
        start = time.process_time()
        result = self.call()
        took = time.process_time() - start
        if self.first is None:
            self.first, self.digests = took, [digest(result)] * _DIGESTS
        return {"first": self.first, "warm": took, "digests": self.digests}


def median_cpu_seconds(call: Call) -> float:
    """Return the median CPU time of a call, once it has been called before."""
    call()
    start = time.process_time()
    call()
    once = time.process_time() - start
    block, times = (1, [once]) if once > _SHORT else (50, [])
    while len(times) < _SAMPLES[0] or (sum(times) < _AT_LEAST and len(times) < _SAMPLES[1]):
        start = time.process_time()
        for _ in range(block):
            call()
        times.append(time.process_time() - start)
    return statistics.median(times) / block


def digest(result: Any) -> float:
    """Return the root of the sum of all squares in what a call returned, in whatever containers.

    Example:
        >>> digest((np.array([3.0]), {"b": [4.0], "none": None}))
        5.0
    """
    squares = 0.0
    for array in leaves(result):
        # In small pieces: a large copy, once freed, would change how the allocator serves the timed calls.
        pieces = np.nditer(
            np.asarray(array), ["external_loop", "buffered", "zerosize_ok"], op_dtypes=[np.float64],
            casting="unsafe", buffersize=8192,
        )  # fmt: skip
        squares += sum(float(np.dot(piece, piece)) for piece in pieces)
    return math.sqrt(squares)


def leaves(result: Any) -> Iterator[Any]:
    """Yield each array and number in nested tuples, lists and mappings; None is left out."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, tuple | list):
        for part in result:
            yield from leaves(part)
    elif result is not None:
        yield result.detach() if hasattr(result, "detach") else result


class Told:
    """What a call itself tells of one run, such as its accuracy beside its time."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def answer(self) -> dict[str, Any]:
        """Return what the call returns, which is plain data."""
        found: dict[str, Any] = self.call()
        return found


class Threads:
    """CPU and wall seconds of a call, and which share of the work each thread did."""

    def __init__(self, call: Call) -> None:
        self.call = call
        for _ in range(2):
            call()

    def answer(self) -> dict[str, Any]:
        """Return `cpu` and `wall` of one call, and `shares`, the largest first."""
        walls: list[float] = []
        before, cpu = _thread_seconds(), time.process_time()
        while len(walls) < 5 or sum(walls) < 0.15:
            start = time.perf_counter()
            self.call()
            walls.append(time.perf_counter() - start)
        cpu, after = time.process_time() - cpu, _thread_seconds()
        return {
            "cpu": cpu / len(walls),
            "wall": statistics.median(walls),
            "shares": shares((after[t] - before.get(t, 0.0) for t in after), cpu),
        }


def shares(by_thread: Iterable[float], total: float) -> list[float]:
    """Return each thread's share of the work, the largest first.

    Args:
        by_thread: CPU seconds of the threads that still live.
        total: CPU seconds of the process; what no living thread spent counts as one more thread.

    Example:
        >>> shares([6.0, 0.0, 2.0], 8.0)
        [0.75, 0.25]
    """
    spent = list(by_thread)
    spent.append(total - sum(spent))
    return sorted((s / total for s in spent if s > 0.01 * total), reverse=True)


def _thread_seconds() -> dict[str, float]:
    """Return the CPU seconds of each living thread of this process, as Linux counts them."""
    found: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            found[task.name] = int((task / "schedstat").read_text(encoding="ascii").split()[0]) * 1e-9
        except OSError:  # it ended meanwhile
            continue
    return found


class Memory:
    """How far a call raises the process's resident memory, its operands and its result left out.

    The first call loads what stays (kernels, libraries); the second is measured. Arrays that the first one
    left behind, such as a workspace kept for later calls, are counted as taken by the second.
    """

    def __init__(self, call: Call) -> None:
        self.call = call

    def answer(self) -> dict[str, Any]:
        """Return `extra` and `result` in bytes."""
        _load_compiler()
        tracemalloc.start()
        self.call()
        kept = _kept_by_numpy()
        tracemalloc.stop()
        _trim()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew from here
        before = _status("VmRSS")
        result = self.call()
        peak = _status("VmHWM")
        size = sum(np.asarray(array).nbytes for array in leaves(result))
        return {"extra": max(0, peak - before - size) + kept, "result": size}


def _load_compiler() -> None:
    """Import Numba where it is: its own objects are no workspace, and `tracemalloc` would slow it."""
    try:
        import numba
    except ImportError:
        return
    del numba


def _kept_by_numpy() -> int:
    """Return the bytes of array data that were allocated since `tracemalloc` started and still live."""
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([arrays])
    return sum(trace.size for trace in traces.traces)


def _trim() -> None:
    """Give freed memory back to the system, where the C library can."""
    name = ctypes.util.find_library("c")
    library = ctypes.CDLL(name) if name else None
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _status(entry: str) -> int:
    """Return an entry of this process's status, in bytes."""
    for line in Path(f"/proc/{os.getpid()}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(entry + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the system does not tell {entry} of a process")


MEASURES: dict[str, Callable[[Call], Measure]] = {
    "time": Time,
    "once": Once,
    "told": Told,
    "threads": Threads,
    "memory": Memory,
}
"""Every measure by name."""
