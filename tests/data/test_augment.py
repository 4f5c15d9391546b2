"""Augmentation: seeded, pure, the same shape and dtype, and each change is what it says."""

import numpy as np
import pytest

from deepconv.data.augment import Affine, ColourJitter, Compose, CutOut, Flip, Mixup, Noise, Shift, warp

CHANGES = [
    Shift(2),
    Affine(degrees=20, scale=0.2, shift=1.5, shear=0.2),
    Flip(),
    CutOut(3),
    Noise(0.1),
    Shift(3, border="mirror"),
    Affine(degrees=40, shift=9, border="mirror"),
    ColourJitter(brightness=0.3, contrast=0.3),
    Compose(Shift(1), Affine(degrees=5), Noise(0.05)),
]


def pictures(n=6, channels=2, height=7, width=9, dtype=np.float64):
    return np.random.default_rng(11).random((n, channels, height, width)).astype(dtype)


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_it_is_pure_seeded_and_keeps_shape_and_dtype(change, dtype):
    x = pictures(dtype=dtype)
    before = x.copy()
    first, again = (change(x, np.random.default_rng(5)) for _ in range(2))
    other = change(x, np.random.default_rng(6))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(first, again)
    assert first.shape == x.shape
    assert first.dtype == dtype
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, x)
    assert not np.shares_memory(first, x)
    assert change(x[:0], np.random.default_rng(5)).shape == (0, 2, 7, 9)


def test_shift_moves_each_picture_whole_and_fills():
    x = pictures(n=200)
    y = Shift(2, fill=-5)(x, np.random.default_rng(0))
    frame = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=-5)
    moves = set()
    for old, new in zip(frame, y, strict=True):
        found = [
            (i, j) for i in range(5) for j in range(5) if np.array_equal(old[:, i : i + 7, j : j + 9], new)
        ]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) == 25


def transform(x, back, shift=(0.0, 0.0), **options):
    n = len(x)
    return warp(
        x, np.repeat(np.array(back)[..., None], n, -1), np.repeat(np.array(shift)[:, None], n, -1), **options
    )


def test_warp_by_the_identity_changes_nothing():
    x = pictures()
    np.testing.assert_array_equal(transform(x, np.eye(2)), x)


def test_warp_turns_a_square_picture_as_rot90_does():
    x = pictures(height=6, width=6)
    np.testing.assert_allclose(transform(x, [[0.0, 1.0], [-1.0, 0.0]]), np.rot90(x, axes=(2, 3)), atol=1e-12)


def test_warp_by_a_half_pixel_averages_neighbours_and_fades_into_fill():
    x = pictures()
    y = transform(x, np.eye(2), (0.5, 0.0), fill=3.0)
    below = np.concatenate([x[:, :, 1:], np.full((6, 2, 1, 9), 3.0)], axis=2)
    np.testing.assert_allclose(y, (x + below) / 2, atol=1e-12)


def test_warp_is_exact_on_a_slope():
    rows, columns = np.mgrid[0:9, 0:11]
    x = (2.0 * rows - 0.5 * columns + 4)[None, None]
    back, shift = np.array([[0.6, 0.1], [-0.2, 0.5]]), np.array([0.3, -0.4])
    y = transform(x, back, shift)
    place = np.einsum("ab,bhw->ahw", back, np.stack([rows - 4.0, columns - 5.0])) + shift[:, None, None]
    np.testing.assert_allclose(y[0, 0], 2 * (place[0] + 4) - 0.5 * (place[1] + 5) + 4, atol=1e-12)


def test_warp_far_outside_is_fill_alone():
    np.testing.assert_array_equal(
        transform(pictures(), np.eye(2), (100.0, -3.0), fill=7.0), np.full((6, 2, 7, 9), 7.0)
    )


def test_each_picture_is_warped_by_its_own_map_in_blocks_of_any_size():
    x = pictures(n=40, channels=3, height=31, width=33)
    generator = np.random.default_rng(1)
    back, shift = generator.normal(size=(2, 2, 40)), generator.normal(size=(2, 40))
    whole = warp(x, back, shift)
    for i in (0, 5, 17, 39):
        np.testing.assert_array_equal(
            whole[i : i + 1], warp(x[i : i + 1], back[..., i : i + 1], shift[:, i : i + 1])
        )


