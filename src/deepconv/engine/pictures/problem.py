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
        cells: how many of the kernel's cells are not zero.
        sides: how many of the numbers down and across are not zero, where the kernel is their outer product.
        finite: whether all of the kernel's cells are finite.
        exact: whether every product and sum is one of the kernel's own, as integers want it.
        threads: how many may be used.
        workspace_limit: bytes it may take beside the arrays.
    """

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    anchor: tuple[int, int]
    border: str
    dtype: np.dtype[Any]
    cells: int
    sides: tuple[int, int] | None = None
    finite: bool = True
    exact: bool = False
    threads: int = 1
    workspace_limit: int = 1 << 62

    @property
    def out(self) -> tuple[int, int]:
        """The result's height and width."""
        if self.border != "crop":
            return self.height, self.width
        return self.height - self.kernel[0] + 1, self.width - self.kernel[1] + 1

    @property
    def numbers(self) -> int:
        """Numbers of the result."""
        return self.out[0] * self.out[1] * self.channels

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


def _whole(kernel: Array) -> bool:
    """Tell whether a kernel is of whole numbers, which its type holds exactly with all in between."""
    return (
        bool((kernel == np.rint(kernel)).all())
        and float(np.abs(kernel).max()) < 1 / np.finfo(kernel.dtype).eps
    )


def factors(kernel: Array) -> tuple[Array, Array] | None:
    """Return the numbers down and across whose outer product a kernel is, or None where it is no such product.

    Each cell may differ from the product by 8 times the unit of its own last place, and by 1/(R·S) of that of
    the largest cell: together less than what the plain sum may round away. A product is zero where the cell is.
    Of whole numbers the factors are whole too, and the product exact.

    Args:
        kernel: `(R, S)`, of float32 or float64.

    Example:
        >>> down, across = factors(np.array([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]]))
        >>> (down / down[0]).tolist(), (across * down[0]).tolist()
        ([1.0, 0.0, -1.0], [1.0, 2.0, 1.0])
        >>> factors(np.eye(2)) is None
        True
    """
    size = np.abs(kernel)
    largest = float(size.max())
    if not 0 < largest < np.inf:
        return None
    p, q = divmod(int(size.argmax()), kernel.shape[1])
    with np.errstate(under="ignore"):
        across = kernel[p] / kernel[p, q]
        if _whole(kernel):
            across = kernel[p] / kernel.dtype.type(np.gcd.reduce(kernel[p].astype(np.int64)))
        down = kernel[:, q] / across[q]
        product = down[:, None].astype(np.float64) * across
        unit = float(np.finfo(kernel.dtype).eps)
        near = np.abs(product - kernel) <= unit * (8 * size + largest / kernel.size)
        same_zeros = (product.astype(kernel.dtype) == 0) == (kernel == 0)
    return (down, across) if bool((near & same_zeros).all()) else None


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel and what its numbers say; one object for equal kernels that were seen lately.

    Attributes:
        numbers: `(R, S)`, in order; not to be written to.
        cells: how many of them are not zero.
        finite: whether all are finite.
        factors: the numbers down and across whose outer product it is, if they serve.
    """

    numbers: Array
    cells: int
    finite: bool
    factors: tuple[Array, Array] | None


def kernel_of(numbers: Array, exact: bool) -> Kernel:
    """Return a kernel of `(R, S)` numbers, in order; `exact`: with factors of whole numbers or none.

    Example:
        >>> kernel_of(np.ones((3, 3)), exact=True) is kernel_of(np.ones((3, 3)), exact=True)
        True
    """
    return _known(numbers.tobytes(), numbers.shape, numbers.dtype, exact)


@lru_cache(maxsize=16)
def _known(raw: bytes, shape: tuple[int, int], dtype: np.dtype[Any], exact: bool) -> Kernel:
    """Return the kernel whose bytes these are."""
    numbers: Array = np.frombuffer(raw, dtype).reshape(shape)
    found = factors(numbers)
    if exact and found is not None and not all((line == np.rint(line)).all() for line in found):
        found = None
    return Kernel(numbers, int(np.count_nonzero(numbers)), bool(np.isfinite(numbers).all()), found)
