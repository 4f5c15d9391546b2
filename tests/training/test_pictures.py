"""The recipe for photographs: what is chosen, which part goes where, what a picture's changes may be."""

from dataclasses import replace

import numpy as np
import pytest

from deepconv.data.decoding import PictureBatches, picture_statistics, prepare_picture
from deepconv.data.folders import scan_folder, split_folder
from deepconv.models import with_new_head
from deepconv.training.pictures import (
    PicturesSettings,
    choose_epochs,
    fingerprint,
    plan_pictures,
    train_pictures,
)
from deepconv.training.start import read_start
from deepconv.training.trainer import Trainer
from tests.photos import written


class Enough(Exception):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = written(tmp_path_factory.mktemp("recipe") / "photos", {"ant": 12, "bee": 24, "cow": 30})
    return scan_folder(root)


def given(monkeypatch, plan, **words):
    """Return what the trainer is given, without a run of training."""
    calls = []

    def fit(trainer, train, validation, **told):
        calls.append((trainer, train, validation, told))
        raise Enough

    monkeypatch.setattr(Trainer, "fit", fit)
    with pytest.raises(Enough):
        train_pictures(plan, **words)
    return calls[0]


def test_each_part_goes_where_it_belongs(folder, monkeypatch):
    plan = plan_pictures(folder, PicturesSettings(epochs=7, batch_size=5, seed=3, size=12, mixup=0.3))
    trainer, train, validation, told = given(monkeypatch, plan, workers=0)
    assert (trainer.seed, told["epochs"], trainer.clip_norm) == (3, 7, 5.0)
    np.testing.assert_array_equal(train.rows, plan.parts["train"])
    np.testing.assert_array_equal(validation.rows, plan.parts["validation"])
    assert sorted(np.concatenate(list(plan.parts.values()))) == list(range(66))
    for name, rows in split_folder(folder, 3).items():
        np.testing.assert_array_equal(plan.parts[name], rows)
    assert (train.shuffle, validation.shuffle) == (True, False)
    assert train.augment is not None
    assert (validation.augment, validation.mixup, validation.balance) == (None, None, False)
    assert (train.batch_size, train.mixup.alpha) == (5, 0.3)
    mean, std = picture_statistics(folder, plan.parts["train"], size=(12, 12), workers=0)
    for source in (train, validation):
        assert source.steps[-1] == {"step": "standardise", "mean": mean, "std": std}


def test_classes_weigh_the_same_unless_told_otherwise(folder, monkeypatch):
    for balance in (True, False):
        plan = plan_pictures(folder, PicturesSettings(size=12, balance=balance, augment=0.0))
        _, train, _, _ = given(monkeypatch, plan, workers=0)
        assert (train.balance, train.augment) == (balance, None)
        batch = next(train.epoch(0, 1))
        assert len(batch) == (3 if balance else 2)


def test_pictures_are_changed_but_not_beyond_recognition(folder, monkeypatch):
    plan = plan_pictures(folder, PicturesSettings(size=24))
    _, train, _, _ = given(monkeypatch, plan, workers=0)
    x, y, _ = next(train.epoch(0, 1))
    again, _, _ = next(train.epoch(0, 2))
    plain = {
        label: prepare_picture(folder.path(int(np.flatnonzero(folder.labels == label)[0])), train.steps)
        for label in (0, 1, 2)
    }
    for picture, label in zip(x, y, strict=True):
        gaps = {
            other: np.abs(picture.mean(axis=(1, 2)) - shown.mean(axis=(1, 2))).max()
            for other, shown in plain.items()
        }
        assert min(gaps, key=gaps.get) == label
    assert x.shape != again.shape or not np.array_equal(x, again)


@pytest.mark.parametrize(("channels", "size", "flipped"), [(3, 12, True), (1, 12, False), (1, 29, True)])
def test_only_what_may_be_letters_is_not_flipped(folder, monkeypatch, channels, size, flipped):
    plan = plan_pictures(folder, PicturesSettings(size=size, channels=channels))
    _, train, _, _ = given(monkeypatch, plan, workers=0)
    assert ("Flip" in repr(train.augment)) == flipped


