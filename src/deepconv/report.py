"""A run as one picture: how it learned, what it confuses, what its first layer looks for, where it fails."""

from __future__ import annotations

import io
import math
import os
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from deepconv.arrays import Array
from deepconv.files import atomic_write
from deepconv.layers import Layer
from deepconv.training.digits import TestScores
from deepconv.training.history import History

__all__ = ["write_report"]

_INK, _SOFT, _RULE = "#1b1f24", "#6b7480", "#d9dee4"
_TRAINED, _CHECKED, _WRONG = "#2f6db3", "#e07b39", "#c23b4b"
_STYLE: dict[str, Any] = {"color": _INK, "fontfamily": "DejaVu Sans"}
_SHOWN = 7  # digits among the worst


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    subtitle: str,
    history: History,
    model: Layer,
    scores: TestScores,
) -> None:
    """Draw a run and write it as a PNG file, whole or not at all.

    Args:
        path: the file.
        title: the large line on top.
        subtitle: the small line under it.
        history: the epochs, for the learning curves.
        model: its first convolution's filters are shown.
        scores: the held-out samples: confusion matrix and worst mistakes.

    Raises:
        OSError: the file can't be written.
    """
    figure = Figure(figsize=(13, 9.4), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.035, 0.958, title, fontsize=19, fontweight="bold", **_STYLE)
    figure.text(0.035, 0.929, subtitle, fontsize=10.5, **{**_STYLE, "color": _SOFT})
    grid = figure.add_gridspec(
        3, 12, left=0.06, right=0.975, top=0.865, bottom=0.055, hspace=0.48, wspace=1.0,
        height_ratios=[1, 1, 0.72],
    )  # fmt: skip
    _draw_losses(figure.add_subplot(grid[0, :5]), history)
    _draw_accuracies(figure.add_subplot(grid[1, :5]), history)
    _draw_confusion(figure.add_subplot(grid[:2, 5:]), scores)
    _draw_filters(figure, grid[2, :5], _first_filters(model))
    _draw_mistakes(figure, grid[2, 5:], scores)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": "deepconv"})
    atomic_write(path, data.getvalue())


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


def _draw_losses(axes: Axes, history: History) -> None:
    _plain(axes)
    _heading(axes, "Loss", "cross-entropy with softened labels")
    _curve(axes, history, "loss", _TRAINED, "training (distorted digits)")
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


def _draw_confusion(axes: Axes, scores: TestScores) -> None:
    """Counts of what was taken for what: right ones in blue, wrong ones in red that nobody overlooks."""
    counts, classes = scores.confusion, scores.classes
    size = len(classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = np.ones((size, size, 3))
    for row, column in np.argwhere(counts):
        base = (
            np.array([int((_TRAINED if row == column else _WRONG)[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        )
        strength = 0.15 + 0.75 * share[row, column] if row == column else 0.75 + 0.25 * share[row, column]
        colours[row, column] = 1 - strength * (1 - base)
    axes.imshow(colours, aspect="auto")
    for row, column in np.argwhere(counts):
        strong = row != column or share[row, column] > 0.5
        axes.text(
            column, row, str(counts[row, column]), ha="center", va="center", fontsize=11,
            fontweight="bold" if row != column else "normal", color="white" if strong else _INK,
        )  # fmt: skip
    wrong = int(counts.sum() - np.trace(counts))
    _heading(axes, "Confusion matrix of the held-out digits", f"{wrong} of {counts.sum()} wrong")
    axes.set_xticks(range(size), classes)
    axes.set_yticks(range(size), classes)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=_RULE, linewidth=0.8)
    axes.tick_params(which="both", colors=_INK, labelsize=10, length=0)
    for spine in axes.spines.values():
        spine.set_color(_RULE)
    axes.set_xlabel("taken for", fontsize=9.5, **{**_STYLE, "color": _SOFT})
    axes.set_ylabel("is", fontsize=9.5, rotation=0, labelpad=10, **{**_STYLE, "color": _SOFT})


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


def _draw_filters(figure: Figure, place: Any, filters: Array) -> None:
    """Each filter in its own scale, red where ink counts for it and blue where ink counts against it."""
    rows = 2
    columns = max(1, math.ceil(len(filters) / rows))
    note = "red: ink counts for it, blue: against"
    tiles = _tiles(figure, place, rows, columns, "Filters of the first layer", note)
    for tile, weights in zip(tiles, filters, strict=False):
        mean = weights.mean(axis=0)
        limit = max(float(np.abs(mean).max()), 1e-12)
        tile.imshow(mean, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for tile in tiles[len(filters) :]:
        tile.set_axis_off()


def _worst(scores: TestScores) -> Array:
    """Choose what to show: the wrong answers, the surest first, then the right ones, the least sure first."""
    surely = scores.probabilities.max(axis=1)
    wrong = scores.predictions != scores.labels
    order: Array = np.lexsort((np.where(wrong, -surely, surely), ~wrong))[:_SHOWN]
    return order


def _draw_mistakes(figure: Figure, place: Any, scores: TestScores) -> None:
    order = _worst(scores)
    mistakes = int((scores.predictions != scores.labels).sum())
    heading, note = "Worst mistakes", "what it is → what it was taken for, and how surely"
    if mistakes < _SHOWN:
        note = "red: is → taken for; then the right answers that were least sure"
    if not mistakes:
        heading, note = "No mistakes", "the answers that were least sure"
    tiles = _tiles(figure, place, 1, _SHOWN, heading, note)
    for tile, index in zip(tiles, order, strict=False):
        taken = scores.predictions[index]
        right = taken == scores.labels[index]
        tile.imshow(scores.images[index].mean(axis=0), cmap="gray_r", vmin=0, vmax=1)
        words = "" if right else f"{scores.classes[scores.labels[index]]} → "
        surely = f"{scores.probabilities[index, taken]:.0%}".replace("%", " %")
        color, weight = (_INK, "normal") if right else (_WRONG, "bold")
        tile.set_xlabel(
            f"{words}{scores.classes[taken]}", fontsize=12, labelpad=4, color=color, fontweight=weight
        )
        tile.text(0.5, -0.42, surely, transform=tile.transAxes, ha="center", fontsize=9, color=_SOFT)
        for spine in tile.spines.values():
            spine.set_color(_RULE if right else _WRONG)
            spine.set_linewidth(1.0 if right else 1.8)
    for tile in tiles[len(order) :]:
        tile.set_axis_off()
