"""Bands of padded planes: a plane is copied, some rows at a time, so that every cell of a kernel is an offset.

A band is copied with its zeros around it into scratch memory that a cache holds. A stride of s splits an axis
into s *phases*, every s-th pixel each: from any phase pixels are read one beside the other, and the cell at
`r·dilation` of the kernel is found in phase `(r·dilation) mod s`, `(r·dilation) // s` further. Real zeros are
multiplied, not skipped, so NaN and infinity arrive where the definition puts them.
"""

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.frontend import part, routine, stays_apart
from deepconv.engine.kernels.simd import (
    Vector,
    lanes,
    lanes_sum,
    load,
    load_part,
    relu_tile,
    shift,
    splat,
    store,
    store_part,
    tile_type,
)

I64 = ir.IntType(64)


def _shuffled(builder: Any, a: Any, b: Any, picks: list[int]) -> Any:
    """Return the picked elements of two vectors, counted through both."""
    return builder.shuffle_vector(a, b, emit.constant(ir.VectorType(emit.I32, len(picks)), picks))


@intrinsic
def evens(typing: Any, a: Any, b: Any) -> Any:
    """Return every second number of two vectors, from the first on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffled(builder, args[0], args[1], list(range(0, 2 * a.lanes, 2)))

    return a(a, b), generate


@intrinsic
def odds(typing: Any, a: Any, b: Any) -> Any:
    """Return every second number of two vectors, from the second on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffled(builder, args[0], args[1], list(range(1, 2 * a.lanes, 2)))

    return a(a, b), generate


@intrinsic
def zipped(typing: Any, a: Any, b: Any) -> Any:
    """Return the numbers of two vectors by turns, as two vectors."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        turns = [i // 2 + a.lanes * (i % 2) for i in range(2 * a.lanes)]
        value = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        for half in range(2):
            picks = turns[half * a.lanes : (half + 1) * a.lanes]
            value = builder.insert_value(value, _shuffled(builder, args[0], args[1], picks), half)
        return value

    return types.UniTuple(a, 2)(a, b), generate


@intrinsic(prefer_literal=True)
def full_tile(typing: Any, rows: Any, vectors: Any, number: Any) -> Any:
    """Return a tile with one number everywhere, of `rows` rows of `vectors` vectors (known when compiled)."""
    result = tile_type(number, rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile = ir.Constant(context.get_value_type(result), ir.Undefined)
        vector = emit.splat(builder, args[2], context.get_value_type(Vector(number)))
        for r in range(rows.literal_value):
            for v in range(vectors.literal_value):
                tile = builder.insert_value(tile, vector, [r, v])
        return tile

    return result(rows, vectors, number), generate


@intrinsic
def add_scaled(typing: Any, tile: Any, number: Any, p: Any, row_step: Any, gap: Any) -> Any:
    """Return `tile[r][v] + number · (vector at p[r·row_step + v·gap])`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, number, p, row_step, gap = args
        kind = signature.args[0]
        vector = context.get_value_type(kind[0][0])
        left = emit.splat(builder, number, vector)
        for r in range(len(kind)):
            row = builder.mul(row_step, ir.Constant(I64, r))
            for v in range(len(kind[0])):
                place = builder.gep(p, [builder.add(row, builder.mul(gap, ir.Constant(I64, v)))])
                right = emit.load(builder, place, vector)
                total = emit.fma(builder, left, right, builder.extract_value(tile, [r, v]))
                tile = builder.insert_value(tile, total, [r, v])
        return tile

    return tile(tile, number, p, types.int64, types.int64), generate


