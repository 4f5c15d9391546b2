"""The kernel lab, used in a browser: every pixel on the page is the library's, whatever is chosen, typed or shown."""

import base64
import io
import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from deepconv import images
from tests.peers.browser import move, until, visiting

CAT = files("deepconv.studio").joinpath("page/cat.jpg")


@pytest.fixture(scope="module")
def cat():
    return np.asarray(Image.open(io.BytesIO(CAT.read_bytes())).convert("RGB"))


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def upload(pixels):
    return {"name": "plain.png", "mimeType": "image/png", "buffer": png(pixels)}


@pytest.fixture
def picture(rng):
    """A picture of odd sizes, as a file."""
    pixels = rng.integers(0, 256, (43, 61, 3), np.uint8)
    return pixels, png(pixels)


def opened(visitor, place="#/lab"):
    page = visitor.open(place)
    until(page, "document.querySelector('.cost')?.textContent.includes('pixels')")
    return page


def canvas(page, which=1):
    """Return the pixels of the picture, 0, or of the result, 1; None while the room is being opened."""
    text = page.evaluate(
        """which => {
          const canvas = document.querySelectorAll("canvas.picture")[which];
          if (!canvas) return null;
          const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let text = "";
          for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
          return [btoa(text), height, width];
        }""",
        which,
    )
    if text is None:
        return None
    return np.frombuffer(base64.b64decode(text[0]), np.uint8).reshape(text[1], text[2], 4)[..., :3]


def shows(page, expected, seconds=20):
    """Wait until the result is as expected, and hold each pixel against it."""
    until(
        page, "n => document.querySelectorAll('canvas.picture')[1]?.width === n", expected.shape[1], seconds
    )
    for _ in range(60):
        if np.array_equal(canvas(page), expected):
            return
        page.wait_for_timeout(50)
    np.testing.assert_array_equal(canvas(page), expected)


def put(page, row, column, value):
    page.get_by_label(f"row {row}, column {column}", exact=True).fill(str(value))


def test_presets_borders_stride_flip_and_signs(visitor, cat):
    page = opened(visitor)
    assert np.array_equal(canvas(page, 0), cat)
    shows(page, images.apply(cat, "sharpen", signed="clip"))
    page.get_by_label("preset").select_option("sobel")
    until(page, "document.querySelector('table.editor caption').textContent.includes('two kernels')")
    view = page.get_by_label("negative results").input_value()
    assert view == images.effect("sobel").view
    shows(page, images.apply(cat, "sobel", signed=view))
    page.get_by_label("preset").select_option("emboss")
    until(page, "document.location.hash.includes('name=emboss')")
    view = page.get_by_label("negative results").input_value()
    page.get_by_label("beyond the edge").select_option("wrap")
    move(page, "stride", 2)
    page.get_by_label("flip the kernel").check()
    kernel = images.effect("emboss").kernels[0]
    shows(page, images.apply(cat, kernel, border="wrap", flip=True, signed=view)[::2, ::2])
    page.get_by_label("negative results").select_option("stretch")
    shows(page, images.apply(cat, kernel, border="wrap", flip=True, signed="stretch")[::2, ::2])
    page.go_back()
    shows(page, images.apply(cat, kernel, border="wrap", flip=True, signed=view)[::2, ::2])


