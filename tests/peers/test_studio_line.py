"""The page's line to the library and its address: broken and mended, questions overtaken, rooms left at once."""

import base64
import contextlib
import threading

import numpy as np
import pytest
import uvicorn

import deepconv as dc
from deepconv.studio.app import create_app
from deepconv.studio.security import Gate
from deepconv.studio.server import bind, configured
from tests.peers.browser import move, table, until, visiting
from tests.peers.test_studio_lab import HANDED, canvas, opened, picture  # noqa: F401 (a fixture)
from tests.studio.running import running

pytestmark = pytest.mark.full  # a browser, a second or two of a processor each


@contextlib.contextmanager
def again(studio):
    """Run a studio where another one was, with the address that it had."""
    token = studio.page.rstrip("/").rpartition("/")[2]
    server = uvicorn.Server(configured(create_app(Gate(token))))
    with bind("127.0.0.1", studio.port) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(10)


def test_a_line_that_is_mended_answers_what_was_asked_without_one(browser):
    """While nobody answers a slider is moved; the page tries again, and shows what the slider says now."""
    with running() as studio:
        visitor = visiting(browser, studio)
        page = (entered := visitor.__enter__()).open("#/window")
        page.wait_for_selector("td.output")
    until(page, "document.getElementById('connection').textContent.includes('does not answer')")
    page.wait_for_timeout(1500)  # one more try has failed
    move(page, "rows", 5)
    page.wait_for_timeout(1500)
    assert page.locator("td.output").count() == 25
    with again(studio):
        until(page, "document.getElementById('connection').hidden")
        until(page, "document.querySelectorAll('td.output').length === 15")
        move(page, "columns", 4)  # and goes on answering
        until(page, "document.querySelectorAll('td.output').length === 6")
        image, relief = (np.array(table(page, name))[None, None] for name in ("input", "weights"))
        assert table(page, "output") == dc.conv(image, relief)[0, 0].tolist()
        entered.complaints.clear()  # the browser says that nobody answered
        visitor.__exit__(None, None, None)


def test_of_questions_that_wait_only_the_newest_is_asked(visitor):
    page = visitor.open("#/window")
    page.wait_for_selector("td.output")
    found = page.evaluate(
        """async () => {
          const { askLatest, superseded } = await import(new URL("api.js", document.baseURI));
          const texts = ["1 2 3", "4 5 6", "7 8 9", "3 2 1"];
          const late = new Promise((done) => setTimeout(done, 5000, "no answer"));
          const answers = await Promise.all(texts.map((text) =>
            Promise.race([askLatest("lab", "numbers", { text }), late])));
          return answers.map((answer) => (answer === superseded ? "superseded" : answer.blobs ? "answered" : answer));
        }"""
    )
    assert found == ["answered", "superseded", "superseded", "answered"]


def test_a_room_that_was_left_before_it_came_is_not_shown(visitor):
    page = visitor.open("#/window")
    page.wait_for_selector("td.output")
    held = []
    page.route("**/rooms/matrix.js", lambda route: held.append(route))
    page.get_by_role("link", name="The matrix").click()
    until(page, "document.title.startsWith('The matrix')")
    page.get_by_role("link", name="Check mine").click()
    page.wait_for_selector(".room-check textarea")
    assert held
    held[0].continue_()
    page.wait_for_timeout(1000)
    assert page.locator("#room > div").evaluate_all("rooms => rooms.map(room => room.className)") == [
        "room room-check"
    ]


@pytest.mark.parametrize("place", ["", "#/nowhere?h=3"])
def test_an_address_of_no_room_is_the_labs(visitor, place):
    page = visitor.open(place)
    assert page.locator("nav a[aria-current]").all_inner_texts() == ["Kernel lab"]
    until(page, "location.hash.startsWith('#/lab')")


def test_only_a_choice_that_changes_something_is_a_step_of_back(visitor):
    page = visitor.open("#/check")
    steps = page.evaluate(
        """async () => {
          const { write } = await import(new URL("state.js", document.baseURI));
          const before = history.length;
          const write4 = (push) => { write("window", { h: 4 }, { push }); return history.length - before; };
          return [write4(true), write4(true), (write("window", { h: 5 }), history.length - before), location.hash];
        }"""
    )
    assert steps == [1, 1, 1, "#/window?h=5"]


def test_a_drag_of_a_slider_is_one_choice(visitor):
    page = visitor.open("#/window")
    page.wait_for_selector("td.output")
    slider = page.get_by_label("rows", exact=True)
    grown = slider.evaluate(
        """input => { const before = history.length;
          for (const value of [6, 5, 4]) { input.value = value; input.dispatchEvent(new Event("input")); }
          input.dispatchEvent(new Event("change"));
          return history.length - before; }"""
    )
    assert grown == 1
    until(page, "location.hash.includes('h=4')")


def test_a_picture_pasted_in_another_room_is_not_taken(visitor, picture):  # noqa: F811
    """Once the lab is left it takes no picture: neither there and then, nor shown when one comes back."""
    page = opened(visitor)
    page.get_by_role("link", name="The window").click()
    page.wait_for_selector("td.output")
    for way in ("paste", "drop"):
        page.evaluate(HANDED, [way, base64.b64encode(picture[1]).decode()])
    page.wait_for_timeout(500)
    page.go_back()
    until(page, "document.querySelector('canvas.picture')")
    page.wait_for_timeout(500)
    assert canvas(page, 0).shape[1] == 451  # the cat


def test_the_cameras_light_goes_out(visitor):
    page = opened(visitor)
    page.evaluate(
        """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (wish) => (window.stream = await ask(wish)); }"""
    )
    lives = "window.stream?.getTracks().map((track) => track.readyState).join()"
    for end in (
        lambda: page.get_by_role("button", name="Webcam").click(),
        lambda: page.get_by_role("link", name="The window").click(),
    ):
        page.get_by_role("button", name="Webcam").click()
        until(page, "document.querySelector('[aria-pressed=true]')")
        assert page.evaluate(lives) == "live"
        end()
        until(page, f"{lives} === 'ended'", seconds=5)
