"""How a network learned: loss and accuracy after every epoch."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from deepconv.report.drawing import CHECKED, INK, SOFT, STYLE, TRAINED, heading, plain
from deepconv.training.history import History


def _curve(axes: Axes, history: History, name: str, color: str, label: str) -> float | None:
    """Draw one column of the history with its name at its end; return the last value."""
    values = history.column(name)
    epochs = history.column("epoch")
    if not values or None in values:
        return None
    axes.plot(epochs, values, color=color, linewidth=2, marker="o" if len(values) < 3 else None, label=label)
    axes.plot(epochs[-1:], values[-1:], color=color, marker="o", markersize=5, clip_on=False)
    return float(values[-1])


def draw_losses(axes: Axes, history: History, things: str) -> None:
    """Draw the loss after every epoch."""
    plain(axes)
    heading(axes, "Loss", "cross-entropy with softened labels")
    _curve(axes, history, "loss", TRAINED, f"training (distorted {things})")
    _curve(axes, history, "validation_loss", CHECKED, "validation")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def draw_accuracies(axes: Axes, history: History) -> None:
    """Draw the share named right after every epoch."""
    plain(axes)
    trained = _curve(axes, history, "accuracy", TRAINED, "training")
    checked = _curve(axes, history, "validation_accuracy", CHECKED, "validation")
    ends = [
        f"{name} {value:.1%}" for name, value in (("training", trained), ("validation", checked)) if value
    ]
    heading(axes, "Accuracy", ", ".join(ends).replace("%", " %"))
    best = max(value or 0.0 for value in (trained, checked, 0.0))
    axes.set_ylim(0.8 if best > 0.95 else 0.0, 1.004)  # most of a good run happens near the top
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlabel("epoch", fontsize=9, **{**STYLE, "color": SOFT})
