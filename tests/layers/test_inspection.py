"""What a network made of an input: nothing changes by looking, and the map lies where the evidence is."""

import threading

import numpy as np
import pytest

import deepconv as dc
from deepconv.layers import Graph, Residual, Sequential
from deepconv.models import NETWORKS, digits_network, picture_network


def nested(rng, dtype=np.float64):
    """A network of every kind of graph, with statistics as of a long training."""
    body = Sequential(dc.Conv2d(4, 4, 3, padding=1), dc.BatchNorm(), dc.SiLU())
    model = Sequential(
        dc.Conv2d(2, 4, 3, stride=2, padding="same"),
        Residual(body),
        dc.Concat(dc.Sequential(dc.Conv2d(4, 3, 1), dc.Tanh()), dc.MaxPool2d(3, stride=1, padding=1)),
        dc.Dropout(0.5),
        dc.GlobalAvgPool(),
        dc.Linear(7, 5),
    ).initialize((2, 9, 7), seed=int(rng.integers(1 << 30)), dtype=dtype)
    for buffer in model.buffers().values():
        buffer.data = rng.random(buffer.value.shape) + 0.5
    return model


BRANCHES = ["2.0.0", "2.0.1", "2.0", "2.1", "2.concatenate", "2"]
NAMES = ["0", "1.body.0", "1.body.1", "1.body.2", "1.body", "1.add", "1", *BRANCHES, "3", "4", "5"]


def test_every_layer_is_named_once_and_in_order(rng):
    model, x = nested(rng), rng.standard_normal((3, 2, 9, 7))
    seen = dc.activations(model, x)
    assert list(seen) == NAMES
    assert set(seen) == {name for name, _ in model.walk() if name}
    np.testing.assert_allclose(seen["5"], model(x), rtol=1e-12)
    np.testing.assert_allclose(seen["0"], model[0](x), rtol=1e-12)
    np.testing.assert_allclose(seen["1"], seen["0"] + seen["1.body"], rtol=1e-12)
    np.testing.assert_allclose(seen["2"][:, :3], np.tanh(model[2].branches[0][0](seen["1"])), rtol=1e-12)
    np.testing.assert_array_equal(seen["3"], seen["2"])  # dropout drops nothing


def test_a_layer_used_twice_and_a_graph_of_two_inputs(rng):
    shared = dc.Linear(3, 3)
    nodes = {"first": (shared, ["a"]), "second": (shared, ["first"]), "sum": (dc.Add(), ["second", "b"])}
    model = Graph(nodes, inputs=("a", "b")).initialize([(3,), (3,)], seed=2, dtype=np.float64)
    a, b = rng.standard_normal((2, 4, 3))
    seen = dc.activations(model, a, b)
    assert list(seen) == ["first", "second", "sum"]
    np.testing.assert_allclose(seen["second"], shared(shared(a)), rtol=1e-12)
    np.testing.assert_allclose(seen["sum"], model(a, b), rtol=1e-12)
    gradient = dc.score_gradient(Sequential(shared, shared), a, target=1)
    weight = shared.weight.value
    np.testing.assert_allclose(gradient, np.broadcast_to((weight @ weight)[1], (4, 3)), rtol=1e-12)


def test_one_layer_alone_and_none(rng):
    x = rng.standard_normal((2, 3))
    assert list(dc.activations(dc.ReLU(), x)) == ["ReLU"]
    assert dc.activations(Sequential(), x) == {}
    assert list(dc.activations(Sequential(Sequential()), x)) == ["0"]


def test_looking_changes_nothing(rng):
    model, x = nested(rng), rng.standard_normal((3, 2, 9, 7))
    y = model.forward(x, rng=np.random.default_rng(0))
    before, held = model.state(), {name: set(vars(layer)) for name, layer in model.walk()}
    pullback, kept = model._pullback, x.copy()
    dc.activations(model, x)
    dc.heat_map(model, x)
    dc.score_gradient(model, x, layer="1")
    dc.receptive_window(model, "2", 1, 2, input_shape=(2, 9, 7))
    after = model.state()
    assert all((after[name] == before[name]).all() for name in before)
    assert held == {name: set(vars(layer)) for name, layer in model.walk()}
    assert all(parameter.grad is None for parameter in model.parameters().values())
    assert model._pullback is pullback
    assert (x == kept).all()
    assert model.backward(np.ones_like(y)).shape == x.shape  # the way back of forward is still there


def test_many_threads_look_at_once(rng):
    model = nested(rng)
    pictures = rng.standard_normal((6, 2, 2, 9, 7))
    alone = [dc.heat_map(model, x) for x in pictures]
    found = {}

    def look(place):
        found[place] = dc.heat_map(model, pictures[place])

    threads = [threading.Thread(target=look, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[place] == alone[place]).all() for place in range(6))


