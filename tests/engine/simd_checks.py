"""What every intrinsic of kernels/simd.py promises, held against NumPy, through small kernels of its own.

`test_simd.py` runs the checks in its process, for the machine's own target, and this file as a program for
the others: `DEEPCONV_TARGET=neon python -m tests.engine.simd_checks`.
"""

import ctypes
import mmap
from functools import cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from deepconv.engine import machine
from deepconv.engine.kernels import compile as compiling
from deepconv.engine.kernels import frontend
from deepconv.engine.kernels.frontend import Number, kernel
from deepconv.engine.kernels.memory import address
from deepconv.engine.kernels.simd import (
    ROWS,
    VECTORS,
    Vector,
    add_rows,
    add_tiles,
    fma,
    lanes,
    lanes_sum,
    load,
    load_part,
    load_tile,
    offsets,
    outer,
    pointer,
    relu,
    relu_tile,
    shift,
    splat,
    store,
    store_part,
    store_tile,
    transpose,
    zeros_tile,
)


@intrinsic
def square(typing, p, row_step):
    """Return as many vectors as one has lanes, vector r from `p[r·row_step]` on."""
    vector = Vector(p.dtype)
    result = types.UniTuple(vector, vector.lanes)

    def generate(context, builder, signature, args):
        value = ir.Constant(context.get_value_type(result), ir.Undefined)
        for r in range(vector.lanes):
            place = builder.gep(args[0], [builder.mul(args[1], ir.Constant(ir.IntType(64), r))])
            row = builder.load(builder.bitcast(place, context.get_value_type(vector).as_pointer()))
            row.align = 4
            value = builder.insert_value(value, row, r)
        return value

    return result(p, types.int64), generate


@kernel
def vectors(x, y, z, out, count, a: Number, zero: Number):
    x, y, z, out = pointer(x, zero), pointer(y, zero), pointer(z, zero), pointer(out, zero)
    n = lanes(zero)
    u, v = load(x, 0), load(y, 0)
    store(out, 0, fma(u, v, load(z, 0)))
    store(out, n, u + v)
    store(out, 2 * n, u - v)
    store(out, 3 * n, u * v)
    store(out, 4 * n, u / v)
    store(out, 5 * n, relu(u))
    store(out, 6 * n, splat(a))
    store(out, 7 * n, splat(lanes_sum(u)))
    store(out, 8 * n, load(shift(x, 3), -2))
    out[9 * n] = n


@kernel
def parts(x, out, count, zero: Number):
    x, out = pointer(x, zero), pointer(out, zero)
    part = load_part(x, 0, count)
    store(out, 0, part)
    store_part(x, 0, part + part, count)


@kernel
def turned(x, out, row_step, zero: Number):
    x, out, n = pointer(x, zero), pointer(out, zero), lanes(zero)
    columns = transpose(square(x, row_step))
    for i in range(n):
        store(out, i * n, columns[i])


@kernel
def tiles(a, b, table, out, depth, step, row_step, zero: Number):
    a, b, out, n = pointer(a, zero), pointer(b, zero), pointer(out, zero), lanes(zero)
    tile = zeros_tile(ROWS, VECTORS, zero)
    for i in range(depth):
        tile = outer(tile, shift(a, i), step, shift(b, i * VECTORS * n))
    store_tile(out, row_step, tile)
    tile = load_tile(out, row_step, tile)
    out = shift(out, ROWS * row_step)
    tile = outer(tile, a, offsets(pointer(table, 0), ROWS), b)
    store_tile(out, row_step, tile)
    store_tile(shift(out, ROWS * row_step), row_step, relu_tile(add_rows(add_tiles(tile, tile), a)))


@cache
def compiled(function, dtype):
    """Return a kernel of this file as `compile.Kernel` would load it."""
    held = compiling.Kernel("simd", function.__name__)
    code = frontend.compiled(function, dtype, compiling._limited()).split(b"\0", 1)
    held._code = lambda dtype: (code[0].decode(), code[1])
    return held[dtype]


def run(function, dtype, *args):
    """Call a kernel; arrays are given by their addresses."""
    compiled(function, dtype)(*(address(a) if isinstance(a, np.ndarray) else a for a in args))


def lanes_of(dtype):
    return machine.target().vector_bytes // dtype.itemsize


