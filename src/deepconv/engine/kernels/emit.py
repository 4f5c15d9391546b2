"""LLVM instructions on vectors, emitted one by one: what `simd` makes its values' operations of."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from deepconv.engine import machine

TARGET = machine.target()
I32, I64 = ir.IntType(32), ir.IntType(64)
_FUSED = TARGET.name != "plain"


def constant(vector: Any, values: Any) -> Any:
    """Return a constant vector of the given LLVM type."""
    return ir.Constant(vector, list(values))


def call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """Call LLVM's own function `llvm.name.<type>`; vector intrinsics have to be named by hand."""
    of = next(a.type for a in args if isinstance(a.type, ir.VectorType))
    kind = {"float": "f32", "double": "f64"}.get(str(of.element), str(of.element))
    full = f"llvm.{name}.v{of.count}{kind}"
    signature = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, full), args)


def at(builder: Any, pointer: Any, *indices: Any) -> Any:
    """Return a pointer to the element at the sum of the indices."""
    total = indices[0]
    for index in indices[1:]:
        total = builder.add(total, index)
    return builder.gep(pointer, [total])


def load(builder: Any, pointer: Any, vector: Any) -> Any:
    """Load a vector, aligned as its elements are."""
    value = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    value.align = align(vector)
    return value


def store(builder: Any, value: Any, pointer: Any) -> None:
    """Store a vector, aligned as its elements are."""
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = align(value.type)


def align(vector: Any) -> int:
    """Return the bytes of an element."""
    return TARGET.vector_bytes // int(vector.count)


def splat(builder: Any, scalar: Any, vector: Any) -> Any:
    """Return a vector of one scalar."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, zeros)


def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return `a·b + c`: rounded once where the target has the instruction, never by a call of the C library."""
    return call(builder, "fma" if _FUSED else "fmuladd", a.type, a, b, c)


def mask(builder: Any, count: Any, vector: Any) -> Any:
    """Return the lanes below `count`."""
    wide = ir.VectorType(I64, vector.count)
    lanes = constant(wide, range(vector.count))
    return builder.icmp_signed("<", lanes, splat(builder, count, wide))


def suffix(vector: Any) -> str:
    """Return how LLVM's function names spell an element."""
    return {"float": "f32", "double": "f64"}.get(str(vector.element), str(vector.element))


def relu(builder: Any, value: Any) -> Any:
    """Return `value` where it is not below zero (so that NaN stays NaN), else zero."""
    zero = ir.Constant(value.type, None)
    return builder.select(builder.fcmp_ordered("<", value, zero), zero, value)


def transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of a square of vectors: first whole 128-bit lanes change places, then elements in them.

    These are the shuffles that x86 and ARM have an instruction for.
    """
    count = len(rows)
    per_lane = min(count, 16 // align(rows[0].type))

    def shuffle(a: Any, b: Any, picks: list[int]) -> Any:
        return builder.shuffle_vector(a, b, constant(ir.VectorType(I32, count), picks))

    for step in (per_lane << i for i in range((count // per_lane).bit_length() - 1)):
        low, high = _lane_swap(count, per_lane, step // per_lane)
        for i in range(count):
            if not (i // step) & 1:
                a, b = rows[i], rows[i + step]
                rows[i], rows[i + step] = shuffle(a, b, low), shuffle(a, b, high)
    return _within_lanes(rows, per_lane, shuffle)


def _lane_swap(count: int, per_lane: int, bit: int) -> tuple[list[int], list[int]]:
    """Return which elements of two vectors make the upper and the lower one when lanes change places over `bit`."""
    low, high = [], []
    for lane in range(count // per_lane):
        second = count if lane & bit else 0  # from the second vector
        for e in range(per_lane):
            low.append((lane & ~bit) * per_lane + e + second)
            high.append((lane | bit) * per_lane + e + second)
    return low, high


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
        return [
            i for s in starts for i in (s + which, s + which + 1, count + s + which, count + s + which + 1)
        ]

    for top in starts:
        if per_lane == 2:
            a, b = rows[top : top + 2]
            rows[top : top + 2] = [shuffle(a, b, pairs([0], [0])), shuffle(a, b, pairs([1], [1]))]
        elif per_lane == 4:
            r0, r1, r2, r3 = rows[top : top + 4]
            low, high = pairs([0, 1], [0, 1]), pairs([2, 3], [2, 3])
            t0, t1, t2, t3 = (
                shuffle(r0, r1, low),
                shuffle(r0, r1, high),
                shuffle(r2, r3, low),
                shuffle(r2, r3, high),
            )
            rows[top : top + 4] = [
                shuffle(t0, t2, halves(0)),
                shuffle(t0, t2, halves(2)),
                shuffle(t1, t3, halves(0)),
                shuffle(t1, t3, halves(2)),
            ]
    return rows