def test_affine_without_settings_changes_nothing():
    x = pictures(dtype=np.float32)
    np.testing.assert_array_equal(Affine()(x, np.random.default_rng(0)), x)


def test_affine_turns_both_ways_and_grows_and_shrinks():
    spot = np.zeros((400, 1, 21, 21))
    spot[:, :, 10, 15] = 1  # five pixels to the right of the centre
    y = Affine(degrees=30, scale=0.2)(spot, np.random.default_rng(2))[:, 0]
    rows, columns = np.mgrid[-10:11, -10:11]
    total = y.sum((1, 2))
    down, right = (y * rows).sum((1, 2)) / total, (y * columns).sum((1, 2)) / total
    angle, size = np.degrees(np.arctan2(down, right)), np.hypot(down, right) / 5
    assert (angle.min(), angle.max()) == pytest.approx((-30, 30), abs=2)
    assert (size.min(), size.max()) == pytest.approx((1 / 1.2, 1.2), abs=0.03)
    assert abs(np.mean(angle)) < 2


def coordinates(n=300, height=15, width=17):
    """Pictures whose two channels hold each pixel's row and column."""
    return np.broadcast_to(np.indices((height, width)).astype(float), (n, 2, height, width))


def test_affine_moves_rows_and_columns_apart_from_each_other():
    down, right = Affine(shift=1.5)(coordinates(), np.random.default_rng(0))[:, :, 7, 8].T - [[7], [8]]
    for moves in (down, right):
        assert -1.5 <= moves.min() < -1.4
        assert 1.4 < moves.max() <= 1.5
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.2


def test_affine_slants_by_columns_per_row():
    rows, columns = np.moveaxis(Affine(shear=0.25)(coordinates(), np.random.default_rng(0)), 1, 0)
    above, below = columns[:, 5, 8] - 8, columns[:, 9, 8] - 8
    np.testing.assert_allclose(above, -below, atol=1e-9)
    assert 0.48 < above.max() <= 0.5  # two rows from the centre
    assert -0.5 <= above.min() < -0.48
    np.testing.assert_allclose(rows[:, 5, 8], 5)


