"""The way back through a layer: from the output's gradient to the inputs' and the parameters'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deepconv.arrays import Array, as_array
from deepconv.layers.parameter import Buffer, Parameter

Gradients = dict[Parameter, Array]
InputGradient = Array | tuple[Array, ...]
Later = Callable[[], InputGradient]
Pull = Callable[[Array], tuple[InputGradient | Later, Gradients]]


class Pullback:
    """The way back through one `apply`: from the output's gradient to the inputs' and the parameters'.

    It holds what the way back needs, and the layer holds nothing: one layer may be on its way through
    many batches at once. `updates` is what training would store in the layer's buffers; only `commit`
    stores it.

    Args:
        name: the layer's name, for messages.
        y: the output; only its shape and dtype are kept.
        pull: `pull(dy)` gives the input's gradient (a tuple for several inputs) and the parameters'. In
            place of the input's gradient it may give a function that computes it, which is never called
            where nobody wants that gradient: training doesn't want the first layer's.
        updates: the buffers' new values.

    Example:
        >>> import numpy as np
        >>> pullback = Pullback("Double", np.ones(2), lambda dy: (2 * dy, {}))
        >>> pullback([1.0, 3.0])
        (array([2., 6.]), {})
    """

    def __init__(
        self, name: str, y: Array, pull: Pull, updates: Mapping[Buffer, Array] | None = None
    ) -> None:
        self.updates: dict[Buffer, Array] = dict(updates or {})
        self._name, self._shape, self._dtype, self._pull = name, y.shape, y.dtype, pull

    def __call__(self, dy: Any) -> tuple[InputGradient, Gradients]:
        """Return the input's gradient (a tuple for several inputs) and each parameter's.

        Gradients are sums over the batch; a parameter's has the parameter's dtype.

        Args:
            dy: the gradient of the loss with respect to the output, of the output's shape.

        Raises:
            TypeError: `dy` isn't an array of numbers.
            ValueError: `dy` has another shape than the output had.
        """
        later, gradients = self.later(dy)
        return later(), gradients

    def parameter_gradients(self, dy: Any) -> Gradients:
        """Return the parameters' gradients alone, at less cost: all that an optimizer needs.

        Args:
            dy: as for a call.
        """
        return self.later(dy)[1]

    def later(self, dy: Any) -> tuple[Later, Gradients]:
        """Return a function that computes the input's gradient, and the parameters' gradients.

        Args:
            dy: as for a call.
        """
        dy = as_array(f"{self._name}.backward", "dy", dy)
        if dy.shape != self._shape:
            raise ValueError(
                f"{self._name}.backward: dy has shape {dy.shape} but the output was {self._shape}; "
                f"pass the gradient of the loss with respect to that output"
            )
        result: Any = self._pull(dy.astype(self._dtype) if dy.dtype.kind in "biu" else dy)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise TypeError(
                f"{self._name}.backward: pull(dy) returned {type(result).__name__}, not the input's gradient and "
                f"a dict of the parameters'; return dx, {{}} where there are none"
            )
        dx, gradients = result
        later = dx if callable(dx) else lambda: dx
        return later, {p: g.astype(p.value.dtype, copy=False) for p, g in gradients.items()}

    def commit(self) -> None:
        """Store `updates` in their buffers, as a training step does."""
        for buffer, value in self.updates.items():
            buffer.data = value
