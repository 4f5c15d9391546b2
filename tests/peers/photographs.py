"""A few thousand pictures cut from the photographs that scikit-image carries, as a folder with a ready split."""

from pathlib import Path

import numpy as np
from PIL import Image

# Photograph by class; brick, grass and gravel are grey, and a fifth of the others is made grey. The astronaut and
# the cup of coffee are left out: a part of them that was never seen looks like nothing that was.
PHOTOGRAPHS = {
    "brick": "brick.png", "cat": "chelsea.png", "galaxies": "hubble_deep_field.jpg", "grass": "grass.png",
    "gravel": "gravel.png", "retina": "retina.jpg", "rocket": "rocket.jpg", "tissue": "ihc.png",
}  # fmt: skip
SIDES = (72, 129)
TRAINED, TESTED = 210, 75
BLOCKS = 3
"""Into how many rows and columns of blocks a photograph is divided; one block in each row is for testing alone."""


def written(folder: Path, carried: Path, seed: int = 0) -> Path:
    """Cut every photograph and write `train/CLASS/…` and `test/CLASS/…`, JPEG and PNG, of mixed sizes.

    No pixel of a test picture is in a training picture: test pictures lie within one block of each row of blocks,
    in another column in each row, and training pictures touch none of these.
    """
    rng = np.random.default_rng(seed)
    for name, file in PHOTOGRAPHS.items():
        with Image.open(carried / file) as opened:
            photograph = opened.convert("L" if opened.mode == "L" else "RGB")
        if min(photograph.size) < 440:  # of small ones a block would be smaller than a picture
            scale = 440 / min(photograph.size)
            photograph = photograph.resize([round(scale * side) for side in photograph.size])
        tested = np.zeros((photograph.height, photograph.width), bool)
        high, wide = (side // BLOCKS for side in tested.shape)
        for row, column in enumerate(rng.permutation(BLOCKS)):
            tested[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = True
        for part, count in (("train", TRAINED), ("test", TESTED)):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                crop = _crop(photograph, tested if part == "test" else ~tested, rng)
                if rng.random() < 0.2:  # so that colour alone doesn't give a class away
                    crop = crop.convert("L")
                kind, words = "png", {}
                if rng.random() < 0.5:
                    kind, words = "jpg", {"quality": int(rng.integers(70, 96))}
                crop.save(folder / part / name / f"{number:03}.{kind}", **words)
    return folder


def _crop(photograph: Image.Image, allowed: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Cut a rectangle of random sides out of what is allowed."""
    while True:
        height, width = (int(side) for side in rng.integers(*SIDES, 2))
        y, x = (
            int(rng.integers(long - short + 1))
            for long, short in zip(allowed.shape, (height, width), strict=True)
        )
        if allowed[y : y + height, x : x + width].all():
            return photograph.crop((x, y, x + width, y + height))
