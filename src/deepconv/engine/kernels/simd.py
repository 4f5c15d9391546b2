"""Vectors as values: what a kernel writes instead of assembly, and what LLVM makes one instruction of.

A kernel takes addresses (whole numbers) and `zero`, a number of the type it computes in; `pointer`
makes of an address something that can be indexed, `load` and `store` move vectors, and arithmetic on
vectors is written with signs:

    x, y = pointer(x_address, zero), pointer(y_address, zero)
    for i in range(0, n, lanes(zero)):
        store(y, i, fma(load(x, i), splat(a), load(y, i)))

A *tile* is a tuple of rows, each a tuple of vectors, that stays in registers: `outer` adds to it the
product of a column of scalars and a row of vectors, the step that every matrix product consists of.
Widths are the target's (`deepconv.engine.machine`). Nothing is aligned beyond its element, nothing is
checked: a kernel's caller answers for every address. Sums are fused (`a·b + c` is rounded once) wherever the
target can.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

from deepconv.engine import machine
from deepconv.engine.kernels import emit

TARGET = machine.target()
ROWS = TARGET.rows
VECTORS = TARGET.vectors
_I32, _I64 = ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """As many numbers as a register holds."""

    def __init__(self, dtype: Any) -> None:
        """Take Numba's float32, float64, int32 or int64."""
        self.dtype = dtype
        self.lanes = TARGET.vector_bytes * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype}x{self.lanes})")


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):
    """A vector is LLVM's own, `<8 x float>` for instance."""

    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        element = dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


# ---- addresses ------------------------------------------------------------------------------------------


@intrinsic
def pointer(typing: Any, address: Any, zero: Any) -> Any:
    """Return a pointer to numbers of the type of `zero`; `p[i]` reads and writes one of them."""
    result = types.CPointer(zero)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(result))

    return result(types.int64, zero), generate


@intrinsic
def shift(typing: Any, p: Any, count: Any) -> Any:
    """Return the pointer `count` elements further."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return p(p, types.int64), generate


@intrinsic
def lanes(typing: Any, zero: Any) -> Any:
    """Return how many numbers of the type of `zero` a vector holds; a constant when compiled."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_I64, Vector(zero).lanes)

    return types.int64(zero), generate


@intrinsic
def as_number(typing: Any, value: Any, zero: Any) -> Any:
    """Return a float64, or a whole number, rounded to the type of `zero`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.cast(builder, args[0], signature.args[0], signature.args[1])

    return zero(value, zero), generate


@intrinsic(prefer_literal=True)
def prefetch(typing: Any, p: Any, index: Any, level: Any) -> Any:
    """Ask for the line of memory at `p[index]`, or at each index of a tuple, to be in the cache of `level` 1 or 2 soon.

    Any address is allowed.
    """
    index = index if isinstance(index, types.BaseTuple) else types.int64

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        p, places = args[0], [args[1]]
        if isinstance(index, types.BaseTuple):
            places = [builder.extract_value(args[1], i) for i in range(len(index))]
        hints = [ir.Constant(_I32, n) for n in (0, 4 - level.literal_value, 1)]  # to read, kept so long, data
        kind = ir.FunctionType(ir.VoidType(), [p.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        for place in places:
            builder.call(function, [builder.gep(p, [place]), *hints])
        return context.get_dummy_value()

    return types.void(p, index, level), generate


# ---- one vector -----------------------------------------------------------------------------------------


@intrinsic
def load(typing: Any, p: Any, index: Any) -> Any:
    """Return the vector that begins at `p[index]`."""
    result = Vector(p.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit.load(builder, emit.at(builder, *args), context.get_value_type(result))

    return result(p, types.int64), generate


@intrinsic
def store(typing: Any, p: Any, index: Any, value: Any) -> Any:
    """Write a vector to where `p[index]` begins."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit.store(builder, args[2], emit.at(builder, *args[:2]))
        return context.get_dummy_value()

    return types.void(p, types.int64, value), generate


@intrinsic
def load_part(typing: Any, p: Any, index: Any, count: Any) -> Any:
    """Return `count` numbers from `p[index]` on and zeros behind them; no more than those are touched."""
    result = Vector(p.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(result)
        place = builder.bitcast(emit.at(builder, *args[:2]), vector.as_pointer())
        mask = emit.mask(builder, args[2], vector)
        name = f"llvm.masked.load.v{vector.count}{emit.suffix(vector)}.p0"
        kinds = [place.type, _I32, mask.type, vector]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, kinds), name)
        return builder.call(
            function, [place, ir.Constant(_I32, emit.align(vector)), mask, ir.Constant(vector, None)]
        )

    return result(p, types.int64, types.int64), generate


