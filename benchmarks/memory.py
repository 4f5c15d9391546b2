"""How much memory our passes take beside operands and result: `python -m benchmarks.layers --memory`.

Every row has a process of its own, whose peak resident memory is held against the workspace that `explain`
prints for it and against the limit.
"""

from collections.abc import Sequence

from benchmarks.cases import PASSES, Layer
from benchmarks.peers import request
from benchmarks.processes import OURS, Worker, tell
from benchmarks.tables import LOST, table

_SLACK = 2 * 2**20  # bytes that pages, stacks and small objects may take beside the arrays
# Freed arrays go back to the system at once, so that what is resident is what is in use.
_ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}

_HEAD = """## Peak memory

Written by `python -m benchmarks.layers --memory`: how far one call, one thread, raises the resident memory of
a process, its operands and its result left out, and the workspace that `explain` prints for it; marked
where it is more than that and {slack} MB. The limit is {limit} MB.

"""


def view_memory(layers: Sequence[Layer]) -> str:
    """Measure every pass of the layers, and return this part of the page."""
    import deepconv as dc

    rows: list[list[str]] = []
    limit = 0
    for layer in layers:
        told = dc.explain(
            layer.x_shape, layer.weight_shape, stride=layer.stride, padding=layer.padding,
            dilation=layer.dilation, groups=layer.groups,
        )  # fmt: skip
        limit = told.workspace_limit
        for which, report in zip(PASSES, told.passes, strict=True):
            worker = Worker("layers", OURS, "memory", environment=_ALLOCATION)
            answer = worker.ask(request(layer, which))
            worker.close()
            rows.append(
                [layer.name, which, report.algorithm, *cells(answer["extra"], report.workspace_bytes)]
            )
            tell("  ".join(rows[-1]))
    head = ["layer", "pass", "algorithm", "peak MB", "workspace MB"]
    return _HEAD.format(slack=_SLACK >> 20, limit=limit >> 20) + table(head, rows, left=3)


def cells(extra: int, workspace: int) -> list[str]:
    """Return measured and told megabytes, marked where more was taken than told."""
    mark = LOST if extra > workspace + _SLACK else ""
    return [f"{extra / 2**20:.1f}{mark}", f"{workspace / 2**20:.1f}"]
