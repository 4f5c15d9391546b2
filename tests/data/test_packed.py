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
        names(bytes(data))


def test_an_archive_cut_short():
    data = archive(("a", b"x" * 2000))
    with pytest.raises(ValueError, match="ends in the middle of a file"):
        names(data[:1500])


def test_damaged_gzip_and_what_is_no_file(tmp_path):
    path = tmp_path / "data.gz"
    whole = gzip.compress(os.urandom(3000))
    path.write_bytes(whole[:20] + b"\xff" * 40 + whole[60:])
    with pytest.raises(ValueError, match="is damaged"), opened("read", path) as (file, _):
        file.read()
    path.write_bytes(whole)
    with opened("read", path) as (_, most):
        assert most == len(whole) * 1032
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a plain file"), opened("read", tmp_path / "pipe"):
        pass
