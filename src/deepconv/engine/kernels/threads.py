"""How work in Python is split among threads; where it is calls of kernels alone, `team` does it without the GIL.

Work gets a range of tasks; the ranges are whole tasks, so that no sum is ever split and the result
is the same bit for bit whatever the number of threads. The threads are Python's own, kept waiting for a lock of
their own: two threads that call at once take different ones, a forked child makes itself others. That costs some
20 µs a call where OpenMP's region costs 4 (an executor's futures: 40), and is why small work stays on one thread
(`worth`); in return nothing spins, nothing dies in a child, and no second OpenMP team meets that of another library.

Each thread has a part of its own, neighbouring tasks, and takes it in pieces; whoever has done with his takes pieces
of the others': a thread that the system woke late, or took the core from, delays nobody.
"""

import os
import threading
from collections.abc import Callable
from itertools import count

_SMALLEST = 4_000_000
"""Multiply-adds a thread must get before it is woken: 80 µs of them. On a virtual machine that takes twice as long, but
the others don't wait for it, and with all of it on one thread two would be unevenly at work."""

LARGEST = 4_000_000_000
"""Multiply-adds of a range: 0.1 to 0.2 s of them, as Python looks for Ctrl-C between two ranges only."""

_idle: "list[_Helper]" = []
"""Threads that wait for work, the one that worked last at the end: its scratch memory is the warmest."""


def worth(threads: int, multiply_adds: int) -> int:
    """Return how many of `threads` a computation of so many multiply-adds should use."""
    return max(1, min(threads, multiply_adds // _SMALLEST))


def share(
    work: Callable[[int, int], object], tasks: int, threads: int, pieces: int = 1, *, multiply_adds: int = 0
) -> None:
    """Call `work(start, stop)` for ranges that together are `range(tasks)`, on up to `threads` threads.

    Args:
        work: called with ranges that aren't empty; must be safe to run beside itself.
        tasks: how many there are; none is allowed.
        threads: at least 1; the calling thread is one of them.
        pieces: how many ranges each thread's part falls into, if it has so many tasks and is not alone.
        multiply_adds: of all tasks, where they may be so many that the ranges should be smaller.

    Raises:
        BaseException: the first that `work` or a signal's handler (Ctrl-C) raised, once all have ended; no
            further range is begun meanwhile.

    Example:
        >>> done = []
        >>> share(lambda start, stop: done.append((start, stop)), 5, threads=1)
        >>> done
        [(0, 5)]
    """
    threads = max(1, min(threads, tasks))
    pieces = max(pieces if threads > 1 else 1, multiply_adds // (threads * LARGEST) + 1)
    if threads == pieces == 1:
        if tasks:
            work(0, tasks)
        return
    bounds = [tasks * i // threads for i in range(threads + 1)]
    parts = [ranges(bounds[i], bounds[i + 1], pieces) for i in range(threads)]
    turns = [count() for _ in parts]  # whose next number is nobody else's
    failures: list[BaseException] = []

    def take(me: int) -> None:
        try:
            for owner in (*range(me, threads), *range(me)):
                part, turn = parts[owner], turns[owner]
                while not failures and (i := next(turn)) < len(part):
                    work(*part[i])
        except BaseException as failure:  # noqa: BLE001 (it is raised where all have ended)
            failures.append(failure)

    ends: list[_End] = []
    try:
        ends.extend(end for i in range(1, threads) if (end := _started(take, i)) is not None)
        take(0)
    except BaseException as failure:  # noqa: BLE001 (an interrupt between the lines)
        failures.append(failure)
    for end in ends:
        _wait(end, failures)
    if failures:
        raise failures[0]


def ranges(start: int, stop: int, pieces: int) -> list[tuple[int, int]]:
    """Return a part's ranges."""
    tasks = stop - start
    pieces = min(pieces, tasks)
    return [(start + tasks * i // pieces, start + tasks * (i + 1) // pieces) for i in range(pieces)]


class _End:
    """The end of a helper's work: `come` once it is there, which the lock being free wakes who waits for."""

    def __init__(self) -> None:
        self.come = False
        self.lock = threading.Lock()
        self.lock.acquire()


def _wait(end: _End, failures: list[BaseException]) -> None:
    """Wait for a helper; an interrupt waits with us, as the helper still writes where our arrays are."""
    while not end.come:  # an interrupt may come after the lock was taken, too
        try:
            end.lock.acquire()
        except BaseException as failure:  # noqa: BLE001 (likewise)
            failures.append(failure)


_Job = tuple[Callable[[int], None], int, _End]


class _Helper:
    """A thread that waits until it is given something to do.

    Attributes:
        given: a lock that is free once there is something.
        job: what to call, with which number, and the end to announce then.
    """

    def __init__(self) -> None:
        self.given = threading.Lock()
        self.given.acquire()
        self.job: _Job | None = None
        threading.Thread(target=self.run, name="deepconv", daemon=True).start()

    def run(self) -> None:
        """Do what is given, and wait again, without an end."""
        while True:
            self.given.acquire()
            job, self.job = self.job, None
            if job is not None:
                take, number, end = job
                take(number)
                del job, take  # they hold the caller's arrays
                _idle.append(self)
                end.come = True
                end.lock.release()


def _started(take: Callable[[int], None], number: int) -> _End | None:
    """Let another thread call `take(number)`; return its end, None where there can't be one more."""
    try:
        helper = _idle.pop()
    except IndexError:
        try:
            helper = _Helper()
        except RuntimeError:  # the system gives no more threads; the others take its part
            return None
    end = _End()
    helper.job = (take, number, end)
    helper.given.release()
    return end


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a forked child has none of them
