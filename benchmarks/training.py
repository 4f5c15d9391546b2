"""Measure training steps against PyTorch: `python -m benchmarks.training`.

A step is forward, softmax cross-entropy, backward and an update by SGD with momentum and weight decay.
Every peer starts from the same parameters and sees the same batch, and its first losses must be ours
before anything is timed.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import targets
from benchmarks.network_cases import BATCHES
from benchmarks.processes import OURS, Row, check_same, installed, interleaved, tell, versions, workers
from benchmarks.tables import arguments, line, marked, publish, ratio, table
from benchmarks.training_peers import PEERS, request, write_parameters


@dataclass(frozen=True)
class Steps:
    """What was measured of one network.

    Attributes:
        parameters: how many numbers are trained, by every peer.
        losses: ours, of the first steps without dropout.
        row: what a step took each peer.
    """

    parameters: int
    losses: tuple[float, ...]
    row: Row


def measure(network: str, peers: Sequence[str], runs: int, allocator: str = "warm") -> Steps:
    """Return what a step of a network takes each peer; the processes are new, so a first step is cold."""
    with tempfile.TemporaryDirectory() as folder, workers("training", peers, allocator) as asked:
        path = str(Path(folder) / "parameters.npz")
        count = write_parameters(network, path)
        row = interleaved(asked, request(network, path), runs, same=False)
        checked = interleaved(asked, request(network, path, dropout=False), 1, same=False)
    check_same(checked, f"the losses of {network}'s first steps")
    tell(line(network, row))
    return Steps(count, checked[OURS].digests, row)


def markdown(found: Mapping[str, Steps]) -> str:
    """Return the targets and the table of all networks."""
    peers = [peer for peer in PEERS if peer != OURS and any(peer in steps.row for steps in found.values())]
    goals = [
        targets.Result(f"{name}, a step against PyTorch on NCHW", value, targets.STEP)
        for name, steps in found.items()
        if (value := ratio(steps.row, "torch")) is not None
    ]
    head = ["network", "batch", "parameters", "first step ms", "ms", *peers]
    head += [column for peer in peers for column in (f"{peer} first ms", f"{peer} ms")]
    return (
        targets.results(goals) + "\n\n" + table(head, (_row(n, s, peers) for n, s in found.items()), left=2)
    )


def _row(network: str, steps: Steps, peers: Sequence[str]) -> list[str]:
    ours = steps.row[OURS]
    shape = "×".join(map(str, BATCHES[network]))
    times = [time for peer in peers for time in (steps.row[peer].first, steps.row[peer].warm)]
    return [
        *(network, shape, f"{steps.parameters:,}", f"{ours.first * 1e3:.0f}", f"{ours.warm * 1e3:.2f}"),
        *(marked(ratio(steps.row, peer)) for peer in peers),
        *(f"{time * 1e3:.2f}" for time in times),
    ]


_HEAD = """## Training steps

Written by `python -m benchmarks.training`, {runs} runs: forward, softmax cross-entropy, backward, and SGD with
momentum 0.9 and weight decay 5e-4, float32, the same network in PyTorch's eager mode. Every peer starts from
the same parameters, and its losses of the first three steps were ours. {versions}.

"""


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    chosen = arguments("training", __doc__).parse_args(words)
    names = [name for name in BATCHES if chosen.only in name]
    if not names:
        raise SystemExit(f"nothing to measure: --only {chosen.only!r} names none of {', '.join(BATCHES)}")
    peers = installed(PEERS)
    found = {name: measure(name, peers, chosen.runs, chosen.allocator) for name in names}
    text = _HEAD.format(runs=chosen.runs, versions=versions(peers)) + markdown(found)
    publish(chosen, "training", text)


if __name__ == "__main__":
    main()
