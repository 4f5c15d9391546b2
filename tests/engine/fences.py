"""Run every compiled algorithm with its operands, result, prepared weight and scratch memory between fences.

A script of its own: whoever reads or writes one number too far, at an edge of any of these, is ended by the system.
Scratch memory is as large as was asked for, not a byte more, and holds NaN, which must not get into a result.
"""

import ctypes
import mmap
import sys
from importlib import import_module
from itertools import cycle

import numpy as np

from deepconv import reference
from deepconv.engine.choice import TABLE, choose
from deepconv.engine.kernels import team, threads
from deepconv.engine.problem import PASSES, Problem
from tests.cases import CASES, Case

FILES = ("direct", "direct_weights", "depthwise", "grouped", "winograd", "winograd_weights")
COMPILED = ("direct", "depthwise", "grouped", "winograd")
PAGE = mmap.PAGESIZE

# Larger than a vector, a tile or a panel in some way, and never a whole number of them.
LARGER = [
    Case("rows", (2, 3, 9, 37), (5, 3, 3, 3), dict(padding=1)),
    Case("bare rows", (2, 5, 7, 35), (9, 5, 3, 3), dict()),
    Case("panels", (1, 17, 11, 13), (33, 17, 3, 3), dict(padding=1)),
    Case("5x5", (2, 3, 13, 29), (7, 3, 5, 5), dict(padding=2)),
    Case("strided", (2, 3, 15, 41), (6, 3, 3, 3), dict(padding=1, stride=2)),
    Case("strided even", (2, 3, 16, 40), (6, 3, 3, 3), dict(padding=1, stride=2)),
    Case("strided 7x7", (1, 3, 23, 38), (9, 3, 7, 7), dict(padding=3, stride=2)),
    Case("depthwise rows", (2, 3, 11, 37), (3, 1, 3, 3), dict(padding=1, groups=3)),
    Case("depthwise even", (2, 3, 12, 40), (3, 1, 3, 3), dict(padding=1, groups=3, stride=2)),
    Case("depthwise odd", (2, 3, 13, 41), (3, 1, 3, 3), dict(padding=1, groups=3, stride=2)),
    Case("depthwise 5x5", (1, 3, 14, 21), (6, 1, 5, 5), dict(padding=2, groups=3)),
    Case("depthwise 7x7", (1, 2, 9, 33), (2, 1, 7, 7), dict(padding=3, groups=2, stride=(1, 2))),
    Case("groups", (2, 6, 9, 33), (10, 3, 3, 3), dict(padding=1, groups=2)),
    Case("groups strided", (1, 6, 10, 34), (10, 3, 3, 4), dict(padding=1, groups=2, stride=(2, 2))),
    Case("stride 3", (1, 4, 13, 44), (5, 4, 3, 2), dict(padding=1, stride=3)),
    Case("dilated", (1, 9, 15, 26), (10, 9, 3, 3), dict(padding=2, dilation=2)),
    Case("pointwise rows", (3, 19, 7, 7), (34, 19, 1, 1), dict()),
    Case("line", (2, 3, 201), (5, 3, 7), dict(padding=3)),
    Case("zeros before alone", (2, 3, 10, 21), (5, 3, 3, 3), dict(padding=[(2, 0), (1, 0)])),
    Case("zeros behind alone", (2, 3, 10, 21), (5, 3, 3, 3), dict(padding=[(0, 1), (0, 2)])),
    Case("full padding", (2, 3, 10, 21), (9, 3, 3, 3), dict(padding=2)),
    Case("row in blocks", (1, 3, 5, 205), (4, 3, 3, 3), dict(padding=1)),
    Case("groups bare", (1, 6, 7, 35), (8, 3, 3, 3), dict(groups=2)),
    Case("groups of points", (1, 6, 5, 7), (8, 3, 1, 1), dict(groups=2)),
    Case("narrow", (1, 9, 14, 3), (3, 9, 3, 3), dict(padding=[(0, 0), (7, 0)])),
    Case("few cells", (1, 4, 6, 21), (6, 2, 2, 2), dict(groups=2)),
    # The last pixel of all is the first of the last pair of a vector, of every width: one more would be too far.
    Case("strided to the end", (1, 3, 9, 63), (5, 3, 3, 3), dict(stride=2)),
    Case("strided to the end, odd pixels", (1, 3, 10, 64), (5, 3, 4, 4), dict(stride=2)),
    Case("strided, part of a vector", (1, 3, 9, 41), (5, 3, 3, 3), dict(stride=2)),
]

