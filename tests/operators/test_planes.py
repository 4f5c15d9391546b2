"""`correlate_planes` seen from outside: what it takes, what it refuses and in which words."""

import numpy as np
import pytest

from deepconv.operators.planes import correlate_planes, explain_planes


def test_borders_are_those_of_the_table():
    row, shift = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.0, 0.0, 0.0, 0.0, 0.0]])
    ends = {
        "reflect": [2, 1, 1, 2],
        "mirror": [3, 2, 1, 2],
        "edge": [1, 1, 1, 2],
        "wrap": [3, 4, 1, 2],
        "zero": [0, 0, 1, 2],
        "constant": [9, 9, 1, 2],
    }
    for border, want in ends.items():
        assert correlate_planes(row, shift, border=border, constant=9.0).tolist() == [want]


def test_the_kernel_is_not_flipped_and_its_anchor_stands_on_the_pixel():
    image, kernel = np.zeros((5, 6)), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    image[2, 3] = 1
    y = correlate_planes(image, kernel, anchor=(0, 2), border="zero")
    assert y[2, 3] == 3
    assert y[1, 3] == 6
    assert y[2, 5] == 1
    assert y[1, 5] == 4
    np.testing.assert_array_equal(
        correlate_planes(image, kernel), correlate_planes(image, kernel, anchor=(1, 1))
    )


def test_the_constant_counts_for_its_border_alone(rng):
    image, kernel = rng.standard_normal((4, 5, 3)), rng.standard_normal((3, 3))
    np.testing.assert_array_equal(
        correlate_planes(image, kernel, border="zero", constant=7.0),
        correlate_planes(image, kernel, border="zero"),
    )


def test_two_axes_are_one_channel(rng):
    image, kernel = rng.standard_normal((14, 35)), rng.standard_normal((3, 4))
    for border in ("wrap", "crop"):
        y = correlate_planes(image, kernel, border=border)
        np.testing.assert_array_equal(y, correlate_planes(image[:, :, None], kernel, border=border)[:, :, 0])


def test_a_list_or_integers_serve_as_a_kernel():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert correlate_planes(image, [[-1, 0, 1]], border="edge").dtype == np.float32


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (dict(image=np.zeros((3, 3), np.uint8)), TypeError, "image has dtype uint8 .*; convert it to float32 or"),
        (dict(image=np.zeros((3, 3), np.float16)), TypeError, "image has dtype float16"),
        (dict(image=np.zeros(3)), ValueError, r"image has shape \(3,\); use \(height, width\)"),
        (dict(image=np.zeros((0, 3))), ValueError, r"image has shape \(0, 3\).*none of them 0"),
        (dict(kernel=np.zeros((3, 3, 1))), ValueError, r"kernel has shape \(3, 3, 1\); use \(rows, columns\)"),
        (dict(kernel=np.zeros((0, 3))), ValueError, r"kernel has shape \(0, 3\)"),
        (dict(kernel=[["a"]]), TypeError, "kernel has dtype"),
        (dict(border="nearest"), ValueError, "border='nearest' is not known; use 'reflect', 'mirror', 'edge'"),
        (dict(border="crop", kernel=np.ones((9, 2))), ValueError, "border='crop' leaves nothing of an image"),
        (dict(anchor=(3, 0)), ValueError, r"anchor=\(3, 0\) is not a cell of a kernel of shape \(3, 3\)"),
        (dict(anchor=(1.5, 0)), TypeError, "anchor=.* is not two whole numbers"),
        (dict(anchor=1), TypeError, "anchor=1 is not two whole numbers"),
        (dict(out=[1]), TypeError, "out is a list"),
        (dict(out=np.zeros((5, 6))), ValueError, r"out has shape \(5, 6\) and dtype float64; use .* \(5, 7\)"),
        (dict(algorithm="fft"), ValueError, "algorithm='fft' is not known; use 'auto', 'direct'"),
        (dict(algorithm="separable"), ValueError, "algorithm='separable' can't filter a picture of 5 x 7 x 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(rng, given, error, message):
    words = dict(image=np.zeros((5, 7)), kernel=rng.standard_normal((3, 3))) | given
    with pytest.raises(error, match=f"^correlate_planes: {message}"):
        correlate_planes(words.pop("image"), words.pop("kernel"), **words)


def test_a_result_that_cannot_be_written_is_refused():
    out = np.zeros((5, 7))
    out.flags.writeable = False
    with pytest.raises(ValueError, match="float64, read-only; use a writeable one"):
        correlate_planes(np.zeros((5, 7)), np.ones((3, 3)), out=out)


def test_the_explanation_is_of_the_picture_asked_about():
    told = explain_planes((30, 40, 4), np.ones((3, 5)), border="crop", dtype=np.float64)
    assert (told.problem.out, told.problem.channels, told.problem.dtype) == ((28, 36), 4, np.float64)
    with pytest.raises(TypeError, match="dtype int64"):
        explain_planes((30, 40), np.ones((3, 3)), dtype=np.int64)
