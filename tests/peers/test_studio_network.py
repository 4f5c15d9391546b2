"""My network, used in a browser: trained and watched, loaded, drawn for; its numbers are the library's."""

import numpy as np
import pytest

import deepconv as dc
from deepconv.data.digits import CLASSES, load_digits
from deepconv.data.preprocessing import DIGITS, preprocess
from deepconv.models.digits import digits_network
from deepconv.predict import Classifier
from tests.peers.browser import until, visiting


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A little trained, and saved."""
    digits, labels = load_digits()
    network = digits_network()
    dc.Trainer(network, dc.CrossEntropy(), dc.Adam(0.005), seed=2).fit(
        (digits[:500].astype(np.float32) / 16, labels[:500]), epochs=3
    )
    path = tmp_path_factory.mktemp("model") / "mine.safetensors"
    network.metadata = {"classes": list(CLASSES), "preprocessing": DIGITS}
    network.save(path)
    return path


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def draw(page, *points):
    """Draw a line on the paper, in its own coordinates."""
    page.locator("canvas.paper").scroll_into_view_if_needed()
    box = page.locator("canvas.paper").bounding_box()
    places = [(box["x"] + x * box["width"] / 200, box["y"] + y * box["height"] / 200) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)


def drawn(page):
    """Return what is on the paper, 0 to 1."""
    values = page.evaluate(
        """() => { const canvas = document.querySelector("canvas.paper");
          const { data } = canvas.getContext("2d").getImageData(0, 0, 200, 200);
          return [...data].filter((_, index) => index % 4 === 0); }"""
    )
    return np.array(values, np.float32).reshape(200, 200) / np.float32(255)


def shares(page):
    rows = page.locator(".shares").evaluate(
        "list => [...list.children].map(part => part.tagName === 'METER' ? part.value : part.textContent)"
    )
    return [(rows[i], rows[i + 1]) for i in range(0, len(rows), 3)]


def test_a_loaded_network_says_what_the_library_says(visitor, model):
    page = visitor.open("#/network")
    page.get_by_label("a model file").set_input_files(model)
    until(page, "document.querySelectorAll('canvas[aria-label^=filter]').length === 16")
    draw(page, (100, 30), (100, 170))
    until(page, "document.querySelectorAll('.layers section').length > 10")
    network = dc.load(model)
    right = Classifier(network, CLASSES, DIGITS).classify(drawn(page))
    wanted = [dict(right)[name] for name in CLASSES]
    for _ in range(40):
        if np.allclose([share for _, share in shares(page)], wanted, atol=1e-6):
            break
        page.wait_for_timeout(50)
    assert [name for name, _ in shares(page)] == list(CLASSES)  # no bar moves while one draws
    assert np.allclose([share for _, share in shares(page)], wanted, atol=1e-6)
    assert page.locator(".shares .top").all_inner_texts()[0] == right[0][0]
    rows = page.locator("table.summary tr").all_inner_texts()
    assert rows[-1].split() == ["total", "25,978", "601,600"]
    x = preprocess(drawn(page), DIGITS)[None]
    maps = dc.activations(network, x)
    titles = page.locator(".layers h4").all_inner_texts()
    assert len(titles) == len(maps) + 2  # the input, and the pixels that mattered
    assert titles[1] == f"pixels that mattered for {right[0][0]}"
    assert page.locator("canvas.heat").count() == 1
    value = maps["3"][0, 4]
    canvas = page.locator("canvas[aria-label^='Conv2d(16, 32'][aria-label$='map 5']")
    canvas.click(position={"x": 9 * 5.5, "y": 9 * 2.5})
    until(page, "document.querySelector('.detail strong')?.textContent.startsWith('layer 3, map 5')")
    said = page.locator(".detail strong").inner_text()
    assert said == f"layer 3, map 5, row 2, column 5: {dc_shown(value[2, 5])}"
    assert "it sees rows 0–4, columns 3–7" in page.locator(".detail p").first.inner_text()
    windows = np.pad(maps["2"][0], ((0, 0), (1, 1), (1, 1)))[:, 2:5, 5:8]
    weights = network.state()["3.weight"][4]
    for index in range(16):  # every map of the layer before
        assert np.allclose(small(page, f"window on map {index + 1}"), windows[index], atol=0.00051)
        assert np.allclose(small(page, f"weights for map {index + 1}"), weights[index], atol=0.00051)
    sums = page.locator(".kin b").all_inner_texts()
    assert np.allclose([number(text) for text in sums], (windows * weights).sum(axis=(1, 2)), rtol=6e-4)
    assert "the 16 sums below = " in page.locator(".detail .sum").inner_text()
    for layer, words in [
        ("1 BatchNorm", "(x − mean) / √(var + eps) · γ + β = "), ("2 ReLU", "max(0, "), ("6 MaxPool2d", "The greatest"),
        ("11 Flatten", "The number of layer 10 on map "), ("13 Linear", "The 12 largest of 256 terms of layer 12"),
    ]:  # fmt: skip
        name = layer.split()[0]
        page.locator(
            f"canvas.pointed[aria-label^='{layer.split()[1]}'], canvas[aria-label^='{name}:']"
        ).first.click()
        until(
            page,
            "layer => document.querySelector('.detail strong')?.textContent.startsWith(layer)",
            f"layer {name},",
        )
        until(page, "words => document.querySelector('.detail .sum')?.textContent.startsWith(words)", words)
    terms = np.array(
        [[number(t) for t in row.split("\t")] for row in page.locator(".terms tbody tr").all_inner_texts()]
    )
    assert np.allclose(terms[:, 1] * terms[:, 2], terms[:, 3], rtol=2e-3)
    before = page.locator(".detail strong").inner_text()
    draw(page, (60, 30), (150, 30), (150, 110))  # the activation follows the pen, and covers nothing
    until(page, "old => document.querySelector('.detail strong').textContent !== old", before)
    assert page.locator(".detail").evaluate("box => getComputedStyle(box).position") == "static"
    page.get_by_role("button", name="Clean paper").click()
    assert page.locator(".shares").count() == 0


def number(text):
    return float(text.replace("−", "-").replace(",", ""))


def small(page, label):
    """Return the numbers of a small table of what made an activation."""
    rows = page.locator(f"table[aria-label='{label}'] tr").all_inner_texts()
    return [[number(text) for text in row.split("\t")] for row in rows]


def dc_shown(value):
    """Return a number as the page shows it."""
    return f"{round(float(value), 3):g}".replace("-", "−")


def test_probabilities_follow_the_pen(visitor, model):
    page = visitor.open("#/network")
    page.get_by_label("a model file").set_input_files(model)
    until(page, "document.querySelectorAll('canvas[aria-label^=filter]').length === 16")
    box = page.locator("canvas.paper").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    seen = set()
    for x, y in [(140, 40), (120, 100), (90, 170), (60, 170), (140, 170)]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
        page.wait_for_timeout(250)
        seen.add(tuple(shares(page)))  # the pen is still down
    page.mouse.up()
    assert len(seen) >= 3


def test_the_pen_and_the_maps_by_keyboard(visitor, model):
    page = visitor.open("#/network")
    page.get_by_label("a model file").set_input_files(model)
    until(page, "document.querySelectorAll('canvas[aria-label^=filter]').length === 16")
    page.locator("canvas.paper").focus()
    for key in ["ArrowUp"] * 8 + [" "] + ["ArrowDown"] * 16:
        page.keyboard.press(key)
    until(page, "document.querySelectorAll('.layers section').length > 10")
    page.wait_for_timeout(300)
    assert drawn(page)[40:160, 95:105].max() < 0.2
    page.locator("canvas[aria-label^='Conv2d(1, 16'][tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.detail strong')?.textContent.startsWith('layer 0, map 2')")


def test_training_is_watched_paused_stopped_and_gone_on_with(browser, studio, tmp_path):
    with visiting(browser, studio) as visitor:
        page = visitor.open("#/network?epochs=30&seed=4")
        page.get_by_role("button", name="Train the digits").click()
        until(page, "document.querySelectorAll('canvas[aria-label^=filter]').length === 16")
        first = filters(page)
        until(page, "document.querySelector('.curves').getAttribute('aria-label').startsWith('after 2')")
        assert filters(page) != first  # they change as they learn
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Go on", exact=True).wait_for()
        page.wait_for_timeout(600)
        stood = page.locator(".curves").get_attribute("aria-label")
        page.get_by_role("link", name="The window").click()  # and back: nothing is lost
        page.wait_for_selector("td.output")
        page.go_back()
        page.get_by_role("button", name="Go on", exact=True).wait_for()
        assert page.locator(".curves").get_attribute("aria-label") == stood
        page.get_by_role("button", name="Go on", exact=True).click()
        until(page, "said => document.querySelector('.curves').getAttribute('aria-label') !== said", stood)
        page.get_by_role("button", name="Stop", exact=True).click()
        until(page, "document.querySelector('.room-network [role=status]').textContent.startsWith('Stopped')")
        assert (tmp_path / "studio-run" / "checkpoint.safetensors").exists()
        done = page.locator(".curves").get_attribute("aria-label").split()[1]
        page.get_by_role("button", name="Continue a stopped run").click()
        until(
            page, "!document.querySelector('.room-network [role=status]').textContent.startsWith('Stopped')"
        )
        assert page.locator(".curves").get_attribute("aria-label").startswith(f"after {done} of 30")
        other = page.context.new_page()
        other.goto(studio.page + "#/network")
        until(other, "document.querySelector('.news')?.textContent.includes('by another page')")
        other.get_by_role("button", name="Continue a stopped run").click()
        until(other, "document.querySelector('[role=alert]').textContent.includes('right now')")
        until(page, "n => Number(document.querySelector('.curves').ariaLabel.split(' ')[1]) > n", int(done))
        page.reload()
        for tab in (page, other):  # who looks is told that a run waits
            until(tab, "document.querySelector('.news')?.textContent.startsWith('A run was stopped after')")
        assert other.get_by_label("epochs").input_value() == "30"


def filters(page):
    return page.evaluate(
        "[...document.querySelectorAll('canvas[aria-label^=filter]')].map(canvas => canvas.toDataURL()).join()"
    )


def test_a_file_that_is_no_model_is_said(visitor):
    page = visitor.open("#/network")
    page.get_by_label("a model file").set_input_files(
        {
            "name": "x.safetensors",
            "mimeType": "application/octet-stream",
            "buffer": b"cos\nsystem\n(S'id'\ntR.",
        }
    )
    until(page, "document.querySelector('[role=alert]').textContent")
    assert "the model file" in page.locator("[role=alert]").inner_text()
    draw(page, (100, 30), (100, 170))
    assert "There is no network yet" in page.locator(".verdict").inner_text()
