"""The page: what stands where, and the file."""

from __future__ import annotations

import io
import os
import warnings

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deepconv.arrays import Array
from deepconv.files import atomic_write
from deepconv.layers import Layer
from deepconv.report.confusion import draw_confusion
from deepconv.report.curves import draw_accuracies, draw_losses
from deepconv.report.drawing import SOFT, STYLE, heading, inches, short
from deepconv.report.learned import draw_answer, draw_filters, draw_stages, first_filters, stages
from deepconv.report.mistakes import SHOWN, Shown, draw_mistakes, reasons
from deepconv.training.history import History
from deepconv.training.scores import TestScores

_WIDTH = 13.0  # inches, as all that follows
_TOP, _CURVES, _MISTAKES, _STAGES = 1.27, 5.25, 3.3, 1.3  # where it begins, and how high each band is
_BETWEEN, _ABOVE, _BOTTOM = 0.95, 0.35, 0.3  # above a band, more where it has captions, and below the last
_LEFT, _RIGHT, _BESIDE = 0.78, 12.67, 6.6  # where the filters begin, all ends, and the mistakes begin
_FILTERS = 4.62  # how wide they are
_APART = 0.6  # between the mistakes and the layers


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
        model: its filters are shown, what its layers make of a picture, and which places spoke for its answers.
        scores: of the held-out samples: confusion matrix and worst mistakes.
        things: what the samples are, in the plural.
        shown: turns a sample back into a picture; None takes it for ink, 0 for paper to 1.

    Raises:
        OSError: the file can't be written.
    """
    samples = scores.worst[:SHOWN]
    why = reasons(model, samples, len(scores.classes))
    found = [] if why is None else stages(model, samples[0].x)
    mistakes = _MISTAKES if why is not None else 1.3
    height = _TOP + _CURVES + _BETWEEN + mistakes + (_APART + _ABOVE + _STAGES if found else 0) + _BOTTOM
    figure = Figure(figsize=(_WIDTH, height), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.035, 1 - 0.395 / height, short(title, 90), fontsize=19, fontweight="bold", **STYLE)
    figure.text(0.035, 1 - 0.667 / height, short(subtitle, 180), fontsize=10.5, **{**STYLE, "color": SOFT})
    grid = figure.add_gridspec(
        2, 12, left=_LEFT / _WIDTH, right=_RIGHT / _WIDTH, top=1 - _TOP / height,
        bottom=1 - (_TOP + _CURVES) / height, hspace=0.44, wspace=1.0,
    )  # fmt: skip
    draw_losses(figure.add_subplot(grid[0, :5]), history, things)
    draw_accuracies(figure.add_subplot(grid[1, :5]), history)
    draw_confusion(figure.add_subplot(grid[:, 5:]), scores, things)
    top = _TOP + _CURVES + _BETWEEN
    filters = first_filters(model)
    if len(filters):
        place = inches(figure, _LEFT, top, _FILTERS, mistakes)
        draw_filters(place, filters, columns=6 if why is not None else 12, ink=shown is None)
    place = inches(figure, _BESIDE, top, _RIGHT - _BESIDE, mistakes)
    draw_mistakes(place, scores, shown or _as_ink, why)
    if found and why is not None:
        top += mistakes + _APART + _ABOVE
        place = inches(figure, _LEFT, top - _ABOVE, _RIGHT - _LEFT, _STAGES)
        place.set_axis_off()
        heading(
            place,
            "What the layers make of the first of them",
            "of each layer the maps with most contrast",
        )
        picture = (shown or _as_ink)(samples[0].x)
        right = draw_stages(figure, (_LEFT, top, _STAGES), found, picture)
        place = inches(figure, right, top, _RIGHT - right, _STAGES)
        draw_answer(place, samples[0], why.chances[0], scores.classes)
    data = io.BytesIO()
    with warnings.catch_warnings():  # a name in letters that the font lacks is shown in boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(data, format="png", metadata={"Software": "deepconv"})
    atomic_write(path, data.getvalue())


def _as_ink(x: Array) -> Array:
    light: Array = 1 - x.mean(axis=0)
    return light
