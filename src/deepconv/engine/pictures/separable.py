"""A kernel that is an outer product: down the columns, then across, some columns of four rows at a time."""

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.pictures import rows
from deepconv.engine.pictures.problem import Kernel, PlaneProblem
from deepconv.engine.rates import rates, width


def refuses(problem: PlaneProblem) -> str | None:
    """Say why this can't compute a problem, or None."""
    why = machine.why_not_compiled()
    if why is None and problem.sides is None:
        return "the kernel is not an outer product of two lines"
    if why is None and min(problem.kernel) == 1:
        return "the kernel is one line already"
    if why is None and workspace(problem) > problem.workspace_limit:
        return f"it needs {workspace(problem):,} bytes and the workspace limit is {problem.workspace_limit:,}"
    return why


def workspace(problem: PlaneProblem) -> int:
    """Return the bytes of all threads' scratch memory."""
    return rows.workspace(problem, two=True)


def cost(problem: PlaneProblem) -> float:
    """Return nanoseconds on one thread."""
    down, across = problem.sides or problem.kernel
    sums = rows.sums(problem.kernel[0], 1, down) + rows.APART * across
    between = 2 * problem.dtype.itemsize / 4 / rates().copy
    return rates().call + problem.numbers * width(problem.dtype) * (
        rows.MEMORY / rates().copy + between + 2 * sums / rates().tile
    )


def correlate(problem: PlaneProblem, image: Array, kernel: Kernel, constant: float, out: Array) -> None:
    """Write the sums of products to `out`; see `choice.correlate`."""
    rows.correlate(problem, image, kernel, constant, out, two=True)
