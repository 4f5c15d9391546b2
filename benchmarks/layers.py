"""Measure convolution layers against the peers: `python -m benchmarks.layers`.

Each peer runs in a process of its own, one thread; what is compared is CPU time. Every row is asked of
every peer in turn, five times over, and the medians are divided: above 1 is faster than the peer. A
class's figure is the geometric mean of its rows, a score that of the classes.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from benchmarks.cases import PASSES, Layer, read_layers
from benchmarks.peers import PEERS
from benchmarks.worker import request

Times = dict[tuple[str, str], dict[str, float]]
"""CPU seconds by (layer, pass) and peer."""

_TITLES = {
    "forward": "Forward",
    "input_grad": "Gradient of the input",
    "weight_grad": "Gradient of the weights and bias",
}


class Worker:
    """A peer's process."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        command = [sys.executable, "-m", "benchmarks.worker", peer]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.asks, self.answers = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)

    def seconds(self, layer: Layer, which: str) -> float | None:
        """Return the CPU time of one call, or None where the peer has no such pass."""
        print(request(layer, which), file=self.asks, flush=True)
        answer = self.answers.readline()
        if not answer:
            raise RuntimeError(f"{self.peer}: its process ended at {layer.name}, {which}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self.asks.close()
        self.process.wait()
        self.answers.close()


def measure(layers: Sequence[Layer], peers: Sequence[str], runs: int) -> Times:
    """Return the median CPU seconds of every layer and pass by every peer."""
    workers = [Worker(peer) for peer in peers]
    times: Times = {}
    for layer in layers:
        for which in PASSES:
            found: dict[str, list[float]] = {}
            for _ in range(runs):
                for worker in workers:
                    seconds = worker.seconds(layer, which)
                    if seconds is not None:
                        found.setdefault(worker.peer, []).append(seconds)
            times[layer.name, which] = {peer: statistics.median(all_) for peer, all_ in found.items()}
            print(
                f"{layer.name:<28}{which:<13}{_line(times[layer.name, which])}", file=sys.stderr, flush=True
            )
    for worker in workers:
        worker.close()
    return times


def _line(seconds: dict[str, float]) -> str:
    """Return one row's times and the ratio to each peer, for the progress on the terminal."""
    ours = seconds["deepconv"]
    others = (f"{peer} {s / ours:.2f}x" for peer, s in seconds.items() if peer != "deepconv")
    return f"{ours * 1e3:8.2f} ms  " + "  ".join(others)


def ratio(seconds: dict[str, float], peer: str) -> float | None:
    """Return a peer's time divided by ours, that of the best peer for "best"; None where there is none."""
    others = {name: s for name, s in seconds.items() if name != "deepconv"}
    if peer == "best":
        return min(others.values()) / seconds["deepconv"] if others else None
    return others[peer] / seconds["deepconv"] if peer in others else None


def score(layers: Sequence[Layer], times: Times, which: str, peer: str) -> float | None:
    """Return the geometric mean over the classes of the geometric means of their rows."""
    classes = class_means(layers, times, which, peer)
    return statistics.geometric_mean(classes.values()) if classes else None


def class_means(layers: Sequence[Layer], times: Times, which: str, peer: str) -> dict[str, float]:
    """Return each class's geometric mean of the ratios to a peer."""
    rows: dict[str, list[float]] = {}
    for layer in layers:
        value = ratio(times[layer.name, which], peer)
        if value is not None and layer.counts(which):
            rows.setdefault(layer.kind, []).append(value)
    return {kind: statistics.geometric_mean(values) for kind, values in rows.items()}


def markdown(layers: Sequence[Layer], times: Times) -> str:
    """Return the tables of all passes: rows, class means and scores; losing rows carry a mark."""
    peers = [p for p in PEERS if p != "deepconv" and any(p in t for t in times.values())]
    parts = [_scores(layers, times, peers)]
    for which in PASSES:
        shown = [p for p in peers if any(p in times[layer.name, which] for layer in layers)]
        lines = [
            f"## {_TITLES[which]}",
            "",
            "| layer | ms | GFLOP/s | " + " | ".join(shown) + " | best peer |",
        ]
        lines.append("| --- | ---: | ---: |" + " ---: |" * (len(shown) + 1))
        for layer in layers:
            seconds = times[layer.name, which]
            values = [ratio(seconds, peer) for peer in [*shown, "best"]]
            name = layer.name if layer.counts(which) else f"{layer.name} (not scored)"
            rate = layer.flops / seconds["deepconv"] / 1e9
            lines.append(f"| {name} | {seconds['deepconv'] * 1e3:.2f} | {rate:.0f} | {_cells(values)} |")
        for kind in dict.fromkeys(layer.kind for layer in layers):
            means = [class_means(layers, times, which, peer).get(kind) for peer in [*shown, "best"]]
            if any(m is not None for m in means):
                lines.append(f"| **{kind}** | | | {_cells(means)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _scores(layers: Sequence[Layer], times: Times, peers: Sequence[str]) -> str:
    """Return the table of scores."""
    lines = ["| | " + " | ".join(peers) + " | best peer |", "| --- |" + " ---: |" * (len(peers) + 1)]
    for which in PASSES:
        values = [score(layers, times, which, peer) for peer in [*peers, "best"]]
        lines.append(f"| {_TITLES[which]} | {_cells(values)} |")
    return "\n".join(lines)


def _cells(values: Sequence[float | None]) -> str:
    """Return ratios as cells; what is slower than the peer is marked."""
    return " | ".join("" if v is None else f"{v:.2f}" + (" ✗" if v < 1 else "") for v in values)


_HEAD = """# Layers, measured

Written by `python -m benchmarks.layers`: {runs} interleaved runs, one thread, CPU time, each peer in a
process of its own. A figure is the peer's time divided by ours: above 1 we are faster, and ✗ marks where we
are not. GFLOP/s count the definition's operations, whatever was computed. {versions}.

"""


def versions(peers: Sequence[str]) -> str:
    """Return which releases were measured."""
    from importlib.metadata import version

    names = dict.fromkeys("torch" if p.startswith("torch") else p for p in ["deepconv", "numpy", *peers])
    return ", ".join(f"{name} {version(name)}" for name in names)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write `docs/benchmarks.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="interleaved runs (5)")
    parser.add_argument("--only", default="", help="layers whose name or class contains this")
    parser.add_argument(
        "--out", type=Path, default=None, help="where to write; docs/benchmarks.md if all ran"
    )
    chosen = parser.parse_args(arguments)
    layers = [layer for layer in read_layers() if chosen.only in layer.name or chosen.only in layer.kind]
    if not layers or chosen.runs < 1:
        parser.error(f"nothing to measure: --only {chosen.only!r} names no layer, or --runs is under 1")
    modules = {peer: "torch" if peer.startswith("torch") else peer for peer in PEERS}
    peers = [peer for peer, module in modules.items() if importlib.util.find_spec(module)]
    missing = sorted({modules[p] for p in PEERS} - {modules[p] for p in peers})
    if missing:
        print(
            f'not installed, so not measured: {", ".join(missing)}; pip install -e ".[bench]"',
            file=sys.stderr,
        )
    times = measure(layers, peers, chosen.runs)
    text = _HEAD.format(runs=chosen.runs, versions=versions(peers)) + markdown(layers, times)
    out = chosen.out or (Path(__file__).parents[1] / "docs" / "benchmarks.md" if not chosen.only else None)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
