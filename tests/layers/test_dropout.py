"""Dropout drops the share it says, and on average changes nothing."""

import numpy as np
import pytest

import deepconv.layers as dl


def test_a_share_is_dropped_and_the_rest_scaled():
    x = np.random.default_rng(0).normal(size=(300, 301))
    y, pullback = dl.Dropout(0.3).apply(x, rng=np.random.default_rng(1))
    dropped = y == 0
    assert abs(dropped.mean() - 0.3) < 0.01
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.7)
    dx, _ = pullback(x)
    assert np.array_equal(dx, y)


@pytest.mark.parametrize("p", [0, 0.5, 1])
def test_the_ends_of_the_range(p):
    x = np.array([1.0, np.inf, -3.0, 2.0] * 50)
    y, pullback = dl.Dropout(p).apply(x, rng=np.random.default_rng(2))
    assert not np.isnan(y).any()
    assert (p != 1) or not y.any()
    assert (p != 0) or np.array_equal(y, x)
    assert np.array_equal(dl.Dropout(p)(x), x)
    assert pullback(np.ones_like(x))[0].shape == x.shape


def test_without_a_generator_each_draw_is_fresh():
    x = np.random.default_rng(0).normal(size=(20, 21))
    layer = dl.Dropout(0.5)
    assert not np.array_equal(layer.apply(x)[0], layer.apply(x)[0])
    assert not np.array_equal(layer.forward(x), layer.forward(x))
    same = [layer.forward(x, rng=np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(*same)


@pytest.mark.parametrize(
    ("p", "kind"), [(-0.1, ValueError), (1.1, ValueError), ("x", TypeError), (True, TypeError)]
)
def test_what_is_no_probability(p, kind):
    with pytest.raises(kind, match="Dropout: p="):
        dl.Dropout(p)
