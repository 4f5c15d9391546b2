"""Draw every figure of the chapters, with numbers that the library computes: `python docs/figures.py`.

The same versions of Matplotlib and Pillow give the same bytes. Diagrams are SVG; pictures, and tables of
many numbers, are PNG with few colours, so that no file is larger than 60 kB. Sheets of photographs are WebP.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image

import deepconv as dc
from deepconv.arrays import Array
from deepconv.data.digits import load_digits

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "deepconv",
    "svg.fonttype": "path",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
RED, BLUE, GREEN, GREY, INK = "#d62728", "#1f77b4", "#2e8b57", "#d9d9d9", "#222222"
PALE = {RED: "#fbdcdc", BLUE: "#d9e8f5", GREEN: "#d9efe2"}

KERNELS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "vertical edges": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "horizontal edges": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "diagonal": [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]],
}

EDGES = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
"""What the diagrams slide: bright on the left, dark on the right."""


# ---------------------------------------------------------------- pictures to draw on


def scene(height: int = 120, width: int = 160) -> Array:
    """Return a colour picture made of code, `(3, height, width)` from 0 to 1: a house by the sea at dusk."""
    y, x = np.mgrid[0:height, 0:width] / height
    sky = np.stack([0.95 - 0.55 * (0.7 - y), 0.62 - 0.35 * (0.7 - y), 0.42 + 0.35 * (0.7 - y)])
    picture = sky

    def paint(where: Array, *colour: float) -> None:
        picture[:, where] = np.array(colour)[:, None]

    paint((x - 1.02) ** 2 + (y - 0.30) ** 2 < 0.011, 1.0, 0.93, 0.60)  # the sun
    paint(y > 0.56 + 0.06 * np.sin(5.1 * x + 0.6) + 0.03 * np.sin(13 * x), 0.36, 0.34, 0.50)  # hills
    paint(y > 0.66, 0.20, 0.40, 0.56)  # the sea, and its waves
    paint((y > 0.66) & (np.sin(150 * y + 3 * np.sin(9 * x)) > 0.6), 0.42, 0.58, 0.70)
    paint((y > 0.80 + 0.05 * np.cos(3 * x)), 0.45, 0.55, 0.30)  # the meadow
    paint((abs(x - 0.42) < 0.20) & (y > 0.48) & (y < 0.86), 0.88, 0.80, 0.70)  # the house
    paint((y > 0.48 - (0.26 - abs(x - 0.42)) * 0.9) & (y < 0.48) & (abs(x - 0.42) < 0.26), 0.66, 0.22, 0.18)
    for left in (0.29, 0.47):
        paint((x > left) & (x < left + 0.08) & (y > 0.56) & (y < 0.66), 0.99, 0.90, 0.45)
        paint((abs(x - left - 0.04) < 0.006) & (y > 0.56) & (y < 0.66), 0.35, 0.25, 0.20)
    paint((x > 0.385) & (x < 0.46) & (y > 0.68) & (y < 0.86), 0.38, 0.25, 0.20)
    fence = (y > 0.78) & (y < 0.92) & (x > 0.72) & ((x * 16 % 1) < 0.45)
    paint(fence, 0.97, 0.96, 0.92)
    paint((abs(y - 0.83) < 0.008) & (x > 0.72), 0.97, 0.96, 0.92)
    return np.clip(picture, 0, 1)


def grey(picture: Array) -> Array:
    """Return a colour picture `(3, H, W)` in grey, as the eye weighs it (Rec. 601): `(1, H, W)`."""
    return np.tensordot([0.299, 0.587, 0.114], picture, 1)[None]


def digit() -> Array:
    """Return seven by seven pixels of the first shipped digit, a nought: whole numbers from 0 to 16."""
    return load_digits()[0][0, 0, :7, :7].astype(int)


# ---------------------------------------------------------------- a hand for tables of numbers


def blank(width: float, height: float, xlim: float, ylim: float) -> tuple[Figure, Axes]:
    """Return a figure and its one empty pair of axes, `ylim` cells high and growing downwards."""
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-0.4, xlim), ylim=(ylim, 0), aspect="equal")
    ax.axis("off")
    return figure, ax


def table(
    ax: Axes,
    numbers: Array,
    left: float,
    top: float,
    *,
    cell: tuple[float, float] = (1, 1),
    face: Callable[[int, int], str] = lambda row, column: "white",
    ink: Callable[[int, int], str] = lambda row, column: INK,
    shown: Callable[[int, int], bool] = lambda row, column: True,
    size: float = 9,
) -> None:
    """Draw a grid of numbers, its corner at (left, top)."""
    width, height = cell
    for (row, column), number in np.ndenumerate(numbers):
        corner = (left + column * width, top + row * height)
        ax.add_patch(
            Rectangle(corner, width, height, facecolor=face(row, column), edgecolor="#999999", linewidth=0.5)
        )
        if shown(row, column):
            middle = (corner[0] + width / 2, corner[1] + height / 2)
            label = f"{number:g}".replace("-", "\N{MINUS SIGN}")
            ax.text(*middle, label, ha="center", va="center", fontsize=size, color=ink(row, column))


def frame(
    ax: Axes, left: float, top: float, width: float, height: float, colour: str, line: float = 2
) -> None:
    """Draw a rectangle's outline."""
    ax.add_patch(
        Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=line, zorder=5)
    )


def arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK, bend: float = 0
) -> None:
    """Draw an arrow."""
    style = f"arc3,rad={bend}"
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=10, color=colour, connectionstyle=style, zorder=6
        )
    )


def note(ax: Axes, x: float, y: float, text: str, size: float = 9, colour: str = INK, **options: str) -> None:
    """Write a line, centred unless told."""
    options = {"ha": "center", "va": "center"} | options
    ax.text(x, y, text, fontsize=size, color=colour, **options)


def within(rows: Iterable[int], columns: Iterable[int], colour: str) -> Callable[[int, int], str]:
    """Return a `face` that paints a block of cells and leaves the rest white."""
    rows, columns = set(rows), set(columns)
    return lambda row, column: colour if row in rows and column in columns else "white"


# ---------------------------------------------------------------- the figures, in the chapters' order


def pictures() -> Figure:
    """A grey picture is one table of numbers, a colour picture three."""
    figure = Figure(figsize=(8.2, 2.5), layout="constrained")
    left, *channels = figure.subplots(1, 5, width_ratios=[1.2, 0.1, 1.2, 1.2, 1.2])
    numbers = load_digits()[0][0, 0].astype(int)
    left.imshow(16 - numbers, cmap="gray", vmin=0, vmax=16)
    for (row, column), number in np.ndenumerate(numbers):
        left.text(
            column, row, number, ha="center", va="center", fontsize=8, color="white" if number > 8 else INK
        )
    left.set_title("a digit: ink from 0 to 16", fontsize=9)
    channels[0].set_visible(False)
    for ax, channel, name in zip(channels[1:], scene(), ("red", "green", "blue"), strict=True):
        ax.imshow(channel, cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"a picture's {name}", fontsize=9)
    for ax in figure.axes:
        ax.axis("off")
    return figure


