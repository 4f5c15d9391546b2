"""Rows turned into vectors: number p of as many rows as a vector has lanes becomes vector p, and back."""

from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.simd import lanes, shift, turn_square


@part
def gather(x, row, count, to):
    """Write the first `count` numbers of rows from `x` on, `row` numbers apart, to `to`: number p is vector p."""
    width = lanes(x[0])
    if count < width:
        for p in range(count):
            for i in range(width):
                to[p * width + i] = x[i * row + p]
        return
    for start in range(0, count, width):
        p = min(start, count - width)
        turn_square(shift(x, p), row, shift(to, p * width), width)


@part
def scatter(vectors, y, row, count):
    """Write `count` vectors to rows from `y` on that are `row` numbers apart."""
    width = lanes(y[0])
    if count < width:
        for p in range(count):
            for i in range(width):
                y[i * row + p] = vectors[p * width + i]
        return
    for start in range(0, count, width):
        p = min(start, count - width)
        turn_square(shift(vectors, p * width), width, shift(y, p), row)
