"""Optimizers: their rules, written out; in place, by name, nothing lost on the way through a state."""

import numpy as np
import pytest

from deepconv.layers.parameter import Parameter
from deepconv.training.optimizers import SGD, Adam, AdamW

MAKERS = {
    "plain": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: Adam(0.1, weight_decay=0.01),
    "adamw": lambda: AdamW(0.1),
}
SHAPES = {"conv.weight": (3, 2, 3, 1), "conv.bias": (3,), "scale": (), "dense.weight": (5, 4)}


def parameters(dtype=np.float32, seed=0):
    made = {
        name: Parameter(shape, lambda generator, shape: generator.normal(size=shape), decay="weight" in name)
        for name, shape in SHAPES.items()
    }
    generator = np.random.default_rng(seed)
    for parameter in made.values():
        parameter.initialise(generator, dtype)
    made["scale"].data = np.array(generator.normal(), dtype)
    return made


def gradients(of, step, dtype=np.float32):
    generator = np.random.default_rng([9, step])
    return {p: np.asarray(generator.normal(size=p.shape), dtype) for p in of.values()}


def values(of):
    return {name: p.data.copy() for name, p in of.items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def momentum(w, g, kept, rate, step, *, nesterov, decay):
    g = g + decay * w
    kept["m"] = 0.9 * kept.get("m", 0) + g
    return w - rate * (g + 0.9 * kept["m"] if nesterov else kept["m"])


def adam(w, g, kept, rate, step, *, decoupled, decay):
    if decoupled:
        w = w - rate * decay * w
    else:
        g = g + decay * w
    kept["m"] = 0.8 * kept.get("m", 0) + 0.2 * g
    kept["v"] = 0.95 * kept.get("v", 0) + 0.05 * g**2
    mean, square = kept["m"] / (1 - 0.8**step), kept["v"] / (1 - 0.95**step)
    return w - rate * mean / (np.sqrt(square) + 0.01)


@pytest.mark.parametrize(
    ("optimizer", "rule", "words"),
    [
        (SGD(9.0, momentum=0.9, weight_decay=0.1), momentum, {"nesterov": False, "decay": 0.1}),
        (SGD(9.0, momentum=0.9, nesterov=True, weight_decay=0.1), momentum, {"nesterov": True, "decay": 0.1}),
        (Adam(9.0, betas=(0.8, 0.95), eps=0.01), adam, {"decoupled": False, "decay": 0}),
        (Adam(9.0, betas=(0.8, 0.95), eps=0.01, weight_decay=0.1), adam, {"decoupled": False, "decay": 0.1}),
        (AdamW(9.0, betas=(0.8, 0.95), eps=0.01, weight_decay=0.1), adam, {"decoupled": True, "decay": 0.1}),
    ],
    ids=["momentum", "nesterov", "adam", "adam with decay", "adamw"],
)
def test_the_rules_written_out(optimizer, rule, words):
    """As PyTorch documents them, where tests/peers follows them too; the rate changes from step to step."""
    params = parameters(np.float64)
    weights, kept = values(params), {name: {} for name in params}
    for step, rate in enumerate((0.5, 0.25, 0.125, 0.5, 0.0625), 1):
        given = gradients(params, step, np.float64)
        optimizer.step(params, given, rate)
        for name, parameter in params.items():
            own = words if parameter.decay else {**words, "decay": 0}
            weights[name] = rule(weights[name], given[parameter], kept[name], rate, step, **own)
            np.testing.assert_allclose(parameter.data, weights[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_state_replaces_the_one_of_an_optimizer_in_use(make):
    params, other = parameters(), parameters()
    fresh, used = make(), make()
    fresh.step(params, gradients(params, 0))
    for step in range(3, 6):
        used.step(other, gradients(other, step))
    for name, value in values(params).items():
        other[name].data = value
    used.load_state(fresh.state(), other)
    fresh.step(params, gradients(params, 1))
    used.step(other, gradients(other, 1))
    assert_same(values(params), values(other))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_state_carries_a_run_over_to_the_same_bits(make):
    straight, stopped = parameters(), parameters()
    one, two, three = make(), make(), make()
    for step in range(6):
        one.step(straight, gradients(straight, step))
    for step in range(3):
        two.step(stopped, gradients(stopped, step))
    state = two.state()
    copies = {name: array.copy() for name, array in state.items()}
    other = parameters()
    two.step(other, gradients(other, 7))  # what comes later doesn't reach the state
    assert_same(state, copies)
    three.load_state(state, stopped)
    for step in range(3, 6):
        three.step(stopped, gradients(stopped, step))
    assert_same(state, copies)
    assert_same(values(straight), values(stopped))
    assert_same(one.state(), three.state())


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_arrays_are_changed_in_place_and_gradients_not_at_all(make):
    params = parameters()
    arrays = {name: p.data for name, p in params.items()}
    before = values(params)
    given = gradients(params, 0)
    copies = [g.copy() for g in given.values()]
    make().step(params, given)
    for name, parameter in params.items():
        assert parameter.data is arrays[name]
        assert not np.array_equal(parameter.data, before[name])
    for gradient, copy in zip(given.values(), copies, strict=True):
        np.testing.assert_array_equal(gradient, copy)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_state_is_float32_or_wider(make):
    for dtype, wanted in [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)]:
        params = parameters(dtype)
        optimizer = make()
        optimizer.step(params, gradients(params, 0, dtype))
        state = optimizer.state()
        assert state.pop("steps") == 1
        assert {a.dtype for a in state.values()} <= {np.dtype(wanted)}
        assert len(state) == len(optimizer.slots) * len(SHAPES)
        assert {p.data.dtype for p in params.values()} == {np.dtype(dtype)}


def test_only_what_decays_is_decayed():
    params = parameters()
    before = values(params)
    AdamW(0.1, weight_decay=0.5).step(params, {p: np.zeros_like(p.data) for p in params.values()})
    for name, parameter in params.items():
        factor = 0.95 if "weight" in name else 1
        np.testing.assert_allclose(parameter.data, before[name] * np.float32(factor), rtol=1e-6)


def test_a_parameter_without_gradient_stays_and_joins_later():
    params = parameters(np.float64)
    bias, optimizer = params["conv.bias"], SGD(0.1, momentum=0.5)
    start = bias.data.copy()
    given = [gradients(params, step, np.float64) for step in range(3)]
    optimizer.step(params, {p: g for p, g in given[0].items() if p is not bias})
    np.testing.assert_array_equal(bias.data, start)
    optimizer.step(params, given[1])
    optimizer.step(params, given[2])
    expected = start - 0.1 * given[1][bias] - 0.1 * (0.5 * given[1][bias] + given[2][bias])
    np.testing.assert_allclose(bias.data, expected, rtol=1e-12)
    other = params["dense.weight"]
    average = (given[0][other] * 0.5 + given[1][other]) * 0.5 + given[2][other]
    np.testing.assert_allclose(optimizer.state()["momentum.dense.weight"], average, rtol=1e-12)


def test_gradients_default_to_each_parameters_own():
    first, second = parameters(), parameters()
    given = gradients(first, 0)
    SGD(0.1).step(first, given)
    for name, parameter in second.items():
        parameter.grad = given[first[name]]
    SGD(0.1).step(second)
    assert_same(values(first), values(second))


def test_the_norm_is_of_all_gradients_and_clipping_scales_them_together():
    params, reference = parameters(np.float64), parameters(np.float64)
    given = gradients(params, 0, np.float64)
    norm = np.sqrt(sum(float(np.sum(g**2)) for g in given.values()))
    assert SGD(0.1).step(params, given, clip_norm=2.0) == pytest.approx(norm, rel=1e-12)
    SGD(0.1 * 2 / norm).step(reference, {reference[n]: given[params[n]] for n in params})
    for name in params:
        np.testing.assert_allclose(params[name].data, reference[name].data, rtol=1e-12)
    unclipped = parameters(np.float64)
    before = values(unclipped)
    SGD(0.1).step(unclipped, {unclipped[n]: given[params[n]] for n in params}, clip_norm=norm * 1.01)
    np.testing.assert_allclose(
        unclipped["scale"].data, before["scale"] - 0.1 * given[params["scale"]], rtol=1e-12
    )


def test_a_norm_that_float32_cannot_square_is_still_a_norm():
    params = parameters()
    given = {p: np.full(p.shape, 1e30, np.float32) for p in params.values()}
    size = sum(p.data.size for p in params.values())
    assert SGD(0.0).step(params, given, clip_norm=1.0) == pytest.approx(1e30 * np.sqrt(size), rel=1e-6)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_gradient_is_named_and_nothing_changes(make, bad):
    params, optimizer = parameters(), make()
    optimizer.step(params, gradients(params, 0))
    before, state = values(params), optimizer.state()
    given = gradients(params, 1)
    given[params["conv.bias"]][1] = bad
    with pytest.raises(FloatingPointError, match=r"gradient of 'conv\.bias' holds NaN or infinity"):
        optimizer.step(params, given)
    assert_same(values(params), before)
    assert_same(optimizer.state(), state)


def test_a_learning_rate_given_to_a_step_goes_first():
    first, second = parameters(), parameters()
    SGD(0.5).step(first, gradients(first, 0), 0.125)
    SGD(0.125).step(second, gradients(second, 0))
    assert_same(values(first), values(second))


def test_read_only_weights_are_copied_not_refused():
    params = parameters()
    kept = params["dense.weight"].data
    kept.flags.writeable = False
    before = kept.copy()
    SGD(0.1).step(params, gradients(params, 0))
    np.testing.assert_array_equal(kept, before)
    assert not np.array_equal(params["dense.weight"].data, before)


def state_of(**changes):
    params, optimizer = parameters(), SGD(0.1, momentum=0.9)
    optimizer.step(params, gradients(params, 0))
    state = optimizer.state()
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    return state


@pytest.mark.parametrize(
    ("make", "state", "message"),
    [
        (MAKERS["momentum"], state_of(steps=None), "SGD: state has no count 'steps'"),
        (
            MAKERS["momentum"],
            state_of(momentum__scale=np.zeros(3)),
            r"'momentum.scale' has shape \(3,\), the parameter \(\)",
        ),
        (MAKERS["momentum"], state_of(momentum__other=np.zeros(3)), "there is no parameter 'other'"),
        (MAKERS["adam"], state_of(), "Adam: state has 'momentum.* keeps first, second for each"),
        (MAKERS["plain"], state_of(), "SGD: state has 'momentum.*keeps no array"),
        (MAKERS["adam"], {"steps": np.array(1), "first.scale": np.array(1.0)}, "state lacks 'second.scale'"),
    ],
)
def test_a_state_of_another_optimizer_or_model_is_refused_whole(make, state, message):
    params, optimizer = parameters(), make()
    optimizer.step(params, gradients(params, 0))
    before = optimizer.state()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state(state, params)
    assert_same(optimizer.state(), before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-0.1), "SGD: learning_rate=-0.1 is not a finite number ≥ 0"),
        (lambda: SGD(float("nan")), "learning_rate=nan"),
        (lambda: SGD(momentum=1), "momentum=1 is not a number below 1 ≥ 0"),
        (lambda: SGD(nesterov=True), "nesterov=True needs momentum above 0"),
        (lambda: Adam(betas=(0.9, 1.0)), r"Adam: betas\[1\]=1.0 is not a number below 1"),
        (lambda: Adam(eps=0), "Adam: eps=0 would divide by 0"),
        (lambda: AdamW(weight_decay=-1), "AdamW: weight_decay=-1"),
        (lambda: SGD().step(parameters()), "no parameter has a gradient; run backward"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_gradient_of_the_wrong_shape_is_refused_not_spread():
    params = parameters()
    given = gradients(params, 0)
    given[params["dense.weight"]] = np.ones(4, np.float32)
    with pytest.raises(
        ValueError, match=r"gradient of 'dense.weight' has shape \(4,\), the parameter \(5, 4\)"
    ):
        SGD(0.1).step(params, given)


def test_another_model_needs_a_reset():
    optimizer, params = SGD(0.1, momentum=0.9), parameters()
    optimizer.step(params, gradients(params, 0))
    other = parameters()
    other["conv.bias"].shape, other["conv.bias"].data = (4,), np.zeros(4, np.float32)
    with pytest.raises(
        ValueError, match=r"state for 'conv.bias' has shape \(3,\), the parameter \(4,\); call reset"
    ):
        optimizer.step(other, gradients(other, 0))
    optimizer.reset()
    optimizer.step(other, gradients(other, 0))
