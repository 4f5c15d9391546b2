"""Model files: exact, whole or not there, and the same bytes for the same model."""

import errno
import hashlib
import json
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import deepconv.layers as dl
from deepconv import files
from deepconv.storage import KEY, MAX_HEADER, load, read_metadata, save


def network(seed: int = 0) -> dl.Sequential:
    return dl.Sequential(
        dl.Conv2d(None, 4, 3, padding="same", padding_mode="reflect"),
        dl.BatchNorm(),
        dl.ReLU(),
        dl.Residual(dl.Conv2d(None, 4, 1, bias=False)),
        dl.Concat(dl.MaxPool2d(2), dl.AvgPool2d(2)),
        dl.Dropout(0.25),
        dl.Flatten(),
        dl.Linear(None, 3),
    ).initialize((2, 6, 5), seed=seed)


@pytest.fixture
def model():
    return network()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(3, 2, 6, 5)).astype(np.float32)


# -- exact -----------------------------------------------------------------------------------------


def test_what_was_saved_is_loaded(model, path, x):
    model.forward(x)
    metadata = {"classes": ["a", "ü"], "preprocessing": {"mean": 0.1, "size": [8, 8]}, "none": None}
    model.save(path, metadata=metadata)
    again = load(path)
    assert again.metadata == read_metadata(path) == metadata
    assert np.array_equal(again(x), model(x))
    assert all(np.array_equal(again.state()[name], value) for name, value in model.state().items())
    assert repr(again) == repr(model)


def test_equal_models_are_equal_bytes(tmp_path):
    one, two = network(), network()
    two.load_state(dict(reversed(one.state().items())))
    save(one, tmp_path / "1", metadata={"b": 1, "a": {"d": 2, "c": 3}})
    save(two, tmp_path / "2", metadata={"a": {"c": 3, "d": 2}, "b": 1})
    save(load(tmp_path / "1"), tmp_path / "3")
    data = [(tmp_path / name).read_bytes() for name in "123"]
    assert data[0] == data[1] == data[2]
    save(network(seed=1), tmp_path / "4", metadata={"b": 1, "a": {"d": 2, "c": 3}})
    assert (tmp_path / "4").read_bytes() != data[0]


def test_the_bytes_are_the_same_in_another_process(model, path, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests.test_storage import network\n"
        "network().save(sys.argv[1], metadata={'b': 1, 'a': 2, 'c': {'z': 1, 'y': 2}})\n"
    )
    found = set()
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(path), str(Path(__file__).parent.parent)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        found.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(found) == 1


