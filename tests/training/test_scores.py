"""Scores: counted right whatever the batches, and of a large set only a few pictures are kept."""

import numpy as np
import pytest

from deepconv.data.batches import Batches
from deepconv.layers import Flatten, Linear
from deepconv.operators.activation import softmax
from deepconv.training.scores import TestScores, score

NAMES = ("ant", "bee", "cow", "dog")


def scored(probabilities, labels, names, batch_size=3, **words):
    x = np.log(np.asarray(probabilities, np.float64))
    source = Batches(x, np.array(labels), batch_size=batch_size, shuffle=False, dtype=np.float64)
    return score(Flatten().initialize(x.shape[1:], dtype=np.float64), source, names, **words)


def test_confusion_has_what_is_in_rows_and_what_it_was_taken_for_in_columns():
    labels, taken = [2, 2, 3, 0], [1, 2, 3, 2]
    scores = scored(np.eye(4)[taken] * 0.5 + 0.125, labels, NAMES)
    expected = np.zeros((4, 4), int)
    for row, column in zip(labels, taken, strict=True):
        expected[row, column] += 1
    np.testing.assert_array_equal(scores.confusion, expected)
    assert (scores.accuracy, scores.mistakes, scores.support) == (0.5, 2, [1, 0, 2, 1])
    assert scores.loss == pytest.approx(-(2 * np.log(0.625) + 2 * np.log(0.125)) / 4)
    assert scores.precision == [None, 0.0, 0.5, 1.0]
    assert scores.recall == [0.0, None, 0.5, 1.0]


def test_wrong_answers_come_first_and_the_surest_of_them_before():
    probabilities = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7]]
    labels = [0, 1, 0, 1, 1]  # right, wrong at 0.6, wrong at 0.8, right at 0.55, right at 0.7
    worst = scored(probabilities, labels, ("a", "b")).worst
    assert [sample.place for sample in worst] == [2, 1, 3, 4, 0]
    assert [sample.right for sample in worst] == [False, False, True, True, True]
    assert [sample.probability for sample in worst] == pytest.approx([0.8, 0.6, 0.55, 0.7, 0.9], rel=1e-6)
    assert [(sample.label, sample.prediction) for sample in worst[:2]] == [(0, 1), (1, 0)]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_any_batches_give_the_same_and_few_pictures_are_kept(rng, batch_size):
    chances = softmax(rng.normal(size=(60, 4)))
    labels = rng.integers(0, 4, 60)
    scores = scored(chances, labels, NAMES, batch_size, kept=5)
    whole = scored(chances, labels, NAMES, 60, kept=60)
    assert [sample.place for sample in scores.worst] == [sample.place for sample in whole.worst][:5]
    for sample in scores.worst:
        np.testing.assert_array_equal(sample.x, np.log(chances[sample.place]))
        assert sample.x.base is None  # a copy, which keeps no batch alive
    np.testing.assert_array_equal(scores.predictions, chances.argmax(axis=1))
    assert scores.loss == pytest.approx(whole.loss)


def test_a_model_that_gives_something_else_is_refused(rng):
    x = rng.random((4, 3)).astype(np.float32)
    model = Linear(3, 2).initialize((3,))
    with pytest.raises(ValueError, match=r"score: model gave scores of shape \(4, 2\) for 4 pictures of 3"):
        score(model, Batches(x, np.zeros(4, int)), ["a", "b", "c"])
    model.weight.value[:] = np.nan
    with pytest.raises(ValueError, match="with NaN or infinity"):
        score(model, Batches(x, np.zeros(4, int)), ["a", "b"])


def test_no_pictures_are_no_scores():
    empty = TestScores(NAMES, np.zeros(0, int), np.zeros(0, int), np.zeros(0), 0.0)
    assert (empty.accuracy, empty.mistakes, empty.support) == (0.0, 0, [0, 0, 0, 0])
    assert empty.recall == empty.precision == [None] * 4