def test_flip_mirrors_about_half_of_the_pictures():
    x = pictures(n=300)
    y = Flip()(x, np.random.default_rng(0))
    mirrored = np.array([np.array_equal(a, b[..., ::-1]) for a, b in zip(x, y, strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(x, y, strict=True)])
    assert np.all(mirrored ^ kept)
    assert 110 < mirrored.sum() < 190


def test_cut_out_covers_one_square_at_most_as_large_as_asked():
    x = pictures(n=200) + 1
    y = CutOut(3, fill=-1)(x, np.random.default_rng(0))
    covered = y[:, 0] == -1
    assert np.array_equal(covered, y[:, 1] == -1)
    np.testing.assert_array_equal(np.where(covered[:, None], x, y), x)
    heights, widths = covered.any(2).sum(1), covered.any(1).sum(1)
    assert np.array_equal(heights * widths, covered.sum((1, 2)))
    assert (heights.min(), heights.max(), widths.min(), widths.max()) == (2, 3, 2, 3)
    assert covered.any(0).all()  # it reaches every pixel, corners too


def test_noise_has_the_spread_asked_for():
    x = pictures(n=100, dtype=np.float32)
    noise = Noise(0.25)(x, np.random.default_rng(0)) - x
    assert np.std(noise) == pytest.approx(0.25, rel=0.03)
    assert abs(np.mean(noise)) < 0.01


def mirrored(x, frame):
    """The pictures with their own mirror image around them, index by index."""
    for axis in (2, 3):
        size = x.shape[axis]
        turn = max(2 * (size - 1), 1)
        places = np.abs(np.arange(-frame, size + frame)) % turn
        x = x.take(np.minimum(places, turn - places), axis)
    return x


@pytest.mark.parametrize("size", [(7, 9), (2, 3), (1, 4)])
def test_shift_brings_in_the_mirror_image(size):
    x = pictures(n=60, height=size[0], width=size[1])
    y = Shift(3, border="mirror")(x, np.random.default_rng(0))
    for old, new in zip(mirrored(x, 3), y, strict=True):
        crops = [old[:, i : i + size[0], j : j + size[1]] for i in range(7) for j in range(7)]
        assert any(np.array_equal(crop, new) for crop in crops)


@pytest.mark.parametrize("size", [(7, 9), (2, 3), (1, 4)])
def test_warp_brings_in_the_mirror_image(size):
    x = pictures(height=size[0], width=size[1])
    np.testing.assert_array_equal(transform(x, np.eye(2), border="mirror"), x)
    wide = mirrored(x, 12)
    for down, right in ((5, -11), (-12, 0), (2, 3)):
        y = transform(x, np.eye(2), (down, right), border="mirror")
        window = wide[:, :, 12 + down : 12 + down + size[0], 12 + right : 12 + right + size[1]]
        np.testing.assert_allclose(y, window, atol=1e-12)
    y = transform(x, np.eye(2), (0, 0.25), border="mirror")
    window = 0.75 * wide[:, :, 12:-12, 12 : 12 + size[1]] + 0.25 * wide[:, :, 12:-12, 13 : 13 + size[1]]
    np.testing.assert_allclose(y, window, atol=1e-12)


def test_the_border_stands_in_the_words_only_where_it_is_another():
    assert repr(Shift(2)) == "Shift(pixels=2, fill=0.0)"  # as checkpoints written before it have them
    assert repr(Affine(3)) == "Affine(degrees=3, scale=0.0, shift=0.0, shear=0.0, fill=0.0)"
    assert repr(Shift(2, border="mirror")) == "Shift(pixels=2, fill=0.0, border='mirror')"


def colourful(n=300):
    return np.random.default_rng(3).uniform(0.35, 0.65, (n, 3, 4, 5))


LUMA = np.array([0.299, 0.587, 0.114])


def factors(before, after):
    return (after / before).reshape(len(before), -1)


def test_jitter_of_brightness_multiplies_evenly_in_the_logarithm():
    x = colourful(2000)
    found = factors(x, ColourJitter(brightness=0.5)(x, np.random.default_rng(0)))
    np.testing.assert_allclose(found.max(axis=1), found.min(axis=1))
    assert (found.min(), found.max()) == pytest.approx((1 / 1.5, 1.5), abs=0.02)
    assert abs(np.log(found[:, 0]).mean()) < 0.03


def test_jitter_of_contrast_stretches_about_the_mean_brightness():
    x = colourful()
    y = ColourJitter(contrast=0.5)(x, np.random.default_rng(0))
    middle = np.einsum("nchw,c->n", x, LUMA)[:, None, None, None] / 20
    found = factors(x - middle, y - middle)
    np.testing.assert_allclose(found.max(axis=1), found.min(axis=1), rtol=1e-6)
    assert (found.min(), found.max()) == pytest.approx((1 / 1.5, 1.5), abs=0.02)


def test_jitter_of_saturation_leaves_each_pixels_brightness_and_grey_pictures():
    x = colourful()
    y = ColourJitter(saturation=0.5)(x, np.random.default_rng(0))
    np.testing.assert_allclose(np.einsum("nchw,c", y, LUMA), np.einsum("nchw,c", x, LUMA), atol=1e-6)
    grey = np.einsum("nchw,c->nhw", x, LUMA)[:, None]
    found = factors(x - grey, y - grey)
    np.testing.assert_allclose(found.max(axis=1), found.min(axis=1), rtol=1e-5)
    assert (found.min(), found.max()) == pytest.approx((1 / 1.5, 1.5), abs=0.02)
    plain = np.repeat(x[:, :1], 3, axis=1)
    np.testing.assert_allclose(ColourJitter(saturation=2)(plain, np.random.default_rng(0)), plain)
    np.testing.assert_array_equal(ColourJitter(saturation=2)(x[:, :1], np.random.default_rng(0)), x[:, :1])


def test_jitter_stays_within_0_and_1_and_draws_its_factors_apart():
    x = np.random.default_rng(3).random((200, 3, 4, 5))
    y = ColourJitter(2, 2, 2)(x, np.random.default_rng(0))
    assert (y.min(), y.max()) == (0, 1)
    grey = np.repeat(np.linspace(0.4, 0.6, 200).reshape(-1, 1, 1, 1), 4, axis=3)
    y = ColourJitter(0.5, 0.5)(grey * [0.9, 1, 1, 1.1], np.random.default_rng(0))
    light, contrast = (
        y.mean(axis=(1, 2, 3)) / grey.mean(axis=(1, 2, 3)),
        np.ptp(y, axis=3)[:, 0, 0] / y[:, 0, 0, 1],
    )
    assert abs(np.corrcoef(light, contrast)[0, 1]) < 0.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mixup_blends_each_sample_with_another(dtype):
    n = 50
    x, y, weight = np.eye(n, dtype=dtype), np.eye(n, 7, dtype=np.float32), np.arange(n, dtype=float)
    before = [array.copy() for array in (x, y, weight)]
    blended, targets, weights = Mixup(0.3)(x, y, np.random.default_rng(0), weight=weight)
    for array, kept in zip((x, y, weight), before, strict=True):
        np.testing.assert_array_equal(array, kept)
    assert (blended.dtype, targets.dtype) == (dtype, np.float32)
    np.testing.assert_allclose(blended.sum(axis=1), 1, rtol=1e-6)
    own = np.diag(blended)
    assert all((row > 1e-9).sum() <= 2 for row in blended)
    partners = np.array([np.argmax(np.where(np.arange(n) == i, -1, row)) for i, row in enumerate(blended)])
    assert len(set(partners[own < 0.999])) == (own < 0.999).sum()  # no two share a partner
    np.testing.assert_allclose(targets, own[:, None] * y + (1 - own)[:, None] * y[partners], atol=1e-6)
    np.testing.assert_allclose(weights, own * weight + (1 - own) * weight[partners], atol=1e-5)
    again = Mixup(0.3)(x, y, np.random.default_rng(0))
    np.testing.assert_array_equal(again[0], blended)
    assert again[2] is None


def test_mixup_of_one_sample_and_of_none():
    x, y = np.ones((1, 3)), np.ones((1, 2)) / 2
    np.testing.assert_allclose(Mixup(1.0)(x, y, np.random.default_rng(0))[0], x)
    assert Mixup(1.0)(x[:0], y[:0], np.random.default_rng(0))[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shift(1, border="wrap"), "Shift: border='wrap' is neither 'fill' nor 'mirror'"),
        (lambda: Affine(border=None), "Affine: border=None is neither"),
        (lambda: ColourJitter(contrast=-1), "ColourJitter: contrast=-1 is negative"),
        (lambda: Mixup(0), "Mixup: alpha=0 is not a finite number above 0; use 0.2"),
        (lambda: Mixup(float("nan")), "Mixup: alpha=nan"),
        (
            lambda: Mixup(1)(np.ones((2, 3)), np.array([0, 1]), np.random.default_rng(0)),
            r"Mixup: y has shape \(2,\) and dtype int64; give probabilities \(2, K\)",
        ),
        (lambda: Shift(-1), "Shift: pixels=-1 is negative"),
        (lambda: Affine(degrees=-3), "Affine: degrees=-3 is negative"),
        (lambda: Affine(scale=float("nan")), "Affine: scale=nan"),
        (lambda: Flip(1.5), "Flip: probability=1.5 is not from 0 to 1"),
        (lambda: CutOut(-2), "CutOut: size=-2 is negative"),
        (lambda: Noise(-0.1), "Noise: std=-0.1 is negative"),
        (lambda: Shift(1)(np.zeros((3, 5, 5)), np.random.default_rng(0)), r"Shift: x has shape \(3, 5, 5\)"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("change", [Affine(degrees=5), Noise(0.1), ColourJitter(0.1)])
def test_integers_cannot_hold_what_lies_between(change):
    with pytest.raises(TypeError, match=r"x has dtype uint8.*use astype\(np.float32\)"):
        change(np.zeros((1, 1, 4, 4), np.uint8), np.random.default_rng(0))
