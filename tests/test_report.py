"""The report: drawn for any run, whatever came of it."""

import itertools
from functools import cache

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from deepconv.data.batches import Batches
from deepconv.layers import Conv2d, Flatten, GlobalAvgPool, Layer, Linear, ReLU, Sequential
from deepconv.layers.inspection import activations
from deepconv.models import digits_network, resnet
from deepconv.report import write_report
from deepconv.report.drawing import short
from deepconv.report.learned import stages
from deepconv.report.mistakes import overlaid, reasons
from deepconv.report.tiles import sheet
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


def test_names_are_shortened_where_they_say_least():
    assert short("breed-17") == "breed-17"
    assert short("a photograph of the breed-17") == "a photograp…eed-17"
    assert short("5$ \n  a\x07b", 9) == r"5\$ a?b"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Return a function that draws a run with so many mistakes and gives the picture and the file; once each."""
    model = digits_network().initialize((1, 8, 8), seed=0)

    @cache
    def report(wrong, again=0):
        path = tmp_path_factory.mktemp("report") / "a.png"
        test = scores(np.random.default_rng(5), wrong)
        assert test.mistakes == wrong
        return drawn(path, model, history(12), test), path.read_bytes()

    return report


@pytest.mark.parametrize("wrong", [0, *(pytest.param(wrong, marks=pytest.mark.full) for wrong in (2, 40))])
def test_any_number_of_mistakes(reports, wrong):
    picture, _ = reports(wrong)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 130) & (picture[..., 2] < 140)
    matrix = red[120:780, 780:]  # the confusion matrix: red cells where something was taken for another
    assert matrix.any() == (wrong > 0)


def test_a_run_of_one_epoch_without_validation_and_a_network_without_filters(tmp_path, rng):
    model = Sequential(Flatten(), Linear(64, 10)).initialize((1, 8, 8))
    assert drawn(tmp_path / "a.png", model, history(1, validated=False), scores(rng, 1)).std() > 10


@pytest.mark.parametrize(("wrong", "other"), [(40, 0), pytest.param(3, 4, marks=pytest.mark.full)])
def test_equal_runs_give_equal_bytes_and_other_runs_do_not(reports, wrong, other):
    assert reports(wrong)[1] == reports(wrong, again=1)[1]
    assert reports(wrong)[1] != reports(other)[1]


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path, rng):
    model = Sequential(Flatten(), Linear(64, 2)).initialize((1, 8, 8), seed=0)
    with pytest.raises(FileNotFoundError):
        drawn(tmp_path / "missing" / "a.png", model, history(2), scores(rng, 1, ("a", "b"), pictures=6))
    assert list(tmp_path.iterdir()) == []


LONG = "a class whose name goes on and on, with $signs$ and _more_"
DEFAULT = [(10, LONG + " {}")]
ALL = [(number, name) for number in (2, 10, 40, 200) for name in ("{}", "breed-{}", LONG + " {}")]
REST = [case for case in ALL if case not in DEFAULT]


@pytest.mark.parametrize(
    ("number", "name"), [*DEFAULT, *(pytest.param(*case, marks=pytest.mark.full) for case in REST)]
)
def test_any_number_of_classes_and_names_of_any_length(tmp_path, monkeypatch, rng, number, name):
    figures = []
    monkeypatch.setattr(
        "deepconv.report.page.Figure", lambda **given: figures.append(Figure(**given)) or figures[0]
    )
    wrong = min(number, 3) if number == 40 else number
    test = scores(rng, wrong, tuple(name.format(index) for index in range(number)), (3, 16, 16), 3 * number)
    model = resnet(3, number, 16).initialize((3, 16, 16), seed=0)
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
    for axes in figure.axes:
        head, note = axes._left_title, axes._right_title
        assert not note.get_text() or head.get_window_extent().x1 + 5 < note.get_window_extent().x0
    mistakes = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("Worst"))
    captions = [t.get_window_extent() for t in mistakes.texts]
    assert len(captions) >= 3 * min(number, 7)
    assert all(
        not one.padded(-1).overlaps(other.padded(-1)) for one, other in itertools.combinations(captions, 2)
    )
    names = sorted((box.y0, box.y1) for box in (t.get_window_extent() for t in matrix.get_yticklabels()))
    if len(names) == number:
        assert all(lower[1] <= upper[0] + 2 for lower, upper in itertools.pairwise(names))


def looked_at(sides, wrong=1):
    """Scores of two pictures with a bright blob each, and a network that takes blobs for class 1."""
    model = Sequential(Conv2d(1, 2, 3, padding=1), ReLU(), GlobalAvgPool(), Linear(2, 2)).initialize(
        (1, *sides)
    )
    model[0].weight.value[...] = np.array([1 / 9, 0])[:, None, None, None]
    model[-1].weight.value[...] = [[0, 0], [9, 0]]
    x = np.zeros((2, 1, *sides), np.float32)
    x[:, 0, -6:-1, 1:6] = 1
    return model, score(model, Batches(x, [1 - wrong, 1], shuffle=False), ("plain", "blob"))


def test_what_spoke_for_a_mistake_glows_on_it():
    model, test = looked_at((16, 24))
    why = reasons(model, test.worst, 2)
    assert [sample.right for sample in test.worst] == [False, True]
    assert why.others.tolist() == [0, 0]
    assert why.heat.shape == (2, 2, 16, 24)
    assert why.heat[0, :, 9:, :7].sum() > 0.99 * why.heat[0].sum()
    assert why.heat[1].max() == 0
    np.testing.assert_allclose(why.chances.sum(axis=1), 1)
    grey = np.linspace(0, 1, 16 * 24).reshape(16, 24)
    glowing = overlaid(grey, why.heat[0, 0])
    np.testing.assert_array_equal(glowing[:8, 8:], np.repeat(grey[:8, 8:, None], 3, axis=2))
    assert (glowing[11:15, 2:5, 0] > glowing[11:15, 2:5, 2] + 0.3).all()
    assert ((glowing >= 0) & (glowing <= 1)).all()


def test_a_network_that_cannot_be_asked_is_drawn_without_reasons(tmp_path, rng):
    test = scores(rng, 9, shape=(1, 8, 8))
    other = Sequential(Flatten(), Linear(64, 3)).initialize((1, 8, 8), seed=0)  # not one score for each class
    assert reasons(other, test.worst, 10) is None
    assert reasons(digits_network(), (), 10) is None
    plain = drawn(tmp_path / "a.png", other, history(3), test)
    assert len(plain) < 1200  # pixels: neither maps nor layers below the mistakes
    red = (plain[..., 0] > 180) & (plain[..., 1] < 130) & (plain[..., 2] < 140)
    assert red[890:, 780:].any()  # framed all the same
    linear = Sequential(Flatten(), Linear(64, 10)).initialize((1, 8, 8), seed=0)
    assert stages(linear, test.worst[0].x) == []
    assert reasons(linear, test.worst, 10).heat.shape == (2, 24, 8, 8)


def test_a_few_layers_stand_for_all():
    model = resnet(3, 2, 16).initialize((3, 16, 16), seed=0)
    found = stages(model, np.ones((3, 16, 16)))
    seen = activations(model, np.ones((1, 3, 16, 16), np.float32))
    names = [words.split()[0] for words, _ in found]
    assert len(names) == 6
    assert names[0] == "2"
    assert all((maps == seen[name][0]).all() for name, (_, maps) in zip(names, found, strict=True))
    assert found[0][0] == f"2 ReLU\n{len(found[0][1])} maps of 16 × 16"


def test_small_pictures_stand_where_their_captions_say(rng):
    pictures = list(rng.random((5, 7, 4)))
    laid = sheet(pictures, 3, frames=["red", *[None] * 4], gaps=(0.5, 0.1))
    times = laid.cell[0] // 7
    assert laid.cell == (7 * times, 4 * times)
    for place, picture in enumerate(pictures):
        x, y = laid.below(place // 3, place % 3)
        left, bottom = round(x + 0.5 - 2 * times), round(y + 0.5)
        part = laid.pixels[bottom - 7 * times : bottom, left : left + 4 * times]
        inner = part[times // 2 :: times, times // 2 :: times, 1]
        np.testing.assert_allclose(inner, picture)
    assert laid.pixels[0, 0].tolist() == [1, 0, 0]


@pytest.mark.full
@pytest.mark.parametrize("sides", [(8, 40), (40, 8)])
def test_long_pictures_stay_on_the_page(tmp_path, monkeypatch, rng, sides):
    figures = []
    monkeypatch.setattr(
        "deepconv.report.page.Figure", lambda **given: figures.append(Figure(**given)) or figures[0]
    )
    model = resnet(3, 10, 16).initialize((3, 16, 16), seed=0)
    drawn(tmp_path / "a.png", model, history(3), scores(rng, 9, shape=(3, *sides)))
    page = figures[0].get_tightbbox()
    assert page.x1 <= figures[0].get_figwidth()
    assert page.y0 >= 0


def test_pictures_are_shown_in_their_colours(tmp_path, rng):
    test = scores(rng, 5, ("a", "b"), (3, 4, 4), 10)
    model = Sequential(Conv2d(3, 4, 3), GlobalAvgPool(), Linear(4, 2)).initialize((3, 4, 4), seed=0)
    green = np.array([0.0, 1.0, 0.0])
    picture = drawn(tmp_path / "a.png", model, history(2), test, shown=lambda x: np.ones((4, 4, 3)) * green)
    assert ((picture == 255 * green).all(axis=-1)).sum() > 5 * 2000
