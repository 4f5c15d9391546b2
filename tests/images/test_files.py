"""Picture files in and out: depth, colour, transparency, what stands beside the pixels, and hostile ones."""

import io
import os
import struct
import threading
import warnings
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepconv.data.pictures import read_picture
from deepconv.images import apply, read_image, write_image
from deepconv.images.files import PIXEL_LIMIT, opened
from tests.images.samples import everything, random_pixels


@pytest.mark.parametrize(
    ("ending", "channels", "dtype"),
    [
        *[(ending, n, np.uint8) for ending in (".png", ".tif", ".tga") for n in (1, 2, 3, 4)],
        *[(ending, n, np.uint16) for ending in (".png", ".tiff") for n in (1, 2, 3, 4)],
        *[(".tif", n, dtype) for n in (1, 2, 3, 4) for dtype in (np.float32, np.float64)],
        *[(ending, n, np.uint8) for ending in (".bmp", ".ppm", ".pnm") for n in (1, 3)],
        *[(".ppm", n, np.uint16) for n in (1, 3)],
        (".webp", 3, np.uint8), (".webp", 4, np.uint8),
    ],
)  # fmt: skip
def test_what_is_written_is_read_back(tmp_path, rng, ending, channels, dtype):
    pixels = random_pixels(rng, channels, dtype)
    if channels in (2, 4):
        pixels[2, 3, -1] = 0  # what is hidden is kept, too
    file = tmp_path / f"a{ending}"
    assert write_image(file, pixels) == ()
    read = read_image(file)
    assert read.pixels.dtype == dtype
    assert read.alpha == (channels in (2, 4))
    assert read.notes == ()
    np.testing.assert_array_equal(read.pixels, pixels)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_files_of_several_bands_and_strips(tmp_path, rng, ending):
    pixels = random_pixels(rng, 3, np.uint16, (800, 700))
    write_image(tmp_path / f"a{ending}", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{ending}").pixels, pixels)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(pixels, extra=()):
    """Write a 16-bit PNG by hand, without filters."""
    channels = pixels.shape[2]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = [
        chunk(b"IHDR", head),
        *(chunk(*e) for e in extra),
        chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_loses_nothing(tmp_path, rng, channels):
    pixels = rng.integers(0, 65536, (6, 9, channels)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(deep_png(pixels))
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels.reshape(pixels.shape), pixels)
    assert read.pixels.dtype == np.uint16
    assert read.notes == ()


def plain_tiff(pixels, order, **more):
    """Write an uncompressed TIFF of three channels by hand; `more` are tags as `_number=value`."""
    (height, width, _), bits = pixels.shape, 8 * pixels.itemsize
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    tags = {256: width, 257: height, 258: (bits,) * 3, 259: 1, 262: 2, 273: 512, 277: 3, 278: height}
    tags |= {279: len(data), **{int(name[1:]): value for name, value in more.items()}}
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    behind = b""
    for tag, value in sorted(tags.items()):
        kind, count, place = 4, 1, value
        if isinstance(value, tuple):  # three shorts, or a fraction
            kind, count, word = (3, 3, "HHH") if len(value) == 3 else (5, 1, "II")
            place = 10 + 12 * len(tags) + 4 + len(behind)
            behind += struct.pack(order + word, *value)
        elif tag in (259, 262, 274, 277, 296):
            kind, place = 3, value << 16 if order == ">" else value
        head += struct.pack(f"{order}HHII", tag, kind, count, place)
    return (head + bytes(4) + behind).ljust(512, b"\0") + data


@pytest.mark.parametrize("order", "<>")
def test_plain_16_bit_tiff_of_either_order_of_bytes(tmp_path, rng, order):
    pixels = rng.integers(0, 65536, (6, 9, 3)).astype(np.uint16)
    (tmp_path / "a.tif").write_bytes(plain_tiff(pixels, order))
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.notes == ()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("unit", "dpi"), [(1, None), (2, (300, 75)), (3, None)])
def test_a_tiff_of_floats_turned_and_with_a_resolution(tmp_path, rng, order, unit, dpi):
    pixels = rng.random((6, 9, 3)).astype(np.float32)
    more = {"_282": (300, 1), "_283": (150, 2), "_296": unit, "_339": (3, 3, 3), "_274": 6}
    (tmp_path / "a.tif").write_bytes(plain_tiff(pixels, order, **more))
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels, np.rot90(pixels, -1))
    assert read.dpi == dpi  # 3 is centimetres


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_in_seven_passes(tmp_path, rng, channels):
    pixels = rng.integers(0, 65536, (11, 13, channels)).astype(np.uint16)
    starts = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = [row for y, x, down, across in starts for row in pixels[y::down, x::across]]
    whole = deep_png(pixels)
    head = bytearray(whole[16:29])
    head[12] = 1
    data = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows))
    (tmp_path / "a.png").write_bytes(
        whole[:8] + chunk(b"IHDR", bytes(head)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels.reshape(pixels.shape), pixels)


def test_16_bit_png_with_a_transparent_colour(tmp_path, rng):
    pixels = rng.integers(0, 65536, (3, 4, 3)).astype(np.uint16)
    pixels[1, 2] = key = (257, 1, 2)
    (tmp_path / "a.png").write_bytes(deep_png(pixels, [(b"tRNS", struct.pack(">HHH", *key))]))
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels[..., :3], pixels)
    opaque = np.full((3, 4), 65535)
    opaque[1, 2] = 0
    np.testing.assert_array_equal(read.pixels[..., 3], opaque)
    grey = pixels[..., :1]
    (tmp_path / "b.png").write_bytes(deep_png(grey, [(b"tRNS", struct.pack(">H", 257))]))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").pixels[..., 1] == 0, grey[..., 0] == 257)


