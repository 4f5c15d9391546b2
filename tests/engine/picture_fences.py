"""Filter pictures whose arrays and scratch memory stand between fences; see `fences`, from which they are."""

import sys
from itertools import product

import numpy as np

from deepconv.engine.kernels import threads
from deepconv.engine.pictures import rows
from deepconv.engine.pictures.problem import BORDERS
from deepconv.operators.planes import correlate_planes
from tests.engine.fences import Numpy, array, rooms, scratch
from tests.engine.test_pictures import KERNELS, PICTURES, able, close, draw, expected


def main():
    """Check every case; print how many."""
    threads._SMALLEST = 1
    rows.np, rows.scratch = Numpy(), scratch
    rng, count = np.random.default_rng(3), 0
    for i, (image, kernel, name) in enumerate(product(PICTURES, KERNELS, ("direct", "separable"))):
        border, dtype = BORDERS[i % len(BORDERS)], ("f4", "f8")[i % 3 == 1]
        if not able(name, image, kernel, border):
            continue
        sys.stderr.write(f"{name} {image} {kernel} {border} {dtype}\n")  # the last one is the culprit
        inside = []
        for a in draw(rng, image, kernel, name, dtype):
            inside.append(array(a.shape, dtype))
            inside[-1][...] = a
        want = expected(*inside, border)
        out = array(want.shape, dtype)
        correlate_planes(*inside, border=border, out=out, algorithm=name)
        np.testing.assert_allclose(out, want, **close(dtype, inside[1].size + 8))
        count += 1
        rooms.clear()
    print(count)


if __name__ == "__main__":
    main()
