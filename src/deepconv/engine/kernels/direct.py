"""Direct convolution as one matrix product that never stands in memory: y[k, place] = Σ_p w[k, p] · b[p, place].

A row p is a channel and a kernel cell; its pixels stand in the images (or their phase planes, `planes.py`) as
runs of neighbours. As in BLIS, a *panel* of b, as many rows as fit the first cache and as many places as a
register tile is wide, is packed and multiplied by all filters, of which each tile of ROWS is packed
`[p][ROWS]`; sums wait in scratch while the panel's further rows are packed. Places are counted through all
images of a block, so that small images fill whole tiles.

The gradient of the input is the same product over the planes of dy, once for each phase of dx ("jobs").
"""

from deepconv.engine.kernels.fields import (
    BATCH,
    BIAS_AT,
    BLOCK_IMAGES,
    CHANNELS,
    COPIED,
    FILTERS,
    GROUPS,
    JOB_CELLS,
    JOB_DEPTH,
    JOB_FIELDS,
    JOB_FIRST,
    JOB_LIST,
    JOB_OFFSETS,
    JOB_ORDERED,
    JOB_SIZE,
    JOB_STEP,
    JOB_WEIGHT,
    JOBS,
    LOW,
    MOST_DEPTH,
    MOST_FILTERS,
    MOST_PANELS,
    PANEL_AT,
    PLANE_CHANNEL,
    PLANE_DEPTH,
    PLANE_IMAGE,
    PLANE_ROW,
    PLACES,
    PLANES_AT,
    REACH,
    RELU,
    RESULT_CHANNEL,
    RESULT_IMAGE,
    RUNS_AT,
    SOURCE_CHANNEL,
    SOURCE_IMAGE,
    SOURCE_SIZE,
    STEP,
    STRIP,
    STRIP_AXIS,
    STRIPS,
    SUMS_AT,
    TILE_AT,
    UNITS,
    WEIGHT_CHANNEL,
    WEIGHT_FILTER,
    WEIGHT_GROUP,
)
from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.planes import fill_planes
from deepconv.engine.kernels.simd import (
    ROWS,
    VECTORS,
    add_rows,
    lanes,
    load,
    load_part,
    outer,
    pointer,
    relu_tile,
    shift,
    store,
    store_tile,
    zeros_tile,
)
from deepconv.engine.kernels.steps import add_tile


@part
def runs(table, first, count, size, steps):
    """Write which runs of neighbours `count` places make from place `first` on; return how many runs.

    A run takes three numbers: where it begins, its first place in the panel, its places.

    Args:
        table: pointer to whole numbers, where they are written.
        first, count: places, counted through the images.
        size: places on each axis.
        steps: from an image, and on each axis from a place, to the next.
    """
    deep, high, wide = size
    row, w = first // wide, first % wide
    image, rest = row // (deep * high), row % (deep * high)
    d, h = rest // high, rest % high
    place, n = 0, 0
    while place < count:
        run = min(wide - w, count - place)
        table[n] = image * steps[0] + d * steps[1] + h * steps[2] + w * steps[3]
        table[n + 1], table[n + 2] = place, run
        n += 3
        place, w, h = place + run, 0, h + 1
        if h == high:
            h, d = 0, d + 1
            if d == deep:
                d, image = 0, image + 1
    return n // 3


