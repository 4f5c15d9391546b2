"""Model files: exact, whole or not there, and harmless whoever wrote them."""

import contextlib
import errno
import hashlib
import json
import os
import resource
import struct
import tracemalloc
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
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a plain file"):  # and doesn't wait for a writer
        load(tmp_path / "pipe")


# -- a stranger's file -----------------------------------------------------------------------------


@contextmanager
def little_memory(most: int = 32 * 2**20):
    """Fail where more than `most` bytes are taken."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def raw(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def made(layer: object, **arguments: object) -> dict:
    return {"layer": layer, "arguments": arguments}


def linear(**changes: object) -> dict:
    return made("Linear", **{"in_features": 3, "out_features": 2, "bias": False, **changes})


LINEAR = linear()
DATA = np.arange(6, dtype="<f4").tobytes()
WEIGHT = {"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def document(architecture: object = LINEAR, **changes: object) -> dict:
    whole = {"format": 1, "architecture": architecture, "metadata": {}, **changes}
    return {"__metadata__": {KEY: json.dumps({k: v for k, v in whole.items() if v != "absent"})}}


def refused(path: Path, data: bytes, match: str) -> None:
    path.write_bytes(data)
    with little_memory(), pytest.raises(ValueError, match=match):
        load(path)


def test_the_stranger_would_be_let_in_without_the_trick(path):
    path.write_bytes(raw({**document(), **WEIGHT}, DATA))
    assert load(path).weight.value.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_truncated_anywhere(model, path):
    model.save(path)
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    lengths = {0, 1, 7, 8, 9, 100, header - 1, header, header + 1, len(data) - 1}
    lengths |= set(np.random.default_rng(0).integers(0, len(data), 60).tolist())
    for length in sorted(lengths):
        refused(path, data[:length], "its (header would take|tensors don't fill)")
    refused(path, data + b"\0", "tensors don't fill")


def test_any_byte_of_the_header_changed_is_refused_or_harmless(model, path):
    """Whatever a flipped byte does, the outcome is a model or a ValueError, never another error."""
    model.save(path)
    data = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(4)
    for place in [*range(8), *rng.integers(8, header, 150).tolist()]:
        wrong = data.copy()
        wrong[place] = int(rng.integers(256))
        path.write_bytes(wrong)
        with contextlib.suppress(ValueError):
            load(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, MAX_HEADER + 1, 10**6])
def test_a_header_length_that_lies(path, length):
    refused(path, raw({**document(), **WEIGHT}, DATA, length=length), "its header would take")


def test_an_oversized_header(path):
    refused(path, raw(b" " * (MAX_HEADER + 1)), "its header would take")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (b"[" * 100_000, "brackets within brackets"),
        (b'{"a":' * 100_000, "brackets within brackets"),
        (b'{"a": "' + b"[" * 1000, "JSON|Unterminated"),
        (b'"' + b'\\"' * 400_000 + b"\\", "no model"),
        (b'{"' * 100_000, "no model"),
        (b"{", "no model"),
        (b"", "no model"),
        (b"\xff\xfe{}", "no model"),
        (b"[]", "JSON is a list"),
        (b"3", "JSON is a int"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": {}, "a": {}}', "the key 'a' twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no model"),
        (b"{}", "no single key 'deepconv'"),
        (b'{"__metadata__": []}', "no single key"),
        (b'{"__metadata__": {"deepconv": 3}}', "no single key"),
        (b'{"__metadata__": {"format": "pt"}}', "no single key"),
        (b'{"__metadata__": {"deepconv": "{}", "more": ""}}', "no single key"),
        (b'{"__metadata__": {"deepconv": "' + b"[" * 10_000 + b'"}}', "brackets within brackets"),
        (b'{"__metadata__": {"deepconv": "{}"}}', "format None"),
    ],
)
def test_a_header_that_is_none(path, header, match):
    refused(path, raw(header), match)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": 2}, "format 2, and this version reads 1; upgrade"),
        ({"format": True}, "format True"),
        ({"format": "1"}, "format 1"),
        ({"format": "absent"}, "format None"),
        ({"metadata": "absent"}, "missing parts: metadata"),
        ({"metadata": []}, "missing parts: metadata"),
        ({"code": "import os"}, "unknown or missing parts: code"),
        ({"architecture": "Linear"}, "written as str"),
        ({"architecture": made("Exec")}, "unknown layer 'Exec'"),
        ({"architecture": made("__class__")}, "unknown layer"),
        ({"architecture": linear(initialiser="x")}, "Linear: unknown argument 'initialiser'"),
        (
            {"architecture": linear(in_features=None)},
            r"'weight' has shape \(2, 3\) but its layer needs None",
        ),
        ({"architecture": linear(in_features=-3)}, "in_features=-3"),
        ({"architecture": linear(in_features=10**300)}, r"'weight' has shape \(2, 3\)"),
        ({"architecture": linear(in_features=10**9, out_features=10**9)}, "but its layer needs"),
        ({"architecture": linear(bias=True)}, r"missing \['bias'\]"),
        ({"architecture": made("ReLU")}, r"unexpected \['weight'\]"),
        (
            {"architecture": made("Sequential", layers=[made("ReLU")] * 20_000)},
            "more than 10000 layers",
        ),
    ],
)
def test_a_description_that_does_not_fit(path, changes, match):
    refused(path, raw({**document(**changes), **WEIGHT}, DATA), match)


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        ({"shape": [3, 2]}, r"has shape \(3, 2\) but its layer needs \(2, 3\)"),
        ({"shape": [6]}, "but its layer needs"),
        ({"shape": [2**40, 2**40]}, "but lies at"),
        ({"shape": [2**60]}, "not a list of sizes"),
        ({"shape": [-2, -3]}, "not a list of sizes"),
        ({"shape": [2.0, 3]}, "not a list of sizes"),
        ({"shape": [True, 6]}, "not a list of sizes"),
        ({"shape": "23"}, "not a list of sizes"),
        ({"shape": [2, 0]}, "but lies at"),
        ({"dtype": "I32"}, "has dtype I32; known are F16, F32, F64"),
        ({"dtype": "F64"}, "but lies at"),
        ({"dtype": "BF16"}, "has dtype BF16"),
        ({"dtype": ["F32"]}, "has dtype"),
        ({"dtype": "F16", "data_offsets": [0, 12]}, "don't fill"),
        ({"data_offsets": [24, 48]}, "don't fill"),
        ({"data_offsets": [24, 0]}, "but lies at"),
        ({"data_offsets": [0, 24, 0]}, "but lies at"),
        ({"data_offsets": [0]}, "but lies at"),
        ({"data_offsets": [-24, 0]}, "not a list of sizes"),
        ({"data_offsets": None}, "not a list of sizes"),
        ({"more": 1}, "not described by"),
    ],
)
def test_a_tensor_that_lies(path, weight, match):
    header = {**document(), "weight": {**WEIGHT["weight"], **weight}}
    refused(path, raw(header, DATA), match)


def test_tensors_that_overlap_or_leave_gaps(path):
    bias = linear(bias=True)
    entry = {"dtype": "F32", "shape": [2]}
    for offsets in ([0, 8], [16, 24], [20, 28], [28, 36]):
        header = {**document(bias), **WEIGHT, "bias": {**entry, "data_offsets": offsets}}
        refused(path, raw(header, DATA + bytes(8)), r"don't fill|but lies at")
    refused(
        path,
        raw({**document(bias), **WEIGHT, "bias": {**entry, "data_offsets": [24, 32]}}, DATA),
        "don't fill",
    )
    refused(path, raw({**document(), **WEIGHT, "surplus": {**entry, "data_offsets": [24, 32]}}, DATA + bytes(8)),
            r"unexpected \['surplus'\]")  # fmt: skip
    refused(path, raw(document()), r"missing \['weight'\]")


def test_a_small_file_that_would_run_for_ever(path):
    layers = [made("ReLU")]
    layers += [made("Sequential", layers=[{"repeat": 1 + i}, {"repeat": 1 + i}]) for i in range(40)]
    refused(path, raw(document(made("Sequential", layers=layers))), "steps or 50 levels")
    layers = [made("ReLU")]
    layers += [made("Sequential", layers=[{"repeat": 1 + i}]) for i in range(3000)]
    refused(path, raw(document(made("Sequential", layers=layers))), "steps or 50 levels")


def test_a_graph_that_is_none(path):
    relu = made("ReLU")
    for nodes, match in (
        ([["a", relu, ["b"]], ["b", relu, ["a"]]], "form a cycle"),
        ([["a", relu, ["c"]]], "node 'a' has inputs"),
        ([["a", relu, ["x"]], ["b", relu, ["x"]]], "'a' doesn't reach"),
        ([["a", relu, [["x"]]]], "Graph"),
        ([[relu, relu, ["x"]]], "Graph: node"),
        ("abc", "Graph"),
    ):
        architecture = made("Graph", nodes=nodes, inputs=["x"], output=None)
        refused(path, raw(document(architecture)), match)


def test_metadata_is_read_without_the_model(model, path):
    model.save(path, metadata={"name": "digits"})
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    assert read_metadata(path) == {"name": "digits"}
    path.write_bytes(data[: header + 3])
    with pytest.raises(ValueError, match=r"read_metadata: path=.*tensors don't fill"):
        read_metadata(path)


def test_a_file_that_shrinks_while_it_is_read(path, monkeypatch):
    import deepconv.storage as storage

    dl.Linear(300, 200).initialize((300,)).save(path)  # more than Python reads ahead
    real = storage._check_steps

    def shrink(built):
        os.truncate(path, path.stat().st_size - 40)
        real(built)

    monkeypatch.setattr(storage, "_check_steps", shrink)
    with pytest.raises(ValueError, match="it ended while it was read"):
        load(path)
