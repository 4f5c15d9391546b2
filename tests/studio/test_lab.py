"""The kernel lab answers with what `deepconv.images` gives, pixel for pixel, and takes nothing it shouldn't."""

import io
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from deepconv import images
from deepconv.studio.rooms.lab import SHOWN
from tests.cli.conftest import deepconv


def png(pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def pixels_of(answer, blobs):
    result = answer["result"]
    return np.frombuffer(blobs[0], np.uint8).reshape(result["height"], result["width"], 4)


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (37, 53, 3), np.uint8)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "sharpen"},
        {"name": "sobel", "signed": "absolute"},
        {
            "kernel": [[1, 2, -3], [0.5, 0, 1]],
            "border": "wrap",
            "divisor": 2.5,
            "offset": 0.25,
            "signed": "grey",
        },
        {
            "kernel": [[1, 2, -3], [0.5, 0, 1]],
            "flip": True,
            "border": "mirror",
            "stride": 3,
            "signed": "stretch",
        },
        {"name": "gaussian sigma=2", "border": "crop"},
    ],
)
def test_the_result_is_the_librarys(studio, picture, settings):
    words = {key: value for key, value in settings.items() if key not in {"name", "kernel", "stride"}}
    kernel = np.array(settings["kernel"], float) if "kernel" in settings else settings["name"]
    step = settings.get("stride", 1)
    with studio.client() as client:
        client.ask("lab", "load", [png(picture)])
        answer = client.ask("lab", "run", settings=settings)
        saved = client.ask("lab", "save", settings=settings)[1][0]
    right = images.apply(picture, kernel, **({"signed": "clip"} | words))[::step, ::step]
    found = pixels_of(*answer)
    assert np.array_equal(found[..., :3], right)
    assert (found[..., 3] == 255).all()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(saved))), right)


def test_a_pixel_is_the_sum_of_its_products(studio, picture):
    settings = {"kernel": [[1, 2, -3], [0.5, 0, 1]], "border": "reflect", "flip": True, "stride": 2}
    whole = images.convolve(picture.astype(float), np.array(settings["kernel"]))
    with studio.client() as client:
        client.ask("lab", "load", [png(picture)])
        result = pixels_of(*client.ask("lab", "run", settings=settings))
        for row, column in [(0, 0), (3, 7), (18, 26)]:
            found = client.ask("lab", "pixel", row=row, column=column, settings=settings)[0]["result"]
            tables = {name: np.array(numbers) for name, numbers in found["tables"].items()}
            assert np.allclose(found["values"], whole[2 * row, 2 * column])
            assert np.allclose(tables["products"].sum(axis=(1, 2)), found["sums"][0])
            assert np.allclose(tables["window"] * tables["weights"], tables["products"])
            assert found["shown"] == result[row, column, :3].tolist()
        assert "lies outside" in client.ask("lab", "pixel", row=19, column=0, settings=settings)[0]["error"]
        other = settings | {"offset": 0.25}  # asked before it was run
        found = client.ask("lab", "pixel", row=3, column=7, settings=other)[0]["result"]
        assert found["shown"] == pixels_of(*client.ask("lab", "run", settings=other))[3, 7, :3].tolist()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"name": "sharpen"}, "keep"),
        ({"name": "gaussian sigma=0.7", "border": "zero", "flip": True}, "filter"),
        ({"kernel": [[-1, -2], [-3, -0.5]], "divisor": -6.5}, "filter"),
        ({"name": "sobel", "signed": "absolute"}, "keep"),
    ],
)
def test_behind_a_pixel_transparency_weighs_as_in_the_result(studio, rng, settings, rule):
    clear = rng.integers(0, 256, (7, 9, 4), np.uint8)
    clear[2:5, 3:6, 3] = 0
    divisor = settings.get("divisor", 1)
    with studio.client() as client:
        client.ask("lab", "load", [png(clear)])
        result = pixels_of(*client.ask("lab", "run", settings=settings))
        for row, column in np.ndindex(7, 9):
            found = client.ask("lab", "pixel", row=row, column=column, settings=settings)[0]["result"]
            assert found["alpha"]["rule"] == rule
            assert found["shown"] == result[row, column].tolist()
            if found["values"] is None:
                assert found["shown"] == [0, 0, 0, 0]
            elif found["shown"][3]:
                value = np.clip(np.array(found["values"]) / divisor, 0, 255)
                assert np.abs(value - found["shown"][:3]).max() <= 0.501
            tables = found["tables"]
            weighed = np.array(tables["window"]) * np.array(tables["opaque"]) * np.array(tables["weights"])
            assert np.allclose(weighed, tables["products"])
            assert np.allclose(weighed.sum(axis=(1, 2)), found["sums"][0])


