"""Measuring this machine's rates, which only `deepconv calibrate` does, when it is asked."""

import statistics
import time
from collections.abc import Callable

import numpy as np

from deepconv.engine import machine
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address
from deepconv.engine.rates import SHIPPED, Rates

_F4 = np.dtype(np.float32)
_DEPTH = 192


def measure(runs: int = 7) -> Rates:
    """Return the rates of one thread, each the median of `runs` timings in CPU time.

    It takes some seconds. The two costs of a call are not measured: they are those shipped, of Python.

    Raises:
        RuntimeError: there are no compiled kernels here, and nothing to choose between.
    """
    why = machine.why_not_compiled()
    if why is not None:
        raise RuntimeError(f"calibrate: {why}, so there are no compiled algorithms to choose between")
    shipped = SHIPPED[machine.target().name]
    return Rates(
        tile=_tile(runs),
        blas=_blas(runs),
        copy=_copy(runs),
        numpy_copy=_numpy_copy(runs),
        call=shipped.call,
        numpy_call=shipped.numpy_call,
    )


def _per_second(work: Callable[[], object], amount: float, runs: int) -> float:
    """Return `amount` by the nanoseconds that `work` takes, the median; the first call is not counted."""
    work()
    spent = []
    for _ in range(runs):
        start = time.process_time_ns()
        work()
        spent.append(time.process_time_ns() - start)
    return amount / max(1.0, statistics.median(spent))


def _tile(runs: int) -> float:
    """Return the GFLOP/s of a register tile whose operands lie in the first cache."""
    shape = machine.target()
    width = shape.vectors * shape.vector_bytes // 4
    a, b = np.ones((_DEPTH, shape.rows), _F4), np.ones((_DEPTH, width), _F4)
    c = np.zeros((shape.rows, width), _F4)
    repeats = 20_000
    run = library("calibration").products[_F4]
    flops = 2.0 * shape.rows * width * _DEPTH * repeats
    return _per_second(lambda: run(address(a), address(b), address(c), _DEPTH, repeats), flops, runs)


def _blas(runs: int) -> float:
    """Return the GFLOP/s of NumPy's product of two matrices of a thousand rows, on one thread."""
    from threadpoolctl import threadpool_limits

    a = np.ones((1024, 1024), _F4)
    with threadpool_limits(1, user_api="blas"):
        return _per_second(lambda: a @ a, 2.0 * 1024**3, runs)


def _copy(runs: int) -> float:
    """Return the bytes a nanosecond that a kernel copies of arrays that no core's own cache holds."""
    count = min(2**24, machine.caches().l2 * 2)
    x, y = np.ones(count, _F4), np.ones(count, _F4)
    run = library("calibration").copies[_F4]
    return _per_second(lambda: run(address(x), address(y), count, 10), 10.0 * count * 4, runs)


def _numpy_copy(runs: int) -> float:
    """Return the bytes a nanosecond that NumPy writes of images' windows, into fresh memory."""
    x = np.ones((64, 8, 30, 30), _F4)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3)).transpose(0, 4, 5, 1, 2, 3)
    return _per_second(lambda: np.ascontiguousarray(windows), 64 * 9 * 8 * 28 * 28 * 4, runs)
