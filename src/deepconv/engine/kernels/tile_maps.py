"""Linear maps of tiles of vectors, emitted whole: `M t M^T` for a matrix given as a Python function.

A Winograd transform is some hundred instructions on 36 vectors. Written as functions that Numba compiles, each of
them is typed, lowered and optimised once by itself and again in every kernel: 0.7 s for one transform, 0.1 s
emitted.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.simd import Vector


class Value:
    """A vector of the program that is being written: signs between values emit instructions."""

    def __init__(self, builder: Any, value: Any) -> None:
        """Take what emits, and LLVM's value."""
        self.builder, self.value = builder, value

    def __add__(self, other: "Value") -> "Value":
        return Value(self.builder, self.builder.fadd(self.value, other.value))

    def __sub__(self, other: "Value") -> "Value":
        return Value(self.builder, self.builder.fsub(self.value, other.value))

    def __rmul__(self, factor: float) -> "Value":
        return Value(self.builder, self.builder.fmul(self._constant(factor), self.value))

    def plus(self, factor: float, other: "Value") -> "Value":
        """Return `self + factor·other`, rounded once where the target can."""
        product = emit.fma(self.builder, self._constant(factor), other.value, self.value)
        return Value(self.builder, product)

    def _constant(self, number: float) -> Any:
        """Return a vector of one number."""
        kind = self.value.type
        return emit.constant(kind, [number] * kind.count)


def tile_map(row: Callable[..., tuple[Value, ...]], size: int) -> Any:
    """Return what a kernel calls to map tiles of `size`×`size` vectors by a matrix, downwards and to the right.

        f(source, at, row_step, column_step, target, to, target_row_step, target_column_step)

    reads vector (i, j) at `source[at + i·row_step + j·column_step]` and writes what becomes of them alike.

    Args:
        row: takes `size` values, returns the matrix times them.
        size: of the tile that is read.
    """

    @intrinsic
    def mapped(typing, source, at, row_step, column_step, target, to, target_row_step, target_column_step):
        vector = Vector(source.dtype)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = context.get_value_type(vector)
            source, at, down, right, target, to, target_down, target_right = args
            columns = []
            for j in range(size):
                begin = builder.gep(source, [builder.add(at, _times(builder, right, j))])
                places = [builder.gep(begin, [_times(builder, down, i)]) for i in range(size)]
                columns.append(row(*(Value(builder, emit.load(builder, p, kind)) for p in places)))
            for i, values in enumerate(zip(*columns, strict=True)):
                begin = builder.gep(target, [builder.add(to, _times(builder, target_down, i))])
                for j, value in enumerate(row(*values)):
                    emit.store(builder, value.value, builder.gep(begin, [_times(builder, target_right, j)]))
            return context.get_dummy_value()

        whole = types.int64
        return types.void(source, whole, whole, whole, target, whole, whole, whole), generate

    return mapped


def _times(builder: Any, step: Any, count: int) -> Any:
    """Return `count·step`."""
    return builder.mul(step, ir.Constant(emit.I64, count))