def test_what_is_chosen_from_the_pictures(folder):
    plan = plan_pictures(folder)
    told = plan.settings
    shorter = np.median(folder.sizes[plan.parts["train"]].min(axis=1))
    assert told.size == max(16, int(shorter) // 4 * 4)
    assert (told.model, told.channels, told.epochs, told.learning_rate) == ("small", 3, 100, 0.005)
    assert plan_pictures(folder, told).settings == told  # a resumed run is told all of it
    assert (
        plan_pictures(folder, PicturesSettings(model="mobile", channels=1, epochs=2)).settings.channels == 1
    )


@pytest.mark.parametrize(
    ("pictures", "epochs"),
    [(1, 100), (600, 100), (1000, 60), (1001, 60), (3999, 16), (4000, 15), (10**6, 15)],
)
def test_the_rule_for_the_epochs(pictures, epochs):
    assert choose_epochs(pictures) == epochs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be a whole number of at least 1"),
        ({"epochs": True}, "epochs=True must be a whole number"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"size": 7}, "size=7 must be a whole number of at least 8"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be a finite number"),
        ({"learning_rate": 0.0}, "learning_rate=0 teaches nothing"),
        ({"test": 0.0}, "must leave some pictures"),
        ({"validation": 0.5, "test": 0.5}, "must leave some pictures"),
        ({"channels": 2}, "channels=2 is neither 1"),
        ({"model": "vgg"}, "model='vgg' is not one of"),
    ],
)
def test_a_setting_out_of_range_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        PicturesSettings(**words)


def test_the_fingerprint_tells_folders_apart_wherever_they_lie(folder, tmp_path):
    counts = {"ant": 12, "bee": 24, "cow": 30}
    assert fingerprint(scan_folder(written(tmp_path / "elsewhere", counts))) == fingerprint(folder)
    assert fingerprint(scan_folder(written(tmp_path / "fewer", {**counts, "cow": 29}))) != fingerprint(folder)
    assert fingerprint(replace(folder, classes=folder.classes[::-1])) != fingerprint(folder)


def test_a_start_brings_its_weights_and_its_preparation(folder, tmp_path):
    plan = plan_pictures(folder, PicturesSettings(epochs=1, size=12))
    run = train_pictures(plan, workers=0)
    run.model.save(tmp_path / "m.safetensors")
    start = read_start(tmp_path / "m.safetensors", ["bee", "dog"], 5)
    assert (start.size, start.channels, start.mean, start.std) == ((12, 12), 3, run.mean, run.std)
    assert start.kept(["bee", "dog"]) == ["bee"]
    expected = with_new_head(run.model, folder.classes, ["bee", "dog"], seed=5).state()
    for name, array in start.network.state().items():
        np.testing.assert_array_equal(array, expected[name])
    batches = PictureBatches(folder, size=start.size, mean=start.mean, std=start.std)
    np.testing.assert_array_equal(
        batches.read(3), prepare_picture(folder.path(3), run.model.metadata["preprocessing"])
    )
    (shown,) = {run.shown(batches.read(3)).shape}
    assert shown == (12, 12, 3)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "doesn't say what its classes are"),
        ({"classes": ["a", "b"]}, "prepares its pictures in another way"),
        ({"classes": ["a", "b"], "preprocessing": [{"step": "ink"}]}, "prepares its pictures in another way"),
        ({"classes": ["a"]}, "prepares its pictures in another way"),
    ],
)
def test_what_is_no_start_is_refused(tmp_path, metadata, message):
    from deepconv.models import small

    small(3, 2, 8).initialize((3, 8, 8)).save(tmp_path / "m.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=message):
        read_start(tmp_path / "m.safetensors", ["a", "b"], 0)


def test_a_damaged_picture_among_the_held_out_moves_no_name(tmp_path):
    found = scan_folder(written(tmp_path / "photos", {"ant": 10, "bee": 10}))
    plan = plan_pictures(found, PicturesSettings(epochs=1, size=12, model="small"))
    lost = found.files[plan.parts["test"][1]]
    (tmp_path / "photos" / lost).write_bytes(b"spoiled")
    run = train_pictures(plan, workers=0)
    assert list(run.failed) == [lost]
    assert lost not in run.files
    assert [name.split("/")[0] for name in run.files] == [found.classes[n] for n in run.scores.labels]
