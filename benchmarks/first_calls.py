"""What first calls cost in a new process: `python -m benchmarks.first_calls CASE`, run by `benchmarks.startup`.

It prints JSON: CPU seconds of the case's calls for the first time and for the second, and whether Numba was
imported. What lies between the two is compiling, or loading what was compiled before.
"""

import json
import resource
import sys
import time
from collections.abc import Callable

from benchmarks.cases import PASSES, read_layers
from benchmarks.measures import Call

BODY = "body_3x3_64_56px"


def one_call() -> list[Call]:
    """Return a forward pass of a 3×3 layer."""
    from benchmarks.peers import deepconv

    layers = {layer.name: layer for layer in read_layers()}
    return [deepconv(layers[BODY], "forward")]


def three_passes() -> list[Call]:
    """Return all passes of a 3×3 layer."""
    from benchmarks.peers import deepconv

    layers = {layer.name: layer for layer in read_layers()}
    return [deepconv(layers[BODY], which) for which in PASSES]


def training_step() -> list[Call]:
    """Return a training step of resnet20."""
    import tempfile
    from pathlib import Path

    from benchmarks import training_peers

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "parameters.npz")
        training_peers.write_parameters("resnet20", path)
        return [training_peers.deepconv(training_peers.request("resnet20", path))]


def all_layers() -> list[Call]:
    """Return all passes of every layer of `layers.csv`."""
    from benchmarks.peers import deepconv

    return [_once(deepconv, layer, which) for layer in read_layers() for which in PASSES]


def _once(build: Callable[..., Call], *arguments: object) -> Call:
    """Return a call that makes its operands only when it is called, so that memory holds one row's."""

    def call() -> object:
        return build(*arguments)()

    return call


CASES: dict[str, tuple[str, Callable[[], list[Call]]]] = {
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


def main() -> None:
    """Make the calls of the case named on the command line, twice."""
    calls = CASES[sys.argv[1]][1]()
    found: dict[str, float | bool] = {}
    for name in ("first", "second"):
        start = cpu_seconds()
        for call in calls:
            call()
        found[name] = cpu_seconds() - start
    print(json.dumps(found | {"numba": "numba" in sys.modules}))


if __name__ == "__main__":
    main()
