"""Graphs: names, order, sharing, memory, threads, and errors that say where."""

import gc
import re
import threading
import weakref

import numpy as np
import pytest

import deepconv.layers as dl


@pytest.fixture
def x():
    return np.random.default_rng(2).normal(size=(3, 4))


def linear(a=4, b=4):
    return dl.Linear(a, b)


def test_a_shared_layers_gradients_add_up(x):
    layer = linear().initialize((4,), dtype=np.float64)
    shared = dl.Graph({"one": (layer, "x"), "two": (layer, "one"), "sum": (dl.Add(), ["one", "two"])})
    first, second = layer.copy(), layer.copy()
    apart = dl.Graph({"one": (first, "x"), "two": (second, "one"), "sum": (dl.Add(), ["one", "two"])})
    y, pullback = shared.apply(x)
    z, other = apart.apply(x)
    assert np.array_equal(y, z)
    dy = np.random.default_rng(3).normal(size=y.shape)
    (dx, gradients), (dz, others) = pullback(dy), other(dy)
    np.testing.assert_allclose(dx, dz)
    np.testing.assert_allclose(gradients[layer.weight], others[first.weight] + others[second.weight])
    np.testing.assert_allclose(gradients[layer.bias], others[first.bias] + others[second.bias])
    dl.check_gradients(shared, x)


def test_a_node_used_twice_and_the_input_used_thrice(x):
    graph = dl.Graph(
        {
            "a": (linear(), "x"),
            "b": (dl.Tanh(), "a"),
            "c": (dl.Add(), ["a", "b", "x", "a"]),
            "d": (dl.Concatenate(), ["c", "x"]),
        }
    )
    report = dl.check_gradients(graph, x)
    assert set(report.errors) == {"dx", "a.weight", "a.bias"}


def test_several_inputs_give_a_tuple_of_gradients(x):
    graph = dl.Graph({"sum": (dl.Add(), ["x", "h"]), "h": (dl.Tanh(), "z")}, inputs=("x", "z"), output="sum")
    graph.forward(x, 2 * x)
    dx, dz = graph.backward(x)
    np.testing.assert_allclose(dx, x)
    np.testing.assert_allclose(dz, x * (1 - np.tanh(2 * x) ** 2))
    with pytest.raises(TypeError, match="Graph: got 1 inputs but it has 2: x, z"):
        graph(x)
    assert "sum" in graph.summary([(4,), (4,)])
    assert graph.initialize([(4,), (4,)]) is graph


def test_values_are_drawn_in_the_order_of_declaration_where_that_can_run():
    """However a graph's branches might be sorted, the same network starts from the same values."""
    nodes = {
        "a": (dl.Linear(4, 4), ["x"]),
        "b": (dl.Linear(4, 4), ["a"]),
        "c": (dl.Linear(4, 4), ["x"]),
        "sum": (dl.Add(), ["b", "c"]),
    }
    graph = dl.Graph(nodes).initialize((4,), seed=3)
    assert [name for name in graph.parameters() if "weight" in name] == ["a.weight", "b.weight", "c.weight"]
    generator = np.random.default_rng(3)
    for name in "abc":
        drawn = (generator.standard_normal((4, 4)) * np.sqrt(2 / 4)).astype(np.float32)
        assert np.array_equal(graph.parameters()[f"{name}.weight"].value, drawn)


def test_order_of_declaration_does_not_matter(x):
    nodes = {"c": (dl.ReLU(), "b"), "b": (dl.Tanh(), "a"), "a": (linear(), "x")}
    graph = dl.Graph(nodes, output="c").initialize((4,), dtype=np.float64)
    a = nodes["a"][0]
    np.testing.assert_allclose(graph(x), np.maximum(np.tanh(x @ a.weight.value.T), 0))


def test_an_output_that_others_use_too(x):
    graph = dl.Graph({"a": (dl.Tanh(), "x"), "b": (dl.Add(), ["a", "a"])}, output="b")
    np.testing.assert_allclose(graph(x), 2 * np.tanh(x))
    np.testing.assert_allclose(dl.Sequential()(x), x)


