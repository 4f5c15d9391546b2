"""The grids of the small rooms, cell by cell: what each is kin to, what typing in it changes, and every sum's terms."""

import re

import numpy as np
import pytest

import deepconv as dc
from tests.peers.browser import cell, lit, move, table, until

pytestmark = pytest.mark.full  # a browser, a second or two of a processor each

WORDS = {"padding": ((1, 0), (2, 0))}
IMAGE = np.arange(1.0, 61).reshape(1, 2, 5, 6)
WEIGHT = (np.arange(24) * 7 + 3) % 5 - 2.0
WHERE = f"c=2&k=2&h=5&w=6&r=2&s=3&pt=1&pl=2&b=3,-4&wt={','.join(f'{number:g}' for number in WEIGHT)}"
BIAS = np.array([3.0, -4.0])


def opened(visitor, place):
    page = visitor.open(place)
    page.wait_for_selector("td")
    return page


def typed(page, place, text, end="Enter"):
    place.dblclick()
    page.keyboard.type(str(text))
    page.keyboard.press(end)
    page.wait_for_timeout(250)


def numbers(page, name):
    """Return the list that stands in the address under a name."""
    found = re.search(rf"[?&]{name}=([^&]*)", page.url)
    return [float(part) for part in found[1].replace("%2C", ",").split(",")] if found else None


def terms(line):
    """Return a sum's name, the value of each of its terms, and its total."""
    name, _, rest = (
        line.replace("−", "-").replace("(", "").replace(")", "").partition(" = " if "y[" in line else ": ")
    )
    listed, _, total = rest.rpartition(" = ")
    return (
        name,
        [
            np.prod([float(part) for part in term.split("·")])
            for term in listed.split(" + ")
            if "more" not in term
        ],
        float(total),
    )


def test_a_weight_its_pixels_and_its_column(visitor):
    page = opened(visitor, f"#/window?{WHERE}")
    cell(page, "weights, filter 2, channel 2", 1, 2).hover()
    assert lit(page, "weights, filter 2, channel 2") == [[1, 2]]
    assert lit(page, "weights, filter 1, channel 2") == lit(page, "weights, filter 2, channel 1") == []
    assert lit(page, "what the window sees") == [[place, 11] for place in range(30)]
    assert lit(page, re.compile("^W$")) == [[11, 1]]
    assert lit(page, "input, channel 2") == [[i, j] for i in range(1, 6) for j in range(2, 8)]
    assert lit(page, "input, channel 1") == []
    page.mouse.move(2, 2)
    page.wait_for_timeout(100)
    assert lit(page, "output, filter 1") == lit(page, "output, filter 2") == [[0, 0]]  # what is held


def test_each_filters_sum_has_its_own_terms(visitor):
    page = opened(visitor, f"#/window?{WHERE}&at=13")
    weight = WEIGHT.reshape(2, 2, 2, 3)
    y = dc.conv(IMAGE, weight, BIAS, **WORDS)[0].reshape(2, -1)
    row = dc.im2col(IMAGE, (2, 3), **WORDS)[0, 13]
    lines = page.locator(".sum").inner_text().splitlines()
    for k, line in enumerate(lines):
        name, found, total = terms(line)
        assert name == f"filter {k + 1}"
        assert found == [*(row * weight[k].ravel()), BIAS[k]]
        assert total == y[k, 13]


def test_typing_in_any_grid_changes_that_number_alone(visitor):
    page = opened(visitor, f"#/window?{WHERE}")
    image, weight = IMAGE.copy(), WEIGHT.reshape(2, 2, 2, 3).copy()
    typed(page, cell(page, "input, channel 2", 2, 3), 77)
    image[0, 1, 1, 1] = 77
    assert numbers(page, "x") == image.ravel().tolist()
    typed(page, cell(page, "weights, filter 2, channel 1", 1, 0), 9)
    weight[1, 0, 1, 0] = 9
    assert numbers(page, "wt") == weight.ravel().tolist()
    assert table(page, "output, filter 2") == dc.conv(image, weight, BIAS, **WORDS)[0, 1].tolist()
    address = page.url
    typed(page, cell(page, "input, channel 1", 3, 4), 5, end="Escape")
    assert page.url == address
    cell(page, "input, channel 1", 0, 0).dblclick()  # padding is nobody's number
    assert page.locator("td input").count() == 0
    page.goto(page.url.split("#")[0] + f"#/matrix?{WHERE}")
    page.wait_for_selector(".room-matrix td")
    typed(page, cell(page, re.compile("^b$"), 0, 1), 8)
    assert numbers(page, "b") == [3, 8]
    page.goto(page.url.split("#")[0] + f"#/backward?{WHERE}")
    page.wait_for_selector(".room-backward td.gradient")
    typed(page, cell(page, "dy, filter 2", 1, 4), -6)
    dy = np.ones((2, 5, 6))
    dy[1, 1, 4] = -6
    assert numbers(page, "dy") == dy.ravel().tolist()


