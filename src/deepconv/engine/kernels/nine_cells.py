"""Depthwise 3×3 of stride 2 straight from the planes' rows, without a copy.

Lanes are neighbouring pixels of a row, and a strip as wide as a vector is computed from top to bottom, so that
rows that two results share stay in registers. Two vectors of a row are parted into even and odd columns within
16-byte blocks alone, an instruction each where whole vectors take two: lanes are then in *half order*, and
only sums are put in order again. What lies beside a plane is read and masked to zero; so the first and the last
planes in memory, beside which nothing is theirs to read, are copied to where something is.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.bands import clear, opaque, splats
from deepconv.engine.kernels.frontend import Number, kernel, part, routine, stays_apart
from deepconv.engine.kernels.simd import (
    Vector,
    fma,
    lanes,
    lanes_sum,
    load,
    pointer,
    prefetch,
    relu,
    shift,
    splat,
    store,
    store_part,
    zeros_tile,
)

I64 = ir.IntType(64)
BESIDE = 8  # numbers beside a plane that are read, and four vectors


def _order(vector: Any) -> list[int]:
    """Return which of two vectors' even numbers each lane has in half order."""
    count, block = vector.count, 16 // emit.align(vector)
    lanes = range(0, count, block)
    return [
        n for i in lanes for first in (0, count // 2) for n in range(first + i // 2, first + (i + block) // 2)
    ]


def _shuffled(builder: Any, a: Any, b: Any, picks: list[int]) -> Any:
    """Return the picked elements of two vectors, counted through both."""
    return builder.shuffle_vector(a, b, emit.constant(ir.VectorType(emit.I32, len(picks)), picks))


def _kept(builder: Any, value: Any, mask: Any) -> Any:
    """Return a vector with zeros where a mask has them."""
    return builder.bitcast(builder.and_(builder.bitcast(value, mask.type), mask), value.type)


def _loads(builder: Any, p: Any, vector: Any, places: list[int], masks: Any) -> list[Any]:
    """Return the vectors at some places from `p` on, each masked if there are masks."""
    values = [emit.load(builder, builder.gep(p, [ir.Constant(I64, i)]), vector) for i in places]
    if len(masks.type.elements if hasattr(masks.type, "elements") else range(masks.type.count)) == 0:
        return values
    whole = ir.VectorType(ir.IntType(8 * emit.align(vector)), vector.count)
    kept = [builder.bitcast(builder.extract_value(masks, i), whole) for i in range(len(values))]
    return [_kept(builder, value, mask) for value, mask in zip(values, kept, strict=True)]


def _tuple(context: Any, builder: Any, kind: Any, values: list[Any]) -> Any:
    """Return vectors as a tuple."""
    result = ir.Constant(context.get_value_type(kind), ir.Undefined)
    for i, value in enumerate(values):
        result = builder.insert_value(result, value, i)
    return result


@intrinsic
def between(typing: Any, first: Any, last: Any, zero: Any) -> Any:
    """Return a mask of the lanes from `first` up to below `last`, to be handed on alone."""
    result = Vector(zero)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(result)
        low, high = (emit.mask(builder, n, vector) for n in args[:2])
        whole = ir.VectorType(ir.IntType(8 * emit.align(vector)), vector.count)
        return builder.bitcast(builder.sext(builder.and_(high, builder.not_(low)), whole), vector)

    return result(types.int64, types.int64, zero), generate


@intrinsic
def apart(typing: Any, p: Any, masks: Any) -> Any:
    """Return every second number from `p[0]`, `p[1]` and `p[2]` on, in half order; a mask for each load if any.

    The loads begin at 0, 2 and, a vector further, again.
    """
    result = types.UniTuple(Vector(p.dtype), 3)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(result.dtype)
        count, block = vector.count, 16 // emit.align(vector)
        a, b, c, d = _loads(builder, args[0], vector, [0, count, 2, count + 2], args[1])
        evens = [i + v + n for i in range(0, count, block) for v in (0, count) for n in range(0, block, 2)]
        odds = [i + 1 for i in evens]
        values = [_shuffled(builder, *pair) for pair in ((a, b, evens), (a, b, odds), (c, d, evens))]
        return _tuple(context, builder, result, values)

    return result(p, masks), generate


@intrinsic
def in_order(typing: Any, a: Any) -> Any:
    """Return what a vector in half order has, in order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        order = _order(args[0].type)
        return _shuffled(builder, args[0], args[0], [order.index(i) for i in range(len(order))])

    return a(a), generate


@intrinsic
def halves(typing: Any, p: Any, masks: Any) -> Any:
    """Return the vector from `p[0]` on in half order, masked if there is a mask."""
    result = Vector(p.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = _loads(builder, args[0], context.get_value_type(result), [0], args[1])[0]
        return _shuffled(builder, value, value, _order(value.type))

    return result(p, masks), generate


@intrinsic
def by_turns(typing: Any, a: Any, b: Any) -> Any:
    """Return the numbers of two vectors in half order by turns, as two vectors in order."""
    result = types.UniTuple(a, 2)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count, block = args[0].type.count, 16 // emit.align(args[0].type)
        starts = [range(i, i + block // 2) for i in range(0, count, block)]
        low = [n for one in starts for i in one for n in (i, i + count)]
        a, b = args
        values = [_shuffled(builder, a, b, low), _shuffled(builder, a, b, [n + block // 2 for n in low])]
        return _tuple(context, builder, result, values)

    return result(a, a), generate


@intrinsic(prefer_literal=True)
def add_row(typing: Any, tile: Any, number: Any, pixels: Any, row: Any) -> Any:
    """Return a tile with `number · pixels[s]`, all vectors, added to `tile[row][s]`; `row` is known when compiled."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, number, pixels = args[:3]
        for s in range(len(signature.args[2])):
            at = [row.literal_value, s]
            total = emit.fma(
                builder, number, builder.extract_value(pixels, s), builder.extract_value(tile, at)
            )
            tile = builder.insert_value(tile, total, at)
        return tile

    return tile(tile, number, pixels, row), generate


# ---- planes -----------------------------------------------------------------------------------------------


@part
def _reachable(at, plane, area, planes, to, zero):
    """Return a plane of `planes` side by side, or its copy, beside which something may be read."""
    source = shift(pointer(at, zero), plane * area)
    room = 4 * lanes(zero) + BESIDE
    if plane * area >= room and (planes - plane - 1) * area >= room:
        return source
    copy = shift(to, room)
    for i in range(area):
        copy[i] = source[i]
    return copy


@part
def _ask_for(p, start, count):
    """Ask for some numbers from `p[start]` on to be in the second cache soon.

    The next image's planes lie far from these: the gradient of the weights of 4×144×56² took 0.61 ms without
    this and 0.44 with it, the least of 100 calls each on a busy machine. For the forward pass timings disagreed.
    """
    for i in range(start, start + count, 16):
        prefetch(p, i, 2)


@part
def _row(x, h, height, width, zeros):
    """Return where row `h` of a plane is; those above and below are zeros."""
    if 0 <= h < height:
        return opaque(shift(x, h * width))
    return zeros


@part
def _ends(column, width, count, zero):
    """Return masks of what `apart` loads from `column` on: what is in the row and serves `count` results."""
    stop, later = min(width - column, 2 * count), min(width - column - 2, 2 * count)
    vector = lanes(zero)
    return (
        between(-column, stop, zero),
        between(-column - vector, stop - vector, zero),
        between(-column - 2, later, zero),
        between(-column - 2 - vector, later - vector, zero),
    )


@part
def _put(y, value, count):
    """Write as many numbers of a vector as are asked for."""
    if count >= lanes(y[0]):
        store(y, 0, value)
    else:
        store_part(y, 0, value, count)


@part
def _half_strip(x, masks, height, width, top, cells, start, y, rows, wide, count, folded, zeros):
    """Compute a strip of an output plane of stride 2."""
    above = apart(_row(x, -top, height, width, zeros), masks)
    for i in range(rows):
        h = 2 * i - top
        total = fma(cells[0], above[0], start)
        total = fma(cells[1], above[1], total)
        total = fma(cells[2], above[2], total)
        middle = apart(_row(x, h + 1, height, width, zeros), masks)
        second = cells[3] * middle[0]
        second = fma(cells[4], middle[1], second)
        second = fma(cells[5], middle[2], second)
        above = apart(_row(x, h + 2, height, width, zeros), masks)
        third = cells[6] * above[0]
        third = fma(cells[7], above[1], third)
        third = fma(cells[8], above[2], third)
        total = total + second + third
        if folded:
            total = relu(total)
        _put(opaque(shift(y, i * wide)), in_order(total), count)


@routine
def _half_plane(x, height, width, top, left, w, start, y, rows, wide, folded, zeros):
    """Compute an output plane of stride 2."""
    stays_apart()
    vector = lanes(start)
    cells = splats(w, 9)
    for j in range(0, wide, vector):
        first = max(0, min(j, wide - vector))
        column, to = 2 * first - left, shift(y, first)
        place = shift(x, column)
        if column >= 0 and column + 2 * vector < width and wide >= vector:
            _half_strip(
                place, (), height, width, top, cells, splat(start), to, rows, wide, vector, folded, zeros
            )
        else:
            masks, count = _ends(column, width, vector, start), min(wide, vector)
            _half_strip(
                place, masks, height, width, top, cells, splat(start), to, rows, wide, count, folded, zeros
            )


@kernel
def halve(
    x_at: int, w_at: int, bias_at: int, y_at: int, scratch_at: int, height: int, width: int, top: int, left: int,
    rows: int, wide: int, results: int, groups: int, planes: int, folded: int, begin: int, end: int,
    zero: Number,
) -> None:  # fmt: skip
    """Compute the output planes of stride 2 of planes `begin` to `end` of x, `results` of each."""
    zeros = pointer(scratch_at, zero)
    clear(zeros, 0, 4 * lanes(zero) + BESIDE, zero)
    to = shift(zeros, 5 * lanes(zero) + BESIDE)
    for plane in range(begin, end):
        x = _reachable(x_at, plane, height * width, planes, to, zero)
        for b in range(results):
            k = plane % groups * results + b
            start = zero
            if bias_at != 0:
                start = pointer(bias_at, zero)[k]
            y = shift(pointer(y_at, zero), (plane * results + b) * rows * wide)
            w = shift(pointer(w_at, zero), 9 * k)
            _half_plane(x, height, width, top, left, w, start, y, rows, wide, folded, zeros)


# ---- the gradient of the input of stride 2, padded by one before ------------------------------------------


@part
def _double_strip(dy, masks, other, height, width, cells, x, rows, wide, count, zeros):
    """Compute a strip of `dx`, two vectors wide: pixels 2m + 1 see gradients m + 1 and m, pixels 2m only m."""
    low, high = halves(dy, masks), halves(shift(dy, 1), other)
    vector = lanes(x[0])
    for m in range((rows + 1) // 2):
        even = cells[0] * low
        odd = fma(cells[2], high, cells[1] * low)
        pair = by_turns(even, odd)
        to = opaque(shift(x, 2 * m * wide))
        _put(to, pair[0], count)
        _put(shift(to, vector), pair[1], count - vector)
        even = cells[3] * low
        odd = fma(cells[6], high, cells[5] * low)
        row = _row(dy, m + 1, height, width, zeros)
        low, high = halves(row, masks), halves(shift(row, 1), other)
        even = fma(cells[4], low, even)
        odd = fma(cells[8], high, fma(cells[7], low, odd))
        pair = by_turns(even, odd)
        if 2 * m + 1 < rows:
            to = shift(to, wide)
            _put(to, pair[0], count)
            _put(shift(to, vector), pair[1], count - vector)


@routine
def _double_plane(dy, height, width, w, x, rows, wide, zeros, zero):
    """Compute a plane of `dx`."""
    stays_apart()
    vector = lanes(zero)
    cells, pairs = splats(w, 9), (wide + 1) // 2
    for j in range(0, pairs, vector):
        first = max(0, min(j, pairs - vector))
        place, to, count = shift(dy, first), shift(x, 2 * first), min(2 * vector, wide - 2 * first)
        if first + vector < width and count == 2 * vector:
            _double_strip(place, (), (), height, width, cells, to, rows, wide, 2 * vector, zeros)
        else:
            masks, other = (
                (between(0, width - first, zero),),
                (between(0, width - first - 1, zero),),
            )
            _double_strip(place, masks, other, height, width, cells, to, rows, wide, count, zeros)


@kernel
def double(
    dy_at: int, w_at: int, dx_at: int, scratch_at: int, height: int, width: int, rows: int, wide: int,
    groups: int, planes: int, begin: int, end: int, zero: Number,
) -> None:  # fmt: skip
    """Compute planes `begin` to `end` of the gradient of the input of stride 2.

    The cells of a filter come phase by phase, as the tables of `bands` have them: 4, then 5 3, 7 1 and 8 6 2 0.
    """
    zeros = pointer(scratch_at, zero)
    clear(zeros, 0, 4 * lanes(zero) + BESIDE, zero)
    to = shift(zeros, 5 * lanes(zero) + BESIDE)
    for plane in range(begin, end):
        dy = _reachable(dy_at, plane, height * width, planes, to, zero)
        w = shift(pointer(w_at, zero), 9 * (plane % groups))
        x = shift(pointer(dx_at, zero), plane * rows * wide)
        _double_plane(dy, height, width, w, x, rows, wide, zeros, zero)


# ---- the gradient of the weights --------------------------------------------------------------------------


@part
def _half_sums(tile, x, masks, height, width, top, dy, mask, rows, wide, zeros):
    """Return the sums with a strip of stride 2 added."""
    above = apart(_row(x, -top, height, width, zeros), masks)
    for i in range(rows):
        gradient = halves(opaque(shift(dy, i * wide)), mask)
        tile = add_row(tile, gradient, above, 0)
        tile = add_row(tile, gradient, apart(_row(x, 2 * i + 1 - top, height, width, zeros), masks), 1)
        above = apart(_row(x, 2 * i + 2 - top, height, width, zeros), masks)
        tile = add_row(tile, gradient, above, 2)
    return tile


@routine
def _half_plane_sums(x, height, width, top, left, dy, rows, wide, totals, zeros, zero):
    """Add the products of a plane of gradients with the pixels of stride 2, lane by lane, to nine vectors."""
    stays_apart()
    vector = lanes(zero)
    tile = zeros_tile(3, 3, zero)
    for j in range(0, wide, vector):
        column, count = 2 * j - left, min(vector, wide - j)
        place, gradient = shift(x, column), shift(dy, j)
        if column >= 0 and column + 2 * vector < width and count == vector:
            tile = _half_sums(tile, place, (), height, width, top, gradient, (), rows, wide, zeros)
        else:
            masks, mask = _ends(column, width, count, zero), (between(0, count, zero),)
            tile = _half_sums(tile, place, masks, height, width, top, gradient, mask, rows, wide, zeros)
    _add_totals(totals, tile)


@part
def _add_totals(totals, tile):
    """Add nine sums to those in memory."""
    vector = lanes(totals[0])
    for r in range(3):
        row = tile[r]
        for s in range(3):
            at = (3 * r + s) * vector
            store(totals, at, load(totals, at) + row[s])


@kernel
def half_sums(
    dy_at: int, x_at: int, dw_at: int, scratch_at: int, height: int, width: int, top: int, left: int, rows: int,
    wide: int, results: int, groups: int, images: int, begin: int, end: int, zero: Number,
) -> None:  # fmt: skip
    """Compute the gradients of the filters of groups `begin` to `end`, over all images, of stride 2."""
    vector = lanes(zero)
    zeros = pointer(scratch_at, zero)
    clear(zeros, 0, 4 * vector + BESIDE, zero)
    totals = shift(zeros, 5 * vector + BESIDE)
    pixels = shift(totals, 9 * results * vector)
    gradients = shift(pixels, height * width + 8 * vector + 2 * BESIDE)
    for group in range(begin, end):
        clear(totals, 0, 9 * results * vector, zero)
        for image in range(images):
            plane = image * groups + group
            x = _reachable(x_at, plane, height * width, images * groups, pixels, zero)
            if image + 1 < images:  # the next planes lie far off
                _ask_for(pointer(x_at, zero), (plane + groups) * height * width, height * width)
                _ask_for(
                    pointer(dy_at, zero), (plane + groups) * results * rows * wide, results * rows * wide
                )
            for b in range(results):
                k = plane * results + b
                dy = _reachable(dy_at, k, rows * wide, images * groups * results, gradients, zero)
                total = shift(totals, 9 * b * vector)
                _half_plane_sums(x, height, width, top, left, dy, rows, wide, total, zeros, zero)
        dw = shift(pointer(dw_at, zero), 9 * group * results)
        for i in range(9 * results):
            dw[i] = lanes_sum(load(totals, i * vector))