@pytest.mark.parametrize(
    ("nodes", "options", "text"),
    [
        ({"a": (dl.ReLU(), "b"), "b": (dl.ReLU(), "a")}, {}, r"nodes '\w' → '\w' → '\w' form a cycle"),
        ({"a": (dl.ReLU(), "a")}, {}, "'a' → 'a' form a cycle"),
        ({"a": (dl.ReLU(), "y")}, {}, r"node 'a' has inputs \['y'\]; use names out of 'x', 'a'"),
        ({"a": (dl.Add(), [])}, {}, r"node 'a' has inputs \[\]"),
        ({"a": (dl.ReLU(), "x"), "b": (dl.ReLU(), "x")}, {}, "'a' doesn't reach the output 'b'"),
        ({"a": (dl.ReLU(), "x")}, {"inputs": ("x", "z")}, "'z' doesn't reach the output 'a'"),
        ({"a": (dl.ReLU(), "x")}, {"output": "b"}, "output='b' is not a node"),
        ({"x": (dl.ReLU(), "x")}, {}, "names that no node has"),
        ({"a": (dl.ReLU(), "x")}, {"inputs": ()}, "one or more names"),
        ({"a.b": (dl.ReLU(), "x")}, {}, "node 'a.b' needs another name"),
        ({"": (dl.ReLU(), "x")}, {}, "node '' needs another name"),
        ([("a", dl.ReLU(), "x"), ("a", dl.ReLU(), "x")], {}, "node 'a' needs another name"),
    ],
)
def test_what_is_no_graph(nodes, options, text):
    with pytest.raises(ValueError, match=text):
        dl.Graph(nodes, **options)


@pytest.mark.parametrize("nodes", [{"a": (np.tanh, "x")}, {"a": (dl.ReLU(),)}, [("a", dl.ReLU())]])
def test_what_is_no_node(nodes):
    with pytest.raises(TypeError, match="is not a name with"):
        dl.Graph(nodes)
    with pytest.raises(TypeError, match=r"layer 1 is .*, not a layer"):
        dl.Sequential(dl.ReLU(), np.tanh)


