"""How fast machines of a kind are: the constants of the cost models, shipped per instruction set.

They only rank algorithms: what counts is their ratio. `deepconv calibrate` measures them for one machine and
writes them to a file that is read from then on; nothing else ever measures.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from deepconv.engine import machine


@dataclass(frozen=True)
class Rates:
    """What one thread reaches.

    Attributes:
        tile: GFLOP/s of a register tile in float32, multiplications and additions counted.
        blas: GFLOP/s of NumPy's matrix product in float32, for large matrices.
        copy: bytes a nanosecond that a kernel copies, reads and writes counted once.
        numpy_copy: the same for NumPy's strided copies.
        call: nanoseconds that a compiled algorithm costs however small its problem.
        numpy_call: the same for an algorithm of NumPy calls.
    """

    tile: float
    blas: float
    copy: float
    numpy_copy: float
    call: float
    numpy_call: float


SHIPPED = {
    "avx512": Rates(tile=105, blas=100, copy=8, numpy_copy=2, call=8_000, numpy_call=40_000),
    "avx2": Rates(tile=80, blas=75, copy=8, numpy_copy=2, call=8_000, numpy_call=40_000),
    "neon": Rates(tile=35, blas=35, copy=6, numpy_copy=2, call=8_000, numpy_call=40_000),
    "plain": Rates(tile=12, blas=20, copy=4, numpy_copy=2, call=8_000, numpy_call=40_000),
}


@cache
def rates() -> Rates:
    """Return the rates that costs are reckoned with on this machine.

    Example:
        >>> rates().tile > 0
        True
    """
    return SHIPPED["plain" if machine.why_not_compiled() else machine.target().name]


def width(dtype: np.dtype[np.generic]) -> float:
    """Return how many times fewer of these numbers than float32's a register holds: 1, or 2 for float64."""
    return dtype.itemsize / 4
