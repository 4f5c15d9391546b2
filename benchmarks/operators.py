"""Measure the operators around convolution against PyTorch: `python -m benchmarks.operators`.

Activations, pooling, normalisation, the loss, optimizer updates and windows, forward and backward, on
shapes of real networks. The peers' results must be ours.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.operator_cases import CASES, UPDATES, Case
from benchmarks.operator_peers import PEERS
from benchmarks.processes import OURS, Row, installed, interleaved, tell, versions, workers
from benchmarks.tables import arguments, line, marked, publish, ratio, table

Found = list[tuple[Case, str, Row]]


def measure(cases: Sequence[Case], peers: Sequence[str], runs: int, allocator: str) -> Found:
    """Return what every peer takes for every case and pass."""
    found: Found = []
    with workers("operators", peers, allocator) as asked:
        for case in cases:
            for which in case.passes:
                row = interleaved(asked, with_shapes(case).request(which), runs)
                found.append((case, which, row))
                tell(line(f"{case.name} {which}", row))
    return found


def with_shapes(case: Case) -> Case:
    """Return an update's case with the shapes of its network's parameters, any other as it is."""
    if case.operator not in UPDATES:
        return case
    from benchmarks.network_cases import BATCHES
    from benchmarks.networks import NETWORKS

    model = NETWORKS[case.where]().initialize(BATCHES[case.where][1:], seed=0)
    shapes = [parameter.shape for parameter in model.parameters().values()]
    return replace(case, options={"shapes": shapes})


def markdown(found: Found, peers: Sequence[str]) -> str:
    """Return the rows and each operator's geometric mean; losing ones marked."""
    others = [peer for peer in peers if peer != OURS]
    rows = [_row(case, which, row, others) for case, which, row in found]
    for operator in dict.fromkeys(case.operator for case, _, _ in found):
        own = [row for case, _, row in found if case.operator == operator]
        rows.append([f"**{operator}**", "", "", "", "", *(_mean(own, peer) for peer in others)])
    return table(["operator", "of", "pass", "first ms", "ms", *others], rows, left=3)


def _mean(rows: Sequence[Row], peer: str) -> str:
    values = [value for row in rows if (value := ratio(row, peer)) is not None]
    return marked(statistics.geometric_mean(values) if values else None)


def _row(case: Case, which: str, row: Row, peers: Sequence[str]) -> list[str]:
    ours = row[OURS]
    times = [f"{ours.first * 1e3:.2f}", f"{ours.warm * 1e3:.4f}"]
    return [case.name, case.where, case.title(which), *times, *(marked(ratio(row, peer)) for peer in peers)]


_HEAD = """## Operators

Written by `python -m benchmarks.operators`, {runs} runs: float32, on shapes of real networks; both sides
returned the same. PyTorch's backward passes are its own kernels, called without autograd, and reuse what its
forward pass saved (outputs, indices, statistics). im2col and col2im are each other's backward pass; an update
changes all parameters of the network named. {versions}.

"""


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    chosen = arguments("operators", __doc__).parse_args(words)
    cases = [case for case in CASES if chosen.only in case.name]
    if not cases:
        raise SystemExit(f"nothing to measure: --only {chosen.only!r} names no operator")
    peers = installed(PEERS)
    found = measure(cases, peers, chosen.runs, chosen.allocator)
    text = _HEAD.format(runs=chosen.runs, versions=versions(peers)) + markdown(found, peers)
    publish(chosen, "operators", text)


if __name__ == "__main__":
    main()
