"""Which algorithm computes a problem: for each pass an ordered table, of which the cheapest is taken.

Each algorithm says what a problem would cost it, by constants that are shipped (`rates.py`), so that the
same problem on the same kind of machine always gets the same algorithm. The last refuses nothing.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from types import ModuleType
from typing import NamedTuple

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import verbose
from deepconv.engine.algorithms import (
    depthwise,
    depthwise_numpy,
    direct,
    fourier,
    grouped,
    matmul,
    pointwise,
    taps,
    winograd,
)
from deepconv.engine.problem import PASSES, Pass, Problem


class Algorithm(NamedTuple):
    """One way to compute, as its file in `engine/algorithms` gives it.

    Attributes:
        name: what `algorithm=` and `explain` call it.
        refuses: says why it can't compute a problem, or None.
        workspace: the bytes it would take beside operands and result.
        cost: the nanoseconds it would take on one thread, as far as a formula can tell.
        folds_relu: whether its forward writes the zeros of a ReLU itself.
        prepare: the weight as this algorithm wants it (forward and input gradient).
        passes: what computes each pass it has.
    """

    name: str
    refuses: Callable[[Problem], str | None]
    workspace: Callable[[Problem], int]
    cost: Callable[[Problem], float]
    folds_relu: bool
    prepare: Callable[[Problem, Array], Array]
    passes: dict[Pass, Callable[..., Array]]


@cache
def _from_file(file: ModuleType) -> Algorithm:
    """Return the algorithm that a file of `engine/algorithms` describes, under the file's name."""
    name = file.__name__.rpartition(".")[2]
    passes = {which: getattr(file, which) for which in PASSES if hasattr(file, which)}
    folds = getattr(file, "FOLDS_RELU", False)
    return Algorithm(name, file.refuses, file.workspace, file.cost, folds, file.prepare, passes)


def _in_order(*files: ModuleType) -> tuple[Algorithm, ...]:
    """Return the files' algorithms, in the order in which they are asked."""
    return tuple(map(_from_file, files))


_VERBOSE = verbose.asked()
_MOST = 2**38
"""Bytes of operands beyond which only the plainest algorithm is asked: others would plan for every tile first."""

TABLE: dict[Pass, tuple[Algorithm, ...]] = {
    "forward": _in_order(pointwise, depthwise, grouped, winograd, direct, fourier, matmul, taps),
    "input_grad": _in_order(
        pointwise, depthwise, grouped, depthwise_numpy, winograd, direct, fourier, matmul, taps
    ),
    "weight_grad": _in_order(pointwise, depthwise, grouped, winograd, direct, matmul, taps),
}
"""For each pass its algorithms. Of those that don't refuse the cheapest is taken, of equals the first."""


class Plan(NamedTuple):
    """How one problem will be computed, and why so.

    Attributes:
        problem: what is computed.
        algorithm: what computes it.
        refusals: the name and the reason of every algorithm that was passed over.
        workspace: bytes beside operands and result.
        cost: nanoseconds on one thread, as the formula has it.
    """

    problem: Problem
    algorithm: Algorithm
    refusals: tuple[tuple[str, str], ...]
    workspace: int
    cost: float

    def prepare(self, weight: Array) -> Array:
        """Return the weight as `run` wants it; it may be kept for as long as the weight stays the same."""
        return self.algorithm.prepare(self.problem, weight)

    def run(self, *operands: Array | None) -> Array:
        """Compute: `(x, prepared weight, bias or None)`, `(dy, prepared weight)` or `(dy, x)` by the pass."""
        if _VERBOSE:
            return verbose.told(self.problem, self.algorithm.name, self._compute, operands)
        return self._compute(*operands)

    def _compute(self, *operands: Array | None) -> Array:
        """Compute, without a word about it."""
        result = self.algorithm.passes[self.problem.which](self.problem, *operands)
        if self.problem.relu and not self.algorithm.folds_relu:
            np.maximum(result, 0, out=result)
        return result


@lru_cache(maxsize=4096)
def choose(problem: Problem, algorithm: str = "auto") -> Plan:
    """Return the plan for a problem: the cheapest algorithm of its table that doesn't refuse, or the named one.

    It depends on nothing but its arguments, so plans are kept: a small convolution costs less than
    the thought about it.

    Args:
        problem: what is to be computed.
        algorithm: `"auto"`, or a name from the table.

    Raises:
        ValueError: no algorithm has that name, or the named one refuses; the message says why.

    Example:
        >>> import numpy as np
        >>> from deepconv.geometry import window
        >>> w = window("conv", (8, 8), 3)
        >>> problem = Problem("forward", 1, 2, 4, (8, 8), w, 1, np.dtype("f4"))
        >>> choose(problem, "matmul").algorithm.name, dict(choose(problem).refusals)["pointwise"]
        ('matmul', 'the kernel has 9 cells, not one')
    """
    table = TABLE[problem.which]
    if algorithm != "auto":
        return _named(problem, algorithm, table)
    refusals: dict[str, str] = {}
    costs: dict[str, float] = {}
    for candidate in table:
        why = _refusal(candidate, problem, table)
        if why is None:
            costs[candidate.name] = candidate.cost(problem)
        else:
            refusals[candidate.name] = why
    best = min(costs, key=costs.__getitem__)  # the last of each table refuses nothing
    reasons = {
        name: f"by its formula it takes {cost / 1e3:,.0f} µs, {best} {costs[best] / 1e3:,.0f}"
        for name, cost in costs.items()
        if name != best
    }
    (chosen,) = (a for a in table if a.name == best)
    others = {**refusals, **reasons}
    told = tuple((a.name, others[a.name]) for a in table if a.name != best)
    return Plan(problem, chosen, told, chosen.workspace(problem), costs[best])


def _refusal(candidate: Algorithm, problem: Problem, table: tuple[Algorithm, ...]) -> str | None:
    """Say why an algorithm can't compute a problem, or None: of huge problems only the plainest is asked.

    Few machines hold a quarter of a terabyte. On others it fails at once, where others would plan for every tile.
    """
    if problem.operand_bytes > _MOST and candidate is not table[-1]:
        return f"its operands alone take {problem.operand_bytes:,} bytes"
    return candidate.refuses(problem)


_CALLED: dict[Pass, str] = {
    "forward": "conv",
    "input_grad": "conv_input_grad",
    "weight_grad": "conv_weight_grad",
}
"""What a person calls for each pass, and is told by errors."""


def _named(problem: Problem, name: str, table: tuple[Algorithm, ...]) -> Plan:
    """Return the plan with the algorithm of that name, or raise."""
    for candidate in table:
        if candidate.name == name:
            why = _refusal(candidate, problem, table)
            if why is not None:
                raise ValueError(
                    f"{_CALLED[problem.which]}: algorithm={name!r} can't compute this {problem.which} (x has shape "
                    f"{problem.x_shape}, weight {problem.weight_shape}): {why}; use 'auto'"
                )
            return Plan(problem, candidate, (), candidate.workspace(problem), candidate.cost(problem))
    known = ", ".join(repr(a.name) for a in table)
    raise ValueError(
        f"{_CALLED[problem.which]}: algorithm={name!r} is not known for {problem.which}; use 'auto', {known}"
    )
