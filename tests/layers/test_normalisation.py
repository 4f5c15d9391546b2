"""Batch norm's running statistics, and what it can't normalise."""

import numpy as np
import pytest

import deepconv.layers as dl


@pytest.fixture
def x():
    return np.random.default_rng(6).normal(3, 2, size=(4, 3, 2, 5))


def test_training_normalises_by_the_batch(x):
    layer = dl.BatchNorm(3).initialize((3, 2, 5), dtype=np.float64)
    y, _ = layer.apply(x)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-4)


def test_running_statistics_move_by_momentum_and_unbiased_variance(x):
    layer = dl.BatchNorm(3, momentum=0.3).initialize((3, 2, 5), dtype=np.float64)
    layer.forward(x)
    np.testing.assert_allclose(layer.running_mean.value, 0.3 * x.mean((0, 2, 3)))
    np.testing.assert_allclose(layer.running_var.value, 0.7 + 0.3 * x.var((0, 2, 3), ddof=1))
    mean = layer.running_mean.value.copy()
    layer.forward(x)
    np.testing.assert_allclose(layer.running_mean.value, 0.7 * mean + 0.3 * x.mean((0, 2, 3)))


def test_inference_uses_the_running_ones(x):
    layer = dl.BatchNorm(3).initialize((3, 2, 5), dtype=np.float64)
    layer.forward(x)
    mean, var = (b.value.reshape(1, 3, 1, 1) for b in (layer.running_mean, layer.running_var))
    np.testing.assert_allclose(layer(x), (x - mean) / np.sqrt(var + 1e-5))
    np.testing.assert_allclose(layer(x[:1]), layer(x)[:1])


def test_buffers_keep_their_dtype(x):
    layer = dl.BatchNorm(3).initialize((3, 2, 5))
    layer.forward(x)
    assert {b.data.dtype for b in layer.buffers().values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("shape", [(1, 3), (0, 3, 4), (1, 3, 1, 1)])
def test_too_few_values_to_tell_a_variance(shape):
    layer = dl.BatchNorm(3).initialize((3,))
    with pytest.raises(ValueError, match=r"BatchNorm: x has \d values per channel .*training needs two"):
        layer.apply(np.zeros(shape))
    assert layer(np.zeros(shape)).shape == shape


def test_channels_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"features=3; x looks channels-last, so use np.moveaxis\(x, -1, 1\)"
    ):
        dl.BatchNorm(3)(np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="without channels"):
        dl.BatchNorm()(np.zeros(4))
    with pytest.raises(ValueError, match="groups=4 does not divide channels=6"):
        dl.GroupNorm(4)(np.zeros((2, 6, 3)))
    with pytest.raises(ValueError, match="groups=4 does not divide channels=6"):
        dl.GroupNorm(4, 6)
    with pytest.raises(ValueError, match=r"LayerNorm: x has shape \(2, 4\) but shape=\(3,\)"):
        dl.LayerNorm(3)(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="has no axis"):
        dl.LayerNorm(())


def test_group_and_layer_norm_by_definition(x):
    def normal(a, axes):
        return (a - a.mean(axes, keepdims=True)) / np.sqrt(a.var(axes, keepdims=True) + 1e-5)

    np.testing.assert_allclose(dl.LayerNorm((2, 5))(x), normal(x, (2, 3)), rtol=1e-6)
    x = np.concatenate([x, x + 1], 1)
    expected = normal(x.reshape(4, 2, 3, 2, 5), (2, 3, 4)).reshape(x.shape)
    np.testing.assert_allclose(dl.GroupNorm(2)(x), expected, rtol=1e-6)
