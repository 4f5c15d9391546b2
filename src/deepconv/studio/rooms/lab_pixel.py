"""The numbers behind one pixel of the lab's result, transparency weighed as `deepconv.images.apply` weighs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.images import Effect
from deepconv.images.applying import alpha_rule, laid_on
from deepconv.images.borders import extended, places
from deepconv.images.effects import kernel_total
from deepconv.studio.rooms.numbers import to_page

__all__ = ["behind"]


def behind(
    pixels: Array, chosen: Effect, place: tuple[int, int], *, border: str, divisor: Any, flip: bool, most: int
) -> dict[str, Any]:
    """Return how the sum at one place comes about, as the page takes it.

    Args:
        pixels: uint8, `(H, W)` or `(H, W, C)`; of four channels the last is alpha.
        chosen: the kernels.
        place: row and column of the result, before a stride.
        border: what stands beyond the picture.
        divisor: what the sums will be divided by; here they are not yet.
        flip: whether the kernels are turned.
        most: of a kernel with more cells `tables` is None.

    Returns:
        `rows` and `columns` of the picture under the kernel, -1 beyond it; `size` of the kernel; `tables` of the first
        kernel with `window`, `opaque` (None where all is), `weights` and their `products`; `sums` of the products by
        kernel and colour; `alpha` with its `rule`, the `seen` weight of `total` and the pixel's `own` colours, or None;
        `parts`, the sums after that, by kernel; `values`, what the parts come to together, or None where nothing
        is seen.

    Raises:
        ValueError: the place lies outside the result.

    Example:
        >>> from deepconv.images import effect
        >>> found = behind(
        ...     np.uint8([[10, 20, 40]]),
        ...     effect("-1 0 1"),
        ...     (0, 1),
        ...     border="edge",
        ...     divisor=None,
        ...     flip=False,
        ...     most=9,
        ... )
        >>> found["tables"]["products"], found["values"]
        ([[[-10, 0, 40]]], [30])
    """
    divided, anchor = laid_on(chosen, divisor, flip, None)
    kernels = [kernel[::-1, ::-1] if flip else kernel for kernel in chosen.kernels]
    (r, s), (top, left) = kernels[0].shape, place
    rows, columns = places(pixels.shape, (r, s), anchor, border)
    if top + r > len(rows) or left + s > len(columns):
        raise ValueError(f"row {top}, column {left} lies outside the result")
    rows, columns = rows[top : top + r], columns[left : left + s]
    window = extended(pixels.reshape(*pixels.shape[:2], -1), rows, columns)
    rule = alpha_rule(window.shape[2], "auto", divided)
    colours = np.moveaxis(window if rule == "none" else window[..., :-1], -1, 0).astype(np.int64)
    opaque = None if rule == "none" else window[..., -1] / 255
    weighed = colours if opaque is None else colours * opaque
    sums = [(weighed * kernel).sum(axis=(1, 2)) for kernel in kernels]
    parts, alpha = sums, None
    if opaque is not None:
        parts, alpha = _filled(rule, kernels, sums, opaque, colours[:, anchor[0], anchor[1]], anchor)
    values = parts[0] if len(parts) == 1 else np.sqrt(np.sum(np.square(parts), axis=0))
    few = kernels[0].size <= most
    tables = {
        "window": colours.tolist(),
        "opaque": None if opaque is None else opaque.tolist(),
        "weights": to_page(kernels[0]),
        "products": to_page(weighed * kernels[0]),
    }
    return {
        "rows": rows.tolist(),
        "columns": columns.tolist(),
        "size": [r, s],
        "tables": tables if few else None,
        "sums": [to_page(found) for found in sums],
        "alpha": alpha,
        "parts": [to_page(found) for found in parts],
        "values": None if alpha and alpha["hidden"] else to_page(values),
    }


def _filled(
    rule: str, kernels: list[Array], sums: list[Array], opaque: Array, own: Array, anchor: tuple[int, int]
) -> tuple[list[Array], dict[str, Any]]:
    """Return the sums with what is not opaque made up for, and the numbers that did it."""
    totals = [kernel_total(kernel) for kernel in kernels]
    seen = [float((opaque * kernel).sum()) for kernel in kernels]
    if rule == "filter":
        share = seen[0] / totals[0]
        hidden = share <= 1e-6
        parts = sums if hidden else [sums[0] / share]
    else:
        hidden = bool(opaque[anchor] == 0)
        parts = [
            part + own * (total - weight) for part, total, weight in zip(sums, totals, seen, strict=True)
        ]
    facts = {"rule": rule, "seen": seen, "total": totals, "own": own.tolist(), "hidden": hidden}
    return parts, facts
