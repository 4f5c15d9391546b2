"""Colours, frames and settings of the lab and of the network: what the page shows of the library's numbers."""

import base64
import re

import numpy as np
import pytest

import deepconv as dc
from deepconv import images
from deepconv.data.digits import CLASSES
from deepconv.data.preprocessing import DIGITS, photograph_steps, preprocess
from deepconv.models.digits import digits_network
from tests.drawing import drawn as strokes
from tests.peers.browser import move, until
from tests.peers.test_studio_lab import canvas, cat, opened, picture, shows, upload  # noqa: F401 (two are fixtures)
from tests.peers.test_studio_network import draw, drawn, in_a_folder, model  # noqa: F401 (two are fixtures)

pytestmark = pytest.mark.full  # a browser, a second or two of a processor each

PIXELS = """canvas => { const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [[...data], canvas.height, canvas.width]; }"""


def colours(place):
    data, height, width = place.evaluate(PIXELS)
    return np.array(data, int).reshape(height, width, 4)[..., :3]


def is_map_of(place, values):
    """Hold that a map is orange above zero, blue below, and the stronger the further from it."""
    found, share = colours(place), values / max(1e-12, np.abs(values).max())
    ends = np.where((share < 0)[..., None], [47, 109, 179], [224, 123, 57])
    np.testing.assert_allclose(found, 255 + np.abs(share)[..., None] * (ends - 255), atol=1)


@pytest.fixture
def network(visitor, model):  # noqa: F811
    """The page with a digit drawn on it, and what the library says of it."""
    page = visitor.open("#/network")
    page.get_by_label("a model file").set_input_files(model)
    until(page, "document.querySelectorAll('canvas[aria-label^=filter]').length === 16")
    draw(page, (60, 40), (140, 50), (80, 170))
    until(page, "document.querySelectorAll('.layers section').length > 10")
    page.wait_for_timeout(500)
    loaded = dc.load(model)
    x = preprocess(drawn(page), DIGITS)[None]
    return page, loaded, x


def test_every_map_shows_its_own_numbers(network):
    page, loaded, x = network
    weight = loaded.state()["0.weight"]
    for k in (0, 3, 15):
        is_map_of(page.get_by_label(f"filter {k + 1}", exact=True), weight[k, 0])
    values = dc.activations(loaded, x)["3"][0]
    maps = page.locator("canvas[aria-label^='Conv2d(16, 32']")
    for c in (0, 4, 31):
        is_map_of(maps.nth(c), values[c])
    is_map_of(page.locator("canvas[aria-label^='what the network sees']"), x[0, 0])
    draw(page, (60, 100), (150, 110))  # the maps that are there take the new numbers
    page.wait_for_timeout(500)
    x = preprocess(drawn(page), DIGITS)[None]
    values = dc.activations(loaded, x)["3"][0]
    for c in (0, 4, 31):
        is_map_of(maps.nth(c), values[c])


def photograph(rng):
    """A picture of a digit that is no digit of the page's paper: other sides, colours and paper."""
    ink = (
        np.asarray(strokes("5", size=(90, 70), box=(12, 9, 66), pen=7).convert("L"), np.float32)[..., None]
        / 255
    )
    pixels = ink * [250, 220, 200] + (1 - ink) * [20, 90, 60] + rng.integers(0, 5, (*ink.shape[:2], 3))
    return pixels.astype(np.uint8)


def test_every_map_of_a_picture_shows_its_own_numbers(visitor, model, rng):  # noqa: F811
    """A picture's maps are made anew, not painted over as a drawing's are."""
    page = visitor.open("#/network")
    page.get_by_label("a model file").set_input_files(model)
    until(page, "document.querySelectorAll('canvas[aria-label^=filter]').length === 16")
    pixels = photograph(rng)
    page.get_by_label("or a picture").set_input_files(upload(pixels))
    until(page, "document.querySelector('.verdict')?.textContent.includes('of plain.png')")
    loaded = dc.load(model)
    x = preprocess(pixels / np.float32(255), DIGITS)[None]
    maps, heat = dc.activations(loaded, x), page.locator("canvas.heat")
    is_map_of(page.locator("canvas[aria-label^='what the network sees']"), x[0, 0])
    for layer, kind in (("0", "Conv2d(1, 16"), ("3", "Conv2d(16, 32")):
        for c in range(maps[layer].shape[1]):
            is_map_of(
                page.locator(f"canvas[aria-label^='{kind}'][aria-label$=', map {c + 1}']"), maps[layer][0, c]
            )
    is_map_of(page.locator("canvas[aria-label$='10 numbers']").last, maps[list(maps)[-1]])
    assert heat.count() == 1


