"""Images as zero-padded phase planes: whatever the stride, each kernel cell then reads neighbours in memory.

With a stride s, the places o of a window meet with its cell r the pixels `s·o + r·d - before`: every s-th of a
row. Copied apart by their remainder, these pixels stand side by side:

    plane a, index i  holds  pixel  s·i + a + low         (zero outside the image; low = -before)
    cell r of place o  is at  plane (r·d) mod s, index o + (r·d) // s

and so on each axis; a phase is one remainder for each. Only the phases that some cell meets are made. All
images have three spatial axes (depth, height, width) here, those in front of size one.

Memory: `[phase][image][channel][depth][height][width]`, at the steps that the table gives, the width axis
in order. A row's last vector may be written over its end, into the next row, which is written later; behind the
last row there must be room for a vector (`lanes(zero)` numbers). Nothing outside the image is read.

Tried on Zen 3: all phases of a channel before the next channel's, and asking for the next channel's lines: no faster.
"""

from typing import Any

from deepconv.engine.kernels.fields import (
    AXES,
    PHASE_LIST,
    PHASES,
    PLANE_CHANNEL,
    PLANE_DEPTH,
    PLANE_IMAGE,
    PLANE_PHASE,
    PLANE_ROW,
    SOURCE_CHANNEL,
    SOURCE_IMAGE,
    SOURCE_SIZE,
    STEP,
)
from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.simd import lanes, load, load_part, shift, splat, store
from deepconv.engine.kernels.steps import evens


@part
def _within(number, low, high):
    """Return the number, or the limit that it exceeds."""
    return min(max(number, low), high)


@part
def _copy_row(pixels, target, step, left, right, extent, room, zero):
    """Write `target[i] = pixels[step·i]` for i from `left` up to `right`, zeros before, and behind up to `extent`.

    Up to a vector more is written behind; `room` numbers of `pixels` may be read.
    """
    width = lanes(zero)
    nothing = splat(zero)
    for i in range(0, left, width):
        store(target, i, nothing)
    i = left
    if step == 1:
        while i < right and i + width <= room:
            store(target, i, load(pixels, i))
            i += width
        if i < right:  # masks are slow: only where the operand ends
            store(target, i, load_part(pixels, i, right - i))
    elif step == 2:
        while i < right and 2 * (i + width) <= room:
            store(target, i, evens(load(pixels, 2 * i), load(pixels, 2 * i + width)))
            i += width
        while i < right:
            count = 2 * (right - i) - 1
            second = load_part(pixels, 2 * i + width, max(count - width, 0))
            store(target, i, evens(load_part(pixels, 2 * i, count), second))
            i += width
    else:
        while i < right:
            target[i] = pixels[i * step]
            i += 1
    for j in range(right, extent, width):
        store(target, j, nothing)


@part
def fill_planes(
    source: Any,
    reach: int,
    target: Any,
    table: Any,
    images: int,
    channels: int,
    low: Any,
    extent: Any,
    zero: Any,
) -> None:
    """Make the phase planes of `images` images of `channels` channels.

    Args:
        source: the first channel of the first image.
        reach: how many numbers may be read from there on.
        target: where its planes begin.
        table: pointer to whole numbers, those of `fields.py` filled in that stand in the import above.
        images, channels: how many.
        low: pointer to three numbers: the pixel that index 0 of phase 0 stands for on each axis.
        extent: pointer to three numbers: how much of each plane to make.
        zero: of the computing type.
    """
    deep, high, wide = table[SOURCE_SIZE], table[SOURCE_SIZE + 1], table[SOURCE_SIZE + 2]
    z_step, y_step, step = table[STEP], table[STEP + 1], table[STEP + 2]
    depth_step, row_step = table[PLANE_DEPTH], table[PLANE_ROW]
    for phase in range(table[PHASES]):
        remainder = shift(table, table[PHASE_LIST] + AXES * phase)
        first = low[2] + remainder[2]
        left = _within(-(first // step), 0, extent[2])  # the first index that isn't left of the image
        right = _within(-((first - wide) // step), left, extent[2])  # the first that is right of it
        for image in range(images):
            for channel in range(channels):
                place = image * table[SOURCE_IMAGE] + channel * table[SOURCE_CHANNEL] + first
                plane = (
                    image * table[PLANE_IMAGE] + channel * table[PLANE_CHANNEL] + phase * table[PLANE_PHASE]
                )
                for d in range(extent[0]):
                    z = d * z_step + remainder[0] + low[0]
                    row = shift(target, plane + d * depth_step)
                    for h in range(extent[1]):
                        y = h * y_step + remainder[1] + low[1]
                        end = right if 0 <= z < deep and 0 <= y < high else left
                        here = place + (z * high + y) * wide
                        _copy_row(shift(source, here), row, step, left, end, extent[2], reach - here, zero)
                        row = shift(row, row_step)
