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

TARGET = machine.target()
ROWS = TARGET.rows
VECTORS = TARGET.vectors
_FUSED = TARGET.name != "plain"
_I32, _I64 = ir.IntType(32), ir.IntType(64)


class Vector(types.Type):  # type: ignore[misc]
    """As many numbers as a register holds."""

    def __init__(self, dtype: Any) -> None:
        """Take Numba's float32, float64, int32 or int64."""
        self.dtype = dtype
        self.lanes = TARGET.vector_bytes * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype}x{self.lanes})")


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    """A vector is LLVM's own, `<8 x float>` for instance."""

    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        element = dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


def _constant(vector: Any, values: Any) -> Any:
    """Return a constant vector of the given LLVM type."""
    return ir.Constant(vector, list(values))


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """Call LLVM's own function `llvm.name.<type>`; vector intrinsics have to be named by hand."""
    of = next(a.type for a in args if isinstance(a.type, ir.VectorType))
    kind = {"float": "f32", "double": "f64"}.get(str(of.element), str(of.element))
    full = f"llvm.{name}.v{of.count}{kind}"
    signature = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, full), args)


def _at(builder: Any, pointer: Any, *indices: Any) -> Any:
    """Return a pointer to the element at the sum of the indices."""
    total = indices[0]
    for index in indices[1:]:
        total = builder.add(total, index)
    return builder.gep(pointer, [total])


def _load(builder: Any, pointer: Any, vector: Any) -> Any:
    """Load a vector, aligned as its elements are."""
    value = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    value.align = _align(vector)
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    """Store a vector, aligned as its elements are."""
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = _align(value.type)


def _align(vector: Any) -> int:
    """Return the bytes of an element."""
    return TARGET.vector_bytes // int(vector.count)


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    """Return a vector of one scalar."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, zeros)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return `a·b + c`: rounded once where the target has the instruction, never by a call of the C library."""
    return _call(builder, "fma" if _FUSED else "fmuladd", a.type, a, b, c)


def _mask(builder: Any, count: Any, vector: Any) -> Any:
    """Return the lanes below `count`."""
    wide = ir.VectorType(_I64, vector.count)
    lanes = _constant(wide, range(vector.count))
    return builder.icmp_signed("<", lanes, _splat(builder, count, wide))


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


# ---- one vector -----------------------------------------------------------------------------------------


@intrinsic
def load(typing: Any, p: Any, index: Any) -> Any:
    """Return the vector that begins at `p[index]`."""
    result = Vector(p.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, _at(builder, *args), context.get_value_type(result))

    return result(p, types.int64), generate


@intrinsic
def store(typing: Any, p: Any, index: Any, value: Any) -> Any:
    """Write a vector to where `p[index]` begins."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _store(builder, args[2], _at(builder, *args[:2]))
        return context.get_dummy_value()

    return types.void(p, types.int64, value), generate


@intrinsic
def load_part(typing: Any, p: Any, index: Any, count: Any) -> Any:
    """Return `count` numbers from `p[index]` on and zeros behind them; no more than those are touched."""
    result = Vector(p.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(result)
        place = builder.bitcast(_at(builder, *args[:2]), vector.as_pointer())
        mask = _mask(builder, args[2], vector)
        name = f"llvm.masked.load.v{vector.count}{_suffix(vector)}.p0"
        kinds = [place.type, _I32, mask.type, vector]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, kinds), name)
        return builder.call(
            function, [place, ir.Constant(_I32, _align(vector)), mask, ir.Constant(vector, None)]
        )

    return result(p, types.int64, types.int64), generate


@intrinsic
def store_part(typing: Any, p: Any, index: Any, value: Any, count: Any) -> Any:
    """Write the first `count` numbers of a vector to where `p[index]` begins; no more are touched."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[2]
        place = builder.bitcast(_at(builder, *args[:2]), value.type.as_pointer())
        mask = _mask(builder, args[3], value.type)
        name = f"llvm.masked.store.v{value.type.count}{_suffix(value.type)}.p0"
        kinds = [value.type, place.type, _I32, mask.type]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), kinds), name)
        builder.call(function, [value, place, ir.Constant(_I32, _align(value.type)), mask])
        return context.get_dummy_value()

    return types.void(p, types.int64, value, types.int64), generate


def _suffix(vector: Any) -> str:
    """Return how LLVM's function names spell an element."""
    return {"float": "f32", "double": "f64"}.get(str(vector.element), str(vector.element))


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """Return a vector with `scalar` in every lane."""
    result = Vector(scalar)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0], context.get_value_type(result))

    return result(scalar), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return `a·b + c`, vectors all, rounded once where the target can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fma(builder, *args)

    return a(a, a, a), generate


def _sign(sign: Any, instruction: str) -> None:
    """Let a sign between two vectors mean a floating-point instruction on all lanes."""

    class Signed(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            a, b = args
            return signature(a, a, a) if isinstance(a, Vector) and a == b else None

    infer_global(sign)(Signed)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)

    lower_builtin(sign, Vector, Vector)(generate)


