"""Toom-Cook's matrices: the identity that they stand for, exact in fractions."""

from fractions import Fraction
from itertools import count, islice

import numpy as np
import pytest

from deepconv.engine.algorithms.toom_cook import (
    POINTS_2,
    POINTS_4,
    as_array,
    polynomial,
    polynomial_at,
    toom_cook,
)

SOME = tuple(Fraction(*pair) for pair in [(0, 1), (2, 3), (-1, 7), (5, 1), (-3, 2), (7, 4), (1, 9), (-8, 3)])


def numbers(amount, start):
    """Fractions without a pattern."""
    return [Fraction((i * 7919 + start) % 23 - 11, i % 5 + 1) for i in islice(count(start), amount)]


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


@pytest.mark.parametrize(
    ("m", "r", "points"),
    [(4, 3, POINTS_4), (3, 4, POINTS_4), (2, 3, POINTS_2), (3, 2, POINTS_2)]
    + [(m, r, SOME[: m + r - 2]) for m, r in [(1, 1), (1, 4), (5, 1), (2, 2), (2, 5), (6, 3), (5, 5)]],
)
def test_outputs_are_the_correlation_exactly(m, r, points):
    f = toom_cook(m, r, points)
    n = m + r - 1
    assert (f.outputs, f.taps, f.products) == (m, r, n)
    for start in range(3):
        d, g = numbers(n, 10 * start + 1), numbers(r, 20 * start + 4)
        products = [a * b for a, b in zip(times(f.of_filter, g), times(f.of_input, d), strict=True)]
        assert times(f.inverse, products) == [sum(d[i + k] * g[k] for k in range(r)) for i in range(m)]


@pytest.mark.parametrize(("m", "r", "points"), [(4, 3, POINTS_4), (2, 3, POINTS_2), (3, 4, POINTS_4)])
def test_two_dimensions_in_float64(m, r, points, rng):
    f = toom_cook(m, r, points)
    inverse, of_filter, of_input = map(as_array, (f.inverse, f.of_filter, f.of_input))
    d, g = rng.standard_normal((f.products, f.products)), rng.standard_normal((r, r))
    got = inverse @ ((of_filter @ g @ of_filter.T) * (of_input @ d @ of_input.T)) @ inverse.T
    expected = [[(d[i : i + r, j : j + r] * g).sum() for j in range(m)] for i in range(m)]
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


def test_the_constants_of_the_input_are_exact_in_float32():
    """The points were chosen so: B^T and A^T are not rounded."""
    for f in (toom_cook(4, 3, POINTS_4), toom_cook(3, 4, POINTS_4), toom_cook(2, 3, POINTS_2)):
        for matrix in (f.inverse, f.of_input):
            assert all(Fraction(float(np.float32(a))) == a for row in matrix for a in row)


@pytest.mark.parametrize("points", [POINTS_4[:4], (*POINTS_4, Fraction(1)), (*POINTS_4[:4], POINTS_4[0])])
def test_points_are_as_many_as_needed_and_different(points):
    with pytest.raises(ValueError, match=r"toom_cook: points=.*F\(4, 3\) needs 5 different"):
        toom_cook(4, 3, points)


def test_polynomials_vanish_at_their_roots():
    coefficients = polynomial(SOME)
    assert coefficients[-1] == 1
    assert [polynomial_at(coefficients, a) for a in SOME] == [0] * len(SOME)
    assert polynomial_at(coefficients, Fraction(1)) == np.prod([1 - a for a in SOME])