def test_an_error_inside_says_where_and_keeps_its_type():
    inner = dl.Sequential(dl.ReLU(), dl.Conv2d(3, 2, 3))
    model = dl.Sequential(dl.Tanh(), dl.Residual(inner))
    text = (
        "Sequential, node '1' with input (2, 5, 6, 7): Residual, node 'body' with input (2, 5, 6, 7): "
        "Sequential, node '1' with input (2, 5, 6, 7): Conv2d: x has 5 channels"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        model(np.zeros((2, 5, 6, 7)))
    with pytest.raises(TypeError, match=r"Sequential, node '0' with input \(2,\): broken"):
        dl.Sequential(Broken())(np.zeros(2))


class Broken(dl.Layer):
    def apply(self, x, *, training=True, rng=None):
        raise TypeError("broken")


class Coded(dl.Layer):
    def apply(self, x, *, training=True, rng=None):
        raise OSError(28, "No space left")


def test_an_error_with_a_code_keeps_it():
    with pytest.raises(OSError, match="No space") as error:
        dl.Sequential(Coded())(np.zeros(2))
    assert error.value.errno == 28
    assert "node '0'" in error.value.__notes__[0]


class Spy(dl.Layer):
    """Passes its input on as a new array, and counts how many of its outputs are alive."""

    alive: list = []
    most = 0

    def apply(self, x, *, training=True, rng=None):
        (x,) = self.prepare(x)
        y = x + 1
        Spy.alive.append(weakref.ref(y))
        Spy.most = max(Spy.most, sum(ref() is not None for ref in Spy.alive))
        return y, dl.Pullback("Spy", y, lambda dy: (dy, {}))


@pytest.fixture
def spies():
    Spy.alive, Spy.most = [], 0
    gc.disable()  # arrays must go by themselves, not by the collector
    yield Spy
    gc.enable()


def test_inference_lets_go_of_what_no_later_node_wants(spies):
    dl.Sequential(*(Spy() for _ in range(12)))(np.zeros(5))
    assert spies.most == 2  # a node's input and its output
    assert sum(ref() is not None for ref in spies.alive) == 0


def test_training_keeps_only_what_the_layers_keep(spies):
    y, pullback = dl.Sequential(*(Spy() for _ in range(12))).apply(np.zeros(5))
    assert spies.most == 2
    pullback(y)


def test_what_a_later_node_wants_is_kept(spies):
    graph = dl.Graph(
        {
            "a": (Spy(), "x"),
            "b": (Spy(), "a"),
            "c": (Spy(), "b"),
            "d": (dl.Add(), ["a", "c"]),
        }
    )
    assert graph(np.zeros(3)).tolist() == [4, 4, 4]
    assert spies.most == 3


def test_many_threads_infer_while_one_trains():
    model = dl.Sequential(
        dl.Conv2d(2, 4, 3), dl.BatchNorm(), dl.ReLU(), dl.Residual(dl.Conv2d(4, 4, 1)), dl.Flatten(),
        dl.Linear(None, 3),
    ).initialize((2, 6, 7))  # fmt: skip
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(2, 2, 6, 7)).astype(np.float32) for _ in range(6)]
    expected = [model(x) for x in inputs]
    wrong = []

    def use(i):
        for _ in range(10):
            y, pullback = model.apply(inputs[i])  # nothing is stored, so nobody is disturbed
            pullback(y)
            if not np.array_equal(model(inputs[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=use, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_dropout_in_a_graph_follows_the_generator(x):
    model = dl.Sequential(dl.Dropout(0.5), dl.Tanh(), dl.Dropout(0.5))
    one = model.apply(x, rng=np.random.default_rng(4))[0]
    assert np.array_equal(one, model.apply(x, rng=np.random.default_rng(4))[0])
    assert not np.array_equal(one, model.apply(x, rng=np.random.default_rng(5))[0])
    assert np.array_equal(model.apply(x, training=False)[0], np.tanh(x))


def test_a_batch_norm_at_two_nodes_moves_to_the_mean_of_both(x):
    layer = dl.BatchNorm(4, momentum=0.5).initialize((4,), dtype=np.float64)
    shifted = dl.Graph({"a": (layer, "x"), "b": (layer, "z"), "s": (dl.Add(), ["a", "b"])}, inputs=("x", "z"))
    _, pullback = shifted.apply(x, x + 8)
    np.testing.assert_allclose(pullback.updates[layer.running_mean], 0.5 * (x.mean(0) + 4))


def test_sequential_is_a_sequence():
    layers = [dl.ReLU(), dl.Tanh()]
    model = dl.Sequential(*layers)
    assert list(model) == layers
    assert (len(model), model[-1]) == (2, layers[1])


def test_concat_and_residual_are_what_they_say(x):
    np.testing.assert_array_equal(
        dl.Concat(dl.ReLU(), dl.Tanh())(x), np.concatenate([np.maximum(x, 0), np.tanh(x)], 1)
    )
    np.testing.assert_array_equal(dl.Residual(dl.Tanh())(x), np.tanh(x) + x)
    np.testing.assert_array_equal(dl.Residual(dl.Tanh(), dl.ReLU())(x), np.tanh(x) + np.maximum(x, 0))
    with pytest.raises(ValueError, match="Concat: there is no branch"):
        dl.Concat()
    with pytest.raises(
        ValueError, match=r"Residual, node 'add' with input \(3, 2\), \(3, 4\): Add: the inputs have"
    ):
        dl.Residual(linear(4, 2))(x)
    with pytest.raises(ValueError, match=r"Concatenate: shapes .* differ elsewhere than on axis=1"):
        dl.Concatenate()(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="axis=1 doesn't fit"):
        dl.Concatenate()(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize(
    "x_shape", [(1, 9, 8), (6, 9, 8)]
)  # one picture; pictures without their channel axis
@pytest.mark.parametrize(
    "last",
    [dl.Flatten, dl.GlobalAvgPool, dl.BatchNorm, dl.Softmax, lambda: dl.GroupNorm(2), lambda: dl.Upsample(2)],
)
def test_a_picture_without_its_batch_axis_where_channels_would_be_taken_for_it(x_shape, last, rng):
    model = dl.Sequential(dl.Conv2d(None, 4, 3), dl.ReLU(), last())
    x = rng.standard_normal(x_shape)
    with pytest.raises(
        ValueError, match=r"Conv2d: x has shape .* without the batch axis .* x\[None\] for one image"
    ):
        model(x)
    assert model.parameters()["0.weight"].data is None  # nothing was inferred from it
    assert model(x[:, None]).shape[0] == len(x)


def test_a_network_that_needs_no_batch_axis_takes_one_picture(rng):
    model = dl.Sequential(dl.Conv2d(2, 4, 3), dl.ReLU(), dl.Residual(dl.Conv2d(4, 4, 1)), dl.Softmax(-3))
    x = rng.standard_normal((2, 9, 8))
    np.testing.assert_allclose(model(x), model(x[None])[0], rtol=1e-12)


def test_a_node_without_inputs_is_named():
    with pytest.raises(TypeError, match=r"Graph: node \('a', ReLU\(\)\) is not a name with \(layer, names"):
        dl.Graph({"a": dl.ReLU()})
    with pytest.raises(TypeError, match=r"Graph: node ReLU\(\) is not a name with"):
        dl.Graph([dl.ReLU()])
