"""Which way a picture is filtered: each says what it would cost, and the cheapest is taken."""

from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import settings
from deepconv.engine.pictures import direct, fourier, separable, taps
from deepconv.engine.pictures.problem import Kernel, PlaneProblem

TABLE: dict[str, ModuleType] = {"direct": direct, "separable": separable, "fourier": fourier, "taps": taps}
"""Of those that don't refuse the cheapest is taken, of equals the first; the last refuses nothing."""


@dataclass(frozen=True)
class PlanePlan:
    """How a picture will be filtered, and why so; `str()` is the whole of it for people.

    Attributes:
        problem: what is computed.
        algorithm: what computes it.
        not_chosen: for every other algorithm, why not.
        workspace_bytes: what it takes beside picture, kernel and result.
        nanoseconds: what its formula says it takes on one thread.
    """

    problem: PlaneProblem
    algorithm: str
    not_chosen: dict[str, str]
    workspace_bytes: int
    nanoseconds: float

    def __str__(self) -> str:
        """Return all of it as lines of text."""
        problem = self.problem
        shape = f"{problem.height} x {problem.width} x {problem.channels} {problem.dtype}"
        kernel = f"{problem.kernel[0]} x {problem.kernel[1]}, {problem.cells} of its cells not zero"
        lines = [f"picture     {shape}, border {problem.border}", f"kernel      {kernel}"]
        if problem.sides is not None:
            lines.append(f"            an outer product of {problem.sides[0]} and {problem.sides[1]} numbers")
        lines.append(f"algorithm   {self.algorithm} (workspace {self.workspace_bytes:,} bytes)")
        return "\n".join(
            [*lines, *(f"            not {name}: {why}" for name, why in self.not_chosen.items())]
        )


def completed(problem: PlaneProblem, kernel: Kernel) -> PlaneProblem:
    """Return a problem with what its kernel's numbers say, and what may be used of the machine."""
    sides = None
    if kernel.factors is not None:
        down, across = kernel.factors
        sides = (int(np.count_nonzero(down)), int(np.count_nonzero(across)))
    return replace(
        problem, cells=kernel.cells, sides=sides, finite=kernel.finite,
        threads=settings.get_threads(), workspace_limit=settings.get_workspace_limit(),
    )  # fmt: skip


@lru_cache(maxsize=1024)
def choose(problem: PlaneProblem, algorithm: str = "auto") -> PlanePlan:
    """Return how a completed problem is computed: by the cheapest that doesn't refuse, or the named one.

    Raises:
        ValueError: no algorithm has that name, or the named one refuses; the message says why.
    """
    if algorithm != "auto" and algorithm not in TABLE:
        known = ", ".join(map(repr, TABLE))
        raise ValueError(f"correlate_planes: algorithm={algorithm!r} is not known; use 'auto', {known}")
    reasons = {name: why for name, file in TABLE.items() if (why := file.refuses(problem)) is not None}
    costs: dict[str, float] = {
        name: file.cost(problem) for name, file in TABLE.items() if name not in reasons
    }
    if algorithm in reasons:
        raise ValueError(
            f"correlate_planes: algorithm={algorithm!r} can't filter a picture of {problem.height} x {problem.width} "
            f"x {problem.channels} by a kernel of {problem.kernel}: {reasons[algorithm]}; use 'auto'"
        )
    best = algorithm if algorithm != "auto" else min(costs, key=costs.__getitem__)
    for name, cost in costs.items():
        reasons[name] = f"by its formula it takes {cost / 1e3:,.0f} µs, {best} {costs[best] / 1e3:,.0f}"
    others = {name: reasons[name] for name in TABLE if name != best}
    return PlanePlan(problem, best, others, TABLE[best].workspace(problem), costs[best])


def correlate(plan: PlanePlan, image: Array, kernel: Kernel, constant: float, out: Array) -> None:
    """Write to `out` the sums of products of a kernel and what lies beneath it.

    Args:
        plan: how.
        image: `(H, W, C)`, of the problem's type, any strides.
        kernel: that of the plan, of the same type.
        constant: what lies beyond the picture where the border says so.
        out: `(H', W', C)`, any strides; shares no memory with the others.
    """
    run: Any = TABLE[plan.algorithm].correlate
    run(plan.problem, image, kernel, constant, out)
