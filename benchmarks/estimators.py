"""Measure the estimators against scikit-learn's own: `python -m benchmarks.estimators`.

CPU time of a fit and held-out accuracy on scikit-learn's digits, by default settings, a process for each,
one thread. A run is a seed: it draws the parts and the first weights.
"""

import importlib.metadata
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.estimator_peers import PEERS
from benchmarks.processes import ALLOCATORS, OURS, Worker, tell, versions
from benchmarks.tables import LOST, arguments, publish, table

NAMES = {
    OURS: "`dc.ConvClassifier(image_shape=(8, 8))`",
    "mlp": "`MLPClassifier()`",
    "scaled mlp": "`StandardScaler()`, `MLPClassifier()`",
    "svc": "`SVC()`",
}

Answers = Sequence[Mapping[str, float]]


def measure(peer: str, runs: int, allocator: str) -> Answers:
    """Return what a peer tells of each seed."""
    worker = Worker("estimators", peer, "told", environment=ALLOCATORS[allocator])
    try:
        return [worker.ask({"seed": seed}) for seed in range(runs)]
    finally:
        worker.close()


def row(peer: str, found: Mapping[str, Answers]) -> list[str]:
    """Return a peer's line; what is better than ours is marked."""
    ours = _middle(found[OURS])
    fit, predict, accuracy = own = _middle(found[peer])
    least = min(answer["accuracy"] for answer in found[peer])
    marks = [
        LOST if own[0] < ours[0] else "",
        LOST if own[1] < ours[1] else "",
        LOST if own[2] > ours[2] else "",
    ]
    cells = [
        f"{accuracy:.2%}{marks[2]}",
        f"{least:.2%}",
        f"{fit:.2f}{marks[0]}",
        f"{predict * 1e3:.1f}{marks[1]}",
    ]
    tell("  ".join([peer, *cells]))
    return [NAMES[peer], *cells]


def _middle(answers: Answers) -> tuple[float, float, float]:
    fit, predict = (statistics.median(answer[name] for answer in answers) for name in ("fit", "predict"))
    return fit, predict, statistics.mean(answer["accuracy"] for answer in answers)


_HEAD = """## Estimators

Written by `python -m benchmarks.estimators`, {runs} seeds: scikit-learn's 1,797 digits, a stratified quarter held
out, all settings at their defaults, one thread. Accuracy is the mean over the seeds and the worst of them; times are
CPU time, medians, of a fit and of predicting the 450 held out; ✗ marks what is better than ours. {versions},
scikit-learn {sklearn}.

"""


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    chosen = arguments("estimators", __doc__).parse_args(words)
    peers = [OURS, *(peer for peer in PEERS if peer != OURS and chosen.only in peer)]
    found = {peer: measure(peer, chosen.runs, chosen.allocator) for peer in peers}
    head = ["", "accuracy", "worst", "fit s", "predict ms"]
    text = _HEAD.format(
        runs=chosen.runs, versions=versions([]), sklearn=importlib.metadata.version("scikit-learn")
    ) + table(head, [row(peer, found) for peer in peers])
    publish(chosen, "estimators", text)


if __name__ == "__main__":
    main()
