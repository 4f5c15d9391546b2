"""Measure convolution layers against the peers: `python -m benchmarks.layers`.

Each peer runs in a process of its own, one thread; what is compared is CPU time. Every row is asked of
every peer in turn, five times over, and the medians are divided: above 1 is faster than the peer. A
class's figure is the geometric mean of its rows, a score that of the classes.

`--threads 2` shows instead what a second thread does to our 3×3 bodies, and `--memory` how much memory each
of our passes takes beside its operands and its result.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence

from benchmarks import targets
from benchmarks.cases import PASSES, Layer, read_layers
from benchmarks.memory import view_memory
from benchmarks.peers import PEERS, request
from benchmarks.processes import OURS, Row, installed, interleaved, tell, versions, workers
from benchmarks.tables import arguments, line, marked, publish, ratio, table
from benchmarks.threads import view_threads

Rows = Mapping[tuple[str, str], Row]
"""What every peer took, by layer and pass."""

TITLES = {
    "forward": "Forward",
    "input_grad": "Gradient of the input",
    "weight_grad": "Gradient of the weights and bias",
}


def measure(layers: Sequence[Layer], peers: Sequence[str], runs: int, allocator: str) -> Rows:
    """Return what every peer takes for every layer and pass."""
    rows: dict[tuple[str, str], Row] = {}
    with workers("layers", peers, allocator) as asked:
        for layer in layers:
            for which in PASSES:
                row = rows[layer.name, which] = interleaved(asked, request(layer, which), runs)
                tell(line(f"{layer.name} {which}", row))
    return rows


def score(layers: Sequence[Layer], rows: Rows, which: str, peer: str) -> float | None:
    """Return the geometric mean over the classes of the geometric means of their rows."""
    classes = class_means(layers, rows, which, peer)
    return statistics.geometric_mean(classes.values()) if classes else None


def class_means(layers: Sequence[Layer], rows: Rows, which: str, peer: str) -> dict[str, float]:
    """Return each class's geometric mean of the ratios to a peer."""
    values: dict[str, list[float]] = {}
    for layer in layers:
        value = ratio(rows[layer.name, which], peer)
        if value is not None and layer.counts(which):
            values.setdefault(layer.kind, []).append(value)
    return {kind: statistics.geometric_mean(several) for kind, several in values.items()}


def held_against_targets(layers: Sequence[Layer], rows: Rows) -> list[targets.Result]:
    """Return the scores, the 3×3 bodies and the worst row of each pass beside what they must be."""
    found: list[targets.Result] = []
    for which in PASSES:
        for peer, name in targets.PEERS.items():
            value = score(layers, rows, which, peer)
            bodies = class_means(layers, rows, which, peer).get("body")
            title = f"{TITLES[which]}, against {name}"
            if value is not None:
                found.append(targets.Result(f"{title}: score", value, targets.SCORES[which][peer]))
            if bodies is not None:
                found.append(targets.Result(f"{title}: 3×3 bodies", bodies, targets.BODIES[peer]))
            worst = _worst(layers, rows, which, peer)
            if worst is not None:
                text = f"{title}: worst row, {worst[1]}"
                found.append(targets.Result(text, worst[0], targets.WORST[peer]))
    return found


def _worst(layers: Sequence[Layer], rows: Rows, which: str, peer: str) -> tuple[float, str] | None:
    values = ((ratio(rows[la.name, which], peer), la.name) for la in layers if la.counts(which))
    return min(((value, name) for value, name in values if value is not None), default=None)


def markdown(layers: Sequence[Layer], rows: Rows) -> str:
    """Return the tables: targets, scores, and each pass with its rows and class means; losing ones marked."""
    peers = _peers(rows)
    return (
        "\n\n".join([summary(layers, rows), *(_pass(layers, rows, which, peers) for which in PASSES)]) + "\n"
    )


