"""Scratch memory that each thread keeps: fresh pages for every call would cost more than some convolutions.

The system clears a page before it hands it out, 0.1 ms for a megabyte and more; a buffer that the
thread used before is warm in its caches too.
"""

import threading

import numpy as np

from deepconv.arrays import Array

_ALIGNED = 64
_kept = threading.local()


def scratch(size: int) -> int:
    """Return the address of `size` bytes that this thread may write to until it asks again.

    Aligned to 64 bytes; what stands in it is left from before. The next call on the same thread gives the same
    memory, so a computation asks once, for all it needs.

    Example:
        >>> scratch(100) % 64
        0
    """
    buffer: Array | None = getattr(_kept, "buffer", None)
    if buffer is None or buffer.nbytes < size + _ALIGNED:
        _kept.buffer = buffer = None  # given back first, so that both are never held at once
        buffer = np.empty(size + _ALIGNED, np.uint8)
        _kept.buffer = buffer
        _kept.address = buffer.ctypes.data + (-buffer.ctypes.data) % _ALIGNED
    return int(_kept.address)


def release() -> None:
    """Give this thread's scratch memory back."""
    _kept.buffer = None
