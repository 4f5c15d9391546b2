"""The gradient of the weights as a matrix product that never writes its columns, and that of the bias.

    dw[k, (c, tap)] = Σ dy[n, k, l] · x[n, c, where[l] + offset[c, tap]]        over all images n and places l

Lanes are filters: dy is turned to `[l][filters]`, a *panel* of some places for one block of filters, which stays
in the nearest cache while all rows (c, tap) are gone through. x is read where it lies, one number at a time: a
number is broadcast to all lanes, so that neither stride nor dilation costs anything, and the same table of
places serves every row. Sums stay in registers over the places of a panel, then go to dwᵀ `[c, tap][filters]`.

Where the window is one cell and there are fewer channels than filters, dy and x change places: what is turned is
the smaller, and dw comes out as it should lie.

With padding, x is copied into scratch memory with its zeros, a *band* at a time: some output rows of one
image, or several small images. Places are taken in the order band, panel, place, whatever the number of threads.
"""

from deepconv.engine.kernels.frontend import Number, kernel, part, routine, stays_apart
from deepconv.engine.kernels.simd import (
    TARGET,
    lanes,
    lanes_sum,
    load,
    load_part,
    offsets,
    outer,
    pointer,
    prefetch,
    shift,
    splat,
    store,
    store_part,
    store_tile,
    turn_square,
    zeros_tile,
)
from deepconv.engine.kernels.steps import add_tile, evens

# Rows and vectors of the tile: 6 by 2 where there are 16 registers, 12 by 2 where 32. Two vectors are filters
# enough for most layers; a second tile, wider or narrower, would have to be compiled too.
TILE_ROWS, TILE_VECTORS = TARGET.registers * 3 // 8, 2
VECTOR_BYTES, LINE_BYTES = TARGET.vector_bytes, 64

# What stands where in the table of facts. TAKE_ is the step from one of the image's numbers to the next that is
# copied, MOVE_ the window's step over what is read then.
(
    BATCH, CHANNELS, FILTERS, GROUPS, DEPTH, HEIGHT, WIDTH, OUT_DEPTH, OUT_HEIGHT, OUT_WIDTH, MOVE_D, MOVE_H, MOVE_W,
    TAKE_D, TAKE_H, TAKE_W, PAD_D, PAD_H, SPAN_D, LINES, LINE, BEFORE, INSIDE, SKIPPED, COPIED, STRAIGHT,
    ROWS, ROWS_PADDED, IMAGES, BAND, PLANE, PANEL, CHUNK, PANEL_AT, WHERE_AT, BAND_AT, SUMS_AT, FACTS,
) = range(38)  # fmt: skip


@part
def _line(zero):
    """Return how many numbers a line of memory has, as caches fetch it."""
    return LINE_BYTES * lanes(zero) // VECTOR_BYTES


@part
def turn(a, a_step, m, b, b_step, n, zero):
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
def _put(a, a_step, m, b, b_step, n, zero):
    """Write `b[i·b_step + j] = a[i·a_step + j]` for i below m and j below n."""
    for i in range(m):
        for j in range(0, n, lanes(zero)):
            numbers = load(a, i * a_step + j)
            if j + lanes(zero) <= n:
                store(b, i * b_step + j, numbers)
            else:
                store_part(b, i * b_step + j, numbers, n - j)


@part
def clear(a, count, zero):
    """Write zeros to `a`, and up to a vector of them behind."""
    nothing = splat(zero)
    for i in range(0, count, lanes(zero)):
        store(a, i, nothing)


@part
def copy(a, step, b, count, zero):
    """Copy every number of `a` that is `step` behind the last to `b`, and up to a vector of zeros behind."""
    v = lanes(zero)
    i = 0
    if step == 1:
        i = count - count % v
        for j in range(0, i, v):
            store(b, j, load(a, j))
        if i < count:
            store(b, i, load_part(a, i, count - i))
        i = count
    elif step == 2:
        while i + v < count:  # the last one would read a number too many
            store(b, i, evens(load(a, 2 * i), load(a, 2 * i + v)))
            i += v
    for j in range(i, count):
        b[j] = a[j * step]


