"""Every layer in both directions, written down and built again, saved and loaded."""

import json

import numpy as np
import pytest

import deepconv.layers as dl
from deepconv.layers.architecture import build, describe
from deepconv.storage import load, save
from tests.layers.table import CASES, IDS, Case

every_layer = pytest.mark.parametrize("case", CASES, ids=IDS)
BATCHED = [one for one in CASES if one.batched]
every_batch = pytest.mark.parametrize("case", BATCHED, ids=[IDS[CASES.index(one)] for one in BATCHED])


def made(case: Case, dtype: type = np.float64) -> dl.Layer:
    return case.make().initialize_like(*case.arrays(), seed=3, dtype=dtype)


def test_the_table_has_every_layer():
    assert {case.name for case in CASES} == dl.LAYERS.keys()


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_gradients_equal_differences(case, training):
    layer = made(case)
    report = dl.check_gradients(layer, case.arrays(), samples=2, training=training)
    names = ["dx"] if len(case.inputs) == 1 else [f"dx{i}" for i in range(len(case.inputs))]
    assert list(report.errors) == names + list(layer.parameters())


@every_layer
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_shapes_and_dtypes_in_both_directions(case, dtype):
    layer, inputs = made(case, dtype), case.arrays(dtype)
    y = layer(*inputs)
    assert (y.shape, y.dtype) == (case.output, dtype)
    y = layer.forward(*inputs, rng=np.random.default_rng(0))
    assert (y.shape, y.dtype) == (case.output, dtype)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    dx = layer.backward(dy)
    dx = dx if isinstance(dx, tuple) else (dx,)
    assert [(d.shape, d.dtype) for d in dx] == [(x.shape, dtype) for x in inputs]
    for parameter in layer.parameters().values():
        assert (parameter.grad.shape, parameter.grad.dtype) == (parameter.shape, dtype)


@every_layer
def test_the_layer_stays_as_it_was(case):
    """`apply` is pure: nothing on the layer, in its inputs or in its arrays changes."""
    layer, inputs = made(case), case.arrays()
    state, copies, slots = layer.state(), [x.copy() for x in inputs], set(vars(layer))
    y, pullback = layer.apply(*inputs, rng=np.random.default_rng(0))
    pullback(np.random.default_rng(1).normal(size=y.shape))
    assert set(vars(layer)) == slots
    assert all(np.array_equal(state[name], value) for name, value in layer.state().items())
    assert all(map(np.array_equal, copies, inputs))


@every_layer
def test_a_gradient_of_the_wrong_shape_is_refused(case):
    layer = made(case)
    y, pullback = layer.apply(*case.arrays())
    with pytest.raises(ValueError, match=r"\w+\.backward: dy has shape \(1, .*but the output was"):
        pullback(np.zeros((1, *y.shape)))
    with pytest.raises(TypeError, match=r"\w+\.backward: dy has dtype"):
        pullback(np.full(y.shape, "no"))


@every_batch
def test_an_empty_batch_gives_an_empty_result(case):
    layer = made(case)
    y = layer(*(np.zeros((0, *shape[1:])) for shape in case.inputs))
    assert y.shape == (0, *case.output[1:])


@every_layer
def test_the_description_survives_json(case):
    layer = made(case)
    text = json.dumps(describe(layer))
    again = build(json.loads(text), dl.LAYERS)
    assert json.dumps(describe(again)) == text
    assert repr(again) == repr(layer)
    assert {n: v.shape for n, v in again.values().items()} == {n: v.shape for n, v in layer.values().items()}
    assert all(value.data is None for value in again.values().values())
    assert describe(layer) == {"layer": case.name, "arguments": layer.config()}


@every_layer
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_saving_and_loading_change_nothing(case, dtype, tmp_path):
    layer = made(case, dtype)
    layer.forward(*case.arrays(dtype), rng=np.random.default_rng(0))  # moves running statistics
    save(layer, tmp_path / "a", metadata={"name": "ä", "sizes": [1, 2]})
    again = load(tmp_path / "a")
    save(again, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert np.array_equal(again(*case.arrays(dtype)), layer(*case.arrays(dtype)))
    assert {n: v.data.dtype for n, v in again.values().items()} == dict.fromkeys(
        layer.values(), np.dtype(dtype)
    )


@every_layer
def test_a_copy_is_independent_and_equal(case):
    layer = made(case)
    layer.forward(*case.arrays(), rng=np.random.default_rng(0))
    twin = layer.copy()
    assert np.array_equal(twin(*case.arrays()), layer(*case.arrays()))
    assert not set(twin.values().values()) & set(layer.values().values())
    with pytest.raises(RuntimeError, match="no forward"):
        twin.backward(np.zeros(case.output))


@every_batch
def test_the_summary_names_the_output(case):
    layer = made(case)
    text = layer.summary([shape[1:] for shape in case.inputs]).splitlines()
    rows, total = text[2:-2], text[-1]
    assert not rows or " × ".join(map(str, case.output[1:])) in rows[-1]
    assert bool(rows) == (len(list(layer.walk())) > 1 or not isinstance(layer, dl.Graph))
    assert f"{sum(p.value.size for p in layer.parameters().values()):,}" in total
