"""Direct convolution as one matrix product that never stands in memory: y[k, place] = Σ_p w[k, p] · b[p, place].

A row p is a channel and a kernel cell; its pixels stand in the images (or their phase planes, `planes.py`) as
runs of neighbours. As in BLIS, a *panel* of b, as many rows as fit the first cache and as many places as a
register tile is wide, is packed and multiplied by all filters, of which each tile of ROWS is packed
`[p][ROWS]`; sums wait in scratch while the panel's further rows are packed. Places are counted through all
images of a block, so that small images fill whole tiles.

The gradient of the input is the same product over the planes of dy, once for each phase of dx ("jobs").
Tried: reading a panel's vectors where they stand in the planes, not packed: up to 5 % faster for 32 filters,
2 to 8 % slower for 64 (unaligned loads that cross cache lines).

All that depends on the geometry alone stands in the table (`fields.py`): which vectors make a row of each panel, and
where its sums go.
"""

from deepconv.engine.kernels.fields import (
    BIAS_AT,
    BLOCK_EXTENT,
    BLOCK_FIELDS,
    BLOCK_IMAGES,
    BLOCK_JOBS,
    BLOCK_LIST,
    BLOCK_LOW,
    BLOCK_REACH,
    BLOCK_RESULT,
    BLOCK_SOURCE,
    CHANNELS,
    COPIED,
    FAR,
    FILTERS,
    GROUPS,
    JOB_CELLS,
    JOB_DEPTH,
    JOB_FIELDS,
    JOB_LIST,
    JOB_LISTS,
    JOB_OFFSETS,
    JOB_PANELS,
    JOB_RESULT,
    JOB_STEP,
    JOB_WEIGHT,
    JOBS,
    MOST_DEPTH,
    MOST_PANELS,
    MOST_TILES,
    PANEL_AT,
    PANEL_COPIES,
    PANEL_FIELDS,
    PANEL_JOINED,
    PANEL_RUNS,
    PANEL_VECTORS,
    PANEL_WHOLE,
    PLANES_AT,
    RELU,
    RESULT_CHANNEL,
    SOURCE_CHANNEL,
    SUMS_AT,
    TILE_AT,
    TILES,
    WEIGHT_CHANNEL,
    WEIGHT_CHANNELS,
    WEIGHT_FILTER,
    WEIGHT_GROUP,
    WEIGHT_ORDERED,
    WEIGHT_TOGETHER,
)
from deepconv.engine.kernels.frontend import Number, kernel, part, routine, stays_apart
from deepconv.engine.kernels.planes import fill_planes
from deepconv.engine.kernels.simd import (
    ROWS,
    TARGET,
    VECTORS,
    add_rows,
    lanes,
    load,
    load_part,
    load_tile,
    offsets,
    outer,
    pointer,
    prefetch,
    relu_tile,
    shift,
    store,
    store_tile,
    zeros_tile,
)
from deepconv.engine.kernels.steps import add_tile, interleave, joined, prefetch_to_write

VECTOR_BYTES, LINE_BYTES = TARGET.vector_bytes, 64


@part
def _pack(source, at, depth, facts, panel, reach, zero):
    """Pack the rows of a panel: `panel[p][place] = source[at[p] + …]`.

    A copy's last vector writes over its end, where the next copy or row is written later.

    Args:
        source: the block's first place.
        at: pointer to each row's offset, which grow with p.
        depth: how many rows.
        facts: the panel's entry in the table.
        panel: where to, with room for a vector behind.
        reach: how much of `source` may be read.
        zero: of the computing type.
    """
    width = lanes(zero)
    copies, count = shift(facts, PANEL_FIELDS), facts[PANEL_COPIES]
    safe = depth  # rows of which whole vectors may be read
    while safe > 0 and at[safe - 1] + copies[count - 3] + width > reach:
        safe -= 1
    for p in range(safe):
        row, target = shift(source, at[p]), shift(panel, p * (VECTORS * width))
        for i in range(0, count, 3):
            store(target, copies[i + 1], load(row, copies[i]))
    for p in range(safe, depth):
        row, target = shift(source, at[p]), shift(panel, p * (VECTORS * width))
        for i in range(0, count, 3):
            store(target, copies[i + 1], load_part(row, copies[i], copies[i + 2]))


