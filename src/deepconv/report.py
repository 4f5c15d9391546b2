"""A run as one picture: how it learned, what it confuses, what its first layer looks for, where it fails."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from deepconv.arrays import Array
from deepconv.files import atomic_write
from deepconv.layers import Layer
from deepconv.training.history import History
from deepconv.training.scores import Sample, TestScores

__all__ = ["write_report"]

_INK, _SOFT, _RULE = "#1b1f24", "#6b7480", "#d9dee4"
_TRAINED, _CHECKED, _WRONG = "#2f6db3", "#e07b39", "#c23b4b"
_STYLE: dict[str, Any] = {"color": _INK, "fontfamily": "DejaVu Sans"}
_SHOWN = 7  # pictures among the worst
_COUNTED, _NAMED = 24, 48  # classes up to which the confusion matrix has room for counts, and for names
_LONGEST = 18  # letters of a class's name

Shown = Callable[[Array], Array]
"""From what went into the network, `(C, H, W)`, to what a person looks at: values from 0 to 1."""


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    subtitle: str,
    history: History,
    model: Layer,
    scores: TestScores,
    things: str = "pictures",
    shown: Shown | None = None,
) -> None:
    """Draw a run and write it as a PNG file, whole or not at all.

    Args:
        path: the file.
        title: the large line on top.
        subtitle: the small line under it.
        history: the epochs, for the learning curves.
        model: its first convolution's filters are shown.
        scores: of the held-out samples: confusion matrix and worst mistakes.
        things: what the samples are, in the plural.
        shown: turns a sample back into a picture; None takes it for ink, 0 for paper to 1.

    Raises:
        OSError: the file can't be written.
    """
    figure = Figure(figsize=(13, 9.4), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.035, 0.958, _short(title, 90), fontsize=19, fontweight="bold", **_STYLE)
    figure.text(0.035, 0.929, _short(subtitle, 180), fontsize=10.5, **{**_STYLE, "color": _SOFT})
    grid = figure.add_gridspec(
        3, 12, left=0.06, right=0.975, top=0.865, bottom=0.055, hspace=0.48, wspace=1.0,
        height_ratios=[1, 1, 0.72],
    )  # fmt: skip
    _draw_losses(figure.add_subplot(grid[0, :5]), history, things)
    _draw_accuracies(figure.add_subplot(grid[1, :5]), history)
    _draw_confusion(figure.add_subplot(grid[:2, 5:]), scores, things)
    _draw_filters(figure, grid[2, :5], _first_filters(model), ink=shown is None)
    _draw_mistakes(figure, grid[2, 5:], scores, shown or _as_ink)
    # What further shows what was learned (activations, heat maps over `scores.worst`) goes below: a fourth row.
    data = io.BytesIO()
    with warnings.catch_warnings():  # a name in letters that the font lacks is shown in boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(data, format="png", metadata={"Software": "deepconv"})
    atomic_write(path, data.getvalue())


def _as_ink(x: Array) -> Array:
    light: Array = 1 - x.mean(axis=0)
    return light


def _short(name: str, most: int = _LONGEST) -> str:
    """Return a name that fits, and in which nothing is taken for a formula or steers anything."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(name.split()))
    return (line if len(line) <= most else f"{line[: most - 1]}…").replace("$", r"\$")


def _heading(axes: Axes, text: str, note: str = "") -> None:
    axes.set_title(text, loc="left", fontsize=12, fontweight="bold", pad=10, **_STYLE)
    if note:
        axes.set_title(note, loc="right", fontsize=9, pad=10, **{**_STYLE, "color": _SOFT})


