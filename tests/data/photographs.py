"""Folders of small pictures for the tests: mixed sizes, formats and orientations, each class of its own colour."""

from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = ("jpg", "png", "webp", "bmp", "gif")


def noise(rng, height, width, tint=(128, 128, 128)):
    """A picture around one colour."""
    pixels = rng.normal(tint, 40, (height, width, 3)).clip(0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def make_folder(root, counts, rng, *, sizes=(9, 60), grey=False, formats=FORMATS):
    """Write `counts[class]` pictures per class."""
    root = Path(root)
    tints = {name: rng.uniform(60, 200, 3) for name in counts}
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            height, width = rng.integers(*sizes, 2)
            picture = noise(rng, height, width, tints[name])
            kind = formats[number % len(formats)]
            (picture.convert("L") if grey else picture).save(root / name / f"{number}.{kind}")
    return root
