"""My network: trained in the page and watched, paused, stopped, gone on with; loaded; asked about a drawing."""

import contextlib
import io
import os
import time

import numpy as np
import pytest
from PIL import Image

import deepconv as dc
from deepconv.data.digits import CLASSES, load_digits
from deepconv.data.preprocessing import DIGITS, preprocess
from deepconv.engine import machine
from deepconv.models.digits import digits_network
from deepconv.predict import Classifier
from deepconv.studio.rooms import network as room
from deepconv.studio.rooms import runs
from deepconv.training.digits import DigitsSettings, train_digits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A little trained, and saved."""
    images, labels = load_digits()
    network = digits_network()
    dc.Trainer(network, dc.CrossEntropy(), dc.Adam(0.005), seed=1).fit(
        (images[:600].astype(np.float32) / 16, labels[:600]), epochs=3
    )
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    network.metadata = {"classes": list(CLASSES), "preprocessing": DIGITS}
    network.save(path)
    return path


def drawing(side=120):
    """A page with a one on it."""
    page = np.full((side, side), 255, np.uint8)
    page[20:100, 55:66] = 10
    page[25:40, 48:58] = 10
    return page


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def events(client, wanted, seconds=120):
    """Return the news until one of a kind comes."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        message, blobs = client.receive()
        if "event" in message:
            found.append((message["event"], message["data"], blobs))
            if message["event"] == wanted:
                return found
    raise TimeoutError(wanted)


def test_a_drawing_is_named_as_the_library_names_it(studio, model):
    page = drawing()
    with studio.client() as client:
        assert client.ask("network", "state")[0]["result"]["model"] is None
        loaded = client.ask("network", "load", [model.read_bytes()], name="mine")[0]["result"]
        assert (loaded["model"], loaded["classes"]) == ("mine", list(CLASSES))
        assert loaded["summary"]["rows"][:2] == [
            ["0", "Conv2d", [16, 8, 8], 144, 9216], ["1", "BatchNorm", [16, 8, 8], 32, 0],
        ]  # fmt: skip
        assert loaded["summary"]["parameters"] == sum(row[3] for row in loaded["summary"]["rows"])
        message, blobs = client.ask("network", "see", [page.tobytes()], height=120, width=120)
    answer = message["result"]
    network = dc.load(model)
    right = Classifier(network, CLASSES, DIGITS).classify(page.astype(np.float32) / np.float32(255))
    assert answer["classes"] == [[name, pytest.approx(share)] for name, share in right]
    x = preprocess(page.astype(np.float32) / np.float32(255), DIGITS)[None]
    maps = dc.activations(network, x)
    assert [layer["name"] for layer in answer["layers"]] == ["input", *maps]
    for layer, blob, value in zip(answer["layers"], blobs, [x, *maps.values()], strict=False):
        assert layer["shape"] == list(value.shape[1:])
        assert layer["step"] == 1
        assert np.array_equal(np.frombuffer(blob, "<f4"), value.ravel().astype("f4"))
    assert np.array_equal(np.frombuffer(blobs[-1], "<f4").reshape(answer["heat"]), dc.heat_map(network, x)[0])


def test_an_activation_shows_what_made_it(studio, model):
    page = drawing()
    with studio.client() as client:
        client.ask("network", "load", [model.read_bytes()])
        assert "show a picture first" in client.ask("network", "unit", layer="0", channel=0)[0]["error"]
        client.ask("network", "see", [page.tobytes()], height=120, width=120)
        unit = client.ask("network", "unit", layer="3", channel=5, row=0, column=6)[0]["result"]
        assert "none of" in client.ask("network", "unit", layer="nine", channel=0)[0]["error"]
        assert "lies outside" in client.ask("network", "unit", layer="0", channel=16)[0]["error"]
    network = dc.load(model)
    maps = dc.activations(network, preprocess(page.astype(np.float32) / np.float32(255), DIGITS)[None])
    weight, made = network.state()["3.weight"][5], unit["made"]
    assert (made["kind"], made["layer"], made["source"], made["maps"]) == ("conv", "Conv2d", "2", [0, 16])
    before = np.pad(maps["2"][0], ((0, 0), (1, 1), (1, 1)))
    assert np.array_equal(made["windows"], before[:, 0:3, 6:9])  # of every map before it
    assert np.array_equal(made["weights"], weight)
    assert made["outside"] == [[True] * 3, [False] * 3, [False] * 3]
    assert np.allclose(made["sums"], (before[:, 0:3, 6:9] * weight).sum(axis=(1, 2)), atol=1e-6)
    assert unit["value"] == pytest.approx(sum(made["sums"]), rel=1e-5, abs=1e-6)
    assert unit["value"] == maps["3"][0, 5, 0, 6]
    assert unit["window"] == [[0, 3], [4, 8]]


