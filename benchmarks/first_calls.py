"""What first calls cost in a new process: `python -m benchmarks.first_calls CASE`, run by `benchmarks.startup`.

It prints JSON: CPU seconds of the case's calls for the first time and for the second, and whether Numba was
imported. What lies between the two is compiling, or loading what was compiled before.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.cases import PASSES, Layer, read_layers
from benchmarks.measures import Call

Builder = Callable[[], Call]
"""Makes a call with its operands, which are not timed."""


def body() -> Layer:
    """Return the 3×3 layer."""
    return next(layer for layer in read_layers() if layer.name == "body_3x3_64_56px")


def one_call() -> list[Builder]:
    """Return a forward pass of a 3×3 layer."""
    from benchmarks.peers import deepconv

    return [partial(deepconv, body(), "forward")]


def three_passes() -> list[Builder]:
    """Return all passes of a 3×3 layer."""
    from benchmarks.peers import deepconv

    return [partial(deepconv, body(), which) for which in PASSES]


def training_step() -> list[Builder]:
    """Return a training step of resnet20."""
    from benchmarks import training_peers

    def build() -> Call:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "parameters.npz")
            training_peers.write_parameters("resnet20", path)
            return training_peers.deepconv(training_peers.request("resnet20", path))

    return [build]


def all_layers() -> list[Builder]:
    """Return all passes of every layer of `layers.csv`."""
    from benchmarks.peers import deepconv

    return [partial(deepconv, layer, which) for layer in read_layers() for which in PASSES]


CASES: dict[str, tuple[str, Callable[[], list[Builder]]]] = {
    "one": ("a forward pass of a 3×3 layer", one_call),
    "three": ("all passes of a 3×3 layer", three_passes),
    "step": ("a training step of resnet20", training_step),
    "layers": ("all passes of all 24 layers", all_layers),
}
"""Every case by name: what it is, and what makes its calls."""


def cpu_seconds() -> float:
    """Return the CPU time of this process, its threads and the children that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def seconds_of(builders: list[Builder]) -> float:
    """Return the CPU seconds of one call of each; operands are made one after the other, and let go."""
    total = 0.0
    for build in builders:
        call = build()
        start = cpu_seconds()
        call()
        total += cpu_seconds() - start
    return total


def main() -> None:
    """Make the calls of the case named on the command line, twice."""
    builders = CASES[sys.argv[1]][1]()
    first, second = seconds_of(builders), seconds_of(builders)
    print(json.dumps({"first": first, "second": second, "numba": "numba" in sys.modules}))


if __name__ == "__main__":
    main()
