"""Vector instructions that only convolutions need: every second pixel, sums kept, rows interleaved."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.simd import Vector

_I64 = ir.IntType(64)


@intrinsic
def evens(typing: Any, a: Any, b: Any) -> Any:
    """Return elements 0, 2, 4 … of two vectors, one behind the other."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = args[0].type.count
        picks = emit.constant(ir.VectorType(ir.IntType(32), count), range(0, 2 * count, 2))
        return builder.shuffle_vector(args[0], args[1], picks)

    return a(a, a), generate


@intrinsic
def joined(typing: Any, a: Any, b: Any, count: Any) -> Any:
    """Return the first `count` elements of a vector, and those of another behind them."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(emit.mask(builder, args[2], args[0].type), args[0], args[1])

    return a(a, a, types.int64), generate


@intrinsic
def add_tile(typing: Any, tile: Any, p: Any, row_step: Any) -> Any:
    """Return the tile plus the one whose row r begins at `p[r·row_step]`."""
    rows, vectors = len(tile), len(tile[0])

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, p, step = args
        for r in range(rows):
            row = builder.gep(p, [builder.mul(step, ir.Constant(_I64, r))])
            for v in range(vectors):
                value = builder.extract_value(tile, [r, v])
                other = emit.load(
                    builder, builder.gep(row, [ir.Constant(_I64, v * value.type.count)]), value.type
                )
                tile = builder.insert_value(tile, builder.fadd(value, other), [r, v])
        return tile

    return tile(tile, p, types.int64), generate


@intrinsic
def prefetch_to_write(typing: Any, p: Any, index: Any) -> Any:
    """Ask the nearest cache for the line that holds `p[index]`, to be written."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(args[0], [args[1]])
        words = [ir.Constant(ir.IntType(32), n) for n in (1, 3, 1)]
        kind = ir.FunctionType(ir.VoidType(), [place.type, *(word.type for word in words)])
        builder.call(
            cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"), [place, *words]
        )
        return context.get_dummy_value()

    return types.void(p, types.int64), generate


@intrinsic(prefer_literal=True)
def interleave(typing: Any, source: Any, row_step: Any, target: Any, rows: Any) -> Any:
    """Write the first elements of `rows` vectors, then their second ones, and so on.

    The vectors begin at `source[r·row_step]`; `rows`, known when compiled, is a power of two.
    """
    count = rows.literal_value

    def zipped(builder: Any, vectors: list[Any]) -> list[Any]:
        if len(vectors) == 1:
            return vectors
        width = vectors[0].type.count
        kind = ir.VectorType(ir.IntType(32), width)
        result = []
        for a, b in zip(zipped(builder, vectors[::2]), zipped(builder, vectors[1::2]), strict=True):
            for half in range(0, width, width // 2):
                picks = [half + i // 2 + (width if i % 2 else 0) for i in range(width)]
                result.append(builder.shuffle_vector(a, b, emit.constant(kind, picks)))
        return result

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(Vector(source.dtype))
        places = [builder.gep(args[0], [builder.mul(args[1], ir.Constant(_I64, r))]) for r in range(count)]
        values = zipped(builder, [emit.load(builder, place, vector) for place in places])
        for i, value in enumerate(values):
            emit.store(builder, value, builder.gep(args[2], [ir.Constant(_I64, i * vector.count)]))
        return context.get_dummy_value()

    return types.void(source, types.int64, target, rows), generate
