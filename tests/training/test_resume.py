"""A run killed at any moment goes on to the very bits of a run that was left alone."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepconv.data import Shift
from deepconv.training import (
    SGD,
    Adam,
    AdamW,
    Cosine,
    CrossEntropy,
    EarlyStopping,
    History,
    MeanSquared,
    Trainer,
    checkpoints,
)
from deepconv.training.checkpoints import read_checkpoint
from tests.conftest import examples
from tests.training.small import assert_same, differs, network, pictures, scale

X, Y = scale(pictures()[0]), pictures()[1]
VALIDATION = (scale(pictures(40, seed=1)[0]), pictures(40, seed=1)[1])
ROOT = Path(__file__).resolve().parents[2]


def run_and_kill(folder, words):
    """Start the program, kill it after some words, and tell whether it had ended before."""
    command = [sys.executable, "-m", "tests.training.run_and_be_killed", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(words):
            if not process.stdout.readline():
                break
        else:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode == 0


def without_seconds(history):
    return [dataclasses.replace(record, seconds=0.0) for record in history]


@pytest.mark.full  # tests/cli/test_train.py kills a run once, by default
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path):
    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    assert run_and_kill(tmp_path / "calm", 10**6)
    history = History.from_json((tmp_path / "calm" / "final.json").read_text())
    assert history.best_epoch < len(history) < 40, "the run should stop early, not at its best"
    generator = np.random.default_rng()  # a new moment in every run of the test
    kills, early = 0, examples(3, full=6)
    # six batches, a checkpoint and an epoch make eight words; the first kills come in the first epochs
    while not run_and_kill(
        tmp_path / "killed", int(generator.integers(1, 3 * 8 if kills < early else 10**6))
    ):
        kills += 1
    assert kills >= early - 2
    with (
        np.load(tmp_path / "killed" / "final.npz") as killed,
        np.load(tmp_path / "calm" / "final.npz") as calm,
    ):
        assert_same(dict(killed), dict(calm))
    again = History.from_json((tmp_path / "killed" / "final.json").read_text())
    assert without_seconds(again) == without_seconds(history)
    assert again.best_epoch == history.best_epoch
    assert sorted(os.listdir(tmp_path / "killed")) == ["final.json", "final.npz", "run.ckpt"]


class Interrupt:
    """Ctrl-C at one batch."""

    def __init__(self, epoch, batch):
        self.at = (epoch, batch)

    def on_batch_end(self, progress):
        if (progress.epoch, progress.batch) == self.at:
            raise KeyboardInterrupt


class States:
    def __init__(self, of):
        self.of, self.states = of, []

    def on_epoch_end(self, record):
        self.states.append(self.of.state())


def fit(
    path,
    *,
    model=None,
    optimizer=None,
    loss=None,
    callbacks=(),
    resume=False,
    epochs=4,
    data=(X, Y),
    **settings,
):
    """Run one of many variants of a run and return its trainer."""
    fitting = {
        "batch_size": 30,
        "augment": None,
        **{k: settings.pop(k) for k in ("batch_size", "augment") if k in settings},
    }
    model = model or network()
    trainer = Trainer(
        model,
        loss or CrossEntropy(),
        optimizer or SGD(0.1, momentum=0.9),
        callbacks=callbacks,
        checkpoint=path,
        **settings,
    )
    validation = VALIDATION if trainer.early_stopping else None
    trainer.fit(data, validation, epochs=epochs, resume=resume, **fitting)
    return trainer


VARIANTS = {
    "momentum": dict(optimizer=lambda: SGD(0.1, momentum=0.9)),
    "nesterov": dict(optimizer=lambda: SGD(0.1, momentum=0.9, nesterov=True), schedule=Cosine()),
    "adam": dict(optimizer=lambda: Adam(0.01, weight_decay=0.01), augment=Shift(1)),
    "adamw": dict(optimizer=lambda: AdamW(0.01), early_stopping=EarlyStopping(patience=None), clip_norm=0.5),
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("at", [(1, 2), (3, 1), (4, 3)])
def test_ctrl_c_keeps_the_last_epoch_and_the_run_goes_on_from_there(tmp_path, variant, at):
    settings = {**variant, "optimizer": variant["optimizer"]()}
    whole = fit(None, **settings)
    model = network()
    states = States(model)
    before = model.state()
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run.ckpt", model=model, callbacks=[states, Interrupt(*at)], **settings)
    assert_same(model.state(), states.states[-1] if at[0] > 1 else before)
    assert (tmp_path / "run.ckpt").exists() == (at[0] > 1)
    settings["optimizer"] = variant["optimizer"]()
    resumed = fit(tmp_path / "run.ckpt", model=network(seed=8 if at[0] > 1 else 0), resume=True, **settings)
    assert_same(resumed.model.state(), whole.model.state())
    assert without_seconds(resumed.history) == without_seconds(whole.history)
    assert resumed.history.best_epoch == whole.history.best_epoch


def test_a_run_stopped_after_its_best_epoch_still_ends_with_those_weights(tmp_path):
    def settings():
        return dict(early_stopping=EarlyStopping(patience=None), optimizer=SGD(0.5, momentum=0.9), epochs=6)

    whole = fit(None, **settings())
    best = whole.history.best_epoch
    assert best < 6
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run.ckpt", callbacks=[Interrupt(best + 1, 1)], **settings())
    resumed = fit(tmp_path / "run.ckpt", model=network(seed=5), resume=True, **settings())
    assert resumed.history.best_epoch == best
    assert_same(resumed.model.state(), whole.model.state())


def test_a_finished_run_resumes_to_its_end(tmp_path):
    settings = dict(early_stopping=EarlyStopping(patience=None), optimizer=SGD(0.5, momentum=0.9))
    first = fit(tmp_path / "run.ckpt", **settings)
    states = States(network())
    again = fit(tmp_path / "run.ckpt", model=network(seed=5), resume=True, callbacks=[states], **settings)
    assert states.states == []
    assert_same(first.model.state(), again.model.state())
    assert again.history == first.history


def test_a_run_without_a_schedule_may_be_made_longer(tmp_path):
    whole = fit(None, epochs=5)
    fit(tmp_path / "run.ckpt", epochs=2)
    longer = fit(tmp_path / "run.ckpt", epochs=5, resume=True)
    assert_same(whole.model.state(), longer.model.state())


def test_a_run_cannot_be_made_shorter(tmp_path):
    fit(tmp_path / "run.ckpt", epochs=3)
    with pytest.raises(ValueError, match="the checkpoint holds 3 epochs, more than epochs=2"):
        fit(tmp_path / "run.ckpt", epochs=2, resume=True)


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    seen = Interrupt(1, 1)
    with pytest.raises(
        PermissionError, match=r"run\.ckpt' is in a folder that can't be written; choose another"
    ):
        fit(tmp_path / "run.ckpt", callbacks=[seen])


def test_without_resume_a_run_starts_anew(tmp_path):
    fit(tmp_path / "run.ckpt", optimizer=SGD(0.3), seed=9)
    anew = fit(tmp_path / "run.ckpt")
    assert_same(anew.model.state(), fit(None).model.state())
    assert read_checkpoint(tmp_path / "run.ckpt").settings["seed"] == 0


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    model, path = network(), tmp_path / "run.ckpt"
    states = States(model)
    write, calls = checkpoints.atomic_write, []

    def failing(target, data):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        write(target, data)

    monkeypatch.setattr(checkpoints, "atomic_write", failing)
    with pytest.raises(OSError, match="No space left"):
        fit(path, model=model, callbacks=[states])
    monkeypatch.undo()
    found = read_checkpoint(path)
    assert len(found.history) == len(states.states) == 2
    assert_same(dict(found.model), states.states[1])
    assert_same(model.state(), states.states[1])
    assert_same(fit(path, resume=True).model.state(), fit(None).model.state())


def wider():
    from deepconv.layers.dense import Linear
    from deepconv.layers.flatten import Flatten
    from deepconv.layers.sequential import Sequential

    return Sequential(Flatten(), Linear(None, 3)).initialize((1, 5, 6))


def dropped_more():
    model = network()
    model.layers[4].p = 0.5
    return model


OTHER = {
    "model": (
        dict(model=wider()),
        r"parameters\['1.weight'\]=\(4,\) float32, but this run has .*\(3, 30\) float32",
    ),
    "dtype": (dict(model=network(np.float64)), r"parameters\['0.weight'\]=.*float32, but .*float64"),
    "dropout": (dict(model=dropped_more()), r"model=Sequential\(.*, but this run has model=Sequential"),
    "optimizer": (dict(optimizer=AdamW(0.1)), r"optimizer=SGD\(.*, but this run has optimizer=AdamW\("),
    "learning rate": (
        dict(optimizer=SGD(0.2, momentum=0.9)),
        r"optimizer=SGD\(learning_rate=0.1.* has .*=0.2",
    ),
    "loss": (dict(loss=CrossEntropy(0.1)), r"loss=CrossEntropy\(label_smoothing=0.0\), but"),
    "seed": (dict(seed=1), "seed=0, but this run has seed=1; resume with the same settings, or start anew"),
    "batch size": (dict(batch_size=16), "train batch_size=30, but this run has train batch_size=16"),
    "schedule": (dict(schedule=Cosine()), r"schedule=Constant\(\), but this run has schedule=Cosine"),
    "clipping": (dict(clip_norm=1.0), "clip_norm=None, but this run has clip_norm=1.0"),
    "augmentation": (dict(augment=Shift(1)), r"augment=None, but this run has augment=Shift\(pixels=1"),
    "stopping": (dict(early_stopping=EarlyStopping()), "early_stopping=None, but this run"),
    "samples": (
        dict(data=(X[:80], Y[:80])),
        r"train x=\(90, 1, 5, 6\) float32, but this run has train x=\(80",
    ),
    "pictures": (dict(data=(X + 1, Y)), "train checksum="),
    "labels": (dict(data=(X, Y[::-1].copy())), "train checksum="),
    "the last pictures": (dict(data=(np.concatenate([X[:-9], X[-9:] + 1]), Y)), "train checksum="),
}


@pytest.mark.parametrize(("change", "message"), OTHER.values(), ids=OTHER)
def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path, change, message):
    fit(tmp_path / "run.ckpt", epochs=1)
    before = (tmp_path / "run.ckpt").read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint: it was written with {message}"):
        fit(tmp_path / "run.ckpt", resume=True, epochs=2, **change)
    assert (tmp_path / "run.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "message"),
    [((VALIDATION[0] + 1, VALIDATION[1]), "validation checksum="), (None, "validation .*=None")],
)
def test_another_validation_set_is_refused(tmp_path, other, message):
    def run(validation, **words):
        parts = network(), CrossEntropy(), SGD(0.1)
        Trainer(*parts, checkpoint=tmp_path / "run.ckpt").fit((X, Y), validation, batch_size=30, **words)

    run(VALIDATION, epochs=1)
    with pytest.raises(ValueError, match=f"checkpoint: it was written with {message}"):
        run(other, epochs=2, resume=True)


def test_ctrl_c_soon_after_a_resume_goes_back_to_the_checkpoint(tmp_path):
    path, model = tmp_path / "run.ckpt", network(seed=8)
    reached = fit(path, epochs=2).model.state()
    with pytest.raises(KeyboardInterrupt):
        fit(path, model=model, resume=True, callbacks=[Interrupt(3, 2)])
    assert_same(model.state(), reached)
    assert_same(dict(read_checkpoint(path).model), reached)


def test_with_a_schedule_the_length_counts(tmp_path):
    fit(tmp_path / "run.ckpt", epochs=2, schedule=Cosine())
    with pytest.raises(ValueError, match="written with epochs=2, but this run has epochs=3"):
        fit(tmp_path / "run.ckpt", epochs=3, schedule=Cosine(), resume=True)


def test_a_function_as_augmentation_is_known_by_its_name_in_every_process(tmp_path):
    def keep(x, rng):
        return x

    def drop(x, rng):
        return x * 0

    fit(tmp_path / "run.ckpt", augment=keep, epochs=1)
    assert "0x" not in str(read_checkpoint(tmp_path / "run.ckpt").settings["augment"])
    with pytest.raises(
        ValueError, match=r"augment=<function .*keep>, but this run has augment=<function .*drop>"
    ):
        fit(tmp_path / "run.ckpt", augment=drop, epochs=2, resume=True)


def test_a_truncated_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    fit(path, epochs=1)
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"read_checkpoint: path='.*run\.ckpt' is damaged"):
            fit(path, resume=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + whole)
    with pytest.raises(ValueError, match="is damaged or not a safetensors file"):
        fit(path, resume=True)
    path.write_bytes(whole.replace(b'\\"checkpoint\\": 1', b'\\"checkpoint\\": 9'))
    with pytest.raises(ValueError, match="has format 9, and this deepconv reads format 1; use the version"):
        fit(path, resume=True)
    path.write_bytes(whole.replace(b'\\"checkpoint\\"', b'\\"checkqoint\\"'))
    with pytest.raises(ValueError, match="is not a deepconv checkpoint"):
        fit(path, resume=True)
    with pytest.raises(FileNotFoundError, match="is not a file"):
        read_checkpoint(tmp_path)


def test_a_model_file_is_not_a_checkpoint(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weight": X[:3]}, tmp_path / "model.safetensors", {"deepconv": '{"format": 1}'})
    with pytest.raises(ValueError, match="is not a deepconv checkpoint; a model is read by load"):
        fit(tmp_path / "model.safetensors", resume=True)
    save_file({"weight": X[:3]}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="is not a deepconv checkpoint"):
        fit(tmp_path / "model.safetensors", resume=True)


def test_a_loss_without_accuracy_resumes_too(tmp_path):
    one_hot = np.eye(3, dtype=np.float32)[Y]
    whole = fit(None, loss=MeanSquared(), data=(X, one_hot))
    fit(tmp_path / "run.ckpt", loss=MeanSquared(), data=(X, one_hot), epochs=2)
    resumed = fit(tmp_path / "run.ckpt", loss=MeanSquared(), data=(X, one_hot), resume=True)
    assert_same(whole.model.state(), resumed.model.state())
    assert differs(whole.model.state(), network().state())