@part
def _copy_band(x, band, facts, channels, row, rows, zero):
    """Copy channels' rows from `row` on, as the padded image counts them, to a band that had zeros around them.

    Lines are written in order, so that what one writes too much, zeros, is the next one's.
    """
    depth, height, width = facts[DEPTH], facts[HEIGHT], facts[WIDTH]
    lines, line, before, inside, step = facts[LINES], facts[LINE], facts[BEFORE], facts[INSIDE], facts[TAKE_W]
    for c in range(channels):
        target = shift(band, c * facts[PLANE])
        for d in range(rows):
            source_d = (row + d) * facts[TAKE_D] - facts[PAD_D]
            for h in range(lines):
                source_h = h * facts[TAKE_H] - facts[PAD_H]
                if source_d < 0 or source_d >= depth or source_h < 0 or source_h >= height:
                    clear(target, line, zero)
                else:
                    source = shift(x, ((c * depth + source_d) * height + source_h) * width + facts[SKIPPED])
                    copy(source, step, shift(target, before), inside, zero)
                target = shift(target, line)


@part
def _places(where, facts, images, begin, stop, image_step, row_step, line_step, row):
    """Write where the window stands for the places of a band, the first row of x in it being `row`."""
    height, width, move = facts[OUT_HEIGHT], facts[OUT_WIDTH], facts[MOVE_W]
    for n in range(images):
        line, w, place = begin // width, begin % width, begin
        while place < stop:
            count = min(width - w, stop - place)
            at = n * image_step + (line // height * facts[MOVE_D] - row) * row_step
            at += line % height * facts[MOVE_H] * line_step + w * move
            for i in range(count):
                where[i] = at + i * move
            where = shift(where, count)
            place += count
            line += 1
            w = 0


@part
def _panel(dy, panel, facts, q, stop, places, filters, width, zero):
    """Turn the places q up to `stop` of a band, `places` of them in an image, for some filters."""
    step = facts[OUT_DEPTH] * facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    if filters < width:  # unused lanes: numbers left there might be denormal ones, which are slow
        clear(panel, (stop - q) * width, zero)
    target = panel
    while q < stop:
        image, place = q // places, q % places
        count = min(stop - q, places - place)
        turn(shift(dy, image * facts[FILTERS] * step + place), step, filters, target, width, count, zero)
        target = shift(target, count * width)
        q += count


@routine
def _add(
    panel, x, where, count, piece, table, total, sums, fresh, ahead, ahead_at, ahead_step, filters, zero
):
    """Add a panel's share to all rows of dwᵀ.

    A panel's sums begin at zero, so that errors of rounding don't grow with the number of all places.
    Before each `piece` of places it asks for the next tile's x there and, from `ahead` on, for some of what the
    next panel is made of: caches don't foresee lines of memory that are read in so short runs.
    """
    stays_apart()
    width, line = TILE_VECTORS * lanes(zero), _line(zero)
    for r in range(0, total, TILE_ROWS):
        row, next_row = offsets(shift(table, r), TILE_ROWS), offsets(shift(table, r + TILE_ROWS), TILE_ROWS)
        first, last = r * filters // total, (r + TILE_ROWS) * filters // total
        tile = zeros_tile(TILE_ROWS, TILE_VECTORS, zero)
        for begin in range(0, count, piece):
            end = min(begin + piece, count)
            prefetch(shift(x, where[begin]), next_row, 1)
            for k in range(first, last):
                for i in range(begin // line, (end + line - 1) // line):
                    prefetch(ahead, ahead_at[i] + k * ahead_step, 2)
            for q in range(begin, end):
                tile = outer(tile, shift(x, where[q]), row, shift(panel, q * width))
        if not fresh:
            tile = add_tile(tile, shift(sums, r * width), width)
        store_tile(shift(sums, r * width), width, tile)


@part
def _add_band(dy, x, where, turned, table, panel, sums, facts, count, places, filters, fresh, zero):
    """Add the share of a band's places to the sums of one block of filters."""
    width, rows, line = TILE_VECTORS * lanes(zero), facts[ROWS_PADDED], _line(zero)
    step = facts[OUT_DEPTH] * facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    for q in range(0, count, facts[PANEL]):
        stop = min(count, q + facts[PANEL])
        _panel(dy, panel, facts, q, stop, places, filters, width, zero)
        ahead, at = shift(dy, filters * step), turned
        if stop < count:
            ahead, at = dy, shift(turned, stop // line)
        seen, new = shift(where, q), fresh and q == 0
        size = stop - q
        piece = line if facts[ROWS] == facts[CHANNELS] // facts[GROUPS] else size
        _add(panel, x, seen, size, piece, table, rows, sums, new, ahead, at, step, filters, zero)


@part
def _list_lines(turned, facts, count, places, zero):
    """Write where every line of a band's places begins in dy."""
    line = _line(zero)
    image = facts[FILTERS] * facts[OUT_DEPTH] * facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    at, place = 0, 0
    for i in range((count + line - 1) // line + 1):
        turned[i] = at + place
        place += line
        while place >= places:
            place -= places
            at += image


@part
def _band(x, band, where, facts, images, begin, end, zero):
    """Return where a band's numbers of x begin, in x itself or copied to `band`, and list its places."""
    channels, area = facts[CHANNELS] // facts[GROUPS], facts[HEIGHT] * facts[WIDTH]
    image = facts[CHANNELS] * facts[DEPTH] * area
    if not facts[COPIED]:
        _places(where, facts, images, begin, end, image, area, facts[WIDTH], 0)
        return x
    out_row = facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    row = begin // out_row * facts[MOVE_D]
    rows = (end - 1) // out_row * facts[MOVE_D] + facts[SPAN_D] - row
    for n in range(images):
        target = shift(band, n * channels * facts[PLANE])
        _copy_band(shift(x, n * image), target, facts, channels, row, rows, zero)
    row_step = facts[LINES] * facts[LINE]
    _places(where, facts, images, begin, end, channels * facts[PLANE], row_step, facts[LINE], row)
    return band


@part
def _chunk(dy, x, dw, table, scratch, facts, group, first, stop, zero):
    """Compute the gradient of the blocks `first` up to `stop` of a group's filters."""
    channels, filters = facts[CHANNELS] // facts[GROUPS], facts[FILTERS] // facts[GROUPS]
    image = facts[DEPTH] * facts[HEIGHT] * facts[WIDTH]
    places = facts[OUT_DEPTH] * facts[OUT_HEIGHT] * facts[OUT_WIDTH]
    rows, width = facts[ROWS], TILE_VECTORS * lanes(zero)
    where = pointer(scratch + facts[WHERE_AT], 0)
    turned = shift(where, facts[IMAGES] * facts[BAND])
    panel, band = pointer(scratch + facts[PANEL_AT], zero), pointer(scratch + facts[BAND_AT], zero)
    sums, block = pointer(scratch + facts[SUMS_AT], zero), facts[ROWS_PADDED] * width
    if facts[COPIED]:
        clear(band, facts[IMAGES] * channels * facts[PLANE], zero)
    for n in range(0, facts[BATCH], facts[IMAGES]):
        images = min(facts[IMAGES], facts[BATCH] - n)
        for begin in range(0, places, facts[BAND]):
            end = min(places, begin + facts[BAND])
            first_x = shift(x, (n * facts[CHANNELS] + group * channels) * image)
            seen = _band(first_x, band, where, facts, images, begin, end, zero)
            _list_lines(turned, facts, images * (end - begin), end - begin, zero)
            for b in range(first, stop):
                k = group * filters + b * width
                _add_band(
                    shift(dy, (n * facts[FILTERS] + k) * places + begin), seen, where, turned, table, panel,
                    shift(sums, (b - first) * block), facts, images * (end - begin), end - begin,
                    min(width, filters - b * width), n == 0 and begin == 0, zero,
                )  # fmt: skip
    for b in range(first, stop):
        count, share = min(width, filters - b * width), shift(sums, (b - first) * block)
        if facts[STRAIGHT]:
            _put(share, width, rows, shift(dw, group * rows * filters + b * width), filters, count, zero)
        else:
            turn(share, width, rows, shift(dw, (group * filters + b * width) * rows), rows, count, zero)


@kernel
def weight_grad(dy, x, dw, table, scratch, facts, first, stop, zero: Number):
    """Compute the gradient of the blocks of filters `first` up to `stop`, counted through all groups."""
    dy, x, dw = pointer(dy, zero), pointer(x, zero), pointer(dw, zero)
    table, facts = pointer(table, 0), offsets(pointer(facts, 0), FACTS)
    width, filters = TILE_VECTORS * lanes(zero), facts[FILTERS] // facts[GROUPS]
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
