"""A layer's first use: what is under way while sizes are inferred and parameters drawn."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# Held by the one thread that initialises; every other thread that meets a layer without values waits.
LOCK = threading.RLock()


class Start:
    """The initialisation under way: where values are drawn from, and in which dtype they are kept.

    Args:
        generator: where every parameter's first values come from.
        dtype: what they are kept in.
    """

    current: Start | None = None
    """The one under way, or None; read and set only with `LOCK` held."""

    def __init__(self, generator: np.random.Generator, dtype: np.dtype[Any]) -> None:
        self.generator, self.dtype = generator, dtype


@contextmanager
def starting(
    owners: Iterable[object], generator: np.random.Generator, dtype: np.dtype[Any]
) -> Iterator[None]:
    """Make a `Start` the current one; on an error, give every owner its attributes back.

    So what a wrong input shape made a layer infer and draw is forgotten, and a right one can follow.

    Args:
        owners: the layers, parameters and buffers that may change.
        generator: where first values come from.
        dtype: what they are kept in.
    """
    before = [(vars(owner), dict(vars(owner))) for owner in owners]
    outer, Start.current = Start.current, Start(generator, dtype)
    try:
        yield
    except BaseException:
        for attributes, old in before:
            attributes.clear()
            attributes.update(old)
        raise
    finally:
        Start.current = outer
