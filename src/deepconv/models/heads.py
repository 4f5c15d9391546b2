"""Starting from another network: its layers as they are, with a new last one for other classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepconv.layers import Layer, Linear, Sequential

__all__ = ["with_new_head"]


def with_new_head(model: Layer, before: Sequence[str], after: Sequence[str], *, seed: int = 0) -> Sequential:
    """Return a copy of a trained network whose last layer names other classes.

    The rows of the last layer whose class both have are kept; those of new classes are drawn anew, and those
    of classes that are gone are left out. With the same classes in the same order that is the network itself.

    Args:
        model: a trained network, a `Sequential` that ends in a `Linear`. It is not changed.
        before: its classes' names.
        after: the classes that the new network shall tell apart.
        seed: draws the new rows.

    Raises:
        ValueError: the network doesn't end in a `Linear` with one output for each of its classes.

    Example:
        >>> network = Sequential(Linear(3, 2)).initialize((3,))
        >>> more = with_new_head(network, ["cat", "dog"], ["bird", "cat", "dog"])
        >>> more[-1], bool((more[-1].weight.value[1:] == network[-1].weight.value).all())
        (Linear(3, 3), True)
    """
    last = model[-1] if isinstance(model, Sequential) and len(model) else None
    if not isinstance(model, Sequential) or not isinstance(last, Linear) or last.out_features != len(before):
        raise ValueError(
            f"with_new_head: model ends in {last!r}, and a new last layer can take the place of a "
            f"Linear(…, {len(before)}) alone; start from a network that deepconv train wrote"
        )
    known = {name: row for row, name in enumerate(before)}
    head = Linear(last.in_features, len(after), bias=last.bias is not None)
    head.initialize((last.weight.value.shape[1],), seed=np.random.default_rng([seed, 3]), dtype=model.dtype)
    for row, name in enumerate(after):
        if name in known:
            head.weight.value[row] = last.weight.value[known[name]]
            if head.bias is not None and last.bias is not None:
                head.bias.value[row] = last.bias.value[known[name]]
    return Sequential(*list(model.copy())[:-1], head)
