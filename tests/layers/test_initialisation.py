"""Activations keep their scale through ten layers; with the post's deviation they don't."""

import numpy as np

import deepconv.layers as dl
from deepconv.layers.initialisation import he_normal


def deviations(initialiser, depth, channels=32):
    """The deviation of the activations after each of `depth` convolutions with ReLU, from unit noise."""
    convolutions = [
        dl.Conv2d(channels, channels, 3, padding="same", padding_mode="circular") for _ in range(depth)
    ]
    for layer in convolutions:
        layer.weight.initialiser = initialiser
    x, found = np.random.default_rng(8).normal(size=(2, channels, 16, 15)).astype(np.float32), []
    for index, layer in enumerate(convolutions):
        layer.initialize((channels, 16, 15), seed=index)
        x = np.maximum(layer(x), 0)
        found.append(float(x.std()))
    return found


def test_ours_keeps_the_scale_through_ten_layers():
    assert all(0.5 < deviation < 2 for deviation in deviations(he_normal, 10))


def test_the_posts_grows_threefold_a_layer_ninefold_in_variance():
    def post(generator, shape):
        return generator.standard_normal(shape) * np.sqrt(2 / shape[1])  # forgets the kernel's nine cells

    found = deviations(post, 10)
    ours = deviations(he_normal, 10)
    growth = [a / b for a, b in zip(found, ours, strict=True)]
    np.testing.assert_allclose(growth, [3.0**n for n in range(1, 11)], rtol=1e-3)
    assert found[-1] > 10_000


def test_the_fan_in_of_each_kind():
    for layer, shape, fan_in in (
        (dl.Conv2d(8, 64, (5, 3), groups=2), (8, 9, 9), 4 * 5 * 3),
        (dl.Linear(300, 200), (300,), 300),
        (dl.Conv1d(16, 64, 7), (16, 9), 16 * 7),
        (dl.ConvTranspose2d(64, 32, 4, stride=2), (64, 3, 3), 64 * 16 / 4),
        (dl.ConvTranspose2d(64, 32, 3, groups=2), (64, 3, 3), 32 * 9),
    ):
        layer.initialize(shape, seed=1)
        assert abs(layer.weight.value.std() / np.sqrt(2 / fan_in) - 1) < 0.05
        assert not layer.bias.value.any()


def test_a_transposed_convolution_keeps_the_scale_too():
    x = np.maximum(np.random.default_rng(0).normal(size=(2, 64, 12, 12)), 0) * np.sqrt(2)
    for stride in (1, 2):
        y = dl.ConvTranspose2d(64, 64, 4, stride=stride).initialize((64, 12, 12))(x)
        assert 1.2 < y[..., 6:-6, 6:-6].std() / np.sqrt((x**2).mean()) < 1.7


def test_weights_decay_and_biases_and_norms_do_not():
    model = dl.Sequential(dl.Conv2d(None, 4, 3), dl.BatchNorm(), dl.Flatten(), dl.Linear(None, 2))
    decaying = {name for name, parameter in model.parameters().items() if parameter.decay}
    assert decaying == {"0.weight", "3.weight"}
    others = [dl.ConvTranspose1d(2, 3, 3), dl.GroupNorm(2, 4), dl.LayerNorm(3)]
    assert [sum(p.decay for p in layer.parameters().values()) for layer in others] == [1, 0, 0]
