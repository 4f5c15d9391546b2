"""IDX files: what is in them, and that no header makes us take memory that the file can't fill."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from deepconv.data.idx import load_mnist, read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    """The bytes of an IDX file, written by the format's description."""
    code = CODES[array.dtype.str[1:]]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (0, 4)])
def test_every_type_and_rank_comes_back(tmp_path, rng, kind, shape, packed):
    array = (
        rng.integers(-100, 100, shape).astype(kind) if kind != "u1" else rng.integers(0, 256, shape, np.uint8)
    )
    data = idx(array)
    (tmp_path / "a").write_bytes(gzip.compress(data) if packed else data)
    read = read_idx(tmp_path / "a")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype
    assert read.dtype.isnative


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no IDX file: it begins with nothing; get it again"),
        (b"\x89PNG\r\n", "is no IDX file: it begins with 89 50 4e 47"),
        (b"\0\0\x08\0", "is no IDX file: it begins with 00 00 08 00"),
        (b"\0\0\x08\x09" + bytes(99), "is no IDX file"),
        (b"\0\0\x0a\x01" + bytes(99), "is no IDX file"),
        (b"\0\0\x08\x03\0\0\0\x01", "ends within its header"),
        (idx(np.zeros((3, 4), np.uint8))[:-1], "ends after 11 of 12 bytes of data"),
        (idx(np.zeros((3, 4), np.uint8)) + b"\0", "holds more than the 12 bytes of data that it should"),
        (b"\0\0\x0e\x08" + b"\xff" * 32, r"says it has shape \(4294967295, .* more than it can hold"),
        (gzip.compress(idx(np.zeros((3, 4), np.uint8))[:-1]), "ends after 11 of 12 bytes of data"),
        (gzip.compress(idx(np.zeros((3, 4), np.uint8)) + b"\0"), "holds more than the 12 bytes"),
        (gzip.compress(idx(np.arange(99, dtype=np.uint8)))[:60], "is damaged: Compressed file ended"),
        (gzip.compress(idx(np.arange(99, dtype=np.uint8)))[:-8] + bytes(8), "is damaged: CRC check failed"),
        (b"\x1f\x8bnonsense", "is damaged"),
    ],
)
def test_damaged_files(tmp_path, data, message):
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(ValueError, match=rf"^read_idx: path='.*a\.gz' {message}"):
        read_idx(tmp_path / "a.gz")


def test_no_memory_is_taken_for_what_a_small_file_promises(tmp_path):
    huge = struct.pack(">4B3I", 0, 0, 8, 3, 60_000, 28, 1100)
    for name, data in (("plain", huge), ("packed.gz", gzip.compress(huge + bytes(2**16)))):
        (tmp_path / name).write_bytes(data)
        tracemalloc.start()
        with pytest.raises(ValueError, match="more than it can hold"):
            read_idx(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(idx(np.zeros(2**22, np.uint8))))  # a thousandfold
    with pytest.raises(ValueError, match=r"4,194,304 bytes, more than the 1,000,000 allowed"):
        read_idx(tmp_path / "bomb.gz", byte_limit=1_000_000)
    assert len(read_idx(tmp_path / "bomb.gz")) == 2**22


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"read_idx: path='.*nowhere' is not there; name a file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is not a plain file; name one"):
        read_idx(tmp_path)


def small_mnist(folder, rng, suffixes=("", "", ".gz", ".gz")):
    arrays = {}
    names = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    for name, suffix in zip(names, suffixes, strict=True):
        count = 7 if name.startswith("train") else 4
        shape = (count, 28, 28) if "images" in name else (count,)
        arrays[name] = rng.integers(0, 10, shape, np.uint8)
        data = idx(arrays[name])
        file = folder / f"{name.replace('-idx', '.idx') if suffix == '' else name}{suffix}"
        file.write_bytes(gzip.compress(data) if suffix else data)
    return arrays


def test_mnist_from_its_four_files(tmp_path, rng):
    arrays = small_mnist(tmp_path, rng)
    (images, labels), test = load_mnist(tmp_path)
    np.testing.assert_array_equal(images[:, 0], arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(labels, arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(test[1], arrays["t10k-labels-idx1-ubyte"])
    assert (images.shape, images.dtype, labels.dtype, test[0].shape) == (
        (7, 1, 28, 28),
        "u1",
        "i8",
        (4, 1, 28, 28),
    )


def test_mnist_that_is_not_there_or_mixed_up(tmp_path, rng):
    small_mnist(tmp_path, rng)
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(np.zeros(6, np.uint8)))
    with pytest.raises(
        ValueError, match=r"train-images.idx3-ubyte has shape \(7, 28, 28\) \(uint8\) and .* \(6,\); "
    ):
        load_mnist(tmp_path)
    (tmp_path / "train-labels.idx1-ubyte").unlink()
    message = r"folder='.*' lacks train-labels-idx1-ubyte; put them there, or download=True fetches 12 MB"
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist(tmp_path)


def test_mnist_fetches_only_what_is_lacking_and_only_when_asked(tmp_path, rng, monkeypatch):
    from deepconv.data import downloads

    arrays = small_mnist(tmp_path, rng)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    asked = []

    def fetch(published, folder):
        asked.append(published.name)
        (folder / published.name).write_bytes(gzip.compress(idx(arrays[published.name.removesuffix(".gz")])))

    monkeypatch.setattr(downloads, "fetch", fetch)
    with pytest.raises(FileNotFoundError):
        load_mnist(tmp_path)
    assert asked == []
    test = load_mnist(tmp_path, download=True).test
    assert asked == ["t10k-labels-idx1-ubyte.gz"]
    np.testing.assert_array_equal(test[1], arrays["t10k-labels-idx1-ubyte"])
