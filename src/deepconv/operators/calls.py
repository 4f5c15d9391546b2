"""Calls that were checked before: what was passed finds its plan, and nothing is thought about twice.

Checking a convolution's arguments costs some 30 µs, a convolution of one 8×8 image less than that.
"""

from typing import Any

import numpy as np

from deepconv.engine import settings
from deepconv.engine.choice import Plan
from deepconv.engine.problem import Pass

_MOST = 4096
_WORDS = (int, str, bool)
_KINDS = (np.dtype(np.float32), np.dtype(np.float64))

_kept: dict[Any, Plan] = {}
_simple: set[Any] = set()
"""Kinds of arguments that were found to be such as can be hashed."""


def kinds(word: Any) -> Any:
    """Return the type of an argument, and of all that stands in it: what tells `(1, True)` from `(1, 1)`.

    Example:
        >>> kinds((1, True)) == kinds((1, 1)), kinds(((1, 2), 3)) == kinds(((5, 6), 7))
        (False, True)
    """
    if type(word) is not tuple:
        return type(word)
    found = tuple(map(type, word))
    return tuple(map(kinds, word)) if tuple in found else found


def _can_be_hashed(found: Any) -> bool:
    """Tell whether arguments of these kinds can be part of a key, a list within a tuple for one not."""
    return all(_can_be_hashed(kind) if type(kind) is tuple else kind in _WORDS for kind in found)


def key_of(which: Pass, arrays: tuple[Any, ...], words: tuple[Any, ...]) -> Any:
    """Return what tells one call from another, or None where a call is not of the simple kind.

    Simple are NumPy arrays of one type, float32 or float64, and arguments that can be hashed. Types are part of
    the key, since True equals 1 and only one of them is a stride.

    Args:
        which: the pass.
        arrays: the operands; None stands for a bias that isn't there.
        words: the other arguments.

    Example:
        >>> key_of("forward", (np.zeros(3), np.zeros(3)), (1, "same")) is None
        False
        >>> key_of("forward", (np.zeros(3), [1.0]), (1, "same")) is None
        True
    """
    dtype = getattr(arrays[0], "dtype", None)
    if dtype not in _KINDS:
        return None
    shapes: list[Any] = []
    for a in arrays:
        if a is None:
            shapes.append(None)
        elif type(a) is np.ndarray and a.dtype is dtype:
            shapes.append(a.shape)
        else:
            return None
    found = kinds(words)
    if found not in _simple:
        if not _can_be_hashed(found):
            return None
        if len(_simple) >= _MOST:
            _simple.clear()
        _simple.add(found)
    return which, dtype, settings.get_threads(), settings.get_workspace_limit(), *shapes, words, found


def find(key: Any) -> Plan | None:
    """Return the plan of a call with that key, or None.

    Example:
        >>> find(None) is None
        True
    """
    return _kept.get(key) if key is not None else None


def keep(key: Any, plan: Plan) -> None:
    """Remember a plan for calls with that key; None is not remembered."""
    if key is not None:
        if len(_kept) >= _MOST:
            _kept.clear()
        _kept[key] = plan
