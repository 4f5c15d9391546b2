"""Take the README's pictures of the studio in a real browser: `python docs/studio_pictures.py`.

Needs Debian's `chromium` and the `peers` extra. Each picture has few colours, so that it stays below 150 kB. Another
version of the browser draws letters a little differently: these are no files to compare byte by byte.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

LARGEST = 150_000
SIZE = {"width": 1180, "height": 760}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

THREE = ((60, 45), (140, 45), (105, 100), (140, 140), (110, 175), (60, 165))
"""A digit, drawn in one stroke on paper of 200 by 200."""


def lab(page: Any) -> None:
    """The cat's edges, and the sum behind one pixel."""
    page.wait_for_selector("canvas.picture")
    page.wait_for_timeout(1500)


def window(page: Any) -> None:
    """A window, and everything that is its kin."""
    page.wait_for_selector("td.output")
    page.wait_for_timeout(500)


def backward(page: Any) -> None:
    """An input gradient, and the windows that it is summed from."""
    page.wait_for_selector("td.gradient")
    page.locator("table", has=page.locator("caption", has_text="dx")).first.locator("td").nth(17).hover()
    page.wait_for_timeout(500)


def network(page: Any) -> None:
    """A network trained in the page, and asked about a drawing."""
    page.get_by_role("button", name="Train the digits").click()
    while "held-out" not in page.locator(".room-network [role=status]").first.inner_text():
        page.wait_for_timeout(300)
    box = page.locator("canvas.paper").bounding_box()
    places = [(box["x"] + x * box["width"] / 200, box["y"] + y * box["height"] / 200) for x, y in THREE]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()
    page.wait_for_timeout(2000)


SHOTS: dict[str, tuple[str, Callable[[Any], None], str]] = {
    "studio-lab.png": ("#/lab?k=-1 -1 0;-1 0 1;0 1 1&signed=grey&at=120,210", lab, "light"),
    "studio-window.png": ("#/window?at=7&pt=1&pl=1", window, "light"),
    "studio-backward.png": ("#/backward?h=5&w=6", backward, "dark"),
    "studio-network.png": ("#/network?epochs=12", network, "light"),
}
"""Each picture's place in the page, what is done there, and the colours."""


def take(name: str, folder: Path, browser: Any, address: str) -> Path:
    """Take one picture."""
    place, prepare, scheme = SHOTS[name]
    context = browser.new_context(viewport=SIZE, color_scheme=scheme)
    page = context.new_page()
    page.goto(address + place)
    prepare(page)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    path = folder / name
    for colours in (256, 128, 64, 32):
        image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
        if path.stat().st_size <= LARGEST:
            break
    return path


def main(folder: Path) -> None:
    """Start a studio and a browser, and take all pictures into a folder."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        sys.exit("chromium is not installed; apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as here:
        command = [sys.executable, "-u", "-m", "deepconv.cli", "studio", "--no-browser"]
        server = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
                for name in SHOTS:
                    made = take(name, folder, browser, found[0])
                    print(f"{made.stat().st_size:7,} {made.name}")
                browser.close()
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "figures")
