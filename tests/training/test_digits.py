"""The recipe for the digits: which part goes where, without a run of training."""

import numpy as np
import pytest

from deepconv.data.digits import split_digits
from deepconv.training.digits import DigitsSettings, train_digits
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
        np.testing.assert_array_equal(got.x * 16, expected[0])
        np.testing.assert_array_equal(got.y, expected[1])
    assert (words["epochs"], train.batch_size) == (7, 40)
    assert min(train.distort.degrees, train.distort.scale, train.distort.shift) > 0
    (x, y), *_ = validation.epoch(seed=0, epoch=0)
    np.testing.assert_array_equal(x, validation.x)
    np.testing.assert_array_equal(y, validation.y)


def test_every_epoch_distorts_each_digit_anew_and_the_same_after_a_pause(monkeypatch):
    given = []

    def fit(trainer, train, validation, **words):
        given.append(train)
        raise Enough

    monkeypatch.setattr(Trainer, "fit", fit)
    with pytest.raises(Enough):
        train_digits(DigitsSettings(batch_size=40, seed=3))
    (train,) = given
    epochs = [[np.concatenate(parts) for parts in zip(*train.epoch(3, n), strict=True)] for n in (1, 2, 2)]
    assert [len(x) for x, _ in train.epoch(3, 1)] == [40] * 32 + [train.samples - 32 * 40]
    for x, y in epochs:
        assert np.array_equal(np.bincount(y), np.bincount(train.y))
        assert 0.8 < x.mean() / train.x.mean() < 1.1
    assert not np.array_equal(epochs[0][0], epochs[1][0])
    np.testing.assert_array_equal(epochs[1][0], epochs[2][0])
    np.testing.assert_array_equal(epochs[1][1], epochs[2][1])
