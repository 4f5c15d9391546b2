"""Many small pictures laid out as one sheet: one image to draw, however many they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from deepconv.arrays import Array
from deepconv.report.drawing import RULE

_CELL = 96  # pixels that a small picture is repeated to, so that it stays sharp and its frame thin


@dataclass(frozen=True)
class Sheet:
    """Small pictures in rows.

    Args:
        pixels: all of it, `(height, width, 3)`, 0 to 1.
        cell: the height and width of one of them.
        gaps: between two rows, and between two columns.
    """

    pixels: Array
    cell: tuple[int, int]
    gaps: tuple[int, int]

    def below(self, row: int, column: int) -> tuple[float, float]:
        """Return where a small picture's caption begins: the middle of its lower side, as x and y.

        Args:
            row, column: which picture.
        """
        (height, width), (between, beside) = self.cell, self.gaps
        return column * (width + beside) + width / 2 - 0.5, row * (height + between) + height - 0.5


def sheet(
    pictures: Sequence[Array],
    columns: int,
    *,
    frames: Sequence[str | None] | None = None,
    gaps: tuple[float, float] = (0.08, 0.08),
) -> Sheet:
    """Lay pictures of one size out in rows.

    Args:
        pictures: `(H, W)` or `(H, W, 3)` each, 0 to 1.
        columns: how many stand beside each other.
        frames: for each, its frame's colour; None is a thin line.
        gaps: between rows and between columns, in shares of a picture's width; the last row too has one below.
    """
    coloured = [np.repeat(p[..., None], 3, axis=2) if p.ndim == 2 else p for p in pictures]
    first = coloured[0].shape
    times = max(1, -(-_CELL // max(first[:2])))
    height, width = first[0] * times, first[1] * times
    between, beside = (round(gap * width) for gap in gaps)
    rows = -(-len(coloured) // columns)
    pixels = np.ones((rows * (height + between), columns * (width + beside) - beside, 3))
    for place, picture in enumerate(coloured):
        top, left = place // columns * (height + between), place % columns * (width + beside)
        large = np.clip(picture.repeat(times, axis=0).repeat(times, axis=1), 0, 1)
        _frame(large, None if frames is None else frames[place])
        pixels[top : top + height, left : left + width] = large
    return Sheet(pixels, (height, width), (between, beside))


def _frame(picture: Array, color: str | None) -> None:
    thick = max(1, min(picture.shape[:2]) // (24 if color else 96))
    for side in (picture[:thick], picture[-thick:], picture[:, :thick], picture[:, -thick:]):
        side[...] = to_rgb(color or RULE)


def show(axes: Axes, tiles: Sheet) -> None:
    """Draw a sheet from its axes' upper left corner on.

    Args:
        axes: where.
        tiles: the sheet.
    """
    axes.imshow(tiles.pixels, interpolation="antialiased")
    axes.set_anchor("NW")
    axes.set_axis_off()
