"""From any picture of a digit to what the network was trained on."""

import json

import numpy as np
import pytest

from deepconv.data.digits import load_digits
from deepconv.data.preprocessing import (
    DIGITS,
    STEPS,
    block_means,
    check_steps,
    crop,
    fit,
    ink,
    largest_parts,
    preprocess,
    thicken,
)
from tests.drawing import STROKES, drawn, enlarged


def prepared(picture):
    return preprocess(np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255), DIGITS)


def test_the_steps_are_plain_json():
    assert json.loads(json.dumps(DIGITS)) == DIGITS
    check_steps(json.loads(json.dumps(DIGITS)))


@pytest.mark.parametrize("digit", STROKES)
def test_a_digit_fills_the_height_as_ucis_do(digit):
    x = prepared(drawn(digit))
    assert x.shape == (1, 8, 8)
    assert x.dtype == np.float32
    assert 0 <= x.min() <= x.max() <= 1
    assert (x[0].max(axis=1) > 0.2).all()
    assert x[0, :, 0].max() < 0.1
    assert 14 < x.sum() < 26  # UCI's have 12 to 27 sixteenths of ink, 19.6 in the middle


def test_light_on_dark_is_the_same_as_dark_on_light():
    assert np.array_equal(prepared(drawn("5")), prepared(drawn("5", ink=255, paper=0)))


def test_pale_ink_and_coloured_paper_are_the_same_too():
    plain = np.asarray(drawn("3").convert("RGB"), dtype=np.float32)[..., :1] / 255
    red_on_green = plain * [0.2, 0.5, 0.1] + (1 - plain) * [0.8, 0.5, 0.1]
    assert np.abs(preprocess(red_on_green.astype(np.float32), DIGITS) - prepared(drawn("3"))).max() < 0.01


@pytest.mark.parametrize("box", [(10, 10, 120), (300, 250, 120), (5, 270, 120)])
def test_the_place_on_the_page_does_not_matter(box):
    assert np.array_equal(prepared(drawn("2", size=(400, 400), box=box)), prepared(drawn("2")))


@pytest.mark.parametrize("height", [24, 60, 300])
def test_the_size_hardly_matters(height):
    scaled = prepared(drawn("6", size=(500, 400), box=(150, 50, height), pen=height / 10))
    assert np.abs(scaled - prepared(drawn("6"))).mean() < 0.06


@pytest.mark.parametrize("pen", [1, 2, 5, 12, 24])
def test_the_pen_hardly_matters(pen):
    assert np.abs(prepared(drawn("3", pen=pen)) - prepared(drawn("3", pen=10))).mean() < 0.15


def test_specks_and_noise_are_ignored(rng):
    clean = np.asarray(drawn("9").convert("RGB"), dtype=np.float32) / 255
    noisy = clean + rng.normal(0, 0.1, clean.shape).astype(np.float32)
    noisy[rng.random(clean.shape[:2]) < 0.01] = 0
    assert np.abs(preprocess(np.clip(noisy, 0, 1), DIGITS) - preprocess(clean, DIGITS)).mean() < 0.05


def test_shade_over_the_page_is_ignored():
    clean = np.asarray(drawn("4").convert("RGB"), dtype=np.float32) / 255
    shade = np.linspace(1, 0.7, 200, dtype=np.float32)[:, None, None]
    assert np.abs(preprocess(clean * shade, DIGITS) - preprocess(clean, DIGITS)).mean() < 0.03


def test_a_one_stays_narrow():
    x = prepared(drawn("1", pen=8))[0]
    assert 0.1 < x.max(axis=0).mean() < 0.8


def test_ucis_own_digits_hardly_change():
    images, _ = load_digits()
    changes = [np.abs(prepared(enlarged(image[0])) * 16 - image[0]).mean() for image in images[:40]]
    assert np.mean(changes) < 1.6  # of 16


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_empty_page_is_an_error(value):
    with pytest.raises(ValueError, match=r"nothing stands out from the background \(contrast 0\.00"):
        preprocess(np.full((30, 20, 3), value, dtype=np.float32), DIGITS)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (2, 2, 3), (3, 1, 3)])
def test_the_smallest_pictures_give_a_result_or_a_clear_error(shape, rng):
    try:
        x = preprocess(rng.random(shape, dtype=np.float32), DIGITS)
    except ValueError as error:
        assert "stands out" in str(error)  # noqa: PT017  (either outcome is right)
    else:
        assert x.shape == (1, 8, 8)
        assert np.isfinite(x).all()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("crop", "expected a list of steps, got str"),
        ({"step": "crop"}, "expected a list of steps, got dict"),
        (["crop"], "step 1 is None, which is unknown; known are: block_means, cover, crop"),
        ([{"step": "crop"}, {"step": "eval"}], "step 2 is 'eval', which is unknown"),
        ([{"step": ["crop"]}], r"step 1 is \['crop'\], which is unknown"),
        ([{"step": "fit", "height": 9}], r"step 1 \(fit\): settings \['height'\] don't match; it takes"),
        ([{"step": "crop", "code": 1}], r"step 1 \(crop\): settings \['code'\] don't match"),
        ([{"step": "fit", "height": 10**9, "width": 1}], "height=1000000000 is not a number from 0 to 4096"),
        ([{"step": "fit", "height": 8.5, "width": 1}], r"height=8\.5 must be whole and at least 1"),
        ([{"step": "fit", "height": 8, "width": "os"}], "width='os' is not a number"),
        ([{"step": "crop", "least": float("nan")}], "least=nan is not a number"),
        ([{"step": "thicken", "ink": True}], "ink=True is not a number"),
        ([{"step": "thicken", "ink": 0.3, "most": 1.5}], r"most=1\.5 must be whole and at least 1"),
        ([{"step": "thicken", "ink": 0.3, "most": 0}], "most=0 must be whole and at least 1"),
        ([{"step": "block_means", "size": [8]}], r"size=\[8\] must be 2 whole numbers"),
        ([{"step": "block_means", "size": 8}], "size=8 must be 2 whole numbers"),
        ([{"step": "fit", "height": [8, 8], "width": 1}], r"height=\[8, 8\] must be one number"),
        ([{"step": "crop"}] * 101, "101 steps, more than 100"),
    ],
)
def test_a_hostile_description_is_refused(steps, message):
    with pytest.raises(ValueError, match=f"^preprocessing: .*{message}"):
        check_steps(steps)


