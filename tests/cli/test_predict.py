"""`deepconv predict`: digits that nobody prepared, with nothing but a model file.

`tests/data/digits_v1.safetensors` is what `deepconv train digits` of version 0.1.0 wrote. It must load and
name digits for ever, so it is never replaced: a later recipe adds a file beside it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepconv.data.digits import split_digits
from deepconv.data.preprocessing import DIGITS
from deepconv.layers import Conv2d, Flatten, GlobalAvgPool, Sequential
from deepconv.predict import load_classifier
from tests.cli.conftest import deepconv
from tests.conftest import examples
from tests.drawing import STROKES, drawn, enlarged, typeset

HELD_OUT = split_digits(seed=0).test


MODEL = Path(__file__).parents[1] / "data" / "digits_v1.safetensors"


STORED = load_classifier(MODEL)
CLASSIFIERS = {"as it was stored": STORED, "as a new file would": replace(STORED, preprocessing=DIGITS)}
if STORED.preprocessing == DIGITS:
    del CLASSIFIERS["as a new file would"]


@pytest.fixture(params=CLASSIFIERS)
def classifier(request):
    """The stored network with the preprocessing in its file, and with today's if that is another."""
    return CLASSIFIERS[request.param]


def named(classifier, picture):
    return classifier.classify(np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255))[0][0]


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"dark_on_white": False},
        {"size": (300, 220), "at": (220, 150), "height": 60},
        {"size": (300, 200), "at": (15, 120), "height": 24},
        {"size": (40, 30), "at": (9, 6), "height": 16, "dark_on_white": False},
        {"size": (8, 8), "at": (0, 0), "height": 8},
    ],
    ids=["dark on white", "white on dark", "off-centre", "small", "tiny and white on dark", "as it ships"],
)
def test_held_out_digits_wherever_and_however_they_stand(classifier, page):
    images, labels = (part[: examples(60, full=120)] for part in HELD_OUT)
    found = [named(classifier, enlarged(image[0], **page)) for image in images]
    assert np.mean([name == str(label) for name, label in zip(found, labels, strict=True)]) >= 0.95


def test_noise_is_borne(classifier, rng):
    images, labels = (part[:40] for part in HELD_OUT)
    right = 0
    for image, label in zip(images, labels, strict=True):
        page = np.asarray(enlarged(image[0]), dtype=np.float32)[..., None] / np.float32(255)
        noisy = page + rng.normal(0, 0.08, page.shape).astype(np.float32)
        noisy[rng.random(page.shape) < 0.01] = rng.choice([0, 1])
        right += classifier.classify(np.clip(noisy, 0, 1))[0][0] == str(label)
    assert right >= 0.9 * 40


def test_digits_drawn_with_a_pen(classifier):
    pages = [
        (digit, {"pen": pen, "slant": slant, **place})
        for digit in STROKES
        for pen, slant in ((1, 0.0), (4, 0.15), (10, -0.1), (16, 0.05))[:: examples(3, full=1)]
        for place in ({}, {"size": (500, 360), "box": (370, 230, 110), "ink": 255, "paper": 30})
    ]
    wrong = [(digit, page) for digit, page in pages if named(classifier, drawn(digit, **page)) != digit]
    assert len(wrong) <= 0.1 * len(pages), wrong


@pytest.mark.parametrize("height", [24, 100])
def test_typeset_digits(classifier, height):
    wrong = [d for d in STROKES if named(classifier, typeset(d, height=height)) != d]
    assert len(wrong) <= 2, wrong


def test_any_mode(tmp_path):
    page = drawn("2", size=(90, 70), box=(20, 8, 50), pen=7)
    clear = Image.new("RGBA", page.size, (0, 0, 0, 0))
    clear.putalpha(Image.fromarray(255 - np.asarray(page)))
    pictures = {
        "1.png": page.convert("1"), "l.jpg": page, "p.gif": page.convert("P"), "rgba.png": clear,
        "cmyk.tiff": page.convert("RGB").convert("CMYK"),
        "16.png": Image.fromarray(np.asarray(page).astype(np.uint16) * 257),
        "f.tiff": Image.fromarray(np.asarray(page, dtype=np.float32) / 255),
    }  # fmt: skip
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    files = [tmp_path / name for name in pictures]
    outcome = deepconv("predict", MODEL, *files, "--json", "--top", 1)
    assert outcome.status == 0
    found = {entry["file"]: entry["classes"][0]["name"] for entry in outcome.json["predictions"]}
    assert found == {str(file): "2" for file in files}


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn("3").save("three.png")
    drawn("7").save("seven.jpg")
    Image.new("L", (40, 40), 200).save("blank.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "three.png").read_bytes()[:90])


def test_the_json_is_as_documented(pictures):
    outcome = deepconv("predict", MODEL, "three.png", "seven.jpg", "--json")
    assert outcome.status == 0
    assert set(outcome.json) == {"predictions", "errors"}
    assert outcome.json["errors"] == []
    assert [entry["file"] for entry in outcome.json["predictions"]] == ["three.png", "seven.jpg"]
    for entry, digit in zip(outcome.json["predictions"], "37", strict=True):
        assert set(entry) == {"file", "classes"}
        assert entry["classes"][0]["name"] == digit
        chances = [kind["probability"] for kind in entry["classes"]]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1)
        assert sorted(kind["name"] for kind in entry["classes"]) == list("0123456789")


