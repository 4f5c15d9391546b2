"""The axes of a direct convolution: what is read, what is written, and the kernel cells that meet, axis by axis.

Both passes are the same product, see `direct_plan.py`; here each axis falls into its jobs.
"""

from typing import NamedTuple

from deepconv.engine.problem import Problem


class Part(NamedTuple):
    """A job, as far as one axis goes.

    Attributes:
        places: how many.
        first: where in the result the first stands.
        cells: for each kernel cell that is met its number, the plane's remainder and the distance in the plane.
    """

    places: int
    first: int
    cells: tuple[tuple[int, int, int], ...]


class Axis(NamedTuple):
    """One spatial axis.

    Attributes:
        size: of what is read.
        pick: the stride with which its planes are picked.
        low: the pixel that index 0 of the planes stands for.
        result: the size of the result.
        step: from a place of a job to its next in the result.
        parts: the jobs.
        covers: whether the jobs write every number of the result.
    """

    size: int
    pick: int
    low: int
    result: int
    step: int
    parts: tuple[Part, ...]
    covers: bool = True

    @property
    def places(self) -> int:
        """The most places of a job."""
        return max((part.places for part in self.parts), default=0)

    @property
    def reach(self) -> int:
        """How far a plane must be longer than the places it serves."""
        return max((cell[2] for part in self.parts for cell in part.cells), default=0)

    @property
    def phases(self) -> tuple[int, ...]:
        """The remainders of which there are planes."""
        return tuple(sorted({cell[1] for part in self.parts for cell in part.cells}))

    @property
    def inside(self) -> bool:
        """Whether places read nothing but what is there, side by side: no planes are needed."""
        inside = self.low >= 0 and self.low + self.places + self.reach <= self.size
        return self.pick == 1 and inside and self.upwards

    @property
    def upwards(self) -> bool:
        """Whether kernel cells are met in the order of what is read."""
        return all(list(part.cells) == sorted(part.cells, key=lambda cell: cell[2]) for part in self.parts)


Space = tuple[Axis, Axis, Axis]
"""Depth, height and width."""


def _forward_axis(size: int, kernel: int, stride: int, dilation: int, before: int, out: int) -> Axis:
    """Return an axis of a forward pass."""
    cells = tuple((r, r * dilation % stride, r * dilation // stride) for r in range(kernel))
    if kernel == 1 and before == 0 and out == 1:
        stride = 1
    return Axis(size, stride, -before, out, 1, (Part(out, 0, cells),))


def _grad_axis(size: int, kernel: int, stride: int, dilation: int, before: int, out: int) -> Axis:
    """Return an axis of an input gradient: `i + before = stride·m + a` meets the cells with `r·d ≡ a`."""
    found, bare = [], False
    for a in range(stride):
        start = -((a - before) // stride)  # the first m of a pixel that isn't padding
        first = stride * start + a - before
        places = -((first - size) // stride)
        cells = [
            (r, start - (r * dilation - a) // stride)
            for r in range(kernel)
            if (r * dilation - a) % stride == 0
        ]
        if places > 0 and cells:
            found.append((places, first, cells))
        bare |= places > 0 and not cells
    low = min((cell[1] for *_, cells in found for cell in cells), default=0)
    parts = tuple(Part(n, first, tuple((r, 0, at - low) for r, at in cells)) for n, first, cells in found)
    return Axis(out, 1, low, size, stride, parts, covers=not bare)


def axes(problem: Problem) -> Space:
    """Return depth, height and width of a problem; one long axis where every pixel meets one cell."""
    window, image, out = problem.window, problem.image, problem.out
    padding = [before for before, _ in window.padding]
    plain = window.taps == 1 and max(window.stride) == 1 and not any(map(any, window.padding))
    make = _forward_axis if problem.which == "forward" else _grad_axis
    if plain:
        rows = [(problem.places, 1, 1, 1, 0, problem.places)]
    else:
        rows = list(zip(image, window.kernel, window.stride, window.dilation, padding, out, strict=True))
    d, h, w = [make(*row) for row in [(1, 1, 1, 1, 0, 1)] * (3 - len(rows)) + rows]
    return d, h, w
