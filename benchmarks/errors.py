"""How exact every algorithm is: its error against float64 on unit-normal data, beside PyTorch's.

The error is the root mean square of the difference over that of the exact result. PyTorch computes in a
process of its own and leaves its results in files.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import peers
from benchmarks.cases import PASSES, Layer, read_layers
from benchmarks.processes import tell
from benchmarks.tables import arguments, publish, table

FOLD = {"direct": 2.0, "depthwise": 2.0, "grouped": 2.0, "winograd": 6.0}
"""How many times PyTorch's error an algorithm may have."""


def algorithms(layer: Layer, which: str) -> list[str]:
    """Return the compiled algorithms that compute a pass of a layer."""
    from deepconv.engine.choice import TABLE
    from deepconv.operators.cases import case_of, problem_of

    words = (layer.stride, layer.padding, layer.dilation, layer.groups, "zeros")
    case = case_of("errors", layer.x_shape, layer.weight_shape, *words)
    problem = problem_of(which, case, np.dtype(np.float32), exact=False)  # type: ignore[arg-type]
    return [a.name for a in TABLE[problem.which] if a.name in FOLD and a.refuses(problem) is None]


def ours(layer: Layer, which: str, dtype: str, algorithm: str) -> np.ndarray:
    """Return our result of a pass."""
    import deepconv as dc

    x, weight, bias, dy = (a.astype(dtype) for a in peers.arrays(layer))
    words = {
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
    }
    if which == "forward":
        return dc.conv(x, weight, bias, **words, algorithm=algorithm)  # type: ignore[arg-type]
    if which == "input_grad":
        return dc.conv_input_grad(dy, weight, x.shape, **words, algorithm=algorithm)  # type: ignore[arg-type]
    return dc.conv_weight_grad(dy, x, weight.shape, **words, algorithm=algorithm)  # type: ignore[arg-type]


def torchs(folder: Path, names: Sequence[str]) -> None:
    """Leave PyTorch's results in files, for another process to read."""
    for layer in read_layers():
        for which in PASSES if layer.name in names else ():
            result = peers.torch(layer, which)()
            wanted = result if which == "forward" else result[PASSES.index(which) - 1]
            np.save(folder / f"{layer.name}.{which}.npy", wanted.numpy())


def error(result: np.ndarray, exact: np.ndarray) -> float:
    """Return the root mean square of the difference over that of the exact result."""
    return float(np.sqrt(np.mean((result.astype(np.float64) - exact) ** 2) / np.mean(exact**2)))


def rows_of(layer: Layer, which: str, folder: Path) -> list[list[str]]:
    """Return a row for each algorithm that computes a pass of a layer; one beyond its bound is marked."""
    exact = ours(layer, which, "f8", "matmul")
    peer = error(np.load(folder / f"{layer.name}.{which}.npy"), exact)
    rows = []
    for algorithm in algorithms(layer, which):
        own = error(ours(layer, which, "f4", algorithm), exact)
        mark = "" if own <= FOLD[algorithm] * peer else " ✗"
        rows.append([layer.name, which, algorithm, f"{own:.1e}", f"{peer:.1e}", f"{own / peer:.2f}{mark}"])
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    import deepconv as dc

    chosen = arguments("errors", __doc__).parse_args(words)
    dc.set_workspace_limit(2**31)  # for the exact results, which NumPy computes in one product
    layers = [layer for layer in read_layers() if chosen.only in layer.name]
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "benchmarks.errors", "--torch", name, *(la.name for la in layers)]
        subprocess.run(command, check=True)
        for layer in layers:
            tell(layer.name)
            for which in PASSES:
                rows += rows_of(layer, which, folder)
    head = ["layer", "pass", "algorithm", "error", "PyTorch's", "ratio"]
    text = (
        "## Errors\n\n`python -m benchmarks.errors`: root mean square of the difference to float64 over that of "
        "the result, unit-normal data. ✗: more than twice PyTorch's error, six times for Winograd.\n\n"
    )
    publish(chosen, "errors", text + table(head, rows, left=3))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--torch"]:
        torchs(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
