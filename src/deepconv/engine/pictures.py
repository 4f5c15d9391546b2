"""Pictures filtered channel by channel: one kernel slides over every channel of a height × width × channels array.

A picture lies in memory as one plane of `height` rows of `width·channels` numbers, and a kernel that meets each
channel by itself is, on that plane, a kernel whose cells stand `channels` apart: nothing is ever taken apart
into channels. What lies beyond the picture is told by two tables, one of rows and one of columns.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from deepconv.arrays import Array

BORDERS = ("reflect", "mirror", "edge", "wrap", "zero", "constant", "crop")
"""What may lie beyond the picture, in the words of `correlate_planes`."""


@lru_cache(maxsize=64)
def beyond(size: int, before: int, after: int, border: str) -> Array:
    """Return which of `size` pixels stands at each place from `before` of the first to `after` of the last.

    -1 stands for the constant. The table is kept, and not to be written to.

    Example:
        >>> beyond(3, 2, 4, "reflect").tolist()
        [1, 0, 0, 1, 2, 2, 1, 0, 0]
        >>> beyond(3, 2, 4, "mirror").tolist()
        [2, 1, 0, 1, 2, 1, 0, 1, 2]
    """
    places = np.arange(-before, size + after)
    if border == "reflect":
        places = np.minimum(places % (2 * size), -(places + 1) % (2 * size))
    elif border == "mirror":
        period = max(1, 2 * size - 2)
        places = np.minimum(places % period, -places % period)
    elif border == "edge":
        places = places.clip(0, size - 1)
    elif border == "wrap":
        places = places % size
    else:
        places[(places < 0) | (places >= size)] = -1
    places.flags.writeable = False
    return places


@dataclass(frozen=True)
class PlaneProblem:
    """One kernel over one picture, described without its data.

    Attributes:
        height, width, channels: H, W, C of the picture.
        kernel: R and S.
        anchor: the cell that stands on the pixel which is computed.
        border: one of `BORDERS`.
        dtype: float32 or float64.
    """

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    anchor: tuple[int, int]
    border: str
    dtype: np.dtype[Any]

    @property
    def out(self) -> tuple[int, int]:
        """The result's height and width."""
        if self.border != "crop":
            return self.height, self.width
        return self.height - self.kernel[0] + 1, self.width - self.kernel[1] + 1

    @property
    def rows(self) -> Array:
        """Which row of the picture each row of the padded picture is."""
        return self._beyond(0, self.height)

    @property
    def columns(self) -> Array:
        """Which column of the picture each column of the padded picture is."""
        return self._beyond(1, self.width)

    def _beyond(self, axis: int, size: int) -> Array:
        before, after = self.anchor[axis], self.kernel[axis] - 1 - self.anchor[axis]
        if self.border == "crop":
            before = after = 0
        return beyond(size, before, after, self.border)


def correlate(problem: PlaneProblem, image: Array, kernel: Array, constant: float, out: Array) -> None:
    """Write to `out` the sums of products of a kernel and what lies beneath it.

    Args:
        problem: what the arrays are.
        image: `(H, W, C)`, of the problem's type, any strides.
        kernel: `(R, S)` of the same type.
        constant: what lies beyond the picture where the border is a constant.
        out: `(H', W', C)`; shares no memory with the others.
    """
    height, width = problem.out
    cells_down, rows, columns = problem.kernel[0], problem.rows, problem.columns
    band = max(1, (1 << 18) // max(1, len(columns) * problem.channels))
    for top in range(0, height, band):
        stop = min(height, top + band)
        there = rows[top : stop + cells_down - 1]
        padded = image[there][:, columns]
        padded[there < 0] = constant
        padded[:, columns < 0] = constant
        total = np.zeros((stop - top, width, problem.channels), problem.dtype)
        for r, s in np.argwhere(kernel != 0):
            total += kernel[r, s] * padded[r : r + stop - top, s : s + width]
        out[top:stop] = total
