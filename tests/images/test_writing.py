"""Writing pictures: what a format holds, what is said of the rest, and never half a file nor over another."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deepconv.images import Picture, apply, read_image, write_image
from deepconv.images.writing import ENDINGS
from tests.images.samples import everything, random_pixels


@pytest.mark.parametrize("ending", [".jpg", ".avif"])
def test_lossy_formats_stay_near(tmp_path, ending):
    y, x = np.mgrid[:40, :50]
    pixels = np.stack([4 * y, 5 * x, 2 * (x + y)], axis=-1).astype(np.uint8)
    write_image(tmp_path / f"a{ending}", pixels)
    assert abs(read_image(tmp_path / f"a{ending}").pixels.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize(
    ("channels", "dtype", "ending", "notes"),
    [
        (4, np.uint8, ".jpg", ["transparency was laid on white for JPEG"]),
        (3, np.uint16, ".jpg", ["16 bits were rounded to 8, as JPEG holds no more"]),
        (3, np.float32, ".png", ["floats were rounded to 16 bits, as PNG holds none"]),
        (1, np.float32, ".bmp", ["floats were rounded to 8 bits, as BMP holds none"]),
        (2, np.uint16, ".webp", ["16 bits were rounded to 8, as WEBP holds no more"]),
        (3, np.uint8, ".gif", ["colours were reduced to 256, as GIF holds no more"]),
    ],
)
def test_what_a_format_does_not_hold_is_said(tmp_path, rng, channels, dtype, ending, notes):
    assert list(write_image(tmp_path / f"a{ending}", random_pixels(rng, channels, dtype))) == notes


@pytest.mark.parametrize("what", ["exif", "xmp", "comment"])
def test_what_is_too_long_for_a_jpeg_is_left_out_and_said(tmp_path, rng, what):
    picture, long = everything(rng), "x" * 70_000
    mark = Image.Exif()
    mark[270] = long
    more = {"exif": mark.tobytes(), "xmp": long.encode(), "comment": {"Comment": long}}
    picture = replace(picture, **{"text" if what == "comment" else what: more[what]})
    (note,) = write_image(tmp_path / "a.jpg", picture)
    assert note.startswith("left out, as JPEG has no place for it: ")
    assert what in note.lower()
    read = read_image(tmp_path / "a.jpg")
    kept = {"exif": read.exif, "xmp": read.xmp, "comment": read.text}
    assert [name for name, there in kept.items() if not there] == [what]


def test_conversions_round_to_the_nearest(tmp_path):
    write_image(tmp_path / "a.bmp", np.array([[0, 128, 129, 65535]], np.uint16))
    assert read_image(tmp_path / "a.bmp").pixels.tolist() == [[0, 0, 1, 255]]
    notes = write_image(tmp_path / "b.png", np.array([[-1, 0.5, 2, np.nan]], np.float32))
    assert read_image(tmp_path / "b.png").pixels.tolist() == [[0, 32768, 65535, 0]]
    assert notes[0].endswith("3 numbers beyond 0 to 1 clipped")
    notes = write_image(tmp_path / "bright.png", np.array([[0.0, 117, 255]]))
    assert notes[0].endswith(
        "2 numbers beyond 0 to 1 clipped: 1 is white, so divide numbers from 0 to 255 by 255"
    )
    write_image(tmp_path / "c.bmp", np.array([[[100, 0, 0, 0], [100, 0, 0, 51]]], np.uint8))
    assert read_image(tmp_path / "c.bmp").pixels.tolist() == [[[255, 255, 255], [224, 204, 204]]]
    write_image(tmp_path / "d.png", np.array([[True, False]]))
    assert read_image(tmp_path / "d.png").pixels.tolist() == [[255, 0]]


def test_nothing_is_overwritten_unasked(tmp_path, rng):
    first, second = random_pixels(rng, 3, np.uint8), random_pixels(rng, 3, np.uint8)
    write_image(tmp_path / "a.png", first)
    with pytest.raises(
        FileExistsError, match=r"a\.png' exists already; choose another name or pass overwrite=True"
    ):
        write_image(tmp_path / "a.png", second)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, first)
    write_image(tmp_path / "a.png", second, overwrite=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, second)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="not a plain file"):
        write_image(tmp_path / "folder.png", first, overwrite=True)


def test_swapped_arguments():
    with pytest.raises(
        TypeError, match=r"path=Picture: 2 x 3 pixels, .* is no path; use write_image\(path, picture"
    ):
        write_image(Picture(np.zeros((3, 2), np.uint8)), "a.png")


@pytest.mark.parametrize(
    ("name", "picture", "more", "error", "message"),
    [
        ("a.xyz", np.zeros((2, 2)), {}, ValueError, "'.xyz' names no format; use .png, .jpg"),
        ("a", np.zeros((2, 2)), {}, ValueError, "'no ending' names no format"),
        (
            "a.jpg",
            np.zeros((2, 2)),
            {"quality": 0},
            ValueError,
            "quality=0; use a whole number from 1 to 100",
        ),
        ("a.jpg", np.zeros((2, 2)), {"quality": "high"}, ValueError, "quality='high'"),
        ("a.png", np.zeros((2, 2), np.int64), {}, TypeError, "dtype int64; use uint8, uint16 or floats"),
        ("a.png", np.zeros((2, 2, 5), np.uint8), {}, ValueError, r"shape \(2, 2, 5\)"),
        ("a.png", np.zeros((0, 2), np.uint8), {}, ValueError, r"shape \(0, 2\)"),
        ("a.png", "b.png", {}, TypeError, "picture has dtype"),
        ("none/a.png", np.zeros((2, 2)), {}, FileNotFoundError, "there is no folder '.*none'; make it first"),
        (
            "a.jpg",
            np.zeros((1, 70_000), np.uint8),
            {},
            ValueError,
            "JPEG holds 65,500 pixels a side and this has 70,000; write it as .png or .tif",
        ),
        ("a.webp", np.zeros((1, 17_000, 3), np.uint8), {}, ValueError, "WEBP holds 16,383 pixels a side"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path, name, picture, more, error, message):
    with pytest.raises(error, match=message) as caught:
        write_image(tmp_path / name, picture, **more)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_equal_calls_write_equal_bytes(tmp_path, rng):
    picture = everything(rng, 4)
    for ending in ENDINGS:
        for name in ("a", "b"):
            write_image(tmp_path / f"{name}{ending}", apply(picture, "unsharp", linear=True))
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()
