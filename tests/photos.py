"""Folders of pictures that are told apart at a glance, in many formats and sizes."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def written(
    root: Path, classes: dict[str, int], *, grey: bool = False, sides: tuple[int, int] = (12, 40)
) -> Path:
    """Write so many pictures of each class: noise about the class's own colour, striped in its own direction."""
    for name, count in classes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        colour = rng.uniform(0.15, 0.85, 3)
        (root / name).mkdir(parents=True)
        for number in range(count):
            height, width = rng.integers(*sides, 2)
            stripes = np.sin(np.arange(width) * rng.uniform(0.5, 1.0))[None, :, None] * 0.1
            pixels = colour + stripes + rng.normal(0, 0.08, (height, width, 3))
            picture = Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
            kind = ("png", "jpg")[number % 2]
            (picture.convert("L") if grey else picture).save(root / name / f"{number:03}.{kind}")
    return root
