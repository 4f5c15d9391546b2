"""The recipe for the digits: which part goes where, without a run of training."""

import numpy as np
import pytest

from deepconv.data.augment import Affine
from deepconv.data.digits import CLASSES, split_digits
from deepconv.training.digits import DigitsSettings, TestScores, train_digits
from deepconv.training.trainer import Trainer


class Enough(Exception):
    pass


def test_it_trains_on_the_training_part_and_validates_on_the_validation_part(monkeypatch):
    """Neither is the part that the network is scored on, and only what is trained on is distorted."""
    given = []

    def fit(trainer, train, validation, **words):
        given.append((trainer.seed, train, validation, words))
        raise Enough

    monkeypatch.setattr(Trainer, "fit", fit)
    with pytest.raises(Enough):
        train_digits(DigitsSettings(epochs=7, batch_size=40, seed=3))
    ((seed, train, validation, words),) = given
    split = split_digits(3)
    assert seed == 3
    for got, expected in ((train, split.train), (validation, split.validation)):
        np.testing.assert_array_equal(got[0] * 16, expected[0])
        np.testing.assert_array_equal(got[1], expected[1])
    assert (words["epochs"], words["batch_size"]) == (7, 40)
    assert isinstance(words["augment"], Affine)
    assert min(words["augment"].degrees, words["augment"].scale, words["augment"].shift) > 0


def test_scores_count_what_is_in_rows_and_what_it_was_taken_for_in_columns():
    labels, taken = np.array([2, 2, 5, 0]), np.array([7, 2, 5, 2])
    scores = TestScores(np.zeros((4, 1, 8, 8)), labels, np.eye(10)[taken] * 0.5 + 0.05, CLASSES)
    expected = np.zeros((10, 10), int)
    for row, column in zip(labels, taken, strict=True):
        expected[row, column] += 1
    np.testing.assert_array_equal(scores.confusion, expected)
    assert scores.accuracy == 0.5
    assert scores.loss == pytest.approx(-(2 * np.log(0.55) + 2 * np.log(0.05)) / 4)
