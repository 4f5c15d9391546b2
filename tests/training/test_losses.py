"""Losses: the formulas by hand, their gradients by differences, the ends of the range, the refusals."""

import numpy as np
import pytest

from deepconv.training.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanSquared

rng = np.random.default_rng(3)
N, K = 5, 7


def probabilities(*shape):
    values = rng.random(shape)
    return values / values.sum(axis=1, keepdims=True)


CASES = [
    pytest.param(CrossEntropy(), rng.normal(size=(N, K)), rng.integers(0, K, N), id="classes"),
    pytest.param(CrossEntropy(0.1), rng.normal(size=(N, K)), rng.integers(0, K, N), id="smoothed"),
    pytest.param(CrossEntropy(), rng.normal(size=(N, K)), probabilities(N, K), id="probabilities"),
    pytest.param(
        CrossEntropy(0.2), rng.normal(size=(N, K)), probabilities(N, K), id="smoothed-probabilities"
    ),
    pytest.param(
        CrossEntropy(0.1), rng.normal(size=(N, K, 3, 2)), rng.integers(0, K, (N, 3, 2)), id="pixels"
    ),
    pytest.param(
        CrossEntropy(), rng.normal(size=(N, K, 4)), probabilities(N, K, 4), id="pixel-probabilities"
    ),
    pytest.param(BinaryCrossEntropy(), rng.normal(size=(N, 3)), rng.integers(0, 2, (N, 3)), id="binary"),
    pytest.param(BinaryCrossEntropy(), rng.normal(size=N), rng.random(N), id="binary-probabilities"),
    pytest.param(MeanSquared(), rng.normal(size=(N, 2, 3)), rng.normal(size=(N, 2, 3)), id="squared"),
    pytest.param(Huber(0.7), rng.normal(size=(N, 4)), rng.normal(size=(N, 4)), id="huber"),
]
WEIGHT = np.array([0.5, 0.0, 2.0, 1.0, 3.25])


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
@pytest.mark.parametrize(("loss", "prediction", "target"), CASES)
def test_the_gradient_is_the_slope_of_the_loss(loss, prediction, target, weight):
    value, gradient = loss.apply(prediction, target, weight=weight)
    assert value == loss(prediction, target, weight=weight)
    assert gradient.shape == prediction.shape
    step = 1e-6
    for index in np.ndindex(*prediction.shape):
        nudge = np.zeros_like(prediction)
        nudge[index] = step
        up = loss(prediction + nudge, target, weight=weight)
        down = loss(prediction - nudge, target, weight=weight)
        assert gradient[index] == pytest.approx((up - down) / (2 * step), abs=1e-8)


@pytest.mark.parametrize(("loss", "prediction", "target"), CASES)
def test_a_weight_counts_a_sample_as_often(loss, prediction, target):
    times = np.array([2, 0, 1, 3, 1])
    often = loss(np.repeat(prediction, times, axis=0), np.repeat(target, times, axis=0))
    assert loss(prediction, target, weight=times) == pytest.approx(often, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("loss", "prediction", "target"), CASES)
def test_the_gradient_has_the_predictions_dtype(loss, prediction, target, dtype):
    value, gradient = loss.apply(prediction.astype(dtype), target)
    exact = loss.apply(prediction, target)
    assert isinstance(value, float)
    assert gradient.dtype == dtype
    assert value == pytest.approx(exact[0], rel=5e-3)
    np.testing.assert_allclose(gradient, exact[1], atol=2e-3)


@pytest.mark.parametrize(("loss", "prediction", "target"), CASES)
def test_nothing_given_is_changed_and_memory_order_does_not_matter(loss, prediction, target):
    before = prediction.copy(), target.copy()
    value, gradient = loss.apply(prediction, target)
    turned = loss.apply(np.asfortranarray(prediction), np.asfortranarray(target))
    np.testing.assert_array_equal(before[0], prediction)
    np.testing.assert_array_equal(before[1], target)
    assert turned[0] == pytest.approx(value)
    np.testing.assert_allclose(turned[1], gradient)