@pytest.mark.parametrize("layer", [None, "0", "1.body.1", "2.0", "4"])
def test_the_gradient_is_that_of_finite_differences(rng, layer):
    model, x = nested(rng), rng.standard_normal((2, 2, 9, 7))
    target = np.array([3, 0])
    got = dc.score_gradient(model, x, target, layer=layer)
    place = layer or "x"
    start = x if layer is None else dc.activations(model, x)[place]
    assert got.shape == start.shape

    def scores(value):
        """The network from that layer on."""
        if layer is None:
            return model(value)
        if layer in ("0", "4"):
            return Sequential(*model[int(layer) + 1 :])(value)
        if layer == "1.body.1":
            value = dc.activations(model, x)["0"] + model[1].body[2](value)
            return Sequential(*model[2:])(value)
        value = np.concatenate([value, dc.activations(model, x)["2.1"]], axis=1)
        return Sequential(*model[3:])(value)

    for _ in range(4):
        way = rng.standard_normal(start.shape)
        step = 1e-5
        change = (scores(start + step * way) - scores(start - step * way))[[0, 1], target] / (2 * step)
        expected = (got * way).reshape(2, -1).sum(axis=1)
        np.testing.assert_allclose(expected, change, rtol=2e-6, atol=1e-8)


def blob_reader(head):
    """A network that takes a bright blob for class 1, and says class 0 otherwise."""
    blur = dc.Conv2d(1, 2, 3, padding=1)
    model = Sequential(blur, dc.ReLU(), dc.MaxPool2d(2), dc.Conv2d(2, 2, 1), dc.ReLU(), *head)
    model.initialize((1, 24, 32), seed=0)
    blur.weight.value[...] = np.array([1 / 9, -1 / 9])[:, None, None, None]
    blur.bias.value[...] = [-0.5, 0.2]
    model[3].weight.value[...] = np.eye(2)[:, :, None, None]
    return model


def pooled():
    model = blob_reader([dc.GlobalAvgPool(), dc.Linear(2, 2)])
    model[-1].weight.value[...] = [[0, 1], [9, 0]]
    return model


def placed():
    """It looks for the blob in the lower left corner alone, and there is one in the upper right that says nothing."""
    model = blob_reader([dc.Flatten(), dc.Linear(2 * 12 * 16, 2)])
    weight = np.zeros((2, 2, 12, 16))
    weight[1, 0, 8:, :4] = 1
    weight[0, 1] = 0.01
    model[-1].weight.value[...] = weight.reshape(2, -1)
    return model


@pytest.mark.parametrize(
    ("build", "method"), [(pooled, "hires-cam"), (pooled, "grad-cam"), (placed, "hires-cam")]
)
def test_the_heat_lies_where_the_evidence_is(rng, build, method):
    model = build()
    x = rng.random((2, 1, 24, 32)).astype(np.float32) * 0.2
    x[0, 0, 17:22, 2:7] += 1
    if build is placed:
        x[0, 0, 2:7, 24:29] += 1
    assert model(x).argmax(axis=1).tolist() == [1, 0]
    heat = dc.heat_map(model, x, method=method)
    assert heat.shape == (2, 24, 32)
    assert heat.dtype == np.float32
    assert heat.min() == 0
    np.testing.assert_allclose(heat.max(axis=(1, 2)), 1, rtol=1e-6)
    assert heat[0, 16:23, 1:8].sum() >= 0.8 * heat[0].sum()
    row, column = np.unravel_index(heat[0].argmax(), heat[0].shape)
    assert 17 <= row < 22
    assert 2 <= column < 7
    np.testing.assert_array_equal(dc.heat_map(model, x, [1, 0], method=method), heat)
    assert heat[1, 16:23, 1:8].mean() < 2 * heat[1].mean()


def test_grad_cam_forgets_places_that_a_flattened_network_keeps(rng):
    x = np.zeros((1, 1, 24, 32), np.float32)
    x[0, 0, 17:22, 2:7] = x[0, 0, 2:7, 24:29] = 1
    says_nothing = (0, slice(1, 8), slice(23, 30))
    assert dc.heat_map(placed(), x, method="grad-cam")[says_nothing].max() > 0.5
    assert dc.heat_map(placed(), x)[says_nothing].max() == 0