def test_as_many_steps_as_there_may_be():
    check_steps([{"step": "crop"}] * 100)


def test_every_step_is_documented():
    for name, function in STEPS.items():
        assert function.__doc__, name


def test_connected_parts_agree_with_a_flood_fill(rng):
    from deepconv.data.preprocessing import _connected

    for density in (0.2, 0.4, 0.6):
        mask = rng.random((23, 31)) < density
        labels = _connected(mask)
        assert np.array_equal(labels > 0, mask)
        seen = np.zeros_like(mask)
        parts = 0
        for start in zip(*np.nonzero(mask), strict=True):
            if seen[start]:
                continue
            parts += 1
            todo = [start]
            seen[start] = True
            while todo:
                row, column = todo.pop()
                assert labels[row, column] == labels[start]
                for r in range(max(row - 1, 0), min(row + 2, 23)):
                    for c in range(max(column - 1, 0), min(column + 2, 31)):
                        if mask[r, c] and not seen[r, c]:
                            seen[r, c] = True
                            todo.append((r, c))
        assert len(np.unique(labels)) == parts + 1


def test_a_narrow_figure_keeps_its_proportion_and_a_wide_one_fills_the_width():
    narrow = fit(np.ones((40, 4)), 20, 16)
    assert (narrow.max(axis=0) > 0.5).sum() == 2  # 4/40 of 20 rows, not 16 columns
    wide = fit(np.ones((40, 20)), 20, 16)
    assert (wide.max(axis=0) > 0.5).sum() == 16
    assert (fit(np.ones((40, 10)), 20, 12).max(axis=0) > 0.5).sum() == 5  # a quarter of the rows, not of 12


def test_strokes_too_thick_are_thinned_and_too_thin_ones_thickened():
    slab = np.zeros((20, 20))
    slab[:, 4:16] = 1
    assert thicken(slab, ink=0.2).mean() == pytest.approx(0.2)
    line = np.zeros((20, 20))
    line[:, 10] = 1
    assert thicken(line, ink=0.25).mean() == pytest.approx(0.25)


@pytest.mark.parametrize(("target", "reached"), [(17, 9), (18, 9), (19, 27)])
def test_strokes_are_thickened_only_while_that_comes_closer(target, reached):
    line = np.zeros((9, 9))
    line[:, 4] = 1
    assert thicken(line, ink=target / 81).sum() == reached


def test_a_hairline_too_faint_to_be_ink_is_thickened_all_the_same():
    line = np.zeros((11, 20))
    line[:, 6] = 1
    assert np.array_equal(thicken(line * 0.2, ink=0.2), thicken(line, ink=0.2))
    assert thicken(line * 0.2, ink=0.2).mean() == pytest.approx(0.15)


def test_a_stroke_over_the_border_does_not_tint_the_paper():
    page = np.full((9, 12, 3), [0.9, 0.8, 0.7])
    page[:, 4] = 0.1
    found = ink(page)
    assert np.array_equal(found, np.broadcast_to(np.arange(12) == 4, (9, 12)))


def test_a_few_glaring_pixels_do_not_make_the_stroke_faint():
    page = np.full((150, 200), 1.0)
    page[20:120, 90:96] = 0.5
    page[[3, 140], [7, 180]] = 0.0  # two of 30,000
    assert (ink(page)[20:120, 90:96] == 1).all()
    page[70, 10:12] = 0.0  # four are more than a handful
    assert ink(page)[50, 92] == 0.5


def test_the_soft_edge_of_a_part_stays_and_what_is_beyond_goes():
    row = np.array([[0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.4, 0.3, 0.2, 0.1]])
    assert largest_parts(row).tolist() == [[0, 0, 0.3, 0.4, 0.9, 0.8, 0.4, 0.3, 0, 0]]


@pytest.mark.parametrize("turn", [0, 1])
def test_ink_of_just_the_least_strength_is_cut_out_too(turn):
    page = np.zeros((5, 7))
    page[2, 1:6] = [0.2, 0.25, 1, 0.25, 0.2]
    assert np.array_equal(crop(np.rot90(page, turn)), np.rot90([[0.25, 1, 0.25]], turn))


@pytest.mark.parametrize("shape", [(6, 5), (5, 6), (7, 8)])
def test_blocks_that_do_not_fit_are_refused(shape):
    with pytest.raises(
        ValueError, match=rf"^block_means: size=\[2, 3\] does not divide .* {shape[0]}x{shape[1]}$"
    ):
        block_means(np.zeros(shape), [2, 3])
