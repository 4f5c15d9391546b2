"""Panels of a direct convolution: the vectors that a row is packed of, and the runs of places where sums go."""

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine


def vectors_of(at: Array, across: int, panels: int) -> tuple[Array, Array]:
    """Return which panels are full, of vectors in two runs at most, and for each vector what `PANEL_VECTORS` says.

    Args:
        at: where each place stands in what is read.
        across: places of a panel.
        panels: how many there are, the last perhaps not full.

    Example:
        >>> joined, parts = vectors_of(np.array([*range(10, 40), *range(50, 68)]), 24, 2)
        >>> joined.tolist(), parts[0, 0].item(), parts.shape
        ([True, True], 10, (2, 9))
    """
    count = machine.target().vectors
    full, lanes = len(at) // across, across // count
    parts = at[: full * across].reshape(full, count, lanes)
    breaks = np.diff(parts, axis=2) != 1
    several = breaks.sum(2)
    first = np.where(several, breaks.argmax(2) + 1, lanes)
    joined, vectors = np.zeros(panels, bool), np.zeros((panels, count, 3), np.int64)
    joined[:full] = (several <= 1).all(1)
    vectors[:full] = np.stack([parts[..., 0], parts[..., -1] - lanes + 1, first], 2)
    return joined, vectors.reshape(panels, 3 * count)


def put(numbers: Array, at: Array, runs: Array, bounds: Array) -> None:
    """Put the runs of each panel where they belong: those from `bounds[q]` on at `at[q]`.

    Example:
        >>> numbers = np.zeros(8, int)
        >>> put(numbers, np.array([1, 5]), np.array([[7, 0, 2], [9, 0, 3]]), np.array([0, 1, 2]))
        >>> numbers.tolist()
        [0, 7, 0, 2, 0, 9, 0, 3]
    """
    first = 3 * np.arange(len(runs)) + np.repeat(at - 3 * bounds[:-1], np.diff(bounds))
    numbers[first[:, None] + np.arange(3)] = runs


def runs_of(at: Array, across: int, step: int, longest: int) -> tuple[Array, Array]:
    """Return the runs of places at steps of `step`: begin, place in the panel, length; and where panels begin.

    Example:
        >>> runs, bounds = runs_of(np.array([3, 4, 5, 9, 10]), 4, 1, 2)
        >>> runs.tolist(), bounds.tolist()
        ([[3, 0, 2], [5, 2, 1], [9, 3, 1], [10, 0, 1]], [0, 3, 4])
    """
    begins = np.ones(len(at), bool)
    begins[1:] = np.diff(at) != step
    begins[::across] = True
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=len(at))
    if longest < across:  # no run is longer than its panel
        pieces = -(-lengths // longest)
        before = longest * (np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces))
        starts = np.repeat(starts, pieces) + before
        lengths = np.minimum(np.repeat(lengths, pieces) - before, longest)
    bounds = np.searchsorted(starts, np.arange(0, len(at) + across, across))
    return np.stack([at[starts], starts % across, lengths], 1), bounds
