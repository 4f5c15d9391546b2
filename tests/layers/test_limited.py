"""Training computes a batch norm and the ReLU behind it at once: the same numbers, the same ways back."""

import numpy as np
import pytest

import deepconv as dc
from deepconv.layers import Graph, Sequential


def one_by_one(layers, x, dy):
    ways = []
    for layer in layers:
        x, pullback = layer.apply(x)
        ways.append(pullback)
    gradients = {}
    for pullback in reversed(ways):
        dy, own = pullback(dy)
        gradients |= own
    return x, dy, gradients, {buffer: value for way in ways for buffer, value in way.updates.items()}


@pytest.mark.parametrize("activation", [dc.ReLU, dc.ReLU6])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_same_numbers_as_one_after_the_other(rng, activation, dtype):
    model = Sequential(dc.BatchNorm(), activation(), dc.LeakyReLU()).initialize(
        (5, 9, 7), seed=1, dtype=dtype
    )
    model[0].weight.data[...] = rng.standard_normal(5) * 4
    model[0].bias.data[...] = rng.standard_normal(5) + 2
    assert model._limited == {"0": "1"}
    x = (rng.standard_normal((3, 5, 9, 7)) * 3 + 1).astype(dtype)
    dy = rng.standard_normal(x.shape).astype(dtype)
    expected, dx, gradients, updates = one_by_one(model, x, dy)
    y, pullback = model.apply(x)
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == dtype
    got, found = pullback(dy)
    tolerance = {np.float16: 4e-3, np.float32: 1e-5, np.float64: 1e-12}[dtype]
    np.testing.assert_allclose(got, dx, atol=tolerance)
    for parameter, gradient in gradients.items():
        np.testing.assert_allclose(found[parameter], gradient, rtol=tolerance, atol=10 * tolerance)
    assert pullback.updates.keys() == updates.keys()
    for buffer, value in updates.items():
        np.testing.assert_array_equal(pullback.updates[buffer], value)


def test_only_where_nobody_else_sees_the_norm(rng):
    norm, relu = dc.BatchNorm(), dc.ReLU()
    seen = Graph({"n": (norm, ["x"]), "r": (relu, ["n"]), "sum": (dc.Add(), ["n", "r"])})
    assert not seen._limited
    assert not Graph({"r": (relu, ["x"]), "n": (norm, ["r"])})._limited
    assert not Sequential(norm, dc.LeakyReLU())._limited
    assert not Sequential(dc.GroupNorm(1), relu)._limited
    model = Sequential(norm, relu).initialize((2, 3), dtype=np.float64)
    x = rng.standard_normal((4, 2, 3))
    np.testing.assert_array_equal(model(x), np.maximum(norm(x), 0))
    assert dc.check_gradients(model, x)


class Louder(dc.ReLU):
    """Not what its base is."""

    def __call__(self, x):
        return super().__call__(x) * 2

    def apply(self, x, *, training=True, rng=None):
        y, pullback = super().apply(x, training=training, rng=rng)
        return y * 2, dc.Pullback("Louder", y * 2, lambda dy: pullback(dy * 2))


def test_a_class_of_its_own_is_asked(rng):
    model = Sequential(dc.BatchNorm(3), Louder())
    assert not model._limited
    assert not Sequential(dc.Conv2d(3, 4, 3), Louder())._rectified
    x = rng.standard_normal((4, 3, 5))
    np.testing.assert_array_equal(model.apply(x)[0], one_by_one(model, x, np.zeros(x.shape))[0])


def test_beside_training_the_norm_keeps_what_it_has_learnt(rng):
    model = Sequential(dc.BatchNorm(3), dc.ReLU()).initialize((3, 5), dtype=np.float64)
    x = rng.standard_normal((4, 3, 5)) * 2 + 1
    y, pullback = model.apply(x, training=False)
    np.testing.assert_allclose(y, model(x), rtol=1e-12, atol=1e-12)
    assert not np.allclose(y, model.apply(x)[0])
    assert not pullback.updates


def test_messages_name_the_node(rng):
    model = Sequential(dc.BatchNorm(3), dc.ReLU()).initialize((3, 4))
    with pytest.raises(ValueError, match=r"node '0' with input \(1, 3, 1\): BatchNorm: x has 1 values"):
        model.apply(rng.standard_normal((1, 3, 1)))
    y, pullback = model.apply(rng.standard_normal((2, 3, 4)))
    with pytest.raises(ValueError, match="dy has shape"):
        pullback(y[0])
