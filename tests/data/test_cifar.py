"""CIFAR's binary files, loose, gzipped and in their archive; and those that lie about what is in them."""

import gzip
import io
import tarfile
import tracemalloc

import numpy as np
import pytest

from deepconv.data.cifar import CIFAR10_CLASSES, load_cifar10, load_cifar100, read_cifar


def records(rng, count, *label_ranges):
    images = rng.integers(0, 256, (count, 3, 32, 32), np.uint8)
    labels = [rng.integers(0, top, (count, 1), np.uint8) for top in label_ranges]
    return np.concatenate([*labels, images.reshape(count, -1)], axis=1).tobytes(), images, labels


def archive(files, mode="w:gz"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.parametrize("packed", [False, True])
def test_both_kinds_are_told_apart_by_their_size(tmp_path, rng, packed):
    write = gzip.compress if packed else bytes
    data, images, (labels,) = records(rng, 5, 10)
    (tmp_path / "ten").write_bytes(write(data))
    read, found = read_cifar(tmp_path / "ten")
    np.testing.assert_array_equal(read, images)
    np.testing.assert_array_equal(found, labels[:, 0])
    assert (read.dtype, found.dtype) == (np.uint8, np.int64)
    data, images, (coarse, fine) = records(rng, 6, 20, 100)
    (tmp_path / "hundred").write_bytes(write(data))
    np.testing.assert_array_equal(read_cifar(tmp_path / "hundred")[0], images)
    np.testing.assert_array_equal(read_cifar(tmp_path / "hundred")[1], fine[:, 0])
    np.testing.assert_array_equal(read_cifar(tmp_path / "hundred", classes=20)[1], coarse[:, 0])


def test_damaged_files(tmp_path, rng):
    file = tmp_path / "a.bin"

    def refused(data, message, **settings):
        file.write_bytes(data)
        with pytest.raises(ValueError, match=rf"^read_cifar: path='.*a\.bin' {message}"):
            read_cifar(file, **settings)

    data = records(rng, 3, 10)[0]
    refused(b"", "has 0 bytes, no whole number of pictures; name a CIFAR binary file")
    refused(data[:-1], "has 9,218 bytes, no whole number of pictures")
    refused(data, "has 9,219 bytes, no whole number of pictures of 3074 bytes", classes=100)
    refused(bytes([10]) + data[1:], "holds the label 10, but there are 10 classes; get it again")
    refused(
        bytes(3073 * 3074), "has 9,446,402 bytes, as likely CIFAR-10 as CIFAR-100; .* give classes=10 or 100"
    )
    assert len(read_cifar(file, classes=10)[1]) == 3074
    refused(gzip.compress(data)[:-20], "is damaged: Compressed file ended")
    with pytest.raises(ValueError, match="classes=11 is none of 10, 20 and 100"):
        read_cifar(file, classes=11)
    with pytest.raises(FileNotFoundError, match="is not there"):
        read_cifar(tmp_path / "nowhere")


def test_a_gzip_bomb_is_bounded(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(2**25)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="unpacks to more than 1,000,000 bytes"):
        read_cifar(tmp_path / "bomb", byte_limit=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def ten(rng):
    parts = {
        name: records(rng, 4, 10)
        for name in (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")
    }
    return {name: part[0] for name, part in parts.items()}, parts


@pytest.mark.parametrize("place", ["", "cifar-10-batches-bin", "archive", "packed"])
def test_cifar10_from_loose_files_and_from_the_archive(tmp_path, rng, place):
    files, parts = ten(rng)
    if place == "archive":
        inside = {
            f"cifar-10-batches-bin/{name}": data for name, data in {"readme.html": b"hi", **files}.items()
        }
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive(inside))
    else:
        (tmp_path / place).mkdir(exist_ok=True)
        for name, data in files.items():
            zipped = place == "packed"
            folder = tmp_path if zipped else tmp_path / place
            (folder / f"{name}{'.gz' * zipped}").write_bytes(gzip.compress(data) if zipped else data)
    (images, labels), (test_images, test_labels) = load_cifar10(tmp_path)
    wanted = [parts[f"data_batch_{number}.bin"] for number in range(1, 6)]
    np.testing.assert_array_equal(images, np.concatenate([part[1] for part in wanted]))
    np.testing.assert_array_equal(labels, np.concatenate([part[2][0][:, 0] for part in wanted]))
    np.testing.assert_array_equal(test_images, parts["test_batch.bin"][1])
    np.testing.assert_array_equal(test_labels, parts["test_batch.bin"][2][0][:, 0])
    assert len(CIFAR10_CLASSES) == 10
    assert not (tmp_path / "data_batch_1.bin.part").exists()


def test_cifar100_has_fine_and_coarse_labels(tmp_path, rng):
    parts = {name: records(rng, 4, 20, 100) for name in ("train.bin", "test.bin")}
    packed = archive({f"cifar-100-binary/{name}": part[0] for name, part in parts.items()})
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(packed)
    for coarse in (False, True):
        train, test = load_cifar100(tmp_path, coarse=coarse)
        np.testing.assert_array_equal(train[0], parts["train.bin"][1])
        np.testing.assert_array_equal(test[1], parts["test.bin"][2][0 if coarse else 1][:, 0])


def test_of_two_members_of_a_name_the_first_is_taken(tmp_path, rng):
    files, parts = ten(rng)
    again = {f"again/{name}": data for name, data in ten(rng)[0].items()}
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive({**files, **again}))
    np.testing.assert_array_equal(load_cifar10(tmp_path).test[0], parts["test_batch.bin"][1])


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_hostile_archives(tmp_path, rng, mode):
    files, _ = ten(rng)
    place = tmp_path / "cifar-10-binary.tar.gz"

    def refused(data, message):
        place.write_bytes(data)
        with pytest.raises(ValueError, match=rf"load_cifar10: path='.*tar\.gz' {message}"):
            load_cifar10(tmp_path)

    few = dict(list(files.items())[:-1])
    refused(archive(few, mode), "lacks test_batch.bin; get the archive of the binary version again")
    refused(
        archive({**few, "test_batch.bin": b"12"}, mode),
        "holds 'test_batch.bin' of 2 bytes, which is no whole",
    )
    refused(archive(files, "w")[:4000], "ends in the middle of")
    refused(b"no tar at all" * 99, "is no tar archive")
    refused(archive({str(n): b"" for n in range(1001)}, mode), "holds more than 1000 files")
    lie = tarfile.TarInfo("data_batch_1.bin")
    lie.size = 3073 * 10**6
    refused(lie.tobuf(), "unpacks to more than 536,870,912 bytes")
    lie.size = 3073 * 10**5
    refused(lie.tobuf(), "holds 'data_batch_1.bin' of 307,300,000 bytes")
    (tmp_path / "data_batch_1.bin").symlink_to(place)  # loose files are taken only where all are there
    refused(archive(few, mode), "lacks test_batch.bin")


def test_what_is_not_there_is_named_and_fetched_only_when_asked(tmp_path, rng, monkeypatch):
    from deepconv.data import downloads

    asked = []

    def fetch(published, folder):
        asked.append(published.name)
        (folder / published.name).write_bytes(archive(ten(rng)[0]))

    monkeypatch.setattr(downloads, "fetch", fetch)
    with pytest.raises(FileNotFoundError, match=r"lacks data_batch_1.bin, .*; put them there, or .* 170 MB"):
        load_cifar10(tmp_path)
    assert asked == []
    assert load_cifar10(tmp_path, download=True).test[0].shape == (4, 3, 32, 32)
    assert asked == ["cifar-10-binary.tar.gz"]
