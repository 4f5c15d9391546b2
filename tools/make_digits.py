"""Write the digits that ship inside the package, from scikit-learn's copy of them.

scikit-learn carries the test part of the UCI "Optical Recognition of Handwritten Digits" data set as text
numbers; this stores the same numbers as one small archive, so that deepconv needs no scikit-learn.
Run from the repository's root, with the `peers` extra installed:

    python tools/make_digits.py
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "src" / "deepconv" / "data" / "digits.npz"


def main() -> None:
    """Write `digits.npz` and print its size."""
    bunch = import_module("sklearn.datasets").load_digits()
    images = bunch.images.astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.uint8)
    if not np.array_equal(images[:, 0], bunch.images) or images.max() != 16:
        raise SystemExit("scikit-learn's digits are no longer whole numbers from 0 to 16")
    np.savez_compressed(TARGET, images=images, labels=labels)
    print(f"{TARGET}: {len(images)} digits, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