@intrinsic(prefer_literal=True)
def add_column(typing: Any, tile: Any, number: Any, p: Any, row_step: Any, column: Any) -> Any:
    """Return a tile with `number · (vector at p[r·row_step])` added to the vector `column` (known when compiled)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, number, p, row_step = args[:4]
        kind = signature.args[0]
        vector = context.get_value_type(kind[0][0])
        left = emit.splat(builder, number, vector)
        for r in range(len(kind)):
            place = builder.gep(p, [builder.mul(row_step, ir.Constant(I64, r))])
            at = [r, column.literal_value]
            total = emit.fma(
                builder, left, emit.load(builder, place, vector), builder.extract_value(tile, at)
            )
            tile = builder.insert_value(tile, total, at)
        return tile

    return tile(tile, number, p, types.int64, column), generate


@intrinsic
def zipped_tile(typing: Any, tile: Any) -> Any:
    """Return a tile of two vectors a row with the numbers of the two by turns."""
    count = tile[0][0].lanes

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        result = args[0]
        turns = [i // 2 + count * (i % 2) for i in range(2 * count)]
        for r in range(len(tile)):
            a, b = (builder.extract_value(args[0], [r, v]) for v in range(2))
            for v in range(2):
                half = _shuffled(builder, a, b, turns[v * count : (v + 1) * count])
                result = builder.insert_value(result, half, [r, v])
        return result

    return tile(tile), generate


@intrinsic(prefer_literal=True)
def splats(typing: Any, p: Any, count: Any) -> Any:
    """Return `count` numbers (known when compiled), each in all lanes of a vector."""
    result = types.UniTuple(Vector(p.dtype), count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = ir.Constant(context.get_value_type(result), ir.Undefined)
        vector = context.get_value_type(result.dtype)
        for i in range(len(result)):
            number = builder.load(builder.gep(args[0], [ir.Constant(I64, i)]))
            value = builder.insert_value(value, emit.splat(builder, number, vector), i)
        return value

    return result(p, count), generate


@intrinsic
def add_square(typing: Any, tile: Any, cells: Any, p: Any, row_step: Any) -> Any:
    """Return a tile of one vector a row with the products of a square of cells, held in registers, added.

    `tile[i] + Σ cells[r][s] · (vector at p[(i + r)·row_step + s])`: each vector is loaded once for
    all rows that it serves.
    """
    side = math.isqrt(len(cells))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, cells, p, row_step = args
        height = len(signature.args[0])
        vector = context.get_value_type(signature.args[1].dtype)
        for i in range(height + side - 1):
            row = builder.mul(row_step, ir.Constant(I64, i))
            pixels = builder.gep(p, [row])
            for s in range(side):
                x = emit.load(builder, builder.gep(pixels, [ir.Constant(I64, s)]), vector)
                for o in range(max(0, i - side + 1), min(height, i + 1)):
                    cell = builder.extract_value(cells, (i - o) * side + s)
                    total = emit.fma(builder, cell, x, builder.extract_value(tile, [o, 0]))
                    tile = builder.insert_value(tile, total, [o, 0])
        return tile

    return tile(tile, cells, p, types.int64), generate


@intrinsic(prefer_literal=True)
def add_row(typing: Any, tile: Any, w: Any, w_step: Any, p: Any, gap: Any, first: Any, last: Any) -> Any:
    """Return a tile with one row of vectors, times a number for each row, added to rows `first` to `last`.

    `tile[i][v] + w[-i·w_step] · (vector at p[v·gap])`, where first ≤ i < last, both known when compiled.
    """
    rows = range(first.literal_value, last.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, w, w_step, p, gap = args[:5]
        kind = signature.args[0]
        vector = context.get_value_type(kind[0][0])
        steps = [builder.mul(gap, ir.Constant(I64, v)) for v in range(len(kind[0]))]
        right = [emit.load(builder, builder.gep(p, [step]), vector) for step in steps]
        for i in rows:
            number = builder.load(builder.gep(w, [builder.mul(w_step, ir.Constant(I64, -i))]))
            left = emit.splat(builder, number, vector)
            for v, x in enumerate(right):
                total = emit.fma(builder, left, x, builder.extract_value(tile, [i, v]))
                tile = builder.insert_value(tile, total, [i, v])
        return tile

    return tile(tile, w, types.int64, p, types.int64, first, last), generate


@intrinsic
def store_spaced(typing: Any, p: Any, row_step: Any, gap: Any, tile: Any) -> Any:
    """Write vector v of row r of a tile to `p[r·row_step + v·gap]`, the first vectors of all rows first."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        p, row_step, gap, tile = args
        kind = signature.args[3]
        for v in range(len(kind[0])):
            for r in range(len(kind)):
                row = builder.mul(row_step, ir.Constant(I64, r))
                place = builder.gep(p, [builder.add(row, builder.mul(gap, ir.Constant(I64, v)))])
                emit.store(builder, builder.extract_value(tile, [r, v]), place)
        return context.get_dummy_value()

    return types.void(p, types.int64, types.int64, tile), generate


