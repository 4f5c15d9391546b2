"""`deepconv evaluate`: how often a model is right, and what it confuses."""

import json
import shutil

import numpy as np
import pytest

from deepconv.cli.evaluate import _confused
from deepconv.data.preprocessing import photograph_steps
from deepconv.layers import GlobalAvgPool, Linear, Sequential
from tests.cli.conftest import deepconv
from tests.photos import written

NAMES = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model that names the strongest colour, and pictures of colours."""
    home = tmp_path_factory.mktemp("home")
    model = Sequential(GlobalAvgPool(), Linear(3, 3)).initialize((3, 8, 8))
    model[1].weight.value[:] = 50 * np.eye(3)[::-1]
    model.save(home / "m.safetensors", metadata={"classes": NAMES, "preprocessing": photograph_steps((8, 8))})
    written(home / "photos", {"red": 6, "green": 4})
    return home


def colours(home, folder, counts):
    """Write pictures that are what their folder says, but for the last of each, which is blue."""
    from PIL import Image

    for name, count in counts.items():
        (home / folder / name).mkdir(parents=True)
        for number in range(count):
            shown = "blue" if number == count - 1 else name
            Image.new("RGB", (20 + number, 15), {"green": "lime"}.get(shown, shown)).save(
                home / folder / name / f"{number}.png"
            )
    return home / folder


def test_the_scores_are_counted_by_hand(home, tmp_path):
    folder = colours(tmp_path, "c", {"red": 5, "green": 3})
    outcome = deepconv("evaluate", home / "m.safetensors", folder, "--json")
    assert outcome.status == 0
    found = outcome.json
    assert (found["accuracy"], found["pictures"], found["mistakes"], found["part"]) == (0.75, 8, 2, "all")
    assert found["confusion"] == [[0, 0, 0], [1, 2, 0], [1, 0, 4]]
    assert found["classes"] == [
        {"name": "blue", "precision": 0.0, "recall": None, "support": 0},
        {"name": "green", "precision": 1.0, "recall": pytest.approx(2 / 3), "support": 3},
        {"name": "red", "precision": 1.0, "recall": 0.8, "support": 5},
    ]
    assert found["errors"] == []
    said = deepconv("evaluate", "--help").out.replace("\n", " ")
    assert all(key in said for key in found)


def test_the_tables(home, tmp_path):
    folder = colours(tmp_path, "c", {"red": 5, "green": 3})
    out = " ".join(deepconv("evaluate", home / "m.safetensors", folder).out.split())
    assert "accuracy 75.00 % (6 of 8 pictures right; part: all)" in out
    assert "blue 0.0 % – 0" in out
    assert "green 100.0 % 66.7 % 3" in out
    assert "is ↓ taken for →" in out
    assert "red 1 · 4" in out


def test_it_agrees_with_predict(home):
    model, photos = home / "m.safetensors", home / "photos"
    files = sorted(photos.rglob("*.*g"))
    named = [
        entry["classes"][0]["name"]
        for entry in deepconv("predict", model, *files, "--json").json["predictions"]
    ]
    right = sum(name == file.parent.name for name, file in zip(named, files, strict=True))
    assert deepconv("evaluate", model, photos, "--json").json["accuracy"] == right / len(files)


def test_what_cannot_be_read_is_reported_and_the_rest_is_done(home, tmp_path):
    folder = colours(tmp_path, "c", {"red": 5, "green": 3})
    (folder / "red" / "a.txt").write_text("no picture")
    file = folder / "green" / "0.png"
    file.write_bytes(file.read_bytes()[:-30])
    outcome = deepconv("evaluate", home / "m.safetensors", folder, "--json")
    assert outcome.status == 1
    assert [entry["file"] for entry in outcome.json["errors"]] == ["green/0.png"]
    assert [entry["file"] for entry in outcome.json["skipped_files"]] == ["red/a.txt"]
    assert outcome.json["pictures"] == 7
    assert len(outcome.err.splitlines()) == 2
    assert "can't be" in deepconv("evaluate", home / "m.safetensors", folder, "--strict").error


def test_what_never_was_a_picture_is_passed_over(home, tmp_path):
    folder = colours(tmp_path, "c", {"red": 5, "green": 3})
    for name in ("README.md", "red/notes.txt", "red/Makefile"):
        (folder / name).write_text("words")
    (folder / "blue").mkdir()
    outcome = deepconv("evaluate", home / "m.safetensors", folder)
    assert outcome.status == 0
    assert outcome.err == (
        "Passed over what is no picture of a class: README.md, blue/, red/Makefile, red/notes.txt; "
        "--strict refuses them.\n"
    )
    (folder / "red" / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    assert deepconv("evaluate", home / "m.safetensors", folder).status == 1


def test_of_a_ready_split_the_test_part_is_taken(home, tmp_path):
    for part, counts in (("train", {"red": 5, "green": 3}), ("test", {"red": 2})):
        colours(tmp_path, f"c/{part}", counts)
    model = home / "m.safetensors"
    found = {part: deepconv("evaluate", model, tmp_path / "c", "--json", *words).json for part, words in
             {"test": [], "all": ["--part", "all"]}.items()}  # fmt: skip
    assert {part: scores["pictures"] for part, scores in found.items()} == {"test": 2, "all": 10}
    assert all(scores["part"] == part for part, scores in found.items())


def test_digits_models_are_scored_too(tmp_path):
    from tests.cli.test_predict import MODEL
    from tests.drawing import drawn

    for digit in "37":
        (tmp_path / digit).mkdir()
        for pen in (4, 8):
            drawn(digit, pen=pen).save(tmp_path / digit / f"{pen}.png")
    assert deepconv("evaluate", MODEL, tmp_path, "--json").json["accuracy"] >= 0.75


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--part", "test"], "doesn't say which pictures were its test part; choose the part all"),
        (["--part", "best"], "--part best is not one of all, train, validation, test"),
    ],
)
def test_a_part_that_cannot_be_told_is_an_error(home, words, message):
    assert message in deepconv("evaluate", home / "m.safetensors", home / "photos", *words).error


def test_a_folder_that_changed_has_no_part_to_tell(home, tmp_path):
    from deepconv.storage import load

    model = load(home / "m.safetensors")
    settings = {"seed": 0, "validation": 0.1, "test": 0.2}
    model.save(
        tmp_path / "m.safetensors", metadata={**model.metadata, "settings": settings, "fingerprint": "0"}
    )
    error = deepconv("evaluate", tmp_path / "m.safetensors", home / "photos", "--part", "test").error
    assert "is not the folder as the model's run divided it" in error


def test_other_classes_and_missing_things_are_errors(home, tmp_path):
    folder = shutil.copytree(home / "photos", tmp_path / "p")
    (folder / "red").rename(folder / "pink")
    assert (
        "has classes ['pink'] that are not among ['blue', 'green', 'red']"
        in deepconv("evaluate", home / "m.safetensors", folder).error
    )
    assert "none.safetensors can't be read" in deepconv("evaluate", "none.safetensors", folder).error
    assert "is not there" in deepconv("evaluate", home / "m.safetensors", tmp_path / "none").error


def test_a_model_of_other_numbers_is_an_error(home, tmp_path):
    model = Sequential(GlobalAvgPool(), Linear(3, 2)).initialize((3, 8, 8))
    model.save(
        tmp_path / "m.safetensors", metadata={"classes": NAMES, "preprocessing": photograph_steps((8, 8))}
    )
    error = deepconv("evaluate", tmp_path / "m.safetensors", home / "photos").error
    assert "the model does not fit its preprocessing: score: model gave scores of shape" in error


def test_of_many_classes_the_worst_confusions_are_named(tmp_path):
    confusion = np.diag([5, 6, 7]).tolist()
    confusion[0][2], confusion[2][1] = 4, 9
    assert _confused(["a", "b", "c"], confusion) == ["c taken for b: 9", "a taken for c: 4"]
    names = [f"kind {number:02}" for number in range(30)]
    colours(tmp_path, "c", {"red": 2})
    (tmp_path / "c" / "red").rename(tmp_path / "c" / names[0])
    model = Sequential(GlobalAvgPool(), Linear(3, 30)).initialize((3, 8, 8))
    model.save(
        tmp_path / "m.safetensors", metadata={"classes": names, "preprocessing": photograph_steps((8, 8))}
    )
    out = deepconv("evaluate", tmp_path / "m.safetensors", tmp_path / "c").out
    assert "taken for →" not in out
    assert json.dumps(names[29])[1:-1] in out
