"""What becomes of each lane of a vector by itself: comparisons and what is chosen by them, polynomials, bits.

A comparison gives a `Mask`, a truth value for each lane; nothing branches:

    select(less(x, like(x, 0.0)), like(x, 0.0), x)
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic

from deepconv.engine.kernels import emit
from deepconv.engine.kernels.simd import TARGET

_BIT = ir.IntType(1)
# Of float and double: bits of the fraction, and 1.0 as a whole number.
_FRACTION = {32: 23, 64: 52}
_ONE = {32: 0x3F80_0000, 64: 0x3FF0_0000_0000_0000}


class Mask(types.Type):
    """A truth value for each lane."""

    def __init__(self, dtype: Any) -> None:
        """Take the type of the numbers that were compared."""
        self.lanes = TARGET.vector_bytes * 8 // dtype.bitwidth
        super().__init__(name=f"Mask({self.lanes})")


@register_default(Mask)
class _MaskModel(models.PrimitiveModel):
    """A mask is LLVM's own, `<8 x i1>` for instance."""

    def __init__(self, dmm: Any, fe_type: Mask) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(_BIT, fe_type.lanes))


# ---- comparing and choosing -----------------------------------------------------------------------------


@intrinsic
def less(typing: Any, a: Any, b: Any) -> Any:
    """Tell where `a < b`; NaN is less than nothing."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fcmp_ordered("<", *args)

    return Mask(a.dtype)(a, a), generate


@intrinsic
def less_equal(typing: Any, a: Any, b: Any) -> Any:
    """Tell where `a <= b`; not where one is NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fcmp_ordered("<=", *args)

    return Mask(a.dtype)(a, a), generate


@intrinsic
def equal(typing: Any, a: Any, b: Any) -> Any:
    """Tell where `a == b`; NaN equals nothing."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fcmp_ordered("==", *args)

    return Mask(a.dtype)(a, a), generate


@intrinsic
def is_nan(typing: Any, a: Any) -> Any:
    """Tell where `a` is NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fcmp_unordered("uno", args[0], args[0])

    return Mask(a.dtype)(a), generate


@intrinsic
def either(typing: Any, m: Any, n: Any) -> Any:
    """Tell where one mask or both hold."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.or_(*args)

    return m(m, m), generate


@intrinsic
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """Return `a` where the mask holds and `b` elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(mask, a, a), generate


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """Return the greater; NaN where one of them is."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _maximum(builder, *args)

    return a(a, a), generate


def _maximum(builder: Any, a: Any, b: Any) -> Any:
    """Return the greater, as x86 has it (the second where one is NaN), and the first where that is NaN."""
    greater = builder.select(builder.fcmp_ordered(">", a, b), a, b)
    return builder.select(builder.fcmp_unordered("uno", a, a), a, greater)


@intrinsic
def lanes_max(typing: Any, a: Any) -> Any:
    """Return the greatest of all lanes; NaN if one of them is."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        count = value.type.count
        half = count // 2
        while half:
            upper = emit.constant(
                ir.VectorType(emit.I32, count), [(i + half) if i < half else i for i in range(count)]
            )
            moved = builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), upper)
            value = _maximum(builder, value, moved)
            half //= 2
        return builder.extract_element(value, ir.Constant(emit.I32, 0))

    return a.dtype(a), generate


@intrinsic
def fill_behind(typing: Any, a: Any, count: Any, filling: Any) -> Any:
    """Return the first `count` lanes of `a`, and those of `filling` behind them."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(emit.mask(builder, args[1], args[0].type), args[0], args[2])

    return a(a, types.int64, a), generate


# ---- constants and polynomials --------------------------------------------------------------------------


def _constant(context: Any, builder: Any, vector: Any, value: Any) -> Any:
    """Return a vector of one float64 in the vector's own type."""
    if vector.element != value.type:
        value = builder.fptrunc(value, vector.element)
    return emit.splat(builder, value, vector)