def test_palettes_bits_and_transparent_colours(tmp_path, rng):
    pixels = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8) // 128 * 255
    palette = Image.fromarray(pixels).quantize(8)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png").pixels, pixels)
    palette.save(tmp_path / "t.png", transparency=int(np.asarray(palette)[2, 3]))
    read = read_image(tmp_path / "t.png")
    assert read.mode == "RGBA"
    np.testing.assert_array_equal(read.pixels[..., 3] == 0, (pixels == pixels[2, 3]).all(axis=-1))
    bits = rng.random((6, 7)) < 0.5
    Image.fromarray(bits).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").pixels, bits * 255)
    Image.fromarray(pixels).save(tmp_path / "k.png", transparency=tuple(int(n) for n in pixels[0, 0]))
    np.testing.assert_array_equal(
        read_image(tmp_path / "k.png").pixels[..., 3] == 0, (pixels == pixels[0, 0]).all(axis=-1)
    )


def test_whole_numbers_of_32_bits(tmp_path):
    Image.fromarray(np.array([[-5, 2**30 + 1]], np.int32)).save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif")
    assert read.pixels.tolist() == [[-5.0, 2.0**30 + 1]]
    assert read.pixels.dtype == np.float64
    assert "32 bits were read as floats" in read.notes[0]