def test_the_sums_of_the_way_back_and_the_whole_step(visitor):
    dy = np.arange(60.0).reshape(1, 2, 5, 6) % 7 - 2
    page = opened(visitor, f"#/backward?{WHERE}&rate=0.125&dy={','.join(f'{v:g}' for v in dy.ravel())}")
    weight = WEIGHT.reshape(2, 2, 2, 3)
    dx = dc.conv_input_grad(dy, weight, IMAGE.shape, **WORDS)[0]
    dw = dc.conv_weight_grad(dy, IMAGE, weight.shape, **WORDS)
    windows = dc.im2col(IMAGE, (2, 3), **WORDS)[0, :, 5] * dy[0, 1].ravel()
    for name, place, right, first in (
        ("dx, channel 2", (2, 3), dx[1, 2, 3], None),
        ("dw, filter 2, channel 1", (1, 2), dw[1, 0, 1, 2], windows[:27].tolist()),
        ("db", (0, 1), dy[0, 1].sum(), dy[0, 1].ravel()[:27].tolist()),
    ):
        cell(page, name, *place).hover()
        said = page.locator(".sum").inner_text().replace(" = ", ": ", 1)
        _, parts, total = terms(said)
        assert total == right
        assert sum(parts) == right if first is None else parts[:27] == first
    seen = dc.col2im(np.ones((1, 30, 6)), (5, 6), (2, 3), **WORDS)[0, 0]
    assert table(page, "how many windows saw each pixel") == seen.tolist()
    new, bias = weight - 0.125 * dw, BIAS - 0.125 * dy.sum((0, 2, 3))
    assert table(page, "new b") == [bias.tolist()]
    output = dc.conv(IMAGE, new, bias, **WORDS)[0, 1]
    assert np.allclose(table(page, "new output, filter 2"), output, atol=6e-4)
    page.get_by_role("button", name="Take the step").click()
    until(page, "document.location.hash.includes('wt=')")
    assert numbers(page, "wt") == new.ravel().tolist()
    assert numbers(page, "b") == bias.tolist()
    assert "rate=0.125" in page.url


def test_a_step_back_from_the_first_and_scrubbing(visitor):
    page = opened(visitor, "#/matrix?h=5&w=7&t=1")  # whatever the link says of the kind, this room slides
    assert np.shape(table(page, "vec(x)")) == (15, 9)
    page.get_by_role("button", name="Step back").click()
    assert lit(page, "y as an image") == [[2, 4]]
    assert page.locator(".sum").inner_text().startswith("y[0, 0, 2, 4] = ")
    move(page, "row", 7)
    assert lit(page, "y as an image") == [[1, 1]]
    assert page.locator(".sum").inner_text().startswith("y[0, 0, 1, 1] = ")


def test_a_room_that_is_left_plays_no_more(visitor):
    page = opened(visitor, "#/window")
    page.get_by_role("button", name="Play").click()
    until(page, "document.location.hash.includes('at=1')")
    page.get_by_role("link", name="The matrix").click()
    page.wait_for_selector(".room-matrix td")
    page.wait_for_timeout(1600)
    assert "#/matrix" in page.url


def test_an_address_out_of_bounds_or_of_no_numbers(visitor):
    page = opened(visitor, "#/window?h=99&w=0&r=1&s=1&x=1,two,3&rate=-1&sh=x")
    assert np.shape(table(page, "input")) == (12, 1)
    assert [row[0] for row in table(page, "input")] == list(range(1, 13))
    page = opened(visitor, "#/window?c=3&r=5&s=5")
    said = page.locator(".sum").inner_text()
    more = int(re.search(r"… (\d+) more", said)[1])  # of 75 products and the bias
    assert said.count("·") + more + said.count(" + 0 =") == 76


@pytest.mark.parametrize(
    ("label", "name"),
    [("columns apart", "dw"), ("rows apart", "dh"), ("left", "pl"), ("right side", "pr"), ("bottom", "pb"),
     ("right", "sw"), ("filters", "k"), ("kernel columns", "s")],
)  # fmt: skip
def test_each_slider_sets_what_it_says(visitor, label, name):
    page = opened(visitor, "#/window")
    move(page, label, 2)
    assert page.url.partition("?")[2].split("&") == [f"{name}=2"]


def test_each_drag_is_one_step_back(visitor):
    page = opened(visitor, "#/window")
    for value in (8, 9):
        move(page, "columns", value)
    move(page, "rows", 9)
    page.get_by_label("Direction").select_option("1")
    until(page, "document.location.hash.includes('t=1')")
    for rest in (["w=9", "h=9"], ["w=9"], ["w=8"], []):
        page.go_back()
        until(
            page,
            "rest => (location.hash.split('?')[1] ?? '').split('&').sort().join() === rest",
            ",".join(sorted(rest)),
        )
        page.wait_for_selector("td.output")
