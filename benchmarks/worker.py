"""One peer in a process of its own: it reads requests from standard input and answers with CPU seconds.

A request is a line of JSON, `{"layer": {...}, "which": "forward"}`; the answer is the median CPU time
of one call, or null where the peer has no such pass.
"""

import json
import os
import sys
import time
from dataclasses import asdict

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

from benchmarks.cases import Layer
from benchmarks.peers import PEERS, Call

_AT_LEAST = 0.06  # CPU seconds of calls that one answer rests on
_CALLS = (3, 200)


def median_cpu_seconds(call: Call) -> float:
    """Return the median CPU time of a call, once it has been called before."""
    call()
    times: list[float] = []
    while len(times) < _CALLS[0] or (sum(times) < _AT_LEAST and len(times) < _CALLS[1]):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return sorted(times)[len(times) // 2]


def request(layer: Layer, which: str) -> str:
    """Return the line that asks for a layer and a pass."""
    return json.dumps({"layer": asdict(layer), "which": which})


def main() -> None:
    """Answer requests for the peer named on the command line until the input ends."""
    peer = PEERS[sys.argv[1]]
    for line in sys.stdin:
        asked = json.loads(line)
        call = peer(Layer(**asked["layer"]), asked["which"])
        print(json.dumps(None if call is None else median_cpu_seconds(call)), flush=True)


if __name__ == "__main__":
    main()