def test_a_network_of_photographs_sees_the_papers_own_shades(visitor, tmp_path):
    """What is drawn is dark on light; the digits' preparation would hide if it were told the other way round."""
    network = digits_network().initialize((1, 8, 8))
    network.metadata = {
        "classes": list(CLASSES),
        "preprocessing": photograph_steps((8, 8), 1, mean=[0.5], std=[0.25]),
    }
    network.save(tmp_path / "light.safetensors")
    page = visitor.open("#/network")
    page.get_by_label("a model file").set_input_files(tmp_path / "light.safetensors")
    until(page, "document.querySelectorAll('canvas[aria-label^=filter]').length === 16")
    draw(page, (60, 40), (140, 50), (80, 170))
    until(page, "document.querySelectorAll('.layers section').length > 10")
    page.wait_for_timeout(500)
    grey = drawn(page)
    x = preprocess(np.repeat(grey[..., None], 3, axis=-1), network.metadata["preprocessing"])
    assert x.max() > 1
    is_map_of(page.locator("canvas[aria-label^='what the network sees']"), x[0])


CURVES = """async run => {
  const { curves } = await import(new URL("rooms/curves.js", document.baseURI));
  const { box, draw } = curves();
  document.body.append(box);
  draw(run);
  const canvas = box.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const colour = (name) => {
    const one = new OffscreenCanvas(1, 1).getContext("2d");
    one.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
    one.fillRect(0, 0, 1, 1);
    return [...one.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const data = [...pen.getImageData(0, 0, canvas.width, canvas.height).data];
  return [data, canvas.height, canvas.width, colour("--input"), colour("--output"), box.innerText];
}"""


def test_the_curves_are_the_losses_and_the_accuracies(visitor):
    """Each epoch's loss and accuracy stand as a square of its colour, as high as it says; the least loss as a line."""
    losses, right, least = [2.0, 1.5, 0.7], [0.1, 0.85, 0.55], 0.5
    page = visitor.open("#/check")
    history = [
        {"epoch": n, "loss": loss, "validation_accuracy": share}
        for n, (loss, share) in enumerate(zip(losses, right, strict=True), 1)
    ]
    data, height, width, loss_colour, right_colour, said = page.evaluate(
        CURVES, {"epochs": 5, "history": history, "least_loss": least}
    )
    found = np.array(data, int).reshape(height, width, 4)[..., :3]
    marks = {}
    for name, colour in (("loss", loss_colour), ("right", right_colour)):
        full = (found == colour).all(-1)
        square = np.lib.stride_tricks.sliding_window_view(full, (3, 3)).all((2, 3))
        marks[name] = np.argwhere(square) + 1
    left, top, bottom = 42, 12, 170 - 36  # of the axes
    for n, record in enumerate(history):
        across = left + n / 4 * (width - 46 - left)
        for name, share in (("loss", record["loss"] / 2.0), ("right", record["validation_accuracy"])):
            place = top + (1 - share) * (bottom - top), across
            assert np.abs(marks[name] - place).max(axis=1).min() <= 1.5, (name, n, place)
            others = marks["right" if name == "loss" else "loss"]
            assert np.abs(others - place).max(axis=1).min() > 4, (name, n, place)
    beyond = (
        (found[:, round(left + 0.6 * (width - 46 - left)) : width - 50] == loss_colour).all(-1).sum(axis=1)
    )
    assert abs(beyond.argmax() - (top + (1 - least / 2) * (bottom - top))) <= 1
    assert "after 3 of 5 epochs: loss 0.7, 55.0 % of the validation digits are right" in said


def test_a_second_run_begins_its_curves_anew(visitor):
    page = visitor.open("#/network?epochs=2&seed=1")
    for epochs in (2, 1):
        page.get_by_role("spinbutton", name="epochs").fill(str(epochs))
        page.get_by_role("button", name="Train the digits").click()
        said = f"after {epochs} of {epochs} epochs: "
        until(page, "said => document.querySelector('.curves').ariaLabel.startsWith(said)", said)
        until(
            page, "document.querySelector('.news').textContent.includes('of the held-out digits are right')"
        )