@part
def pack(source, offsets, depth, table, count, panel, reach, zero):
    """Pack the rows of a panel: `panel[p][place] = source[offsets[p] + run's beginning + …]`.

    A run's last vector writes over its end, where the next run or row is written later.

    Args:
        source: the first image.
        offsets: pointer to each row's offset, which grow with p.
        depth: how many rows.
        table, count: the runs.
        panel: where to, with room for a vector behind.
        reach: how much of `source` may be read.
        zero: of the computing type.
    """
    width = lanes(zero)
    copies = shift(table, 3 * count)  # the runs cut into vectors: from, to
    n = 0
    for r in range(count):
        for i in range(0, table[3 * r + 2], width):
            copies[n], copies[n + 1] = table[3 * r] + i, table[3 * r + 1] + i
            n += 2
    farthest = table[3 * count - 3] + (table[3 * count - 1] + width - 1) // width * width
    safe = depth
    while safe > 0 and offsets[safe - 1] + farthest > reach:
        safe -= 1
    for p in range(safe):
        row, target = shift(source, offsets[p]), shift(panel, p * (VECTORS * width))
        for i in range(0, n, 2):
            store(target, copies[i + 1], load(row, copies[i]))
    for p in range(safe, depth):
        row, target = shift(source, offsets[p]), shift(panel, p * (VECTORS * width))
        for r in range(count):
            for i in range(0, table[3 * r + 2], width):
                store(target, table[3 * r + 1] + i, load_part(row, table[3 * r] + i, table[3 * r + 2] - i))


@part
def spread(tile, rows, result, channel_step, table, count, width_step, zero):
    """Write the first `rows` rows of a tile in scratch to the runs of the result."""
    width = lanes(zero)
    for r in range(rows):
        for run in range(count):
            source = shift(tile, r * (VECTORS * width) + table[3 * run + 1])
            target = shift(result, r * channel_step + table[3 * run])
            length, i = table[3 * run + 2], 0
            if width_step == 1:
                while i + width <= length:
                    store(target, i, load(source, i))
                    i += width
            while i < length:
                target[i * width_step] = source[i]
                i += 1


@part
def multiply(weights, panel, depth, zero):
    """Return the tile of sums over a panel's rows."""
    tile = zeros_tile(ROWS, VECTORS, zero)
    for p in range(depth):
        tile = outer(tile, shift(weights, p * ROWS), 1, shift(panel, p * (VECTORS * lanes(zero))))
    return tile


@part
def panel_product(weights, weight_step, result, table, scratch, facts, zero):
    """Multiply a packed panel by the filters `facts` names, and keep the sums or write what is complete.

    `facts`: rows here, rows kept before, whether these are the last; first filter tile and the one behind
    the last; places; runs of the result, where they stand, and the result's step in a run.
    """
    depth, before, last, tiles, places, (runs_at, count, width_step) = facts
    across = VECTORS * lanes(zero)
    panel, sums = shift(scratch, table[PANEL_AT]), shift(scratch, table[SUMS_AT])
    spare, bias = shift(scratch, table[TILE_AT]), shift(scratch, table[BIAS_AT])
    channel_step, filters, relu = table[RESULT_CHANNEL], table[FILTERS], table[RELU]
    whole = count == 1 and places == across and width_step == 1
    begin = runs_at[0]
    for f in range(tiles[0], tiles[1]):
        tile = multiply(shift(weights, f * weight_step), panel, depth, zero)
        if before:
            tile = add_tile(tile, shift(sums, (tiles[2] + f - tiles[0]) * ROWS * across), across)
        if not last:
            store_tile(shift(sums, (tiles[2] + f - tiles[0]) * ROWS * across), across, tile)
            continue
        tile = add_rows(tile, shift(bias, f * ROWS))
        if relu:
            tile = relu_tile(tile)
        target = shift(result, f * ROWS * channel_step)
        if whole and (f + 1) * ROWS <= filters:
            store_tile(shift(target, begin), channel_step, tile)
        else:
            store_tile(spare, across, tile)
            spread(spare, min(ROWS, filters - f * ROWS), target, channel_step, runs_at, count, width_step, zero)


