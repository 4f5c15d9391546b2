"""A real browser for the studio's page: Debian's chromium, driven by Playwright."""

import contextlib
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.peers.conftest import peer

# Without these a browser asks its maker's hosts at every start.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
         "--use-fake-ui-for-media-stream"]  # fmt: skip


@contextlib.contextmanager
def chromium():
    """Start the browser, or skip the test; with DEEPCONV_REQUIRE_PEERS=1 its absence is an error."""
    sync_api = peer("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        how = "chromium is not installed; apt-get install chromium"
        if os.environ.get("DEEPCONV_REQUIRE_PEERS") == "1":
            raise FileNotFoundError(how)
        pytest.skip(how)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """One person at the page. Whatever the browser complains of, and whatever it asks of others, is kept."""

    def __init__(self, browser, studio, width=1440, height=1000, **options):
        self.studio = studio
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.complaints, self.outside = [], []
        self.page.on(
            "console", lambda news: news.type in {"error", "warning"} and self.complaints.append(news.text)
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)
        self.page.set_default_timeout(30_000)

    def _note(self, request):
        if not request.url.startswith((self.studio.origin, "blob:", "data:")):
            self.outside.append(request.url)

    def open(self, place=""):
        self.page.goto(self.studio.page + place)
        self.page.wait_for_selector("h2")
        return self.page

    def leave(self):
        self.context.close()
        assert self.complaints == [], self.complaints
        assert self.outside == [], self.outside


@contextlib.contextmanager
def visiting(browser, studio, **options):
    visitor = Visitor(browser, studio, **options)
    yield visitor
    visitor.leave()


def until(page, condition, argument=None, seconds=30):
    """Wait until a condition in JavaScript holds; Playwright's own waiting is forbidden by the page's policy."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition, argument):
        if time.monotonic() > end:
            raise TimeoutError(condition)
        page.wait_for_timeout(30)


def table(page, caption):
    """Return the numbers of the table with a caption, as the page shows them."""
    rows = (
        page.locator("table.numbers")
        .filter(has=page.locator("caption", has_text=caption))
        .first.locator("tr")
    )
    texts = rows.evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    return [[float(text.replace("−", "-")) for text in row] for row in texts]


def lit(page, caption):
    """Return the places of the lit cells of the table with a caption."""
    found = page.locator("table.numbers").filter(has=page.locator("caption", has_text=caption)).first
    cells = found.locator("td.lit")
    return cells.evaluate_all("cells => cells.map(c => [Number(c.dataset.row), Number(c.dataset.column)])")


def cell(page, caption, row, column):
    """Return a cell of the table with a caption."""
    found = page.locator("table.numbers").filter(has=page.locator("caption", has_text=caption)).first
    return found.locator(f'td[data-row="{row}"][data-column="{column}"]')


def move(page, label, value):
    """Move the slider of a label, and let go of it."""
    page.get_by_label(label, exact=True).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input'));"
        " input.dispatchEvent(new Event('change')); }",
        value,
    )


def tab_to(page, selector, most=80):
    """Press Tab until something is reached."""
    for _ in range(most):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise LookupError(f"{most} Tabs don't reach {selector}")


def violations(page):
    """Return what axe-core finds wrong that is serious, each as a line."""
    package = peer("axe_playwright_python")
    axe = (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 15  # it did look
    return [
        f"{broken['id']} ({broken['impact']}): {node['html'][:150]}: {node['failureSummary']}"
        for broken in found["violations"]
        if broken["impact"] in {"serious", "critical"}
        for node in broken["nodes"]
    ]
