"""Photographs brought to one size: in proportion, without flicker, and the same for training and prediction."""

import json

import numpy as np
import pytest
from PIL import Image

from deepconv.data.decoding import PictureBatches, prepare_picture
from deepconv.data.folders import scan_folder
from deepconv.data.photographs import cover, grey, standardise
from deepconv.data.pictures import read_picture
from deepconv.data.preprocessing import check_steps, photograph_steps, preprocess
from tests.data.photographs import make_folder, noise


def slow_cover(picture, size):
    """By the definition: for each new pixel a triangle about its centre, one sum over the whole picture."""
    height, width = picture.shape[:2]
    scale = min(height / size[0], width / size[1])
    reach = max(1.0, scale)
    result = np.empty((*size, *picture.shape[2:]))
    for i in range(size[0]):
        for j in range(size[1]):
            y = height / 2 + (i + 0.5 - size[0] / 2) * scale - 0.5
            x = width / 2 + (j + 0.5 - size[1] / 2) * scale - 0.5
            rows = np.maximum(0, 1 - np.abs(np.arange(height) - y) / reach)
            columns = np.maximum(0, 1 - np.abs(np.arange(width) - x) / reach)
            weights = np.outer(rows / rows.sum(), columns / columns.sum())
            result[i, j] = np.tensordot(weights, picture, 2)
    return result


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 9), (30, 17, 3), (8, 6, 1), (64, 50, 3), (3, 40, 4)])
@pytest.mark.parametrize("size", [(8, 6), (1, 1), (7, 13)])
def test_cover_is_its_definition(shape, size, rng):
    picture = rng.random(shape, np.float32)
    np.testing.assert_allclose(cover(picture, size), slow_cover(picture.astype(float), size), atol=2e-6)


def test_cover_of_the_same_size_changes_nothing_and_keeps_constants(rng):
    picture = rng.random((7, 5, 3), np.float32)
    np.testing.assert_array_equal(cover(picture, (7, 5)), picture)
    np.testing.assert_allclose(cover(np.full((37, 90, 3), 0.3), (8, 8)), 0.3, rtol=1e-6)


def test_cover_cuts_the_centre_in_proportion():
    rows, columns = np.mgrid[0:20.0, 0:50.0]
    small = cover(np.stack([rows, columns], axis=-1), (10, 10))
    np.testing.assert_allclose(small[:, 0, 0], np.arange(10) * 2 + 0.5, atol=0.3)
    np.testing.assert_allclose(small[4, :, 1], np.arange(10) * 2 + 15.5, atol=1e-4)


def test_cover_is_level_with_pillows_antialiased_resizing(rng):
    smooth = np.asarray(noise(rng, 90, 120).resize((300, 200), Image.Resampling.BICUBIC), np.float32) / 255
    for size in ((40, 60), (33, 33)):
        short = min(200 / size[0], 300 / size[1])
        height, width = size[0] * short, size[1] * short
        box = ((300 - width) / 2, (200 - height) / 2, (300 + width) / 2, (200 + height) / 2)
        theirs = Image.fromarray(np.uint8(np.rint(smooth * 255))).resize(
            size[::-1], Image.Resampling.BILINEAR, box
        )
        inner = (slice(2, -2), slice(2, -2))  # Pillow doesn't look beyond the box
        ours = cover(smooth, size)
        np.testing.assert_allclose(ours[inner], np.asarray(theirs, np.float32)[inner] / 255, atol=1.6 / 255)


