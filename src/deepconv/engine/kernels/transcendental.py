"""Exponential, logarithm, tanh, sigmoid and the normal distribution, of vectors: Numba has none without SVML.

Each is a reduction to a small interval and a polynomial there, whose coefficients (highest power first, for
float32 and for float64) are minimax fits of the relative error, made by Remez's exchange in 50 digits. Errors are
in units in the last place, found on dense grids (`tests/engine/test_activation_kernels.py` holds them):

| | float32 | float64 |
| --- | --- | --- |
| exp | 1.1 | 1.1 |
| log | 1 | 1 |
| tanh | 2.5 | 2.5 |
| sigmoid | 2.5 | 2.5 |
| normal: Φ | 7 | 7 |
| normal: φ | 3 | 3 |
| normal_tail, to 1, 3 and 5 | 5, 8, 15 | 5, 20, 40 |
"""

import math

from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.lanewise import (
    absolute,
    copy_sign,
    either_type,
    equal,
    less,
    like,
    polynomial,
    power_of_two,
    select,
    split_number,
    whole,
)
from deepconv.engine.kernels.simd import fma

# ln 2 in two parts, the first so short that its product with an exponent is exact.
_LN2_SINGLE = 0.693359375, -2.12194440e-4
_LN2_DOUBLE = 6.93145751953125e-1, 1.42860682030941723212e-6

# (exp(r) - 1 - r) / r² on |r| <= ln 2 / 2.
_EXP_SINGLE = (
    0.001394664019327675, 0.008366698109697694, 0.04166627963569533, 0.16666542179438984, 0.5000000062414719,
)  # fmt: skip
_EXP_DOUBLE = (
    2.511466905104148e-08, 2.7626545899871136e-07, 2.755722739891482e-06, 2.4801503940023285e-05,
    0.00019841269903572156, 0.0013888888932751732, 0.008333333333314383, 0.04166666666657269,
    0.16666666666666685, 0.5000000000000006,
)  # fmt: skip

# 2^f on |f| <= 1/2.
_EXP2_SINGLE = (
    0.001327641822652704, 0.009675541652325259, 0.055507134519739876, 0.24022119708827688, 0.6931469669483389,
    1.0000000716615667,
)  # fmt: skip
_EXP2_DOUBLE = (
    4.435208917360018e-10, 7.074100404673608e-09, 1.0178198577070945e-07, 1.3215433118354655e-06,
    1.5252733488440706e-05, 0.00015403530462461973, 0.0013333558146791853, 0.00961812910758837,
    0.05550410866481991, 0.24022650695910155, 0.6931471805599453, 1.0,
)  # fmt: skip

# ((log(1 + s) - log(1 - s)) / s - 2) / s² in s², for |s| <= (√2 - 1)² .
_LOG_SINGLE = 0.29871894174116725, 0.3997756099378582, 0.6666677590661104
_LOG_DOUBLE = (
    0.14795077475575438, 0.1531418357470464, 0.18183557007263626, 0.2222219876409765, 0.2857142873989455,
    0.3999999999942989, 0.6666666666666731,
)  # fmt: skip

# exp(a²/2) · Φ(-a) as a ratio, for a from 0 to 15 and to 40.
_ABOVE_SINGLE = (
    0.004151947852997859, 0.040872695301608516, 0.18394448751819759, 0.43925072395233655, 0.5000000031776094,
)  # fmt: skip
_BELOW_SINGLE = (
    0.010407277980477246, 0.10245877992402215, 0.47134352641064037, 1.2054467937522428, 1.676386454783235, 1.0,
)  # fmt: skip
_ABOVE_DOUBLE = (
    2.260581254627523e-07, 7.025559363350629e-06, 0.00010721753306754953, 0.001045037992862659,
    0.007153350453913567, 0.03579282704895369, 0.1324136545887292, 0.3580940017468312, 0.6805793839950403,
    0.8285462718216183, 0.5,
)  # fmt: skip
_BELOW_DOUBLE = (
    5.666436889949003e-07, 1.761046574530074e-05, 0.0002693211436093505, 0.0026371322469106724,
    0.018198411710092934, 0.092303613439163, 0.34931075151634283, 0.9822650595722054, 2.0046532223177502,
    2.8199470967521405, 2.4549771044461024, 1.0,
)  # fmt: skip

NORMAL_END = 13.27, 37.66
"""Where exp(-a²/2) is 2^-127 (2^-1023) nearly, whose bits `power_of_two` gives as those of 0."""


@part
def _number(n):
    """Return as a number what `whole` found."""
    return n - either_type(n, 1.5 * 2.0**23, 1.5 * 2.0**52)


