"""How fast machines of a kind are: the constants of the cost models, shipped per instruction set.

They only rank algorithms: what counts is their ratio. `deepconv calibrate` measures them for one machine and
writes them to a file that is read from then on; nothing else ever measures.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepconv.engine import machine
from deepconv.files import replace_file


class Rates(NamedTuple):
    """What one thread reaches.

    Attributes:
        tile: GFLOP/s of a register tile in float32, multiplications and additions counted.
        blas: GFLOP/s of NumPy's matrix product in float32, for large matrices.
        copy: bytes a nanosecond that a kernel copies, each counted once, of arrays too large for its own caches.
        numpy_copy: bytes a nanosecond that NumPy writes of strided views into fresh memory.
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
    # avx2 was measured on Zen 3; the others are reckoned from it and from what others report.
    "avx512": Rates(tile=110, blas=105, copy=30, numpy_copy=9, call=8_000, numpy_call=40_000),
    "avx2": Rates(tile=95, blas=80, copy=30, numpy_copy=9, call=8_000, numpy_call=40_000),
    "neon": Rates(tile=45, blas=45, copy=20, numpy_copy=6, call=8_000, numpy_call=40_000),
    "plain": Rates(tile=12, blas=20, copy=10, numpy_copy=4, call=8_000, numpy_call=40_000),
}


def file() -> Path | None:
    """Return where a machine's own rates stand: `DEEPCONV_RATES`, or a file in the user's configuration, if any."""
    if named := os.environ.get("DEEPCONV_RATES"):
        return Path(named)
    folder = machine.own_folder("XDG_CONFIG_HOME", ".config")
    return folder / "rates.json" if folder else None


def save(measured: Rates) -> None:
    """Write this machine's rates, to be used by every process that starts from now on.

    Raises:
        ValueError: the file can't be written.
    """
    kept = file()
    if kept is None:
        raise ValueError("rates: there is no home folder to keep them in; name a file with DEEPCONV_RATES")
    text = json.dumps({"target": machine.target().name, **measured._asdict()}, indent=2) + "\n"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_file(kept, lambda out: out.write(text.encode()))
    except OSError as error:
        raise ValueError(
            f"rates: can't write {str(kept)!r} ({error.strerror}); name another file with DEEPCONV_RATES"
        ) from None


@cache
def calibrated() -> Rates | None:
    """Return the rates that were measured for this target, or None where none were.

    A home that can't be read, as another user's, holds none; a file that `DEEPCONV_RATES` names must be readable.

    Raises:
        ValueError: the file is not what `save` writes.
    """
    kept = file()
    if kept is None:
        return None
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found.pop("target") != machine.target().name:
            return None
        measured = Rates(**{name: float(value) for name, value in found.items()})
        if not all(0 < value < 1e9 for value in measured):
            raise ValueError("a rate that is not above zero")
    except FileNotFoundError:
        return None
    except OSError as error:
        if not os.environ.get("DEEPCONV_RATES"):
            return None
        raise ValueError(
            f"DEEPCONV_RATES={str(kept)!r} can't be read ({error.strerror}); name a file"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"rates: {str(kept)!r} is not what `deepconv calibrate` writes ({error}); remove it, or calibrate again"
        ) from None
    return measured


@cache
def rates() -> Rates:
    """Return the rates that costs are reckoned with on this machine.

    Example:
        >>> rates().tile > 0
        True
    """
    if machine.why_not_compiled():
        return SHIPPED["plain"]
    return calibrated() or SHIPPED[machine.target().name]


def width(dtype: np.dtype[np.generic]) -> float:
    """Return how many times fewer of these numbers than float32's a register holds: 1, or 2 for float64."""
    return dtype.itemsize / 4