def test_the_table_names_the_top_classes(pictures):
    lines = deepconv("predict", MODEL, "three.png", "seven.jpg").out.splitlines()
    assert [line.split()[:2] for line in lines] == [["three.png", "3"], ["seven.jpg", "7"]]
    assert all(line.count("%") == 3 for line in lines)
    one = deepconv("predict", MODEL, "three.png", "--top", 1).out
    assert one.count("%") == 1


def test_a_bad_picture_is_reported_and_the_rest_is_done(pictures):
    files = ("broken.png", "three.png", "blank.png", "missing.png")
    outcome = deepconv("predict", MODEL, *files)
    assert outcome.status == 1
    assert [line.split()[:2] for line in outcome.out.splitlines()] == [["three.png", "3"]]
    errors = outcome.err.splitlines()
    assert len(errors) == 3
    for line, file, reason in zip(
        errors,
        ("broken.png", "blank.png", "missing.png"),
        ("can't be read", "nothing stands out from the background", "no such file"),
        strict=True,
    ):
        assert line.startswith("deepconv: ")
        assert file in line
        assert reason in line
    listed = deepconv("predict", MODEL, *files, "--json")
    assert listed.status == 1
    assert [entry["file"] for entry in listed.json["errors"]] == ["broken.png", "blank.png", "missing.png"]


def test_a_picture_whose_name_is_too_long_is_one_bad_picture(pictures):
    outcome = deepconv("predict", MODEL, "a" * 400, "three.png")
    assert outcome.status == 1
    assert outcome.out.startswith("three.png   3")
    assert "File name too long" in outcome.err


def saved(path, model, metadata):
    model.initialize((1, 8, 8)).save(path, metadata=metadata)
    return path


STEPS = [{"step": "ink"}, {"step": "crop"}, {"step": "fit", "height": 8, "width": 8}]
DIGIT_NAMES = {"classes": list("ab"), "preprocessing": STEPS}
PAIR = Sequential(Conv2d(1, 2, 3), GlobalAvgPool())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "its metadata has no 'classes'"),
        ({"classes": ["a", "b"]}, "its metadata has no 'preprocessing'"),
        ({"classes": [1, 2], "preprocessing": []}, "its metadata has no 'classes'"),
        ({"classes": ["a", "b"], "preprocessing": [{"step": "exec"}]}, "step 1 is 'exec', which is unknown"),
        ({**DIGIT_NAMES, "classes": list("abc")}, r"scores of shape \(1, 2\) for 3 classes; the file is no"),
    ],
)
def test_a_model_that_does_not_say_enough_is_an_error(pictures, tmp_path, metadata, message):
    path = saved(tmp_path / "m.safetensors", PAIR, metadata)
    with pytest.raises(ValueError, match=message):
        load_and_use(path)
    assert deepconv("predict", path, "three.png").error


def load_and_use(path):
    load_classifier(path).classify(np.eye(8))


def test_a_model_of_other_pictures_is_an_error(pictures, tmp_path):
    path = saved(tmp_path / "m.safetensors", Flatten(), DIGIT_NAMES)
    assert "for 2 classes; the file is no classifier" in deepconv("predict", path, "three.png").error


def test_a_model_that_does_not_fit_its_preprocessing_is_an_error(pictures, tmp_path):
    colours = Sequential(Conv2d(3, 2, 3), GlobalAvgPool()).initialize((3, 8, 8))
    colours.save(tmp_path / "m.safetensors", metadata=DIGIT_NAMES)
    error = deepconv("predict", "m.safetensors", "three.png", "seven.jpg").error
    assert "the model does not fit its preprocessing: " in error


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 64, (2**60).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_model_is_an_error(pictures, tmp_path, content):
    (tmp_path / "m.safetensors").write_bytes(content)
    assert "m.safetensors" in deepconv("predict", "m.safetensors", "three.png").error


def test_a_missing_model_is_an_error(pictures):
    error = deepconv("predict", "none.safetensors", "x.png").error
    assert (
        "model none.safetensors can't be read: No such file or directory; name the model.safetensors" in error
    )


def test_nothing_in_a_model_file_steers_the_terminal(pictures, tmp_path):
    names = {**DIGIT_NAMES, "classes": ["\x1b[31mred\nline", "b"]}
    outcome = deepconv("predict", saved(tmp_path / "m.safetensors", PAIR, names), "three.png")
    assert outcome.status == 0
    assert "\x1b" not in outcome.out
    assert outcome.out.count("\n") == 1


def test_pictures_are_asked_for():
    assert "Missing argument" in deepconv("predict", MODEL).error