@intrinsic
def store_part(typing: Any, p: Any, index: Any, value: Any, count: Any) -> Any:
    """Write the first `count` numbers of a vector to where `p[index]` begins; no more are touched."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[2]
        place = builder.bitcast(emit.at(builder, *args[:2]), value.type.as_pointer())
        mask = emit.mask(builder, args[3], value.type)
        name = f"llvm.masked.store.v{value.type.count}{emit.suffix(value.type)}.p0"
        kinds = [value.type, place.type, _I32, mask.type]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), kinds), name)
        builder.call(function, [value, place, ir.Constant(_I32, emit.align(value.type)), mask])
        return context.get_dummy_value()

    return types.void(p, types.int64, value, types.int64), generate


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """Return a vector with `scalar` in every lane."""
    result = Vector(scalar)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit.splat(builder, args[0], context.get_value_type(result))

    return result(scalar), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return `a·b + c`, vectors all, rounded once where the target can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit.fma(builder, *args)

    return a(a, a, a), generate


def _sign(sign: Any, instruction: str) -> None:
    """Let a sign between two vectors mean a floating-point instruction on all lanes."""

    class Signed(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            a, b = args
            return signature(a, a, a) if isinstance(a, Vector) and a == b else None

    infer_global(sign)(Signed)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)

    lower_builtin(sign, Vector, Vector)(generate)


for _signs in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _sign(*_signs)


@intrinsic
def relu(typing: Any, a: Any) -> Any:
    """Return every lane that is above zero or NaN, and zero for the others."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit.relu(builder, args[0])

    return a(a), generate


@intrinsic
def keep_part(typing: Any, a: Any, count: Any) -> Any:
    """Return the first `count` lanes and zeros behind them, as `load_part` does."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        return builder.select(emit.mask(builder, args[1], value.type), value, ir.Constant(value.type, None))

    return a(a, types.int64), generate


@intrinsic
def clip(typing: Any, a: Any, low: Any, high: Any) -> Any:
    """Return every lane, but `low` for what is below it and `high` for what is above; NaN stays, and limits nothing."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, low, high = args
        value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
        return builder.select(builder.fcmp_ordered(">", value, high), high, value)

    return a(a, a, a), generate


@intrinsic
def clip_grad(typing: Any, dy: Any, a: Any, low: Any, high: Any) -> Any:
    """Return `dy`, but zero where `clip(a, low, high)` gives a limit, `a` being at it or beyond."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dy, value, low, high = args
        below = builder.fcmp_ordered("<=", value, low)
        above = builder.fcmp_ordered(">=", value, high)
        return builder.select(builder.or_(below, above), ir.Constant(dy.type, None), dy)

    return dy(dy, a, a, a), generate


@intrinsic
def sqrt(typing: Any, a: Any) -> Any:
    """Return the square root of every lane, NaN below zero."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit.call(builder, "sqrt", args[0].type, args[0])

    return a(a), generate


@intrinsic
def lanes_sum(typing: Any, a: Any) -> Any:
    """Return the sum of all lanes, halves added to halves: the same order at every call."""
    result = a.dtype

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        half = value.type.count // 2
        while half:
            upper = emit.constant(
                ir.VectorType(_I32, value.type.count),
                [(i + half) if i < half else i for i in range(value.type.count)],
            )
            value = builder.fadd(
                value, builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), upper)
            )
            half //= 2
        return builder.extract_element(value, ir.Constant(_I32, 0))

    return result(a), generate


@intrinsic
def transpose(typing: Any, rows: Any) -> Any:
    """Return the transpose of a tuple of as many vectors as one has lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = len(rows)
        values = [builder.extract_value(args[0], i) for i in range(count)]
        result = args[0]
        for i, value in enumerate(emit.transpose(builder, values)):
            result = builder.insert_value(result, value, i)
        return result

    return rows(rows), generate


@intrinsic
def turn_square(typing: Any, a: Any, a_step: Any, b: Any, b_step: Any) -> Any:
    """Write the transpose of a square, as wide as a vector, whose row r begins at `a[r·a_step]`, to `b` alike."""
    vector = Vector(a.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(vector)
        a, a_step, b, b_step = args
        steps = [ir.Constant(_I64, r) for r in range(vector.lanes)]
        rows = [emit.load(builder, builder.gep(a, [builder.mul(a_step, r)]), kind) for r in steps]
        for r, row in zip(steps, emit.transpose(builder, rows), strict=True):
            emit.store(builder, row, builder.gep(b, [builder.mul(b_step, r)]))
        return context.get_dummy_value()

    return types.void(a, types.int64, b, types.int64), generate


# ---- tiles: tuples of rows of vectors ---------------------------------------------------------------------


def tile_type(dtype: Any, rows: int, vectors: int) -> Any:
    """Return the type of a tile."""
    return types.UniTuple(types.UniTuple(Vector(dtype), vectors), rows)


def _shape(tile: Any) -> tuple[int, int]:
    """Return the rows and vectors of a tile's type."""
    return len(tile), len(tile[0])


