"""The named kernels' numbers, each from its formula: whole numbers as int64, everything else as float64.

Rows run down and columns to the right. Angles are in degrees, counter-clockwise as one looks at the picture:
0 points right, 90 up.
"""

from __future__ import annotations

import math

import numpy as np

from deepconv.arrays import Array

__all__ = [
    "LARGEST", "box", "difference_of_gaussians", "emboss", "gabor", "gaussian", "identity", "laplacian",
    "laplacian_of_gaussian", "motion", "outline", "ridge", "sharpen", "slope", "unsharp",
]  # fmt: skip

LARGEST = 1001
"""The most rows or columns a named kernel may have."""

Size = tuple[int, int] | None

_COMPASS = ("e", "ne", "n", "nw", "w", "sw", "s", "se")
# The ring of eight cells around the middle, counter-clockwise from the right one, as (row, column).
_RING = ((1, 2), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (2, 1), (2, 2))


def identity(size: Size) -> Array:
    """Return one in the middle (of an even size: at the anchor) and zeros around it.

    Example:
        >>> identity((1, 3))
        array([[0, 1, 0]])
    """
    rows, columns = size or (1, 1)
    kernel = np.zeros((rows, columns), np.int64)
    kernel[rows // 2, columns // 2] = 1
    return kernel


def box(size: Size) -> Array:
    """Return equal weights that sum to one.

    Example:
        >>> box((2, 2)).tolist()
        [[0.25, 0.25], [0.25, 0.25]]
    """
    rows, columns = size or (3, 3)
    return np.full((rows, columns), 1 / (rows * columns))


def gaussian(size: Size, sigma: float | None) -> Array:
    """Return the bell `exp(-(x² + y²) / 2σ²)` at whole distances (halves for even sizes), sum one.

    Without a size it reaches to 3σ: `2·ceil(3σ) + 1`. Without σ, OpenCV's rule gives it from the larger side:
    `0.3·((size - 1)/2 - 1) + 0.8`. Without both, σ is 1 and the size 7.

    Example:
        >>> gaussian((1, 3), 0.5).round(3).tolist()
        [[0.107, 0.787, 0.107]]
        >>> gaussian(None, 2.0).shape
        (13, 13)
    """
    if sigma is None:
        sigma = 1.0 if size is None else 0.3 * ((max(size) - 1) / 2 - 1) + 0.8
    rows, columns = size or (_reach(sigma),) * 2
    kernel: Array = np.outer(_bell(rows, sigma), _bell(columns, sigma))
    kernel /= kernel.sum()
    return kernel


def motion(length: float, angle: float) -> Array:
    """Return a line through the middle, antialiased: each cell's weight is `max(0, 1 - distance to the line)`.

    The line runs through `length` cells, from the middle of the first to that of the last; the weights
    sum to one. A level line of odd length is a box of one row. (The rule of MATLAB's `fspecial('motion')`.)

    Example:
        >>> motion(3, 0).round(3).tolist()
        [[0.333, 0.333, 0.333]]
        >>> motion(3, 45).round(2).tolist()
        [[0.0, 0.09, 0.18], [0.09, 0.3, 0.09], [0.18, 0.09, 0.0]]
    """
    half, turn = (length - 1) / 2, math.radians(angle)
    across, down = math.cos(turn), -math.sin(turn)
    reach = math.ceil(half) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = (x * across + y * down).clip(-half, half)
    kernel = 1 - np.hypot(x - along * across, y - along * down)
    kernel[kernel < 1e-9] = 0
    kernel += kernel[::-1, ::-1]  # the same from both ends, to the last bit
    rows, columns = kernel.any(axis=1), kernel.any(axis=0)
    line: Array = kernel[rows][:, columns]
    line /= line.sum()
    return line


def sharpen(amount: float) -> Array:
    """Return the pixel and `amount` times its difference to its four neighbours.

    Example:
        >>> sharpen(1).tolist()
        [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    """
    return identity((3, 3)) - amount * laplacian(4)


def unsharp(size: Size, sigma: float | None, amount: float) -> Array:
    """Return the pixel and `amount` times its difference to the Gaussian blur around it.

    Example:
        >>> unsharp((1, 3), 0.5, 1.0).round(3).tolist()
        [[-0.107, 1.213, -0.107]]
    """
    blur = gaussian(size, sigma)
    return (1 + amount) * identity((blur.shape[0], blur.shape[1])) - amount * blur


def outline() -> Array:
    """Return eight times the pixel less its eight neighbours.

    Example:
        >>> outline().tolist()
        [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    """
    return -laplacian(8)


def laplacian(neighbours: int) -> Array:
    """Return four or eight neighbours less as many times the pixel.

    Example:
        >>> laplacian(4).tolist()
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    """
    kernel = np.ones((3, 3), np.int64)
    if neighbours == 4:
        kernel[::2, ::2] = 0
    kernel[1, 1] = -neighbours
    return kernel


def slope(smooth: tuple[int, int, int], axis: str) -> Array:
    """Return the difference of the pixels to both sides, smoothed across: `x` grows rightwards, `y` downwards.

    Example:
        >>> slope((1, 2, 1), "x").tolist()
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
        >>> slope((3, 10, 3), "y").tolist()
        [[-3, -10, -3], [0, 0, 0], [3, 10, 3]]
    """
    kernel = np.outer(np.array(smooth), np.array([-1, 0, 1]))
    return kernel if axis == "x" else kernel.T.copy()


def emboss(direction: str, base: int) -> Array:
    """Return a slope in one of eight directions, plus `base` times the pixel.

    Example:
        >>> emboss("se", 1).tolist()
        [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]
        >>> emboss("n", 0).tolist()
        [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    """
    kernel = np.zeros((3, 3), np.int64)
    start = _COMPASS.index(direction)
    for step, weight in enumerate((2, 1, 0, -1, -2, -1, 0, 1)):
        kernel[_RING[(start + step) % 8]] = weight
    kernel[1, 1] = base
    return kernel


def ridge(angle: int) -> Array:
    """Return what answers to lines one pixel wide that run in one of four directions.

    Example:
        >>> ridge(0).tolist()
        [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]]
        >>> ridge(45).tolist()
        [[-1, -1, 2], [-1, 2, -1], [2, -1, -1]]
    """
    kernel = np.full((3, 3), -1, np.int64)
    kernel[1, 1] = 2
    first = _RING[angle // 45]
    kernel[first] = kernel[2 - first[0], 2 - first[1]] = 2
    return kernel


def gabor(
    size: Size,
    wavelength: float,
    angle: float,
    sigma: float | None,
    aspect: float,
    phase: float,
    balance: int,
) -> Array:
    """Return a wave under a bell: `exp(-(u² + γ²v²) / 2σ²) · cos(2πu/λ + φ)`, u along the wave, v across.

    Without σ it is 0.56 λ (a bandwidth of one octave); without a size the bell reaches to 3σ. With
    `balance=1` as much of the bell is taken off as makes the weights sum to 0, and they are scaled so that
    the positive ones sum to 1; with 0 the formula's bare numbers stay.

    Example:
        >>> gabor(None, 8.0, 30.0, None, 0.5, 0.0, 1).shape
        (55, 55)
        >>> gabor((1, 3), 4.0, 0.0, 2.0, 1.0, 0.0, 0).round(3).tolist()
        [[0.0, 1.0, 0.0]]
    """
    sigma = 0.56 * wavelength if sigma is None else sigma
    rows, columns = size or (min(_reach(sigma * max(1, 1 / aspect)), LARGEST),) * 2
    turn = math.radians(angle)
    y, x = _distances(rows)[:, None], _distances(columns)
    along = x * math.cos(turn) - y * math.sin(turn)
    across = x * math.sin(turn) + y * math.cos(turn)
    bell = np.exp(-(along**2 + (aspect * across) ** 2) / (2 * sigma**2))
    kernel = bell * np.cos(2 * math.pi * along / wavelength + math.radians(phase))
    return _balanced(kernel, bell) if balance else kernel


def difference_of_gaussians(size: Size, sigma1: float, sigma2: float) -> Array:
    """Return a narrow bell less a wide one, each of sum one.

    Example:
        >>> difference_of_gaussians((1, 3), 0.5, 1.0).round(3).tolist()
        [[-0.168, 0.335, -0.168]]
    """
    size = size or (_reach(max(sigma1, sigma2)),) * 2
    return gaussian(size, sigma1) - gaussian(size, sigma2)


def laplacian_of_gaussian(size: Size, sigma: float) -> Array:
    """Return the bell's second derivative, `(r² - 2σ²)/σ⁴ · bell`, with its mean taken off so that it sums to 0.

    Example:
        >>> laplacian_of_gaussian((3, 3), 0.8).round(2).tolist()
        [[0.19, 0.0, 0.19], [0.0, -0.76, 0.0], [0.19, 0.0, 0.19]]
    """
    rows, columns = size or (_reach(sigma),) * 2
    square = _distances(rows)[:, None] ** 2 + _distances(columns) ** 2
    kernel: Array = (square - 2 * sigma**2) / sigma**4 * gaussian((rows, columns), sigma)
    kernel -= kernel.mean()
    return kernel


def _reach(sigma: float) -> int:
    """Return the odd size that holds a bell to three times its width."""
    return 2 * math.ceil(3 * sigma) + 1


def _distances(size: int) -> Array:
    """Return how far each cell lies from the middle; halves where the size is even."""
    return np.arange(size) - (size - 1) / 2


def _bell(size: int, sigma: float) -> Array:
    bell: Array = np.exp(-(_distances(size) ** 2) / (2 * sigma**2))
    return bell


def _balanced(kernel: Array, bell: Array) -> Array:
    """Take off as much of the bell as leaves a sum of zero, and scale the positive weights to sum to one."""
    kernel = kernel - bell * (kernel.sum() / bell.sum())
    positive = float(kernel[kernel > 0].sum())
    return kernel / positive if positive > 1e-12 else kernel * 0
