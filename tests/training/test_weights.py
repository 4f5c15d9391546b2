"""Sample weights: a weight counts a sample that many times, in training and in evaluation."""

import numpy as np
import pytest

from deepconv.data import Batches
from deepconv.layers.dense import Linear
from deepconv.training import SGD, CrossEntropy, MeanSquared, Trainer, evaluate
from deepconv.training.checkpoints import describe_data
from deepconv.training.evaluation import apply_weighted


def data(samples=24, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 5))
    return x, x @ rng.standard_normal((5, 2)) + rng.standard_normal((samples, 2))


def fitted(train, epochs=4, **settings):
    model = Linear(5, 2).initialize((5,), seed=1, dtype=np.float64)
    Trainer(model, MeanSquared(), SGD(0.1)).fit(train, epochs=epochs, **settings)
    return np.concatenate([value.ravel() for value in model.state().values()])


def test_a_weight_is_a_number_of_repetitions(rng):
    x, y = data()
    weight = rng.integers(0, 4, len(x))
    repeated = np.repeat(x, weight, axis=0), np.repeat(y, weight, axis=0)
    assert np.allclose(fitted((x, y, weight), batch_size=200), fitted(repeated, batch_size=200), rtol=1e-12)
    assert not np.allclose(fitted((x, y, weight), batch_size=200), fitted((x, y), batch_size=200))


def test_the_scale_of_weights_has_no_say_and_zeros_are_left_out(rng):
    x, y = data()
    weight = rng.random(len(x))
    assert np.allclose(fitted((x, y, weight)), fitted((x, y, 1000 * weight)), rtol=1e-12)
    weight[:12] = 0  # whole batches of zeros, with batches of four
    spoilt = y.copy()
    spoilt[:12] += 1e6
    source, other = (
        Batches(x, t, weight=weight, batch_size=4, shuffle=False, dtype="f8") for t in (y, spoilt)
    )
    assert np.array_equal(fitted(source), fitted(other))


def test_batches_add_up_to_the_whole(rng):
    x, y = data()
    weight = rng.random(len(x)) * (rng.random(len(x)) > 0.4)
    model, loss = Linear(5, 2).initialize((5,), seed=1, dtype=np.float64), MeanSquared()
    parts = Batches(x, y, weight=weight, batch_size=5, dtype="f8").epoch(0, 1)
    average = sum(apply_weighted(loss, model(a), b, w)[0] * len(a) for a, b, w in parts) / len(x)
    assert average == pytest.approx(loss(model(x), y, weight=weight), rel=1e-12)
    assert evaluate(model, loss, (x, y, weight), batch_size=7)[0] == pytest.approx(average, rel=1e-12)


def test_the_gradient_is_that_of_the_value(rng):
    scores, labels, weight = rng.standard_normal((7, 3)), rng.integers(0, 3, 7), rng.random(7) * 3
    step = rng.standard_normal(scores.shape) * 1e-6
    up, down = (apply_weighted(CrossEntropy(), scores + s * step, labels, weight)[0] for s in (1, -1))
    slope = apply_weighted(CrossEntropy(), scores, labels, weight)[1]
    assert (slope * step).sum() * 2 == pytest.approx(up - down, rel=1e-6)


def test_accuracy_counts_each_sample_once():
    scores = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels, weight = np.array([0, 0, 1, 0]), np.array([0.0, 1.0, 5.0, 0.0])
    model = Linear(2, 2).initialize((2,), dtype=np.float64)
    state = model.state()
    state["weight"], state["bias"] = np.eye(2), np.zeros(2)
    model.load_state(state)
    assert evaluate(model, CrossEntropy(), (scores, labels, weight))[1] == 0.5


def test_a_checkpoint_notices_other_weights(rng):
    x, y = data()
    weight = rng.random(len(x))
    one, two = (describe_data(Batches(x, y, weight=w)) for w in (weight, weight[::-1]))
    assert one != two
    assert one != describe_data(Batches(x, y))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.ones(23), r"train: Batches: weight has shape \(23,\); give one per sample, \(24,\)"),
        (-np.ones(24), "weight adds up to -24; give finite weights ≥ 0, one above 0"),
        (np.zeros(24), "weight adds up to 0; give finite"),
        (np.full(24, np.nan), "weight adds up to nan; give finite"),
        (np.r_[np.full(23, 2.0), -1], "weight adds up to 45; give finite weights ≥ 0"),
    ],
)
def test_weights_that_cannot_be(weight, words):
    with pytest.raises(ValueError, match=words):
        fitted((*data(), weight))


def test_a_source_of_ones_own_may_give_wrong_weights():
    with pytest.raises(ValueError, match="give finite weights ≥ 0"):
        apply_weighted(MeanSquared(), np.ones((2, 1)), np.zeros((2, 1)), [3.0, -1.0])
