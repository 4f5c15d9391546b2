"""Model files from a stranger: refused with a ValueError, before they cost memory or time."""

import contextlib
import json
import os
import struct
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import deepconv.layers as dl
from deepconv.storage import KEY, MAX_HEADER, load, read_metadata
from tests.test_storage import network


@pytest.fixture
def model():
    return network()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


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
        refused(path, data[:length], "(is no model file: it is cut short|tensors don't fill)")
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
    refused(path, raw({**document(), **WEIGHT}, DATA, length=length), "is no model file: it is cut short")


def test_an_oversized_header(path):
    refused(path, raw(b" " * (MAX_HEADER + 1)), "is no model file: it is cut short")


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
    twice = dict.fromkeys(("0.weight", "1.weight"), WEIGHT["weight"])
    refused(
        path, raw({**document(made("Sequential", layers=[LINEAR, LINEAR])), **twice}, DATA), "but lies at"
    )


def test_a_small_file_that_would_run_for_ever(path):
    layers = [made("ReLU")]
    layers += [made("Sequential", layers=[{"repeat": 1 + i}, {"repeat": 1 + i}]) for i in range(40)]
    refused(path, raw(document(made("Sequential", layers=layers))), "steps or 50 levels")
    layers = [made("ReLU")]
    layers += [made("Sequential", layers=[{"repeat": 1 + i}]) for i in range(3000)]
    refused(path, raw(document(made("Sequential", layers=layers))), "steps or 50 levels")
    layers = layers[:60]  # few steps, but too deep
    refused(path, raw(document(made("Sequential", layers=layers))), "steps or 50 levels")
    refused(path, raw(document(made("Sequential", layers=[made("ReLU"), {"repeat": -1}]))), "a layer -1")


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