@part
def job_product(weights, source, reach, result, table, job, scratch, words, block, zero):
    """Compute one job of a block: all its places, for some filter tiles.

    `block`: images; places on each axis; first filter tile and the one behind the last.
    """
    images, size, first_tile, last_tile = block
    across = VECTORS * lanes(zero)
    depth = table[job + JOB_DEPTH]
    offsets = shift(table, table[job + JOB_OFFSETS])
    places = images * size[0] * size[1] * size[2]
    panels = (places + across - 1) // across
    pieces = (depth + table[MOST_DEPTH] - 1) // table[MOST_DEPTH]
    rows = (depth + pieces - 1) // pieces
    from_steps = (table[PLANE_IMAGE], table[PLANE_DEPTH], table[PLANE_ROW], 1)
    to_steps = (table[RESULT_IMAGE], table[job + JOB_STEP], table[job + JOB_STEP + 1], table[job + JOB_STEP + 2])
    to_size = size
    if table[job + JOB_ORDERED]:
        to_size = (1, 1, size[0] * size[1] * size[2])
    for tiles in range(first_tile, last_tile, table[MOST_FILTERS]):
        tiles_end = min(last_tile, tiles + table[MOST_FILTERS])
        for chunk in range(0, panels, table[MOST_PANELS]):
            for begin in range(0, depth, rows):
                end = min(depth, begin + rows)
                for q in range(chunk, min(panels, chunk + table[MOST_PANELS])):
                    count = min(across, places - q * across)
                    pieces_in = runs(words, q * across, count, size, from_steps)
                    pack(source, shift(offsets, begin), end - begin, words, pieces_in,
                         shift(scratch, table[PANEL_AT]), reach, zero)  # fmt: skip
                    pieces_out = runs(words, q * across, count, to_size, to_steps)
                    written = (words, pieces_out, to_steps[3])
                    facts = (end - begin, begin > 0, end == depth,
                             (tiles, tiles_end, (q - chunk) * (tiles_end - tiles)), count, written)  # fmt: skip
                    panel_product(shift(weights, begin * ROWS), depth * ROWS, result, table, scratch, facts, zero)


@kernel
def convolve(x_address, weight_address, bias_address, y_address, table_address, scratch_address, start, stop, zero: Number):
    """Compute the units `start` up to `stop`: filter tiles, counted through the blocks.

    Args:
        x_address: what is read: x, or dy for the gradient of the input.
        weight_address: what `pack_weight` wrote.
        bias_address: a number for each filter, or 0.
        y_address: what is written: y or dx.
        table_address: whole numbers, see `fields.py`.
        scratch_address: as much as the table says.
        start, stop: units.
        zero: of the computing type.
    """
    table, words = pointer(table_address, start), pointer(scratch_address, start)
    scratch = pointer(scratch_address, zero)
    words = shift(words, table[RUNS_AT])
    unit = start
    while unit < stop:
        block, tile = unit // table[UNITS], unit % table[UNITS]
        tiles = min(stop - unit, table[UNITS] - tile)
        compute_block(x_address, weight_address, bias_address, y_address, (table, scratch, words), block,
                      (tile, tile + tiles), zero)  # fmt: skip
        unit += tiles


@part
def compute_block(x_address, weight_address, bias_address, y_address, memory, block, tiles, zero):
    """Compute some filter tiles of one block: images, or a strip of one, and a group of channels."""
    table, scratch, words = memory
    groups, channels, filters = table[GROUPS], table[CHANNELS], table[FILTERS]
    group, rest = block % groups, block // groups
    strip, image = rest % table[STRIPS], rest // table[STRIPS] * table[BLOCK_IMAGES]
    images = min(table[BLOCK_IMAGES], table[BATCH] - image)
    axis, begin, most = table[STRIP_AXIS], strip * table[STRIP], table[STRIP]
    copy_bias(bias_address, group * filters, filters, shift(scratch, table[BIAS_AT]), zero)
    source = shift(pointer(x_address, zero), image * table[SOURCE_IMAGE] + group * channels * table[SOURCE_CHANNEL])
    reach = (table[BATCH] - image) * table[SOURCE_IMAGE] - group * channels * table[SOURCE_CHANNEL]
    if table[COPIED]:
        planes = shift(scratch, table[PLANES_AT])
        make_planes(source, planes, table, images, axis, begin, zero)
        source, reach = planes, 1 << 62
    else:
        skip = (table[LOW] + (begin if axis == 0 else 0)) * table[PLANE_DEPTH]
        skip += (table[LOW + 1] + (begin if axis == 1 else 0)) * table[PLANE_ROW]
        skip += table[LOW + 2] + (begin if axis == 2 else 0)
        source, reach = shift(source, skip), reach - skip
    result = shift(pointer(y_address, zero), image * table[RESULT_IMAGE] + group * filters * table[RESULT_CHANNEL])
    for j in range(table[JOBS]):
        job = table[JOB_LIST] + j * JOB_FIELDS
        whole = table[job + JOB_SIZE + axis]
        here = max(0, min(most, whole - begin))
        deep, high, wide = table[job + JOB_SIZE], table[job + JOB_SIZE + 1], table[job + JOB_SIZE + 2]
        size = (here if axis == 0 else deep, here if axis == 1 else high, here if axis == 2 else wide)
        first = table[job + JOB_FIRST] + begin * table[job + JOB_STEP + axis]
        filter_tiles = (filters + ROWS - 1) // ROWS
        weights = shift(pointer(weight_address, zero),
                        table[job + JOB_WEIGHT] + group * filter_tiles * ROWS * table[job + JOB_DEPTH])  # fmt: skip
        job_product(weights, source, reach, shift(result, first), table, job, scratch, words,
                    (images, size, tiles[0], tiles[1]), zero)  # fmt: skip


