"""Folders of pictures: what is found, what is passed over and said so, and how it is divided."""

import itertools
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deepconv.data import folders
from deepconv.data.folders import PictureFolder, scan_folder, split_folder
from tests.data.photographs import make_folder


def test_classes_files_labels_and_sizes(tmp_path, rng):
    root = make_folder(tmp_path / "photos", {"owl": 6, "cat": 5, "dog-2": 7}, rng)
    (root / "cat" / "holidays" / "sea").mkdir(parents=True)
    Image.new("RGB", (31, 17), "red").save(root / "cat" / "holidays" / "sea" / "x.png")
    found = scan_folder(root)
    assert found.classes == ("cat", "dog-2", "owl")
    assert len(found) == 19
    assert list(found.files) == sorted(found.files)
    assert [found.classes[label] for label in found.labels] == [name.split("/")[0] for name in found.files]
    assert found.labels.dtype == np.int64
    assert found.counts().tolist() == [6, 7, 6]
    assert found.counts(np.array([0, 1, 18])).tolist() == [2, 0, 1]
    assert found.sizes[found.files.index("cat/holidays/sea/x.png")].tolist() == [17, 31]
    for row in range(len(found)):
        with Image.open(found.path(row)) as picture:
            assert picture.size[::-1] == tuple(found.sizes[row])
    assert (found.parts, found.skipped, found.grey) == (None, (), False)


