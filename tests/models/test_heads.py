"""A new last layer on another network's weights."""

import numpy as np
import pytest

from deepconv.layers import Flatten, Linear, ReLU, Sequential
from deepconv.models import digits_network, with_new_head

BEFORE = ["cat", "dog", "cow"]


def network():
    layers = (Flatten(), Linear(12, 5), ReLU(), Linear(5, 3))
    return Sequential(*layers).initialize((3, 2, 2), seed=4)


def test_classes_that_both_know_keep_their_scores(rng):
    old = network()
    new = with_new_head(old, BEFORE, ["bee", "cow", "cat"], seed=1)
    x = rng.random((4, 3, 2, 2), np.float32)
    np.testing.assert_allclose(new(x)[:, 1:], old(x)[:, [2, 0]], rtol=1e-6)
    assert np.abs(new[-1].weight.value[0]).max() > 0
    assert new[-1].weight.value[0].tolist() not in old[-1].weight.value.tolist()


def test_equal_classes_are_the_same_network_and_nothing_is_shared(rng):
    old = network()
    before = old.state()
    new = with_new_head(old, BEFORE, BEFORE)
    x = rng.random((4, 3, 2, 2), np.float32)
    np.testing.assert_array_equal(new(x), old(x))
    for value in new.parameters().values():
        value.value[...] = 0
    for name, array in old.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_the_seed_draws_the_new_rows():
    rows = [
        with_new_head(network(), BEFORE, ["x"], seed=seed)[-1].weight.value.tolist() for seed in (1, 1, 2)
    ]
    assert rows[0] == rows[1] != rows[2]


def test_the_digits_network_can_be_started_from():
    old = digits_network().initialize((1, 8, 8))
    assert with_new_head(old, list("0123456789"), ["odd", "even"])[-1].out_features == 2


@pytest.mark.parametrize("model", [Flatten(), Sequential(), Sequential(Flatten(), ReLU()), Linear(3, 3)])
def test_a_network_without_a_last_linear_layer_is_refused(model):
    with pytest.raises(ValueError, match=r"with_new_head: model ends in .* start from a network"):
        with_new_head(model, BEFORE, ["a"])


def test_a_network_of_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"ends in Linear\(5, 3\)"):
        with_new_head(network(), ["cat", "dog"], ["a"])