@part
def make_planes(source, planes, table, images, axis, begin, zero):
    """Make the phase planes that a block's places need, from `begin` on along the strips' axis."""
    at = (begin if axis == 0 else 0, begin if axis == 1 else 0, begin if axis == 2 else 0)
    low = (
        table[LOW] + at[0] * table[STEP],
        table[LOW + 1] + at[1] * table[STEP + 1],
        table[LOW + 2] + at[2] * table[STEP + 2],
    )
    most = table[STRIP]
    deep, high, wide = table[PLACES], table[PLACES + 1], table[PLACES + 2]
    extent = (
        table[REACH] + (min(most, deep - begin) if axis == 0 else deep),
        table[REACH + 1] + (min(most, high - begin) if axis == 1 else high),
        table[REACH + 2] + (min(most, wide - begin) if axis == 2 else wide),
    )
    fill_planes(source, planes, table, images, table[CHANNELS], low, extent, zero)


@part
def copy_bias(bias_address, first, filters, target, zero):
    """Write a group's bias to scratch, zeros behind it; zeros where there is none."""
    for i in range(-(-filters // ROWS) * ROWS):
        target[i] = zero
    if bias_address:
        bias = shift(pointer(bias_address, zero), first)
        for i in range(filters):
            target[i] = bias[i]


@kernel
def pack_weight(weight_address, target_address, table_address, zero: Number):
    """Write the weights as `convolve` reads them: for each job, group and filter tile `[channel][cell][ROWS]`.

    Filters that a group lacks to a whole tile are zeros.

    Args:
        weight_address: `(K, C/groups, *kernel)`.
        target_address: where to.
        table_address: whole numbers, see `fields.py`.
        zero: of the computing type.
    """
    table = pointer(table_address, table_address)
    weight, target = pointer(weight_address, zero), pointer(target_address, zero)
    filters, channels = table[FILTERS], table[CHANNELS]
    filter_step, channel_step = table[WEIGHT_FILTER], table[WEIGHT_CHANNEL]
    for j in range(table[JOBS]):
        job = table[JOB_LIST] + j * JOB_FIELDS
        taps, cells = table[job + JOB_DEPTH] // channels, shift(table, table[job + JOB_CELLS])
        place = table[job + JOB_WEIGHT]
        for group in range(table[GROUPS]):
            for f in range(0, filters, ROWS):
                tile = shift(weight, group * table[WEIGHT_GROUP] + f * filter_step)
                rows = min(ROWS, filters - f)
                for c in range(channels):
                    for t in range(taps):
                        source = shift(tile, c * channel_step + cells[t])
                        for r in range(rows):
                            target[place + r] = source[r * filter_step]
                        for r in range(rows, ROWS):
                            target[place + r] = zero
                        place += ROWS
