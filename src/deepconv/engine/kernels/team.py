"""Kernels' calls on several threads: kernels are serial, and threads meet here, in machine code and without the GIL.

Where all that there is to do are calls of kernels, they are written down first, and threads that stay in machine code
make them (`kernels/meeting.py`). `threads.share` lets its threads call Python, for which they take turns: on two
virtual Zen 3 cores, where it takes 0.1 to 0.2 ms until a thread that is woken runs, the 3×3 layers of 2 to 5 ms
took 0.8 to 1.05 of one thread's time by the clock that way, and 0.65 to 0.85 this way, for about the same CPU time.

Pieces are whole tasks, so that no sum is ever split and the result is the same bit for bit whatever the number of
threads. Each thread has neighbouring tasks, and takes pieces of the others' once it has done with its own: a thread
that the system woke late, or took the core from, delays nobody. Two threads that call at once take different helpers,
and a forked child makes itself others.

Who leads looks for `_PATIENCE` whether the others have done before it sleeps. Helpers sleep at once: where they looked
around for 30 to 1000 µs, be it between the steps of one convolution or between two, the next one came forward by
up to a tenth or two, and took as much CPU time more.
"""

import ctypes
import os
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library, listed
from deepconv.engine.kernels.meeting_places import GIVEN, LINE, OWN, ROOM, WORDS
from deepconv.engine.kernels.memory import address
from deepconv.engine.kernels.workspace import Room

Words = Sequence[int | Array]
Calls = Iterable[tuple[Callable[..., None], Words]]
"""Kernels and what they are told."""

KERNELS = library("meeting")

PIECES = 4
"""Ranges that a thread's part falls into where a range more costs nothing."""

_PATIENCE = 2e-4
"""Seconds that a leader waits without sleeping."""

_TYPE = np.dtype(np.float32)
"""The kernels that meet don't compute, but each kernel has a type."""


