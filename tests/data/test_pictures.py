"""Pictures of every kind, and of the kinds that a stranger may send."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from deepconv.data.pictures import read_picture


def scene():
    """A 5 × 7 picture, dark in its upper left corner."""
    grey = np.full((5, 7), 240, dtype=np.uint8)
    grey[:2, :3] = 20
    return grey


def as_mode(mode):
    grey = Image.fromarray(scene())
    if mode == "I;16":
        return Image.fromarray(scene().astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(scene().astype(np.float32) / 255)
    if mode == "I":
        return Image.fromarray(scene().astype(np.int32))
    return grey.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else grey.convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *[(mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
        *[(mode, "tiff") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")],
        *[("L", kind) for kind in ("bmp", "gif", "webp", "ppm", "jpg")],
        *[("CMYK", "jpg"), ("YCbCr", "jpg"), ("RGBA", "webp")],
    ],
)
def test_every_mode_reads_the_same(tmp_path, mode, kind):
    file = tmp_path / f"a.{kind}"
    as_mode(mode).save(file, **({"lossless": True} if kind == "webp" else {}))
    read = read_picture(file)
    assert read.shape == (5, 7, 3)
    assert read.dtype == np.float32
    lossy = 0.2 if kind == "jpg" or mode == "1" else 0.01
    assert np.allclose(read, scene()[..., None] / 255, atol=lossy)


def test_colours_keep_their_places(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png"), pixels.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(("ink", "paper"), [(0, 1.0), (255, 0.0)])
def test_transparency_is_laid_on_what_shows_the_ink(tmp_path, ink, paper):
    pixels = np.zeros((6, 8, 4), dtype=np.uint8)
    pixels[2:4, 3:5] = (ink, ink, ink, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png")
    assert read[0, 0].tolist() == [paper] * 3
    assert read[2, 3].tolist() == [ink / 255] * 3


def test_a_palette_with_a_transparent_colour(tmp_path):
    picture = Image.fromarray(scene()).convert("P")
    picture.save(tmp_path / "a.png", transparency=int(np.asarray(picture)[4, 6]))
    assert read_picture(tmp_path / "a.png")[4, 6].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_obeyed(tmp_path, orientation):
    upright = np.array([[10, 60, 110], [160, 210, 250]], dtype=np.uint8)
    undo = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.T, 6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a.T, 2), 8: lambda a: np.rot90(a, -1),
    }[orientation]  # fmt: skip
    mark = Image.Exif()
    mark[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo(upright))).save(tmp_path / "a.png", exif=mark)
    assert np.array_equal(np.round(read_picture(tmp_path / "a.png")[..., 0] * 255), upright)


def test_large_pictures_are_shrunk_by_averaging(tmp_path):
    grey = np.zeros((30, 90), dtype=np.uint8)
    grey[:, ::2] = 200
    Image.fromarray(grey).save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png", longest_side=45)
    assert read.shape == (15, 45, 3)
    assert np.allclose(read * 255, 100, atol=1)


@pytest.mark.parametrize("keep", [0, 1, 8, 30, 45, -30, -1])
@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_a_truncated_file_names_itself(tmp_path, kind, keep):
    file = tmp_path / f"half.{kind}"
    noise = np.random.default_rng(1).integers(0, 256, (40, 50), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:keep])
    try:
        read = read_picture(file)
    except ValueError as error:
        assert "half." in str(error)  # noqa: PT017  (either outcome is right)
        assert "\n" not in str(error)  # noqa: PT017
    else:  # a few bytes at the end may be padding, which no reader misses
        assert keep == -1
        assert read.shape == (40, 50, 3)


@pytest.mark.parametrize(
    "kind", ["png", "jpg", "gif", "bmp", "tiff", "webp", "ppm", "tga", "ico", "pcx", "sgi"]
)
def test_damaged_files_are_errors_or_pictures_never_anything_else(tmp_path, kind):
    rng = np.random.default_rng(2)
    file = tmp_path / f"damaged.{kind}"
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
    whole = file.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 200), 3):
            damaged[place] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            read = read_picture(file, pixel_limit=10_000)
        except ValueError as error:
            assert "damaged." in str(error)  # noqa: PT017  (either outcome is right)
        else:
            assert read.ndim == 3


def test_size_is_checked_before_decoding(tmp_path):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"bomb\.png.*shrink it first"):
        read_picture(tmp_path / "bomb.png")


def test_the_pixel_limit_is_exact(tmp_path):
    Image.fromarray(scene()).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", pixel_limit=35).shape == (5, 7, 3)
    with pytest.raises(
        ValueError, match=r"a\.png.*7x5 pixels, more than pixel_limit=34; shrink it first, or raise the limit"
    ):
        read_picture(tmp_path / "a.png", pixel_limit=34)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x00" * 500]
)
def test_what_is_no_picture_is_refused(tmp_path, data):
    (tmp_path / "note.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"note\.png.*not a picture in a known format; use PNG, JPEG"):
        read_picture(tmp_path / "note.png")


def test_no_file_a_folder_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(ValueError, match="not a file"):
        read_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="not a file"):  # and does not wait for a writer
        read_picture(tmp_path / "pipe.png")
