"""im2col and col2im: the pixels under every window copied in runs, and the runs added where they came from.

Images are padded in scratch, `planes` of them at once, channels or fewer, three axes each. A table has the offsets of
the runs that a window meets there: rows of the kernel, or single cells where a dilation leaves gaps between them. A run
is copied by whole vectors, whose end the next run overwrites; scratch has slack for what is read beyond its end.
"""

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.simd import (
    lanes,
    load,
    load_part,
    pointer,
    shift,
    splat,
    store,
    store_part,
)


@part
def _clear(p, count, zero):
    """Write zeros to `count` numbers, and at most a vector of slack behind them."""
    for i in range(0, count, lanes(zero)):
        store(p, i, splat(zero))


@part
def _copy(source, target, count):
    """Copy `count` numbers."""
    width = lanes(source[0])
    for i in range(0, count - width + 1, width):
        store(target, i, load(source, i))
    rest = count % width
    if rest:
        store_part(target, count - rest, load_part(source, count - rest, rest), rest)


@part
def _pad(x, scratch, planes, size, low, padded):
    """Copy planes to their places in padded ones, whose zeros are there."""
    depth, height, width = size
    for plane in range(planes):
        for d in range(depth):
            for h in range(height):
                row = (plane * depth + d) * height + h
                to = ((plane * padded[0] + d + low[0]) * padded[1] + h + low[1]) * padded[2] + low[2]
                _copy(shift(x, row * width), shift(scratch, to), width)


@part
def _crop(scratch, x, planes, size, low, padded):
    """Copy what is within the padding of planes."""
    depth, height, width = size
    for plane in range(planes):
        for d in range(depth):
            for h in range(height):
                row = (plane * depth + d) * height + h
                to = ((plane * padded[0] + d + low[0]) * padded[1] + h + low[1]) * padded[2] + low[2]
                _copy(shift(scratch, to), shift(x, row * width), width)


@part
def _see(image, cols, table, runs, run, whole):
    """Copy the runs of one window to one row of columns; the last that are not among `whole` to the number."""
    width = lanes(image[0])
    for j in range(whole):
        for k in range(0, run, width):
            store(cols, j * run + k, load(image, table[j] + k))
    for j in range(whole, runs):
        for k in range(0, run, width):
            count = min(width, run - k)
            store_part(cols, j * run + k, load_part(image, table[j] + k, count), count)


@part
def _add(image, cols, table, runs, run):
    """Add the runs of one row of columns to one window."""
    width = lanes(image[0])
    for j in range(runs):
        place, i = table[j], j * run
        for k in range(0, run - width + 1, width):
            store(image, place + k, load(image, place + k) + load(cols, i + k))
        rest = run % width
        if rest:
            place, i = place + run - rest, i + run - rest
            store(image, place, load(image, place) + load_part(cols, i, rest))


@kernel
def im2col(
    x_at: int, cols_at: int, table_at: int, scratch_at: int, start: int, stop: int,
    channels: int, block: int, taps: int, runs: int, run: int,
    size0: int, size1: int, size2: int, low0: int, low1: int, low2: int,
    padded0: int, padded1: int, padded2: int, out0: int, out1: int, out2: int,
    stride0: int, stride1: int, stride2: int, zero: Number,
) -> None:  # fmt: skip
    """Write the columns of the images from `start` to `stop`, `block` channels at once, of `runs` runs in all."""
    x, cols, image, table = (
        pointer(x_at, zero),
        pointer(cols_at, zero),
        pointer(scratch_at, zero),
        pointer(table_at, 0),
    )
    size, low, padded = (size0, size1, size2), (low0, low1, low2), (padded0, padded1, padded2)
    plane, places, width = padded0 * padded1 * padded2, out0 * out1 * out2, lanes(zero)
    _clear(image, block * plane, zero)
    reach = -(-run // width) * width
    for n in range(start, stop):
        for c in range(0, channels, block):
            planes = min(block, channels - c)
            seen = runs * planes // block
            whole = max(0, (seen * run - reach) // run + 1)
            _pad(shift(x, (n * channels + c) * size0 * size1 * size2), image, planes, size, low, padded)
            at = n * places * channels * taps + c * taps
            last = at + (places - 1) * channels * taps
            for d in range(out0):
                for h in range(out1):
                    base = (d * stride0 * padded1 + h * stride1) * padded2
                    for w in range(out2):
                        # What runs over the end of a row is overwritten by the next, if all channels are written.
                        fitting = (
                            seen if block == channels and at + channels * taps + width <= last else whole
                        )
                        _see(shift(image, base + w * stride2), shift(cols, at), table, seen, run, fitting)
                        at += channels * taps


@kernel
def col2im(
    cols_at: int, x_at: int, table_at: int, scratch_at: int, start: int, stop: int,
    channels: int, block: int, taps: int, runs: int, run: int,
    size0: int, size1: int, size2: int, low0: int, low1: int, low2: int,
    padded0: int, padded1: int, padded2: int, out0: int, out1: int, out2: int,
    stride0: int, stride1: int, stride2: int, zero: Number,
) -> None:  # fmt: skip
    """Write the images from `start` to `stop`, each number the sum of the cells that show it.

    It walks as `im2col` does, and is written out: what the two do before the windows, to each and behind them are three
    different things, and passing those in would take more lines than the walk has.
    """
    x, cols, image, table = (
        pointer(x_at, zero),
        pointer(cols_at, zero),
        pointer(scratch_at, zero),
        pointer(table_at, 0),
    )
    size, low, padded = (size0, size1, size2), (low0, low1, low2), (padded0, padded1, padded2)
    plane, places = padded0 * padded1 * padded2, out0 * out1 * out2
    for n in range(start, stop):
        for c in range(0, channels, block):
            planes = min(block, channels - c)
            _clear(image, planes * plane, zero)
            at = n * places * channels * taps + c * taps
            for d in range(out0):
                for h in range(out1):
                    base = (d * stride0 * padded1 + h * stride1) * padded2
                    for w in range(out2):
                        row = shift(cols, at)
                        _add(shift(image, base + w * stride2), row, table, runs * planes // block, run)
                        at += channels * taps
            _crop(image, shift(x, (n * channels + c) * size0 * size1 * size2), planes, size, low, padded)