def test_a_picture_file_is_named_too(studio, model):
    stream = io.BytesIO()
    Image.fromarray(drawing()).convert("RGB").save(stream, "PNG")
    with studio.client() as client:
        client.ask("network", "load", [model.read_bytes()])
        drawn = client.ask("network", "see", [drawing().tobytes()], height=120, width=120)[0]["result"]
        from_file = client.ask("network", "see", [stream.getvalue()])[0]["result"]
        blank = client.ask("network", "see", [bytes([255]) * 100], height=10, width=10)[0]
    assert from_file["classes"] == drawn["classes"]
    assert "error" in blank


def test_training_is_watched_and_the_model_kept(studio, tmp_path):
    with studio.client() as client:
        answer = client.ask("network", "train", epochs=2, seed=3)[0]["result"]
        assert "already" in client.ask("network", "train", epochs=1)[0]["error"]
        news = events(client, "end")
        said = client.ask("network", "see", [drawing().tobytes()], height=120, width=120)[0]["result"]
    records = [data for kind, data, _ in news if kind == "epoch"]
    assert [record["epoch"] for record in records] == [1, 2]
    filters = [np.frombuffer(blobs[0], "<f4") for kind, _, blobs in news if kind == "epoch"]
    assert filters[0].size == 16 * 9
    assert not np.array_equal(*filters)
    assert any(kind == "batch" for kind, _, _ in news)
    folder = tmp_path / answer["folder"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "settings.json"]
    network = dc.load(folder / "model.safetensors")
    assert news[-1][1]["accuracy"] == network.metadata["test_accuracy"]
    right = Classifier(network, CLASSES, DIGITS).classify(drawing().astype(np.float32) / np.float32(255))
    assert said["classes"] == [[name, pytest.approx(share)] for name, share in right]


def test_a_run_is_paused_stopped_and_gone_on_with(studio, tmp_path):
    checkpoint = tmp_path / "studio-run" / "checkpoint.safetensors"
    with studio.client() as client, studio.client() as other:
        client.ask("network", "train", epochs=4, seed=5)
        first = events(client, "epoch")[-1][1]
        client.ask("network", "control", action="pause")
        time.sleep(0.3)
        before = checkpoint.stat().st_mtime_ns
        refused = other.ask("network", "train", resume=True)[0]["error"]
        assert "studio-run is being trained right now, by another page" in refused
        assert other.ask("network", "state")[0]["result"]["waiting"]["busy"]
        time.sleep(0.5)
        assert checkpoint.stat().st_mtime_ns == before
        standing = client.ask("network", "state")[0]["result"]
        assert (standing["training"], standing["paused"], standing["run"]["seed"]) == (True, True, 5)
        assert standing["run"]["history"][0]["loss"] == first["loss"]
        assert standing["run"]["batch"]["epoch"] >= 1
        client.ask("network", "control", action="stop")
        assert events(client, "end")[-1][1] == {
            "stopped": True,
            "checkpoint": "studio-run/checkpoint.safetensors",
        }
        assert "nothing is being trained" in client.ask("network", "control", action="stop")[0]["error"]
        with held_by_another_process(tmp_path / "studio-run"):
            assert "another studio" in client.ask("network", "train", resume=True)[0]["error"]
        stopped = other.ask("network", "state")[0]["result"]["waiting"]
        assert stopped["done"] == len(standing["run"]["history"])
        assert {**stopped, "done": 0} == {
            "folder": "studio-run", "epochs": 4, "seed": 5, "busy": False, "done": 0,
        }  # fmt: skip
        again = client.ask("network", "train", epochs=9, seed=9, resume=True)[0]["result"]
        assert (again["folder"], again["epochs"], again["seed"]) == ("studio-run", 4, 5)  # as it began
        assert again["history"] == standing["run"]["history"]
        assert again["least_loss"] == pytest.approx(0.50029, abs=1e-5)
        news = events(client, "end")
        assert [data["epoch"] for kind, data, _ in news if kind == "epoch"][-1] == 4
        records = client.ask("network", "state")[0]["result"]["run"]["history"]
        assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    whole = train_digits(DigitsSettings(epochs=4, seed=5)).model
    found = dc.load(tmp_path / "studio-run" / "model.safetensors")
    same = all(np.array_equal(value, found.state()[name]) for name, value in whole.state().items())
    assert same or machine.why_not_compiled()  # NumPy's BLAS promises no equal bits beside other threads


