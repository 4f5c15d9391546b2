"""The form of a convolution by padded planes: sizes, phases and offsets, as `kernels/bands` wants them."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.problem import Problem


@dataclass(frozen=True)
class Axis:
    """One axis: what is read, what is written, and where each cell of the kernel finds its pixel.

    Attributes:
        size: of the planes that are read.
        step: into how many phases they are split.
        lead: zeros before them; fewer than none leaves pixels away.
        result: the size of the planes that are written.
        result_step: into how many phases those are split.
        cells: for each phase of the result the kernel's cells, each with a phase and a shift in what is read.
    """

    size: int
    step: int
    lead: int
    result: int
    result_step: int
    cells: tuple[tuple[tuple[int, int, int], ...], ...]

    @cached_property
    def reach(self) -> int:
        """The largest shift."""
        return max(shift for phase in self.cells for _, _, shift in phase)

    @cached_property
    def results(self) -> list[int]:
        """The sizes of the result's phases."""
        return [max(0, -(-(self.result - a) // self.result_step)) for a in range(self.result_step)]

    @cached_property
    def most(self) -> int:
        """The largest phase of the result."""
        return self.results[0]

    def spans(self, end: int) -> list[int]:
        """For each phase of what is read, where its pixels begin and end in `range(end)`."""
        pairs = (
            (-((a - self.lead) // self.step), -((a - self.lead - self.size) // self.step))
            for a in range(self.step)
        )
        return [min(max(i, 0), end) for pair in pairs for i in pair]


def _axis(problem: Problem, i: int) -> Axis:
    """Return an axis of a problem; an axis it hasn't is one pixel."""
    if i < 0:
        return Axis(1, 1, 0, 1, 1, (((0, 0, 0),),))
    window = problem.window
    n, out, stride, dilation = problem.image[i], problem.out[i], window.stride[i], window.dilation[i]
    before, kernel = window.padding[i][0], range(window.kernel[i])
    if problem.which != "input_grad":
        cells = tuple((r, r * dilation % stride, r * dilation // stride) for r in kernel)
        return Axis(n, stride, before, out, 1, (cells,))
    found = [
        [
            (r, (a + before - r * dilation) // stride)
            for r in kernel
            if (a + before - r * dilation) % stride == 0
        ]
        for a in range(stride)
    ]
    lead = -min(shift for phase in found for _, shift in phase)
    phases = tuple(tuple((r, 0, shift + lead) for r, shift in phase[::-1]) for phase in found)
    return Axis(out, 1, lead, n, stride, phases)


@dataclass(frozen=True)
class Form:
    """How a problem is computed by planes.

    Attributes:
        down: the vertical axis.
        across: the horizontal axis.
        sources: planes that are read in a group.
        results: planes that are written in a group.
        band: rows of each phase of the result that are computed at a time.
        columns: of a phase in scratch memory.
        itemsize: bytes of a number.
        summed: whether planes are multiplied with planes: then nothing but zeros stands between their rows.
        groups: of the problem.
    """

    down: Axis
    across: Axis
    sources: int
    results: int
    groups: int
    band: int
    itemsize: int
    summed: bool

    @cached_property
    def rows(self) -> int:
        """Rows of a phase in scratch memory."""
        return self.band + self.down.reach

    @cached_property
    def lanes(self) -> int:
        """Numbers of a vector."""
        return machine.target().vector_bytes // self.itemsize

    @cached_property
    def columns(self) -> int:
        """Numbers of a row in scratch memory."""
        return _up(self.across.most + self.across.reach, 1 if self.summed else self.lanes)

    @cached_property
    def phases(self) -> int:
        """How many phases the result has."""
        return self.down.result_step * self.across.result_step

    @cached_property
    def bands(self) -> int:
        """How many bands a plane has."""
        return -(-self.down.most // self.band)

    @cached_property
    def y_columns(self) -> int:
        """Numbers of a row of a phase of the result in scratch memory."""
        return _up(self.across.most, self.lanes)

    @cached_property
    def channel(self) -> int:
        """Numbers of a plane in scratch memory, its phases together."""
        return self.down.step * self.across.step * self.rows * self.columns

    @cached_property
    def cells(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each phase of the result its cells: where in the kernels of a group, and the offset of the pixel."""
        kernel = (
            1 + max(r for phase in self.down.cells for r, _, _ in phase),
            1 + max(s for phase in self.across.cells for s, _, _ in phase),
        )
        return tuple(
            tuple(
                (
                    (a * kernel[0] + r) * kernel[1] + s,
                    a * self.channel + ((p * self.across.step + q) * self.rows + i) * self.columns + j,
                )
                for a in range(self.sources)
                for r, p, i in vertical
                for s, q, j in horizontal
            )
            for vertical in self.down.cells
            for horizontal in self.across.cells
        )

    @cached_property
    def block(self) -> tuple[int, int, int]:
        """Rows of cells, cells in a row and their distance; three zeros where no two rows of pixels are shared."""
        if self.phases > 1 or self.down.step > 1 or self.across.step > 1:
            return 0, 0, 0
        rows, columns = (
            [shift for _, _, shift in self.down.cells[0]],
            [shift for _, _, shift in self.across.cells[0]],
        )
        step = columns[1] - columns[0] if len(columns) > 1 else 1
        nine = (len(rows), columns, self.sources) == (3, [0, 1, 2], 1)
        if rows == list(range(len(rows))) and (nine or len(rows) > 3):
            return len(rows), len(columns), step
        return 0, 0, 0

    @cached_property
    def order(self) -> Array:
        """Which number of a filter each cell is."""
        return np.array([i for phase in self.cells for i, _ in phase], np.intp)

    @cached_property
    def table(self) -> Array:
        """All of it, as the kernels read it."""
        down, across = self.down, self.across
        numbers = [
            self.sources, self.results, self.groups,
            down.size, across.size, down.lead, across.lead, down.step, across.step,
            self.rows, self.columns, self.band, down.most,
            down.result, across.result, down.result_step, across.result_step, self.y_columns,
            sum(map(len, self.cells)), self.channel, *self.block,
            *down.spans(down.most + down.reach), *across.spans(self.columns),
        ]  # fmt: skip
        first = 0
        sizes = [(h, w) for h in down.results for w in across.results]
        for cells, size in zip(self.cells, sizes, strict=True):
            numbers += [first, *size]
            first += len(cells)
        numbers += [first, *(offset for phase in self.cells for _, offset in phase), *[0] * 16]
        return np.array(numbers, np.int64)


def _up(n: int, to: int) -> int:
    """Return the next multiple."""
    return -(-n // to) * to


@lru_cache(maxsize=1024)
def form(problem: Problem, bytes_at_once: int, least: int) -> Form:
    """Return the form of a problem, whose planes in scratch memory shall take about so many bytes.

    At least `least` rows are computed at a time.
    """
    group = problem.in_channels // problem.groups, problem.out_channels // problem.groups
    sources, results = group[::-1] if problem.which == "input_grad" else group
    rank = problem.window.rank
    down, across = _axis(problem, rank - 2), _axis(problem, rank - 1)

    def banded(band: int) -> Form:
        summed = problem.which == "weight_grad"
        return Form(down, across, sources, results, problem.groups, band, problem.dtype.itemsize, summed)

    one = banded(1)
    row = one.sources * down.step * across.step * one.columns * one.itemsize
    fits = max(bytes_at_once // row - down.reach, least)
    pieces = -(-down.most // fits)
    return banded(-(-down.most // pieces))


def why_not(problem: Problem) -> str | None:
    """Say why no compiled algorithm by bands can compute a problem, or None: it serves one and two axes."""
    if (why := machine.why_not_compiled()) is not None:
        return why
    if problem.dtype.char not in "fd" or problem.exact:
        return f"its sums are of float32 or float64, not exact or {problem.dtype}"
    if problem.window.rank > 2:
        return f"there are {problem.window.rank} axes, more than two"
    return None