def test_a_named_kernel_keeps_its_name_whatever_its_size(browser, studio, cat):
    """And what it is copied as is short enough to be read."""
    with visiting(browser, studio, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        page = opened(visitor, "#/lab?name=gaussian")
        shows(page, images.apply(cat, "gaussian"))
        cut = "[...document.querySelectorAll('table.editor input')].filter(i => i.scrollWidth > i.clientWidth).length"
        assert page.evaluate(cut) == 0
        assert (
            page.get_by_label("row 1, column 1", exact=True).input_value() == "2e-5"
        )  # rounded, not cut off
        page.get_by_label("sigma").fill("3")
        page.get_by_label("sigma").press("Enter")
        shows(page, images.apply(cat, "gaussian sigma=3"))  # 19 × 19, more than the grid shows
        assert page.locator("table.editor input").count() == 0
        page.get_by_role("button", name="Copy as Python").click()
        page.get_by_role("button", name="Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert "result = dc.images.apply(picture, 'gaussian sigma=3')\n" in copied
        assert "overwrite=True" in page.inner_text("main")
        page.get_by_label("sigma").fill("-1")
        page.get_by_label("sigma").press("Enter")
        until(page, "document.querySelector('[role=alert]').textContent.includes('sigma=')")
        assert page.get_by_label("sigma").input_value() == "3"
        assert "name=gaussian+sigma%3D3" in page.url


def test_a_grid_of_ones_own_from_one_to_fifteen(visitor, cat):
    page = opened(visitor, "#/lab?signed=grey")
    move(page, "rows", 2)
    move(page, "columns", 4)
    kernel = np.zeros((2, 4))
    for row in range(2):
        for column in range(4):
            kernel[row, column] = 3 * row - 2 * column + 2
            put(page, row + 1, column + 1, kernel[row, column])
    shows(page, images.apply(cat, kernel, signed="grey"))
    page.get_by_label("divisor").fill("2.5")
    page.get_by_label("divisor").press("Enter")
    move(page, "offset", 0.25)
    shows(page, images.apply(cat, kernel, divisor=2.5, offset=0.25, signed="grey"))
    for label, value, why, stays in (
        ("divisor", "0", "other than 0; 2.5 stays", "2.5"),
        ("row 2, column 3", "", "holds no number, so 1 stays", "1"),
    ):
        page.get_by_label(label, exact=True).fill(value)
        page.get_by_label(label, exact=True).blur()
        until(page, "why => document.querySelector('[role=alert]').textContent.includes(why)", why)
        assert page.get_by_label(label, exact=True).input_value() == stays
    page.get_by_role("button", name="divide by the sum").click()
    until(page, "n => document.location.hash.includes(`divisor=${n}`)", f"{kernel.sum():g}")
    shows(page, images.apply(cat, kernel, divisor=kernel.sum(), offset=0.25, signed="grey"))
    address = page.url
    move(page, "rows", 15)
    move(page, "columns", 15)
    large = np.zeros((15, 15))
    large[6:8, 5:9] = kernel
    assert page.locator("table.editor input").count() == 225
    assert page.evaluate(
        "document.querySelector('.kernel .scroll').matches(':not(.columns > div:first-child *)')"
    )
    assert page.evaluate(
        "(box => box.scrollWidth <= box.clientWidth)(document.querySelector('.kernel .scroll'))"
    )
    shows(page, images.apply(cat, large, divisor=kernel.sum(), offset=0.25, signed="grey"))
    move(page, "rows", 1)
    move(page, "columns", 1)
    put(page, 1, 1, -0.5)
    shows(page, images.apply(cat, np.array([[-0.5]]), divisor=kernel.sum(), offset=0.25, signed="grey"))
    page.goto(address)  # the link reproduces what was seen
    shows(page, images.apply(cat, kernel, divisor=kernel.sum(), offset=0.25, signed="grey"))


def test_a_pixel_shows_its_products_and_its_sum(visitor, cat):
    page = opened(visitor, "#/lab?k=1 2 -3;0.5 0 1&stride=2&border=zero&at=4,9")
    kernel = np.array([[1, 2, -3], [0.5, 0, 1]])
    sums = images.correlate(cat.astype(float), kernel, border="zero")[::2, ::2]
    until(page, "document.querySelector('.pixel h3')")
    text = page.locator(".pixel p").inner_text()
    shown = canvas(page)[4, 9]
    for name, total, shade in zip(("red", "green", "blue"), sums[4, 9], shown, strict=True):
        assert f"{name} {total:g}, shown as {shade}".replace("-", "−") in text
    products = page.locator(".pixel table").nth(2)
    rows = products.locator("tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    found = np.array([[float(value.replace("−", "-")) for value in row] for row in rows])
    assert np.array_equal(found, cat[7:9, 17:20, 0] * kernel)
    result = page.locator("canvas.picture").nth(1)
    box = result.bounding_box()
    scale = box["width"] / shown_width(page)
    page.mouse.move(box["x"] + 30.5 * scale, box["y"] + 20.5 * scale)
    until(page, "document.querySelector('.pixel h3').textContent.startsWith('row 20, column 30')")
    assert f"red {sums[20, 30, 0]:g}".replace("-", "−") in page.locator(".pixel p").inner_text()
    page.mouse.click(box["x"] + 30.5 * scale, box["y"] + 20.5 * scale)
    until(page, "document.location.hash.includes('at=20')")
    page.mouse.move(5, 5)
    page.wait_for_timeout(300)
    assert page.locator(".pixel h3").inner_text().startswith("row 20, column 30")  # a click keeps it


def test_a_pixel_with_transparency_shows_the_librarys_numbers(visitor, rng):
    pixels = rng.integers(0, 256, (3, 2, 4), np.uint8)
    pixels[1, 0] = 30, 90, 200, 7  # a canvas keeps the colours of what is hardly opaque only about
    page = opened(visitor, "#/lab?at=1,0&border=mirror")
    page.get_by_label("your own").set_input_files(upload(pixels))
    until(page, "document.querySelector('.pixel p')?.textContent.includes('opacity')")
    found = images.apply(pixels, "sharpen", border="mirror")[1, 0]
    text = page.locator(".pixel p").first.inner_text()
    assert re.findall(r"shown as (\d+)", text) == [str(value) for value in found[:3]]
    assert f"opacity {found[3]} of 255" in text
    weights = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    around = np.pad(pixels.astype(float), ((0, 0), (1, 1), (0, 0)), mode="reflect")[:, :3]
    sums = (around[..., 0] * around[..., 3] / 255 * weights).sum()
    assert "red: pixels" in page.locator(".pixel").inner_text()
    assert f"products, sum {sums:.6g}".replace("-", "−") in page.locator(".pixel").inner_text()
    assert page.locator("canvas.picture").first.bounding_box()["height"] > 200  # 3 pixels, enlarged


def shown_width(page):
    return page.evaluate("document.querySelectorAll('canvas.picture')[1].width")


HANDED = """([name, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "mine.png", { type: "image/png" }));
  const event = name === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("way", ["file", "drop", "paste"])
def test_ones_own_picture(visitor, picture, way):
    pixels, data = picture
    page = opened(visitor)
    if way == "file":
        page.get_by_label("your own").set_input_files(upload(pixels))
    else:
        page.evaluate(HANDED, [way, base64.b64encode(data).decode()])
    shows(page, images.apply(pixels, "sharpen", signed="clip"))
    assert "61 × 43 pixels" in page.locator(".explain").nth(2).inner_text() or "61 × 43" in page.inner_text(
        "main"
    )
    page.get_by_role("button", name="The cat").click()
    until(page, "document.querySelector('canvas.picture').width === 451")
    assert page.get_by_label("your own").evaluate("file => file.files.length") == 0


def test_a_file_that_is_no_picture_is_said(visitor, picture):
    pixels, _ = picture
    page = opened(visitor)
    page.get_by_label("your own").set_input_files(upload(pixels))
    until(page, "document.querySelector('canvas.picture').width === 61")
    page.get_by_label("your own").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    until(page, "document.querySelector('[role=alert]').textContent")
    page.get_by_label("preset").select_option("box")
    shows(page, images.apply(pixels, "box"))
    assert "the picture can't be read" in page.locator("[role=alert]").inner_text()
    page.get_by_role("link", name="The window").click()
    page.wait_for_selector(".room-window td.output")
    page.get_by_role("link", name="Kernel lab").click()
    until(page, "document.querySelectorAll('canvas.picture')[1]?.width === 61")
    shows(page, images.apply(pixels, "sharpen", signed="clip"))
    with page.expect_download() as started:
        page.get_by_role("button", name="Save the result").click()
    assert started.value.suggested_filename == "plain-filtered.png"


def test_the_webcam(visitor):
    page = opened(visitor, "#/lab?name=identity")
    page.get_by_role("button", name="Webcam").click()
    until(page, "document.querySelector('canvas.picture').width === 640")
    first = canvas(page, 0)
    until(page, "document.querySelectorAll('canvas.picture')[1].width === 640")
    for _ in range(100):
        page.wait_for_timeout(100)
        if not np.array_equal(canvas(page, 0), first):  # it moves
            break
    else:
        pytest.fail("the webcam's picture stands still")
    page.get_by_role("button", name="Webcam").click()
    page.wait_for_timeout(1000)
    last = canvas(page, 0)
    page.wait_for_timeout(400)
    assert np.array_equal(canvas(page, 0), last)
    assert np.array_equal(canvas(page), last)  # the identity


def test_saving_and_copying(browser, studio, cat):
    with visiting(browser, studio, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        page = opened(visitor, "#/lab?k=0 -1 0;-1 5 -1;0 -1 1&border=mirror")
        with page.expect_download() as started:
            page.get_by_role("button", name="Save the result").click()
        saved = np.asarray(Image.open(started.value.path()))
        kernel = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 1.0]])
        assert np.array_equal(saved, images.apply(cat, kernel, border="mirror", signed="clip"))
        copied = {}
        for name in ("Copy as Python", "Copy as command", "Copy the link"):
            page.get_by_role("button", name=name).click()
            page.get_by_role("button", name="Copied").wait_for()
            copied[name] = page.evaluate("navigator.clipboard.readText()")
            page.get_by_role("button", name=name).wait_for()
        assert (
            "dc.images.apply(picture, '0 -1 0; -1 5 -1; 0 -1 1', border='mirror'" in copied["Copy as Python"]
        )
        assert copied["Copy as command"].startswith("deepconv filter photo.jpg -k '0 -1 0; -1 5 -1; 0 -1 1'")
        assert copied["Copy the link"] == page.url


def test_moves_in_haste_end_with_the_last(visitor, cat):
    page = opened(visitor)
    page.get_by_label("offset").evaluate(
        """input => { for (let k = 0; k <= 40; k++) {
          input.value = -1 + k / 20; input.dispatchEvent(new Event("input")); } }"""
    )
    shows(page, images.apply(cat, "sharpen", offset=1.0, signed="clip"))
