"""Bands of padded planes: a plane is copied, some rows at a time, so that every cell of a kernel is an offset.

A band is copied with its zeros around it into scratch memory that a cache holds. A stride of s splits an axis
into s *phases*, every s-th pixel each: from any phase pixels are read one beside the other, and the cell at
`r·dilation` of the kernel is found in phase `(r·dilation) mod s`, `(r·dilation) // s` further. Real zeros are
multiplied, not skipped, so NaN and infinity arrive where the definition puts them.
"""

from functools import partial
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.simd import (
    Vector,
    lanes,
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


@intrinsic
def store_spaced(typing: Any, p: Any, row_step: Any, gap: Any, tile: Any) -> Any:
    """Write vector v of row r of a tile to `p[r·row_step + v·gap]`, in this order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        p, row_step, gap, tile = args
        kind = signature.args[3]
        for r in range(len(kind)):
            for v in range(len(kind[0])):
                row = builder.mul(row_step, ir.Constant(I64, r))
                place = builder.gep(p, [builder.add(row, builder.mul(gap, ir.Constant(I64, v)))])
                emit.store(builder, builder.extract_value(tile, [r, v]), place)
        return context.get_dummy_value()

    return types.void(p, types.int64, types.int64, tile), generate


@intrinsic
def dots(typing: Any, tile: Any, a: Any, a_step: Any, b: Any, places: Any) -> Any:
    """Return `tile[r][t] + (vector at a[r·a_step]) · (vector at b[places[t]])`: sums of products, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _dots(context, builder, signature, args, partial(emit.load, builder))

    return tile(tile, a, types.int64, b, places), generate


@intrinsic
def dots_part(typing: Any, tile: Any, a: Any, a_step: Any, b: Any, places: Any, count: Any) -> Any:
    """Do as `dots` with the first `count` lanes alone; no others are read."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def masked(p: Any, vector: Any) -> Any:
            name = f"llvm.masked.load.v{vector.count}{emit.suffix(vector)}.p0"
            place = builder.bitcast(p, vector.as_pointer())
            kinds = [place.type, emit.I32, mask.type, vector]
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, kinds), name)
            align = ir.Constant(emit.I32, emit.align(vector))
            return builder.call(function, [place, align, mask, ir.Constant(vector, None)])

        mask = emit.mask(builder, args[5], context.get_value_type(signature.args[0][0][0]))
        return _dots(context, builder, signature, args, masked)

    return tile(tile, a, types.int64, b, places, types.int64), generate


def _dots(context: Any, builder: Any, signature: Any, args: Any, loaded: Any) -> Any:
    """Emit the products of `dots` with vectors that `loaded` fetches."""
    tile, a, a_step, b, places = args[:5]
    rows, count = len(signature.args[0]), len(signature.args[0][0])
    vector = context.get_value_type(signature.args[0][0][0])
    left = [loaded(builder.gep(a, [builder.mul(a_step, ir.Constant(I64, r))]), vector) for r in range(rows)]
    for t in range(count):
        right = loaded(builder.gep(b, [builder.extract_value(places, t)]), vector)
        for r in range(rows):
            total = emit.fma(builder, left[r], right, builder.extract_value(tile, [r, t]))
            tile = builder.insert_value(tile, total, [r, t])
    return tile


@intrinsic
def on_its_own(typing: Any) -> Any:
    """Keep LLVM from making the function that calls this part of its callers: loops in loops are slow to compile."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


def function(f: Any) -> Any:
    """Compile a part that calls `on_its_own`."""
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False)(f)


# ---- planes in and out ------------------------------------------------------------------------------------


@part
def clear(p, start, stop, zero):
    """Write zeros from `p[start]` to `p[stop]`, and up to a vector behind."""
    for i in range(start, stop, lanes(zero)):
        store(p, i, splat(zero))


@part
def _bring(source, count, step, room, to):
    """Copy `count` numbers, `step` apart, of the `room` left in a row; up to a vector behind them is written."""
    width = lanes(source[0])
    if step == 1 and count >= width:
        last = count - width  # the last vector reaches back
        for i in range(0, last, width):
            store(to, i, load(source, i))
        store(to, last, load(source, last))
    elif step == 1:
        store(to, 0, load_part(source, 0, count))
    elif step == 2:
        i = 0
        while i < count and 2 * (i + width) <= room:
            store(to, i, evens(load(source, 2 * i), load(source, 2 * i + width)))
            i += width
        while i < count:
            left = room - 2 * i
            store(
                to, i, evens(load_part(source, 2 * i, left), load_part(source, 2 * i + width, left - width))
            )
            i += width
    else:
        for j in range(count):
            to[j] = source[j * step]


@function
def bring_plane(source, width, top, left, down, across, spans, first, rows, columns, whole, to, zero):
    """Copy a plane into zeros, phase after phase, each `rows` rows of `columns` numbers.

    Row i of phase a is row `(first + i)·down + a - top` of the plane, column j of phase b column
    `j·across + b - left`. `spans` has for each a, then for each b where `first + i` and j begin and end to be
    in the plane. Around the columns zeros stand already; the rows above and below are cleared unless the
    `whole` plane always fits. Up to a vector behind a row is written, zeros if it lies behind the last.
    """
    on_its_own()
    at = 0
    for a in range(down):
        start = min(max(spans[2 * a] - first, 0), rows)
        stop = min(max(spans[2 * a + 1] - first, start), rows)
        for b in range(across):
            low, high = spans[2 * (down + b)], spans[2 * (down + b) + 1]
            pixel = low * across + b - left
            if not whole:
                clear(to, at, at + start * columns, zero)
            if high > low:
                for i in range(start, stop):
                    row = shift(source, ((first + i) * down + a - top) * width + pixel)
                    _bring(row, high - low, across, width - pixel, shift(to, at + i * columns + low))
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


@function
def put_plane(source, rows, columns, down, across, first, count, y, height, width):
    """Write `count` rows of each phase of a plane, from its row `first·down` on; they lie `rows` rows apart."""
    on_its_own()
    for i in range(count):
        for a in range(down):
            h = (first + i) * down + a
            if h < height:
                row = shift(source, (a * across * rows + i) * columns)
                _put_row(row, rows * columns, width, across, shift(y, h * width))


@part
def put_tile(tile, rows, vectors, y, step, gap, count, room, folded, buffer):
    """Write the first `count` rows of a tile of `rows` rows and `vectors` vectors, `step` and `gap` apart.

    What a vector has beyond a row's end lands where the next row is written later; behind the `room`
    numbers from `y[0]` to the plane's end nothing is written. `folded`: zero for what is below zero.
    """
    width = lanes(y[0])
    if folded:
        tile = relu_tile(tile)
    if count >= rows and (rows - 1) * step + (vectors - 1) * gap + width <= room:
        store_spaced(y, step, gap, tile)
    else:
        store_spaced(buffer, vectors * width, width, tile)
        for i in range(min(count, rows) * vectors):
            at = i // vectors * step + i % vectors * gap
            if at + width <= room:
                store(y, at, load(buffer, i * width))
            else:
                store_part(y, at, load(buffer, i * width), room - at)
