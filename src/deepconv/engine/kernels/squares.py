"""Squares of as many vectors as a vector has lanes: where rows of pixels become channels in the lanes, and back.

NCHW has a channel's pixels side by side; a *slab* has the channels of a pixel side by side, a vector of them.
`transpose` turns a square of one into a square of the other, `load_square` and `store_square` are its two sides.
Where channels end within a square, the last one is read again in place of those that aren't there, and
what is written for them is overwritten by it.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.simd import Vector, lanes, splat, store, transpose


def _rows(builder: Any, count: int, p: Any, index: Any, step: Any, last: Any) -> list[Any]:
    """Return pointers to `p[index + min(i, last)·step]`."""
    start = builder.gep(p, [index])
    places = []
    for i in range(count):
        row = ir.Constant(emit.I64, i)
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        places.append(builder.gep(start, [builder.mul(row, step)]))
    return places


def _masked(builder: Any, name: str, result: Any, kinds: list[Any]) -> Any:
    """Return LLVM's function for a masked load or store."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, kinds), name)


@intrinsic
def load_square(typing: Any, p: Any, index: Any, step: Any, last: Any) -> Any:
    """Return the vectors at `p[index + i·step]`, of which those above `last` are the last again."""
    vector = Vector(p.dtype)
    result = types.UniTuple(vector, vector.lanes)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(vector)
        square = ir.Constant(context.get_value_type(result), ir.Undefined)
        for i, place in enumerate(_rows(builder, kind.count, *args)):
            square = builder.insert_value(square, emit.load(builder, place, kind), i)
        return square

    return result(p, types.int64, types.int64, types.int64), generate


