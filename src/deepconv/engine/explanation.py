"""What a convolution costs and how it will be computed, for people and for programs."""

from dataclasses import asdict, dataclass
from typing import Any

from deepconv.engine.choice import TABLE, Plan


@dataclass(frozen=True)
class PassReport:
    """How one pass would be computed.

    Attributes:
        which: forward, input_grad or weight_grad.
        algorithm: the one chosen.
        workspace_bytes: what it takes beside operands and result.
        not_chosen: for every other algorithm, why not.
    """

    which: str
    algorithm: str
    workspace_bytes: int
    not_chosen: dict[str, str]


@dataclass(frozen=True)
class Explanation:
    """The cost of a convolution and the algorithm of each pass; `str()` is the whole of it for people.

    Attributes:
        x_shape: input.
        weight_shape: weight.
        output_shape: output.
        formula: the size formula with its numbers, each axis.
        padding: the (before, after) pairs that the arguments came to.
        dtype: what is computed in.
        parameters: numbers in the weight and the bias.
        flops: multiplications and additions of one forward pass by the definition.
        operand_bytes: input, weight, bias and output.
        flops_per_byte: the two divided; where it is small, memory is the limit and not arithmetic.
        threads: how many may be used.
        workspace_limit: bytes, as `set_workspace_limit` has it.
        passes: forward, gradient of the input, gradient of the weight.
    """

    x_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    formula: str
    padding: tuple[tuple[int, int], ...]
    dtype: str
    parameters: int
    flops: int
    operand_bytes: int
    flops_per_byte: float
    threads: int
    workspace_limit: int
    passes: tuple[PassReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Return all of it as lines of text."""
        lines = [
            f"input       {_shape(self.x_shape)} {self.dtype}",
            f"weight      {_shape(self.weight_shape)}",
            f"output      {_shape(self.output_shape)}",
            "            each axis floor((size + before + after - dilation*(kernel - 1) - 1) / stride) + 1:",
            f"            {self.formula}",
            f"parameters  {self.parameters:,}",
            f"FLOPs       {self.flops:,} forward, by the definition; each gradient as many",
            f"bytes       {self.operand_bytes:,} read and written at least: {self.flops_per_byte:.1f} FLOPs each",
            f"threads     {self.threads}; workspace limit {self.workspace_limit:,} bytes",
        ]
        for report in self.passes:
            lines.append(f"{report.which:<12}{report.algorithm} (workspace {report.workspace_bytes:,} bytes)")
            lines += [f"            not {name}: {why}" for name, why in report.not_chosen.items()]
        return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    """Return a shape as people write it."""
    return " x ".join(map(str, shape))


def report(plan: Plan) -> PassReport:
    """Return how a pass would be computed, with a word about every algorithm of its table."""
    reasons = dict(plan.refusals)
    others = {a.name: reasons[a.name] for a in TABLE[plan.problem.which] if a.name != plan.algorithm.name}
    return PassReport(plan.problem.which, plan.algorithm.name, plan.workspace, others)


def explanation(plans: tuple[Plan, ...], *, batched: bool = True) -> Explanation:
    """Return the explanation of a convolution from the plans of its passes, the forward first.

    One image without a batch axis is told without it.
    """
    problem = plans[0].problem
    return Explanation(
        x_shape=problem.x_shape if batched else problem.x_shape[1:],
        weight_shape=problem.weight_shape,
        output_shape=problem.y_shape if batched else problem.y_shape[1:],
        formula=problem.window.formula(problem.image),
        padding=problem.window.padding,
        dtype=str(problem.dtype),
        parameters=problem.parameters,
        flops=problem.flops,
        operand_bytes=problem.operand_bytes,
        flops_per_byte=problem.flops / max(1, problem.operand_bytes),
        threads=problem.threads,
        workspace_limit=problem.workspace_limit,
        passes=tuple(report(plan) for plan in plans),
    )