@pytest.mark.parametrize(("loss", "prediction", "target"), CASES)
def test_an_empty_batch_costs_nothing(loss, prediction, target):
    value, gradient = loss.apply(prediction[:0], target[:0])
    assert value == 0
    assert gradient.shape == prediction[:0].shape
    assert loss.accuracy(prediction[:0], target[:0]) in (0, None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_scores_neither_overflow_nor_warn(dtype):
    z = np.array([[1e4, -1e4, 0]], dtype)
    value, gradient = CrossEntropy().apply(z, [1])
    assert value == 2e4
    np.testing.assert_array_equal(gradient, [[1, -1, 0]])
    value, gradient = BinaryCrossEntropy().apply(z, [[0, 1, 1]])
    assert value == pytest.approx((2e4 + np.log(2)) / 3, rel=1e-6)
    np.testing.assert_allclose(gradient, [[1 / 3, -1 / 3, -1 / 6]], rtol=1e-6)


def test_a_sure_answer_that_is_right_still_costs_its_little():
    np.testing.assert_allclose(BinaryCrossEntropy()([[40.0]], [[1]]), np.exp(-40.0), rtol=1e-12)


def test_an_impossible_class_of_no_probability_costs_nothing():
    value, gradient = CrossEntropy().apply([[0.0, -np.inf, 0.0]], [[0.5, 0.0, 0.5]])
    assert value == pytest.approx(np.log(2))
    np.testing.assert_allclose(gradient, [[0, 0, 0]], atol=1e-15)


def test_accuracy():
    scores = np.array([[0.1, 0.5, 0.2], [2, 1, 0], [0, 0, 3.0]])
    assert CrossEntropy().accuracy(scores, np.array([1, 0, 0])) == pytest.approx(2 / 3)
    assert CrossEntropy().accuracy(scores, np.eye(3)[[1, 0, 0]]) == pytest.approx(2 / 3)
    assert BinaryCrossEntropy().accuracy(np.array([1.0, -1, 2, -3]), np.array([1, 1, 0.9, 0])) == 0.75
    assert BinaryCrossEntropy().accuracy(np.array([0.2, -0.2]), np.array([1, 0])) == 1
    pixels = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    labels = pixels.argmax(1)
    labels[0, 0, :] += 1  # 5 of 40 pixels
    assert CrossEntropy().accuracy(pixels, labels % 3) == 0.875
    assert MeanSquared().accuracy(scores, scores) is None
    assert Huber().accuracy(scores, scores) is None


LOGITS = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: CrossEntropy()(LOGITS, [0, 1, 2, 3]),
            ValueError,
            "label 3 is not one of the prediction's 3 classes",
        ),
        (lambda: CrossEntropy()(LOGITS, [0, -1, 2, 1]), ValueError, r"label -1 is not one .* 0 … 2"),
        (
            lambda: CrossEntropy()(LOGITS, [0, 1, 2]),
            ValueError,
            r"target has shape \(3,\), prediction \(4, 3\); give",
        ),
        (lambda: CrossEntropy()(LOGITS, [0.0, 1, 2, 0]), TypeError, r"dtype float64; use astype\(int\)"),
        (lambda: CrossEntropy()(LOGITS, LOGITS), ValueError, "a sum of 0; give values ≥ 0 that add up to 1"),
        (lambda: CrossEntropy()(LOGITS, [[1.5, -0.5, 0]] * 4), ValueError, "minimum -0.5"),
        (lambda: CrossEntropy()(LOGITS[0], 1), ValueError, r"prediction has shape \(3,\); give scores"),
        (
            lambda: CrossEntropy()(np.zeros((4, 3), int), [0] * 4),
            TypeError,
            "prediction has dtype int64; give floats",
        ),
        (lambda: CrossEntropy(1.5), ValueError, "label_smoothing=1.5 is not from 0 to 1"),
        (
            lambda: BinaryCrossEntropy()(LOGITS, LOGITS[:, 0]),
            ValueError,
            r"target has shape \(4,\), prediction \(4, 3\)",
        ),
        (
            lambda: BinaryCrossEntropy()(LOGITS, LOGITS + 2),
            ValueError,
            "target goes from 2 to 2; give values from 0 to 1",
        ),
        (lambda: BinaryCrossEntropy()(LOGITS, LOGITS + np.nan), ValueError, "target goes from nan"),
        (lambda: MeanSquared()(np.zeros((4, 1)), np.zeros(4)), ValueError, r"reshape one of them"),
        (lambda: Huber()(np.float64(1), np.float64(1)), ValueError, r"prediction has shape \(\)"),
        (lambda: Huber(0), ValueError, "delta=0 is not a finite number above 0"),
        (
            lambda: MeanSquared()(LOGITS, LOGITS, weight=[1, 2]),
            ValueError,
            r"weight has shape \(2,\); give one per",
        ),
        (lambda: MeanSquared()(LOGITS, LOGITS, weight=[0] * 4), ValueError, "weight adds up to 0"),
        (lambda: MeanSquared()(LOGITS, LOGITS, weight=[-1, 2, 3, 4]), ValueError, "give finite weights ≥ 0"),
        (lambda: MeanSquared()(LOGITS, ["a"]), TypeError, "MeanSquared: target has dtype"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_loss_shows_its_settings():
    assert repr(CrossEntropy(0.1)) == "CrossEntropy(label_smoothing=0.1)"
    assert repr(MeanSquared()) == "MeanSquared()"