@part
def _spread(tile, rows, result, channel_step, runs, count, width_step, zero):
    """Write the first `rows` rows of a tile in scratch to the runs of the result."""
    width = lanes(zero)
    for r in range(rows):
        for run in range(0, count, 3):
            source = shift(tile, r * (VECTORS * width) + runs[run + 1])
            target = shift(result, r * channel_step + runs[run])
            length, i = runs[run + 2], 0
            if width_step == 1:
                while i + width <= length:
                    store(target, i, load(source, i))
                    i += width
            while i < length:
                target[i * width_step] = source[i]
                i += 1


@part
def _multiply(weights, panel, depth, zero):
    """Return the tile of sums over a packed panel's rows."""
    tile = zeros_tile(ROWS, VECTORS, zero)
    for p in range(depth):
        tile = outer(tile, shift(weights, p * ROWS), 1, shift(panel, p * (VECTORS * lanes(zero))))
    return tile


@routine
def _pack_multiplying(weights, source, at, depth, vectors, panel, sums, zero):
    """Pack the rows of a panel whose vectors are joined of two runs each, and write the first tile's sums over them.

    Packing waits for memory where multiplication waits for nothing: done at once, strided layers of 3×3 took 3 to 10 %
    less time on Zen 3, single cells the same. As a part of its caller it made that spill sums: 5 to 15 % slower.
    """
    stays_apart()
    width, place = lanes(zero), offsets(vectors, 9)
    tile = zeros_tile(ROWS, VECTORS, zero)
    for p in range(depth):
        row, target = shift(source, at[p]), shift(panel, p * (VECTORS * width))
        store(target, 0, joined(load(row, place[0]), load(row, place[1]), place[2]))
        store(target, width, joined(load(row, place[3]), load(row, place[4]), place[5]))
        store(target, 2 * width, joined(load(row, place[6]), load(row, place[7]), place[8]))
        tile = outer(tile, shift(weights, p * ROWS), 1, target)
    store_tile(sums, VECTORS * width, tile)


@part
def _finish(tile, result, f, table, job, facts, scratch, zero):
    """Add the bias to a filter tile's sums, ReLU them if asked, and write them to the result."""
    across = VECTORS * lanes(zero)
    channel_step, filters = table[RESULT_CHANNEL], table[FILTERS]
    runs = shift(facts, PANEL_FIELDS + facts[PANEL_COPIES])
    target = shift(result, f * ROWS * channel_step)
    tile = add_rows(tile, shift(scratch, table[BIAS_AT] + f * ROWS))
    if table[RELU]:
        tile = relu_tile(tile)
    if facts[PANEL_WHOLE] and (f + 1) * ROWS <= filters:
        store_tile(shift(target, runs[0]), channel_step, tile)
    else:
        spare = shift(scratch, table[TILE_AT])
        store_tile(spare, across, tile)
        rows = min(ROWS, filters - f * ROWS)
        _spread(spare, rows, target, channel_step, runs, facts[PANEL_RUNS], job[JOB_STEP], zero)


