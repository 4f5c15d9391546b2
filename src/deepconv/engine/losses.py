"""Softmax cross-entropy of class numbers, where kernels can be compiled."""

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine, passes
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch

KERNELS = library("loss")

_BLOCK = 4096
"""Scores of one block of columns: 16 KB of float32, half of a small first cache."""

_LABELS = np.dtype(np.int64)
_VECTOR_BYTES = machine.target().vector_bytes


def _lanes(dtype: np.dtype[Any]) -> int:
    return _VECTOR_BYTES // dtype.itemsize


def compiles(scores: Array) -> bool:
    """Tell whether there is a kernel for scores `(N, K, …)`: single ones, or enough positions for a vector."""
    if scores.dtype not in passes.FLOATS or not scores.size or machine.why_not_compiled() is not None:
        return False
    if scores.ndim == 2:
        return True
    inner: int = scores.size // (scores.shape[0] * scores.shape[1])
    return inner == 1 or inner >= _lanes(scores.dtype)


def added(terms: Array) -> float:
    """Return the sum of the samples' losses, added up in float64."""
    total = np.empty(1)
    KERNELS.total[terms.dtype](terms, terms.size, total)
    return float(total.item())


def cross_entropy(
    scores: Array, labels: Array, smoothing: float, share: float | Array, *, slope: bool
) -> tuple[Array, Array | None]:
    """Return the loss of each sample, and the gradient of their sum, each times its share, if wanted.

    Args:
        scores: `(N, K, …)`, which `compiles`.
        labels: class numbers `(N, …)`; one that is no class makes its sample's loss NaN.
        smoothing: ε, from 0 to 1.
        share: what the samples' gradients are multiplied by, one for all or `(N,)`.
        slope: whether the gradient is wanted.
    """
    dtype = scores.dtype
    if not scores.flags.carray:
        scores = plain(scores, dtype)
    if not (labels.flags.carray and labels.dtype is _LABELS):
        labels = plain(labels, _LABELS)
    n, count = scores.shape[:2]
    terms, dx = np.empty(labels.shape, dtype), np.empty(scores.shape, dtype) if slope else None
    shares = plain(share, dtype) if isinstance(share, np.ndarray) else None
    arrays = (scores, labels, terms, 0 if dx is None else dx, 0 if shares is None else shares)
    numbers = (smoothing, 0.0 if shares is not None else share)
    inner, width = labels.size // n, _lanes(dtype)
    if inner == 1 and not count < 3 * width <= 3 * n:
        rows = KERNELS.cross_entropy_rows[dtype]
        passes.shared(
            lambda start, stop: rows(*arrays, scratch(count * dtype.itemsize), start, stop, count, *numbers),
            n,
            scores.size,
        )
        return terms, dx
    blocks, tasks, step = KERNELS.cross_entropy_blocks[dtype], n, width
    if inner > 1:
        step = min(inner // width, max(1, _BLOCK // (count * width))) * width
    else:
        tasks = -(-n // width)
    room = (count + 5) * step * dtype.itemsize

    def work(start: int, stop: int) -> None:
        blocks(*arrays, scratch(room), start, stop, n, step, count, inner, *numbers)

    passes.shared(work, tasks, scores.size)
    return terms, dx
