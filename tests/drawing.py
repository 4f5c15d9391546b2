"""Pictures of digits that no data set holds: drawn with strokes, set in type, or enlarged from UCI's."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Points of an arc; 0° is right, angles grow clockwise as y grows downwards."""
    angles = [math.radians(start + (end - start) * i / 40) for i in range(41)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


# Each digit in a box one high and about 0.65 wide, as a pen writes it: one list of points per stroke.
STROKES: dict[str, list[list[Point]]] = {
    "0": [arc(0.33, 0.5, 0.32, 0.5, -90, 270)],
    "1": [[(0.1, 0.25), (0.35, 0.0), (0.35, 1.0)]],
    "2": [[*arc(0.33, 0.28, 0.3, 0.28, -170, 30), (0.02, 1.0), (0.66, 1.0)]],
    "3": [arc(0.3, 0.26, 0.3, 0.26, -150, 90) + arc(0.3, 0.74, 0.33, 0.26, -90, 150)],
    "4": [[(0.4, 0.0), (0.02, 0.62), (0.66, 0.62)], [(0.5, 0.3), (0.5, 1.0)]],
    "5": [[(0.6, 0.0), (0.1, 0.0), (0.06, 0.45), *arc(0.3, 0.68, 0.32, 0.32, -120, 140)]],
    "6": [[(0.5, 0.0), (0.2, 0.3), *arc(0.33, 0.7, 0.3, 0.3, -180, 180)]],
    "7": [[(0.02, 0.0), (0.64, 0.0), (0.25, 1.0)]],
    "8": [arc(0.33, 0.25, 0.26, 0.25, 90, 450) + arc(0.33, 0.75, 0.32, 0.25, -90, 270)],
    "9": [[*arc(0.32, 0.3, 0.3, 0.3, 0, 360), (0.6, 0.35), (0.5, 1.0)]],
}


def drawn(
    digit: str,
    *,
    size: tuple[int, int] = (200, 200),
    box: tuple[float, float, float] = (60, 40, 120),
    pen: float = 12,
    slant: float = 0.0,
    ink: int = 0,
    paper: int = 255,
) -> Image.Image:
    """Draw a digit with a round pen: `box` is left, top and height of the digit in a `size` picture."""
    left, top, height = box
    picture = Image.new("L", size, paper)
    pencil = ImageDraw.Draw(picture)
    for stroke in STROKES[digit]:
        points = [(left + height * (x + slant * (0.5 - y)), top + height * y) for x, y in stroke]
        pencil.line(points, fill=ink, width=max(1, round(pen)), joint="curve")
        if pen > 2:
            for x, y in points:
                pencil.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=ink)
    return picture


def typeset(
    digit: str, *, size: tuple[int, int] = (200, 200), at: Point = (60, 30), height: float = 120
) -> Image.Image:
    """Set a digit in Pillow's own typeface, black on white."""
    picture = Image.new("L", size, 255)
    ImageDraw.Draw(picture).text(at, digit, fill=0, font=ImageFont.load_default(height))
    return picture


def enlarged(
    image: np.ndarray, *, size: tuple[int, int] = (160, 120), at: tuple[int, int] = (40, 20), height: int = 80,
    dark_on_white: bool = True,
) -> Image.Image:  # fmt: skip
    """Paste a UCI digit, `(8, 8)` from 0 to 16, enlarged smoothly, anywhere on a page."""
    small = Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8))
    page = Image.new("L", size, 0)
    page.paste(small.resize((height, height), Image.Resampling.BICUBIC), at)
    return Image.fromarray(255 - np.asarray(page)) if dark_on_white else page