at_end = cycle((True, False))
rooms = []  # mapped memory of the check that is running
kept = []  # and that of tables, which stay
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def fenced(size, aligned=1, *, ends=True):
    """Return the address of so many bytes, which end, or else begin, at a page that nobody may touch."""
    inner = -(-max(size, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, inner + 2 * PAGE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for fence in (begin, begin + PAGE + inner):
        if protect(fence, PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    rooms.append(memory)
    start = PAGE + (inner - size) // aligned * aligned if ends else PAGE
    ctypes.memset(begin + start, 0xFF, size)
    return begin + start


def array(shape, dtype=float, ends=None):
    """Return an array of NaN between fences; `ends` is where it meets one, now here now there if it isn't told."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    raw = (ctypes.c_char * size).from_address(fenced(size, ends=next(at_end) if ends is None else ends))
    return np.frombuffer(raw, dtype).reshape(shape)


class Numpy:
    """NumPy as the algorithms see it, whose new arrays stand between fences."""

    empty = staticmethod(array)

    @staticmethod
    def zeros(shape, dtype=float):
        """A table or a result."""
        found = array(shape, dtype)
        found[...] = 0
        kept.extend(rooms[-1:])
        return found

    def __getattr__(self, name):
        return getattr(np, name)


def scratch(size):
    """Return the address of new memory, as `workspace.scratch` does of old."""
    return fenced(size, 64)


class Fenced:
    """As `workspace.Room`, of a helper: new memory each time."""

    of = staticmethod(scratch)


def problem_of(case, which, dtype, count):
    relu = {"relu": True, "bias": True} if which == "forward" else {}
    shapes = case.x_shape[1], case.weight_shape[0], case.x_shape[2:]
    return Problem(
        which, case.x_shape[0], *shapes, case.window, case.groups, np.dtype(dtype), threads=count, **relu
    )


def truth(p, x, w, dy, bias):
    if p.which == "forward":
        y = reference.conv_by_taps(x, w, p.window, p.groups)
        return np.maximum(y + bias.reshape(-1, *(1,) * len(p.image)), 0)
    if p.which == "input_grad":
        return reference.conv_input_grad_by_taps(dy, w, p.x_shape, p.window, p.groups)
    return reference.conv_weight_grad_by_taps(dy, x, p.weight_shape, p.window, p.groups)


def check(case, which, name, dtype, count, ends):
    p = problem_of(case, which, dtype, count)
    (algorithm,) = (a for a in TABLE[which] if a.name == name)
    if algorithm.refuses(p) is not None:
        return False
    plan = choose(p, name)
    sys.stderr.write(
        f"{which} {name} {np.dtype(dtype)} {case} on {count} threads\n"
    )  # the last one is the culprit
    rng = np.random.default_rng(5)
    inside = []
    for shape in (p.x_shape, p.weight_shape, p.y_shape, (p.out_channels,)):
        inside.append(array(shape, dtype, ends))
        inside[-1][...] = rng.standard_normal(shape)
    x, w, dy, bias = inside
    operands = {"forward": lambda: (x, plan.prepare(w), bias), "input_grad": lambda: (dy, plan.prepare(w)),
                "weight_grad": lambda: (dy, x)}[which]()  # fmt: skip
    got = plan.run(*operands)
    expected = truth(p, *(a.astype(np.float64) for a in inside))
    close = 1e-11 if dtype == "f8" else 2e-4
    np.testing.assert_allclose(got, expected, rtol=close, atol=close)
    rooms.clear()
    return True


def main(everything):
    """Check all algorithms; print the fewest cases that one of them served in a pass."""
    threads._SMALLEST = 1
    for file in FILES:
        module = import_module(f"deepconv.engine.algorithms.{file}")
        module.np, module.scratch = Numpy(), scratch
    team.Room = Fenced
    cases = [case for case in (*CASES, *LARGER) if case.mode == "zeros"] if everything else LARGER
    ran = {}
    for which in PASSES:
        for name in COMPILED:
            for i, case in enumerate(cases):
                for dtype in ("f4", "f8") if everything else ("f8" if i % 3 == 1 else "f4",):
                    for ends in (True, False):
                        served = check(case, which, name, dtype, 1 + i % 2, ends)
                        ran[which, name] = ran.get((which, name), 0) + served
    print(min(ran.values()))


if __name__ == "__main__":
    main(sys.argv[1:] == ["everything"])
