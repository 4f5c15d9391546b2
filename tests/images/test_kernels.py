"""The named kernels: exact numbers, sums, symmetries and settings."""

import subprocess
import sys

import numpy as np
import pytest

from deepconv.images import GALLERY, KERNELS, apply, describe, effect, kernel
from deepconv.images.kernels import named_kernels


@pytest.mark.parametrize(
    ("name", "settings", "numbers"),
    [
        ("identity", {}, [[1]]),
        ("identity", {"size": 3}, [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
        ("sharpen", {}, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
        ("outline", {}, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
        ("laplacian", {}, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
        ("laplacian", {"neighbours": 8}, [[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
        ("sobel-x", {}, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        ("sobel-y", {}, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
        ("prewitt-x", {}, [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
        ("prewitt-y", {}, [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
        ("scharr-x", {}, [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]),
        ("scharr-y", {}, [[-3, -10, -3], [0, 0, 0], [3, 10, 3]]),
        ("emboss", {}, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
        ("emboss", {"direction": "w", "base": 0}, [[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
        ("ridge", {"angle": 90}, [[-1, 2, -1], [-1, 2, -1], [-1, 2, -1]]),
        ("ridge", {"angle": "135"}, [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]]),
    ],
)
def test_whole_numbers_are_exact(name, settings, numbers):
    found = kernel(name, **settings)
    assert found.dtype == np.int64
    assert found.tolist() == numbers


@pytest.mark.parametrize(
    "text",
    ["box", "box size=4x7", "gaussian", "gaussian size=6x3", "gaussian sigma=0.3", "motion", "motion angle=17",
     "motion length=1", "motion length=6.5 angle=-70", "identity size=5", "sharpen amount=2.5", "unsharp", "emboss"],
)  # fmt: skip
def test_these_keep_the_brightness(text):
    assert effect(text).total == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "text", ["outline", "laplacian", "log", "log sigma=3", "dog", "sobel-x", "prewitt-y", "ridge", "gabor",
             "gabor angle=33 phase=90 wavelength=5", "emboss base=0"],
)  # fmt: skip
def test_these_answer_nothing_to_a_flat_picture(text):
    assert effect(text).total == 0


@pytest.mark.parametrize("direction", ["e", "ne", "n", "nw", "w", "sw", "s", "se"])
def test_emboss_rises_in_its_direction(direction):
    relief = kernel("emboss", direction=direction, base=0)
    y, x = np.mgrid[-1:2, -1:2]
    down = (direction[0] == "s") - (direction[0] == "n")
    across = ("e" in direction) - ("w" in direction)
    moment = (relief * y).sum(), (relief * x).sum()
    assert (np.sign(moment[0]), np.sign(moment[1])) == (down, across)


@pytest.mark.parametrize("angle", [0, 20, 45, 77, 90, 135, 180, 300])
def test_motion_runs_along_its_angle(angle):
    line = kernel("motion", length=21, angle=angle)
    y, x = np.indices(line.shape) - (np.array(line.shape)[:, None, None] - 1) / 2
    along = x * np.cos(np.radians(angle)) - y * np.sin(np.radians(angle))  # up is negative y
    across = x * np.sin(np.radians(angle)) + y * np.cos(np.radians(angle))
    assert np.array_equal(line, line[::-1, ::-1])
    assert (line * across**2).sum() < 0.4
    assert (line * along**2).sum() == pytest.approx((21**2 - 1) / 12, rel=0.05)  # as a box of that length
    assert line[0].any() and line[-1].any() and line[:, 0].any() and line[:, -1].any()  # noqa: PT018


def test_a_level_line_of_odd_length_is_a_box():
    np.testing.assert_allclose(kernel("motion", length=7), np.full((1, 7), 1 / 7))
    np.testing.assert_allclose(kernel("motion", length=5, angle=90), np.full((5, 1), 0.2))


def test_size_and_sigma_of_a_gaussian_give_each_other():
    assert kernel("gaussian", sigma=1.5).shape == (11, 11)
    assert kernel("gaussian").shape == (7, 7)
    bell = kernel("gaussian", size=9)[4]  # OpenCV's rule: sigma 1.7
    assert np.log(bell[4] / bell[3]) == pytest.approx(1 / (2 * 1.7**2))
    even = kernel("gaussian", size=(4, 2), sigma=1)
    np.testing.assert_allclose(even, even[::-1, ::-1])
    assert even.shape == (4, 2)


def test_gabor_answers_most_to_its_own_wave():
    y, x = np.mgrid[:60, :60]
    wave = np.cos(2 * np.pi * (x * np.cos(0.5) - y * np.sin(0.5)) / 8)
    energy = [
        np.square(apply(wave, "gabor", wavelength=8, angle=np.degrees(angle), border="crop")).mean()
        for angle in (0.5, 0.5 + np.pi / 4, 0.5 + np.pi / 2)
    ]
    assert energy[0] > 10 * max(energy[1:])


@pytest.mark.parametrize("name", KERNELS)
def test_the_catalogue_says_what_convolve_makes_of_it(name):
    entry = KERNELS[name]
    kernels = named_kernels("test", name, {"size": 5} if name == "identity" else {})[1]
    for numbers in kernels:
        turned = numbers[::-1, ::-1]
        if entry.turned.startswith("the same") and len(kernels) == 1:
            np.testing.assert_allclose(turned, numbers, atol=1e-15)
        elif entry.turned == "the negative":
            np.testing.assert_array_equal(turned, -numbers)
    assert entry.does
    assert entry.formula
    assert entry.source
    assert entry.view in ("clip", "absolute", "grey")
    assert entry.group in ("blur", "sharpen", "edges", "relief", "texture")
    for setting in entry.settings:
        assert setting.meaning
        assert setting.checked("test", None) == setting.default
    assert entry.name in describe(name)


def test_the_gallery_shows_every_kernel():
    assert {effect(text).name for text in GALLERY} == set(KERNELS)
    for text, more in GALLERY.items():
        assert apply(np.full((5, 4), 100, np.uint8), text, **more).shape == (5, 4)
    assert {effect(text).settings.get("direction") for text in GALLERY} >= {
        "n",
        "ne",
        "e",
        "se",
        "s",
        "sw",
        "w",
        "nw",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gausian", "no kernel is named 'gausian'; did you mean 'gaussian'"),
        ("Gaussian", "no kernel is named 'Gaussian'; did you mean 'gaussian'"),
        ("blur", "no kernel is named 'blur'; of that kind there are box, gaussian, motion$"),
        ("edge", "of that kind there are outline, laplacian"),
        ("gaussian sgima=2", "no setting 'sgima'; did you mean 'sigma'?; its settings are size, sigma"),
        ("outline size=3", "it has no settings"),
        ("box size=0", "size='0'; use 1 to 1001"),
        ("box size=3x", "size='3x'; use"),
        ("box size=2.5", "size='2.5'; use"),
        ("gaussian sigma=nan", "sigma='nan'; use 0.05 to 160"),
        ("gaussian sigma=wide", "sigma='wide'"),
        ("laplacian neighbours=6", "use 4, 8"),
        ("emboss direction=up", "use e, ne, n"),
        ("gaussian 7", "'7' in 'gaussian 7' is no setting; write settings as in 'gaussian size=7,sigma=1.2'"),
        ("gaussian sigma=1 sigma=2", "sets sigma twice"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(text, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as caught:
        effect(text)
    assert "\n" not in str(caught.value)


def test_texts_and_keywords_are_one():
    first, second = effect("gaussian size=3x5,sigma=1.25"), effect("gaussian", size=(3, 5), sigma=1.25)
    np.testing.assert_array_equal(first.kernels[0], second.kernels[0])
    assert str(first) == str(second) == "gaussian size=3x5 sigma=1.25"
    np.testing.assert_array_equal(effect(str(first)).kernels[0], first.kernels[0])
    assert effect("gaussian size=5", size=7).kernels[0].shape == (7, 7)
    assert effect("gaussian:size=5").kernels[0].shape == (5, 5)


def test_a_magnitude_is_no_single_kernel():
    with pytest.raises(ValueError, match="take 'scharr-x' and 'scharr-y'"):
        kernel("scharr")
    with pytest.raises(ValueError, match="size can't be set; only named kernels have settings"):
        effect([[1, 2]], size=3)


def test_the_largest_gaussian_has_bounds():
    assert max(kernel("gaussian", sigma=160).shape) <= 1001
    assert max(kernel("gabor", wavelength=100).shape) <= 1001


@pytest.mark.parametrize("entry", KERNELS.values(), ids=lambda entry: entry.name)
def test_no_setting_goes_beyond_its_range(entry):
    for setting in entry.settings:
        beyond = ["nothing"] if setting.words else [setting.high + 1, setting.low - 1]
        for value in beyond:
            with pytest.raises(ValueError, match=f"kernel: {entry.name}: {setting.name}=.*; use "):
                kernel(entry.name, **{setting.name: value})


def test_every_name_is_listed_before_it_is_loaded():
    command = "import deepconv as dc; print({*dc.images.__all__} - {*dir(dc.images)})"
    assert subprocess.check_output([sys.executable, "-c", command], text=True).strip() == "set()"
