"""Files of the same bytes: found whatever they are called, with as little reading as can be."""

import os
import shutil

import numpy as np
import pytest

from deepconv.data import copies
from deepconv.data.copies import find_originals
from deepconv.data.folders import scan_folder
from tests.data.photographs import make_folder


@pytest.mark.parametrize("workers", [1, 5])
def test_the_first_of_equal_files_is_named(tmp_path, rng, monkeypatch, workers):
    monkeypatch.setattr(copies, "_CHUNK", 3)
    monkeypatch.setattr(copies, "_BLOCK", 1000)
    kinds = [rng.bytes(n) for n in (0, 7, 7, 9000, 9000)]
    kinds += [kinds[3][:4000] + b"!" + kinds[3][4001:], kinds[3][:-1] + b"?"]  # equal ends, and nearly equal
    chosen = rng.integers(len(kinds), size=41).tolist()
    paths = [tmp_path / str(number) for number in range(41)]
    for path, kind in zip(paths, chosen, strict=True):
        path.write_bytes(kinds[kind])
    assert find_originals(paths, workers=workers).tolist() == [chosen.index(kind) for kind in chosen]


def test_only_what_may_be_equal_is_read(tmp_path, rng, monkeypatch):
    read = []
    digest = copies._digest
    monkeypatch.setattr(
        copies, "_digest", lambda path, end: read.append((path.name, end)) or digest(path, end)
    )
    for name, content in {"a": b"x" * 5, "b": b"x" * 6, "c": b"y" * 6}.items():
        (tmp_path / name).write_bytes(content)
    os.link(tmp_path / "a", tmp_path / "d")
    (tmp_path / "e").symlink_to(tmp_path / "b")
    paths = [tmp_path / name for name in ("a", "b", "c", "d", "e", "gone", "gone")]
    assert find_originals(paths).tolist() == [0, 1, 2, 0, 1, 5, 6]
    assert sorted(read) == [("b", 4096), ("c", 4096)]


def test_a_folder_knows_its_copies_in_all_its_classes(tmp_path, rng):
    root = make_folder(tmp_path / "photos", {"a": 3, "b": 4}, rng)
    shutil.copy(root / "a" / "1.png", root / "b" / "9.jpg")
    found = scan_folder(root)
    assert [found.files[row] for row in found.originals] == [*found.files[:-1], "a/1.png"]
    assert found.copies(np.array([0, 1, 2]), np.array([3, 7])).tolist() == [1]