@intrinsic
def load_square_part(typing: Any, p: Any, index: Any, step: Any, last: Any, count: Any) -> Any:
    """Return `load_square` with only the first `count` numbers of each row, zeros behind them."""
    vector = Vector(p.dtype)
    result = types.UniTuple(vector, vector.lanes)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(vector)
        mask = emit.mask(builder, args[4], kind)
        square = ir.Constant(context.get_value_type(result), ir.Undefined)
        pointer = kind.as_pointer()
        name = f"llvm.masked.load.v{kind.count}{emit.suffix(kind)}.p0"
        function = _masked(builder, name, kind, [pointer, emit.I32, mask.type, kind])
        align = ir.Constant(emit.I32, emit.align(kind))
        for i, place in enumerate(_rows(builder, kind.count, *args[:4])):
            row = builder.bitcast(place, pointer)
            value = builder.call(function, [row, align, mask, ir.Constant(kind, None)])
            square = builder.insert_value(square, value, i)
        return square

    return result(p, types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def store_square(typing: Any, p: Any, index: Any, step: Any, last: Any, square: Any) -> Any:
    """Write vector i to `p[index + i·step]`, as far as row `last`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = _rows(builder, len(square), *args[:4])
        for i in reversed(range(len(square))):  # what stands for rows above `last` is overwritten by it
            emit.store(builder, builder.extract_value(args[4], i), places[i])
        return context.get_dummy_value()

    return types.void(p, types.int64, types.int64, types.int64, square), generate


@intrinsic
def store_square_part(typing: Any, p: Any, index: Any, step: Any, last: Any, square: Any, count: Any) -> Any:
    """Write the first `count` numbers of each row, as `store_square` does."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [builder.extract_value(args[4], i) for i in range(len(square))]
        kind = values[0].type
        mask = emit.mask(builder, args[5], kind)
        pointer = kind.as_pointer()
        name = f"llvm.masked.store.v{kind.count}{emit.suffix(kind)}.p0"
        function = _masked(builder, name, ir.VoidType(), [kind, pointer, emit.I32, mask.type])
        align = ir.Constant(emit.I32, emit.align(kind))
        places = _rows(builder, len(values), *args[:4])
        for i in reversed(range(len(values))):
            builder.call(function, [values[i], builder.bitcast(places[i], pointer), align, mask])
        return context.get_dummy_value()

    return types.void(p, types.int64, types.int64, types.int64, square, types.int64), generate


@intrinsic
def store_in_order(typing: Any, p: Any, index: Any, square: Any) -> Any:
    """Write the vectors of a square one behind the other from `p[index]` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.gep(args[0], [args[1]])
        for i in range(len(square)):
            place = builder.gep(start, [ir.Constant(emit.I64, i * len(square))])
            emit.store(builder, builder.extract_value(args[2], i), place)
        return context.get_dummy_value()

    return types.void(p, types.int64, square), generate


@intrinsic
def load_in_order(typing: Any, p: Any, index: Any) -> Any:
    """Return the square of vectors that lie one behind the other from `p[index]` on."""
    vector = Vector(p.dtype)
    result = types.UniTuple(vector, vector.lanes)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(vector)
        start = builder.gep(args[0], [args[1]])
        square = ir.Constant(context.get_value_type(result), ir.Undefined)
        for i in range(kind.count):
            place = builder.gep(start, [ir.Constant(emit.I64, i * kind.count)])
            square = builder.insert_value(square, emit.load(builder, place, kind), i)
        return square

    return result(p, types.int64), generate


@intrinsic
def finished(typing: Any, square: Any, bias: Any, floor: Any) -> Any:
    """Return a square with the vector `bias` added to each of its own, and no lane less than `floor`; NaN stays."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        result, bias, floor = args
        for i in range(len(square)):
            value = builder.fadd(builder.extract_value(result, i), bias)
            value = builder.select(builder.fcmp_ordered("<", value, floor), floor, value)
            result = builder.insert_value(result, value, i)
        return result

    return square(square, bias, floor), generate


@intrinsic
def load_column(typing: Any, p: Any, index: Any, step: Any, last: Any) -> Any:
    """Return a vector of the numbers at `p[index + i·step]`, of which those above `last` are the last again."""
    result = Vector(p.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(result)
        value = ir.Constant(kind, ir.Undefined)
        for i, place in enumerate(_rows(builder, kind.count, *args)):
            value = builder.insert_element(value, builder.load(place), ir.Constant(emit.I32, i))
        return value

    return result(p, types.int64, types.int64, types.int64), generate


@part
def pack_row(x, row, channel_step, last, width, first, columns, slab, at, zero):
    """Write `columns` pixels of one row of an image to a slab, a vector of channels each, zeros outside the image.

    Args:
        x: the numbers.
        row: where the row of the first channel begins in `x`.
        channel_step: from one channel to the next.
        last: the last lane for which there is a channel.
        width: W, pixels of the image's row.
        first: the pixel that the slab begins with; may be negative.
        columns: pixels that the slab takes.
        slab: receives them from `slab[at]` on, and up to a square more behind them.
        at: see `slab`.
        zero: of the type of the numbers.
    """
    step = lanes(zero)
    nothing = splat(zero)
    left = min(max(-first, 0), columns)
    right = max(min(width - first, columns), left)
    for j in range(left):
        store(slab, at + j * step, nothing)
    row += first
    j = left
    while j < right:
        if right - left >= step:
            j = min(j, right - step)
            square = load_square(x, row + j, channel_step, last)
        else:
            square = load_square_part(x, row + j, channel_step, last, right - j)
        store_in_order(slab, at + j * step, transpose(square))
        j += step
    for j in range(right, columns):
        store(slab, at + j * step, nothing)


@part
def unpack_row(slab, at, columns, y, row, channel_step, last, bias, floor, zero):
    """Write `columns` pixels of a slab to one row of an image, as many channels of it as `last` says.

    What is written is `pixel + bias`, no less than `floor`, vectors both.
    """
    step = lanes(zero)
    j = 0
    while j < columns:
        if j + step > columns >= step:
            j = columns - step
        square = transpose(finished(load_in_order(slab, at + j * step), bias, floor))
        if columns >= step:
            store_square(y, row + j, channel_step, last, square)
        else:
            store_square_part(y, row + j, channel_step, last, square, columns)
        j += step
