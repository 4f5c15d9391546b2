"""What made one activation: for every kind of layer the numbers shown give the number explained."""

import numpy as np
import pytest

import deepconv as dc
from deepconv.layers.tracing import trace
from deepconv.studio.rooms.activation import made


def explained(layer, x, place, first=0):
    """Return what is said of a number of a single layer, and the number."""
    found = trace(layer, [x])
    return made(found, found.end, place, first), float(found.output(found.end)[0][place])


@pytest.fixture
def x(rng):
    return rng.normal(size=(1, 6, 7, 9)).astype(np.float32)


@pytest.mark.parametrize(
    "words",
    [
        {"padding": ((2, 0), (1, 1)), "stride": (2, 3), "dilation": (1, 2)},
        {"groups": 3, "padding": 1, "padding_mode": "reflect"},
        {"padding": "same", "padding_mode": "circular", "bias": False},
    ],
)
def test_a_convolution_in_all_its_settings(rng, x, words):
    layer = dc.Conv2d(6, 9, (3, 2), **words).initialize((6, 7, 9), seed=3)
    if layer.bias is not None:
        layer.bias.value[...] = rng.normal(size=9)
    shape = layer(x).shape
    for place in [(0, 0, 0), (7, shape[2] - 1, shape[3] - 1), (4, 1, 0)]:
        told, value = explained(layer, x, place)
        products = np.array(told["windows"]) * np.array(told["weights"])
        assert np.allclose(products.sum(axis=(1, 2)), told["sums"], atol=1e-5)
        assert np.isclose(sum(told["sums"]) + (told["bias"] or 0), value, atol=1e-5)
        inside = ~np.array(told["outside"])
        if "padding_mode" not in words:
            assert (np.array(told["windows"])[:, ~inside] == 0).all()
        assert np.isin(np.array(told["windows"])[:, inside], x[0, slice(*told["maps"])]).all()


def test_a_convolution_over_many_maps_comes_in_parts(rng):
    x = rng.normal(size=(1, 150, 4, 4)).astype(np.float32)
    layer = dc.Conv2d(150, 2, 3).initialize((150, 4, 4), seed=1)
    parts = [explained(layer, x, (1, 0, 1), first)[0] for first in (0, 70, 149, 9999)]
    assert [(told["first"], len(told["windows"]), len(told["sums"])) for told in parts] == [
        (0, 64, 150), (64, 64, 150), (128, 22, 150), (128, 22, 150),
    ]  # fmt: skip
    assert np.array_equal(parts[1]["windows"], x[0, 64:128, 0:3, 1:4])


@pytest.mark.parametrize(
    "layer",
    [
        dc.MaxPool2d((3, 2), stride=2, padding=1, ceil_mode=True),
        dc.AvgPool2d((3, 2), stride=2, padding=1, ceil_mode=True),
        dc.AvgPool2d(3, stride=(2, 3), padding=(1, 0), count_include_pad=False),
    ],
)
def test_pools_at_every_place(x, layer):
    x = x - 5  # all below 0: padding never wins
    for place in np.ndindex(*layer(x).shape[1:]):
        told, value = explained(layer, x, place)
        if told["kind"] == "max":
            assert told["window"][told["winner"][0]][told["winner"][1]] == value
            assert not told["outside"][told["winner"][0]][told["winner"][1]]
        else:
            assert np.isclose(told["sum"] / told["count"], value, rtol=1e-5)


def test_numbers_by_their_formulas(rng, x):
    norm = dc.BatchNorm(6, eps=1e-3).initialize((6, 7, 9))
    for vector in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        vector.value[...] = rng.uniform(0.5, 2, size=6)
    told, value = explained(norm, x, (4, 6, 8))
    scaled = (told["x"] - told["mean"]) / np.sqrt(told["var"] + told["eps"])
    assert np.isclose(scaled * told["weight"] + told["bias"], value, rtol=1e-5)
    told, value = explained(dc.Softmax(), x, (2, 3, 1))
    assert np.isclose(np.exp(told["x"] - told["most"]) / told["sum"], value, rtol=1e-5)
    linear = dc.Linear(9, 4).initialize((9,), seed=2)
    linear.bias.value[...] = rng.normal(size=4)
    told, value = explained(linear, x, (5, 6, 3))
    products = [product for *_, product in told["terms"]]
    assert [abs(p) for p in products] == sorted(map(abs, products), reverse=True)
    assert all(np.isclose(a * b, product, rtol=1e-5) for _, a, b, product in told["terms"])
    assert (len(products), told["count"]) == (9, 9)
    assert np.isclose(sum(products) + told["rest"] + told["bias"], value, rtol=1e-4, atol=1e-5)


def test_the_largest_terms_of_a_long_sum(rng):
    x = rng.normal(size=(1, 300)).astype(np.float32)
    linear = dc.Linear(300, 3, bias=False).initialize((300,), seed=2)
    told, value = explained(linear, x, (2,))
    terms = x[0] * linear.weight.value[2]
    assert [number for number, *_ in told["terms"]] == np.argsort(-np.abs(terms), kind="stable")[:12].tolist()
    assert np.isclose(sum(t[3] for t in told["terms"]) + told["rest"], value, atol=1e-4)


def test_what_only_moves_or_adds(x):
    told, value = explained(dc.Flatten(), x, (77,))
    assert float(x[0][tuple(told["place"])]) == value
    told, value = explained(dc.GlobalAvgPool(), x, (3,))
    assert np.isclose(told["sum"] / told["count"], value, rtol=1e-5)
    told, value = explained(dc.Dropout(0.5), x, (0, 1, 2))
    assert (told["kind"], told["x"]) == ("same", value)
    model = dc.Residual(dc.ReLU())
    found = trace(model, [x])
    told = made(found, "add", (1, 2, 3))
    assert [source for source, _ in told["summands"]] == list(found.steps["add"].sources)
    assert np.isclose(sum(number for _, number in told["summands"]), found.output("add")[0, 1, 2, 3])
    assert explained(dc.Upsample(2), x, (1, 2, 3))[0]["kind"] == "other"


def test_side_by_side(x):
    found = trace(dc.Concat(dc.ReLU(), dc.Tanh()), [x])
    name, (source, *_) = found.end, [step.sources for step in found.steps.values()][-1]
    told = made(found, name, (8, 1, 2))
    assert told["place"] == [2, 1, 2]
    assert told["source"] != source
    assert found.output(told["source"])[0, 2, 1, 2] == found.output(name)[0, 8, 1, 2]
