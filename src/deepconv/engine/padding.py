"""Padding an array in four ways, and the gradient of each."""

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import Pairs

_NUMPY = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(x: Array, pairs: Pairs, mode: str, value: float = 0) -> Array:
    """Return `x` with its last `len(pairs)` axes padded, or cut where a number is negative.

    Circular shows what is left after the cut, as PyTorch has it; the other modes show what was there.
    """
    if mode == "circular":
        x = x[_cut(pairs, x.shape)]
        pairs = tuple((max(0, b), max(0, a)) for b, a in pairs)
    grown = tuple((max(0, b), max(0, a)) for b, a in pairs)
    widths = ((0, 0),) * (x.ndim - len(pairs)) + grown
    options: dict[str, Any] = {"constant_values": value} if mode == "zeros" else {}
    result = np.pad(x, widths, mode=_NUMPY[mode], **options)  # type: ignore[call-overload]
    return result[_cut(pairs, result.shape)]  # type: ignore[no-any-return]


def _cut(pairs: Pairs, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the slices that negative padding leaves of an array of `shape`."""
    sizes = shape[len(shape) - len(pairs) :]
    return (
        ...,
        *(slice(max(0, -b), n - max(0, -a)) for (b, a), n in zip(pairs, sizes, strict=True)),
    )


def pad_input_grad(dy: Array, image: tuple[int, ...], pairs: Pairs, mode: str) -> Array:
    """Return the gradient of `pad`'s input, whose last axes have the sizes `image`, from that of its output."""
    first = dy.ndim - len(pairs)
    for axis, (n, (before, after)) in enumerate(zip(image, pairs, strict=True)):
        dy = _folded(np.moveaxis(dy, first + axis, 0), n, before, after, mode)
        dy = np.moveaxis(dy, 0, first + axis)
    return np.ascontiguousarray(dy)


def _folded(dy: Array, n: int, before: int, after: int, mode: str) -> Array:
    """Return the gradient on the first axis: what was copied outwards is added back where it came from."""
    if mode == "circular" and (before < 0 or after < 0):  # it went round what was left
        left = _folded(dy, n + min(0, before) + min(0, after), max(0, before), max(0, after), mode)
        return np.pad(left, [(max(0, -before), max(0, -after))] + [(0, 0)] * (dy.ndim - 1))
    if before < 0 or after < 0:  # what was cut had no influence
        dy = np.pad(dy, [(max(0, -before), max(0, -after))] + [(0, 0)] * (dy.ndim - 1))
        before, after = max(0, before), max(0, after)
    dx = dy[before : before + n].copy()
    head, tail = dy[:before], dy[before + n :]
    if mode == "reflect":
        dx[1 : before + 1] += head[::-1]
        dx[n - 1 - after : n - 1] += tail[::-1]
    elif mode == "replicate":
        dx[:1] += head.sum(0, keepdims=True)
        dx[n - 1 :] += tail.sum(0, keepdims=True)
    elif mode == "circular":
        dx[n - before :] += head
        dx[:after] += tail
    return dx
