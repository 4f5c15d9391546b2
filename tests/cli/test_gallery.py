"""`deepconv gallery`: the sheet that Python gives, in a file of its own."""

import errno
import os

import numpy as np
import pytest
from PIL import Image

from deepconv.images import GALLERY, contact_sheet, read_image, write_image
from tests.cli.conftest import deepconv
from tests.images.samples import random_pixels


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    write_image("photo.jpg", random_pixels(rng, 3, np.uint8, (50, 70)))
    return tmp_path


def test_the_sheet_is_pythons(here):
    outcome = deepconv("gallery", "photo.jpg", "--columns", 9, "--tile", 64)
    assert (outcome.status, outcome.out, outcome.err) == (0, "photo-gallery.png\n", "")
    right = contact_sheet(read_image("photo.jpg"), columns=9, tile=64, title="photo.jpg, 70 x 50 pixels")
    write_image("right.png", right)
    assert (here / "photo-gallery.png").read_bytes() == (here / "right.png").read_bytes()


def test_where_it_goes(here):
    (here / "out").mkdir()
    small = ("--tile", 48, "--quiet")
    assert deepconv("gallery", "photo.jpg", "-o", "out", *small).out == ""
    assert deepconv("gallery", "photo.jpg", "-o", "sheet.jpg", *small).status == 0
    assert sorted(os.listdir("out")) == ["photo-gallery.png"]
    before = (here / "sheet.jpg").read_bytes()
    said = "sheet.jpg exists already; add --force to replace it"
    assert said in deepconv("gallery", "photo.jpg", "-o", "sheet.jpg").error
    assert (here / "sheet.jpg").read_bytes() == before
    assert "is the picture itself" in deepconv("gallery", "photo.jpg", "-o", "photo.jpg").error
    forced = deepconv("gallery", "photo.jpg", "-o", "sheet.jpg", "--columns", 2, "--force", *small)
    assert forced.status == 0
    assert (here / "sheet.jpg").read_bytes() != before


def test_json_and_notes(here, rng):
    frames = [Image.fromarray(random_pixels(rng, 3, np.uint8)) for _ in range(2)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    outcome = deepconv("gallery", "moving.gif", "--json", "--tile", 48)
    assert outcome.err == "moving.gif: the first of 2 frames was read\n"
    found = outcome.json
    with Image.open("moving-gallery.png") as sheet:
        assert sheet.size == (found["width"], found["height"])
    assert found["effects"] == list(GALLERY)
    assert (found["file"], found["out"]) == ("moving.gif", "moving-gallery.png")
    assert found["notes"] == ["the first of 2 frames was read"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.jpg"], "no such file"),
        (["."], ". is a folder; name one picture"),
        (["bad.png"], "not a picture in a known format"),
        (["bomb.png"], "more than 200,000,000; shrink it first"),
        (["photo.jpg", "-o", "no/sheet.png"], "there is no folder 'no'; make it first"),
        (["photo.jpg", "-o", "sheet.doc"], "'.doc' names no format"),
        (["photo.jpg", "--columns", "0"], "--columns"),
        (["photo.jpg", "--tile", "2000"], "--tile"),
    ],
)
def test_refusals_write_nothing(here, words, said):
    (here / "bad.png").write_text("no picture")
    (here / "bomb.png").write_bytes(b"P5 20000 20000 255 ")
    before = sorted(os.listdir())
    assert said in deepconv("gallery", *words).error
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("what", "status"), [(OSError(errno.ENOSPC, "No space left on device"), 2), (KeyboardInterrupt(), 130)]
)
def test_a_full_disk_and_an_interruption_leave_nothing(here, monkeypatch, what, status):
    def half(stream, *_, **__):
        stream.write(b"half")
        raise what

    monkeypatch.setattr("deepconv.images.writing.encode", half)
    assert deepconv("gallery", "photo.jpg", "--tile", 48).status == status
    assert os.listdir() == ["photo.jpg"]