def test_the_result_is_the_same_for_any_number_of_threads(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(folders, "_CHUNK", 3)
    root = make_folder(tmp_path / "photos", {"a": 11, "b": 9}, rng)
    (root / "a" / "5.txt").write_text("no picture")
    one, many = scan_folder(root, workers=1), scan_folder(root, workers=5)
    assert (one.files, one.skipped) == (many.files, many.skipped)
    np.testing.assert_array_equal(one.sizes, many.sizes)


def test_files_are_sorted_by_their_whole_names(tmp_path, rng):
    root = make_folder(tmp_path / "photos", {"cat": 2, "cat-2": 2}, rng)
    for inside in ("cat/b", "cat/a", "cat/a-1"):
        make_folder(root, {inside: 1}, rng)
    found = scan_folder(root)
    assert list(found.files) == sorted(found.files)
    assert len(found) == 7


def test_the_size_is_that_of_the_upright_picture(tmp_path, rng):
    root = make_folder(tmp_path / "photos", {"a": 1, "b": 1}, rng)
    mark = Image.Exif()
    mark[0x0112] = 6
    for kind in ("jpg", "png", "webp", "tiff"):
        Image.new("RGB", (40, 20)).save(root / "a" / f"turned.{kind}", exif=mark)
    found = scan_folder(root)
    assert [found.sizes[row].tolist() for row, name in enumerate(found.files) if "turned" in name] == [
        [40, 20]
    ] * 4


def test_grey_is_said_where_every_picture_is(tmp_path, rng):
    root = make_folder(
        tmp_path / "photos", {"a": 5, "b": 5}, rng, grey=True, formats=("jpg", "png", "bmp", "gif")
    )
    Image.new("I;16", (9, 9)).save(root / "a" / "wide.png")
    Image.new("1", (9, 9)).save(root / "a" / "bits.png")
    assert scan_folder(root).grey
    Image.new("P", (9, 9)).save(root / "b" / "palette.png")  # Pillow's own palette is grey
    assert scan_folder(root).grey
    Image.new("RGB", (9, 9), "red").quantize().save(root / "b" / "colours.png")
    assert not scan_folder(root).grey


def test_what_is_no_picture_is_counted_and_named_and_strict_refuses(tmp_path, rng):
    root = make_folder(tmp_path / "photos", {"a": 3, "b": 3}, rng)
    whole = (root / "a" / "0.jpg").read_bytes()
    (root / "a" / "empty.jpg").write_bytes(b"")
    (root / "a" / "text.png").write_text("hello")
    (root / "b" / "cut.jpg").write_bytes(whole[:15])
    (root / "b" / "later.jpg").write_bytes(whole[:-40])  # a whole header: it shows when it is decoded
    (root / "beside.jpg").write_bytes(whole)
    os.mkfifo(root / "b" / "pipe.jpg")
    (root / "b" / "nowhere.jpg").symlink_to("missing")
    (root / "b" / "itself.jpg").symlink_to("itself.jpg")
    (root / "nothing").mkdir()
    found = scan_folder(root)
    reasons = dict(found.skipped)
    assert list(reasons) == [
        "a/empty.jpg", "a/text.png", "b/cut.jpg", "b/itself.jpg", "b/nowhere.jpg", "b/pipe.jpg", "beside.jpg",
        "nothing/",
    ]  # fmt: skip
    assert reasons["a/empty.jpg"] == "empty: zero bytes"
    assert reasons["a/text.png"].startswith("not a picture in a known format")
    assert reasons["b/itself.jpg"].startswith("Too many levels of symbolic links")
    assert reasons["b/nowhere.jpg"] == "No such file or directory"
    assert reasons["b/pipe.jpg"] == "not a plain file"
    assert reasons["beside.jpg"] == "lies beside the classes' folders, in none of them"
    assert reasons["nothing/"] == "holds no picture"
    assert "b/later.jpg" in found.files
    assert found.classes == ("a", "b")
    with pytest.raises(
        ValueError, match=r"'a/empty\.jpg' and 7 more can't be used \(empty: zero bytes\); remove"
    ):
        scan_folder(root, strict=True)


def test_a_picture_bomb_is_passed_over_by_its_header(tmp_path, rng):
    root = make_folder(tmp_path / "photos", {"a": 1, "b": 1}, rng)
    bomb = bytearray((root / "a" / "0.jpg").read_bytes())
    frame = bomb.index(b"\xff\xc0")
    bomb[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    (root / "b" / "bomb.jpg").write_bytes(bomb)
    ((name, reason),) = scan_folder(root).skipped
    assert name == "b/bomb.jpg"
    assert "shrink it first" in reason
    with pytest.raises(ValueError, match=r"'b/bomb\.jpg' can't be used \(.*shrink it first\); remove them"):
        scan_folder(root, strict=True)  # one is enough


@pytest.mark.parametrize(
    "name",
    [".DS_Store", ".hidden.jpg", "Thumbs.db", "thumbs.db", "desktop.ini", "__MACOSX/._0.jpg", ".git/x"],
)
@pytest.mark.parametrize("inside", ["", "a"])
def test_hidden_files_and_droppings_are_passed_over_in_silence(tmp_path, rng, name, inside):
    root = make_folder(tmp_path / "photos", {"a": 1, "b": 1}, rng)
    file = root / inside / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\x00\x05\x16\x07")
    found = scan_folder(root, strict=True)
    assert (found.classes, len(found), found.skipped) == (("a", "b"), 2, ())


def test_links_are_followed_but_not_in_circles(tmp_path, rng):
    elsewhere = make_folder(tmp_path / "elsewhere", {"more": 4}, rng)
    root = make_folder(tmp_path / "photos", {"a": 2, "b": 2}, rng)
    (root / "a" / "more").symlink_to(elsewhere / "more")
    (root / "b" / "up").symlink_to(root)
    (root / "c").symlink_to(elsewhere / "more")
    found = scan_folder(root)
    assert found.counts().tolist() == [6, 2 + 2 + 4, 4]  # b sees all of the root once, through `up`
    assert [name for name, reason in found.skipped if reason == "a link to a folder that is read already"] == [
        "b/up/a/more/", "b/up/b/",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_names_that_are_no_text_are_named_as_well_as_can_be(tmp_path, rng):
    root = make_folder(tmp_path / "photos", {"a": 2, "b": 2}, rng)
    os.rename(os.fsencode(root / "a" / "0.jpg"), os.fsencode(root / "a") + b"/caf\xe9.jpg")
    found = scan_folder(root)
    ((name, reason),) = found.skipped
    assert reason == "its name is not valid UTF-8; rename it"
    assert name == "a/caf\\udce9.jpg"
    name.encode("utf-8")
    os.rename(root / "b", os.fsencode(root) + b"/b\xff")
    with pytest.raises(
        ValueError, match=r"the folder 'b\\\\udcff' has a name that is not valid UTF-8; rename it"
    ):
        scan_folder(root)


def test_folders_that_cannot_be_read(tmp_path, rng, monkeypatch):
    root = make_folder(tmp_path / "photos", {"a": 2, "b": 2}, rng)
    (root / "a" / "deep").mkdir()
    shut = {"deep"}
    opened = os.scandir

    def scandir(path):
        if os.path.basename(path) in shut:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert scan_folder(root).skipped == (("a/deep/", "can't be read: Permission denied"),)
    shut |= {"b"}
    with pytest.raises(ValueError, match=r"root='.*photos': b/ can't be read: Permission denied; allow it"):
        scan_folder(root)
    shut |= {"photos"}
    with pytest.raises(ValueError, match="it can't be read: Permission denied"):
        scan_folder(root)


def test_a_ready_split(tmp_path, rng):
    for part, count in (("train", 4), ("valid", 2), ("Test", 3)):
        make_folder(tmp_path / "photos" / part, {"dog": count, "cat": count + 1}, rng)
    found = scan_folder(tmp_path / "photos")
    assert found.classes == ("cat", "dog")
    assert {name: found.counts(rows).tolist() for name, rows in found.parts.items()} == {
        "train": [5, 4], "validation": [3, 2], "test": [4, 3],
    }  # fmt: skip
    assert all(found.files[row].startswith("valid/") for row in found.parts["validation"])
    parts = split_folder(found, 3)
    for name, rows in found.parts.items():
        np.testing.assert_array_equal(parts[name], rows)


def test_a_ready_split_without_a_test_part_draws_one_from_training(tmp_path, rng):
    for part, count in (("train", 10), ("val", 2)):
        make_folder(tmp_path / "photos" / part, {"dog": count, "cat": count}, rng)
    found = scan_folder(tmp_path / "photos")
    parts = split_folder(found, 3)
    assert {name: found.counts(rows).tolist() for name, rows in parts.items()} == {
        "train": [8, 8], "validation": [2, 2], "test": [2, 2],
    }  # fmt: skip
    assert sorted(np.concatenate(list(parts.values()))) == list(range(24))


def test_a_ready_split_whose_classes_differ_is_refused(tmp_path, rng):
    make_folder(tmp_path / "photos" / "train", {"dog": 2, "cat": 2}, rng)
    make_folder(tmp_path / "photos" / "val", {"dog": 2, "lion": 2}, rng)
    with pytest.raises(
        ValueError, match=r"split's train part has no pictures of \['lion'\], which another part"
    ):
        scan_folder(tmp_path / "photos")
    os.rename(tmp_path / "photos" / "val" / "lion", tmp_path / "photos" / "val" / "dog" / "lion")
    with pytest.raises(ValueError, match=r"split's validation part has no pictures of \['cat'\]"):
        scan_folder(tmp_path / "photos")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            ["val/a", "test/a"],
            r"holds \['test', 'val'\]; a ready split has train and, if need be, val and test",
        ),
        (["train/a", "val/a", "valid/a"], r"holds \['train', 'val', 'valid'\]; a ready split has"),
        (
            ["train/a", "test/a", "new"],
            r"holds \['test', 'train'\] beside \['new'\]: a ready split or classes",
        ),
        (
            ["train", "test/a"],
            "train/ holds no folders; put the pictures of each class in a folder of its own",
        ),
    ],
)
def test_folders_that_are_no_split(tmp_path, made, message):
    for name in made:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=message):
        scan_folder(tmp_path)


