"""How a report looks: its colours, its letters, and axes with as few lines as can be read."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, SOFT, RULE = "#1b1f24", "#6b7480", "#d9dee4"
TRAINED, CHECKED, WRONG = "#2f6db3", "#e07b39", "#c23b4b"
STYLE: dict[str, Any] = {"color": INK, "fontfamily": "DejaVu Sans"}
_LONGEST = 18  # letters of a class's name


def short(name: str, most: int = _LONGEST) -> str:
    """Return a name that fits, and in which nothing is taken for a formula or steers anything."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(name.split()))
    end = most // 3  # what tells names apart stands at either end
    return (line if len(line) <= most else f"{line[: most - 1 - end]}…{line[-end:]}").replace("$", r"\$")


def inches(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return new axes at a place of the page.

    Args:
        figure: the page.
        left, top: of the upper left corner, in inches from the page's own.
        width, height: in inches.
    """
    across, high = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / high, width / across, height / high))


def heading(axes: Axes, text: str, note: str = "") -> None:
    """Write what is seen above its axes, and a note on the right."""
    # y is given, so that no tick is laid out only to ask whether it is in the title's way: a fifth of the time.
    axes.set_title(text, loc="left", y=1.0, fontsize=12, fontweight="bold", pad=10, **STYLE)
    if note:
        axes.set_title(note, loc="right", y=1.0, fontsize=9, pad=10, **{**STYLE, "color": SOFT})


def plain(axes: Axes) -> None:
    """Axes with as few lines as can be read."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(colors=SOFT, labelsize=9, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
