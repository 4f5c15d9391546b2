"""The rooms of the small convolution, used in a browser as a person would; every number held against the library."""

import numpy as np
import pytest

import deepconv as dc
from tests.peers.browser import cell, lit, move, table, until, visiting

IMAGE = np.arange(1.0, 50).reshape(1, 1, 7, 7)
RELIEF = np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])[None, None]


def test_the_window_shows_the_librarys_numbers(visitor):
    page = visitor.open("#/window?pl=2&sh=2&sw=3&h=6")
    until(page, "document.querySelectorAll('table.numbers').length > 3")
    y = dc.conv(IMAGE[:, :, :6], RELIEF, stride=(2, 3), padding=((0, 0), (2, 0)))[0, 0]
    assert table(page, "output") == y.tolist()
    assert "⌊(6 + 0 + 0 − 1·(3 − 1) − 1) / 2⌋ + 1 = 2" in page.locator(".formula").inner_text()
    cell(page, "output", 1, 1).hover()
    assert lit(page, "input") == [[i, j] for i in (2, 3, 4) for j in (3, 4, 5)]
    assert lit(page, "output") == [[1, 1]]
    assert page.locator(".sum").inner_text().endswith(f" = {y[1, 1]:g}")  # what is pointed at, not window 1
    cell(page, "output", 0, 2).click()
    page.mouse.move(2, 2)
    assert page.locator(".sum").inner_text().endswith(f" = {y[0, 2]:g}")  # kept
    assert page.get_by_label("window", exact=True).input_value() == "3"
    cell(page, "output", 1, 1).hover()
    columns = dc.im2col(IMAGE[:, :, :6], 3, stride=(2, 3), padding=((0, 0), (2, 0)))[0]
    assert table(page, "what the window sees") == columns.tolist()
    assert lit(page, "what the window sees") == [[4, j] for j in range(9)]


def test_a_pixel_lights_every_window_that_holds_it(visitor):
    page = visitor.open("#/window")
    cell(page, "input", 0, 2).hover()  # the post: "3 was present three times"
    assert "3 is present three times: in 3 windows" in page.locator("[role=status]").last.inner_text()
    assert lit(page, "output") == [[0, 0], [0, 1], [0, 2]]
    assert sorted(lit(page, "what the window sees")) == [[0, 2], [1, 1], [2, 0]]


def test_sliders_steps_and_the_address(visitor):
    page = visitor.open("#/window")
    move(page, "top", 1)
    move(page, "down", 2)
    expected = dc.conv(IMAGE, RELIEF, stride=(2, 1), padding=((1, 0), (0, 0)))[0, 0]
    until(page, "n => document.querySelectorAll('td.output').length === n", expected.size)
    assert table(page, "output") == expected.tolist()
    page.get_by_role("button", name="Step", exact=True).click()
    assert lit(page, "output") == [[0, 1]]
    address = page.url
    assert {"pt=1", "sh=2", "at=1"} <= set(address.partition("?")[2].split("&"))
    other = page.context.new_page()
    other.goto(address)
    until(other, "document.querySelectorAll('td.lit').length > 3")
    assert table(other, "output") == expected.tolist()
    assert lit(other, "output") == [[0, 1]]
    page.get_by_role("link", name="The matrix").click()
    page.wait_for_selector(".room-matrix table")
    page.go_back()
    page.wait_for_selector(".room-window table")
    assert page.url == address


def test_a_setting_that_cannot_work_explains_itself(visitor):
    page = visitor.open("#/window?h=2")
    until(page, "document.querySelector('[role=alert]').textContent")
    assert "is larger than the padded image (2, 7)" in page.locator("[role=alert]").inner_text()
    assert "⌊(2 + 0 + 0 − 1·(3 − 1) − 1) / 1⌋ + 1 = 0" in page.locator(".formula").inner_text()
    assert not page.get_by_text("Play").is_visible()
    move(page, "bottom", 1)
    until(page, "!document.querySelector('[role=alert]').textContent")
    assert np.shape(table(page, "output")) == (1, 5)


