"""What the estimators say of layers, settings and data that can't work."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import deepconv as dc
from tests.estimators.bars import bars, fitted


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((32, "pol"), "layers has 'pol'; give numbers of filters"),
        ((8, -3), "layers has -3"),
        ((True,), "layers has True"),
        ("huge", "layers='huge' is not one of 'auto'"),
        (None, "layers=None is no name, tuple or layer"),
        ((), r"layers=\(\) is no name"),
        ((4, "pool", "pool", "pool", "pool"), "'pool' where the picture is a single pixel"),
        ((4, "flatten", "pool"), "'pool' where there is no picture"),
        ([dc.Flatten, dc.Linear], r"layers has the class Flatten; make a layer of it, Flatten\(\.\.\.\)"),
        (
            [dc.Flatten(), dc.Sequential(dc.Linear(None, 2), dc.Softmax(1))],
            "layers ends in Softmax, which is",
        ),
        ([dc.Flatten(), dc.Linear(None, 7)], r"gives 7 numbers for a sample, and y has 2; end it with"),
    ],
)
def test_layers_that_cannot_work(layers, message):
    x, y = bars()
    with pytest.raises((ValueError, TypeError), match=message):
        fitted(x, y, layers=layers)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "lbfgs"}, "solver='lbfgs' is not one of 'adam', 'sgd'"),
        ({"learning_rate": "adaptive"}, "learning_rate='adaptive' is not one of"),
        ({"max_iter": 0}, "max_iter=0 is below 1"),
        ({"max_iter": 2.5}, "max_iter=2.5 is not a whole number"),
        ({"n_iter_no_change": 0}, "n_iter_no_change=0 is below 1"),
        ({"alpha": -1}, "alpha=-1 is not a finite number ≥ 0"),
        ({"learning_rate_init": np.inf}, "learning_rate_init=inf is not a finite number"),
        ({"learning_rate_init": 0.0}, "learning_rate_init=0 learns nothing; use 0.01"),
        ({"validation_fraction": 1}, "validation_fraction=1 is not between 0 and 1"),
        ({"batch_size": 0}, "batch_size=0 is below 1"),
        ({"batch_size": "big"}, "batch_size='big' is not a whole number"),
        ({"augment": "flip"}, "augment='flip' is no augmentation"),
        ({"augment": dc.data.Flip}, "Flip'> is no augmentation; give True, or one of"),
        ({"class_weight": {0: 1, 1: -1}}, "class_weight={0: 1, 1: -1} has a weight that is negative"),
        ({"channels": "middle"}, "channels='middle' is not one of"),
        ({"image_shape": (7, 7)}, r"image_shape=\(7, 7\) has 49 numbers, a sample of X 42 in shape"),
        ({"image_shape": 42.5}, "image_shape=42.5 is no shape"),
        ({"image_shape": (6, 0)}, r"image_shape=\(6, 0\) is no shape"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "leaves 60 to train on and 0 to validate"),
    ],
    ids=str,
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fitted(*bars(), **settings)


def test_data_that_cannot_work():
    x, y = bars()
    with pytest.raises(ValueError, match=r"y has one class, 1; two or more"):
        fitted(x, np.ones(60, int))
    with pytest.raises(ValueError, match=r"both the first and the last axis could be 1 to 4 channels"):
        fitted(np.zeros((8, 3, 9, 3)), np.arange(8) % 2)
    with pytest.raises(ValueError, match=r"neither the first nor the last axis could be"):
        fitted(np.zeros((8, 5, 9, 5)), np.arange(8) % 2)
    with pytest.raises(
        ValueError, match=r"pictures of X have different shapes, such as \(3, 4\) and \(4, 4\)"
    ):
        fitted([np.zeros((3, 4)), np.zeros((4, 4))], [0, 1])
    with pytest.raises(ValueError, match="NaN"):
        fitted(np.where(x > 170, np.nan, x), y)
    with pytest.raises(ValueError, match="Unknown label type"):
        fitted(x, y + 0.5 * np.random.default_rng(0).random(60))
    with pytest.raises(NotFittedError):
        dc.ConvClassifier().predict(x)
    model = fitted(x, y)
    with pytest.raises(
        ValueError, match=r"a sample of X has shape \(7, 6\), but those it was fitted on \(6, 7\)"
    ):
        model.predict(x.transpose(0, 2, 1))
    with pytest.raises(ValueError, match=r"X is a single sample of shape \(6, 7, 3\); give X\[None\]"):
        fitted(*bars(channels=3)).predict(bars(channels=3)[0][0])
    with pytest.raises(ValueError, match="41 features"):
        model.predict(x.reshape(60, -1)[:, :41])
    with pytest.raises(ValueError, match="y has 2 outputs, but the first fit had 1"):
        fitted(x, y, dc.ConvRegressor).partial_fit(x, np.stack([y, y], axis=1))


def test_an_argument_that_is_unknown_names_the_estimator():
    with pytest.raises(TypeError, match=r"ConvRegressor\.__init__\(\) got an unexpected .* 'class_weight'"):
        dc.ConvRegressor(class_weight="balanced")
    with pytest.raises(TypeError, match=r"ConvClassifier\.__init__\(\) got an unexpected"):
        dc.ConvClassifier(classes=2)
    assert dc.ConvRegressor().get_params().keys() == dc.ConvClassifier().get_params().keys() - {
        "class_weight"
    }
