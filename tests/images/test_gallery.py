"""The contact sheet: every effect's own pixels, each in its place, for pictures of any kind and shape."""

import numpy as np
import pytest
from PIL import Image

from deepconv.images import GALLERY, Picture, apply, contact_sheet, effect
from tests.images.samples import everything, random_pixels


def places(sheet, tile):
    """Find where a tile stands in a sheet, as (top, left)."""
    height, width = tile.shape[:2]
    inside = sheet[: len(sheet) - height + 1, : sheet.shape[1] - width + 1]
    corners = np.argwhere((inside == tile[0, 0]).all(axis=-1))
    return [(y, x) for y, x in corners if np.array_equal(sheet[y : y + height, x : x + width], tile)]


def test_each_tile_is_the_effect_on_the_shrunk_picture(rng):
    pixels = random_pixels(rng, 3, np.uint8, (120, 160))
    effects = {"sharpen": {}, "sobel": {"divisor": 4}, "emboss direction=n": {"border": "wrap"}}
    sheet = contact_sheet(pixels, effects=effects, columns=2, tile=80).pixels
    small = np.asarray(Image.fromarray(pixels).resize((80, 60), Image.Resampling.LANCZOS, reducing_gap=3.0))
    found = [places(sheet, apply(small, text, **more)) for text, more in effects.items()]
    assert [len(one) for one in found] == [1, 1, 1]
    (first,), (second,), (third,) = found
    assert first[0] == second[0] < third[0]
    assert first[1] == third[1] < second[1]


@pytest.mark.parametrize(
    ("channels", "dtype", "scale"), [(1, np.uint16, 257), (3, np.float32, 1 / 255), (3, np.uint8, 1)]
)
def test_a_small_picture_is_filtered_as_it_is_and_drawn_in_squares(rng, channels, dtype, scale):
    bytes_ = random_pixels(rng, channels, np.uint8, (5, 7))
    sheet = contact_sheet((bytes_ * dtype(scale)).astype(dtype), effects={"sharpen": {}}, tile=70).pixels
    squares = apply(np.atleast_3d(bytes_), "sharpen").repeat(10, axis=0).repeat(10, axis=1)
    assert len(places(sheet, np.broadcast_to(squares, (50, 70, 3)))) == 1


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_pictures_look_like_shallow_ones(rng, dtype):
    pixels = random_pixels(rng, 3, np.uint8, (150, 40))
    deep = (pixels * (np.uint16(257) if dtype == np.uint16 else np.float32(1 / 255))).astype(dtype)
    sheets = [contact_sheet(one, effects={"sobel": {}}, tile=60).pixels for one in (pixels, deep)]
    assert np.array_equal(*sheets)


def test_transparency_shows_a_chequered_ground(rng):
    pixels = random_pixels(rng, 4, np.uint8, (40, 48))
    pixels[..., 3] = np.where(np.arange(48) < 24, 0, 255)
    sheet = contact_sheet(pixels, effects={"identity": {}}, tile=48).pixels
    ((top, left),) = places(sheet, np.ascontiguousarray(pixels[:, 24:, :3]))
    ground = sheet[top : top + 40, left - 24 : left]
    assert {tuple(colour) for colour in ground.reshape(-1, 3)} == {(255,) * 3, (226,) * 3}
    assert len({tuple(ground[row, column]) for row, column in ((0, 0), (8, 8), (16, 0), (0, 16))}) == 1
    assert not np.array_equal(ground[0, 0], ground[0, 8])


def test_all_of_the_gallery_fills_whole_rows(rng):
    pixels = random_pixels(rng, 3, np.uint8, (30, 45))
    sheet = contact_sheet(pixels, tile=48, title="a.png").pixels
    height, width = sheet.shape[:2]
    assert 0.8 < width / height < 2.2
    text, more = list(GALLERY.items())[-1]
    ((top, left),) = places(sheet, apply(pixels, text, **more))
    assert top > 0.75 * height
    assert left > 0.75 * width


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (2, 3000), (700, 31), (64, 64)])
@pytest.mark.parametrize("tile", [48, 300])
def test_any_shape_gives_a_sheet_of_bounded_size(rng, size, tile):
    sheet = contact_sheet(
        random_pixels(rng, 3, np.uint8, size), effects=dict(list(GALLERY.items())[:5]), tile=tile
    )
    height, width = sheet.pixels.shape[:2]
    assert height * width < 5 * 3 * (tile + 200) ** 2


def test_the_middle_of_a_long_picture_is_shown(rng):
    pixels = random_pixels(rng, 3, np.uint8, (20, 400))
    sheet = contact_sheet(pixels, effects={"identity": {}}, tile=80).pixels
    assert len(places(sheet, np.ascontiguousarray(pixels[:, 160:240]))) == 1


def test_each_label_can_be_read(rng, monkeypatch):
    import deepconv.images.gallery as gallery

    written = []
    real = gallery.ImageDraw.ImageDraw.text

    def noting(self, at, text, *rest):
        written.append(text)
        real(self, at, text, *rest)

    monkeypatch.setattr(gallery.ImageDraw.ImageDraw, "text", noting)
    for size in ((40, 60), (60, 20)):
        written.clear()
        contact_sheet(random_pixels(rng, 3, np.uint8, size), title="pic\u4e2d.png")
        assert written[0] == "pic?.png"
        assert "filtered and shown at" in written[1]
        labels = [
            " ".join(pair).replace(",", "").strip() for pair in zip(written[2::2], written[3::2], strict=True)
        ]
        wanted = [
            " ".join([str(effect(text)), *(f"{key}={value}" for key, value in more.items())])
            for text, more in GALLERY.items()
        ]
        assert labels == wanted


def test_a_title_too_long_is_cut(rng):
    picture = random_pixels(rng, 3, np.uint8, (40, 60))
    sheets = [
        contact_sheet(picture, effects={"box": {}}, tile=60, title=title * 300) for title in ("a", "ab")
    ]
    assert sheets[0].pixels.shape == sheets[1].pixels.shape
    paper = sheets[0].pixels[0, 0]
    assert (sheets[0].pixels[:, -8:] == paper).all()  # nothing runs over the edge


def test_the_colour_profile_goes_along_and_where_it_was_taken_does_not(rng):
    picture = everything(rng)
    sheet = contact_sheet(picture, effects={"box": {}})
    assert (sheet.profile, sheet.exif, sheet.text) == (picture.profile, None, {})


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        ({"tile": 47}, ValueError, "tile=47; use a whole number of pixels from 48 to 1024"),
        ({"tile": 100.5}, ValueError, "tile=100.5"),
        ({"columns": 0}, ValueError, "columns=0; use a whole number from 1 to 36"),
        ({"effects": {}}, ValueError, "0 effects"),
        ({"effects": {"blurr": {}}}, ValueError, "no kernel is named 'blurr'"),
        ({"picture": np.zeros((3, 4, 5), np.uint8)}, ValueError, r"shape \(3, 4, 5\)"),
        ({"picture": np.zeros((3, 4), np.int32)}, TypeError, "dtype int32"),
    ],
)
def test_refusals(words, kind, said):
    words = {"picture": Picture(np.zeros((4, 5, 3), np.uint8))} | words
    with pytest.raises(kind, match=said):
        contact_sheet(words.pop("picture"), **words)


def test_it_is_the_same_twice(rng):
    picture = random_pixels(rng, 3, np.uint8, (30, 45))
    first, second = (
        contact_sheet(picture, effects={"emboss": {}, "sobel": {}}, title="a").pixels for _ in range(2)
    )
    assert np.array_equal(first, second)
