"""Winograd's transforms, each a matrix times a column of vectors: lanes are channels or filters, nothing is shuffled.

The matrices are those of `algorithms/toom_cook`, F(4, 3) with the points 0, ±5/8, ±3/2, ∞; a test holds these
functions against them in fractions. Points p and -p have the same even powers and opposite odd
ones: what they share is computed once, then added and subtracted.
"""

from deepconv.engine.kernels.tile_maps import Value, tile_map

_P, _Q = 5 / 8, 3 / 2
_PP, _QQ = _P * _P, _Q * _Q
# The products of a point's distances from the others, by which G is divided.
_BY_0 = 1 / (_PP * _QQ)
_BY_P = 1 / (2 * _PP * (_PP - _QQ))
_BY_Q = 1 / (2 * _QQ * (_QQ - _PP))


def input_6(d0: Value, d1: Value, d2: Value, d3: Value, d4: Value, d5: Value) -> tuple[Value, ...]:
    """Return `B^T d` of F(4, 3) and of F(3, 4)."""
    p_even, p_odd = d4.plus(-_QQ, d2), _P * d3.plus(-_QQ, d1)
    q_even, q_odd = d4.plus(-_PP, d2), _Q * d3.plus(-_PP, d1)
    first, last = d4.plus(-_PP - _QQ, d2).plus(_PP * _QQ, d0), d5.plus(-_PP - _QQ, d3).plus(_PP * _QQ, d1)
    return first, p_even + p_odd, p_even - p_odd, q_even + q_odd, q_even - q_odd, last


def filter_6(g0: Value, g1: Value, g2: Value) -> tuple[Value, ...]:
    """Return `G g` of F(4, 3)."""
    p_even, p_odd = (_BY_P * g0).plus(_PP * _BY_P, g2), _P * _BY_P * g1
    q_even, q_odd = (_BY_Q * g0).plus(_QQ * _BY_Q, g2), _Q * _BY_Q * g1
    return _BY_0 * g0, p_even + p_odd, p_even - p_odd, q_even + q_odd, q_even - q_odd, g2


def inverse_4(m0: Value, m1: Value, m2: Value, m3: Value, m4: Value, m5: Value) -> tuple[Value, ...]:
    """Return `A^T m` of F(4, 3)."""
    p_even, p_odd, q_even, q_odd = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + (p_even + q_even),
        (_P * p_odd).plus(_Q, q_odd),
        (_PP * p_even).plus(_QQ, q_even),
        m5.plus(_P * _PP, p_odd).plus(_Q * _QQ, q_odd),
    )


input_tile, filter_tile, inverse_tile = tile_map(input_6, 6), tile_map(filter_6, 3), tile_map(inverse_4, 6)
