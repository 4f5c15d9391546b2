"""What all layers share: the post's interface, first use, state, conversions."""

import pickle
import re
import threading

import numpy as np
import pytest

import deepconv.layers as dl
from deepconv.layers.architecture import build, describe


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def network() -> dl.Sequential:
    return dl.Sequential(
        dl.Conv2d(None, 4, 3, padding="same"), dl.BatchNorm(), dl.ReLU(), dl.Flatten(), dl.Linear(None, 3)
    )


def test_backward_before_forward_says_what_to_do():
    with pytest.raises(
        RuntimeError, match=r"Linear\.backward: there was no forward .*call forward\(x\) first"
    ):
        dl.Linear(3, 2).backward(np.zeros((1, 2)))


def test_the_wrong_gradient_is_named_as_promised(rng):
    layer = dl.Conv2d(2, 3, 3, padding=1)
    layer.forward(rng.normal(size=(4, 2, 4, 4)))
    text = (
        "Conv2d.backward: dy has shape (1, 3, 4, 4) but the output was (4, 3, 4, 4); "
        "pass the gradient of the loss with respect to that output"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        layer.backward(np.zeros((1, 3, 4, 4)))


def test_backward_adds_up_until_zero_grad(rng):
    layer = dl.Linear(3, 2).initialize((3,), dtype=np.float64)
    x, dy = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    layer.forward(x)
    layer.backward(dy)
    once = layer.weight.grad.copy()
    np.testing.assert_allclose(once, dy.T @ x)
    layer.backward(dy)
    np.testing.assert_allclose(layer.weight.grad, 2 * once)
    layer.zero_grad()
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_gradients_are_sums_over_the_batch(rng):
    """The post divides by the batch here, and so does its loss: see the errata."""
    layer, x = dl.Conv2d(2, 3, 3).initialize((2, 5, 6), dtype=np.float64), rng.normal(size=(4, 2, 5, 6))
    y, pullback = layer.apply(x)
    dy = rng.normal(size=y.shape)
    _, together = pullback(dy)
    apart = [layer.apply(x[i : i + 1])[1](dy[i : i + 1])[1] for i in range(4)]
    for parameter, gradient in together.items():
        np.testing.assert_allclose(gradient, sum(one[parameter] for one in apart), atol=1e-12)


def test_two_pullbacks_of_one_layer_do_not_mix(rng):
    layer = dl.Linear(3, 2).initialize((3,), dtype=np.float64)
    first, second = rng.normal(size=(2, 3)), rng.normal(size=(7, 3))
    (y1, back1), (y2, back2) = layer.apply(first), layer.apply(second)
    np.testing.assert_allclose(back1(y1)[1][layer.weight], y1.T @ first)
    np.testing.assert_allclose(back2(y2)[1][layer.weight], y2.T @ second)


def test_the_input_gradient_is_not_computed_where_nobody_wants_it(rng, monkeypatch):
    import deepconv.layers.convolution as module

    calls = []
    real = module.conv_input_grad
    monkeypatch.setattr(module, "conv_input_grad", lambda *a, **k: calls.append(1) or real(*a, **k))
    model = dl.Sequential(dl.Conv2d(1, 2, 3), dl.ReLU(), dl.Sequential(dl.Conv2d(2, 2, 3))).initialize(
        (1, 7, 8)
    )
    y, pullback = model.apply(rng.normal(size=(2, 1, 7, 8)))
    alone = pullback.parameter_gradients(y)
    assert len(calls) == 1
    _, both = pullback(y)
    assert len(calls) == 3
    assert alone.keys() == both.keys() == set(model.parameters().values())
    assert all(np.array_equal(alone[p], both[p]) for p in both)


def test_gradients_have_their_parameter_s_type(rng):
    layer = dl.Conv2d(2, 3, 3).initialize((2, 5, 4))
    y, pullback = layer.apply(rng.normal(size=(1, 2, 5, 4)))
    assert y.dtype == np.float64
    assert {g.dtype for g in pullback(np.ones(y.shape))[1].values()} == {np.dtype(np.float32)}


def test_an_integer_gradient_has_the_output_s_type(rng):
    layer = dl.Conv1d(2, 3, 3).initialize((2, 5))
    y, pullback = layer.apply(rng.normal(size=(1, 2, 5)).astype(np.float32))
    dy = rng.integers(-9, 9, y.shape)
    dx, expected = pullback(dy)[0], pullback(dy.astype(np.float32))[0]
    assert dx.dtype == expected.dtype == np.float32
    assert np.array_equal(dx, expected)


def test_integer_gradients_and_lists_are_numbers_too():
    layer = dl.ReLU()
    layer.forward(np.array([1.5, -2.0]))
    dx = layer.backward([3, 4])
    assert dx.tolist() == [3.0, 0.0]
    assert dx.dtype == np.float64


def test_forward_moves_running_statistics_and_inference_does_not(rng):
    layer = dl.BatchNorm(3).initialize((3, 4))
    x = rng.normal(2, 3, size=(6, 3, 4))
    layer(x)
    layer.apply(x)
    assert layer.running_mean.value.tolist() == [0, 0, 0]
    layer.forward(x)
    assert np.all(layer.running_mean.value != 0)


def test_a_constructor_takes_no_memory_and_reports_no_values():
    layer = dl.Linear(10**9, 10**9)
    assert layer.weight.shape == (10**9, 10**9)
    assert layer.weight.data is None
    with pytest.raises(RuntimeError, match="no values yet"):
        layer.state()


@pytest.mark.parametrize("seed", [0, 5, np.random.default_rng(3)])
def test_initialize_draws_from_one_generator_in_the_order_of_use(seed):
    model = network().initialize((2, 5, 6), seed=seed if isinstance(seed, int) else np.random.default_rng(3))
    generator = np.random.default_rng(seed) if isinstance(seed, int) else np.random.default_rng(3)
    first = generator.standard_normal((4, 2, 3, 3)) * np.sqrt(2 / 18)
    last = generator.standard_normal((3, 120)) * np.sqrt(2 / 120)
    assert np.array_equal(model.state()["0.weight"], first.astype(np.float32))
    assert np.array_equal(model.state()["4.weight"], last.astype(np.float32))


def test_initialize_again_draws_anew_and_forgets_gradients(rng):
    model, fresh = network().initialize((1, 4, 5), seed=1), network().initialize((1, 4, 5), seed=2)
    model.backward(np.ones_like(model.forward(rng.normal(size=(2, 1, 4, 5)))))
    model.initialize((1, 4, 5), seed=2)
    assert all(np.array_equal(value, model.state()[name]) for name, value in fresh.state().items())
    assert all(parameter.grad is None for parameter in model.parameters().values())


def test_float32_and_float64_start_alike():
    one, two = (network().initialize((1, 4, 5), dtype=dtype) for dtype in (np.float32, np.float64))
    for name, value in two.state().items():
        assert np.array_equal(one.state()[name], value.astype(np.float32))


def test_use_without_initialize_starts_from_fresh_entropy(rng):
    x = rng.normal(size=(2, 2, 5, 6)).astype(np.float32)
    one, two = network(), network()
    assert not np.array_equal(one(x), two(x))
    assert one[0].in_channels == 2
    assert one[4].in_features == 120
    assert np.array_equal(one(x), one(x))


def test_what_is_already_there_stays_at_first_use(rng):
    body = dl.Linear(3, 4).initialize((3,), seed=1)
    before = body.state()
    model = dl.Sequential(body, dl.ReLU(), dl.Linear(None, 2))
    model(rng.normal(size=(2, 3)))
    assert all(np.array_equal(body.state()[name], value) for name, value in before.items())
    assert model[2].weight.data is not None


def test_a_wrong_shape_leaves_nothing_behind():
    model = dl.Sequential(dl.Conv2d(None, 4, 3), dl.Conv2d(7, 2, 3))
    with pytest.raises(ValueError, match=r"Sequential, node '1' .*Conv2d: x has 4 channels .*in_channels=7"):
        model.initialize((5, 8, 8))
    assert model[0].in_channels is None
    assert model[0].weight.shape is None
    model = dl.Sequential(dl.Conv2d(None, 4, 3), dl.Flatten(), dl.Linear(96, 2))
    with pytest.raises(ValueError, match="in_features=96"):
        model(np.zeros((1, 8, 6, 3)))  # channels-last by mistake
    assert model(np.zeros((1, 3, 8, 6))).shape == (1, 2)


def test_a_failed_initialize_keeps_the_old_values():
    model = network().initialize((2, 5, 6))
    before = model.state()
    with pytest.raises(ValueError, match="in_channels=2"):
        model.initialize((3, 5, 6), seed=1)
    assert all(np.array_equal(model.state()[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("shape", "kind", "text"),
    [
        ((0, 5, 5), ValueError, "size under 1"),
        ("abc", TypeError, "not a shape"),
        (7, TypeError, "not a shape"),
        ((2, -1), ValueError, "size under 1"),
    ],
)
def test_a_shape_that_is_none(shape, kind, text):
    with pytest.raises(kind, match=text):
        network().initialize(shape)


@pytest.mark.parametrize("dtype", [np.int32, complex])
def test_a_model_holds_floats(dtype):
    with pytest.raises(TypeError, match="not a float"):
        network().initialize((1, 5, 6), dtype=dtype)
    with pytest.raises(TypeError, match="not a float"):
        network().initialize((1, 5, 6)).astype(dtype)


def test_pictures_of_bytes_compute_as_their_floats(rng):
    model = network().initialize((3, 5, 6))
    picture = rng.integers(0, 256, size=(2, 3, 5, 6), dtype=np.uint8)
    y = model(picture)
    assert y.dtype == np.float32
    assert np.array_equal(y, model(picture.astype(np.float32)))
    double = model.astype(np.float64)
    assert double(picture).dtype == np.float64
    pooled = dl.Sequential(dl.AvgPool2d(2), dl.Conv2d(None, 1, 1)).initialize((3, 5, 6), dtype=np.float64)
    assert np.array_equal(pooled(picture), pooled(picture.astype(np.float64)))


def test_mixed_floats_promote():
    model = dl.Linear(3, 2).initialize((3,))
    assert model(np.zeros((1, 3), np.float64)).dtype == np.float64
    assert model(np.zeros((1, 3), np.float16)).dtype == np.float32


def test_words_are_no_input():
    with pytest.raises(TypeError, match="Linear: x has dtype"):
        dl.Linear(3, 2)(np.full((1, 3), "a"))


def test_astype_converts_a_copy(rng):
    model = network().initialize((1, 4, 5))
    double = model.astype(np.float64)
    assert {v.data.dtype for v in double.values().values()} == {np.dtype(np.float64)}
    assert {v.data.dtype for v in model.values().values()} == {np.dtype(np.float32)}


def test_state_is_a_copy_and_goes_back(rng):
    model = network().initialize((1, 4, 5), seed=1)
    state = model.state()
    state["0.weight"][...] = 9
    assert not np.any(model[0].weight.value == 9)
    other = network().initialize((1, 4, 5), seed=2)
    other.load_state(model.state())
    x = rng.normal(size=(2, 1, 4, 5))
    assert np.array_equal(other(x), model(x))
    state = model.state()
    other.load_state(state)
    state["0.weight"][...] = 9
    assert not np.any(other[0].weight.value == 9)


def test_load_state_takes_all_or_nothing():
    model = network().initialize((1, 4, 5))
    before, other = model.state(), network().initialize((1, 4, 5), seed=9).state()
    for change, text in (
        ({"0.weight": None}, r"lacks \['0.weight'\]"),
        ({"surplus": np.zeros(1)}, r"has \['surplus'\]"),
        ({"4.bias": np.zeros(4)}, r"4.bias has shape \(4,\)"),
        ({"4.bias": np.zeros(3, int)}, "dtype int64"),
    ):
        wrong = {name: value for name, value in {**other, **change}.items() if value is not None}
        with pytest.raises(ValueError, match=text):
            model.load_state(wrong)
    assert all(np.array_equal(model.state()[name], value) for name, value in before.items())


def test_load_state_before_the_sizes_are_known():
    state = dl.Linear(3, 2).initialize((3,)).state()
    with pytest.raises(ValueError, match="initialize"):
        dl.Linear(None, 2).load_state(state)
    fresh = dl.Linear(3, 2)
    fresh.load_state(state)
    assert np.array_equal(fresh.weight.value, state["weight"])


def test_pickle_for_those_who_send_models_between_processes(rng):
    model = network().initialize((1, 4, 5))
    x = rng.normal(size=(2, 1, 4, 5))
    model.forward(x)
    assert np.array_equal(pickle.loads(pickle.dumps(model))(x), model(x))  # noqa: S301


def test_a_parameter_of_two_layers_has_the_first_one_s_name():
    first, second = dl.Linear(3, 3), dl.Linear(3, 3)
    second.weight = first.weight
    assert list(dl.Sequential(first, second).parameters()) == ["0.weight", "0.bias", "1.bias"]


def test_names_are_dotted_and_shared_ones_appear_once():
    shared = dl.Linear(3, 3)
    model = dl.Sequential(shared, dl.ReLU(), dl.Residual(dl.Sequential(shared, dl.Linear(3, 3, bias=False))))
    assert list(model.parameters()) == ["0.weight", "0.bias", "2.body.1.weight"]


def test_a_layer_of_your_own_made_of_attributes(rng):
    class Block(dl.Layer):
        def __init__(self):
            self.inner = dl.Linear(None, 4)
            self.scale = dl.Parameter((4,), lambda generator, shape: generator.normal(size=shape))

        def apply(self, x, *, training=True, rng=None):
            (x,) = self.prepare(x)
            h, back = self.inner.apply(x, training=training, rng=rng)
            scale = self.scale.value
            y = h * scale

            def pull(dy):
                dx, gradients = back(dy * scale)
                return dx, {**gradients, self.scale: (dy * h).sum(0)}

            return y, dl.Pullback("Block", y, pull)

    block, x = Block(), rng.normal(size=(5, 3))
    assert set(dl.check_gradients(block, x).errors) == {"dx", "scale", "inner.weight", "inner.bias"}
    assert block(x).shape == (5, 4)


def test_many_threads_meet_an_uninitialised_model_once(rng):
    x = rng.normal(size=(4, 2, 5, 6)).astype(np.float32)
    for _ in range(5):
        model, barrier, outputs = network(), threading.Barrier(8), []

        def use(model=model, barrier=barrier, outputs=outputs):
            barrier.wait()
            outputs.append(model(x))

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outputs) == 8
        assert all(np.array_equal(outputs[0], y) for y in outputs)


def test_threads_that_fail_at_first_use_do_not_disturb_others(rng):
    good, bad = network(), network()
    x, results = rng.normal(size=(2, 2, 5, 6)), []

    def wrong():
        try:
            bad(np.zeros((2, 2)))
        except ValueError as error:
            results.append(str(error))

    threads = [threading.Thread(target=wrong) for _ in range(4)]
    threads += [threading.Thread(target=lambda: results.append(good(x).shape)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count((2, 3)) == 4
    assert sum("node '0'" in str(r) for r in results) == 4
    assert bad[0].in_channels is None


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (dl.Conv2d(1, 16, 3, padding="same"), "Conv2d(1, 16, 3, padding='same')"),
        (dl.Linear(None, 3, bias=False), "Linear(None, 3, bias=False)"),
        (dl.Sequential(dl.ReLU(), dl.Dropout(0.25)), "Sequential(ReLU(), Dropout(0.25))"),
        (dl.Concat(dl.ReLU(), axis=2), "Concat(ReLU(), axis=2)"),
    ],
)
def test_repr_shows_what_one_would_write(layer, text):
    assert repr(layer) == text


def made(layer, **arguments):
    return {"layer": layer, "arguments": arguments}


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ([], "written as list"),
        ({}, r"described by \[\], not by 'layer' and 'arguments'"),
        ({"layer": "ReLU"}, r"described by \['layer'\]"),
        ({"layer": "ReLU", "arguments": {}, "code": ""}, "described by"),
        ({"layer": "ReLU", "arguments": []}, "described by"),
        (made("Teleport"), "unknown layer 'Teleport'"),
        (made(["Linear"]), "unknown layer"),
        (made("Linear", in_features=3, out_features=2, colour=1), "Linear: unknown argument 'colour'"),
        (made("Linear", in_features=3), "Linear: .*missing"),
        (made("Linear", in_features="3", out_features=2), "in_features='3' is not a whole number"),
        (made("Linear", in_features=3, out_features=2, bias=1), "bias=1 is neither True nor False"),
        (made("Conv2d", in_channels=3, out_channels=2, kernel_size=[3, 0]), "kernel_size"),
        (made("Conv2d", in_channels=10**14, out_channels=2, kernel_size=3, groups=7), "groups=7"),
        (made("GroupNorm", groups=7, channels=10**14), "groups=7"),
        (made("Sequential", layers=made("ReLU")), "Sequential: layers is not a list"),
        (made("Sequential", layers=[{"repeat": 0}]), "repeats a layer 0"),
        (made("Sequential", layers=[{"repeat": "0"}]), "repeats a layer '0'"),
        (made("Sequential", layers=[{"repeat": True}]), "repeats a layer True"),
        (made("Sequential", layers=[{"repeat": -1}]), "repeats a layer -1"),
        (made("Sequential", layers=[1]), "layer 0 is 1, not a layer"),
        (made("Residual", body=3), "Residual"),
        (made("Dropout", p=2), "p=2 is not between 0 and 1"),
        (made("Dropout", p=10**400), "p="),
        (made("Graph", nodes=5), "Graph"),
        (made("Graph", nodes=[["a", made("ReLU")]]), "Graph: node"),
        (made("Graph", nodes=[["a", made("ReLU"), [["x"]]]]), "Graph"),
    ],
)
def test_a_description_that_makes_no_network(description, text):
    with pytest.raises(ValueError, match=text):
        build(description, dl.LAYERS)


