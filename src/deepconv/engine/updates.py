"""Optimizer updates of all parameters in one pass over memory, where kernels can be compiled."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address, plain
from deepconv.engine.machine import why_not_compiled

KERNELS = library("optimizer")


class Rows:
    """What the kernels are told of a step: for each parameter where it lies, its gradient and what is kept.

    Args:
        dtype: float32 or float64, of all arrays.
        weights: the parameters, changed in place.
        gradients: of the same shapes.
        kept: for each average that is kept, its array for each parameter.
        decays: which parameters decay.
    """

    def __init__(
        self,
        dtype: np.dtype[Any],
        weights: Sequence[Array],
        gradients: Sequence[Array],
        kept: Sequence[Sequence[Array]],
        decays: Sequence[bool],
    ) -> None:
        self.dtype, self.weights = dtype, weights
        table = np.zeros((len(weights), 6), np.int64)
        for column, arrays in {0: weights, **dict(enumerate(kept, 2))}.items():
            table[:, column] = [address(a) for a in arrays]
        table[:, 4] = [w.size for w in weights]
        table[:, 5] = decays
        self._table = table
        self.take(gradients)

    def take(self, gradients: Sequence[Array]) -> Self:
        """Take other gradients of the same parameters; return itself."""
        self.gradients = [
            plain(g, self.dtype) for g in gradients
        ]  # kept alive while their addresses are used
        self._table[:, 1] = [address(a) for a in self.gradients]
        return self

    def let_go(self) -> None:
        """Hold the gradients no longer."""
        self.gradients = []

    def squares(self) -> float:
        """Return the sum of the squares of all gradients."""
        total = np.zeros(1)
        self._run("squares", address(total))
        return float(total[0])

    def sgd(self, rate: float, decay: float, momentum: float, scale: float, *, nesterov: bool) -> None:
        """Change the parameters as `SGD` does, by gradients times `scale`."""
        self._run("sgd", nesterov, rate, decay, momentum, scale)

    def adam(self, *numbers: float) -> None:
        """Change the parameters as `Adam` does; the numbers are those of the kernel."""
        self._run("adam", *numbers)

    def _run(self, kernel: str, *numbers: float) -> None:
        getattr(KERNELS, kernel)[self.dtype](address(self._table), len(self._table), *numbers)


def compiles(dtype: np.dtype[Any], weights: Sequence[Array]) -> bool:
    """Tell whether the kernels can change these arrays in place."""
    if dtype.char not in "fd" or why_not_compiled() is not None:
        return False
    return all(w.dtype == dtype and w.flags.carray and w.dtype.isnative for w in weights)
