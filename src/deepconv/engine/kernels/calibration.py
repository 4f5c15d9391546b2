"""What `deepconv calibrate` times: a register tile's multiply-adds, and a copy."""

from deepconv.engine.kernels.frontend import Number, kernel
from deepconv.engine.kernels.simd import (
    ROWS,
    VECTORS,
    lanes,
    load,
    load_tile,
    outer,
    pointer,
    shift,
    store,
    store_tile,
    zeros_tile,
)


@kernel
def products(a_address: int, b_address: int, c_address: int, depth: int, repeats: int, zero: Number) -> None:
    """Add `repeats` times the product of `a (depth, ROWS)` and `b (depth, VECTORS·lanes)` to a tile in memory."""
    a, b, c = pointer(a_address, zero), pointer(b_address, zero), pointer(c_address, zero)
    width = VECTORS * lanes(zero)
    for _ in range(repeats):
        tile = load_tile(c, width, zeros_tile(ROWS, VECTORS, zero))
        for k in range(depth):
            tile = outer(tile, shift(a, k * ROWS), 1, shift(b, k * width))
        store_tile(c, width, tile)


@kernel
def copies(x_address: int, y_address: int, count: int, repeats: int, zero: Number) -> None:
    """Copy `count` numbers, whole vectors of them, `repeats` times."""
    x, y = pointer(x_address, zero), pointer(y_address, zero)
    for _ in range(repeats):
        for i in range(0, count, lanes(zero)):
            store(y, i, load(x, i))