def test_a_class_may_be_called_train(tmp_path, rng):
    assert scan_folder(make_folder(tmp_path, {"train": 2, "plane": 2}, rng)).classes == ("plane", "train")


def test_no_folder_a_file_and_a_folder_without_pictures(tmp_path, rng):
    with pytest.raises(ValueError, match=r"root='.*nowhere' is not there; name a folder that holds"):
        scan_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"root='.*file' is a file; name a folder that holds"):
        scan_folder(tmp_path / "file")
    (tmp_path / "bare").mkdir()
    Image.new("L", (3, 3)).save(tmp_path / "bare" / "1.png")
    with pytest.raises(
        ValueError, match="holds no folders; put the pictures of each class in a folder of its own"
    ):
        scan_folder(tmp_path / "bare")
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "a" / "x.txt").write_text("x")
    with pytest.raises(
        ValueError, match=r"has no pictures: 'a/' and 1 more can't be used \(holds no picture\)"
    ):
        scan_folder(tmp_path / "texts")


def test_one_class_alone(tmp_path, rng):
    root = make_folder(tmp_path, {"cat": 3}, rng)
    (root / "dog").mkdir()
    with pytest.raises(
        ValueError, match="has one class alone, 'cat'; to tell things apart it takes two folders"
    ):
        scan_folder(root)
    found = scan_folder(root, classes=["owl", "dog", "cat"])  # to be judged by a model that knows three
    assert (found.classes, found.labels.tolist()) == (("owl", "dog", "cat"), [2, 2, 2])
    with pytest.raises(
        ValueError, match=r"has classes \['cat'\] that are not among \['owl', 'dog'\]; rename"
    ):
        scan_folder(root, classes=["owl", "dog"])
    with pytest.raises(ValueError, match=r"not among \['k0', 'k1', 'k2', 'k3', 'k4'\] and 3 more; rename"):
        scan_folder(root, classes=[f"k{number}" for number in range(8)])


