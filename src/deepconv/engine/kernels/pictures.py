"""A kernel over every channel of a picture, whose rows are read where they are: cells stand `apart` numbers apart.

A tile is four rows of three or two vectors of the result. A row of the picture is loaded once for all rows of the tile
that it serves. Rows are found by a table of their addresses, which holds what lies above and below the picture
as well; the columns at the left and the right edge are computed from copies of them, with what lies beyond.
"""

from deepconv.engine.kernels.bands import add_row, add_scaled, opaque
from deepconv.engine.kernels.frontend import Number, kernel, part, routine, stays_apart
from deepconv.engine.kernels.simd import TARGET, lanes, pointer, shift, store_tile, zeros_tile

VECTOR_BYTES = TARGET.vector_bytes


@routine
def _dense(rows, offset, w, height, width, apart, y, y_step, columns, zero):
    """Compute four rows of `columns` numbers, three vectors at least, of a kernel of 3 rows or more.

    `w[k][s][i]` is the number that row k, `s` cells further, has for row i of the result. The last tile reaches back.
    """
    stays_apart()
    vector = lanes(zero)
    for i in range(0, columns, 3 * vector):
        j = min(i, columns - 3 * vector)
        tile = zeros_tile(4, 3, zero)
        cell = w
        x = opaque(shift(pointer(rows[0], zero), offset + j))
        for _ in range(width):
            tile = add_row(tile, cell, -1, x, vector, 0, 1)
            cell, x = shift(cell, 4), shift(x, apart)
        x = opaque(shift(pointer(rows[1], zero), offset + j))
        for _ in range(width):
            tile = add_row(tile, cell, -1, x, vector, 0, 2)
            cell, x = shift(cell, 4), shift(x, apart)
        x = opaque(shift(pointer(rows[2], zero), offset + j))
        for _ in range(width):
            tile = add_row(tile, cell, -1, x, vector, 0, 3)
            cell, x = shift(cell, 4), shift(x, apart)
        for k in range(3, height):
            x = opaque(shift(pointer(rows[k], zero), offset + j))
            for _ in range(width):
                tile = add_row(tile, cell, -1, x, vector, 0, 4)
                cell, x = shift(cell, 4), shift(x, apart)
        x = opaque(shift(pointer(rows[height], zero), offset + j))
        for _ in range(width):
            tile = add_row(tile, cell, -1, x, vector, 1, 4)
            cell, x = shift(cell, 4), shift(x, apart)
        x = opaque(shift(pointer(rows[height + 1], zero), offset + j))
        for _ in range(width):
            tile = add_row(tile, cell, -1, x, vector, 2, 4)
            cell, x = shift(cell, 4), shift(x, apart)
        x = opaque(shift(pointer(rows[height + 2], zero), offset + j))
        for _ in range(width):
            tile = add_row(tile, cell, -1, x, vector, 3, 4)
            cell, x = shift(cell, 4), shift(x, apart)
        store_tile(shift(y, j), y_step, tile)


@routine
def _sparse(rows, offset, w, cells, count, y, y_step, columns, zero):
    """Compute four rows of `columns` numbers, two vectors at least, of `count` cells anywhere.

    `cells` holds for each the row and how many numbers further it stands.
    """
    stays_apart()
    vector = lanes(zero)
    for i in range(0, columns, 2 * vector):
        j = min(i, columns - 2 * vector)
        tile = zeros_tile(4, 2, zero)
        for t in range(count):
            there, at, number = opaque(shift(rows, cells[2 * t])), offset + j + cells[2 * t + 1], shift(w, t)
            tile = add_row(tile, number, 0, shift(pointer(there[0], zero), at), vector, 0, 1)
            tile = add_row(tile, number, 0, shift(pointer(there[1], zero), at), vector, 1, 2)
            tile = add_row(tile, number, 0, shift(pointer(there[2], zero), at), vector, 2, 3)
            tile = add_row(tile, number, 0, shift(pointer(there[3], zero), at), vector, 3, 4)
        store_tile(shift(y, j), y_step, tile)