def test_a_small_number_survives_its_description():
    assert build(describe(dl.LayerNorm(3, eps=1.25e-12)), dl.LAYERS).eps == 1.25e-12


def test_an_argument_may_have_any_name():
    class Wrapper(dl.Layer):
        def __init__(self, layer, repeat=2):
            self.layer, self.repeat = layer, repeat

    table = {**dl.LAYERS, "Wrapper": Wrapper}
    assert repr(build(describe(Wrapper(dl.ReLU(), 3)), table)) == "Wrapper(ReLU(), 3)"


def test_too_many_layers():
    many = made("Sequential", layers=[made("ReLU")] * 50)
    with pytest.raises(ValueError, match="more than 40 layers"):
        build(many, dl.LAYERS, limit=40)


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ({"dtype": "float99"}, TypeError, "Linear.initialize: dtype='float99' is no dtype"),
        ({"dtype": np.longdouble}, TypeError, "is not a float; use float32 or float64"),
        ({"seed": "a"}, ValueError, "Linear.initialize: seed='a' is no seed"),
        ({"seed": -1}, ValueError, "Linear.initialize: seed=-1 is no seed; use a whole number ≥ 0"),
    ],
)
def test_a_dtype_or_seed_that_is_none(words, error, text):
    with pytest.raises(error, match=text):
        dl.Linear(3, 2).initialize((3,), **words)