@part
def _reduced(x):
    """Return `(r, n)`, n as `whole` gives it, with `x = n · ln 2 + r` and r small."""
    n = whole(x, 1 / math.log(2))
    number = _number(n)
    r = fma(number, either_type(x, -_LN2_SINGLE[0], -_LN2_DOUBLE[0]), x)
    return fma(number, either_type(x, -_LN2_SINGLE[1], -_LN2_DOUBLE[1]), r), n


@part
def _small_expm1(r):
    """Return `exp(r) - 1` for |r| <= ln 2 / 2."""
    return fma(r * r, polynomial(r, _EXP_SINGLE, _EXP_DOUBLE), r)


@part
def _between(x, low, high):
    """Return x between two limits, vectors; NaN stays."""
    x = select(less(x, low), low, x)
    return select(less(high, x), high, x)


@part
def exp(x):
    """Return `exp(x)`; what would be denormal is 0, what is within a factor 1.42 of the largest number infinite."""
    # There 2^n has the bits of 0 and of infinity.
    x = _between(x, either_type(x, -88.0, -709.0), either_type(x, 88.7, 709.8))
    r, n = _reduced(x)
    return (_small_expm1(r) + like(x, 1.0)) * power_of_two(n)


@part
def exp_of_sum(x, rest):
    """Return `exp(x + rest)` for a `rest` below the last digit of x, which a sum would lose."""
    y = exp(x)
    return fma(y, rest, y)


@part
def log(x):
    """Return the natural logarithm: -inf of 0, NaN below."""
    tiny = less(x, either_type(x, 2.0**-126, 2.0**-1022))
    scaled = select(tiny, x * either_type(x, 2.0**23, 2.0**52), x)
    m, n = split_number(scaled)
    n = n - select(tiny, either_type(x, 23.0, 52.0), like(x, 0.0))
    f = m - like(x, 1.0)
    s = f / (f + like(x, 2.0))
    z = s * s
    half = f * f * like(x, 0.5)
    low = n * either_type(x, _LN2_SINGLE[1], _LN2_DOUBLE[1])
    inner = fma(s, fma(z, polynomial(z, _LOG_SINGLE, _LOG_DOUBLE), half), low)
    y = fma(n, either_type(x, _LN2_SINGLE[0], _LN2_DOUBLE[0]), f - (half - inner))
    y = select(less(x, like(x, math.inf)), y, x)  # infinity and NaN as they are
    y = select(less(x, like(x, 0.0)), like(x, math.nan), y)
    return select(equal(x, like(x, 0.0)), like(x, -math.inf), y)


@part
def tanh(x):
    """Return the hyperbolic tangent, `t / (t + 2)` with `t = exp(2x) - 1`: small x keep their digits."""
    twice = absolute(x) * like(x, 2.0)
    high = either_type(x, 20.0, 44.0)  # from there on it is 1 to the last digit
    r, n = _reduced(select(less(high, twice), high, twice))
    power = power_of_two(n)
    t = fma(power, _small_expm1(r), power - like(x, 1.0))
    return copy_sign(t / (t + like(x, 2.0)), x)


@part
def sigmoid(x):
    """Return `1 / (1 + exp(-x))`."""
    one = like(x, 1.0)
    return one / (one + exp(like(x, 0.0) - x))


@part
def normal(x):
    """Return the normal distribution's `(Φ(x), φ(x))`: Φ has its digits far to the left, too."""
    # From here on φ is 0 in either type; an infinite x would be NaN in the ratio.
    high = either_type(x, 15.0, 39.0)
    a = absolute(x)
    a = select(less(high, a), high, a)
    square = a * a
    rest = fma(a, a, like(x, 0.0) - square)
    bell = exp_of_sum(square * like(x, -0.5), rest * like(x, -0.5))
    ratio = polynomial(a, _ABOVE_SINGLE, _ABOVE_DOUBLE) / polynomial(a, _BELOW_SINGLE, _BELOW_DOUBLE)
    tail = bell * ratio
    return select(less(x, like(x, 0.0)), tail, like(x, 1.0) - tail), bell * like(
        x, 1 / math.sqrt(2 * math.pi)
    )


@part
def normal_tail(a):
    """Return the normal distribution's Φ(-a) for `a` from 0 up to `NORMAL_END`, where it is 0.

    It takes two thirds of what `normal` takes, as a² and a² / 2 ln 2 are rounded: far out that costs digits.
    """
    square = a * a
    n = whole(square, -0.5 / math.log(2))
    f = fma(square, like(a, -0.5 / math.log(2)), either_type(n, 1.5 * 2.0**23, 1.5 * 2.0**52) - n)
    bell = polynomial(f, _EXP2_SINGLE, _EXP2_DOUBLE) * power_of_two(n)
    return bell * (polynomial(a, _ABOVE_SINGLE, _ABOVE_DOUBLE) / polynomial(a, _BELOW_SINGLE, _BELOW_DOUBLE))
