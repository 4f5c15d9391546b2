"""How much of the machine may be used: threads and memory, for this process."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from deepconv.geometry import whole_number

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_DEFAULT_WORKSPACE = 256 * 2**20
_MOST_THREADS = 4096  # more than any machine runs; far more, and the system starts none

_workspace_limit = _DEFAULT_WORKSPACE
_threads: int | None = None


def allowed_threads() -> int:
    """Return how many threads this process may run at once, by its affinity and its container's quota.

    Example:
        >>> allowed_threads() >= 1
        True
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _container_quota()))


def _container_quota() -> int:
    """Return the whole processors that a Linux control group grants, or a number that bounds nothing."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no control group, or "max"
        return 1 << 30


def _blas() -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController  # costs milliseconds that `import deepconv` must not

    return ThreadpoolController().select(user_api="blas")


def get_threads() -> int:
    """Return how many threads a computation may use.

    Until `set_threads` says otherwise: what the BLAS under NumPy is set to use (its environment
    variables count), but no more than the process may run.

    Example:
        >>> get_threads() >= 1
        True
    """
    global _threads
    if _threads is None:
        blas = _blas()
        pools = [info["num_threads"] for info in blas.info()]
        _threads = max(1, min([allowed_threads(), *pools]))
        if any(n > _threads for n in pools):  # a container grants less than the BLAS saw
            blas.limit(limits=_threads)
    return _threads


def set_threads(n: int) -> None:
    """Let computations use `n` threads, those of the BLAS under NumPy included.

    Args:
        n: from 1 to 4,096.

    Raises:
        TypeError, ValueError: not such a whole number.

    Example:
        >>> before = get_threads()
        >>> set_threads(1)
        >>> get_threads()
        1
        >>> set_threads(before)
    """
    global _threads
    count = whole_number(n)
    if count is None:
        raise TypeError(f"set_threads: n={n!r} is not a whole number")
    if not 1 <= count <= _MOST_THREADS:
        raise ValueError(
            f"set_threads: n={n} is not from 1 to {_MOST_THREADS}; this process may run {allowed_threads()}"
        )
    _blas().limit(limits=count)
    _threads = count


def get_workspace_limit() -> int:
    """Return how many bytes one computation may take beside its arguments and its result.

    Example:
        >>> get_workspace_limit() // 2**20
        256
    """
    return _workspace_limit


def set_workspace_limit(limit: int) -> None:
    """Let one computation take `limit` bytes beside its arguments and its result.

    A limit that is too small for every fast algorithm gets the plainest one, which `explain` shows.

    Args:
        limit: bytes; 0 is allowed and means as little as can be.

    Raises:
        TypeError, ValueError: not a whole number of at least 0.

    Example:
        >>> set_workspace_limit(64 * 2**20)
        >>> set_workspace_limit(256 * 2**20)
    """
    global _workspace_limit
    count = whole_number(limit)
    if count is None:
        raise TypeError(f"set_workspace_limit: limit={limit!r} is not a whole number of bytes")
    if count < 0:
        raise ValueError(f"set_workspace_limit: limit={limit} must be at least 0")
    _workspace_limit = count