def test_the_safetensors_library_reads_it(model, path):
    model.save(path)
    with safe_open(path, framework="numpy") as file:
        assert list(file.metadata()) == [KEY]
        assert json.loads(file.metadata()[KEY])["architecture"]["layer"] == "Sequential"
        for name, value in model.state().items():
            assert np.array_equal(file.get_tensor(name), value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_keeps_its_bits(path, dtype):
    layer = dl.Linear(2, 3).initialize((2,), dtype=dtype)
    layer.bias.data = np.array([np.nan, -np.inf, -0.0], dtype)
    layer.save(path)
    assert load(path).bias.value.tobytes() == layer.bias.value.tobytes()
    assert load(path).dtype == dtype


def test_arrays_of_any_layout_are_written_right(path):
    layer = dl.Linear(3, 4).initialize((3,), dtype=np.float64)
    layer.weight.data = np.asfortranarray(layer.weight.value.astype(">f8"))
    layer.bias.data = np.arange(8.0)[::-2]
    layer.save(path)
    assert np.array_equal(load(path).weight.value, layer.weight.value)
    assert load(path).bias.value.tolist() == [7, 5, 3, 1]


def test_shared_layers_stay_shared(path):
    shared = dl.Linear(3, 3)
    model = dl.Sequential(shared, dl.Tanh(), dl.Residual(shared)).initialize((3,))
    model.save(path)
    again = load(path)
    assert again[0] is again[2].body
    assert list(again.parameters()) == ["0.weight", "0.bias"]


def test_a_layer_of_your_own(path, x):
    class Twice(dl.Layer):
        def __init__(self, power=1):
            self.power = power

        def apply(self, x, *, training=True, rng=None):
            (x,) = self.prepare(x)
            return 2 * x, dl.Pullback("Twice", x, lambda dy: (2 * dy, {}))

    dl.Sequential(Twice(3)).save(path)
    assert np.array_equal(load(path, layers={"Twice": Twice})(x), 2 * x)
    with pytest.raises(ValueError, match="unknown layer 'Twice'; known are Add, AvgPool1d"):
        load(path)


def test_a_model_without_parameters(path):
    dl.Sequential().save(path)
    assert load(path)([1.0]).tolist() == [1.0]


def test_a_loaded_model_trains_on(model, path, x):
    model.save(path)
    again = load(path)
    y = again.forward(x, rng=np.random.default_rng(0))
    again.backward(np.ones_like(y))
    assert all(parameter.grad is not None for parameter in again.parameters().values())


# -- refused at saving -----------------------------------------------------------------------------


def test_no_values_no_file(path):
    with pytest.raises(RuntimeError, match="no values yet"):
        dl.Linear(3, 2).save(path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [({"a": np.zeros(2)}, TypeError), ({"a": float("nan")}, ValueError), ({1: 1, "a": 2}, TypeError)],
)
def test_metadata_that_json_cannot_hold(model, path, metadata, kind):
    with pytest.raises(kind, match="save: metadata is not something that JSON holds"):
        model.save(path, metadata=metadata)
    assert not path.exists()


def test_what_could_not_be_loaded_is_not_saved(model, path):
    deep = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(ValueError, match="brackets within brackets"):
        model.save(path, metadata={"deep": deep})
    with pytest.raises(ValueError, match="shorten the metadata"):
        model.save(path, metadata={"long": "x" * MAX_HEADER})
    nested = dl.ReLU()
    for _ in range(80):
        nested = dl.Sequential(nested)
    with pytest.raises(ValueError, match=r"brackets within brackets|levels"):
        nested.save(path)
    tied = dl.Sequential(dl.Linear(3, 3), dl.Linear(3, 3)).initialize((3,))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match="share layers, not parameters"):
        tied.save(path)
    assert not path.exists()


# -- whole or not there ----------------------------------------------------------------------------


class Full:
    """A file on a disk that has room for a hundred bytes more."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        self.file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def test_a_full_disk_leaves_the_old_file_and_nothing_else(model, path, x, monkeypatch):
    model.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(files, "open", lambda *a, **k: Full(open(*a, **k)), raising=False)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        network(seed=5).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(OSError, match="No space left"):
        model.save(path.with_name("new"))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@contextmanager
def largest_file(size: int):
    """The kernel itself refuses to write more than `size` bytes to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_kernel_refusing_to_write_leaves_the_old_file(model, path):
    model.save(path)
    before = path.read_bytes()
    with largest_file(500), pytest.raises(OSError, match="too large"):
        network(seed=5).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_places_that_are_no_file(model, tmp_path):
    with pytest.raises(OSError, match="not a plain file"):
        model.save(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        model.save(tmp_path / "missing" / "model")
    with pytest.raises(OSError, match="not a plain file"):
        model.save("/dev/full")
    for function in (load, read_metadata):
        with pytest.raises(ValueError, match="not a plain file"):
            function(tmp_path)
        with pytest.raises(FileNotFoundError):
            function(tmp_path / "missing")
    model.save(tmp_path / "model.safetensors")  # the folder of a run: what is meant lies in it
    with pytest.raises(ValueError, match=r"is not a plain file; name '.*model\.safetensors', which is in it"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a plain file"):  # and doesn't wait for a writer
        load(tmp_path / "pipe")


def test_what_cannot_be_saved_or_loaded_is_said_before_the_file_is_touched(model, path):
    with pytest.raises(TypeError, match=r"save: model='.*' is no layer; use save"):
        save(str(path), model)
    with pytest.raises(TypeError, match=r"save: metadata=\[1\] is not a mapping; use a dict"):
        save(model, path, metadata=[1])
    with pytest.raises(TypeError, match=r"load: layers=.* is not a mapping; use {'MyLayer': MyLayer}"):
        load(path, layers=[dl.Linear])
    for use in (lambda: save(model, None), lambda: load(None), lambda: read_metadata(None)):
        with pytest.raises(TypeError, match="path=None is no path; give the file's name"):
            use()
    assert not path.exists()


def test_another_file_is_said_to_be_none(path):
    path.write_text("a text of more than eight bytes")
    with pytest.raises(ValueError, match="it is cut short, or not a safetensors file at all"):
        load(path)
