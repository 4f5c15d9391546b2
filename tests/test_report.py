"""The report: drawn for any run, whatever came of it."""

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from deepconv.data.batches import Batches
from deepconv.layers import Flatten, Layer, Linear, Sequential
from deepconv.models import digits_network, resnet
from deepconv.report import write_report
from deepconv.training import EpochRecord, History
from deepconv.training.scores import score

CLASSES = tuple("0123456789")


class Saying(Layer):
    """A network that says what it was told to, whatever the picture."""

    def __init__(self, chances):
        self.chances, self.place = chances, 0

    def __call__(self, x):
        self.place += len(x)
        return np.log(self.chances[self.place - len(x) : self.place])


def scores(rng, wrong, classes=CLASSES, shape=(1, 8, 8), pictures=60):
    """Scores of some pictures, of which so many were named wrong."""
    labels = np.arange(pictures) % len(classes)
    named = np.where(np.arange(pictures) < wrong, (labels + 3) % len(classes), labels)
    chances = rng.random((pictures, len(classes))) + 6 * np.eye(len(classes))[named]
    chances /= chances.sum(axis=1, keepdims=True)
    return score(Saying(chances), Batches(rng.random((pictures, *shape)), labels, shuffle=False), classes)


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


def drawn(path, model, run, test, **words):
    write_report(path, title="Title", subtitle="subtitle", history=run, model=model, scores=test, **words)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"), dtype=float)


@pytest.mark.parametrize("wrong", [0, pytest.param(2, marks=pytest.mark.full), 40])
def test_any_number_of_mistakes(tmp_path, rng, wrong):
    model = digits_network().initialize((1, 8, 8), seed=0)
    test = scores(rng, wrong)
    assert test.mistakes == wrong
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


LONG = "a class whose name goes on and on, with $signs$ and _more_"
DEFAULT = [(2, LONG + " {}"), (10, "breed-{}"), (40, LONG + " {}"), (200, "breed-{}")]
REST = [(number, name) for number in (2, 10, 40, 200) for name in ("{}", "breed-{}", LONG + " {}")]


@pytest.mark.parametrize(
    ("number", "name"), [*DEFAULT, *(pytest.param(*case, marks=pytest.mark.full) for case in REST)]
)
def test_any_number_of_classes_and_names_of_any_length(tmp_path, monkeypatch, rng, number, name):
    figures = []
    monkeypatch.setattr(
        "deepconv.report.Figure", lambda **given: figures.append(Figure(**given)) or figures[0]
    )
    test = scores(rng, number, tuple(name.format(index) for index in range(number)), (3, 16, 16), 3 * number)
    model = resnet(3, 2, 16).initialize((3, 16, 16))
    drawn(tmp_path / "a.png", model, history(3), test, shown=lambda x: np.moveaxis(x, 0, -1))
    (figure,) = figures
    page = figure.get_tightbbox()  # of all that is drawn, in inches
    assert page.x0 >= 0
    assert page.y0 >= 0
    assert page.x1 <= figure.get_figwidth()
    assert page.y1 <= figure.get_figheight()
    matrix = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("Confusion matrix"))
    place = matrix.get_window_extent()
    assert place.width > 500
    assert place.height > 350
    curves = [axes for axes in figure.axes if axes.get_title(loc="left") in ("Loss", "Accuracy")]
    right = max(axes.get_tightbbox().x1 for axes in curves)
    assert matrix.get_tightbbox().x0 > right - 2  # the classes' names don't lie on the curves beside them
    below = min(
        axes.get_tightbbox().y1 for axes in figure.axes if axes.get_title(loc="left").startswith("Filters")
    )
    assert matrix.get_tightbbox().y0 > below - 2
    names = sorted((box.y0, box.y1) for box in (t.get_window_extent() for t in matrix.get_yticklabels()))
    if len(names) == number:
        assert all(lower[1] <= upper[0] + 2 for lower, upper in itertools.pairwise(names))


def test_pictures_are_shown_in_their_colours(tmp_path, rng):
    test = scores(rng, 5, ("a", "b"), (3, 4, 4), 10)
    model = resnet(3, 2, 16).initialize((3, 16, 16))
    green = np.array([0.0, 1.0, 0.0])
    picture = drawn(tmp_path / "a.png", model, history(2), test, shown=lambda x: np.ones((4, 4, 3)) * green)
    assert ((picture == 255 * green).all(axis=-1)).sum() > 5 * 2000
