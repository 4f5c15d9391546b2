"""The one place where work is split: kernels are serial and without the GIL, threads meet here.

A kernel gets a range of tasks; the ranges are whole tasks, so that no sum is ever split and the result
is the same bit for bit whatever the number of threads. The threads are Python's own, of a pool that is
kept: two threads that call at once share it, a forked child makes itself another. That costs some 30 µs a
call where OpenMP's region costs 4, and is why small work stays on one thread (`worth`); in return
nothing spins, nothing dies in a child, and no second OpenMP team meets that of another library.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_SMALLEST = 2_000_000
"""Multiply-adds a thread must get before it is woken: some 40 µs of them."""

_pool: "ThreadPoolExecutor | None" = None
_size = 0


def worth(threads: int, multiply_adds: int) -> int:
    """Return how many of `threads` a computation of so many multiply-adds should use."""
    return max(1, min(threads, multiply_adds // _SMALLEST))


def share(work: Callable[[int, int], object], tasks: int, threads: int) -> None:
    """Call `work(start, stop)` for ranges that together are `range(tasks)`, on up to `threads` threads.

    Args:
        work: called once on each thread, with a range that isn't empty; must be safe to run beside itself.
        tasks: how many there are; none is allowed.
        threads: at least 1; the calling thread is one of them.

    Raises:
        Exception: the first that `work` raised, once all have ended.

    Example:
        >>> done = []
        >>> share(lambda start, stop: done.append((start, stop)), 5, threads=1)
        >>> done
        [(0, 5)]
    """
    threads = min(threads, tasks)
    if threads <= 1:
        if tasks:
            work(0, tasks)
        return
    bounds = [tasks * i // threads for i in range(threads + 1)]
    others = [_workers(threads - 1).submit(work, *bounds[i : i + 2]) for i in range(1, threads)]
    try:
        work(*bounds[:2])
    finally:
        failures = [other.exception() for other in others]
    for failure in failures:
        if failure is not None:
            raise failure


def _workers(count: int) -> "ThreadPoolExecutor":
    """Return the pool, with at least `count` threads."""
    global _pool, _size
    if _pool is None or _size < count:
        from concurrent.futures import ThreadPoolExecutor  # 10 ms, which one thread doesn't need

        _pool, _size = ThreadPoolExecutor(count, thread_name_prefix="deepconv"), count
    return _pool


def _forget() -> None:
    """Drop the pool: its threads are not in a forked child."""
    global _pool, _size
    _pool, _size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
