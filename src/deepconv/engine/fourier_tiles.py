"""Tiles that are multiplied with a kernel in Fourier space: their sizes, and what transforming them costs."""

import math

PER_STEP = 10.0
"""Bytes that NumPy copies (`rates().numpy_copy`) while it transforms a number there and back, by log2 of the tile."""

BESIDE = 45.0
"""The same for what is done to a number besides: gathered, multiplied, written."""

RELUCTANCE = 1.5
"""How many times faster it must be to be chosen: it is less exact."""

SIZES: list[int] = sorted(2**a * 3**b for a in range(3, 15) for b in range(3))
"""Sizes that are transformed fast."""


def tile_size(kernel: int, padded: int, usual: int) -> int:
    """Return a tile's size along one axis: what costs least, up to four times the kernel or `usual`.

    Args:
        kernel: how far the kernel reaches.
        padded: the padded image's size.
        usual: a size of which a tile still fits a cache.

    Example:
        >>> tile_size(31, 4030, 512), tile_size(3, 8, 512)
        (192, 8)
    """
    most = max(usual, 4 * kernel)
    fits = [n for n in SIZES if kernel <= n <= most] or SIZES[-1:]

    def each(n: int) -> float:
        count = -(-(padded - kernel + 1) // (n - kernel + 1))
        return count * n * (PER_STEP * 2 * math.log2(n) + BESIDE)

    best: int = min(fits, key=each)
    return best
