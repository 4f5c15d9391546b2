"""The recipe for the digits: which part goes where, without a run of training."""

import numpy as np
import pytest

from deepconv.data.augment import Affine
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
        np.testing.assert_array_equal(got[0] * 16, expected[0])
        np.testing.assert_array_equal(got[1], expected[1])
    assert (words["epochs"], words["batch_size"]) == (7, 40)
    assert isinstance(words["augment"], Affine)
    assert min(words["augment"].degrees, words["augment"].scale, words["augment"].shift) > 0
