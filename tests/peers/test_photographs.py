"""The promise on real photographs: 95 % of crops from regions that were never trained on, by the command line alone."""

import resource
from pathlib import Path

import pytest

from deepconv.data.folders import scan_folder
from tests.cli.conftest import in_a_process
from tests.peers.conftest import peer
from tests.peers.photographs import PHOTOGRAPHS, TESTED, TRAINED, written

skimage = peer("skimage")


def test_the_crops_are_as_told(tmp_path, monkeypatch):
    """Few of them here: parts apart, both formats, grey and colour, mixed sizes."""
    for name, value in (("TRAINED", 6), ("TESTED", 4)):
        monkeypatch.setattr(f"tests.peers.photographs.{name}", value)
    folder = scan_folder(written(tmp_path / "photos", Path(skimage.__file__).parent / "data"))
    assert folder.classes == tuple(sorted(PHOTOGRAPHS))
    assert {part: len(rows) for part, rows in folder.parts.items()} == {
        "train": 6 * len(PHOTOGRAPHS),
        "test": 4 * len(PHOTOGRAPHS),
    }
    assert {name.rpartition(".")[2] for name in folder.files} == {"png", "jpg"}
    assert not folder.grey
    assert len({tuple(size) for size in folder.sizes.tolist()}) > 50


@pytest.mark.full
def test_photographs_are_told_apart_by_regions_never_seen(tmp_path):
    written(tmp_path / "photos", Path(skimage.__file__).parent / "data")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = in_a_process("train", "photos", "--epochs", 15, "--json", "--quiet", cwd=tmp_path).json
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"accuracy {run['test_accuracy']:.4f}, {seconds:.0f} CPU seconds, {after.ru_maxrss / 1024:.0f} MB")
    assert run["test_pictures"] == TESTED * len(PHOTOGRAPHS)
    assert run["train_pictures"] + run["validation_pictures"] == TRAINED * len(PHOTOGRAPHS)
    assert (TESTED + TRAINED) * len(PHOTOGRAPHS) >= 2000
    assert run["skipped"] == 0
    assert run["test_accuracy"] >= 0.95
    scored = in_a_process("evaluate", run["model"], "photos", "--json", cwd=tmp_path).json
    assert (scored["part"], scored["accuracy"]) == ("test", run["test_accuracy"])
    files = sorted((tmp_path / "photos" / "test").rglob("*.*g"))
    named = in_a_process("predict", run["model"], *files, "--json", cwd=tmp_path).json["predictions"]
    right = sum(entry["classes"][0]["name"] == Path(entry["file"]).parent.name for entry in named)
    assert right == scored["pictures"] - scored["mistakes"]