@intrinsic(prefer_literal=True)
def zeros_tile(typing: Any, rows: Any, vectors: Any, zero: Any) -> Any:
    """Return a tile of zeros, of `rows` rows of `vectors` vectors (whole numbers known when compiled)."""
    result = tile_type(zero, rows.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(result), None)

    return result(rows, vectors, zero), generate


@intrinsic
def outer(typing: Any, tile: Any, a: Any, a_step: Any, b: Any) -> Any:
    """Return `tile[r][v] + a[r·a_step] · (vector v from b on)`; `a_step` may be a tuple of offsets, one a row."""
    rows, vectors = _shape(tile)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, a, step, b = args
        vector = context.get_value_type(Vector(signature.args[3].dtype))
        right = [
            emit.load(builder, emit.at(builder, b, ir.Constant(_I64, v * vector.count)), vector)
            for v in range(vectors)
        ]
        for r in range(rows):
            if isinstance(signature.args[2], types.BaseTuple):
                place = builder.extract_value(step, r)
            else:
                place = builder.mul(step, ir.Constant(_I64, r))
            left = emit.splat(builder, builder.load(builder.gep(a, [place])), vector)
            for v in range(vectors):
                total = emit.fma(builder, left, right[v], builder.extract_value(tile, [r, v]))
                tile = builder.insert_value(tile, total, [r, v])
        return tile

    step = a_step if isinstance(a_step, types.BaseTuple) else types.int64
    return tile(tile, a, step, b), generate


@intrinsic(prefer_literal=True)
def offsets(typing: Any, table: Any, rows: Any) -> Any:
    """Return the first `rows` whole numbers that `table` points at, as a tuple for `outer`."""
    result = types.UniTuple(types.int64, rows.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = ir.Constant(context.get_value_type(result), ir.Undefined)
        for r in range(len(result)):
            number = builder.load(builder.gep(args[0], [ir.Constant(_I64, r)]))
            value = builder.insert_value(value, number, r)
        return value

    return result(table, rows), generate


@intrinsic
def store_tile(typing: Any, p: Any, row_step: Any, tile: Any) -> Any:
    """Write a tile whose row r begins at `p[r·row_step]`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for place, value in _places(builder, signature.args[2], *args):
            emit.store(builder, value, place)
        return context.get_dummy_value()

    return types.void(p, types.int64, tile), generate


@intrinsic
def load_tile(typing: Any, p: Any, row_step: Any, like: Any) -> Any:
    """Return the tile of the shape of `like` whose row r begins at `p[r·row_step]`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile = args[2]
        vectors = _shape(signature.args[2])[1]
        for i, (place, value) in enumerate(_places(builder, signature.args[2], *args)):
            tile = builder.insert_value(tile, emit.load(builder, place, value.type), divmod(i, vectors))
        return tile

    return like(p, types.int64, like), generate


def _places(builder: Any, kind: Any, p: Any, row_step: Any, tile: Any) -> Any:
    """Yield where each vector of a tile lies in memory, and its value."""
    rows, vectors = _shape(kind)
    for r in range(rows):
        row = builder.gep(p, [builder.mul(row_step, ir.Constant(_I64, r))])
        for v in range(vectors):
            value = builder.extract_value(tile, [r, v])
            yield builder.gep(row, [ir.Constant(_I64, v * value.type.count)]), value


@intrinsic
def add_rows(typing: Any, tile: Any, numbers: Any) -> Any:
    """Return the tile with `numbers[r]` added to all of row r: a bias where rows are filters."""
    rows, vectors = _shape(tile)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, numbers = args
        for r in range(rows):
            number = builder.load(builder.gep(numbers, [ir.Constant(_I64, r)]))
            for v in range(vectors):
                value = builder.extract_value(tile, [r, v])
                total = builder.fadd(value, emit.splat(builder, number, value.type))
                tile = builder.insert_value(tile, total, [r, v])
        return tile

    return tile(tile, numbers), generate


@intrinsic
def relu_tile(typing: Any, tile: Any) -> Any:
    """Return the tile with zero for everything below zero."""
    rows, vectors = _shape(tile)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile = args[0]
        for r in range(rows):
            for v in range(vectors):
                value = emit.relu(builder, builder.extract_value(tile, [r, v]))
                tile = builder.insert_value(tile, value, [r, v])
        return tile

    return tile(tile), generate


@intrinsic
def add_tiles(typing: Any, tile: Any, other: Any) -> Any:
    """Return the sum of two tiles of one shape."""
    rows, vectors = _shape(tile)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, other = args
        for place in ([r, v] for r in range(rows) for v in range(vectors)):
            total = builder.fadd(builder.extract_value(tile, place), builder.extract_value(other, place))
            tile = builder.insert_value(tile, total, place)
        return tile

    return tile(tile, tile), generate