def test_grey_and_standardise(rng):
    picture = rng.random((4, 5, 3), np.float32)
    theirs = np.asarray(Image.fromarray(np.uint8(picture * 255)).convert("L"), float)
    np.testing.assert_allclose(grey(np.uint8(picture * 255) / 255) * 255, theirs, atol=1)
    assert grey(picture[..., :1]).shape == (4, 5)
    assert grey(picture[..., 0]) is not None
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.1, 0.3]
    np.testing.assert_allclose(standardise(picture, mean, std), (picture - mean) / std, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        standardise(picture[..., 0], [0.5], [0.2]), (picture[..., 0] - 0.5) / 0.2, rtol=1e-5
    )
    with pytest.raises(
        ValueError, match=r"standardise: mean=\[0\.5\] and std=\[0\.2\] must have one .* channel, 3"
    ):
        standardise(picture, [0.5], [0.2])
    for statistics in ((mean, [0.2]), ([0.5], std)):
        with pytest.raises(ValueError, match="must have one number per channel, 3"):
            standardise(picture, *statistics)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_steps_are_plain_json_and_prepare_any_picture(channels, rng):
    values = {"mean": np.float32([0.5, 0.4, 0.3])[:channels], "std": np.float32([0.2, 0.1, 0.3])[:channels]}
    steps = photograph_steps((np.int64(9), 12), channels, **values)
    assert json.loads(json.dumps(steps)) == steps
    check_steps(steps)
    for shape in ((40, 30, 3), (2, 3, 3), (9, 12, 3)):
        x = preprocess(rng.random(shape, np.float32), steps)
        assert (x.shape, x.dtype) == ((channels, 9, 12), np.float32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 2}, "channels=2 is neither 1"),
        ({"size": 64}, r"size=64 is not \(height, width\); use \(64, 64\), say"),
        ({"size": (64, 64, 3)}, r"size=\(64, 64, 3\) is not"),
        ({"size": (64, 6.5)}, r"size=\(64, 6\.5\) is not"),
        ({"size": "64"}, "size='64' is not"),
        ({"mean": [0.5] * 3}, "mean and std come together; give both or neither"),
        ({"mean": [0.5], "std": [0.5]}, r"must have one number per channel, 3"),
        ({"size": (0, 4)}, r"size=\[0, 4\] must be whole and at least 1"),
        ({"size": (8000, 4)}, "is not a number from 0 to 4096"),
        ({"mean": [0.5] * 3, "std": [0.5, 0.5, 0.0]}, r"std=\[0\.5, 0\.5, 0\.0\] must be at least 0\.0001"),
        ({"mean": [float("nan")] * 3, "std": [0.5] * 3}, "is not a number from 0 to 4096"),
    ],
)
def test_steps_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        photograph_steps(**{"size": (8, 8), **settings})


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"step": "standardise", "mean": 0.5, "std": [1]}, r"mean=0\.5 must be 1 to 4 numbers"),
        ({"step": "standardise", "mean": [], "std": [1]}, r"mean=\[\] must be 1 to 4 numbers"),
        (
            {"step": "standardise", "mean": [0.1] * 10**5, "std": [1]},
            r"mean=\[0\.1, .{90,110} must be 1 to 4 numbers",
        ),
        ({"step": "standardise", "mean": ["os"], "std": [1]}, r"mean=\['os'\] is not a number"),
        ({"step": "standardise", "mean": [[1]], "std": [1]}, r"mean=\[\[1\]\] is not a number"),
        ({"step": "standardise", "mean": [1], "std": [True]}, r"std=\[True\] is not a number"),
        ({"step": "cover", "size": [8, 8, 8]}, r"size=\[8, 8, 8\] must be 2 whole numbers"),
        ({"step": "cover", "size": [8.5, 8]}, r"size=\[8\.5, 8\] must be whole"),
        (
            {"step": "grey", "size": [8, 8]},
            r"step 1 \(grey\): settings \['size'\] don't match; it takes \[\]",
        ),
    ],
)
def test_hostile_steps_are_refused(step, message):
    with pytest.raises(ValueError, match=f"^preprocessing: .*{message}"):
        check_steps([step])


def test_large_pictures_are_decoded_small_and_look_the_same(tmp_path, rng):
    """However a picture is shrunk on its way, it comes out as the whole picture's average would."""
    smooth = noise(rng, 6, 8).resize((800, 600), Image.Resampling.BICUBIC)
    mark = Image.Exif()
    mark[0x0112] = 6
    smooth.save(tmp_path / "a.jpg", quality=95)
    smooth.save(tmp_path / "a.png")
    smooth.save(tmp_path / "turned.jpg", quality=95, exif=mark)
    whole = np.asarray(smooth, np.float32) / 255
    for name, picture in (("a.jpg", whole), ("a.png", whole), ("turned.jpg", np.rot90(whole, -1))):
        read = read_picture(tmp_path / name, at_least=(32, 48))
        assert 32 <= read.shape[0] < 128
        assert 48 <= read.shape[1] < 128
        x = prepare_picture(tmp_path / name, photograph_steps((32, 48)))
        assert np.abs(x - np.moveaxis(cover(picture, (32, 48)), -1, 0)).mean() < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_prediction_and_training_see_the_same_bits(tmp_path, rng, channels):
    root = make_folder(tmp_path, {"a": 6, "b": 6}, rng, sizes=(5, 200))
    found = scan_folder(root)
    settings = {"mean": [0.4, 0.5, 0.6][:channels], "std": [0.2, 0.25, 0.3][:channels]}
    batches = PictureBatches(found, size=(16, 24), channels=channels, batch_size=5, **settings)
    x = np.concatenate([x for x, _ in batches.epoch(0, 0)])
    for row in range(len(found)):
        alone = prepare_picture(found.path(row), json.loads(json.dumps(batches.steps)))
        assert x[row].tobytes() == np.ascontiguousarray(alone).tobytes()
        np.testing.assert_array_equal(batches.read(row), alone)
    unchanged = PictureBatches(found, size=(16, 24), channels=channels, augment=lambda x, rng: x, **settings)
    assert np.concatenate([x for x, _ in unchanged.epoch(0, 1)]).tobytes() == x.tobytes()