def test_cmyk_becomes_srgb(tmp_path):
    Image.new("CMYK", (4, 3), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif")
    assert read.pixels[0, 0].tolist() == [255, 0, 0]
    assert read.notes == ("CMYK was converted to RGB by the plain formula (it has no profile)",)
    Image.new("CMYK", (4, 3), (0, 255, 255, 0)).save(tmp_path / "b.jpg", icc_profile=b"nonsense")
    read = read_image(tmp_path / "b.jpg")
    assert "its profile is damaged" in read.notes[0]
    assert read.profile is None
    Image.new("LAB", (4, 3), (128, 128, 128)).save(tmp_path / "c.tif")
    read = read_image(tmp_path / "c.tif")
    assert read.notes == ("LAB was converted to sRGB through CIE Lab",)


@pytest.mark.parametrize(
    ("ending", "dtype", "kept"),
    [
        (".png", np.uint8, "profile exif xmp dpi text"),
        (".png", np.uint16, "profile exif xmp dpi text"),
        (".jpg", np.uint8, "profile exif xmp dpi text"),
        (".tif", np.uint8, "profile exif xmp dpi"),
        (".tif", np.uint16, "profile exif xmp dpi"),
        (".tif", np.float32, "profile exif xmp dpi"),
        (".webp", np.uint8, "profile exif xmp"),
        (".avif", np.uint8, "profile exif xmp"),
        (".bmp", np.uint8, "dpi"),
    ],
)
def test_what_stands_beside_the_pixels_is_kept(tmp_path, rng, ending, dtype, kept):
    picture = everything(rng, dtype=dtype)
    notes = write_image(tmp_path / f"a{ending}", picture)
    read = read_image(tmp_path / f"a{ending}")
    for name in ("profile", "xmp", "text"):
        assert getattr(read, name) == (
            getattr(picture, name)
            if name in kept
            else type(getattr(read, name))()
            if name == "text"
            else None
        )
    assert (read.dpi == pytest.approx((300, 150), rel=1e-3)) if "dpi" in kept else read.dpi is None
    if "exif" in kept:
        exif = Image.Exif()
        exif.load(read.exif)
        assert exif[271] == "Maker"
        assert exif.get_ifd(0x8769) == {
            36867: "2020:01:02 03:04:05",
            0xA002: 5,
            0xA003: 7,
        }  # the size it has now
    assert bool(notes) == (len(kept.split()) < 5)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_the_cameras_orientation_is_obeyed_and_taken_off(tmp_path, rng, orientation, ending):
    stored = random_pixels(rng, 3, np.uint16)
    mark = Image.Exif()
    mark[0x0112], mark[271] = orientation, "Maker"
    if ending == ".tif":
        stored = stored.astype(np.uint8)
        Image.fromarray(stored).save(tmp_path / "a.tif", exif=mark)
    else:
        text = f'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="{orientation}"/>'.encode()
        extra = [(b"eXIf", mark.tobytes().removeprefix(b"Exif\0\0")), (b"iTXt", text)]
        (tmp_path / "a.png").write_bytes(deep_png(stored.astype(np.uint16), extra))
    small = np.arange(35, dtype=np.uint8).reshape(7, 5)
    Image.fromarray(small).save(tmp_path / "small.png", exif=mark)
    with Image.open(tmp_path / "small.png") as opened:
        places = np.asarray(ImageOps.exif_transpose(opened))
    read = read_image(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(read.pixels, stored.reshape(35, 3)[places])
    exif = Image.Exif()
    exif.load(read.exif)
    assert dict(exif) == {271: "Maker"}
    assert (read.xmp, ending) in ((b"<x />", ".png"), (None, ".tif"))
    write_image(tmp_path / "again.png", replace(read, exif=mark.tobytes()))  # not even where one asks for it
    np.testing.assert_array_equal(read_image(tmp_path / "again.png").pixels, read.pixels)


def test_the_thumbnail_of_the_old_picture_is_not_kept(tmp_path, rng):
    thumb = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(thumb, "JPEG")
    data = thumb.getvalue()
    # A first directory with one entry, then a second one that points to the thumbnail.
    first = struct.pack("<HHHII", 1, 271, 2, 2, 0x41) + struct.pack("<I", 26)
    second = (
        struct.pack("<H", 2)
        + struct.pack("<HHII", 0x201, 4, 1, 56)
        + struct.pack("<HHII", 0x202, 4, 1, len(data))
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + first + second + struct.pack("<I", 0) + data
    Image.fromarray(random_pixels(rng, 3, np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert data in (tmp_path / "a.jpg").read_bytes()
    write_image(tmp_path / "b.jpg", apply(read_image(tmp_path / "a.jpg"), "box"))
    assert data not in (tmp_path / "b.jpg").read_bytes()


@pytest.mark.parametrize("ending", [".gif", ".png", ".webp", ".tif"])
def test_of_an_animation_the_first_frame_is_read(tmp_path, ending):
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(
        tmp_path / f"a{ending}",
        save_all=True,
        append_images=frames[1:],
        **({"lossless": True} if ending == ".webp" else {}),
    )
    read = read_image(tmp_path / f"a{ending}")
    assert read.pixels[0, 0].tolist() == [255, 0, 0]
    assert read.notes == (f"the first of 3 {'pages' if ending == '.tif' else 'frames'} was read",)


def test_a_picture_bomb_is_refused_before_it_is_decoded(tmp_path):
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = deep_png(np.zeros((1, 1, 1), np.uint16))
    bomb = (
        bomb[:8]
        + struct.pack(">I", 13)
        + b"IHDR"
        + head
        + struct.pack(">I", zlib.crc32(b"IHDR" + head))
        + bomb[33:]
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    for reader in (read_image, read_picture):
        with pytest.raises(
            ValueError, match=r"bomb\.png.*: 3600000000 pixels, far too many; shrink it first"
        ):
            reader(tmp_path / "bomb.png")
    Image.new("1", (100, 90)).save(tmp_path / "a.png")
    with pytest.raises(
        ValueError, match="100x90 pixels, more than pixel_limit=8,999; shrink it first, or raise the limit"
    ):
        read_image(tmp_path / "a.png", pixel_limit=8_999)
    assert read_image(tmp_path / "a.png", pixel_limit=9_000).pixels.shape == (90, 100)


def test_what_is_allowed_is_not_refused_by_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").pixels.shape == (20, 30)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_the_last_one_out_restores_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    with opened("read", tmp_path / "a.png"):
        with opened("read", tmp_path / "a.png"):
            pass
        assert Image.MAX_IMAGE_PIXELS == PIXEL_LIMIT
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("keep", [0, 1, 8, 30, 45, -30])
@pytest.mark.parametrize("ending", [".png", ".jpg", ".gif", ".bmp", ".webp", ".ppm", ".tga", ".tif"])
def test_a_truncated_file_is_one_line(tmp_path, rng, capfd, ending, keep):
    file = tmp_path / f"half{ending}"
    write_image(file, random_pixels(rng, 3, np.uint8, (40, 50)))
    file.write_bytes(file.read_bytes()[:keep])
    try:
        read_image(file)
    except ValueError as error:
        assert f"half{ending}" in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert ending == ".tga"  # whose end is an optional signature
        assert keep == -30
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("ending", "dtype"),
    [(".tif", np.uint16), (".tif", np.float32), (".png", np.uint16), (".ppm", np.uint16), (".avif", np.uint8),
     (".webp", np.uint8), (".gif", np.uint8), (".jpg", np.uint8)],
)  # fmt: skip
def test_damaged_files_are_one_line(tmp_path, rng, ending, dtype):
    file = tmp_path / f"half{ending}"
    write_image(file, random_pixels(rng, 3, dtype, (9, 11)))
    whole = file.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, min(len(damaged), 200), 3):
            damaged[place] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            read = read_image(file, pixel_limit=10_000)
        except ValueError as error:
            assert f"half{ending}" in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert read.pixels.ndim in (2, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "not a picture in a known format"), (b"hello, I am text", "not a picture in a known format")],
)
def test_what_is_no_picture(tmp_path, data, message):
    (tmp_path / "note.png").write_bytes(data)
    with pytest.raises(
        ValueError, match=rf"read_image: path='.*note\.png' can't be read: {message}; use PNG"
    ):
        read_image(tmp_path / "note.png")


def test_missing_folders_pipes_and_names_that_cannot_be(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for name, message in [
        ("missing.png", "no such file"),
        ("", "not a file"),
        ("pipe.png", "not a file"),
        ("x" * 300, "no such file|too long"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"no such file|null"):
        read_image("a\0b.png")
    with pytest.raises(
        TypeError, match=r"read_image: path=<_io.BytesIO object .*> is no path; give the name"
    ):
        read_image(io.BytesIO())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    Image.new("L", (3, 2)).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ValueError, match="Permission denied; check its name and who may read it"):
        read_image(tmp_path / "a.png")


def test_a_file_that_vanishes(tmp_path, monkeypatch):
    Image.new("L", (3, 2)).save(tmp_path / "a.png")

    def gone(*args, **kwargs):
        raise FileNotFoundError(2, "No such file or directory", "a.png")

    monkeypatch.setattr(Image, "open", gone)
    with pytest.raises(ValueError, match=r"a\.png' can't be read: it is gone"):
        read_image(tmp_path / "a.png")


def test_threads_leave_the_process_as_it_was(tmp_path, rng):
    for number in range(6):
        write_image(tmp_path / f"{number}.png", random_pixels(rng, 3, np.uint16, (60, 50)))
    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    failed = []

    def work(number):
        try:
            for _ in range(5):
                read_image(tmp_path / f"{number}.png")
        except ValueError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert warnings.filters == before
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_package_needs_no_pillow():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['PIL'] = None; import numpy as np, deepconv as dc; "
        "print(dc.images.apply(np.eye(3), 'box').sum(), 'read_image' in dc.images.__all__)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "True"
