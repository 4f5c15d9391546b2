"""Scratch memory that each thread keeps: fresh pages for every call would cost more than some convolutions.

The system clears a page before it hands it out, 0.1 ms for a megabyte and more; a buffer that the
thread used before is warm in its caches too.
"""

import ctypes
import sys
import threading
from collections.abc import Callable

import numpy as np

from deepconv.arrays import Array

_ALIGNED = 64

_left: list[Array | None] = []
"""What a process that ends leaves to the system; the list itself, too."""

ctypes.pythonapi.Py_IncRef(ctypes.py_object(_left))


class Room:
    """Memory of one thread, as much as was ever asked for.

    Attributes:
        buffer: the memory; None where nothing was asked for.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.release()

    def __del__(self, left: list[Array | None] = _left, ends: Callable[[], bool] = sys.is_finalizing) -> None:
        """Leave it where the process ends: Python takes variables from daemon threads that still write to it."""
        if ends():
            left.append(self.buffer)

    def release(self) -> None:
        """Give it back."""
        self.buffer: Array | None = None
        self._size, self._place = -1, 0

    def of(self, size: int) -> int:
        """Return the address of `size` bytes, aligned to 64."""
        if self._size < size:
            self.release()  # so that two are never held at once
            self.buffer = buffer = np.empty(size + _ALIGNED, np.uint8)
            place = buffer.ctypes.data + (-buffer.ctypes.data) % _ALIGNED
            self._size, self._place = size, place
        return self._place


class _Kept(threading.local):
    """What each thread has."""

    def __init__(self) -> None:
        self.room = Room()


_kept = _Kept()


def scratch(size: int) -> int:
    """Return the address of `size` bytes that this thread may write to until it asks again.

    Aligned to 64 bytes; what stands in it is left from before. The next call on the same thread gives the same
    memory, so a computation asks once, for all it needs.

    Example:
        >>> scratch(100) % 64
        0
    """
    return _kept.room.of(size)


def release() -> None:
    """Give this thread's scratch memory back."""
    _kept.room.release()
