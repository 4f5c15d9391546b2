"""The networks for pictures: what they take and give, and which of them is chosen."""

import numpy as np
import pytest

from deepconv.layers import Linear
from deepconv.layers.summary import summarise
from deepconv.models import NETWORKS, choose_network, choose_size, picture_network
from deepconv.storage import load


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("channels", "classes", "size"), [(1, 3, 8), (3, 2, 33), (2, 5, 70)])
def test_each_gives_one_score_per_class_and_every_weight_learns(rng, name, channels, classes, size):
    model = picture_network(name, channels=channels, classes=classes, size=size)
    model.initialize((channels, size, size), seed=3)
    x = rng.standard_normal((3, channels, size, size)).astype(np.float32)
    y, pullback = model.apply(x, rng=rng)
    assert y.shape == model(x).shape == (3, classes)
    assert model(x[:0]).shape == (0, classes)
    _, gradients = pullback(rng.standard_normal(y.shape).astype(np.float32))
    learning = [np.abs(gradients[value]).max() > 0 for value in model.parameters().values()]
    assert all(learning), [n for n, moves in zip(model.parameters(), learning, strict=True) if not moves]
    assert isinstance(model[-1], Linear)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_survives_a_file(tmp_path, rng, name):
    model = picture_network(name, channels=3, classes=4, size=24).initialize((3, 24, 24), seed=1)
    model.save(tmp_path / "m.safetensors")
    x = rng.random((2, 3, 24, 24), np.float32)
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors")(x), model(x))


def parameters(name, channels, classes, size):
    model = picture_network(name, channels=channels, classes=classes, size=size)
    return summarise(model, [(channels, size, size)]).parameters


def test_parameters_counted_by_hand():
    norms = 2 * (16 + 32 + 64 + 128)
    assert parameters("small", 3, 2, 64) == 9 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128) + norms + 129 * 2
    basic = [2 * (9 * n * n + 2 * n) for n in (16, 32, 64)]
    halving = [9 * n * 2 * n + 9 * 4 * n * n + 2 * n * n + 3 * 2 * 2 * n for n in (16, 32)]
    resnet = (9 * 3 * 16 + 32) + 3 * basic[0] + 2 * basic[1] + 2 * basic[2] + sum(halving) + 65 * 10
    assert parameters("resnet", 3, 10, 32) == resnet
    assert (
        parameters("lenet", 1, 10, 28) == 25 * 20 + 40 + 25 * 20 * 50 + 100 + (50 * 49 + 1) * 128 + 129 * 10
    )


@pytest.mark.parametrize("name", ["small", "resnet", "mobile"])
def test_a_mean_over_the_picture_needs_no_more_weights_for_larger_ones(name):
    assert parameters(name, 3, 2, 128) < 1.2 * parameters(name, 3, 2, 96)


def test_mobile_multiplies_least():
    costs = {
        name: summarise(picture_network(name, channels=3, classes=2, size=64), [(3, 64, 64)]).multiply_adds
        for name in NETWORKS
    }
    assert min(costs, key=costs.get) == "mobile"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"name": "vgg"}, "name='vgg' is not one of lenet, small, resnet, mobile"),
        ({"size": 7}, "small: size=7 is not a whole number from 8 to 4096"),
        ({"size": 64.0}, "small: size=64.0 is not a whole number"),
        ({"channels": 0}, "small: channels=0 is not a whole number from 1"),
        ({"classes": True}, "small: classes=True is not a whole number"),
    ],
)
def test_what_cannot_be_built_is_refused(words, message):
    arguments = {"name": "small", "channels": 3, "classes": 2, "size": 32, **words}
    with pytest.raises(ValueError, match=message):
        picture_network(**arguments)


@pytest.mark.parametrize(
    ("pictures", "classes", "channels", "size", "name"),
    [
        (60_000, 10, 1, 28, "lenet"),
        (60_000, 10, 3, 28, "resnet"),
        (60_000, 10, 1, 32, "resnet"),
        (1_999, 2, 3, 64, "small"),
        (2_000, 2, 3, 64, "resnet"),
        (29_999, 100, 3, 64, "small"),
        (30_000, 100, 3, 64, "resnet"),
    ],
)
def test_the_rule_for_the_network(pictures, classes, channels, size, name):
    assert choose_network(pictures=pictures, classes=classes, channels=channels, size=size) == name


@pytest.mark.parametrize(("side", "size"), [(1, 16), (19.5, 16), (20, 20), (63, 60), (64, 64), (3000, 64)])
def test_the_rule_for_the_size(side, size):
    assert choose_size(side) == size