def test_a_kernel_larger_than_the_grid_filters_by_its_name(studio, picture):
    settings = {"name": "gaussian sigma=3"}
    with studio.client() as client:
        client.ask("lab", "load", [png(picture)])
        found = client.ask("lab", "numbers", text=settings["name"])[0]["result"]
        result = pixels_of(*client.ask("lab", "run", settings=settings))
        pixel = client.ask("lab", "pixel", row=5, column=6, settings=settings)[0]["result"]
    assert found["kernels"] is None
    assert found["size"] == [19, 19]
    assert np.array_equal(result[..., :3], images.apply(picture, "gaussian sigma=3"))
    assert pixel["tables"] is None
    assert np.abs(np.array(pixel["values"]) - result[5, 6, :3]).max() <= 0.501


def test_the_words_do_what_the_page_does(studio, picture, tmp_path):
    settings = {
        "kernel": [[1, 2, -3], [0.5, 0, 1]],
        "border": "wrap",
        "divisor": 2.5,
        "offset": 0.25,
        "stride": 2,
    }
    with studio.client() as client:
        words = client.ask("lab", "words", settings=settings)[0]["result"]
        command = client.ask("lab", "words", settings=settings | {"stride": 1})[0]["result"]["command"]
    (tmp_path / "photo.jpg").write_bytes(png(picture))
    assert words["file"] == "filtered.png"
    subprocess.run([sys.executable, "-c", words["python"]], check=True, cwd=tmp_path, timeout=120)
    right = images.apply(
        picture, np.array(settings["kernel"]), border="wrap", divisor=2.5, offset=0.25, signed="clip"
    )[::2, ::2]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "filtered.png")), right)
    assert words["command"] is None
    assert command == (
        "deepconv filter photo.jpg -k '1 2 -3; 0.5 0 1' --border=wrap --divisor=2.5 --offset=0.25 "
        "-o filtered.png"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel": [[1, 2, -3], [0.5, 0, 1]], "border": "wrap", "divisor": 2.5, "offset": 0.25},
        {"name": "emboss direction=n", "signed": "clip", "flip": True},
    ],
)
def test_the_command_gives_the_pages_pixels(studio, picture, tmp_path, monkeypatch, settings):
    with studio.client() as client:
        client.ask("lab", "load", [png(picture)])
        command = client.ask("lab", "words", settings=settings)[0]["result"]["command"]
        answer = client.ask("lab", "run", settings=settings)
    (tmp_path / "photo.jpg").write_bytes(png(picture))
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(command)
    assert program == "deepconv"
    assert deepconv(*words).status == 0
    with Image.open("filtered.png") as written:
        assert np.array_equal(np.asarray(written), pixels_of(*answer)[..., :3])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "gaussian sigma=1", "divisor": 1}, "-k 'gaussian sigma=1'"),
        ({"name": "sobel", "signed": "absolute"}, "-k sobel"),
        ({"name": "sobel", "signed": "clip"}, "-k sobel --signed=clip"),
        ({"kernel": [[-1, 0, 1.5]], "divisor": 4.0}, "-k '-1 0 1.5' --divisor=4"),
    ],
)
def test_the_words_hold_no_more_than_is_needed(studio, picture, settings, said):
    with studio.client() as client:
        client.ask("lab", "load", [png(picture)], name="-my plain.png")
        words = client.ask("lab", "words", settings=settings)[0]["result"]
        saved = client.ask("lab", "save", settings=settings)[0]["result"]
    assert words["command"] == f"deepconv filter './-my plain.png' {said} -o './-my plain-filtered.png'"
    assert "read_image('-my plain.png')" in words["python"]
    assert "divisor=1" not in words["python"]
    assert saved["file"] == words["file"] == "-my plain-filtered.png"


