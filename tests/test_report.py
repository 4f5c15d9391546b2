"""The report: drawn for any run, whatever came of it."""

import numpy as np
import pytest
from PIL import Image

from deepconv.layers import Flatten, Linear, Sequential
from deepconv.models import digits_network
from deepconv.report import _worst, write_report
from deepconv.training import EpochRecord, History
from deepconv.training.digits import TestScores

CLASSES = tuple("0123456789")


def scores(rng, wrong):
    """Scores of 60 pictures, of which so many were named wrong."""
    labels = np.arange(60) % 10
    named = np.where(np.arange(60) < wrong, (labels + 3) % 10, labels)
    chances = rng.random((60, 10)) + 6 * np.eye(10)[named]
    return TestScores(
        rng.random((60, 1, 8, 8)), labels, chances / chances.sum(axis=1, keepdims=True), CLASSES
    )


def history(epochs, *, validated=True):
    losses = 2 / np.arange(1, epochs + 1)
    return History(
        [
            EpochRecord(
                number,
                loss=float(loss),
                accuracy=float(np.exp(-loss)),
                validation_loss=float(loss) if validated else None,
                validation_accuracy=float(np.exp(-loss)) if validated else None,
            )
            for number, loss in enumerate(losses, 1)
        ]
    )


def drawn(path, model, run, test):
    write_report(path, title="Title", subtitle="subtitle", history=run, model=model, scores=test)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"), dtype=float)


@pytest.mark.parametrize("wrong", [0, 2, 40])
def test_any_number_of_mistakes(tmp_path, rng, wrong):
    model = digits_network().initialize((1, 8, 8), seed=0)
    test = scores(rng, wrong)
    assert int((test.predictions != test.labels).sum()) == wrong
    picture = drawn(tmp_path / "a.png", model, history(12), test)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 130) & (picture[..., 2] < 140)
    matrix = red[120:780, 780:]  # the confusion matrix: red cells where something was taken for another
    assert matrix.any() == (wrong > 0)


def test_a_run_of_one_epoch_without_validation_and_a_network_without_filters(tmp_path, rng):
    model = Sequential(Flatten(), Linear(64, 10)).initialize((1, 8, 8))
    assert drawn(tmp_path / "a.png", model, history(1, validated=False), scores(rng, 1)).std() > 10


def test_equal_runs_give_equal_bytes_and_other_runs_do_not(tmp_path):
    model = digits_network().initialize((1, 8, 8), seed=0)
    for name, wrong in (("a", 3), ("b", 3), ("c", 4)):
        drawn(tmp_path / name, model, history(5), scores(np.random.default_rng(5), wrong))
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path, rng):
    model = digits_network().initialize((1, 8, 8), seed=0)
    with pytest.raises(FileNotFoundError):
        drawn(tmp_path / "missing" / "a.png", model, history(2), scores(rng, 1))
    assert list(tmp_path.iterdir()) == []


def test_the_confusion_matrix_counts_rows_as_truth():
    probabilities = np.eye(10)[[1, 1, 7, 0]]
    test = TestScores(np.zeros((4, 1, 8, 8)), np.array([1, 2, 7, 7]), probabilities, CLASSES)
    assert test.accuracy == 0.5
    assert {(int(a), int(b)) for a, b in np.argwhere(test.confusion)} == {(1, 1), (2, 1), (7, 7), (7, 0)}
    assert test.confusion.sum() == 4


def test_wrong_answers_come_first_and_the_surest_of_them_before():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7]])
    labels = np.array([0, 1, 0, 1, 1])  # right, wrong at 0.6, wrong at 0.8, right at 0.55, right at 0.7
    scores = TestScores(np.zeros((5, 1, 8, 8)), labels, probabilities, ("a", "b"))
    assert _worst(scores).tolist() == [2, 1, 3, 4, 0]