def _plain(axes: Axes) -> None:
    """Axes with as few lines as can be read."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_RULE)
    axes.tick_params(colors=_SOFT, labelsize=9, length=0)
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def _curve(axes: Axes, history: History, name: str, color: str, label: str) -> float | None:
    """Draw one column of the history with its name at its end; return the last value."""
    values = history.column(name)
    epochs = history.column("epoch")
    if not values or None in values:
        return None
    axes.plot(epochs, values, color=color, linewidth=2, marker="o" if len(values) < 3 else None, label=label)
    axes.plot(epochs[-1:], values[-1:], color=color, marker="o", markersize=5, clip_on=False)
    return float(values[-1])


def _draw_losses(axes: Axes, history: History, things: str) -> None:
    _plain(axes)
    _heading(axes, "Loss", "cross-entropy with softened labels")
    _curve(axes, history, "loss", _TRAINED, f"training (distorted {things})")
    _curve(axes, history, "validation_loss", _CHECKED, "validation")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)


def _draw_accuracies(axes: Axes, history: History) -> None:
    _plain(axes)
    trained = _curve(axes, history, "accuracy", _TRAINED, "training")
    checked = _curve(axes, history, "validation_accuracy", _CHECKED, "validation")
    ends = [
        f"{name} {value:.1%}" for name, value in (("training", trained), ("validation", checked)) if value
    ]
    _heading(axes, "Accuracy", ", ".join(ends).replace("%", " %"))
    best = max(value or 0.0 for value in (trained, checked, 0.0))
    axes.set_ylim(0.8 if best > 0.95 else 0.0, 1.004)  # most of a good run happens near the top
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("epoch", fontsize=9, **{**_STYLE, "color": _SOFT})


def _draw_confusion(axes: Axes, scores: TestScores, things: str) -> None:
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
                fontweight="bold" if row != column else "normal", color="white" if strong else _INK,
            )  # fmt: skip
        for which in (axes.set_xticks, axes.set_yticks):
            which(np.arange(size + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=_RULE, linewidth=0.8)
    wrong = scores.mistakes
    _heading(axes, f"Confusion matrix of the held-out {things}", f"{wrong:,} of {len(scores.labels):,} wrong")
    _name_cells(axes, scores.classes)
    for spine in axes.spines.values():
        spine.set_color(_RULE)
    often = _most_confused(counts, scores.classes) if size > _COUNTED else ""
    axes.set_xlabel(f"taken for{often}", fontsize=9.5, **{**_STYLE, "color": _SOFT})
    axes.set_ylabel("is", fontsize=9.5, rotation=0, labelpad=10, **{**_STYLE, "color": _SOFT})


def _cells(counts: Array, share: Array) -> Array:
    """Colour each cell: the diagonal by its share of the row, what lies beside it strongly in any case."""
    right, wrong = (1 - np.array(to_rgb(name)) for name in (_TRAINED, _WRONG))
    strength = np.where(counts > 0, 0.75 + 0.25 * share, 0.0)[..., None] * wrong
    rows = np.arange(len(counts))
    some = counts[rows, rows] > 0
    strength[rows, rows] = (some * (0.15 + 0.75 * share[rows, rows]))[:, None] * right
    colours: Array = 1 - strength
    return colours


def _name_cells(axes: Axes, classes: tuple[str, ...]) -> None:
    """Write the classes at the matrix's sides, or numbers where there are too many."""
    axes.tick_params(which="both", colors=_INK, labelsize=10, length=0)
    size = len(classes)
    if size > _NAMED:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        return
    names = [_short(name) for name in classes]
    longest = max(map(len, names))
    letters = max(5.0, min(10.0, 190 / size))  # points
    flat = longest * letters * 0.6 < 460 / size  # the matrix is some 460 points wide
    place = axes.get_position()
    if longest > 2:  # make room, as far as the names need it: 72 points an inch, 13 inches wide
        aside, below = longest * letters * 0.55 / 72 / 13, 0 if flat else longest * letters * 0.5 / 72 / 9.4
        axes.set_position((place.x0 + aside, place.y0 + below, place.width - aside, place.height - below))
    axes.set_xticks(range(size), names, rotation=0 if flat else 90, fontsize=letters)
    axes.set_yticks(range(size), names, fontsize=letters)


def _most_confused(counts: Array, classes: tuple[str, ...]) -> str:
    """Return the pairs that are confused most often, for a matrix too large for counts."""
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:2]
    pairs = [divmod(int(cell), len(classes)) for cell in order if wrong.flat[cell]]
    named = [
        f"{_short(classes[row], 14)} → {_short(classes[column], 14)} ({wrong[row, column]})"
        for row, column in pairs
    ]
    return f"\nmost often: {', '.join(named)}" if named else ""