def exact(dtype, *shape, seed=0):
    """Return small whole numbers, whose products and sums are exact in every order."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def check_one_vector(dtype):
    n = lanes_of(dtype)
    x, y, z = (exact(dtype, n + 1, seed=i)[1:] for i in range(3))  # aligned as an element is, no better
    y[y == 0] = 0.5
    x[:2] = [np.nan, -3]
    out = np.zeros(10 * n, dtype)
    run(
        vectors,
        dtype,
        x,
        y,
        z,
        out,
        0,
        0.1,
    )
    expected = [x * y + z, x + y, x - y, x * y, x / y, np.where(np.isnan(x) | (x > 0), x, 0)]
    expected += [np.full(n, 0.1, dtype), np.full(n, np.nan)]
    np.testing.assert_array_equal(out[: 8 * n].reshape(8, n), expected)
    x[:2] = [-0.0, np.inf]
    run(vectors, dtype, x, y, z, out, 0, 1e-3)
    np.testing.assert_array_equal(out[5 * n : 8 * n].reshape(3, n)[0], np.maximum(x, 0))
    np.testing.assert_array_equal(out[7 * n : 8 * n], np.inf)
    assert out[9 * n] == n
    x[:] = exact(dtype, n, seed=3)
    run(vectors, dtype, x, y, z, out, 0, 1e-3)
    np.testing.assert_array_equal(out[7 * n : 8 * n], x.sum())


def check_shift(dtype):
    n = lanes_of(dtype)
    x = exact(dtype, 2 * n)
    out = np.zeros(10 * n, dtype)
    run(vectors, dtype, x, x, x, out, 0, 0.0)
    np.testing.assert_array_equal(out[8 * n : 9 * n], x[1 : n + 1])


def check_fma_rounds_once(dtype):
    n = lanes_of(dtype)
    e = np.finfo(dtype).eps
    x, z = np.full(n, 1 + e, dtype), np.full(n, -1 - 2 * e, dtype)
    out = np.zeros(10 * n, dtype)
    run(vectors, dtype, x, x, z, out, 0, 0.0)
    once = e * e if machine.target().name != "plain" else out[0]  # (1+e)² = 1 + 2e + e², of which e² is left
    np.testing.assert_array_equal(out[:n], once)
    assert out[0] in (0, e * e)


def check_parts_touch_nothing_else(dtype):
    """For every count, at the very end of what may be read and written; the page behind is forbidden."""
    n, page = lanes_of(dtype), mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    whole = np.frombuffer(memory, np.uint8)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert protect(address(whole) + page, page, 0) == 0
    try:
        for count in range(n + 1):
            x = whole[page - count * dtype.itemsize : page].view(dtype)
            before = whole[page - count * dtype.itemsize - n * 8 : page - count * dtype.itemsize]
            before[:] = 77
            x[:] = values = exact(dtype, count) + 0.5
            out = np.full(n, 9, dtype)
            run(parts, dtype, x, out, count)
            np.testing.assert_array_equal(out, [*values, *[0] * (n - count)])
            np.testing.assert_array_equal(x, 2 * values)
            assert (before == 77).all()
    finally:
        assert protect(address(whole) + page, page, mmap.PROT_READ | mmap.PROT_WRITE) == 0
    inside = exact(dtype, n + 5)
    inside[3:] = np.inf
    run(parts, dtype, inside, np.zeros(n, dtype), 3)
    assert np.isinf(inside[3:]).all()  # also where the memory is there


def check_transpose(dtype):
    n = lanes_of(dtype)
    for row_step in (n, n + 3, -n):
        x = exact(dtype, n * (n + 3))
        first = 0 if row_step > 0 else n * n
        rows = np.array([x[first + r * row_step :][:n] for r in range(n)])
        out = np.zeros((n, n), dtype)
        run(turned, dtype, x[first:], out, row_step)
        np.testing.assert_array_equal(out, rows.T)


def check_tiles(dtype):
    n, depth, step = lanes_of(dtype) * VECTORS, 5, 7
    a, b = exact(dtype, ROWS * step + depth), exact(dtype, depth, n, seed=1)
    table = np.arange(ROWS, dtype=np.int64)[::-1] * 3
    row_step = n + 2
    out = np.full((3, ROWS, row_step), 77, dtype)
    run(tiles, dtype, a, b, table, out, depth, step, row_step)
    rows = np.array([a[r * step : r * step + depth] for r in range(ROWS)])
    first = rows @ b
    second = first + np.outer(a[table], b[0])
    third = np.maximum(2 * second + a[:ROWS, None], 0)
    np.testing.assert_array_equal(out[:, :, :n], [first, second, third])
    assert (out[:, :, n:] == 77).all()


CHECKS = [
    check_one_vector,
    check_shift,
    check_fma_rounds_once,
    check_parts_touch_nothing_else,
    check_transpose,
    check_tiles,
]
DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]

if __name__ == "__main__":
    for dtype in DTYPES:
        for check in CHECKS:
            check(dtype)
    print(machine.target().name, lanes_of(DTYPES[0]))
