"""What this machine can do: its vector registers and its caches, read once and never measured.

The compiled algorithms are written for a *target*, by the width of its registers and their number:

| target | bytes of a register | registers | machines |
| --- | --- | --- | --- |
| avx512 | 64 | 32 | Intel and AMD servers |
| avx2 | 32 | 16 | x86 of the last ten years |
| neon | 16 | 32 | AArch64 |
| plain | 16 | 16 | everything else; LLVM makes of the vectors what it finds |

`DEEPCONV_TARGET` names another target than the machine's own: a narrower one limits the instructions,
a wider one is computed in halves, slow but right, which is how the tests reach every width.
`DEEPCONV_COMPILED=0` (or false, no, off) leaves Numba alone, as if it weren't installed.
"""

import os
import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Target(NamedTuple):
    """An instruction set, as far as the kernels are shaped by it.

    Attributes:
        name: avx512, avx2, neon or plain.
        vector_bytes: the width of a register.
        registers: how many there are.
        rows: R of the register tile that a matrix product adds to, broadcast scalars down it.
        vectors: its width in registers; R·V sums, V operands and one broadcast fill the registers.
    """

    name: str
    vector_bytes: int
    registers: int
    rows: int
    vectors: int


TARGETS = {
    # Tiles tried on Zen 3, GFLOP/s in cache: 4x3 88, 6x2 86. 4x3 wastes nothing on 64, 128 … filters.
    "avx512": Target("avx512", 64, 32, 8, 3),
    "avx2": Target("avx2", 32, 16, 4, 3),
    "neon": Target("neon", 16, 32, 8, 3),
    "plain": Target("plain", 16, 16, 4, 3),
}


@cache
def native_target() -> Target:
    """Return the machine's own target, by what LLVM says of its processor; `plain` where there is no LLVM."""
    if find_spec("llvmlite") is None:
        return TARGETS["plain"]
    from llvmlite import binding  # 80 ms, which `import deepconv` must not cost

    if platform.machine().lower() in ("aarch64", "arm64"):
        return TARGETS["neon"]
    features = binding.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512dq") and features.get("avx512vl"):
        return TARGETS["avx512"]
    return TARGETS["avx2" if features.get("avx2") and features.get("fma") else "plain"]


@cache
def target() -> Target:
    """Return the target that kernels are compiled for.

    Raises:
        ValueError: `DEEPCONV_TARGET` names none.
    """
    name = os.environ.get("DEEPCONV_TARGET")
    if not name:
        return native_target()
    if name not in TARGETS:
        raise ValueError(f"DEEPCONV_TARGET={name!r} is not known; use one of {', '.join(TARGETS)}")
    return TARGETS[name]


_NO = ("0", "false", "no", "off")
_YES = ("", "1", "true", "yes", "on")


@cache
def why_not_compiled() -> str | None:
    """Say why the compiled algorithms are missing here, or None if they aren't.

    Raises:
        ValueError: `DEEPCONV_COMPILED` says neither yes nor no.

    Example:
        >>> why_not_compiled() is None or "Numba" in why_not_compiled()
        True
    """
    word = os.environ.get("DEEPCONV_COMPILED", "")
    if word.strip().lower() not in _YES + _NO:
        raise ValueError(
            f"DEEPCONV_COMPILED={word!r} is neither yes nor no; use one of {', '.join(_NO + _YES[1:])}"
        )
    if word.strip().lower() in _NO:
        return f"DEEPCONV_COMPILED={word} leaves Numba alone"
    if find_spec("numba") is None or find_spec("llvmlite") is None:
        return "Numba is not installed"
    return None


def own_folder(variable: str, default: str) -> Path | None:
    """Return deepconv's folder in `$variable`, else in `default` in the user's home; None for a user without one.

    Example:
        >>> own_folder("XDG_CACHE_HOME", ".cache").name
        'deepconv'
    """
    try:
        return Path(os.environ.get(variable) or Path.home() / default) / "deepconv"
    except RuntimeError:  # no HOME, and a user that the system has no entry of: containers
        return None


class Caches(NamedTuple):
    """Bytes of the caches that one core sees."""

    l1: int
    l2: int
    l3: int


_TYPICAL = Caches(32 * 2**10, 512 * 2**10, 8 * 2**20)


@cache
def told_caches() -> dict[int, int]:
    """Return the bytes of each level of cache that the system tells of, for data.

    Example:
        >>> all(size > 0 for size in told_caches().values())
        True
    """
    found: dict[int, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
            if kind != "Instruction":
                unit = {"K": 2**10, "M": 2**20}.get(size[-1:], 1)
                found[int(level)] = int(size.rstrip("KM")) * unit
        except (OSError, ValueError):  # a container may hide it
            continue
    return found


@cache
def caches() -> Caches:
    """Return the sizes of the caches; what the system doesn't tell is taken to be 32 KB, 512 KB and 8 MB.

    Example:
        >>> caches().l1 <= caches().l2 <= caches().l3
        True
    """
    found = told_caches()
    l1, l2 = found.get(1, _TYPICAL.l1), found.get(2, _TYPICAL.l2)
    return Caches(l1, max(l1, l2), max(l1, l2, found.get(3, _TYPICAL.l3)))
