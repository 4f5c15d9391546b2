"""`deepconv predict`: folders of pictures, and what is taken for a model file and is none."""

import zipfile

import pytest
from PIL import Image

from tests.cli.conftest import deepconv
from tests.cli.test_predict import MODEL
from tests.drawing import drawn


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_of_a_folder_the_pictures_in_it_are_named(tmp_path):
    (tmp_path / "page" / "deeper").mkdir(parents=True)
    for name in ("page/b.png", "page/a.jpg", "page/deeper/c.png", "d.png"):
        drawn("3", pen=4).save(tmp_path / name)
    (tmp_path / "page" / "README.md").write_text("words")
    outcome = deepconv("predict", MODEL, "d.png", "page", "--json")
    assert (outcome.status, outcome.json["errors"]) == (0, [])
    assert [one["file"] for one in outcome.json["predictions"]] == ["d.png", "page/a.jpg", "page/b.png"]


def test_a_folder_without_pictures_is_an_error(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    assert "predict: photos holds no pictures; name its folders" in deepconv("predict", MODEL, "photos").error
    assert "holds no pictures; name one that has some" in deepconv("predict", MODEL, "photos/cat").error


def test_a_picture_in_the_place_of_the_model_is_called_so(tmp_path):
    Image.new("L", (9, 8)).save("a.png")
    Image.new("L", (9, 8)).save("a.jpg")
    with zipfile.ZipFile("a.pt", "w") as archive:
        archive.writestr("data.pkl", "x")
    (tmp_path / "a.txt").write_text("dear model, please tell me what this is")
    (tmp_path / "cut").write_bytes((300).to_bytes(8, "little") + b"{")
    for name, said in {
        "a.png": "it looks like a PNG picture; pass a file",
        "a.jpg": "it looks like a JPEG picture; pass a file",
        "a.pt": "it looks like a zip archive (such as PyTorch's .pt",
        "a.txt": "it is cut short, or not a safetensors file at all; pass a file",
        "cut": "it is cut short, or not a safetensors file at all: its header takes 300 bytes of a file of 9; pass",
    }.items():
        assert f"'{name}' is no model file: {said}" in deepconv("predict", name, "a.png").error
