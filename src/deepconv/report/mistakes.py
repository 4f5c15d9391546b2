"""Where a network fails, and why: its worst answers, and the places that spoke for them and against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from deepconv.arrays import Array
from deepconv.layers import Layer
from deepconv.layers.inspection import heat_map
from deepconv.operators.activation import softmax
from deepconv.report.drawing import INK, SOFT, STYLE, WRONG, heading, short
from deepconv.report.tiles import sheet, show
from deepconv.training.scores import Sample, TestScores

SHOWN = 7  # pictures among the worst
_LETTERS = 12  # of a class's name under a small picture

Shown = Callable[[Array], Array]
"""From what went into the network, `(C, H, W)`, to what a person looks at: values from 0 to 1."""


@dataclass(frozen=True)
class Reasons:
    """Why samples were taken for what they were taken for.

    Args:
        chances: each class's probability, `(N, K)`.
        others: the class beside the one each was taken for: what it is, or the second likeliest where that was right.
        heat: the places that spoke for the one and for the other, `(2, N, H, W)`.
    """

    chances: Array
    others: Array
    heat: Array


def reasons(model: Layer, samples: Sequence[Sample], classes: int) -> Reasons | None:
    """Return why samples were taken for what they were; None where that can't be said of such a network.

    Args:
        model: the network.
        samples: some of the worst.
        classes: how many there are.
    """
    if not samples or classes < 2 or samples[0].x.ndim != 3:
        return None
    x = np.stack([sample.x for sample in samples]).astype(model.dtype, copy=False)
    scores = model(x)
    if scores.shape != (len(x), classes) or not np.isfinite(scores).all():
        return None
    chances = softmax(scores.astype(np.float64))
    named = np.array([sample.prediction for sample in samples])
    rest = chances.copy()
    rest[np.arange(len(x)), named] = -1
    labels = np.array([sample.label for sample in samples])
    others = np.where(labels == named, rest.argmax(axis=1), labels)
    return Reasons(chances, others, np.stack([heat_map(model, x, which) for which in (named, others)]))


def draw_mistakes(axes: Axes, scores: TestScores, shown: Shown, why: Reasons | None) -> None:
    """Draw the worst answers side by side, and below each the places that spoke for one class and for another."""
    axes.set_axis_off()
    samples = scores.worst[:SHOWN]
    heading(axes, *_heading(scores.mistakes, why))
    if not samples:
        return
    pictures = [np.clip(shown(sample.x), 0, 1) for sample in samples]
    rows = [pictures]
    if why is not None:
        rows += [[overlaid(p, h) for p, h in zip(pictures, heat, strict=True)] for heat in why.heat]
    empty = SHOWN - len(samples)
    rows = [[_squared(tile) for tile in row] for row in rows]
    tiles = [tile for row in rows for tile in [*row, *[np.ones_like(row[0])] * empty]]
    red: list[str | None] = [None if sample.right else WRONG for sample in samples]
    plain: list[str | None] = [None] * len(samples)
    frames = [frame for row in [red, *[plain] * (len(rows) - 1)] for frame in [*row, *["white"] * empty]]
    laid = sheet(tiles, SHOWN, frames=frames, gaps=(0.52 if why is None else 0.38, 0.1))
    show(axes, laid)
    for column, sample in enumerate(samples):
        for row, (words, strong) in enumerate(_captions(sample, scores.classes, why, column)):
            x, y = laid.below(row, column)
            y += laid.cell[1] * (0.03 + 0.14 * (1 + words.count("\n")))
            axes.text(
                x, y, words, ha="center", va="baseline", fontsize=7.2, linespacing=1.15,
                color=WRONG if strong else INK, fontweight="bold" if strong else "normal",
            )  # fmt: skip
    if why is not None:
        other = (
            "the truth" if scores.mistakes >= SHOWN else "truth or next" if scores.mistakes else "the next"
        )
        for row, words in enumerate(("what it is", "what spoke\nfor its answer", f"what spoke\nfor {other}")):
            y = laid.below(row, 0)[1] - laid.cell[0] / 2
            axes.text(
                -0.12 * laid.cell[1],
                y,
                words,
                ha="right",
                va="center",
                fontsize=8,
                **{**STYLE, "color": SOFT},
            )


def _squared(picture: Array) -> Array:
    """Return a picture in the middle of a white square, so that there is room for its caption whatever its shape."""
    height, width = picture.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.ones((side, side, *picture.shape[2:]))
    square[top : top + height, left : left + width] = picture
    return square


def _heading(mistakes: int, why: Reasons | None) -> tuple[str, str]:
    """Return what stands above the mistakes, and the note beside it."""
    if why is None:
        if not mistakes:
            return "No mistakes", "the answers that were least sure"
        few = "red: is → taken for; then the right answers that were least sure"
        return (
            "Worst mistakes",
            few if mistakes < SHOWN else "what it is → what it was taken for, and how surely",
        )
    if not mistakes:
        return "No mistakes", "the answers that were least sure, and the places that spoke for them"
    few = "framed; glowing: what spoke for a class"
    return (
        "Worst mistakes, and why",
        few if mistakes < SHOWN else "glowing: the places that spoke for a class",
    )


def _captions(
    sample: Sample, classes: tuple[str, ...], why: Reasons | None, place: int
) -> list[tuple[str, bool]]:
    """Return what stands below each of a sample's pictures, and whether it is a mistake."""
    taken, wrong = short(classes[sample.prediction], _LETTERS), not sample.right
    if why is None:
        surely = _percent(sample.probability)
        label = short(classes[sample.label], _LETTERS)
        return [(f"{label}\n→ {taken}\n{surely}" if wrong else f"{taken}\n{surely}", wrong)]
    other = why.others[place]
    return [
        (short(classes[sample.label], _LETTERS), False),
        (f"{taken}\n{_percent(sample.probability)}", wrong),
        (f"{short(classes[other], _LETTERS)}\n{_percent(why.chances[place, other])}", False),
    ]


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def overlaid(picture: Array, heat: Array) -> Array:
    """Return a picture in grey with its hot places glowing, `(H, W, 3)`.

    Args:
        picture: `(H, W)` or `(H, W, 3)`, 0 to 1.
        heat: `(H, W)`, 0 to 1.
    """
    grey = picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114])
    strength = 0.85 * heat[..., None] ** 1.25
    glow = mpl.colormaps["inferno"](0.45 + 0.45 * heat)[..., :3]
    mixed: Array = (1 - strength) * grey[..., None] + strength * glow
    return mixed
