"""The compiled cross-entropy against its NumPy form, which other tests hold against differences and PyTorch."""

import numpy as np
import pytest

from deepconv.engine import losses as engine
from deepconv.engine.kernels import threads
from deepconv.engine.machine import why_not_compiled
from deepconv.training.losses import CrossEntropy

pytestmark = pytest.mark.skipif(why_not_compiled() is not None, reason="Numba is not installed")

SHAPES = [*((5, k) for k in range(1, 36)), (3, 1000), (2, 3, 16), (3, 4, 17), (1, 2, 5, 31), (2, 300, 40)]


def in_numpy(monkeypatch, function, *args, **words):
    with monkeypatch.context() as patched:
        patched.setattr(engine, "compiles", lambda scores: False)
        return function(*args, **words)


def operands(rng, shape, dtype):
    scores = (5 * rng.standard_normal(shape)).astype(dtype)
    return scores, rng.integers(0, shape[1], (shape[0], *shape[2:]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_every_number_of_classes_as_in_numpy(rng, monkeypatch, dtype, smoothing):
    loss, tolerance = CrossEntropy(smoothing), 1e-6 if dtype == np.float32 else 1e-14
    ran = []
    compute = engine.cross_entropy
    monkeypatch.setattr(
        engine, "cross_entropy", lambda *args, **words: (ran.append(1), compute(*args, **words))[1]
    )
    for shape in SHAPES:
        scores, labels = operands(rng, shape, dtype)
        for weight in (None, rng.random(shape[0])):
            value, slope = loss.apply(scores, labels, weight=weight)
            expected, other = in_numpy(monkeypatch, loss.apply, scores, labels, weight=weight)
            np.testing.assert_allclose(value, expected, rtol=10 * tolerance, atol=tolerance)
            np.testing.assert_allclose(slope, other, rtol=10 * tolerance, atol=tolerance)
            assert slope.dtype == dtype
            assert loss(scores, labels, weight=weight) == value
    assert len(ran) == 4 * len(SHAPES)


def test_scores_that_lie_otherwise_and_labels_of_other_types(rng):
    scores, labels = operands(rng, (4, 6, 20), np.float32)
    value, slope = CrossEntropy().apply(scores, labels)
    other = np.ascontiguousarray(scores.transpose(2, 0, 1)).transpose(1, 2, 0)
    again, turned = CrossEntropy().apply(other[..., ::-1][..., ::-1], labels.astype(np.uint8))
    assert again == value
    np.testing.assert_array_equal(turned, slope)


def test_one_image_is_one_task(rng, monkeypatch):
    scores, labels = operands(rng, (5, 7, 130), np.float32)
    results = []
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "worth", lambda threads, work, count=count: count)
        value, slope = CrossEntropy(0.1).apply(scores, labels)
        results.append((value, slope.tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("shape", [(3, 10), (3, 4, 20)])
def test_what_is_not_finite_is_as_in_numpy(rng, monkeypatch, shape):
    for wrong in (np.nan, np.inf, -np.inf):
        scores, labels = operands(rng, shape, np.float32)
        scores[1, 2] = wrong
        labels[...] = 2 if wrong == -np.inf else 1
        with np.errstate(invalid="ignore"):
            value, slope = CrossEntropy().apply(scores, labels)
            expected, other = in_numpy(monkeypatch, CrossEntropy().apply, scores, labels)
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_allclose(slope, other, rtol=1e-5, atol=1e-7)
    huge = np.float32(3e38) * np.array([[1, -1, 0.5]], np.float32)
    value, slope = CrossEntropy().apply(huge, [0])
    assert value == 0
    np.testing.assert_array_equal(slope, [[0, 0, 0]])
