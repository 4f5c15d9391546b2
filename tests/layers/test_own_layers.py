"""Layers that a reader writes: what they may hold, and how a slip in them is told."""

import numpy as np
import pytest

import deepconv.layers as dl


@pytest.fixture
def rng():
    return np.random.default_rng(11)


class Chain(dl.Layer):
    """Layers kept in a list, and a parameter in a dict."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.scales = {"last": dl.Parameter((3,), lambda generator, shape: generator.normal(size=shape))}

    def apply(self, x, *, training=True, rng=None):
        (x,) = self.prepare(x)
        pullbacks, scale = [], self.scales["last"]
        for step in self.steps:
            x, pullback = step.apply(x, training=training, rng=rng)
            pullbacks.append(pullback)

        def pull(dy):
            gradients = {scale: (dy * x).sum(0)}
            dy = dy * scale.value
            for pullback in reversed(pullbacks):
                dy, own = pullback(dy)
                gradients.update(own)
            return dy, gradients

        return x * scale.value, dl.Pullback("Chain", x, pull)


def test_layers_and_parameters_in_a_list_or_a_dict_are_found(rng):
    chain = Chain(dl.Linear(4, 5), dl.ReLU(), dl.Linear(None, 3)).initialize((4,))
    names = ["scales.last", "steps.0.weight", "steps.0.bias", "steps.2.weight", "steps.2.bias"]
    assert list(chain.parameters()) == names
    report = dl.check_gradients(chain, rng.standard_normal((6, 4)))
    assert sorted(report.errors) == sorted(["dx", *names])


def broken(returned):
    class Broken(dl.Layer):
        def apply(self, x, *, training=True, rng=None):
            (x,) = self.prepare(x)
            return returned(x)

    return Broken()


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        (lambda x: 2 * x, "ndarray"),  # two rows would be taken for an output and a pullback
        (lambda x: (2 * x, lambda dy: (2 * dy, {})), r"\(ndarray, function\)"),
        (lambda x: (2 * x,), r"\(ndarray\)"),
    ],
)
def test_an_apply_that_does_not_return_an_output_and_a_pullback(returned, got, rng):
    x, layer = rng.standard_normal((2, 3)), broken(returned)
    network = dl.Sequential(layer)
    for use in (layer, layer.forward, network, network.forward):
        with pytest.raises(
            TypeError, match=f"Broken.apply: it returned {got}, not the output and a Pullback"
        ):
            use(x)


def test_a_pull_that_returns_dx_alone(rng):
    layer = broken(lambda x: (2 * x, dl.Pullback("Broken", x, lambda dy: 2 * dy)))
    x = rng.standard_normal((2, 3))  # two rows: not the input's gradient and the parameters'
    with pytest.raises(
        TypeError, match=r"Broken.backward: pull\(dy\) returned ndarray, not the input's gradient"
    ):
        layer.apply(x)[1](x)


def test_an_argument_that_is_not_kept():
    class Forgetful(dl.Layer):
        def __init__(self, power):
            self.exponent = power

    with pytest.raises(
        AttributeError, match="Forgetful: the argument 'power' is not kept under its name; write"
    ):
        repr(Forgetful(2))


def test_an_initialiser_of_the_wrong_shape():
    parameter = dl.Parameter((4, 2), lambda generator, shape: np.ones(shape[1:]))
    with pytest.raises(ValueError, match=r"initialiser gives shape \(2,\) where shape=\(4, 2\)"):
        parameter.initialise(np.random.default_rng(0), np.float32)