def kernels() -> Figure:
    """Eight kernels on one picture, each with its numbers."""
    picture = grey(scene())
    figure = Figure(figsize=(8.2, 5.7), layout="constrained")
    grid = figure.subplots(4, 4, height_ratios=[3, 1.5, 3, 1.5])
    for place, (name, kernel) in enumerate(KERNELS.items()):
        above, below = grid[2 * (place // 4)][place % 4], grid[2 * (place // 4) + 1][place % 4]
        seen = dc.conv(picture, np.array([[kernel]], dtype=float), padding=1, padding_mode="replicate")[0]
        light = (
            0.0 if np.sum(kernel) > 0.5 or name == "outline" else 0.5
        )  # a sum of 0 has two signs: 0 is grey
        above.imshow(np.clip(seen + light, 0, 1), cmap="gray", vmin=0, vmax=1)
        above.set_title(name, fontsize=10)
        above.axis("off")
        below.set(xlim=(-1.5, 4.5), ylim=(3.1, -0.1), aspect="equal")
        below.axis("off")
        shown = np.array(kernel) * (9 if name == "blur" else 1)
        table(below, shown, 0, 0, size=7.5)
        if name == "blur":
            note(below, 3.2, 1.5, "/ 9", ha="left")
    return figure


def window() -> Figure:
    """The window on one place: nine products, one sum."""
    figure, ax = blank(8.2, 2.75, 27, 9)
    picture = digit()
    y = dc.conv(picture[None], EDGES[None, None])[0]
    row, column = 1, 2
    seen = picture[row : row + 3, column : column + 3]
    note(ax, 3.5, 0.6, "picture, 7 by 7")
    table(ax, picture, 0, 1.2, face=within(range(row, row + 3), range(column, column + 3), PALE[RED]))
    frame(ax, column, 1.2 + row, 3, 3, RED)
    note(ax, 10.1, 2.6, "what it sees")
    table(ax, seen, 8.6, 3.2, face=lambda *_: PALE[RED])
    note(ax, 12.15, 4.7, "×", 13)
    note(ax, 14.2, 2.6, "kernel")
    table(ax, EDGES, 12.7, 3.2, face=lambda *_: PALE[BLUE])
    note(ax, 16.25, 4.7, "=", 13)
    note(ax, 18.3, 2.6, "nine products")
    table(ax, seen * EDGES, 16.8, 3.2)
    note(ax, 20.6, 4.25, f"sum\n{y[row, column]}".replace("-", "\N{MINUS SIGN}"), 9.5, RED)
    arrow(ax, (19.9, 4.9), (21.3, 4.9))
    note(ax, 24.2, 1.6, "output, 5 by 5")
    table(ax, y, 21.7, 2.2, face=within([row], [column], PALE[RED]))
    frame(ax, 21.7 + column, 2.2 + row, 1, 1, RED)
    return figure


def sliding() -> Figure:
    """The window at its first, second, sixth and last place, and the output so far."""
    figure, ax = blank(8.2, 3.5, 34, 14.5)
    picture = digit()
    y = dc.conv(picture[None], EDGES[None, None])[0]
    for left, place, name in zip((0, 9, 18, 27), (0, 1, 5, 24), ("1st", "2nd", "6th", "25th"), strict=True):
        row, column = divmod(place, 5)
        note(ax, left + 3.5, 0.5, f"{name} place")
        table(
            ax,
            picture,
            left,
            1,
            face=within(range(row, row + 3), range(column, column + 3), PALE[RED]),
            size=7.5,
        )
        frame(ax, left + column, 1 + row, 3, 3, RED)
        table(
            ax, y, left + 1, 9, face=within([row], [column], PALE[RED]), size=7.5,
            shown=lambda i, j, place=place: 5 * i + j <= place,
        )  # fmt: skip
        frame(ax, left + 1 + column, 9 + row, 1, 1, RED)
    return figure


def padding() -> Figure:
    """One row and column of zeros on each side keeps seven by seven."""
    figure, ax = blank(7, 3.6, 20, 10.3)
    picture = digit()
    padded = dc.pad(picture, (1, 1))
    y = dc.conv(picture[None], EDGES[None, None], padding=1)[0]
    zero = lambda i, j: 0 < i < 8 and 0 < j < 8  # noqa: E731
    note(ax, 4.5, 0.5, "7 by 7, and a border of zeros: 9 by 9")
    table(ax, padded, 0, 1, face=lambda i, j: "white" if zero(i, j) else "#eeeeee")
    frame(ax, 1, 2, 7, 7, INK, 1.5)
    frame(ax, 0, 1, 3, 3, RED)
    arrow(ax, (9.4, 5.5), (11.6, 5.5))
    note(ax, 15.5, 1.5, "output: 7 by 7 again")
    table(ax, y, 12, 2, face=within([0], [0], PALE[RED]))
    frame(ax, 12, 2, 1, 1, RED)
    return figure


def stride() -> Figure:
    """Padding one, stride two: every second place on each axis, four by four of them."""
    figure, ax = blank(7, 3.7, 20, 10.6)
    picture = digit()
    padded = dc.pad(picture, (1, 1))
    y = dc.conv(picture[None], EDGES[None, None], stride=2, padding=1)[0]
    starts = lambda i, j: i % 2 == 0 and j % 2 == 0 and i < 7 and j < 7  # noqa: E731
    note(ax, 4.5, 0.5, "padding 1; the window starts at each blue cell")
    table(ax, padded, 0, 1, face=lambda i, j: PALE[BLUE] if starts(i, j) else "white")
    frame(ax, 1, 2, 7, 7, INK, 1.5)
    for column, colour in zip((0, 2, 6), (RED, GREEN, BLUE), strict=True):
        frame(ax, column, 1 if column < 6 else 7, 3, 3, colour)
    arrow(ax, (9.4, 5.5), (11.6, 5.5))
    note(ax, 15, 2.9, "stride 2: 4 by 4")
    table(ax, y, 13, 3.5, face=lambda i, j: PALE[BLUE])
    for row, column, colour in ((0, 0, RED), (0, 1, GREEN), (3, 3, BLUE)):
        frame(ax, 13 + column, 3.5 + row, 1, 1, colour)
    return figure


def positions() -> Figure:
    """Why the size is floor((n + 2p - k) / s) + 1: the places on one axis, counted."""
    n, p, k, s = 8, 1, 3, 2
    places = dc.im2col(np.zeros((1, 1, n)), k, stride=s, padding=p)[0].shape[0]
    figure, ax = blank(8.2, 2.5, 16.4, 5)
    numbers = dc.pad(np.arange(1, n + 1)[None], [(0, 0), (p, p)])
    table(ax, numbers, 3, 2, face=lambda i, j: "white" if 0 < j < n + 1 else "#eeeeee")
    for index in range(n + 2 * p):
        note(ax, 3.5 + index, 1.65, str(index), 7, "#777777")
    note(ax, 2.8, 1.65, "index", 7, "#777777", ha="right")
    for place in range(places):
        frame(ax, 3 + s * place, 3.4 + 0.55 * (place % 2), k, 0.42, (RED, BLUE)[place % 2], 1.5)
        note(ax, 3 + s * place + k / 2, 3.6 + 0.55 * (place % 2), f"{place} · s = {s * place}", 7.5)
    note(ax, 2.8, 3.9, "windows start at", 7.5, ha="right")
    last = n + 2 * p - k
    arrow(ax, (3.5 + last, 0.8), (3.5 + last, 1.4), "#777777")
    note(ax, 3.5 + last, 0.5, f"no start beyond n + 2p \N{MINUS SIGN} k = {last}", 8)
    note(ax, 3, 0.5, f"n = {n}, p = {p}, k = {k}, s = {s}: {places} places", 8, ha="left")
    return figure


def channels() -> Figure:
    """Three channels, three parts of one filter, three sums that add up to one number."""
    figure, ax = blank(8.2, 4.9, 26, 15.5)
    picture = np.round(scene()[:, 40:100:15, 30:135:26] * 9).astype(int)
    weight = np.array([EDGES, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], [[1, 1, 1], [0, 0, 0], [-1, -1, -1]]])
    parts = dc.conv(picture[:, None], weight[:, None])  # each channel with each part
    total = dc.conv(picture, weight[None])[0]
    for index, (name, colour) in enumerate((("R", RED), ("G", GREEN), ("B", BLUE))):
        top = 0.8 + 5 * index
        table(ax, picture[index], 1.2, top, face=within(range(3), range(3), PALE[colour]))
        frame(ax, 1.2, top, 3, 3, colour)
        note(ax, 0.6, top + 2, name, 12, colour)
        note(ax, 7.2, top + 1.5, "×", 13)
        table(ax, weight[index], 8.2, top, face=lambda *_, colour=colour: PALE[colour])
        note(ax, 12.2, top + 1.5, "=", 13)
        part = parts[index, index]
        table(ax, part, 13.2, top, face=within([0], [0], PALE[colour]))
        note(ax, 13.2 + part.shape[1] / 2, top + 2.55, f"$y_{name}$", 11, colour)
        arrow(ax, (13.5 + part.shape[1], top + 1), (19.4, 6.2 + 0.8 * index), "#777777")
    note(ax, 3.7, 0.35, "picture", 8)
    note(ax, 9.7, 0.35, "one filter", 8)
    table(ax, total, 20, 6, face=within([0], [0], "#eeeeee"))
    frame(ax, 20, 6, 1, 1, INK)
    note(ax, 20 + total.shape[1] / 2, 8.9, "$y = y_R + y_G + y_B$", 10)
    return figure


def im2col() -> Figure:
    """The 49 numbers of a seven by seven picture, and the 25 by 9 table of its windows."""
    figure, ax = blank(7.6, 5.5, 30, 21.5)
    picture = np.arange(1, 50).reshape(1, 7, 7)
    columns = dc.im2col(picture, (3, 3))
    note(ax, 4.2, 2.9, "picture, 7 by 7")
    table(ax, picture[0], 0, 3.4, cell=(1.2, 1), face=within(range(3), range(3), PALE[RED]), size=8)
    frame(ax, 0, 3.4, 3.6, 3, RED)
    arrow(ax, (8.8, 5), (12.4, 1.4))
    note(ax, 4.2, 12.5, "each place of the window\nis one row", 9)
    table(ax, columns, 13, 1, cell=(1.7, 0.8), face=within([0], range(9), PALE[RED]), size=7)
    frame(ax, 13, 1, 15.3, 0.8, RED)
    note(ax, 20.6, 0.5, "vec(x): 25 rows of 9")
    return figure


def im2col_rgb() -> Figure:
    """Three channels stand side by side: 25 rows of 27."""
    figure, ax = blank(8.2, 5.6, 41, 28)
    picture = np.arange(1, 148).reshape(3, 7, 7)
    columns = dc.im2col(picture, (3, 3))
    tints = (PALE[RED], PALE[GREEN], PALE[BLUE])
    for index, name in enumerate(("red", "green", "blue")):
        note(ax, 6.75 + 13.5 * index, 1.2, f"{name}: {columns[0, 9 * index]} to {columns[-1, 9 * index + 8]}")
    table(ax, columns, 0.2, 2, cell=(1.5, 1), face=lambda i, j: tints[j // 9], size=6.5)
    frame(ax, 0.2, 2, 40.5, 1, INK, 1.5)
    return figure


def product() -> Figure:
    """The shapes of the matrix product: windows by weights, and a bias to each column."""
    figure, ax = blank(8.2, 3.2, 30, 12)

    def box(
        left: float, top: float, width: float, height: float, colour: str, name: str, rows: str, cols: str
    ) -> None:
        ax.add_patch(
            Rectangle((left, top), width, height, facecolor=PALE.get(colour, "#eeeeee"), edgecolor=colour)
        )
        note(ax, left + width / 2, top + height / 2, name, 11)
        note(ax, left - 0.3, top + height / 2, rows, 8, ha="right")
        note(ax, left + width / 2, top - 0.45, cols, 8)

    box(3, 1.5, 8, 8, RED, "vec(x)", "$L = 25$\nplaces", "$F = 27$ cells a window")
    note(ax, 12.1, 5.5, "·", 16)
    box(14.2, 1.5, 3, 8, BLUE, "$W$", "27", "$nb_F = 4$ filters")
    note(ax, 18, 5.5, "+", 13)
    box(19.4, 5, 3, 0.9, GREEN, "$B$", "1", "4")
    note(ax, 23.3, 5.5, "=", 13)
    box(25.6, 1.5, 3, 8, INK, "$y_1$", "25", "4 channels")
    x, weight = np.zeros((3, 7, 7)), np.zeros((4, 3, 3, 3))
    y = dc.im2col(x, (3, 3)) @ weight.reshape(4, -1).T
    note(ax, 15, 11, f"{dc.im2col(x, (3, 3)).shape} · {weight.reshape(4, -1).T.shape} = {y.shape}; "
         f"transposed and reshaped: {dc.conv(x, weight).shape}", 9)  # fmt: skip
    return figure


def col2im() -> Figure:
    """Where the pixel 3 stands among the windows, and how often each pixel does."""
    figure, ax = blank(7.6, 5.5, 30, 21.5)
    picture = np.arange(1, 50).reshape(1, 7, 7)
    columns = dc.im2col(picture, (3, 3))
    three = columns == 3
    counts = dc.col2im(np.ones_like(columns), (7, 7), 3)[0]
    table(ax, columns, 13, 1, cell=(1.7, 0.8), face=lambda i, j: RED if three[i, j] else "white", size=7,
          ink=lambda i, j: "white" if three[i, j] else INK)  # fmt: skip
    note(ax, 20.6, 0.5, f"3 is here {three.sum()} times")
    note(ax, 4.2, 11.2, "its gradient is the sum of theirs", 9)
    table(ax, picture[0], 0, 3.4, cell=(1.2, 1), face=within([0], [2], PALE[RED]), size=8)
    frame(ax, 2.4, 3.4, 1.2, 1, RED)
    for row, column in np.argwhere(three):
        arrow(ax, (13 + 1.7 * column, 1.4 + 0.8 * row), (3.1, 3.35), RED, bend=0.2)
    note(ax, 4.2, 12.9, "col2im of ones: how many\nwindows saw each pixel", 9)
    shades = mpl.colormaps["Reds"]
    table(
        ax,
        counts,
        0,
        13.9,
        cell=(1.2, 1),
        face=lambda i, j: mpl.colors.to_hex(shades(counts[i, j] / 14)),
        size=8,
    )
    return figure


def printed_vec2arr() -> Callable[..., Array]:
    """Return the post's vec2arr as printed, which stands in the tests."""
    spec = spec_from_file_location("post", Path(__file__).parents[1] / "tests" / "post.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("figures: tests/post.py, the post's own code, is not beside docs/")
    post = module_from_spec(spec)
    spec.loader.exec_module(post)
    function: Callable[..., Array] = post.vec2arr
    return function


def round_trip() -> Figure:
    """A picture cut into windows and folded back, by col2im and by the post's vec2arr."""
    picture = grey(scene())[None]
    image = picture.shape[2:]
    windows = dc.im2col(picture, 3, padding=1)
    counts = dc.col2im(np.ones_like(windows), image, 3, padding=1)
    ours = dc.col2im(windows, image, 3, padding=1) / counts
    posts = printed_vec2arr()(windows, (3, 3), image, 1, 1) / counts
    figure = Figure(figsize=(8.2, 2.4), layout="constrained")
    names = ("a picture", "im2col, then col2im", "the same, with the printed vec2arr")
    for ax, shown, name in zip(figure.subplots(1, 3), (picture, ours, posts), names, strict=True):
        ax.imshow(shown[0, 0], cmap="gray", vmin=0, vmax=1)
        ax.set_title(name, fontsize=10)
        ax.axis("off")
    return figure


def spread() -> Figure:
    """How large activations are after each of ten layers, by two initialisations; five seeds each."""
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    ax = figure.subplots()
    rules = (("the post's: sqrt(2 / ch)", 32, RED), ("He's: sqrt(2 / (ch · k1 · k2))", 32 * 9, BLUE))
    for name, inputs, colour in rules:
        for seed in range(5):
            rng = np.random.default_rng(seed)
            y = rng.standard_normal((1, 32, 16, 16))
            sizes = []
            for _ in range(10):
                y = np.maximum(
                    dc.conv(y, rng.standard_normal((32, 32, 3, 3)) * np.sqrt(2 / inputs), padding=1), 0
                )
                sizes.append(y.std())
            ax.semilogy(range(1, 11), sizes, color=colour, alpha=0.7, label=name if seed == 0 else None)
    ax.set(xlabel="layer", ylabel="spread (standard deviation) after ReLU", xticks=range(1, 11))
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def gallery() -> Image.Image:
    """The sheet that `deepconv gallery cat.jpg --tile 168` makes."""
    cat = dc.images.read_image(files("deepconv") / "studio" / "page" / "cat.jpg")
    height, width = cat.pixels.shape[:2]
    sheet = dc.images.contact_sheet(cat, tile=168, title=f"cat.jpg, {width} x {height} pixels")
    return Image.fromarray(sheet.pixels)


FIGURES: dict[str, Callable[[], Figure | Image.Image]] = {
    "pictures.png": pictures,
    "kernels.png": kernels,
    "window.png": window,
    "sliding.png": sliding,
    "padding.png": padding,
    "stride.png": stride,
    "positions.svg": positions,
    "channels.png": channels,
    "im2col.png": im2col,
    "im2col-rgb.png": im2col_rgb,
    "product.svg": product,
    "col2im.png": col2im,
    "round-trip.png": round_trip,
    "spread.svg": spread,
    "gallery.webp": gallery,
}

DPI = {"kernels.png": 120, "im2col-rgb.png": 110}


def save(name: str, folder: Path) -> Path:
    """Draw one figure into a folder: SVG without a date, PNG with at most 48 colours, photographs as WebP."""
    with mpl.rc_context(STYLE):
        figure, path, buffer = FIGURES[name](), folder / name, io.BytesIO()
        if isinstance(figure, Image.Image):
            figure.save(path, quality=55, method=6)
            return path
        if path.suffix == ".svg":
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            return path
        figure.savefig(buffer, format="png", dpi=DPI.get(name, 150))
    image = Image.open(buffer).convert("RGB")
    image.quantize(48, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def main(folder: Path) -> None:
    """Draw all figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        path = save(name, folder)
        print(f"{path.stat().st_size:7,} {path.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "figures")
