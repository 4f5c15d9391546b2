"""`DEEPCONV_VERBOSE=1`: a line on standard error for every convolution that is computed."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from deepconv.arrays import Array
from deepconv.engine.problem import Problem


def asked() -> bool:
    """Tell whether the environment asks for the lines; read once, when the engine is loaded."""
    return os.environ.get("DEEPCONV_VERBOSE", "0") not in ("", "0")


def told(problem: Problem, algorithm: str, compute: Callable[..., Array], operands: tuple[Any, ...]) -> Array:
    """Compute, and say what, how and how long: `forward winograd float32 2x64x56x56 64x64x3x3 … 1.93 ms`.

    The time is that of the call on the clock, the first call's compilation included.
    """
    start = time.perf_counter()
    result = compute(*operands)
    spent = (time.perf_counter() - start) * 1e3
    window = problem.window
    words = [
        "deepconv:",
        problem.which,
        algorithm,
        str(problem.dtype),
        "x".join(map(str, problem.x_shape)),
        "x".join(map(str, problem.weight_shape)),
        f"stride={window.stride}",
        f"padding={window.padding}",
        f"dilation={window.dilation}",
        f"groups={problem.groups}",
        f"threads={problem.threads}",
        f"{spent:.3f} ms",
        f"{problem.flops / max(spent, 1e-6) / 1e6:.1f} GFLOP/s",
    ]
    sys.stderr.write(" ".join(words) + "\n")
    return result
