"""`deepconv train FOLDER`: photographs of one's own, however they lie there."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepconv.storage import load
from tests.cli.conftest import deepconv, interrupted
from tests.photos import written

FILES = ["history.json", "model.safetensors", "report.png"]
SHORT = ("--epochs", 1, "--size", 8, "--model", "small", "--batch-size", 8)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path):
    return written(tmp_path / "photos", {"blue sky": 12, "grass": 9, "sand": 15})


@pytest.fixture(scope="session")
def learned(tmp_path_factory):
    """A folder of pictures with three files that are none, a run on it, and what it printed."""
    home = tmp_path_factory.mktemp("learned")
    photos = written(home / "photos", {"blue sky": 30, "grass": 20, "sand": 40})
    (photos / "sand" / "empty.jpg").write_bytes(b"")
    (photos / "sand" / "notes.png").write_text("no picture")
    whole = (photos / "grass" / "001.jpg").read_bytes()
    (photos / "grass" / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    words = ("--out", home / "run", "--epochs", 12, "--size", 16, "--batch-size", 8, "--json")
    outcome = deepconv("train", photos, *words)
    assert outcome.status == 0, outcome
    return photos, home / "run", outcome


def test_it_learns_and_leaves_three_files(learned):
    _, run, outcome = learned
    printed = outcome.json
    assert names(run) == FILES
    assert printed["test_accuracy"] >= 0.9
    assert printed["classes"] == ["blue sky", "grass", "sand"]
    assert printed["test_pictures"] in (
        18,
        19,
    )  # the cut one may be in the test part, where it counts as none
    assert printed["train_pictures"] + printed["validation_pictures"] == 91 - printed["test_pictures"] or (
        printed["train_pictures"] + printed["validation_pictures"] == 90 - printed["test_pictures"]
    )
    assert printed["skipped"] == 3
    assert printed["settings"]["size"] == 16
    assert printed["settings"]["model"] == "small"
    assert printed["parameters"] == sum(
        p.data.size for p in load(run / "model.safetensors").parameters().values()
    )


def test_the_summary_before_it_starts(learned):
    _, run, outcome = learned
    said = " ".join(outcome.err.split())
    assert "91 pictures of 3 classes" in said
    for words in (
        "class train validation test", "sand 28 4 8", "Network small, pictures brought to 16 × 16 in colour: ",
        "parameters", "12 epochs of batches of 8, learning rate 0.005, seed 0", "each picture is weighed",
        "Passed over 2 files: sand/empty.jpg (empty: zero bytes), sand/notes.png (", f"Writing to {run}", "epoch 12/12",
    ):  # fmt: skip
        assert words in said, (words, said)


def test_the_history_names_what_was_passed_over_and_every_class(learned):
    _, run, outcome = learned
    history = json.loads((run / "history.json").read_text())
    skipped = {entry["file"]: entry["reason"] for entry in history["skipped_files"]}
    assert set(skipped) == {"sand/empty.jpg", "sand/notes.png", "grass/cut.jpg"}
    assert len(history["epochs"]) == 12
    assert [entry["name"] for entry in history["per_class"]] == outcome.json["classes"]
    confusion = np.array(history["confusion"])
    assert confusion.sum() == outcome.json["test_pictures"]
    assert len(history["mistakes"]) == confusion.sum() - np.trace(confusion)
    assert set(history["data"]) == {"folder", "pictures", "fingerprint"}


def test_the_docs_and_the_help_name_every_key(learned):
    _, run, outcome = learned
    docs = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    said = deepconv("train", "--help").out.replace("\n", " ")
    for key in outcome.json:
        assert key in said, key
        assert f"`{key}`" in docs, key
    for key in [*outcome.json["settings"], *json.loads((run / "history.json").read_text())]:
        assert f"`{key}`" in docs, key


def test_predict_and_evaluate_agree_with_the_run(learned):
    photos, run, outcome = learned
    scored = deepconv("evaluate", run / "model.safetensors", photos, "--part", "test", "--json")
    assert scored.json["accuracy"] == outcome.json["test_accuracy"]
    assert scored.json["confusion"] == json.loads((run / "history.json").read_text())["confusion"]
    picture = photos / "sand" / "003.jpg"
    (found,) = deepconv("predict", run / "model.safetensors", picture, "--json").json["predictions"]
    assert found["classes"][0]["name"] == "sand"
    assert sum(kind["probability"] for kind in found["classes"]) == pytest.approx(1)


def test_any_number_of_workers_gives_the_same_bytes_and_the_next_folder(sketched, photos, tmp_path):
    for number, workers in enumerate((0, 3), 1):
        outcome = deepconv("train", "photos", *SHORT, "--workers", workers, "--quiet")
        assert (outcome.status, outcome.out, outcome.err) == (0, "", ""), number
    assert names(tmp_path) == ["photos", "photos-run", "photos-run-2"]
    first, again = (tmp_path / f"photos-run{end}" / "model.safetensors" for end in ("", "-2"))
    assert first.read_bytes() == again.read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_bytes(sketched, photos, tmp_path, monkeypatch):
    words = ("train", "photos", *SHORT[2:], "--epochs", 3, "--mixup", 0.2)
    outcome = interrupted(monkeypatch, 3, *words)
    assert outcome.status == 130
    assert "Stopped. Go on with: deepconv train photos --out photos-run --resume\n" in outcome.err
    assert names(tmp_path / "photos-run") == ["checkpoint.safetensors", "history.json"]
    error = deepconv("train", "photos", "--resume", "--size", 12).error
    assert "--size 12 is not the 8 that this run began with" in error
    assert deepconv("train", "photos", "--resume", "--quiet").status == 0
    assert names(tmp_path / "photos-run") == FILES
    assert deepconv(*words, "--out", "whole", "--quiet").status == 0
    files = [tmp_path / run / "model.safetensors" for run in ("photos-run", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    again = deepconv("train", "photos", "--resume", "--out", "whole", "--json")
    assert again.json["model"] == "whole/model.safetensors"


def test_other_pictures_do_not_go_on_with_a_run(photos, tmp_path, monkeypatch):
    assert (
        interrupted(monkeypatch, 2, "train", "photos", *SHORT[2:], "--epochs", 2, "--out", "run").status
        == 130
    )
    (photos / "sand" / "000.png").unlink()
    error = deepconv("train", "photos", "--resume", "--out", "run").error
    assert "are not those that the run in run began with (36 then, 35 now)" in error
    assert (
        "holds a run on a folder of pictures, not on digits"
        in deepconv("train", "digits", "--resume", "--out", "run").error
    )
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "history.json").write_text('{"settings": {"epochs": 3}}')
    assert (
        "holds a run on digits, not on pictures"
        in deepconv("train", "photos", "--resume", "--out", "d").error
    )


def test_a_ready_split_is_kept(sketched, photos, tmp_path):
    for part in ("train", "test"):
        shutil.copytree(photos, tmp_path / "split" / part)
    outcome = deepconv("train", "split", *SHORT, "--json", "--test", 0.5, "--validation", 0.2)
    said = " ".join(outcome.err.split())
    assert "with a ready split" in said
    assert "--test 0.5 changes nothing: the folder brings its own test part." in said
    assert "1 epoch of batches" in said
    assert "--validation" not in said  # which is drawn here
    assert outcome.json["test_pictures"] == 36
    assert outcome.json["train_pictures"] + outcome.json["validation_pictures"] == 36


def test_what_a_ready_split_holds_twice_is_said(sketched, photos, tmp_path):
    for part in ("train", "test"):
        shutil.copytree(photos, tmp_path / "split" / part)
    for file in [*(photos / "sand").iterdir()][:8]:
        (tmp_path / "split" / "train" / "sand" / file.name).unlink()
    outcome = deepconv("train", "split", *SHORT, "--validation", 0)
    said, table = " ".join(outcome.err.split()), " ".join(outcome.out.split())
    assert (
        "28 pictures are copies of others, byte for byte. Beware: 28 test pictures are copies of training"
        in said
    )
    assert "of 36 pictures, 28 test pictures are copies of training pictures)" in table
    assert "never saw" not in table
    history = json.loads(Path("split-run/history.json").read_text())
    assert (history["test_copies"], history["validation_copies"]) == (28, 0)


def test_of_pictures_that_lie_there_thrice_none_is_tested_on_that_was_trained_on(sketched, photos):
    for number in "23":
        for file in [*photos.glob("*/0*")]:
            shutil.copy(file, file.with_name(f"copy {number} {file.name}"))
    outcome = deepconv("train", "photos", *SHORT)
    assert "72 pictures are copies of others, byte for byte; copies stay together in one part." in outcome.err
    assert "pictures that it never saw)" in " ".join(outcome.out.split())
    assert json.loads(Path("photos-run/history.json").read_text())["test_copies"] == 0


def test_from_another_models_weights(learned, sketched, photos, tmp_path):
    _, run, _ = learned
    (photos / "blue sky").rename(photos / "water")
    start = run / "model.safetensors"
    outcome = deepconv("train", "photos", "--from", start, "--epochs", 1, "--json")
    assert outcome.status == 0, outcome
    said = " ".join(outcome.err.split())
    assert "with a new last layer (2 of 3 classes it knew before), pictures brought to 16 × 16" in said
    assert "learning rate 0.001" in said
    new, old = load(outcome.json["model"]), load(start)
    assert new.metadata["classes"] == ["grass", "sand", "water"]
    assert new.metadata["preprocessing"] == old.metadata["preprocessing"]
    assert new.metadata["started_from"] == f"{__import__('zlib').crc32(start.read_bytes()):08x}"
    assert str(tmp_path) not in json.dumps(new.metadata)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", 32], "train: --size 32, but the model to start from has 16; leave it out"),
        (
            ["--model", "resnet"],
            "train: --model resnet, but the model to start from brings its own network; leave it out",
        ),
    ],
)
def test_what_does_not_fit_the_model_to_start_from_is_an_error(learned, photos, tmp_path, words, message):
    assert message in deepconv("train", "photos", "--from", learned[1] / "model.safetensors", *words).error
    assert names(tmp_path) == ["photos"]


def test_a_digits_model_is_no_start_for_photographs(photos, tmp_path):
    digits = Path(__file__).parents[1] / "data" / "digits_v1.safetensors"
    error = deepconv("train", "photos", "--from", digits).error
    assert "prepares its pictures in another way than photographs are" in error
    assert "No such file" in deepconv("train", "photos", "--from", "none.safetensors").error
    assert names(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    ("make", "words", "message"),
    [
        (lambda p: shutil.rmtree(p), [], "there is no folder photos; name one with"),
        (lambda p: shutil.rmtree(p / "sand") or shutil.rmtree(p / "grass"), [], "has one class alone, 'blue sky'"),
        (lambda p: (p / "sand" / "1.txt").write_text("x"), ["--strict"], "train: 'photos': 'sand/1.txt' can't be used"),
        (lambda p: [f.unlink() for f in list((p / "sand").iterdir())[1:]], [], "class 'sand' has 1 picture"),
        (lambda p: None, ["--model", "vgg"], "train: --model vgg is not one of lenet, small, resnet, mobile"),
        (lambda p: None, ["--size", 3], "train: --size 3 must be a whole number of at least 8"),
        (lambda p: None, ["--test", 0], "train: --validation 0.1 and --test 0.0 must leave some pictures"),
        (lambda p: None, ["--learning-rate", 0], "train: --learning-rate 0 teaches nothing"),
        (lambda p: None, ["--augment", "inf"], "train: --augment inf must be a finite number"),
        (lambda p: None, ["--out", "photos/run"], "would lie among the pictures in photos"),
        (lambda p: os.chdir(p), ["."], "would lie among the pictures in ."),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_line_and_makes_no_folder(photos, tmp_path, make, words, message):
    make(photos)
    folder = words[0] if words == ["."] else "photos"
    assert message in deepconv("train", folder, *(() if words == ["."] else words)).error
    assert [name for name in names(tmp_path) if name != "photos"] == []


def test_strict_refuses_a_damaged_picture_and_leaves_nothing(photos, tmp_path):
    file = photos / "grass" / "001.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 9 // 10])
    error = deepconv("train", "photos", *SHORT, "--strict", "--quiet").error
    assert "'grass/001.jpg' can't be read" in error
    assert names(tmp_path) == ["photos"]


def test_many_classes_are_summed_up(sketched, tmp_path):
    written(tmp_path / "photos", {f"kind {number:02}": 4 for number in range(30)})
    outcome = deepconv("train", "photos", *SHORT)
    assert outcome.status == 0
    assert "… 6 more" in outcome.err
    assert "kind 00" in outcome.err


def test_nothing_in_a_folders_name_steers_the_terminal(sketched, tmp_path):
    written(tmp_path / "photos", {"a\x1b[31m": 6, "[red]b": 6})
    outcome = deepconv("train", "photos", *SHORT)
    assert outcome.status == 0
    assert "\x1b" not in outcome.err + outcome.out
    assert "[red]b" in outcome.err


def test_one_picture_that_vanishes_is_passed_over(sketched, photos, monkeypatch):
    from deepconv.training.trainer import Trainer

    fit = Trainer.fit

    def vanish(self, *given, **words):
        (photos / "grass" / "002.png").unlink()
        (photos / "sand" / "004.png").unlink()
        return fit(self, *given, **words)

    monkeypatch.setattr(Trainer, "fit", vanish)
    outcome = deepconv("train", "photos", *SHORT, "--json", "--quiet")
    assert outcome.json["skipped"] == 2
    history = json.loads(Path("photos-run/history.json").read_text())
    assert [entry["reason"] for entry in history["skipped_files"]] == [
        "no such file; name a picture file"
    ] * 2


def test_grey_pictures_of_characters(tmp_path):
    written(tmp_path / "photos", {"x": 12, "y": 12}, grey=True, sides=(20, 21))
    outcome = deepconv("train", "photos", "--epochs", 1, "--json")
    assert (outcome.json["settings"]["channels"], outcome.json["settings"]["model"]) == (1, "lenet")
    assert outcome.json["settings"]["size"] == 20
    with Image.open("photos-run/report.png") as picture:
        assert picture.format == "PNG"
