"""Measure filters of a photograph against SciPy's and OpenCV's: `python -m benchmarks.pictures`.

Twelve megapixels in colour, float32 in and out, one thread, the same border; full kernels and outer products.
The peers' results must be ours.
"""

import importlib.util
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from benchmarks.processes import ALLOCATORS, OURS, Row, Worker, interleaved, tell, versions
from benchmarks.tables import LOST, arguments, line, marked, publish, ratio, table

PEERS = (OURS, "scipy", "cv2", "cv2_sep")
NAMES = {"cv2": "cv2.filter2D", "cv2_sep": "cv2.sepFilter2D", "scipy": "scipy.ndimage"}
LEAST = {"scipy": 5.0}
"""How many times faster than a peer we want to be, where it is not 1."""

_PEAK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


@dataclass(frozen=True)
class Case:
    """One kernel over one picture.

    Attributes:
        size: rows and columns of the kernel.
        full: whether it is drawn cell by cell, in place of an outer product.
        shape: of the picture.
    """

    size: int
    full: bool
    shape: tuple[int, int, int] = (3000, 4000, 3)

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"{'full' if self.full else 'outer product'} {self.size}x{self.size}"


CASES = [
    *(Case(size, full=True) for size in (3, 5, 7, 9, 11, 15, 31, 61, 101)),
    *(Case(size, full=False) for size in (3, 5, 7, 9, 15, 31)),
]

_HEAD = """## Pictures

Written by `python -m benchmarks.pictures`, {runs} runs: a photograph of 3000 x 4000 x 3 in float32, each channel
filtered by itself into a new array, the pixel at the edge repeated. Beside `scipy.ndimage` ✗ marks what is
not five times as fast; it gets `correlate` for full kernels, two `correlate1d` for outer products, and is called
once a run. The last columns are megabytes of resident memory that a call takes beside picture and result. {versions}.

"""


def measure(cases: Sequence[Case], peers: Sequence[str], runs: int, allocator: str) -> list[tuple[Case, Row]]:
    """Return what every peer takes for every case."""
    found = []
    with ExitStack() as stack:
        asked = []
        for peer in peers:
            how = "once" if peer == "scipy" else "time"
            asked.append(Worker("pictures", peer, how, environment=ALLOCATORS[allocator]))
            stack.callback(asked[-1].close)
        for case in cases:
            row = interleaved(asked, asdict(case), runs)
            found.append((case, row))
            tell(line(case.name, row))
    return found


def extra(case: Case, peer: str) -> float | None:
    """Return the megabytes that one call raises the resident memory by, picture and result left out."""
    worker = Worker("pictures", peer, "memory", environment=_PEAK)
    answer = worker.ask(asdict(case))
    worker.close()
    return None if answer is None else float(answer["extra"]) / 2**20


def markdown(found: Sequence[tuple[Case, Row]], peers: Sequence[str]) -> str:
    """Return a row for each case; those that miss what we want of a peer are marked."""
    from deepconv.operators.planes import explain_planes

    others = [peer for peer in peers if peer != OURS]
    rows = []
    for case, row in found:
        from benchmarks.picture_peers import drawn

        told = explain_planes(case.shape, drawn(asdict(case) | {"shape": (1, 1)})[1])
        ratios = [marked(ratio(row, peer), LEAST.get(peer, 1.0)) for peer in others]
        taken = [extra(case, peer) for peer in (OURS, "cv2") if peer in peers]
        memory = ["" if value is None else f"{value:.0f}" for value in taken]
        rows.append([case.name, told.algorithm, f"{row[OURS].warm * 1e3:.1f}", *ratios, *memory])
    heads = [NAMES[peer] for peer in others]
    memories = ["MB", *(["cv2 MB"] if "cv2" in peers else [])]
    return table(["kernel", "algorithm", "ms", *heads, *memories], rows, left=2)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write this command's part of `docs/benchmarks.md`."""
    chosen = arguments("pictures", __doc__).parse_args(words)
    cases = [case for case in CASES if chosen.only in case.name]
    if not cases:
        raise SystemExit(f"nothing to measure: --only {chosen.only!r} names no kernel")
    peers = [peer for peer in PEERS if importlib.util.find_spec(peer.partition("_")[0])]
    found = measure(cases, peers, chosen.runs, chosen.allocator)
    known = versions([peer for peer in peers if not peer.startswith("cv2")])
    if "cv2" in peers:
        import cv2

        known += f", OpenCV {cv2.__version__}"
    text = _HEAD.format(runs=chosen.runs, versions=known) + markdown(found, peers)
    lost = text.count(LOST.strip()) - 1
    tell(f"{lost} targets missed")
    publish(chosen, "pictures", text)


if __name__ == "__main__":
    main()