@intrinsic
def dots(typing: Any, tile: Any, a: Any, a_step: Any, b: Any, places: Any) -> Any:
    """Return `tile[r][t] + (vector at a[r·a_step]) · (vector at b[places[t]])`: sums of products, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, a, a_step, b, places = args
        rows, count = len(signature.args[0]), len(signature.args[0][0])
        vector = context.get_value_type(signature.args[0][0][0])
        steps = [builder.mul(a_step, ir.Constant(I64, r)) for r in range(rows)]
        lefts = [builder.gep(a, [step]) for step in steps]
        rights = [builder.gep(b, [builder.extract_value(places, t)]) for t in range(count)]

        def add(tile: Any, r: int, t: int, left: Any, right: Any) -> Any:
            total = emit.fma(builder, left, right, builder.extract_value(tile, [r, t]))
            return builder.insert_value(tile, total, [r, t])

        if rows <= count:  # the fewer stay in registers
            held = [emit.load(builder, p, vector) for p in lefts]
            for t in range(count):
                right = emit.load(builder, rights[t], vector)
                for r in range(rows):
                    tile = add(tile, r, t, held[r], right)
        else:
            held = [emit.load(builder, p, vector) for p in rights]
            for r in range(rows):
                left = emit.load(builder, lefts[r], vector)
                for t in range(count):
                    tile = add(tile, r, t, left, held[t])
        return tile

    return tile(tile, a, types.int64, b, places), generate


@intrinsic
def opaque(typing: Any, p: Any) -> Any:
    """Return a pointer of which LLVM forgets where it comes from.

    Else it would count up a pointer for each of the twenty places that a tile reads, in as many registers, and
    think about that for seconds; from one pointer places are reached by offsets that stay the same.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        return builder.asm(kind, "", "=r,0", args, side_effect=False)

    return p(p), generate


# ---- planes in and out ------------------------------------------------------------------------------------


@part
def clear(p, start, stop, zero):
    """Write zeros from `p[start]` to `p[stop]`, and up to a vector behind."""
    for i in range(start, stop, lanes(zero)):
        store(p, i, splat(zero))


@part
def _bring_rows(source, source_step, rows, count, step, room, to, columns):
    """Copy rows of `count` numbers, `step` apart, of the `room` left in a row; up to a vector behind is written."""
    width = lanes(source[0])
    last = count - width  # the last vector reaches back
    for _ in range(rows):
        source = opaque(source)
        if step == 1 and last >= 0:
            for j in range(0, last, width):
                store(to, j, load(source, j))
            store(to, last, load(source, last))
        elif step == 1:
            store(to, 0, load_part(source, 0, count))
        elif step == 2 and last > 0:
            for j in range(0, last, width):
                store(to, j, evens(load(source, 2 * j), load(source, 2 * j + width)))
            if 2 * count <= room:
                store(to, last, evens(load(source, 2 * last), load(source, 2 * last + width)))
            else:
                store(to, last, odds(load(source, 2 * last - 1), load(source, 2 * last + width - 1)))
        elif step == 2:
            low, high = load_part(source, 0, room), load_part(source, width, room - width)
            store(to, 0, evens(low, high))
        else:
            for j in range(count):
                to[j] = source[j * step]
        source, to = shift(source, source_step), shift(to, columns)


@part
def _bring_pairs(source, source_step, rows, count, to, other, columns):
    """Copy the first of `count` pairs of numbers of each row to one place and the second to another."""
    width = lanes(source[0])
    for _ in range(rows):
        source = opaque(source)
        for i in range(0, count, width):
            j = min(i, count - width)
            low, high = load(source, 2 * j), load(source, 2 * j + width)
            store(to, j, evens(low, high))
            store(other, j, odds(low, high))
        source, to, other = shift(source, source_step), shift(to, columns), shift(other, columns)