def summary(layers: Sequence[Layer], rows: Rows) -> str:
    """Return the targets and the scores."""
    peers = _peers(rows)
    scores = [
        [TITLES[which], *(marked(score(layers, rows, which, peer)) for peer in [*peers, "best"])]
        for which in PASSES
    ]
    goals = targets.results(held_against_targets(layers, rows))
    return f"{goals}\n\n{table(['score', *peers, 'best peer'], scores)}"


def _peers(rows: Rows) -> list[str]:
    return [peer for peer in PEERS if peer != OURS and any(peer in row for row in rows.values())]


def _pass(layers: Sequence[Layer], rows: Rows, which: str, peers: Sequence[str]) -> str:
    """Return one pass's heading and table."""
    shown = [p for p in peers if any(p in rows[layer.name, which] for layer in layers)]
    head = ["layer", "first ms", "ms", "GFLOP/s", *shown, "best peer"]
    lines = [_row(layer, which, rows[layer.name, which], shown) for layer in layers]
    for kind in dict.fromkeys(layer.kind for layer in layers):
        means = [class_means(layers, rows, which, peer).get(kind) for peer in [*shown, "best"]]
        if any(mean is not None for mean in means):
            lines.append([f"**{kind}**", "", "", "", *map(marked, means)])
    return f"### {TITLES[which]}\n\n{table(head, lines)}"


def _row(layer: Layer, which: str, row: Row, shown: Sequence[str]) -> list[str]:
    ours = row[OURS]
    name = layer.name if layer.counts(which) else f"{layer.name} (not scored)"
    times = [f"{ours.first * 1e3:.1f}", f"{ours.warm * 1e3:.2f}", f"{layer.flops / ours.warm / 1e9:.0f}"]
    return [name, *times, *(marked(ratio(row, peer)) for peer in [*shown, "best"])]


_HEAD = """## Layers

Written by `python -m benchmarks.layers`, {runs} runs: 24 layers of real networks in eight classes, float32,
channels first, a bias in the forward pass. GFLOP/s count the definition's operations, whatever was computed.
"First" is the row's first call in its process, which compiles or loads what the process had not yet used. A
score is the geometric mean of the classes' geometric means. {versions}; allocation {allocator}.

"""

_PLAIN = """
### Scores where the system's own allocation is left as it is

Above, processes keep the memory they free, as a program with arrays of many sizes soon does. Here the same
calls were made without: a result may then lie in pages that the system has just cleared for it, which costs
as much as some of these layers, and whether it does depends on what was freed before. PyTorch on NCHW pays
most, as it also writes blocked copies.

"""


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = arguments("layers", __doc__)
    parser.add_argument(
        "--threads", type=int, choices=(1, 2), default=1, help="2: our 3×3 bodies on two threads"
    )
    parser.add_argument("--twice", action="store_true", help="add scores with the system's own allocation")
    parser.add_argument("--memory", action="store_true", help="our peak memory in place of times")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    chosen = _arguments(words)
    layers = [layer for layer in read_layers() if chosen.only in layer.name or chosen.only in layer.kind]
    if not layers:
        raise SystemExit(f"nothing to measure: --only {chosen.only!r} names no layer")
    if chosen.memory:
        publish(chosen, "memory", view_memory(layers))
    elif chosen.threads == 2:
        publish(chosen, "threads", view_threads([la for la in layers if la.kind == "body"], chosen.runs))
    else:
        publish(chosen, "layers", _report(layers, chosen))


def _report(layers: Sequence[Layer], chosen: argparse.Namespace) -> str:
    """Measure every peer, and return this command's part of the page."""
    peers = installed(PEERS)
    rows = measure(layers, peers, chosen.runs, chosen.allocator)
    head = _HEAD.format(runs=chosen.runs, versions=versions(peers), allocator=chosen.allocator)
    text = head + markdown(layers, rows)
    if chosen.twice:
        tell("once more, with the system's own allocation")
        text += _PLAIN + summary(layers, measure(layers, peers, chosen.runs, "plain")) + "\n"
    return text


if __name__ == "__main__":
    main()
