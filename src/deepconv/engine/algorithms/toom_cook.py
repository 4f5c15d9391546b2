"""The matrices of Toom-Cook's convolution, which Winograd's short ones are: F(m, r), exact in fractions.

m neighbouring outputs `y[i] = Σ_k d[i+k]·g[k]` of a filter of r taps need m·r multiplications, or n = m + r - 1:

    y = A^T ((G g) · (B^T d))        A^T is m × n, G n × r, B^T n × n, the product element by element

Two polynomials of m and r coefficients have a product of n; it is known from its values at n points, and a value
of the product is one multiplication. With the Vandermonde matrix V_k of k powers of the points (the point
infinity stands for the highest coefficient), the coefficients are `V_n^-1 ((V_r g) · (V_m h))`, linear in h;
the transpose of that map takes d to y (Tellegen's principle), which gives

    A^T = V_m^T,   G = V_r,   B^T = (V_n^-1)^T

The columns of V_n^-1 are Lagrange's polynomials `∏_{j≠i} (x - a_j) / ∏_{j≠i} (a_i - a_j)`. The denominators are
moved to G, of which there is less to compute than of B^T. In two dimensions every matrix works on rows, then
on columns: `Y = A^T ((G g G^T) · (B^T d B)) A`, n² multiplications for m² outputs of r² taps.

Sources: S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast Algorithms for
Convolutional Neural Networks, 2015 (arXiv 1509.09308); B. Barabasz et al., Error Analysis and Improving the
Accuracy of Winograd Convolution for Deep Neural Networks, 2018 (arXiv 1803.10986), for the construction and
for why points matter. The points of F(4, 3), 0, ±5/8, ±3/2 and infinity, are those of oneDNN's former
Winograd convolution: a third of the error of Lavin's 0, ±1, ±2 (measured, 128 channels, unit-normal data).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from deepconv.arrays import Array

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS_4 = (Fraction(0), Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2))
"""The finite points of F(4, 3) and of F(3, 4), n = 6."""

POINTS_2 = (Fraction(0), Fraction(1), Fraction(-1))
"""The finite points of F(2, 3) and of F(3, 2), n = 4."""


@dataclass(frozen=True)
class ToomCook:
    """F(m, r): the three matrices, in fractions.

    Attributes:
        outputs: m.
        taps: r.
        inverse: A^T `(m, n)`, from products to outputs.
        of_filter: G `(n, r)`.
        of_input: B^T `(n, n)`.
    """

    outputs: int
    taps: int
    inverse: Matrix
    of_filter: Matrix
    of_input: Matrix

    @property
    def products(self) -> int:
        """N = m + r - 1: the multiplications, and the inputs that m outputs need."""
        return self.outputs + self.taps - 1


def as_array(matrix: Matrix) -> Array:
    """Return a matrix of fractions in float64.

    Example:
        >>> as_array(toom_cook(2, 3, POINTS_2).inverse)
        array([[ 1.,  1.,  1.,  0.],
               [ 0.,  1., -1.,  1.]])
    """
    return np.array([[float(number) for number in row] for row in matrix])


@lru_cache(maxsize=64)
def toom_cook(outputs: int, taps: int, points: tuple[Fraction, ...]) -> ToomCook:
    """Return F(m, r) for finite points, to which infinity is added as the last.

    Args:
        outputs: m, at least 1.
        taps: r, at least 1.
        points: m + r - 2 different numbers.

    Raises:
        ValueError: the points are not that many, or not different.

    Example:
        >>> f = toom_cook(2, 3, POINTS_2)
        >>> f.products, as_array(f.of_input)[0]
        (4, array([-1.,  0.,  1.,  0.]))
    """
    if not len(points) == len(set(points)) == outputs + taps - 2:
        raise ValueError(
            f"toom_cook: points={points}: F({outputs}, {taps}) needs {outputs + taps - 2} different numbers"
        )
    others = [[b for b in points if b != a] for a in points]
    of_input = [polynomial(rest) for rest in others] + [polynomial(points)]
    denominators = [polynomial_at(polynomial(rest), a) for a, rest in zip(points, others, strict=True)]
    of_filter = [
        tuple(power / below for power in _powers(a, taps))
        for a, below in zip(points, denominators, strict=True)
    ]
    inverse = [*(_powers(a, outputs) for a in points), _highest(outputs)]
    return ToomCook(
        outputs,
        taps,
        tuple(zip(*inverse, strict=True)),
        (*of_filter, _highest(taps)),
        tuple(row + (Fraction(0),) * (outputs + taps - 1 - len(row)) for row in of_input),
    )


def polynomial(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Return the coefficients of `∏ (x - root)`, that of x⁰ first.

    Example:
        >>> [int(c) for c in polynomial([Fraction(1), Fraction(2)])]
        [2, -3, 1]
    """
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(coefficients)


def polynomial_at(coefficients: Sequence[Fraction], x: Fraction) -> Fraction:
    """Return a polynomial's value, by Horner's rule."""
    value = Fraction(0)
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


def _powers(a: Fraction, count: int) -> tuple[Fraction, ...]:
    """Return a⁰, a¹ … : a polynomial of so many coefficients at a point."""
    return tuple(a**k for k in range(count))


def _highest(count: int) -> tuple[Fraction, ...]:
    """Return 0 … 0, 1: the same at infinity."""
    return (Fraction(0),) * (count - 1) + (Fraction(1),)
