"""The 1,797 handwritten digits that ship inside the package, and how they are divided by a seed.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI Machine Learning
Repository, https://doi.org/10.24432/C50P49, CC BY 4.0; `digits.txt` beside this file says more.
"""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from deepconv.arrays import Array

__all__ = ["CLASSES", "DigitsSplit", "load_digits", "split_digits", "stratified"]

CLASSES = tuple("0123456789")


class DigitsSplit(NamedTuple):
    """The three parts of the digits, each a pair of images and labels.

    Args:
        train: what the weights are fitted to.
        validation: what decides during training (when to stop, which settings).
        test: held out; scored once, at the end.
    """

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]


def load_digits() -> tuple[Array, Array]:
    """Return the shipped handwritten digits.

    Returns:
        images `(1797, 1, 8, 8)` uint8 from 0 (paper) to 16 (ink), and labels `(1797,)` int64 from 0 to 9.

    Example:
        >>> images, labels = load_digits()
        >>> images.shape, images.dtype.name, int(images.max()), labels[:5].tolist()
        ((1797, 1, 8, 8), 'uint8', 16, [0, 1, 2, 3, 4])
    """
    with (files("deepconv.data") / "digits.npz").open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        return archive["images"], archive["labels"].astype(np.int64)


def stratified(labels: Array, share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw a share of every class.

    Args:
        labels: class numbers, `(N,)`.
        share: how much of each class to draw, between 0 and 1; the count is rounded per class.
        rng: what draws.

    Returns:
        `(rest, drawn)`: places in `labels`, each rising.

    Raises:
        ValueError: `share` is not between 0 and 1.

    Example:
        >>> rest, drawn = stratified(np.array([7, 7, 7, 7, 5, 5]), 0.5, np.random.default_rng(0))
        >>> np.array([7, 7, 7, 7, 5, 5])[drawn].tolist()
        [7, 7, 5]
    """
    if not 0 <= share <= 1:
        raise ValueError(f"stratified: share={share} is not between 0 and 1; use 0.2 for a fifth")
    drawn = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        drawn[places[: round(len(places) * share)]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def split_digits(seed: int = 0, *, test: float = 0.2, validation: float = 0.1) -> DigitsSplit:
    """Divide the digits into training, validation and test parts, each with its share of every class.

    The test part is drawn first, so the choice of `validation` never moves it.

    Args:
        seed: draws the parts; equal seeds give equal parts.
        test: share of all digits that is held out.
        validation: share of what remains that is set aside inside the training data.

    Returns:
        images `(N, 1, 8, 8)` and labels `(N,)` of each part.

    Raises:
        ValueError: a share is not between 0 and 1, or the seed is negative.

    Example:
        >>> [len(labels) for images, labels in split_digits(seed=0)]
        [1295, 143, 359]
    """
    if seed < 0:
        raise ValueError(f"split_digits: seed={seed} is negative; give a whole number of at least 0")
    images, labels = load_digits()
    rng = np.random.default_rng(seed)
    rest, held_out = stratified(labels, test, rng)
    kept, checked = stratified(labels[rest], validation, rng)
    parts = (rest[kept], rest[checked], held_out)
    return DigitsSplit(*((images[part], labels[part]) for part in parts))