@part
def _panel_product(weights, source, at, ahead, wanted, result, table, job, facts, scratch, kept, work, zero):
    """Multiply a panel by some filter tiles, and keep the sums or finish them.

    Meanwhile the second cache is asked for the next panel's rows, `wanted` from `ahead` on, and the first for the
    places of the result: runs are short and the rows of an image lie pages apart, which no cache foresees.

    `work`: the first row and how many; the first filter tile and the one behind the last; rows to ask for; whether
    the panel is packed.
    """
    begin, here, first, last, rest, packed = work
    across, line = VECTORS * lanes(zero), LINE_BYTES * lanes(zero) // VECTOR_BYTES
    depth, channel_step = job[JOB_DEPTH], table[RESULT_CHANNEL]
    complete = begin + here == depth
    asked, share = 0, (rest + last - first - 1) // (last - first)
    panel = shift(scratch, table[PANEL_AT])
    place = facts[PANEL_FIELDS + facts[PANEL_COPIES]]
    for f in range(first, last):
        for p in range(asked, min(rest, asked + share)):
            for i in range(0, across, line):
                prefetch(ahead, wanted[p] + i, 2)
            prefetch(ahead, wanted[p] + across - 1, 2)
        asked += share
        if complete:
            target = shift(result, f * ROWS * channel_step + place)
            for r in range(ROWS):
                prefetch_to_write(target, r * channel_step)
                prefetch_to_write(target, r * channel_step + across - 1)
        filters = shift(weights, (f * depth + begin) * ROWS)
        if packed:
            tile = _multiply(filters, panel, here, zero)
        else:
            spare = shift(scratch, table[TILE_AT])
            _pack_multiplying(filters, source, at, here, shift(facts, PANEL_VECTORS), panel, spare, zero)
            tile = load_tile(spare, across, zeros_tile(ROWS, VECTORS, zero))
            packed = True
        if begin > 0:
            tile = add_tile(tile, kept, across)
        if complete:
            _finish(tile, result, f, table, job, facts, scratch, zero)
        else:
            store_tile(kept, across, tile)
        kept = shift(kept, ROWS * across)


@part
def _job_product(weights, source, reach, result, table, job, scratch, first, last, zero):
    """Compute one job of a block: all its places, for the filter tiles `first` up to `last`."""
    depth, panels, rows, most = job[JOB_DEPTH], job[JOB_PANELS], table[MOST_DEPTH], table[MOST_PANELS]
    panel, sums = shift(scratch, table[PANEL_AT]), shift(scratch, table[SUMS_AT])
    lists = shift(table, job[JOB_LISTS])
    for tile in range(first, last, table[MOST_TILES]):
        tiles = min(last - tile, table[MOST_TILES])
        for chunk in range(0, panels, most):
            for begin in range(0, depth, rows):
                here = min(rows, depth - begin)
                at = shift(table, job[JOB_OFFSETS] + begin)
                stop = min(panels, chunk + most)
                for q in range(chunk, stop):
                    facts = shift(table, lists[q])
                    end = at[here - 1] + facts[PANEL_VECTORS + 7] + lanes(zero)  # of what the last row reads
                    packed = not facts[PANEL_JOINED] or end > reach
                    if packed:
                        _pack(source, at, here, facts, panel, reach, zero)
                    following, wanted, rest = q + 1, at, here
                    if following == stop:  # the chunk begins again, with the rows behind
                        following, wanted = chunk, shift(at, here)
                        rest = min(rows, depth - begin - here)
                    ahead = shift(source, table[lists[following] + PANEL_FIELDS])
                    kept = shift(sums, (q - chunk) * tiles * ROWS * VECTORS * lanes(zero))
                    work = (begin, here, tile, tile + tiles, rest * table[FAR], packed)
                    _panel_product(
                        weights,
                        source,
                        at,
                        ahead,
                        wanted,
                        result,
                        table,
                        job,
                        facts,
                        scratch,
                        kept,
                        work,
                        zero,
                    )