@contextlib.contextmanager
def held_by_another_process(folder):
    """To the system's lock, another process is another opening of the folder."""
    fcntl = pytest.importorskip("fcntl")
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
    os.close(handle)


def test_a_wide_map_is_shown_at_one_step_on_both_axes():
    value = np.arange(2 * 15 * 960.0).reshape(2, 15, 960)
    step = room._step(value.shape)
    assert step == 10
    np.testing.assert_array_equal(room._shown(value), value[:, ::10, ::10])


def test_a_run_stopped_in_its_first_epoch_waits_too(studio, tmp_path, monkeypatch):
    def at_once(*_, **__):
        raise runs._Stopped

    with studio.client() as client:
        with monkeypatch.context() as patched:
            patched.setattr(runs, "train_digits", at_once)
            client.send("network", "train", epochs=1, seed=8)  # its end may come before the answer
            assert events(client, "end")[-1][1]["stopped"]
        assert not (tmp_path / "studio-run" / "checkpoint.safetensors").exists()
        assert client.ask("network", "state")[0]["result"]["waiting"]["done"] == 0
        again = client.ask("network", "train", resume=True)[0]["result"]
        assert (again["folder"], again["epochs"], again["seed"]) == ("studio-run", 1, 8)
        assert "accuracy" in events(client, "end")[-1][1]
        assert client.ask("network", "state")[0]["result"]["waiting"] is None
        assert "no stopped run" in client.ask("network", "train", resume=True)[0]["error"]


def test_a_page_that_closes_stops_its_run_and_keeps_the_checkpoint(studio, tmp_path):
    with studio.client() as client:
        client.ask("network", "train", epochs=50, seed=0)
        events(client, "epoch")
    checkpoint = tmp_path / "studio-run" / "checkpoint.safetensors"
    assert checkpoint.exists()
    time.sleep(1.0)
    before = checkpoint.stat().st_mtime_ns
    time.sleep(1.0)
    assert checkpoint.stat().st_mtime_ns == before


@pytest.mark.parametrize(("data", "words"), [(b"no model", "model file"), (b"", "model file")])
def test_model_files_that_are_none(studio, data, words):
    with studio.client() as client:
        error = client.ask("network", "load", [data])[0]["error"]
        assert words in error
        assert "/proc" not in error
        assert (
            "there is no network yet" in client.ask("network", "see", [b"x"], height=1, width=1)[0]["error"]
        )


def test_a_model_without_classes_is_refused(studio, tmp_path):
    dc.Linear(3, 2).initialize((3,)).save(tmp_path / "plain.safetensors")
    with studio.client() as client:
        error = client.ask("network", "load", [(tmp_path / "plain.safetensors").read_bytes()])[0]["error"]
    assert "names no classes" in error


def test_two_pages_train_at_once_and_a_third_waits(studio, tmp_path):
    with studio.client() as one, studio.client() as two, studio.client() as three:
        folders = [
            client.ask("network", "train", epochs=3, seed=seed)[0]["result"]["folder"]
            for client, seed in ((one, 1), (two, 2))
        ]
        assert "two networks are being trained" in three.ask("network", "train", epochs=1)[0]["error"]
        losses = [
            [data["loss"] for kind, data, _ in events(client, "end") if kind == "epoch"]
            for client in (one, two)
        ]
    assert len(set(folders)) == 2
    assert losses[0] != losses[1]
    for folder, seed in zip(folders, (1, 2), strict=True):
        found = dc.load(tmp_path / folder / "model.safetensors").state()
        whole = train_digits(DigitsSettings(epochs=3, seed=seed)).model.state()
        assert all(np.array_equal(found[name], value) for name, value in whole.items())
