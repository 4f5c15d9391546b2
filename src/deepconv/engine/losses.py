"""Softmax cross-entropy of class numbers, where kernels can be compiled."""

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.kernels import threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.settings import get_threads

KERNELS = library("loss")

_BLOCK = 4096
"""Scores of one block of columns: 16 KB of float32, half of a small first cache."""

_WORK = 20
"""Multiply-adds that a score is worth, its exponential above all."""


def _lanes(dtype: np.dtype[Any]) -> int:
    return machine.target().vector_bytes // dtype.itemsize


def compiles(scores: Array) -> bool:
    """Tell whether there is a kernel for scores `(N, K, …)`: single ones, or enough positions for a vector."""
    if scores.dtype.char not in "fd" or not scores.size or machine.why_not_compiled() is not None:
        return False
    inner = int(scores[0, 0].size)
    return inner == 1 or inner >= _lanes(scores.dtype)


def cross_entropy(
    scores: Array, labels: Array, smoothing: float, share: float | Array, *, slope: bool
) -> tuple[Array, Array | None]:
    """Return the loss of each sample, and the gradient of their sum, each times its share, if wanted.

    Args:
        scores: `(N, K, …)`, which `compiles`.
        labels: class numbers `(N, …)`, checked.
        smoothing: ε, from 0 to 1.
        share: what the samples' gradients are multiplied by, one for all or `(N,)`.
        slope: whether the gradient is wanted.
    """
    dtype = scores.dtype
    scores, labels = plain(scores, dtype), plain(labels, np.dtype(np.int64))
    n, count = scores.shape[:2]
    terms, dx = np.empty(labels.shape, dtype), np.empty_like(scores) if slope else None
    shares = plain(share, dtype) if isinstance(share, np.ndarray) else None
    inner, width = labels.size // n, _lanes(dtype)
    step = min(inner // width, max(1, _BLOCK // (count * width))) * width
    arrays = (scores, labels, terms, dx, shares)
    places = [0 if a is None else address(a) for a in arrays]
    numbers = (smoothing, 0.0 if shares is not None else share)

    def work(start: int, stop: int) -> None:
        if inner == 1:
            room = scratch(count * dtype.itemsize)
            KERNELS.cross_entropy_rows[dtype](*places, room, start, stop, count, *numbers)
        else:
            room = scratch((count + 5) * step * dtype.itemsize)
            KERNELS.cross_entropy_columns[dtype](*places, room, start, stop, step, count, inner, *numbers)

    threads.share(work, n, threads.worth(get_threads(), _WORK * scores.size))
    return terms, dx
