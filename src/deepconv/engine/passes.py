"""Single passes over memory: where a compiled kernel computes numbers one by one, and on how many threads."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine, settings
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import Kernel
from deepconv.engine.kernels.memory import address, plain

# Threads get whole blocks of so many numbers: a part of the first cache, and much more than its lines.
_BLOCK = 1 << 14

# A number costs about as many multiply-adds, memory counted: what decides whether a thread is woken.
_COST = 30

ALONE = 1 << 17
"""Fewer numbers than these are never worth a second thread, and don't ask for one."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
"""What kernels compute."""


def suits(x: Array, least: int) -> bool:
    """Tell whether a compiled kernel should compute x: it holds `least` numbers, of a type that kernels know.

    Args:
        x: any array.
        least: below that NumPy's calls cost less than ours.

    Example:
        >>> suits(np.zeros(3), 1000), suits(np.zeros(3, int), 1)
        (False, False)
    """
    return x.size >= least and x.dtype in FLOATS and machine.why_not_compiled() is None


def streams(numbers: int, itemsize: int) -> bool:
    """Tell whether a result should be written past the caches: they don't hold all that is read and written.

    Args:
        numbers: that are read and written.
        itemsize: bytes of each.
    """
    return numbers * itemsize > machine.caches().l3


def plain_all(arrays: tuple[Array, ...], dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Return the arrays as kernels take them, each what `plain` returns; most are such, and need one look.

    Example:
        >>> a = np.zeros(3)
        >>> plain_all((a,), a.dtype)[0] is a
        True
    """
    for a in arrays:
        if not (a.flags.carray and a.dtype is dtype and type(a) is np.ndarray):
            return tuple([plain(a, dtype) for a in arrays])
    return arrays


def pointwise(kernel: Kernel, arrays: tuple[Array, ...], number: float = 0.0) -> Array:
    """Return what a kernel makes of arrays of one shape and type, number by number.

    Args:
        kernel: takes the addresses of the arrays and of the result, a count, whether the result goes past the caches,
            and a number.
        arrays: at least one; float32 or float64.
        number: what the kernel is told beside.
    """
    x = arrays[-1]
    dtype, size = x.dtype, x.size
    y, arrays = np.empty(x.shape, dtype), plain_all(arrays, dtype)  # kept here while their addresses are used
    streamed = size >= ALONE and streams((1 + len(arrays)) * size, x.itemsize)
    used = 1 if size < ALONE else threads.worth(settings.get_threads(), _COST * size)
    if used == 1:
        kernel[dtype](*arrays, y, size, streamed, number)
    else:
        _in_pieces(kernel[dtype], (*arrays, y), streamed, number, used)
    return y


def _in_pieces(
    run: Callable[..., None], arrays: tuple[Array, ...], streamed: bool, number: float, used: int
) -> None:
    """Call a kernel of arrays, the last of them its result, on several threads."""
    size, itemsize, places = arrays[0].size, arrays[0].itemsize, [*map(address, arrays)]

    def work(start: int, stop: int) -> None:
        first, end = start * _BLOCK, min(stop * _BLOCK, size)
        run(*[place + first * itemsize for place in places], end - first, streamed, number)

    threads.share(work, -(-size // _BLOCK), used)


def along(x: Array, axis: int) -> tuple[int, int, int]:
    """Return how many numbers lie before an axis, on it, and behind it.

    Example:
        >>> along(np.zeros((2, 3, 4, 5)), 1)
        (2, 3, 20)
    """
    axis %= x.ndim
    if axis == x.ndim - 1:
        count = x.shape[axis]
        return x.size // count if count else 0, count, 1
    outer = inner = 1
    for size in x.shape[:axis]:
        outer *= size
    for size in x.shape[axis + 1 :]:
        inner *= size
    return outer, x.shape[axis], inner


def shared(work: Callable[[int, int], Any], tasks: int, numbers: int) -> None:
    """Call `work(start, stop)` for ranges of tasks, on as many threads as so many numbers are worth."""
    if numbers < ALONE and tasks:
        work(0, tasks)
        return
    threads.share(work, tasks, threads.worth(settings.get_threads(), _COST * numbers))