def test_transposed_is_the_stamp(visitor):
    page = visitor.open("#/window?t=1&h=3&w=2&r=2&s=3&sh=2&pt=1")
    x, w = np.arange(1.0, 7).reshape(1, 1, 3, 2), (np.arange(6) * 7 + 3) % 5 - 1.0
    page.wait_for_selector("td.output")
    full = dc.conv_transpose(x, w.reshape(1, 1, 2, 3), stride=(2, 1))[0, 0]
    assert table(page, "output") == full.tolist()
    assert "(3 − 1)·2 − 1 − 0 + 1·(2 − 1) + 1 = 5" in page.locator(".formula").inner_text()
    assert page.locator("td.cropped").count() == 4  # the row that padding cuts off
    cell(page, "output", 2, 1).hover()
    said = page.locator(".sum").inner_text().replace("−", "-")
    assert said == f"3·({w[1]:g}) + 4·{w[0]:g} + 0 = {full[2, 1]:g}"  # two stamps, and the bias
    cell(page, "input", 1, 1).hover()
    assert lit(page, "output") == [[i, j] for i in (2, 3) for j in (1, 2, 3)]


def test_the_matrix_of_the_post_and_of_three_channels(visitor):
    page = visitor.open("#/matrix")
    page.wait_for_selector("td.output")
    assert np.shape(table(page, "vec(x)")) == (25, 9)
    page.get_by_role("button", name="25 × 27, with three channels").click()
    until(page, "document.querySelectorAll('td.output').length > 60")
    columns, matrix = np.array(table(page, "vec(x)")), np.array(table(page, "W, 27 × 2"))
    x = np.arange(1.0, 148).reshape(1, 3, 7, 7)
    assert np.array_equal(columns, dc.im2col(x, 3)[0])
    y = dc.conv(x, np.ascontiguousarray(matrix.T).reshape(2, 3, 3, 3))[0]
    assert table(page, "y, 25 × 2") == y.reshape(2, 25).T.tolist()
    assert table(page, "y as an image, 5 × 5, filter 2") == y[1].tolist()
    assert page.locator(".sum").inner_text().count(" + ") == 2 * 27  # the bias too, nothing left out
    tops = page.locator(".product > *").evaluate_all(
        "parts => parts.map(part => part.getBoundingClientRect().top)"
    )
    assert len(tops) == 7
    assert max(tops) - min(tops) < 40  # the product stands in one line


def test_the_way_back_and_one_step(visitor):
    page = visitor.open("#/backward?sh=2&pl=1&rate=0.5")
    page.wait_for_selector("td.gradient")
    page.get_by_role("button", name="1 in one place").click()
    until(
        page, "[...document.querySelectorAll('td.gradient')].filter(c => c.textContent === '1').length < 40"
    )
    words = {"stride": (2, 1), "padding": ((0, 0), (1, 0))}
    dy = np.zeros((1, 1, 3, 6))
    dy[0, 0, 0, 0] = 1
    assert table(page, "dy") == dy[0, 0].tolist()
    assert table(page, "dx") == dc.conv_input_grad(dy, RELIEF, IMAGE.shape, **words)[0, 0].tolist()
    dw = dc.conv_weight_grad(dy, IMAGE, RELIEF.shape, **words)
    assert table(page, "dw") == dw[0, 0].tolist()
    assert table(page, "new weights") == (RELIEF - 0.5 * dw)[0, 0].tolist()
    page.get_by_role("button", name="Take the step").click()
    until(page, "document.location.hash.includes('wt=')")
    page.wait_for_timeout(200)
    assert table(page, "weights") == (RELIEF - 0.5 * dw)[0, 0].tolist()
    page.go_back()  # undoes the step
    until(page, "!document.location.hash.includes('wt=')")
    page.wait_for_selector("td.gradient")
    assert table(page, "weights") == RELIEF[0, 0].tolist()
    assert table(page, "dy") == dy[0, 0].tolist()