def listing(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    files = tuple(f"{label}/{row}" for row, label in enumerate(labels))
    names = tuple("abcdefgh"[: len(counts)])
    return PictureFolder(None, names, files, labels, None, (), np.ones((len(labels), 2), int), False)


@pytest.mark.parametrize("counts", [[3, 3], [3, 40, 7], [100, 4, 57, 5], [9, 28]])
@pytest.mark.parametrize("shares", [(0.1, 0.2), (0.3, 0.3), (0.05, 0.9)])
def test_a_split_is_seeded_whole_and_has_every_class_in_every_part(counts, shares):
    found = listing(counts)
    parts, again, other = (
        split_folder(found, seed, validation=shares[0], test=shares[1]) for seed in (5, 5, 6)
    )
    assert sorted(np.concatenate(list(parts.values()))) == list(range(sum(counts)))
    for name, rows in parts.items():
        np.testing.assert_array_equal(rows, again[name])
        assert found.counts(rows).min() >= 1
        assert (np.diff(rows) > 0).all()
    if sum(counts) > 20:
        assert any(not np.array_equal(parts[name], other[name]) for name in parts)
    if shares[1] == 0.2:
        wanted = np.maximum(1, np.round(np.array(counts) * 0.2))
        np.testing.assert_array_equal(found.counts(parts["test"]), wanted)


def test_another_class_or_validation_share_does_not_move_the_test_part():
    alone, more = split_folder(listing([20, 30]), 1), split_folder(listing([20, 30, 9]), 1, validation=0.3)
    np.testing.assert_array_equal(alone["test"], more["test"][: len(alone["test"])])


def test_a_class_with_one_picture_and_shares_of_nothing():
    with pytest.raises(
        ValueError, match=r"class 'b' has 1 picture to divide between train, test, validation, "
    ):
        split_folder(listing([5, 1]), 0)
    with pytest.raises(
        ValueError, match=r"class 'b' has 2 pictures .* takes at least 3; add some, or remove"
    ):
        split_folder(listing([5, 2]), 0)
    parts = split_folder(listing([5, 1]), 0, validation=0, test=0)
    assert [len(rows) for rows in parts.values()] == [6, 0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_copies_stay_together_whatever_their_class(seed):
    found = listing([17, 30, 8])
    chance = np.random.default_rng(seed)
    originals = np.arange(55)
    for row in range(1, 50):
        originals[row] = originals[chance.integers(row)] if chance.random() < 0.5 else row
    found = replace(found, originals=originals)
    parts = split_folder(found, seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(55))
    for one, other in itertools.combinations(parts.values(), 2):
        assert not set(originals[one]) & set(originals[other])
    for rows in parts.values():
        assert found.counts(rows).min() >= 1
    np.testing.assert_array_equal(found.copies(np.arange(55), parts["train"]), parts["train"])


def test_every_picture_three_times_keeps_the_shares_and_one_alone_is_no_class():
    found = replace(listing([30, 60]), originals=np.arange(90) // 3 * 3)
    counts = {name: found.counts(rows).tolist() for name, rows in split_folder(found, 4).items()}
    assert counts == {"train": [21, 42], "validation": [3, 6], "test": [6, 12]}
    found = replace(found, originals=np.repeat([0, 30, 31, 32], [30, 1, 1, 58]))
    with pytest.raises(
        ValueError, match=r"class 'a' has 30 pictures, 1 of them different, to divide between"
    ):
        split_folder(found, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed=-1 is negative"),
        ({"seed": 0, "test": 1.0}, r"validation=0\.1 and test=1\.0 must be shares"),
        ({"seed": 0, "validation": float("nan")}, "validation=nan"),
        ({"seed": 0, "validation": -0.1}, r"validation=-0\.1"),
    ],
)
def test_split_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        split_folder(listing([9, 9]), **settings)


def test_progress_is_told_and_an_interruption_leaves_no_thread(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(folders, "_CHUNK", 2)
    root = make_folder(tmp_path, {"a": 7, "b": 6}, rng)
    told = []
    scan_folder(root, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 13), (4, 13), (6, 13), (8, 13), (10, 13), (12, 13), (13, 13)]

    def interrupt(done, total):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        scan_folder(root, progress=interrupt)
    assert threading.active_count() == before


@pytest.mark.full
def test_a_hundred_thousand_files_in_bounded_memory(tmp_path):
    code = """
import resource, sys
from deepconv.data.folders import scan_folder
from PIL import Image
import numpy
Image.init()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = scan_folder(sys.argv[1])
print(len(found), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    for name in ("a", "b"):  # a file may not have 100,000 names everywhere
        Image.new("L", (5, 4)).save(tmp_path / f"{name}.png")
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(50_000):
            os.link(tmp_path / f"{name}.png", tmp_path / "photos" / name / f"{number}.png")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "photos")], capture_output=True, text=True, check=True
    )
    count, kilobytes = map(int, done.stdout.split())
    assert count == 100_000
    assert kilobytes < 100_000
