"""`deepconv filter` with weights that make a picture white: it says so, and what keeps the brightness."""

import numpy as np
import pytest

from deepconv.images import read_image, write_image
from tests.cli.conftest import deepconv


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), True),
        (("--divisor", "sum"), False),
        (("--signed", "stretch"), False),
        (("--quiet",), False),
    ],
)
def test_weights_that_make_it_white_are_said(tmp_path, rng, words, said):
    pixels = rng.integers(90, 160, (7, 9), np.uint8)
    write_image(tmp_path / "a.png", pixels)
    outcome = deepconv(
        "filter", tmp_path / "a.png", "-k", "1 2 1; 2 4 2; 1 2 1", "-o", tmp_path / "b.png", *words
    )
    assert outcome.status == 0
    assert ("add up to 16, and it gets as much brighter: --divisor sum keeps" in outcome.err) is said
    white = bool((read_image(tmp_path / "b.png").pixels == 255).all())
    assert white is (words in ((), ("--quiet",)))


def test_weights_that_keep_the_brightness_are_not_talked_about(tmp_path, rng):
    write_image(tmp_path / "a.png", rng.integers(0, 256, (7, 9, 3), np.uint8))
    for kernel in ("sharpen", "sobel", "0 -1 0; -1 5 -1; 0 -1 0"):
        assert (
            deepconv("filter", tmp_path / "a.png", "-k", kernel, "-o", tmp_path / "b.png", "--force").err
            == ""
        )