def test_each_gradient_says_where_it_comes_from(visitor):
    page = visitor.open("#/backward?pt=1&k=2")
    page.wait_for_selector("td.gradient")
    cell(page, "dx", 0, 2).hover()
    assert (
        lit(page, "dy, filter 1") == lit(page, "dy, filter 2") == [[i, j] for i in (0, 1) for j in (0, 1, 2)]
    )
    weight = (np.array(table(page, "weights, filter 1")), np.array(table(page, "weights, filter 2")))
    dx = np.array(table(page, "dx"))
    assert page.locator(".sum").inner_text().endswith(f"= {dx[0, 2]:g}".replace("-", "−"))
    x = IMAGE
    words = {"padding": ((1, 0), (0, 0))}
    assert np.array_equal(
        dx, dc.conv_input_grad(np.ones((1, 2, 6, 5)), np.stack(weight)[:, None], x.shape, **words)[0, 0]
    )
    cell(page, "dw, filter 2", 2, 2).hover()
    said = page.locator(".sum").inner_text()
    box = page.locator(".sum").bounding_box()
    assert 0 <= box["y"] < 500  # in sight, however far down the table stands
    assert said.startswith("dw = 10·1 + 11·1")
    assert said.endswith(f"= {table(page, 'dw, filter 2')[2][2]:g}")
    cell(page, "db", 0, 1).hover()
    assert page.locator(".sum").inner_text().endswith("= 30")


def test_the_matrix_row_by_row(visitor):
    page = visitor.open("#/matrix?at=6&k=2")
    page.wait_for_selector("td.output")
    said = page.locator(".sum").inner_text().splitlines()
    y = np.array(table(page, "y, 25 × 2"))
    assert [line.partition(" = ")[0] for line in said] == ["y[0, 0, 1, 1]", "y[0, 1, 1, 1]"]
    assert [line.rpartition("= ")[2].replace("−", "-") for line in said] == [f"{value:g}" for value in y[6]]
    page.get_by_role("button", name="Step", exact=True).click()
    assert lit(page, "vec(x)") == [[7, j] for j in range(9)]
    assert lit(page, "y as an image, 5 × 5, filter 2") == [[1, 2]]
    move(page, "row", 23)
    heights = page.evaluate(
        """() => [...document.querySelectorAll(".product td.input.lit, .product td.output.lit")].map(cell => {
          const [own, box] = [cell, cell.closest(".scroll")].map(part => part.getBoundingClientRect());
          return own.top >= box.top && own.bottom <= box.bottom && own.top; })"""
    )
    assert len(heights) == 9 + 2
    assert heights[0]  # the lit row is within what its box shows
    assert set(heights) == {heights[0]}  # and in both tables at one height


def test_play_walks_and_pauses(visitor):
    page = visitor.open("#/window")
    page.wait_for_selector("td.output")
    page.get_by_role("button", name="Play").click()
    until(page, "document.location.hash.includes('at=2')")
    page.get_by_role("button", name="Pause").click()
    stood = page.url
    page.wait_for_timeout(900)
    assert page.url == stood


def test_back_undoes_a_slider(visitor):
    page = visitor.open("#/window")
    page.wait_for_selector("td.output")
    before = table(page, "output")
    slider = page.get_by_label("kernel rows", exact=True)
    slider.focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelectorAll('td.output').length === 20")
    page.go_back()
    until(page, "document.querySelectorAll('td.output').length === 25")
    assert table(page, "output") == before


@pytest.mark.parametrize("room", ["window", "matrix", "backward"])
def test_a_narrow_screen_scrolls_only_within_its_tables(browser, studio, room):
    with visiting(browser, studio, width=320, height=640) as visitor:
        page = visitor.open(f"#/{room}")
        page.wait_for_selector("td")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
