"""The network for digits: what it takes, gives and costs."""

import numpy as np

from deepconv.models import digits_network


def test_it_gives_one_score_per_class(rng):
    model = digits_network().initialize((1, 8, 8), seed=1)
    x = rng.random((5, 1, 8, 8), np.float32)
    assert model(x).shape == (5, 10)
    assert model(x).dtype == np.float32
    assert digits_network(3).initialize((1, 8, 8))(x).shape == (5, 3)
    assert model(x[:0]).shape == (0, 10)


def test_its_parameters_are_counted_by_hand():
    model = digits_network().initialize((1, 8, 8))
    convolutions = 9 * (1 * 16 + 16 * 32 + 32 * 64)
    normalisations = 2 * (16 + 32 + 64)
    assert sum(p.data.size for p in model.parameters().values()) == convolutions + normalisations + 257 * 10


def test_every_weight_learns(rng):
    model = digits_network().initialize((1, 8, 8), seed=2)
    _, pullback = model.apply(rng.random((6, 1, 8, 8), np.float32), rng=rng)
    _, gradients = pullback(rng.standard_normal((6, 10)).astype(np.float32))
    assert set(gradients) == set(model.parameters().values())
    assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())
