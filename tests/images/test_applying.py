"""Effects over whole pictures: bits, colours, transparency, light, and what becomes of negative results."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepconv.images import GALLERY, Picture, apply, correlate, effect, kernel
from deepconv.images.colour import from_linear, to_linear

FULL = {np.uint8: 255, np.uint16: 65535}
LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])


def random_picture(rng, shape, dtype):
    return (
        rng.random(shape).astype(dtype)
        if dtype not in FULL
        else rng.integers(0, FULL[dtype] + 1, shape, dtype)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (5, 8, 6)])
def test_integers_are_rounded_to_the_nearest_and_clipped(rng, dtype, shape):
    picture = random_picture(rng, shape, dtype)
    weights = rng.integers(-3, 9, (3, 4))
    found = apply(picture, weights, divisor=7, offset=0.125, border="mirror", signed="clip")
    exact = correlate(picture, weights, border="mirror") / 7 + FULL[dtype] / 8
    assert found.dtype == dtype
    assert found.shape == shape
    np.testing.assert_array_equal(found, np.rint(exact).clip(0, FULL[dtype]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_come_out_as_they_are(rng, dtype):
    picture = (rng.random((6, 7, 3)) * 4 - 2).astype(dtype)
    found = apply(picture, "laplacian")
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, correlate(picture.astype(float), LAPLACE), atol=2e-2 if dtype == np.float16 else 1e-5
    )
    assert found.min() < -1


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_the_order_of_bytes_does_not_matter(rng, dtype):
    picture = random_picture(rng, (6, 7, 4), dtype)
    swapped = picture.astype(picture.dtype.newbyteorder("S"))
    found = apply(swapped, "gaussian", border="constant", constant=0.3)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, apply(picture, "gaussian", border="constant", constant=0.3))


@pytest.mark.parametrize("text", GALLERY)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colour_stays_colour(rng, text, dtype):
    picture = random_picture(rng, (21, 17, 3), dtype)
    together = apply(picture, text)
    for channel in range(3):
        alone = apply(np.ascontiguousarray(picture[..., channel]), text)
        np.testing.assert_allclose(together[..., channel], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", [text for text in GALLERY if effect(text).total == pytest.approx(1)])
def test_a_flat_picture_stays_flat(text):
    for dtype in (np.uint8, np.uint16):
        flat = np.full((13, 11, 4), [10, 200, 77, 130], dtype)
        for border in ("reflect", "mirror", "edge", "wrap"):
            np.testing.assert_array_equal(apply(flat, text, border=border), flat)
            np.testing.assert_array_equal(apply(flat, text, border=border, linear=True), flat)


@pytest.mark.parametrize("signed", ["clip", "absolute", "grey", "stretch"])
def test_negative_results(rng, signed):
    picture = random_picture(rng, (8, 9, 3), np.uint8)
    raw = correlate(picture, LAPLACE).astype(float)
    expected = {
        "clip": raw, "absolute": abs(raw), "grey": raw + 127.5,
        "stretch": (raw - raw.min()) / (raw.max() - raw.min()) * 255,
    }[signed]  # fmt: skip
    found = apply(picture, LAPLACE, signed=signed)
    assert abs(found - expected.clip(0, 255)).max() <= 0.5001
    light = picture / np.float64(255)
    floats = apply(light, LAPLACE, signed=signed)
    if signed == "clip":
        expected = expected.clip(0, 255)
    np.testing.assert_allclose(floats, expected / 255, atol=1e-12)


@pytest.mark.parametrize(
    ("what", "view"),
    [("laplacian", "absolute"), ("sobel-x", "absolute"), ("emboss", "clip"), ("emboss base=0", "grey"),
     ("gabor", "grey"), ("outline", "clip"), ("-1 0 1", "absolute"), ("1 0 1", "clip"), ("sharpen", "clip")],
)  # fmt: skip
def test_what_is_shown_without_being_asked(rng, what, view):
    picture = random_picture(rng, (9, 8), np.uint8)
    np.testing.assert_array_equal(apply(picture, what), apply(picture, what, signed=view))


def test_nothing_is_scaled_unasked(rng):
    picture = random_picture(rng, (9, 8), np.uint8) // 16
    np.testing.assert_array_equal(apply(picture, "1 1; 1 1"), correlate(picture, np.ones((2, 2), int)))
    np.testing.assert_array_equal(
        apply(picture, "1 1; 1 1", divisor="sum"), np.rint(correlate(picture, np.ones((2, 2), int)) / 4)
    )
    flat = np.full((5, 5), 90, np.uint8)
    assert apply(flat, "laplacian", signed="stretch").max() == 0  # nothing there to be stretched


def test_a_magnitude_is_the_root_of_both_squares(rng):
    picture = rng.random((9, 8, 3))
    both = [correlate(picture, kernel(f"scharr-{axis}")) for axis in "xy"]
    np.testing.assert_allclose(apply(picture, "scharr"), np.hypot(*both))
    np.testing.assert_allclose(apply(picture, "scharr", divisor=16), np.hypot(*both) / 16)


@given(
    st.integers(0, 2**32), st.sampled_from(list(GALLERY)), st.booleans(), st.sampled_from(["auto", "keep"])
)
def test_a_hidden_colour_has_no_influence(seed, text, linear, alpha):
    rng = np.random.default_rng(seed)
    dtype = rng.choice([np.uint8, np.uint16, np.float32])
    picture = random_picture(rng, (9, 11, int(rng.choice([2, 4]))), dtype)
    picture[..., -1][rng.random((9, 11)) < 0.5] = 0
    other = picture.copy()
    hidden = picture[..., -1] == 0
    other[hidden, :-1] = (
        np.nan if dtype == np.float32 else random_picture(rng, other[hidden, :-1].shape, dtype)
    )
    more = dict(linear=linear, alpha=alpha, signed=rng.choice(["clip", "stretch", "grey"]))
    np.testing.assert_array_equal(apply(picture, text, **more), apply(other, text, **more))


def test_a_blur_filters_transparency_and_leaves_the_colour():
    picture = np.zeros((5, 9, 4), np.uint8)
    picture[:, 4:] = (200, 100, 50, 255)
    picture[:, :4, :3] = (0, 255, 0)  # hidden green, which must not bleed
    found = apply(picture, "box size=1x3")
    assert found[2, 3:6].tolist() == [[200, 100, 50, 85], [200, 100, 50, 170], [200, 100, 50, 255]]
    assert found[2, 2].tolist() == [0, 0, 0, 0]
    brighter = apply(picture, "1 1 1", divisor=2)  # opacity is a mean, whatever the sum of the weights
    assert brighter[2, 3:5].tolist() == [[255, 150, 75, 85], [255, 150, 75, 170]]


def test_edges_keep_transparency_and_a_shape_is_no_edge(rng):
    picture = np.zeros((9, 9, 4), np.uint8)
    picture[..., 3] = rng.integers(0, 256, (9, 9))
    picture[..., :3] = (90, 180, 20)
    for text in ("laplacian", "sobel", "gabor", "dog"):
        found = apply(picture, text, signed="clip")
        np.testing.assert_array_equal(found[..., 3], picture[..., 3])
        assert found[..., :3].max() <= 1
    sharp = apply(picture, "sharpen")
    seen = picture[..., 3] > 0
    np.testing.assert_array_equal(sharp[seen], picture[seen])


def test_transparency_by_choice(rng):
    picture = random_picture(rng, (7, 8, 4), np.uint8)
    kept = apply(picture, "gaussian", alpha="keep")
    np.testing.assert_array_equal(kept[..., 3], picture[..., 3])
    ignored = apply(picture, "gaussian", alpha="ignore")
    for channel in range(4):
        np.testing.assert_array_equal(ignored[..., channel], apply(picture[..., channel], "gaussian"))
    with pytest.raises(ValueError, match="alpha='filter' needs one kernel whose weights sum to more than 0"):
        apply(picture, "sobel", alpha="filter")


def test_beyond_the_picture():
    picture = np.full((3, 3, 4), 255, np.uint8)
    assert apply(picture, "1 1 1", divisor=3, border="zero")[0, 0].tolist() == [255, 255, 255, 170]
    assert apply(picture, "1 1 1", divisor=3, border="constant", constant=0.5)[0, 0].tolist() == [
        213,
        213,
        213,
        255,
    ]
    assert apply(picture[..., :3], "1 1 1", divisor=3, border="zero")[0, 0].tolist() == [170, 170, 170]
    assert apply(picture, "box size=3x2", border="crop").shape == (1, 2, 4)


def test_linear_light_is_the_formula(rng):
    picture = random_picture(rng, (6, 7, 3), np.float64)
    found = apply(picture, "gaussian", linear=True)
    expected = from_linear(correlate(to_linear(picture), kernel("gaussian")))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    eight = apply(np.uint8([[0, 255]]), "box size=1x2", linear=True)
    assert eight[0, 1] == 188  # half the light of white; 128 would be half its number


@given(st.floats(-4, 4, width=32))
def test_the_curve_and_its_inverse(value):
    assert from_linear(to_linear(np.float64(value))) == pytest.approx(value, abs=1e-6)
    assert np.sign(to_linear(value)) == np.sign(value)


def test_the_curve_at_its_joint():
    assert float(to_linear(np.float64(0.04045))) == pytest.approx(0.04045 / 12.92)
    assert float(to_linear(np.float64(1))) == 1
    assert float(from_linear(np.float64(0.5))) == pytest.approx(0.735356983052)


@given(st.integers(0, 2**32))
def test_bands_leave_no_seams(seed):
    from deepconv.images import applying

    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 40)), int(rng.integers(1, 9)), int(rng.integers(1, 5)))
    picture = random_picture(rng, shape, np.uint8)
    weights = rng.integers(-4, 5, (int(rng.integers(1, 4)), int(rng.integers(1, 4))))
    more = dict(
        border=str(rng.choice(["wrap", "reflect", "zero"])), signed=str(rng.choice(["grey", "stretch"]))
    )
    whole = apply(picture, weights, **more)
    band = applying._BAND
    applying._BAND = 1
    try:
        np.testing.assert_array_equal(apply(picture, weights, **more), whole)
    finally:
        applying._BAND = band


def test_memory_is_bounded(rng):
    import tracemalloc

    picture = np.zeros((3000, 2000, 3), np.uint8)
    tracemalloc.start()
    try:
        apply(picture, "sobel")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (
        peak < picture.nbytes + 120e6
    )  # in float32 it alone would be 72 MB, and its two slopes as much each


def test_what_cannot_be_seen_is_black_and_stretches_nothing(rng):
    picture = np.zeros((9, 11, 4), np.uint8)
    picture[..., :3] = rng.integers(40, 200, (9, 11, 3))
    picture[..., 3] = 255
    picture[2::3, 2::3] = (255, 0, 255, 0)
    hidden = picture[..., 3] == 0
    for signed in ("clip", "grey", "stretch"):
        found = apply(picture, "sharpen", signed=signed)  # next to what is hidden stands what is not
        assert not found[hidden].any()
    assert (found[~hidden][:, :3].min(), found[~hidden][:, :3].max()) == (0, 255)
    blurred = np.zeros((1, 9, 2), np.uint8)
    blurred[0, 0] = (200, 1)  # a share of this is less than half of the least opacity
    assert not apply(blurred, "box size=1x3", border="zero")[0, 1].any()
    # What is hidden keeps a sum of its neighbours, which is larger here than any that is seen.
    lone = np.zeros((1, 7, 2), np.float32)
    lone[0, :, 0], lone[0, :, 1] = (0.1, 0.4, 0.2, 0.9, 0.3, 0.2, 0.1), (1, 1, 1, 0, 1, 1, 1)
    lone[0, [2, 4], 0] = 0.5
    seen = apply(lone, "1 0 1", signed="stretch", alpha="keep")[0, [0, 1, 2, 4, 5, 6], 0]
    assert (seen.min(), seen.max()) == (0, 1)


def test_a_stretch_is_that_of_the_finite_results(rng):
    picture = rng.random((6, 9)).astype(np.float32)
    picture[2, 3], picture[4, 7] = np.inf, np.nan
    found = apply(picture, "-1 1", signed="stretch")
    finite = found[np.isfinite(found)]
    assert finite.size == picture.size - 4
    assert (finite.min(), finite.max()) == (0, 1)


def test_16_bits_are_computed_in_float64(rng):
    picture = rng.integers(0, 65536, (60, 70), np.uint16)
    exact = correlate(picture.astype(np.float64), kernel("gaussian", sigma=2))
    np.testing.assert_array_equal(apply(picture, "gaussian sigma=2"), np.rint(exact))


def test_a_picture_keeps_what_is_beside_its_pixels(rng):
    picture = Picture(
        random_picture(rng, (6, 7, 3), np.uint8), profile=b"icc", text={"Title": "a"}, notes=("x",)
    )
    found = apply(picture, "sharpen")
    assert (found.profile, found.text, found.notes) == (b"icc", {"Title": "a"}, ("x",))
    np.testing.assert_array_equal(found.pixels, apply(picture.pixels, "sharpen"))
    assert "sRGB's curve" in apply(picture, "sharpen", linear=True).notes[-1]


def test_the_picture_given_is_left_alone(rng):
    for dtype in (np.uint8, np.float32, np.float64):
        picture = random_picture(rng, (6, 7, 4), dtype)
        before = picture.copy()
        for text in ("identity", "box", "sobel"):
            for signed in ("absolute", "grey", "stretch"):
                apply(picture, text, signed=signed, offset=0.25)
        np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(picture=np.zeros((3, 3), bool)), TypeError, "dtype bool.*multiply it by"),
        (dict(picture=np.zeros((3, 3), np.int32)), TypeError, "dtype int32.*make it uint8, uint16 or floats"),
        (dict(picture=np.zeros(3, np.uint8)), ValueError, r"shape \(3,\)"),
        (dict(signed="abs"), ValueError, "signed='abs' is not known; use one of clip, absolute, grey, stretch"),
        (dict(alpha="yes"), ValueError, "alpha='yes' is not known"),
        (dict(border="edges"), ValueError, "border='edges' is not known"),
        (dict(border="crop", effect="box size=9"), ValueError, "leaves nothing"),
        (dict(offset=128), ValueError, "offset=128; use a part of the full range, -1 to 1: middle grey is 0.5"),
        (dict(constant=255), ValueError, "constant=255; use a part of the full range, 0 to 1"),
        (dict(divisor=0), ValueError, "divisor=0"),
        (dict(divisor="weights"), ValueError, "divisor='weights'; use a number, 'sum' or None"),
        (dict(divisor="sum", effect="laplacian"), ValueError, "the weights of laplacian sum to 0; leave it out"),
        (dict(picture="photo.jpg"), TypeError, r"picture='photo\.jpg' is a path; pass read_image\(path\)"),
        (dict(picture=np.zeros((3, 9, 17))), ValueError, r"\(3, 9, 17\), which looks like channels first; pass"),
        (dict(effect="photo.jpg"), ValueError, "no kernel is named 'photo.jpg'"),
        (dict(effect=3.5), ValueError, r"kernel has shape \(\)"),
        (dict(anchor=(0, 9)), ValueError, r"anchor=\(0, 9\) is not a cell"),
        (dict(size=4), ValueError, "laplacian has no setting 'size'|sharpen has no setting 'size'"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said(change, error, message):
    arguments = dict(picture=np.zeros((4, 5), np.uint8), effect="sharpen") | change
    with pytest.raises(error, match=message) as caught:
        apply(**arguments)
    assert "\n" not in str(caught.value)