@intrinsic
def like(typing: Any, a: Any, number: Any) -> Any:
    """Return a vector of `a`'s type with a float64, rounded to that type, in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _constant(context, builder, args[0].type, args[1])

    return a(a, types.float64), generate


@intrinsic
def either_type(typing: Any, a: Any, single: Any, double: Any) -> Any:
    """Return a vector of `single` where `a` is of float32, of `double` where it is of float64."""
    which = 1 if a.dtype == types.float32 else 2

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _constant(context, builder, args[0].type, args[which])

    return a(a, types.float64, types.float64), generate


@intrinsic
def polynomial(typing: Any, a: Any, single: Any, double: Any) -> Any:
    """Return the polynomial whose coefficients, highest power first, are `single` for float32, `double` for float64."""
    which = 1 if a.dtype == types.float32 else 2

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        count = signature.args[which].count
        numbers = [builder.extract_value(args[which], i) for i in range(count)]
        total = _constant(context, builder, value.type, numbers[0])
        for number in numbers[1:]:
            total = emit.fma(builder, total, value, _constant(context, builder, value.type, number))
        return total

    return a(a, single, double), generate


# ---- signs and bits -------------------------------------------------------------------------------------


@intrinsic
def absolute(typing: Any, a: Any) -> Any:
    """Return every lane without its sign."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit.call(builder, "fabs", args[0].type, args[0])

    return a(a), generate


@intrinsic
def copy_sign(typing: Any, a: Any, b: Any) -> Any:
    """Return `a` with the sign of `b`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit.call(builder, "copysign", args[0].type, *args)

    return a(a, a), generate


def _whole(builder: Any, value: Any) -> tuple[Any, Any, int]:
    """Return the bits of a vector of numbers, their type, and how many bits a number has."""
    bits = 8 * emit.align(value.type)
    kind = ir.VectorType(ir.IntType(bits), value.type.count)
    return builder.bitcast(value, kind), kind, bits


def _every(kind: Any, number: int) -> Any:
    """Return a constant vector of one whole number."""
    return emit.constant(kind, [number] * kind.count)


@intrinsic
def whole(typing: Any, a: Any, factor: Any) -> Any:
    """Return the whole number n nearest to `a · factor`, as n + 1.5·2^23 (2^52 for float64): its last bits are n's own.

    `power_of_two` of that is 2^n; |n| must be below 2^22 (2^51).
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = args[0].type
        offset = ir.Constant(vector.element, 1.5 * 2.0 ** _FRACTION[8 * emit.align(vector)])
        factor = _constant(context, builder, vector, args[1])
        return emit.fma(builder, args[0], factor, emit.splat(builder, offset, vector))

    return a(a, types.float64), generate


@intrinsic
def power_of_two(typing: Any, n: Any) -> Any:
    """Return 2^n for what `whole` made of n, which must be a normal number's exponent."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, kind, bits = _whole(builder, args[0])
        moved = builder.shl(value, _every(kind, _FRACTION[bits]))
        return builder.bitcast(builder.add(moved, _every(kind, _ONE[bits])), args[0].type)

    return n(n), generate


@intrinsic
def split_number(typing: Any, a: Any) -> Any:
    """Return `(m, n)` with `a = m · 2^n` and m from √½ to √2, for normal positive `a`; n is a number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, kind, bits = _whole(builder, args[0])
        fraction = _FRACTION[bits]
        # Counted from √½, so that the exponent is right after the shift.
        least = 0x3F35_04F3 if bits == 32 else 0x3FE6_A09E_667F_3BCD
        above = builder.sub(value, _every(kind, least))
        n = builder.ashr(above, _every(kind, fraction))
        m = builder.sub(value, builder.shl(n, _every(kind, fraction)))
        # A whole number in the last bits of 1.5·2^fraction is a number after a subtraction.
        big = ir.Constant(args[0].type.element, 1.5 * 2.0**fraction)
        offset = emit.splat(builder, big, args[0].type)
        number = builder.bitcast(builder.add(n, builder.bitcast(offset, kind)), args[0].type)
        result = context.get_constant_undef(signature.return_type)
        result = builder.insert_value(result, builder.bitcast(m, args[0].type), 0)
        return builder.insert_value(result, builder.fsub(number, offset), 1)

    return types.UniTuple(a, 2)(a), generate