def test_the_pixels_that_mattered_are_warm(network):
    page, loaded, x = network
    heat, ink = dc.heat_map(loaded, x)[0], x[0, 0]
    paper = 255 - 0.8 * 255 * (ink - ink.min()) / (ink.max() - ink.min())
    places = np.ix_(*(np.arange(size) * 8 // size for size in heat.shape))
    paper = np.broadcast_to(paper[places][..., None], (*heat.shape, 3))
    expected = paper + 0.75 * heat[..., None] * (np.array([214, 40, 40]) - paper)
    np.testing.assert_allclose(colours(page.locator("canvas.heat")), expected, atol=1.01)


def test_the_strongest_place_and_a_flat_layers_number(network):
    page, loaded, x = network
    maps = dc.activations(loaded, x)
    values = maps["3"][0, 6]
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    page.locator("canvas[aria-label^='Conv2d(16, 32']").nth(6).focus()
    page.keyboard.press("Enter")
    said = f"layer 3, map 7, row {place[0]}, column {place[1]}"
    until(page, "said => document.querySelector('.detail strong')?.textContent.startsWith(said)", said)
    flat = page.locator("canvas[aria-label$='10 numbers']").last
    box = flat.bounding_box()
    flat.click(position={"x": box["width"] * 7.5 / 10, "y": box["height"] / 2})
    until(page, "document.querySelector('.detail strong')?.textContent.includes('number 8')")


def test_what_was_drawn_is_there_when_one_comes_back(network):
    page = network[0]
    before = drawn(page)
    page.get_by_role("link", name="Check mine").click()
    page.wait_for_selector("textarea")
    page.go_back()
    until(page, "document.querySelectorAll('.layers section').length > 10")
    assert np.array_equal(drawn(page), before)
    assert before.min() < 0.2


def box_of(page, which):
    """Return top, left, height and width of a frame, in pixels of its picture."""
    return page.evaluate(
        """which => {
          const box = document.querySelectorAll(".mark")[which];
          const { width, height } = document.querySelectorAll("canvas.picture")[which];
          const part = (name, size) => parseFloat(box.style.getPropertyValue(name)) * size / 100;
          return [part("top", height), part("left", width), part("height", height), part("width", width)];
        }""",
        which,
    )


def test_frames_stand_where_the_numbers_come_from(visitor):
    page = opened(visitor, "#/lab?k=1 2 -3;0.5 0 1&stride=2&border=zero&at=4,9")
    until(page, "document.querySelector('.mark.placed')")
    page.wait_for_timeout(200)
    assert box_of(page, 1) == pytest.approx([4, 9, 1, 1], abs=1e-4)
    assert box_of(page, 0) == pytest.approx([7, 17, 2, 3], abs=1e-4)
    sums = page.locator(".pixel caption").all_inner_texts()
    said = page.locator(".pixel p").inner_text()
    named = [re.search(rf"{name} (\S+),", said)[1] for name in ("red", "green", "blue")]
    assert [re.search(r"sum (\S+)", text)[1] for text in sums if "sum" in text] == named
    result = page.locator("canvas.picture").nth(1).bounding_box()
    page.mouse.move(result["x"] + result["width"] * 0.7, result["y"] + result["height"] * 0.6)
    until(page, "!document.querySelector('.pixel h3').textContent.startsWith('row 4, column 9')")
    page.mouse.move(5, 5)
    until(page, "document.querySelector('.pixel h3').textContent.startsWith('row 4, column 9')")


def test_settings_of_a_kernel_are_kept_beside_each_other(visitor, cat):  # noqa: F811
    page = opened(visitor, "#/lab?name=gaussian")
    for label, value in (("sigma", "1.5"), ("size", "5")):
        page.get_by_label(label, exact=True).fill(value)
        page.get_by_label(label, exact=True).press("Enter")
        until(page, "said => document.location.hash.includes(said)", f"{label}%3D{value}")
    shows(page, images.apply(cat, "gaussian sigma=1.5 size=5", signed="clip"))
    kernel = images.effect("gaussian sigma=1.5 size=5").kernels[0]
    cells = page.locator("table.editor input").evaluate_all(
        "cells => cells.map(cell => [Number(cell.title || cell.value), cell.valueAsNumber])"
    )
    numbers, rounded = np.transpose(cells).reshape(2, 5, 5)
    assert np.array_equal(numbers, kernel)
    np.testing.assert_allclose(rounded, kernel, rtol=5e-3)
    page.get_by_label("size", exact=True).fill("")
    page.get_by_label("size", exact=True).press("Enter")
    until(page, "!document.location.hash.includes('size')")
    shows(page, images.apply(cat, "gaussian sigma=1.5", signed="clip"))


def test_one_step_back_undoes_what_was_typed_in_one_cell(visitor, cat):  # noqa: F811
    page = opened(visitor, "#/lab?k=0 0 0;0 1 0;0 0 0")
    place = page.get_by_label("row 1, column 2", exact=True)
    place.click()
    place.press("Control+a")
    place.press_sequentially("125", delay=30)
    place.press("Enter")
    until(page, "document.location.hash.includes('125')")
    page.go_back()
    until(page, "document.querySelector('table.editor input')?.value === '0'")
    page.wait_for_timeout(200)
    assert page.get_by_label("row 1, column 2", exact=True).input_value() == "0"
    move(page, "stride", 2)
    page.get_by_role("button", name="Copy as command").click()
    until(page, "document.querySelector('[role=alert]').textContent.includes('has no stride')")


def test_a_picture_of_ones_own_is_there_when_one_comes_back(visitor, picture):  # noqa: F811
    pixels, data = picture
    page = opened(visitor)
    page.get_by_label("your own").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": data})
    shows(page, images.apply(pixels, "sharpen", signed="clip"))
    page.get_by_role("link", name="The window").click()
    page.wait_for_selector("td.output")
    page.go_back()
    shows(page, images.apply(pixels, "sharpen", signed="clip"))
    assert np.array_equal(canvas(page, 0), pixels)
    assert base64.b64encode(data)[:8].decode() not in page.url
    page.get_by_role("button", name="The cat").click()
    until(page, "document.querySelector('canvas.picture').width === 451")