def test_large_deep_and_transparent_pictures(studio, rng):
    large = rng.integers(0, 256, (1100, 1300), np.uint8)
    deep = rng.integers(0, 65536, (20, 30)).astype(np.uint16)
    clear = rng.integers(0, 256, (20, 30, 4), np.uint8)
    with studio.client() as client:
        facts = client.ask("lab", "load", [png(large)])[0]["result"]
        assert facts["whole"] == [1100, 1300]
        assert facts["height"] * facts["width"] <= SHOWN
        saved = client.ask("lab", "save", settings={"name": "sharpen"})[1][0]
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(saved))), images.apply(large, "sharpen", signed="clip")
        )
        client.ask("lab", "load", [png(deep)])
        saved = client.ask("lab", "save", settings={"name": "sharpen"})[1][0]
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(saved))), images.apply(deep, "sharpen", signed="clip")
        )
        client.ask("lab", "load", [png(clear)])
        found = pixels_of(*client.ask("lab", "run", settings={"name": "gaussian"}))
        assert np.array_equal(found, images.apply(clear, "gaussian", signed="clip"))


def test_each_page_has_its_own_picture(studio, picture):
    with studio.client() as one, studio.client() as two:
        assert one.ask("lab", "load", [png(picture)])[0]["result"]["height"] == 37
        assert two.ask("lab", "load")[0]["result"]["height"] == 300
        assert one.ask("lab", "run", settings={"name": "identity"})[0]["result"]["height"] == 37
        assert one.ask("lab", "load")[0]["result"]["height"] == 300


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "flou"}, "flou"),
        ({"name": "secrets.json"}, "names a file"),
        ({"name": " /etc/passwd.txt "}, "names a file"),
        ({"kernel": [["a"]]}, "kernel: expected"),
        ({"kernel": [[1] * 16] * 16}, "up to 225"),
        ({"kernel": [[1, 2], [3]]}, "equally long"),
        ({"border": "sideways"}, "border"),
        ({"stride": 0, "name": "box"}, "stride"),
        ({"offset": 3, "name": "box"}, "offset"),
        ({"colour": 1}, "colour: Extra inputs"),
        ({"kernel": [[0.5] * 9] * 9, "border": "crop", "divisor": 0}, "divisor"),
    ],
)
def test_refusals(studio, settings, words):
    with studio.client() as client:
        assert words in client.ask("lab", "run", settings=settings)[0]["error"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "picture"),
        (b"not a picture", "not a picture"),
        (png(np.arange(1600, dtype=np.uint8).reshape(40, 40) * 37)[:150], "can't be read"),
        (b"P5 9000 9000 255 ", "more than 40,000,000"),
    ],
)
def test_uploads_that_are_refused(studio, data, words):
    with studio.client() as client:
        error = client.ask("lab", "load", [data])[0]["error"]
        assert words in error
        assert "/proc" not in error
        assert client.ask("lab", "load")[0]["result"]["height"] == 300


@pytest.mark.parametrize("end", ["", "/", "/.", "//", " "])
def test_no_file_of_this_machine_is_read(studio, tmp_path, end):
    """Nor told of: what stands in it would be in the message."""
    path = tmp_path / "secret.json"
    path.write_text('[[1, 2], ["password", 4]]')
    with studio.client() as client:
        for method, asked in (
            ("numbers", {"text": f"{path}{end}"}),
            ("run", {"settings": {"name": f"{path}{end}"}}),
            ("save", {"settings": {"name": f"{path}{end}"}}),
            ("words", {"settings": {"name": f"{path}{end}"}}),
            ("pixel", {"row": 0, "column": 0, "settings": {"name": f"{path}{end}"}}),
        ):
            assert "names a file; load its numbers" in client.ask("lab", method, **asked)[0]["error"]