def test_the_map_divides_the_score_among_the_places(rng):
    model = Sequential(dc.Conv2d(3, 6, 3), dc.Flatten(), dc.Linear(6 * 5 * 4, 4, bias=False))
    model.initialize((3, 7, 6), seed=1, dtype=np.float64)
    x = rng.standard_normal((5, 3, 7, 6))
    seen = dc.activations(model, x)["0"]
    parts = (dc.score_gradient(model, x, 2, layer="0") * seen).sum(axis=1)
    np.testing.assert_allclose(parts.sum(axis=(1, 2)), model(x)[:, 2], rtol=1e-10)
    heat = dc.heat_map(model, x, 2)
    inner = np.maximum(parts, 0)  # the window without padding: its first place lies at (1, 1)
    np.testing.assert_allclose(heat[:, 1:6, 1:5], inner / inner.max(axis=(1, 2), keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("last", [dc.Softmax, dc.Sigmoid])
def test_the_score_before_a_softmax_is_asked(rng, last):
    plain = pooled()
    sure = Sequential(*plain, last())
    plain[-1].weight.value[...] *= 1e4  # so sure of it that the probabilities have no gradient left
    x = rng.random((2, 1, 24, 32)).astype(np.float32)
    assert sure(x).max() == 1
    np.testing.assert_array_equal(dc.heat_map(sure, x, 1), dc.heat_map(plain, x, 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_for_pictures(rng, name):
    model = picture_network(name, channels=3, classes=4, size=24).initialize((3, 24, 24), seed=0)
    x = rng.standard_normal((2, 3, 24, 24)).astype(np.float32)
    heat = dc.heat_map(model, x)
    assert heat.shape == (2, 24, 24)
    assert ((heat >= 0) & (heat <= 1)).all()
    np.testing.assert_allclose(dc.activations(model, x)[str(len(model) - 1)], model(x), rtol=1e-4, atol=1e-5)


def test_other_ranks_other_layers_and_no_convolution(rng):
    signals = Sequential(dc.Conv1d(2, 4, 3, padding=1), dc.ReLU(), dc.GlobalAvgPool(), dc.Linear(4, 3))
    signals.initialize((2, 11), seed=0)
    assert dc.heat_map(signals, rng.standard_normal((5, 2, 11))).shape == (5, 11)
    digits = digits_network().initialize((1, 8, 8), seed=0)
    x = rng.random((3, 1, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(
        dc.heat_map(digits, x), dc.heat_map(digits, x, layer="9")
    )  # the last rectified
    assert dc.heat_map(digits, x, layer="2").shape == (3, 8, 8)
    assert dc.heat_map(digits, x[:0]).shape == (0, 8, 8)
    assert dc.heat_map(digits, (x * 16).astype(np.uint8)).dtype == np.float32
    linear = Sequential(dc.Flatten(), dc.Linear(64, 3)).initialize((1, 8, 8), seed=0)
    parts = np.maximum(linear[1].weight.value[1].reshape(8, 8) * x[:, 0], 0)
    expected = parts / parts.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(dc.heat_map(linear, x, 1), expected, rtol=1e-6)


def test_a_convolution_over_the_whole_picture_has_no_places_to_show(rng):
    model = Sequential(dc.Conv2d(1, 3, 3), dc.Tanh(), dc.Conv2d(3, 4, (6, 7)), dc.Flatten(), dc.Linear(4, 2))
    model.initialize((1, 8, 9), seed=0)
    x = rng.random((2, 1, 8, 9)).astype(np.float32)
    np.testing.assert_array_equal(dc.heat_map(model, x), dc.heat_map(model, x, layer="1"))


def test_nothing_that_speaks_for_a_class_is_no_heat():
    model = Sequential(dc.Flatten(), dc.Linear(4, 2)).initialize((1, 2, 2), seed=0)
    assert (dc.heat_map(model, np.zeros((1, 1, 2, 2)), 0) == 0).all()


def test_what_cannot_be_asked_is_refused(rng):
    model, x = nested(rng), rng.standard_normal((3, 2, 9, 7))
    with pytest.raises(
        ValueError, match=r"heat_map: x has shape \(3, 18\), without places .* score_gradient"
    ):
        dc.heat_map(model, np.zeros((3, 18)))
    with pytest.raises(ValueError, match="target=5 is not among the classes 0 to 4"):
        dc.heat_map(model, x, 5)
    with pytest.raises(ValueError, match="not among the classes"):
        dc.heat_map(model, x, [0, 1, -1])
    with pytest.raises(TypeError, match="target='cat' is neither a class's number nor one for each of the 3"):
        dc.heat_map(model, x, "cat")
    with pytest.raises(TypeError, match=r"target=\[0, 1\] is neither"):
        dc.heat_map(model, x, [0, 1])
    with pytest.raises(
        ValueError, match=r"heat_map: the network has no layer '7'; use one of 'x', '0', '1.body.0'"
    ):
        dc.heat_map(model, x, layer="7")
    with pytest.raises(ValueError, match=r"layer='4' gives \(3, 7\), without the places of x"):
        dc.heat_map(model, x, layer="4")
    with pytest.raises(ValueError, match="method='gradcam' is not known; use 'hires-cam', 'grad-cam'"):
        dc.heat_map(model, x, method="gradcam")
    with pytest.raises(ValueError, match=r"the model gives \(3, 4, 5, 4\), not one score for each class"):
        dc.heat_map(model[0], x)
    with pytest.raises(ValueError, match="NaN or infinity"):
        dc.heat_map(model, x * np.nan)
    with pytest.raises(ValueError, match="node '0'"):
        dc.activations(model, x[:, :1])
