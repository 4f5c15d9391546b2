"""Archives that lie about what they hold: read no further than they may be believed."""

import gzip
import io
import os
import tarfile

import pytest

from deepconv.data.packed import opened, tar_members


def archive(*members, kind=tarfile.REGTYPE):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def names(data, limit=10**6):
    return list(tar_members(io.BytesIO(data), limit))


def test_members_sizes_and_the_limit_on_all_of_them():
    data = archive(("a" * 100, b"x" * 513), ("b", b"y" * 600))
    assert names(data) == [("a" * 100, 513), ("b", 600)]
    assert names(data, 3072) == names(data)  # two headers, and two blocks for each
    with pytest.raises(ValueError, match="unpacks to more than 3,071 bytes"):
        names(data, 3071)


def test_what_is_no_plain_file_is_passed_over():
    assert names(archive(("folder", b""), kind=tarfile.DIRTYPE)) == []


@pytest.mark.parametrize(
    ("start", "words"),
    [(257, b"other"), (124, b"-0000000001\0"), (124, b"99999999999\0")],
)
def test_a_header_that_is_none(start, words):
    data = bytearray(archive(("a", b"xyz")))
    data[start : start + len(words)] = words
    with pytest.raises(ValueError, match="is no tar archive, or damaged"):
        next(tar_members(io.BytesIO(data), 10**6))  # before any of it is believed


def test_an_archive_cut_short():
    data = archive(("a", b"x" * 2000))
    with pytest.raises(ValueError, match="ends in the middle of a file"):
        names(data[:1500])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[:20] + b"\xff" * 40 + whole[60:], id="another sum"),
        pytest.param(lambda whole: whole[:10] + b"\x07" + whole[11:], id="no such kind of block"),
        pytest.param(lambda whole: whole[:-9], id="cut short"),
    ],
)
def test_damaged_gzip(tmp_path, damage):
    path = tmp_path / "data.gz"
    path.write_bytes(damage(gzip.compress(os.urandom(3000))))
    with (
        pytest.raises(ValueError, match=r"data\.gz' is damaged: .*; get it again"),
        opened("read", path) as (file, _),
    ):
        file.read()


def test_the_most_that_a_packed_file_may_hold(tmp_path):
    path = tmp_path / "data.gz"
    path.write_bytes(gzip.compress(os.urandom(3000)))
    with opened("read", path) as (_, most):
        assert most == path.stat().st_size * 1032


def test_what_is_no_plain_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)  # so that whoever did open it would not wait for ever
    os.write(held, b"some bytes")
    for path in (pipe, tmp_path):
        with pytest.raises(ValueError, match="is not a plain file"), opened("read", path):
            pass
    os.close(held)