@routine
def _across(x, x_step, w, cells, count, y, y_step, columns, zero):
    """Compute four rows of `columns` numbers, two vectors at least, of cells side by side, rows `x_step` apart."""
    stays_apart()
    vector = lanes(zero)
    for i in range(0, columns, 2 * vector):
        j = min(i, columns - 2 * vector)
        tile = zeros_tile(4, 2, zero)
        place = opaque(shift(x, j))
        for t in range(count):
            tile = add_scaled(tile, w[t], shift(place, cells[2 * t + 1]), x_step, vector)
        store_tile(shift(y, j), y_step, tile)


@part
def _four_rows(form, rows, offset, between, y, y_step, columns, zero):
    """Compute four rows of `columns` numbers from the rows of the picture, `offset` numbers further."""
    height, width, apart = form[3], form[4], form[5]
    two, dense = form[6], form[7]
    w, cells, count = pointer(form[8], zero), pointer(form[9], height), form[10]
    if two:
        w_across, cells_across, count_across = pointer(form[11], zero), pointer(form[12], height), form[13]
        wide = columns + (width - 1) * apart
        if dense:
            _dense(rows, offset, w, height, 1, apart, between, wide, wide, zero)
        else:
            _sparse(rows, offset, w, cells, count, between, wide, wide, zero)
        _across(between, wide, w_across, cells_across, count_across, y, y_step, columns, zero)
    elif dense:
        _dense(rows, offset, w, height, width, apart, y, y_step, columns, zero)
    else:
        _sparse(rows, offset, w, cells, count, y, y_step, columns, zero)


@routine
def _panels(form, rows, offset, between, y, y_step, count, columns, panel, zero):
    """Compute `count` rows, four at least, of `columns` numbers: `panel` at a time, for a cache to hold."""
    stays_apart()
    wide = min(panel, columns)
    for left in range(0, columns, panel):
        start = min(left, columns - wide)
        for i in range(0, count, 4):
            row = min(i, count - 4)
            to = opaque(shift(y, row * y_step + start))
            _four_rows(form, shift(rows, row), offset + start, between, to, y_step, wide, zero)


@routine
def _gather(rows, count, places, length, constant, to, zero):
    """Copy `length` numbers of each of `count` rows, from `places`; -1 there stands for the constant."""
    stays_apart()
    for k in range(count):
        x, row = pointer(rows[k], zero), shift(to, k * length)
        for i in range(length):
            place = places[i]
            number = constant
            if place >= 0:
                number = x[place]
            row[i] = number


@part
def _strip(
    form, rows, count, places_at, length, constant, table_at, between, strip_at, y, y_step, columns, zero
):
    """Compute `count` rows of `columns` numbers at an edge, from a copy of what their cells see."""
    table, size = pointer(table_at, count), length * (VECTOR_BYTES // lanes(zero))
    seen = count + form[3] - 1
    _gather(rows, seen, pointer(places_at, count), length, constant, pointer(strip_at, zero), zero)
    for k in range(seen):
        table[k] = strip_at + k * size
    _panels(form, table, 0, between, y, y_step, count, columns, columns, zero)


@kernel
def correlate(form_at, rows_at, y_at, y_step, count, scratch_at, constant: Number, zero: Number):
    """Compute `count` rows of a picture, four at least, from those whose addresses stand at `rows_at`."""
    form, rows, y = pointer(form_at, count), pointer(rows_at, count), pointer(y_at, zero)
    columns, left, right, panel, narrow = form[0], form[1], form[2], form[14], form[15]
    item = VECTOR_BYTES // lanes(zero)
    between_at = scratch_at + 8 * (count + form[3] - 1)
    strip_at = between_at + form[21] * item
    between = pointer(between_at, zero)
    if narrow:
        to = pointer(strip_at + (count + form[3] - 1) * form[18] * item, zero)
        _strip(
            form,
            rows,
            count,
            form[17],
            form[18],
            constant,
            scratch_at,
            between,
            strip_at,
            to,
            left,
            left,
            zero,
        )
        for i in range(count):
            for j in range(columns):
                y[i * y_step + j] = to[i * left + j]
        return
    inside = columns - left - right
    _panels(form, rows, left - form[16], between, shift(y, left), y_step, count, inside, panel, zero)
    for side in range(2):
        wide, start = left, 0
        if side == 1:
            wide, start = right, columns - right
        if wide > 0:
            _strip(
                form, rows, count, form[17 + 2 * side], form[18 + 2 * side], constant,
                scratch_at, between, strip_at, shift(y, start), y_step, wide, zero,
            )  # fmt: skip
