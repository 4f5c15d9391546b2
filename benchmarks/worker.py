"""One peer in a process of its own: it reads requests from standard input and answers with what it measured.

`python -m benchmarks.worker SUBJECT PEER MEASURE`. A request is a line of JSON that the subject's peers
understand; the answer is a line of JSON, null where the peer has no such thing.
"""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.measures import MEASURES, Call, Measure

Builder = Callable[[dict[str, Any]], Call | None]
"""Makes a call without arguments of a request."""

SUBJECTS = {
    "estimators": "benchmarks.estimator_peers",
    "layers": "benchmarks.peers",
    "operators": "benchmarks.operator_peers",
    "pictures": "benchmarks.picture_peers",
    "studio": "benchmarks.studio_peers",
    "training": "benchmarks.training_peers",
}
"""The module of each subject; its `PEERS` has a builder for every peer."""


def builder(subject: str, peer: str) -> Builder:
    """Return what makes a peer's calls."""
    peers: dict[str, Builder] = importlib.import_module(SUBJECTS[subject]).PEERS
    return peers[peer]


def main() -> None:
    """Answer requests for the peer named on the command line until the input ends."""
    subject, peer, measure = sys.argv[1:]
    build, last, current = builder(subject, peer), None, None
    for line in sys.stdin:
        if line != last:
            current = None  # let go before the next one takes memory
            call = build(json.loads(line))
            last, current = line, MEASURES[measure](call) if call is not None else None
        print(json.dumps(_answer(current)), flush=True)


def _answer(current: Measure | None) -> dict[str, Any] | None:
    return None if current is None else current.answer()


if __name__ == "__main__":
    main()
