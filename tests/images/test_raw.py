"""Deep pictures by hand: what a TIFF file's directory says is believed no further than its bytes go."""

import io
import zlib

import numpy as np
import pytest

from deepconv.images.raw import read_tiff, tiff_strips


def stored(pixels, **changes):
    """One strip and its tags, as a file would have them."""
    strips, tags = tiff_strips(pixels)
    names = {"rows": 278, "places": 273, "lengths": 279, "planes": 284, "packing": 259, "ahead": 317}
    tags |= {273: (0,)} | {names[name]: value for name, value in changes.items()}
    return strips[0], tags


def test_strips_of_no_rows_give_no_memory_that_was_never_written(rng):
    data, tags = stored(rng.random((3, 4, 3)), rows=0, places=(0, 0, 0), lengths=(20, 20, 20))
    with pytest.raises(ValueError, match="the file ends too early"):
        read_tiff(io.BytesIO(data[:60]), tags, "<", 100)
    rows = rng.random((3, 4))
    packed = [zlib.compress(row.tobytes()) for row in rows]
    places = tuple(sum(map(len, packed[:number])) for number in range(3))
    _, tags = stored(rows, rows=0, places=places, lengths=tuple(map(len, packed)))
    np.testing.assert_array_equal(read_tiff(io.BytesIO(b"".join(packed)), tags, "<", 100), rows)


def test_planes_one_after_the_other(rng):
    pixels = rng.random((3, 4, 3)).astype(np.float32)
    planes = [np.ascontiguousarray(pixels[..., channel]).tobytes() for channel in range(3)]
    _, tags = stored(pixels, planes=2, packing=1, places=(0, 48, 96), lengths=(48, 48, 48))
    np.testing.assert_array_equal(read_tiff(io.BytesIO(b"".join(planes)), tags, "<", 100), pixels)


def test_a_size_is_checked_before_memory_is_taken(rng):
    data, tags = stored(rng.random((3, 4)))
    with pytest.raises(
        ValueError, match="4x3 pixels, more than pixel_limit=11; shrink it first, or raise the limit"
    ):
        read_tiff(io.BytesIO(data), tags, "<", 11)
    with pytest.raises(ValueError, match="it holds fewer pixels than its header tells of"):
        read_tiff(io.BytesIO(data), tags | {256: 10**6, 257: 10**6}, "<", 10**13)  # 8 TB


def test_what_unpacks_to_more_than_a_strip_is_cut(rng):
    import tracemalloc

    rows = rng.random((3, 4))
    data = zlib.compress(rows.tobytes() + bytes(2**24))
    _, tags = stored(rows, lengths=(len(data),))
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(read_tiff(io.BytesIO(data), tags, "<", 100), rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**21
