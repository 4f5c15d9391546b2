"""The gradient of the weights as a matrix product that never writes its columns, and that of the bias.

    dw[k, (c, tap)] = Σ dy[n, k, l] · x[n, c, where[l] + offset[c, tap]]        over all images n and places l

Lanes are filters: dy is turned to `[l][filters]`, a *panel* of some places for one block of filters, which stays
in the nearest cache while all rows (c, tap) are gone through. x is read where it lies, one number at a time: a
number is broadcast to all lanes, so that neither stride nor dilation costs anything, and the same table of
places serves every row. Sums stay in registers over the places of a panel, then go to dwᵀ `[c, tap][filters]`.

With padding, x is copied into scratch memory with its zeros, a *band* at a time: some output rows of one
image, or several small images. Places are taken in the order band, panel, place, whatever the number of threads.
"""

from deepconv.engine.kernels.frontend import Number, kernel, part
from deepconv.engine.kernels.simd import (
    TARGET,
    lanes,
    lanes_sum,
    load,
    load_part,
    load_tile,
    offsets,
    outer,
    pointer,
    shift,
    splat,
    store,
    store_tile,
    turn_square,
    zeros_tile,
)

# Rows and vectors of the two tiles: a wide one, and one for few filters or an odd rest of them.
WIDE = (6, TARGET.registers // 8)
NARROW = (12, TARGET.registers // 16)

# What stands where in the table of facts.
(
    BATCH, CHANNELS, FILTERS, GROUPS, DEPTH, HEIGHT, WIDTH, OUT_DEPTH, OUT_HEIGHT, OUT_WIDTH,
    STRIDE_D, STRIDE_H, STRIDE_W, SPAN_D, PAD_D, PAD_H, PAD_W, LINES, LINE, PADDED, NARROW_TILE,
    ROWS, ROWS_PADDED, IMAGES, BAND, PLANE, PANEL, CHUNK, PANEL_AT, WHERE_AT, BAND_AT, SUMS_AT, FACTS,
) = range(33)  # fmt: skip


@part
def _turned(a, a_step, m, b, b_step, n, zero):
    """Write `b[j·b_step + i] = a[i·a_step + j]` for i below m and j below n; squares at the edges overlap."""
    v = lanes(zero)
    if m < v or n < v:
        for i in range(m):
            for j in range(n):
                b[j * b_step + i] = a[i * a_step + j]
    else:
        for row in range(0, m, v):
            i = min(row, m - v)
            for column in range(0, n, v):
                j = min(column, n - v)
                turn_square(shift(a, i * a_step + j), a_step, shift(b, j * b_step + i), b_step)


@part
def _clear(a, count, zero):
    """Write zeros to `a`, and up to a vector of them behind."""
    nothing = splat(zero)
    for i in range(0, count, lanes(zero)):
        store(a, i, nothing)


@part
def _copy(a, b, count, zero):
    """Copy `a` to `b`, and up to a vector of zeros behind."""
    v = lanes(zero)
    whole = count - count % v
    for i in range(0, whole, v):
        store(b, i, load(a, i))
    if whole < count:
        store(b, whole, load_part(a, whole, count - whole))


@part
def _pad(x, band, facts, channels, row, rows, zero):
    """Copy channels' rows from `row` on, as the padded image counts them, each line with its zeros.

    Lines are written in order, so that what a line writes too much is the next one's.
    """
    depth, height, width = facts[DEPTH], facts[HEIGHT], facts[WIDTH]
    line, before = facts[LINE], min(facts[PAD_W], facts[LINE])
    inside = max(0, min(width, line - before))
    for c in range(channels):
        for d in range(rows):
            source_d = row + d - facts[PAD_D]
            for h in range(facts[LINES]):
                source_h = h - facts[PAD_H]
                target = shift(band, c * facts[PLANE] + (d * facts[LINES] + h) * line)
                if source_d < 0 or source_d >= depth or source_h < 0 or source_h >= height:
                    _clear(target, line, zero)
                else:
                    _clear(target, before, zero)
                    source = shift(x, ((c * depth + source_d) * height + source_h) * width)
                    _copy(source, shift(target, before), inside, zero)
                    _clear(shift(target, before + inside), line - before - inside, zero)


@part
def _places(where, facts, images, begin, stop, image_step, row_step, line_step, row):
    """Write where the window stands for the places of a band, the first row of x in it being `row`."""
    height, width = facts[OUT_HEIGHT], facts[OUT_WIDTH]
    q = 0
    for n in range(images):
        d, h, w = begin // (height * width), begin // width % height, begin % width
        for _ in range(begin, stop):
            at = n * image_step + (d * facts[STRIDE_D] - row) * row_step
            where[q] = at + h * facts[STRIDE_H] * line_step + w * facts[STRIDE_W]
            q += 1
            w += 1
            if w == width:
                w = 0
                h += 1
                if h == height:
                    h = 0
                    d += 1


@part
def _panel(dy, panel, facts, q, stop, places, filters, width, zero):
    """Turn the places q up to `stop` of a band, `places` of them in an image, for some filters."""
    step = facts[OUT_DEPTH] * facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    if filters < width:  # unused lanes: numbers left there might be denormal ones, which are slow
        _clear(panel, (stop - q) * width, zero)
    target = panel
    while q < stop:
        image, place = q // places, q % places
        count = min(stop - q, places - place)
        _turned(shift(dy, image * facts[FILTERS] * step + place), step, filters, target, width, count, zero)
        target = shift(target, count * width)
        q += count


def _summing(rows, vectors):
    """Return the part that adds a panel's share to all rows of dwᵀ, a tile of `rows` at a time."""

    @part
    def add(panel, x, where, count, table, total, sums, fresh, zero):
        width = vectors * lanes(zero)
        for r in range(0, total, rows):
            row = offsets(shift(table, r), rows)
            tile = zeros_tile(rows, vectors, zero)
            if not fresh:
                tile = load_tile(shift(sums, r * width), width, tile)
            for q in range(count):
                tile = outer(tile, shift(x, where[q]), row, shift(panel, q * width))
            store_tile(shift(sums, r * width), width, tile)

    return add


_add_wide = _summing(*WIDE)
_add_narrow = _summing(*NARROW)


@part
def _width(facts, zero):
    """Return how many filters a block has."""
    return (NARROW[1] if facts[NARROW_TILE] else WIDE[1]) * lanes(zero)


@part
def _add_band(dy, x, where, table, panel, sums, facts, count, places, filters, fresh, zero):
    """Add the share of a band's places to the sums of one block of filters."""
    width, rows = _width(facts, zero), facts[ROWS_PADDED]
    for q in range(0, count, facts[PANEL]):
        stop = min(count, q + facts[PANEL])
        _panel(dy, panel, facts, q, stop, places, filters, width, zero)
        if facts[NARROW_TILE]:
            _add_narrow(panel, x, shift(where, q), stop - q, table, rows, sums, fresh and q == 0, zero)
        else:
            _add_wide(panel, x, shift(where, q), stop - q, table, rows, sums, fresh and q == 0, zero)


@part
def _band(x, band, where, facts, images, begin, end, zero):
    """Return where a band's numbers of x begin: in x itself or, with their padding, in `band`; list its places."""
    channels, area = facts[CHANNELS] // facts[GROUPS], facts[HEIGHT] * facts[WIDTH]
    image = facts[CHANNELS] * facts[DEPTH] * area
    if not facts[PADDED]:
        _places(where, facts, images, begin, end, image, area, facts[WIDTH], 0)
        return x
    out_row = facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    row = begin // out_row * facts[STRIDE_D]
    rows = (end - 1) // out_row * facts[STRIDE_D] + facts[SPAN_D] - row
    for n in range(images):
        _pad(shift(x, n * image), shift(band, n * channels * facts[PLANE]), facts, channels, row, rows, zero)
    row_step = facts[LINES] * facts[LINE]
    _places(where, facts, images, begin, end, channels * facts[PLANE], row_step, facts[LINE], row)
    return band


@part
def _chunk(dy, x, dw, table, scratch, facts, group, first, stop, zero):
    """Compute the gradient of the blocks `first` up to `stop` of a group's filters."""
    channels, filters = facts[CHANNELS] // facts[GROUPS], facts[FILTERS] // facts[GROUPS]
    image = facts[DEPTH] * facts[HEIGHT] * facts[WIDTH]
    places = facts[OUT_DEPTH] * facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    rows, width = facts[ROWS], _width(facts, zero)
    where = pointer(scratch + facts[WHERE_AT], 0)
    panel, band = pointer(scratch + facts[PANEL_AT], zero), pointer(scratch + facts[BAND_AT], zero)
    sums, block = pointer(scratch + facts[SUMS_AT], zero), facts[ROWS_PADDED] * width
    for n in range(0, facts[BATCH], facts[IMAGES]):
        images = min(facts[IMAGES], facts[BATCH] - n)
        for begin in range(0, places, facts[BAND]):
            end = min(places, begin + facts[BAND])
            first_x = shift(x, (n * facts[CHANNELS] + group * channels) * image)
            seen = _band(first_x, band, where, facts, images, begin, end, zero)
            for b in range(first, stop):
                k = group * filters + b * width
                _add_band(
                    shift(dy, (n * facts[FILTERS] + k) * places + begin), seen, where, table, panel,
                    shift(sums, (b - first) * block), facts, images * (end - begin), end - begin,
                    min(width, filters - b * width), n == 0 and begin == 0, zero,
                )  # fmt: skip
    for b in range(first, stop):
        target = shift(dw, (group * filters + b * width) * rows)
        _turned(
            shift(sums, (b - first) * block), width, rows, target, rows, min(width, filters - b * width), zero
        )


@kernel
def weight_grad(dy, x, dw, table, scratch, facts, first, stop, zero: Number):
    """Compute the gradient of the blocks of filters `first` up to `stop`, counted through all groups."""
    dy, x, dw = pointer(dy, zero), pointer(x, zero), pointer(dw, zero)
    table, facts = pointer(table, 0), offsets(pointer(facts, 0), FACTS)
    width, filters = _width(facts, zero), facts[FILTERS] // facts[GROUPS]
    blocks = (filters + width - 1) // width
    while first < stop:
        group, block = first // blocks, first % blocks
        until = min(blocks, block + min(facts[CHUNK], stop - first))
        _chunk(dy, x, dw, table, scratch, facts, group, block, until, zero)
        first += until - block


@kernel
def bias_grad(dy, db, batch, filters, places, first, stop, zero: Number):
    """Write the sums of dy over batch and places to db for filters `first` up to `stop`."""
    dy, db = pointer(dy, zero), pointer(db, zero)
    v = lanes(zero)
    for k in range(first, stop):
        s0, s1, s2, s3 = splat(zero), splat(zero), splat(zero), splat(zero)
        for n in range(batch):
            line = shift(dy, (n * filters + k) * places)
            i = 0
            while i + 4 * v <= places:
                s0 = s0 + load(line, i)
                s1 = s1 + load(line, i + v)
                s2 = s2 + load(line, i + 2 * v)
                s3 = s3 + load(line, i + 3 * v)
                i += 4 * v
            while i + v <= places:
                s0 = s0 + load(line, i)
                i += v
            if i < places:
                s1 = s1 + load_part(line, i, places - i)
        db[k] = lanes_sum((s0 + s1) + (s2 + s3))
