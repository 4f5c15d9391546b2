"""What a network learned to look for: its first filters, and what its layers make of one picture."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepconv.arrays import Array
from deepconv.layers import Layer
from deepconv.layers.activation import Activation
from deepconv.layers.convolution import Filters
from deepconv.layers.tracing import Step, trace
from deepconv.report.drawing import INK, RULE, SOFT, STYLE, TRAINED, WRONG, heading, inches, short
from deepconv.report.tiles import sheet, show
from deepconv.training.scores import Sample

_STAGES, _LIKELY = 6, 5  # layers shown, and classes
_ROWS, _BESIDE = 2, (4, 4, 4, 3, 2, 2)  # of a layer's maps, and how many in a row for 1 to 6 layers
_BETWEEN = 0.26  # inches


def first_filters(model: Layer) -> Array:
    """Return the weights of the first convolution, `(K, C, R, S)`, at most 24 of them; none if there is none."""
    for parameter in model.parameters().values():
        if parameter.data is not None and parameter.data.ndim == 4:
            return parameter.data[:24].astype(np.float64)
    return np.zeros((0, 1, 1, 1))


def draw_filters(axes: Axes, filters: Array, *, columns: int, ink: bool) -> None:
    """Each filter in its own scale: one of three channels as a colour picture, another by its sign."""
    coloured = filters.shape[1] == 3
    note = f"red: {'ink' if ink else 'light'} counts for it, blue: against"
    heading(axes, "Filters of the first layer", "the colours that count" if coloured else note)
    axes.set_axis_off()
    pictures = []
    for weights in filters:
        pattern = np.moveaxis(weights, 0, -1) if coloured else weights.mean(axis=0)
        shares = 0.5 + pattern / (2 * max(float(np.abs(pattern).max()), 1e-12))
        pictures.append(shares if coloured else mpl.colormaps["RdBu_r"](shares)[..., :3])
    show(axes, sheet(pictures, columns))


def stages(model: Layer, x: Array) -> list[tuple[str, Array]]:
    """Return a few layers' outputs for one picture, from the first to the last that still has places.

    Args:
        model: the network.
        x: `(C, H, W)`.

    Returns:
        For each, what it is, and its maps `(K, H, W)`; none for a network without such layers.
    """
    found = trace(model, [x[None].astype(model.dtype, copy=False)])
    for kind in (Activation, Filters):
        steps = [(name, step) for name, step in found.steps.items() if _has_places(step, kind)]
        if steps:
            break
    places = np.unique(np.linspace(0, len(steps) - 1, min(_STAGES, len(steps))).round().astype(int))
    return [_stage(*steps[place]) for place in places]


def _has_places(step: Step, kind: type[Layer]) -> bool:
    return isinstance(step.layer, kind) and step.output.ndim == 4 and max(step.output.shape[2:]) > 1


def _stage(name: str, step: Step) -> tuple[str, Array]:
    count, height, width = step.output.shape[1:]
    return f"{name} {type(step.layer).__name__}\n{count} maps of {height} × {width}", step.output[0]


def draw_stages(
    figure: Figure, corner: tuple[float, float, float], found: list[tuple[str, Array]], picture: Array
) -> float:
    """Draw a picture, and beside it the maps of each layer that differ most from place to place.

    Args:
        figure: the page.
        corner: where it begins, and how high it is, in inches.
        found: what `stages` gave.
        picture: `(H, W)` or `(H, W, 3)`, 0 to 1.

    Returns:
        Where it ends, in inches from the left.
    """
    left, top, height = corner
    width = height  # pictures of another shape stand in a square of this size
    axes = inches(figure, left, top, width, height)
    show(axes, sheet([picture], 1, gaps=(0, 0)))
    _caption(axes, "the picture")
    columns = _BESIDE[min(len(found), len(_BESIDE)) - 1]
    for words, maps in found:
        left += width + _BETWEEN
        width = height / _ROWS * columns
        axes = inches(figure, left, top, width, height)
        order = np.argsort(-maps.std(axis=(1, 2)), kind="stable")[: _ROWS * columns]
        low, high = (np.array([reduce(maps[k]) for k in order])[:, None, None] for reduce in (np.min, np.max))
        shares = (maps[order] - low) / np.maximum(high - low, 1e-12)
        show(axes, sheet(list(mpl.colormaps["magma"](shares)[..., :3]), columns))
        _caption(axes, words)
    return left + width + _BETWEEN


def _caption(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", y=1.0, fontsize=8, pad=4, **{**STYLE, "color": SOFT})


def draw_answer(axes: Axes, sample: Sample, chances: Array, classes: tuple[str, ...]) -> None:
    """The likeliest classes as bars: blue for what it is, red for what it was wrongly taken for."""
    letters = (
        int(axes.bbox.width / axes.figure.dpi * 72 / 5.2) - 6
    )  # some 5 points each, less those of the percentage
    order = np.argsort(-chances, kind="stable")[:_LIKELY]
    if sample.label not in order:
        order[-1] = sample.label
    colors = [TRAINED if k == sample.label else WRONG if k == sample.prediction else RULE for k in order]
    rows = np.arange(len(order))
    axes.barh(rows, chances[order], color=colors, height=0.32)
    for row, k in zip(rows, order, strict=True):
        name = f"{short(classes[k], min(max(letters, 4), 18))}  {chances[k]:.0%}".replace("%", " %")
        axes.text(0, row - 0.27, name, fontsize=8, va="bottom", color=INK if k == sample.label else SOFT)
    axes.set_xlim(0, 1)
    axes.set_ylim(_LIKELY - 0.5, -0.8)
    axes.set_axis_off()
    _caption(axes, "the answer\nblue: what it is")