@part
def _block_product(x, weight, bias_address, y, table, scratch, unit, tiles, zero):
    """Compute `tiles` filter tiles of one block and group, from unit `unit` on."""
    block, first = unit // table[TILES], unit % table[TILES]
    group, filters = block % table[GROUPS], table[FILTERS]
    block = shift(table, table[BLOCK_LIST] + block // table[GROUPS] * BLOCK_FIELDS)
    bias = shift(scratch, table[BIAS_AT])
    for i in range(table[TILES] * ROWS):
        bias[i] = zero
    if bias_address:
        given = shift(pointer(bias_address, zero), group * filters)
        for i in range(filters):
            bias[i] = given[i]
    skip = group * table[CHANNELS] * table[SOURCE_CHANNEL]
    source, reach = shift(x, block[BLOCK_SOURCE] + skip), block[BLOCK_REACH] - skip
    if table[COPIED]:
        planes = shift(scratch, table[PLANES_AT])
        fill_planes(source, reach, planes, table, block[BLOCK_IMAGES], table[CHANNELS], shift(block, BLOCK_LOW),
                    shift(block, BLOCK_EXTENT), zero)  # fmt: skip
        source, reach = planes, 1 << 62
    result = shift(y, block[BLOCK_RESULT] + group * filters * table[RESULT_CHANNEL])
    for j in range(table[JOBS]):
        job = shift(table, block[BLOCK_JOBS] + j * JOB_FIELDS)
        weights = shift(weight, job[JOB_WEIGHT] + group * table[TILES] * ROWS * job[JOB_DEPTH])
        target = shift(result, job[JOB_RESULT])
        _job_product(weights, source, reach, target, table, job, scratch, first, first + tiles, zero)


@kernel
def convolve(
    x_address: int,
    weight_address: int,
    bias_address: int,
    y_address: int,
    table_address: int,
    scratch_address: int,
    start: int,
    stop: int,
    zero: Number,
) -> None:
    """Compute the units `start` up to `stop`: filter tiles, counted through groups and blocks.

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
    table, scratch = pointer(table_address, start), pointer(scratch_address, zero)
    x, weight, y = pointer(x_address, zero), pointer(weight_address, zero), pointer(y_address, zero)
    unit = start
    while unit < stop:
        tiles = min(stop - unit, table[TILES] - unit % table[TILES])
        _block_product(x, weight, bias_address, y, table, scratch, unit, tiles, zero)
        unit += tiles


@part
def _pack_tile(weight, target, table, job, taps, rows, first, last, zero):
    """Write a filter tile's weights of the channels `first` up to `last`; filters behind its `rows` are zeros."""
    filter_step, channel_step = table[WEIGHT_FILTER], table[WEIGHT_CHANNEL]
    cells = shift(table, job[JOB_CELLS])
    if rows == ROWS and filter_step == 1:
        while first + 1 < last:  # what is written behind a tile's row is the next, written later
            for r in range(0, ROWS, lanes(zero)):
                store(target, first * ROWS + r, load(weight, first * channel_step + r))
            first += 1
    for channel in range(first, last):
        source, place, t = shift(weight, channel * channel_step), shift(target, channel * taps * ROWS), 0
        if rows == ROWS and table[WEIGHT_ORDERED]:  # cells stand in the order in which they are wanted
            while t + lanes(zero) <= taps:
                interleave(shift(source, t), filter_step, shift(place, t * ROWS), ROWS)
                t += lanes(zero)
        while t < taps:
            column, row = shift(source, cells[t]), shift(place, t * ROWS)
            if rows == ROWS:
                for r in range(ROWS):
                    row[r] = column[r * filter_step]
            else:
                for r in range(ROWS):
                    row[r] = column[r * filter_step] if r < rows else zero
            t += 1


@kernel
def pack_weight(weight_address: int, target_address: int, table_address: int, zero: Number) -> None:
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
    filters, channels = table[FILTERS], table[WEIGHT_CHANNELS]
    most = table[WEIGHT_TOGETHER]
    for group in range(table[GROUPS]):
        source = shift(weight, group * table[WEIGHT_GROUP])
        for channel in range(0, channels, most):
            some = min(most, channels - channel)
            for j in range(table[JOBS]):  # all of which read the same weights, near by then
                job = shift(table, table[JOB_LIST] + j * JOB_FIELDS)
                depth = job[JOB_DEPTH]
                place = shift(target, job[JOB_WEIGHT] + group * table[TILES] * ROWS * depth)
                for f in range(0, filters, ROWS):
                    rows, first = min(ROWS, filters - f), shift(source, f * table[WEIGHT_FILTER])
                    tile = shift(place, f * depth)
                    _pack_tile(
                        first, tile, table, job, depth // channels, rows, channel, channel + some, zero
                    )
