"""What a network confuses: how often each class was taken for each."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from deepconv.arrays import Array
from deepconv.report.drawing import INK, RULE, SOFT, STYLE, TRAINED, WRONG, heading, short
from deepconv.training.scores import TestScores

_COUNTED, _NAMED = 24, 48  # classes up to which the confusion matrix has room for counts, and for names


def draw_confusion(axes: Axes, scores: TestScores, things: str) -> None:
    """Counts of what was taken for what: right ones in blue, wrong ones in red that nobody overlooks."""
    counts, size = scores.confusion, len(scores.classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(_cells(counts, share), aspect="auto", interpolation="nearest" if size <= _NAMED else "auto")
    if size <= _COUNTED:
        for row, column in np.argwhere(counts):
            strong = row != column or share[row, column] > 0.5
            axes.text(
                column, row, str(counts[row, column]), ha="center", va="center",
                fontsize=11 if size <= 10 else 110 / size + 1.5,
                fontweight="bold" if row != column else "normal", color="white" if strong else INK,
            )  # fmt: skip
        for which in (axes.set_xticks, axes.set_yticks):
            which(np.arange(size + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=RULE, linewidth=0.8)
    wrong = scores.mistakes
    heading(axes, f"Confusion matrix of the held-out {things}", f"{wrong:,} of {len(scores.labels):,} wrong")
    _name_cells(axes, scores.classes)
    for spine in axes.spines.values():
        spine.set_color(RULE)
    often = _most_confused(counts, scores.classes) if size > _COUNTED else ""
    axes.set_xlabel(f"taken for{often}", fontsize=9.5, **{**STYLE, "color": SOFT})
    axes.set_ylabel("is", fontsize=9.5, rotation=0, labelpad=10, **{**STYLE, "color": SOFT})


def _cells(counts: Array, share: Array) -> Array:
    """Colour each cell: the diagonal by its share of the row, what lies beside it strongly in any case."""
    right, wrong = (1 - np.array(to_rgb(name)) for name in (TRAINED, WRONG))
    strength = np.where(counts > 0, 0.75 + 0.25 * share, 0.0)[..., None] * wrong
    rows = np.arange(len(counts))
    some = counts[rows, rows] > 0
    strength[rows, rows] = (some * (0.15 + 0.75 * share[rows, rows]))[:, None] * right
    colours: Array = 1 - strength
    return colours


def _name_cells(axes: Axes, classes: tuple[str, ...]) -> None:
    """Write the classes at the matrix's sides, or numbers where there are too many."""
    axes.tick_params(which="both", colors=INK, labelsize=10, length=0)
    size = len(classes)
    if size > _NAMED:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        return
    names = [short(name) for name in classes]
    longest = max(map(len, names))
    letters = max(5.0, min(10.0, 190 / size))  # points
    flat = longest * letters * 0.6 < 460 / size  # the matrix is some 460 points wide
    place = axes.get_position()
    if longest > 2:  # make room, as far as the names need it: 72 points an inch
        across, high = axes.figure.bbox.width / axes.figure.dpi, axes.figure.bbox.height / axes.figure.dpi
        aside, below = (
            longest * letters * 0.55 / 72 / across,
            0 if flat else longest * letters * 0.5 / 72 / high,
        )
        axes.set_position((place.x0 + aside, place.y0 + below, place.width - aside, place.height - below))
    axes.set_xticks(range(size), names, rotation=0 if flat else 90, fontsize=letters)
    axes.set_yticks(range(size), names, fontsize=letters)


def _most_confused(counts: Array, classes: tuple[str, ...]) -> str:
    """Return the pairs that are confused most often, for a matrix too large for counts."""
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:2]
    pairs = [divmod(int(cell), len(classes)) for cell in order if wrong.flat[cell]]
    named = [
        f"{short(classes[row], 14)} → {short(classes[column], 14)} ({wrong[row, column]})"
        for row, column in pairs
    ]
    return f"\nmost often: {', '.join(named)}" if named else ""