@routine
def bring_plane(source, width, top, left, down, across, spans, first, rows, columns, whole, to, zero):
    """Copy a plane into zeros, phase after phase, each `rows` rows of `columns` numbers.

    Row i of phase a is row `(first + i)·down + a - top` of the plane, column j of phase b column
    `j·across + b - left`. `spans` has for each a, then for each b where `first + i` and j begin and end to be
    in the plane. Around the columns zeros stand already; the rows above and below are cleared unless the
    `whole` plane always fits. Up to a vector behind a row is written, zeros if it lies behind the last.
    """
    stays_apart()
    at = 0
    wide = shift(spans, 2 * down)
    paired = across == 2 and left >= 0 and width % 2 == 0 and width >= 2 * lanes(zero)
    paired = paired and wide[1] - wide[0] + wide[3] - wide[2] == width
    for a in range(down):
        start = min(max(spans[2 * a] - first, 0), rows)
        stop = min(max(spans[2 * a + 1] - first, start), rows)
        if paired and stop > start:
            corner = shift(source, ((first + start) * down + a - top) * width)
            one = shift(to, at + left % 2 * rows * columns + start * columns + left // 2)
            other = shift(to, at + (left + 1) % 2 * rows * columns + start * columns + (left + 1) // 2)
            if not whole:
                for b in range(2):
                    edge = at + b * rows * columns
                    clear(to, edge, edge + start * columns, zero)
                    clear(to, edge + stop * columns, edge + rows * columns, zero)
            _bring_pairs(corner, down * width, stop - start, width // 2, one, other, columns)
            at += 2 * rows * columns
            continue
        for b in range(across):
            low, high = spans[2 * (down + b)], spans[2 * (down + b) + 1]
            pixel = low * across + b - left
            if not whole:
                clear(to, at, at + start * columns, zero)
            if high > low and stop > start:
                corner = shift(source, ((first + start) * down + a - top) * width + pixel)
                place = shift(to, at + start * columns + low)
                _bring_rows(
                    corner, down * width, stop - start, high - low, across, width - pixel, place, columns
                )
            if not whole:
                clear(to, at + stop * columns, at + rows * columns, zero)
            at += rows * columns


@part
def _put_row(source, source_step, count, step, to):
    """Write a row of `count` numbers from its `step` phases, `source_step` apart; nothing behind it."""
    width = lanes(source[0])
    if step == 1 and count >= width:
        for i in range(0, count, width):
            j = min(i, count - width)
            store(to, j, load(source, j))
    elif step == 2 and count >= 2 * width:
        pairs = count // 2
        for i in range(0, pairs, width):
            j = min(i, pairs - width)
            low, high = zipped(load(source, j), load(source, source_step + j))
            store(to, 2 * j, low)
            store(to, 2 * j + width, high)
        if count % 2:
            to[count - 1] = source[pairs]
    else:
        for b in range(step):
            for j in range((count - b + step - 1) // step):
                to[j * step + b] = source[b * source_step + j]


@routine
def put_plane(source, rows, columns, down, across, first, count, y, height, width):
    """Write `count` rows of each phase of a plane, from its row `first·down` on; they lie `rows` rows apart."""
    stays_apart()
    for i in range(count):
        for a in range(down):
            h = (first + i) * down + a
            if h < height:
                row = shift(source, (a * across * rows + i) * columns)
                _put_row(row, rows * columns, width, across, shift(y, h * width))


@part
def put_tile(tile, rows, vectors, y, step, gap, lower, count, inside, room, folded, buffer):
    """Write those rows of a tile, of `rows` rows and `vectors` vectors, that are below `count`.

    Rows are `step` apart, the vectors of one `gap`, and `lower` is by how many rows the next vector stands below.
    What a vector has beyond a row's end lands where the next row is written later; behind the `room` numbers from
    `y[0]` to the plane's end nothing is written. Rows of a tile are `inside` apart in that plane: as far as they
    are, or none where each row of the tile has a plane of its own. `folded`: zero for what is below zero.
    """
    width = lanes(y[0])
    if folded:
        tile = relu_tile(tile)
    bottom = (rows - 1) * inside + (vectors - 1) * gap + width
    if count >= rows + (vectors - 1) * lower and bottom <= room:
        store_spaced(y, step, gap, tile)
    else:
        store_spaced(buffer, width, rows * width, tile)
        for i in range(rows * vectors):
            r, v = i % rows, i // rows
            at, left = r * step + v * gap, room - r * inside - v * gap
            if r + v * lower < count:
                if width <= left:
                    store(y, at, load(buffer, i * width))
                else:
                    store_part(y, at, load(buffer, i * width), left)


@part
def bring_gradient(dy, y_columns, rows, to, columns, zero):
    """Copy rows of an output's gradient as far apart as those of the pixels; zeros stand between them already."""
    _bring_rows(dy, y_columns, rows, y_columns, 1, y_columns, to, columns)
    clear(to, rows * columns, rows * columns + 1, zero)


@part
def add_sums(tile, filters, cells, totals, dy, dy_step, rows, y_columns, x, columns, places, buffer, zero):
    """Add a plane's sums of products, a vector for each of `filters·cells`, to `totals`.

    Between the rows of `dy` stand zeros, which have met pixels that no window has there. If one of those was
    infinite or NaN, so is a sum: then all are computed again, number by number.
    """
    width = lanes(zero)
    store_spaced(buffer, cells * width, width, tile)
    whole = load(buffer, 0)
    for i in range(1, filters * cells):
        whole = whole + load(buffer, i * width)
    check = lanes_sum(whole)
    if check - check != 0:
        clear(buffer, 0, filters * cells * width, zero)
        for i in range(filters * cells):
            gradient, pixels = shift(dy, i // cells * dy_step), shift(x, places[i % cells])
            total = zero
            for h in range(rows):
                for j in range(h * columns, h * columns + y_columns):
                    total += gradient[j] * pixels[j]
            buffer[i * width] = total
    for i in range(0, filters * cells * width, width):
        store(totals, i, load(totals, i) + load(buffer, i))
