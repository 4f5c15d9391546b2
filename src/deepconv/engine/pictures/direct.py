"""Every cell of the kernel that is not zero, with sums in registers."""

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.pictures import rows
from deepconv.engine.pictures.problem import Kernel, PlaneProblem
from deepconv.engine.rates import rates, width


def refuses(problem: PlaneProblem) -> str | None:
    """Say why this can't compute a problem, or None."""
    why = machine.why_not_compiled()
    if why is None and workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return why


def workspace(problem: PlaneProblem) -> int:
    """Return the bytes of all threads' scratch memory."""
    return rows.workspace(problem, two=False)


def cost(problem: PlaneProblem) -> float:
    """Return nanoseconds on one thread."""
    return rates().call + problem.numbers * width(problem.dtype) * (
        rows.MEMORY / rates().copy + 2 * rows.sums(*problem.kernel, problem.cells) / rates().tile
    )


def correlate(problem: PlaneProblem, image: Array, kernel: Kernel, constant: float, out: Array) -> None:
    """Write the sums of products to `out`; see `choice.correlate`."""
    rows.correlate(problem, image, kernel, constant, out, two=False)