for _signs in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _sign(*_signs)


@intrinsic
def relu(typing: Any, a: Any) -> Any:
    """Return every lane that is above zero or NaN, and zero for the others."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _relu(builder, args[0])

    return a(a), generate


def _relu(builder: Any, value: Any) -> Any:
    """Return `value` where it is not below zero (so that NaN stays NaN), else zero."""
    zero = ir.Constant(value.type, None)
    return builder.select(builder.fcmp_ordered("<", value, zero), zero, value)


@intrinsic
def lanes_sum(typing: Any, a: Any) -> Any:
    """Return the sum of all lanes, halves added to halves: the same order at every call."""
    result = a.dtype

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        half = value.type.count // 2
        while half:
            upper = _constant(
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
        for i, value in enumerate(_transpose(builder, values)):
            result = builder.insert_value(result, value, i)
        return result

    return rows(rows), generate


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of a square of vectors: first whole 128-bit lanes change places, then elements in them.

    These are the shuffles that x86 and ARM have an instruction for.
    """
    count = len(rows)
    per_lane = min(count, 16 // _align(rows[0].type))

    def shuffle(a: Any, b: Any, picks: list[int]) -> Any:
        return builder.shuffle_vector(a, b, _constant(ir.VectorType(_I32, count), picks))

    def by_lanes(choose: Any) -> list[int]:
        return [e for lane in range(count // per_lane) for e in choose(lane)]

    step = per_lane
    while step < count:
        s = step // per_lane
        low = by_lanes(
            lambda lane: [
                (lane if not lane & s else lane ^ s) * per_lane + e + (count if lane & s else 0)
                for e in range(per_lane)
            ]
        )
        high = by_lanes(
            lambda lane: [
                (lane ^ s if not lane & s else lane) * per_lane + e + (count if lane & s else 0)
                for e in range(per_lane)
            ]
        )
        for i in range(count):
            if not (i // step) & 1:
                a, b = rows[i], rows[i + step]
                rows[i], rows[i + step] = shuffle(a, b, low), shuffle(a, b, high)
        step *= 2
    return _within_lanes(rows, per_lane, shuffle)


def _within_lanes(rows: list[Any], per_lane: int, shuffle: Any) -> list[Any]:
    """Return every square of `per_lane` rows transposed within its 128-bit lanes."""
    count = len(rows)
    starts = range(0, count, per_lane)

    def pairs(first: list[int], second: list[int]) -> list[int]:
        picks: list[int] = []
        for start in starts:
            for a, b in zip(first, second, strict=True):
                picks += [start + a, count + start + b]
        return picks

    def halves(which: int) -> list[int]:
        return [i for s in starts for i in (s + which, s + which + 1, count + s + which, count + s + which + 1)]

    for top in starts:
        if per_lane == 2:
            a, b = rows[top : top + 2]
            rows[top : top + 2] = [shuffle(a, b, pairs([0], [0])), shuffle(a, b, pairs([1], [1]))]
        elif per_lane == 4:
            r0, r1, r2, r3 = rows[top : top + 4]
            low, high = pairs([0, 1], [0, 1]), pairs([2, 3], [2, 3])
            t0, t1, t2, t3 = shuffle(r0, r1, low), shuffle(r0, r1, high), shuffle(r2, r3, low), shuffle(r2, r3, high)
            rows[top : top + 4] = [
                shuffle(t0, t2, halves(0)),
                shuffle(t0, t2, halves(2)),
                shuffle(t1, t3, halves(0)),
                shuffle(t1, t3, halves(2)),
            ]
    return rows


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
        right = [_load(builder, _at(builder, b, ir.Constant(_I64, v * vector.count)), vector) for v in range(vectors)]
        for r in range(rows):
            if isinstance(signature.args[2], types.BaseTuple):
                place = builder.extract_value(step, r)
            else:
                place = builder.mul(step, ir.Constant(_I64, r))
            left = _splat(builder, builder.load(builder.gep(a, [place])), vector)
            for v in range(vectors):
                total = _fma(builder, left, right[v], builder.extract_value(tile, [r, v]))
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
            _store(builder, value, place)
        return context.get_dummy_value()

    return types.void(p, types.int64, tile), generate


@intrinsic
def load_tile(typing: Any, p: Any, row_step: Any, like: Any) -> Any:
    """Return the tile of the shape of `like` whose row r begins at `p[r·row_step]`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile = args[2]
        vectors = _shape(signature.args[2])[1]
        for i, (place, value) in enumerate(_places(builder, signature.args[2], *args)):
            tile = builder.insert_value(tile, _load(builder, place, value.type), divmod(i, vectors))
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
                total = builder.fadd(value, _splat(builder, number, value.type))
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
                value = _relu(builder, builder.extract_value(tile, [r, v]))
                tile = builder.insert_value(tile, value, [r, v])
        return tile

    return tile(tile), generate
