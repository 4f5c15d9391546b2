"""The studio's page as a whole: the keyboard alone, what axe-core says of every room, and a line that breaks."""

import threading

import numpy as np
import pytest
import uvicorn

import deepconv as dc
from deepconv.studio.app import create_app
from deepconv.studio.security import Gate
from deepconv.studio.server import bind, configured
from tests.peers.browser import cell, lit, move, tab_to, table, until, visiting
from tests.peers.browser import violations as serious
from tests.studio.running import running

ROOMS = ("lab", "window", "matrix", "backward", "network", "check")
IMAGE = np.arange(1.0, 50).reshape(1, 1, 7, 7)
RELIEF = np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])[None, None]

LABELS = """sliders => sliders.map(slider => { const range = document.createRange();
  range.selectNodeContents(slider.querySelector("label"));
  return [range.getBoundingClientRect().right, slider.querySelector("input").getBoundingClientRect().left]; })"""
"""Where each slider's words end, and where the slider begins."""


def test_the_keyboard_alone_through_the_lab_and_the_window(visitor):
    page = visitor.open()
    until(page, "document.querySelectorAll('table.editor input').length === 9")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the room"
    page.keyboard.press("Enter")
    until(page, "location.hash.startsWith('#/lab')")
    tab_to(page, "select")
    page.keyboard.type("sob")  # the preset, by its first letters
    until(page, "location.hash.includes('name=sobel')")
    tab_to(page, "canvas[tabindex]")
    for key in ("ArrowDown", "ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    until(page, "document.querySelector('.pixel h3')?.textContent.includes('row 1, column 11')")
    page.keyboard.press("Shift+Tab")
    for _ in range(80):
        if page.evaluate("document.activeElement.textContent") == "The window":
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".room-window td.output")
    tab_to(page, "input[type=range]")
    page.keyboard.press("ArrowLeft")  # one row less
    until(page, "location.hash.includes('h=6')")
    page.wait_for_timeout(300)
    tab_to(page, "td.input")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert lit(page, "input") == [[1, 2]]
    page.keyboard.press("Enter")
    page.keyboard.type("100")
    page.keyboard.press("Enter")
    until(page, "location.hash.includes('x=')")
    changed = IMAGE[:, :, :6].copy()
    changed[0, 0, 1, 2] = 100
    page.wait_for_timeout(300)
    assert page.evaluate("Object.entries({...document.activeElement.dataset}).join()") == "row,1,column,2"
    assert table(page, "output") == dc.conv(changed, RELIEF)[0, 0].tolist()
    move(page, "rows", 4)
    until(page, "document.querySelectorAll('td.output').length === 10")
    assert table(page, "input") == changed[0, 0, :4].tolist()  # the typed number is still there


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, studio, scheme):
    with visiting(browser, studio, color_scheme=scheme) as visitor:
        page = visitor.open()
        found = {}
        for room in ROOMS:
            page.goto(f"{studio.page}#/{room}?h=4&w=5")  # few cells: each one's contrast is looked at
            page.wait_for_selector(f".room-{room}")
            page.wait_for_timeout(400)
            found[room] = serious(page)
        assert found == {room: [] for room in ROOMS}


@pytest.mark.parametrize("width", [320, 1440])
def test_no_room_is_wider_than_the_screen(browser, studio, width):
    with visiting(browser, studio, width=width, height=700) as visitor:
        page = visitor.open()
        for room in ROOMS:
            page.goto(f"{studio.page}#/{room}")
            page.wait_for_selector(f".room-{room} h2")
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if room == "lab" and width == 320:
                result = page.locator("canvas.picture").last.bounding_box()
                assert result["y"] < 500  # beside the picture, above the controls
            if room == "network" and width == 320:
                paper, said = (
                    page.locator("canvas.paper").bounding_box(),
                    page.locator(".verdict").bounding_box(),
                )
                assert 0 < said["y"] - paper["y"] < 420  # what it says fits on the screen beside the pen
            for fold in page.locator(".fold:visible").all():
                fold.click()
            across = page.locator(".slider:visible").evaluate_all(LABELS)
            assert all(label <= control for label, control in across), (room, across)


def test_a_room_opened_by_a_link_has_the_focus(visitor):
    page = visitor.open("#/window")
    page.get_by_role("link", name="The matrix").click()
    page.wait_for_selector(".room-matrix td")
    assert page.evaluate("document.activeElement.id") == "room"
    assert page.title() == "The matrix · deepconv studio"
    assert page.locator("nav a[aria-current]").inner_text() == "The matrix"


def test_a_line_that_breaks_is_said(browser):
    with running() as studio:
        visitor = visiting(browser, studio)
        page = (entered := visitor.__enter__()).open("#/window")
        page.wait_for_selector("td.output")
        cell(page, "output", 0, 0).hover()
    until(page, "document.getElementById('connection').textContent.includes('does not answer')")
    assert page.locator("td.output").count() == 25  # what was there stays
    server = uvicorn.Server(configured(create_app(Gate("another-token"))))
    with bind("127.0.0.1", studio.port) as listening:  # started anew: its address has another token
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until(
            page, "document.getElementById('connection').textContent.includes('open the one that it printed')"
        )
        server.should_exit = True
        thread.join(10)
    entered.complaints.clear()  # the browser says so too
    visitor.__exit__(None, None, None)