def run(
    calls: Callable[[int, int, int], Calls],
    tasks: int,
    count: int,
    own: tuple[int, int],
    pieces: int = 1,
    *,
    multiply_adds: int = 0,
) -> None:
    """Make the calls of all tasks, on up to `count` threads.

    Args:
        calls: given a range of tasks and the address of its thread's memory, returns what to call, in order. The
            address may be told to kernels, with whole numbers added; calls of different ranges must not
            disturb each other, and all that kernels are told must stay alive.
        tasks: how many there are; none is allowed.
        count: how many threads, the calling one among them.
        own: address and bytes of the calling thread's memory; each other one has as many bytes.
        pieces: how many ranges each thread's part falls into, if it has so many tasks and is not alone.
        multiply_adds: of all tasks; Python looks for Ctrl-C after every `threads.LARGEST` of a thread's.
    """
    count = max(1, min(count, tasks))
    rounds = min(tasks, multiply_adds // (count * threads.LARGEST) + 1)
    for turn in range(rounds):
        start, stop = tasks * turn // rounds, tasks * (turn + 1) // rounds
        if count == 1:
            for function, words in calls(start, stop, own[0]):
                function(*words)
        else:
            _together(calls, (start, stop), count, own, pieces)


def _together(
    calls: Callable[[int, int, int], Calls],
    tasks: tuple[int, int],
    count: int,
    own: tuple[int, int],
    pieces: int,
) -> None:
    """Make the calls of some tasks with the help of others."""
    helpers: list[_Helper] = []
    try:
        _gather(helpers, count - 1)
        told = array("q", [word for helper in helpers for word in helper.told(own[1])])
        table = _table(calls, tasks, 1 + len(helpers), pieces)
        room = array("q", bytes(8 * WORDS))
        KERNELS.lead[_TYPE](
            table.buffer_info()[0],
            own[0],
            room.buffer_info()[0],
            told.buffer_info()[0],
            len(helpers),
            *_waiting(),
        )
    finally:
        _idle.extend(helpers[::-1])  # `reversed` is a call, after which Ctrl-C may come


def _table(
    calls: Callable[[int, int, int], Calls], tasks: tuple[int, int], count: int, pieces: int
) -> "array[int]":
    """Return what `lead` and `serve` read."""
    start, some = tasks[0], tasks[1] - tasks[0]
    words = [count] + [0] * (LINE - 1)
    ranges: list[tuple[int, int]] = []
    for i in range(count):
        part = threads.ranges(start + some * i // count, start + some * (i + 1) // count, pieces)
        words += [0, len(ranges), len(part)] + [0] * (LINE - 3)
        ranges += part
    begin = len(words)
    words += [0] * (len(ranges) + 1)
    for j, piece in enumerate(ranges):
        words[begin + j] = len(words)
        for function, given in calls(*piece, OWN):
            words += (listed(function), len(given))
            words += [address(word) if isinstance(word, np.ndarray) else word for word in given]
    words[begin + len(ranges)] = len(words)
    return array("q", words)


class _Helper:
    """A thread that waits in machine code until it is given something to do, without an end.

    Its state and its locks are never given back once it runs: it may still look at them while the process ends.
    """

    def __init__(self) -> None:
        """Start the thread."""
        state = np.zeros(ROOM + WORDS + LINE, np.int64)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(state))
        self._state = address(state) + -address(state) % 64
        self._given, self._end = _closed_lock(), _closed_lock()
        self._memory = Room()
        words = (self._state, self._given, self._end, *_waiting()[1:])
        try:
            threading.Thread(target=KERNELS.serve[_TYPE], args=words, name="deepconv", daemon=True).start()
        except RuntimeError as failure:
            # Each call tries again and would keep some more; what a signal's handler raised comes when it runs.
            if str(failure) == "can't start new thread":
                ctypes.pythonapi.Py_DecRef(ctypes.py_object(state))
                for lock in (self._given, self._end):
                    ctypes.pythonapi.PyThread_free_lock(ctypes.c_void_p(lock))
            raise

    def told(self, size: int) -> tuple[int, ...]:
        """Return what `lead` is told of it, with so many bytes of memory."""
        return self._state, self._given, self._end, self._memory.of(size)


_idle: list[_Helper] = []
"""Helpers that nobody leads, the one that worked last at the end."""


def _gather(helpers: list[_Helper], count: int) -> None:
    """Add up to so many helpers: fewer where the system gives no more threads, and the others take their part."""
    with suppress(IndexError):  # in one step, as Ctrl-C after a call that takes one would lose it
        helpers.extend(islice(iter(_idle.pop, None), count))
    with suppress(RuntimeError):
        while len(helpers) < count:
            helpers.append(_Helper())


@cache
def _waiting() -> tuple[int, int, int]:
    """Return what kernels are told of waiting: how often to look, and Python's functions of locks."""
    state = np.zeros(GIVEN + 1, np.int64)
    often, took = 2000, []
    for _ in range(5):
        start = time.perf_counter()
        KERNELS.look_often[_TYPE](state, often)
        took.append(time.perf_counter() - start)
    looks = int(_PATIENCE / max(min(took), 1e-9) * often)
    python = ctypes.pythonapi
    places = (
        ctypes.cast(f, ctypes.c_void_p).value
        for f in (python.PyThread_acquire_lock, python.PyThread_release_lock)
    )
    acquire, release = (int(place or 0) for place in places)
    return looks, acquire, release


def _closed_lock() -> int:
    """Return the address of a new lock of Python's that is taken: the next to take it sleeps until it is let go."""
    python = ctypes.pythonapi
    python.PyThread_allocate_lock.restype = ctypes.c_void_p
    lock = python.PyThread_allocate_lock()
    if lock is None:
        raise RuntimeError("the system gives no more locks")
    python.PyThread_acquire_lock(ctypes.c_void_p(lock), 1)
    return int(lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a forked child has none of them