def _first_filters(model: Layer) -> Array:
    """Return the weights of the first convolution, `(K, C, R, S)`, at most 24 of them; none if there is none."""
    for parameter in model.parameters().values():
        if parameter.data is not None and parameter.data.ndim == 4:
            return parameter.data[:24].astype(np.float64)
    return np.zeros((0, 1, 1, 1))


def _tiles(figure: Figure, place: Any, rows: int, columns: int, heading: str, note: str) -> list[Axes]:
    """Divide a part of the figure into small pictures under one heading."""
    frame = figure.add_subplot(place)
    frame.set_axis_off()
    _heading(frame, heading, note)
    part = place.subgridspec(rows, columns, hspace=0.12, wspace=0.12)
    tiles = [figure.add_subplot(part[row, column]) for row in range(rows) for column in range(columns)]
    for tile in tiles:
        tile.set_xticks([])
        tile.set_yticks([])
        for spine in tile.spines.values():
            spine.set_color(_RULE)
    return tiles


def _draw_filters(figure: Figure, place: Any, filters: Array, *, ink: bool) -> None:
    """Each filter in its own scale: one of three channels as a colour picture, another by its sign."""
    rows = 2
    columns = max(1, math.ceil(len(filters) / rows))
    coloured = filters.shape[1] == 3
    note = f"red: {'ink' if ink else 'light'} counts for it, blue: against"
    tiles = _tiles(
        figure,
        place,
        rows,
        columns,
        "Filters of the first layer",
        "the colours that count" if coloured else note,
    )
    for tile, weights in zip(tiles, filters, strict=False):
        pattern = np.moveaxis(weights, 0, -1) if coloured else weights.mean(axis=0)
        limit = max(float(np.abs(pattern).max()), 1e-12)
        if coloured:
            tile.imshow(0.5 + pattern / (2 * limit))
        else:
            tile.imshow(pattern, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for tile in tiles[len(filters) :]:
        tile.set_axis_off()


def _draw_mistakes(figure: Figure, place: Any, scores: TestScores, shown: Shown) -> None:
    heading, note = "Worst mistakes", "what it is → what it was taken for, and how surely"
    if scores.mistakes < _SHOWN:
        note = "red: is → taken for; then the right answers that were least sure"
    if not scores.mistakes:
        heading, note = "No mistakes", "the answers that were least sure"
    tiles = _tiles(figure, place, 1, _SHOWN, heading, note)
    for tile, sample in zip(tiles, scores.worst, strict=False):
        _draw_sample(tile, sample, scores.classes, shown)
    for tile in tiles[len(scores.worst) :]:
        tile.set_axis_off()


def _draw_sample(tile: Axes, sample: Sample, classes: tuple[str, ...], shown: Shown) -> None:
    """One picture, with what it is and what it was taken for."""
    tile.imshow(np.clip(shown(sample.x), 0, 1), cmap="gray", vmin=0, vmax=1)
    words = classes[sample.prediction]
    long = max(len(classes[sample.label]), len(words)) > 3
    if long:
        words = _short(words, 11)
    if not sample.right:
        first = _short(classes[sample.label], 11) if long else classes[sample.label]
        words = f"{first}\n→ {words}" if long else f"{first} → {words}"
    color, weight = (_INK, "normal") if sample.right else (_WRONG, "bold")
    tile.set_xlabel(words, fontsize=8 if long else 12, labelpad=4, color=color, fontweight=weight)
    surely = f"{sample.probability:.0%}".replace("%", " %")
    tile.text(
        0.5, -0.5 if long else -0.42, surely, transform=tile.transAxes, ha="center", fontsize=9, color=_SOFT
    )
    for spine in tile.spines.values():
        spine.set_color(_RULE if sample.right else _WRONG)
        spine.set_linewidth(1.0 if sample.right else 1.8)
