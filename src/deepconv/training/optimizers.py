"""Optimizers: from gradients to new weights, in place.

A small network has a dozen small parameters, and a dozen NumPy calls on each would cost more than the
network itself. So one call of a kernel changes them all (`engine/updates`), each number read once and
written once. Where no kernel serves, the gradients are gathered in one flat array, every rule is written once
on flat arrays that are allocated once, and only the last subtraction goes back to the parameters.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.engine.updates import Rows, compiles
from deepconv.layers.parameter import Parameter
from deepconv.training.settings import number

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]


class Optimizer(ABC):
    """What all optimizers share: the step, its state by parameter name, clipping, the check for NaN.

    The state is float32, or float64 where a parameter is. A parameter that has no gradient is left as it
    is, and so is its state; passing a part of a model's parameters therefore freezes the rest.

    Args:
        learning_rate: how far a step goes, ≥ 0; a schedule multiplies it.
        weight_decay: how strongly weights are pulled towards 0, ≥ 0; biases and norms (parameters with
            `decay=False`) are never decayed.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(self, learning_rate: float, weight_decay: float) -> None:
        self.learning_rate = self._setting("learning_rate", learning_rate)
        self.weight_decay = self._setting("weight_decay", weight_decay)
        self.reset()

    def reset(self) -> None:
        """Forget all steps taken, as a new optimizer."""
        self._steps = 0
        self._kept: dict[str, dict[str, Array]] = {}
        self._flat: _Flat | None = None

    def step(
        self,
        parameters: Mapping[str, Parameter],
        gradients: Mapping[Parameter, Array] | None = None,
        learning_rate: float | None = None,
        *,
        clip_norm: float | None = None,
    ) -> float:
        """Change the parameters in place, one step downhill.

        Args:
            parameters: by name, as `model.parameters()` gives them.
            gradients: as a pullback gives them; None takes each parameter's `.grad`.
            learning_rate: for this step; None takes the optimizer's own.
            clip_norm: where the norm of all gradients together is longer than this, they are scaled down
                to it (Pascanu et al., "On the difficulty of training recurrent neural networks", 2013).

        Returns:
            The norm of all gradients together, before clipping.

        Raises:
            FloatingPointError: a gradient holds NaN or infinity; nothing was changed.
            ValueError: no parameter has a gradient, or a gradient has the wrong shape.

        Example:
            >>> bias = Parameter((2,), lambda generator, shape: np.zeros(shape))
            >>> bias.initialise(np.random.default_rng(0), np.float32)
            >>> SGD(0.1).step({"bias": bias}, {bias: np.array([3.0, -4.0])})
            5.0
            >>> bias.data
            array([-0.3,  0.4], dtype=float32)
        """
        if not isinstance(parameters, Mapping):
            raise TypeError(
                f"{self._name}: parameters is {type(parameters).__name__}, not a mapping; give model.parameters()"
            )
        if gradients is None:
            gradients = {p: p.grad for p in parameters.values() if p.grad is not None}
        if parameters and not any(p in gradients for p in parameters.values()):
            raise ValueError(f"{self._name}: no parameter has a gradient; run backward, or pass gradients")
        flat = self._lay_out(parameters, gradients)
        flat.take(gradients, self._name)
        norm = flat.norm(self._name)
        if clip_norm is not None and norm > clip_norm:
            flat.shrink(clip_norm / norm)
        self._steps += 1
        self._update(flat, self.learning_rate if learning_rate is None else learning_rate)
        flat.apply()
        return norm

    def state(self) -> dict[str, Array]:
        """Return a copy of everything that the next step depends on: `steps` and `SLOT.PARAMETER`.

        Example:
            >>> SGD(0.1).state()
            {'steps': array(0)}
        """
        state: dict[str, Array] = {"steps": np.array(self._steps, np.int64)}
        for name, slots in self._kept.items():
            state.update({f"{slot}.{name}": array.copy() for slot, array in slots.items()})
        return state

    def load_state(self, state: Mapping[str, Array], parameters: Mapping[str, Parameter]) -> None:
        """Go on from where another optimizer was.

        Args:
            state: what `state()` returned.
            parameters: the parameters it will be used on, by name; names and shapes must fit.

        Raises:
            ValueError: a name or shape doesn't fit; the optimizer stays as it was.

        Example:
            >>> SGD(0.1).load_state({"steps": np.array(3), "momentum.weight": np.zeros(4)}, {})
            Traceback (most recent call last):
            ValueError: SGD: state has 'momentum.weight', but this optimizer keeps no array for each parameter
        """
        arrays = dict(state)
        steps = np.asarray(arrays.pop("steps", -1))
        if steps.shape or steps.dtype.kind not in "iu" or steps < 0:
            raise ValueError(f"{self._name}: state has no count 'steps'; pass what state() returned")
        kept: dict[str, dict[str, Array]] = {}
        for key, array in arrays.items():
            slot, _, name = key.partition(".")
            self._check_entry(key, slot, name, np.shape(array), parameters)
            kept.setdefault(name, {})[slot] = np.array(array)
        for name, slots in kept.items():
            for slot in self.slots:
                if slot not in slots:
                    raise ValueError(f"{self._name}: state lacks '{slot}.{name}'; pass what state() returned")
        self.reset()
        self._steps, self._kept = int(steps), kept

    @abstractmethod
    def _update(self, flat: _Flat, learning_rate: float) -> None:
        """Change the parameters by `flat.rows`, or turn `flat.update` into what shall be subtracted from them."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays kept for each parameter, such as `("momentum",)`."""
        return ()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _setting(self, name: str, value: float, *, below: float = math.inf) -> float:
        number(self._name, name, value)
        if not 0 <= value < below:
            limit = "finite number" if below == math.inf else f"number below {below:g}"
            raise ValueError(f"{self._name}: {name}={value} is not a {limit} ≥ 0")
        return float(value)

    def _check_entry(
        self, key: str, slot: str, name: str, shape: tuple[int, ...], parameters: Mapping[str, Parameter]
    ) -> None:
        """Refuse one entry of a state that this optimizer with these parameters can't have."""
        if slot not in self.slots:
            keeps = ", ".join(self.slots) or "no array"
            raise ValueError(
                f"{self._name}: state has {key!r}, but this optimizer keeps {keeps} for each parameter"
            )
        if name not in parameters:
            raise ValueError(f"{self._name}: state has {key!r}, but there is no parameter {name!r}")
        if shape != parameters[name].shape:
            raise ValueError(
                f"{self._name}: state {key!r} has shape {shape}, the parameter {parameters[name].shape}; "
                f"load the state of the same model"
            )

    def _lay_out(self, parameters: Mapping[str, Parameter], gradients: Mapping[Parameter, Array]) -> _Flat:
        """Return the layout of the parameters that have gradients: that of the last step where it still fits."""
        present = {name: p for name, p in parameters.items() if p in gradients}
        dtype = np.result_type(np.float32, *{p.value.dtype for p in present.values()})
        flat = self._flat
        if flat is None or flat.dtype != dtype or flat.parameters != present:
            flat = self._flat = _Flat(present, dtype, self.slots, self._kept)
        return flat

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in sorted(vars(self).items()) if not k.startswith("_"))
        return f"{self._name}({settings})"


class _Flat:
    """The arrays of one optimizer laid out flat: decayed parameters first, each with its view.

    Args:
        parameters: by name.
        dtype: of all arrays.
        slots: the names of the state arrays.
        kept: the state by parameter name and slot; what is there is taken over, and its entries become
            views of the flat arrays.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        dtype: np.dtype[np.floating],
        slots: tuple[str, ...],
        kept: dict[str, dict[str, Array]],
    ) -> None:
        self.parameters = dict(parameters)
        self.dtype = dtype
        self._order = sorted(self.parameters.items(), key=lambda item: not item[1].decay)
        self._bounds = [0, *accumulate(p.value.size for _, p in self._order)]
        self._decayed = [p for _, p in self._order if p.decay]
        self.decay_end = self._bounds[len(self._decayed)]
        self.state = {slot: np.zeros(self._bounds[-1], dtype) for slot in slots}
        self._kept = [self._split(array) for array in self.state.values()]
        self._adopt(kept)
        self.rows: Rows | None = None
        self._last: Rows | None = None  # those of the step before, whose parameters may lie where they lay
        self.scale = 1.0

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "rows": None, "_last": None}  # a copy's arrays lie elsewhere

    @cached_property
    def update(self) -> Array:
        """The gradients, and later what is subtracted; only where no kernel serves."""
        return np.zeros(self._bounds[-1], self.dtype)

    @cached_property
    def scratch(self) -> Array:
        """Room for what is between."""
        return np.empty_like(self.update)

    @cached_property
    def _views(self) -> list[Array]:
        return self._split(self.update)

    @cached_property
    def _scratch_views(self) -> list[Array]:
        return self._split(self.scratch)

    def _adopt(self, kept: dict[str, dict[str, Array]]) -> None:
        for slot, views in zip(self.state, self._kept, strict=True):
            for (name, _), view in zip(self._order, views, strict=True):
                old = kept.setdefault(name, {}).get(slot)
                if old is not None:
                    if old.shape != view.shape:
                        raise ValueError(
                            f"optimizer: its state for {name!r} has shape {old.shape}, "
                            f"the parameter {view.shape}; call reset() before using it on another model"
                        )
                    view[...] = old
                kept[name][slot] = view

    def _split(self, flat: Array) -> list[Array]:
        pieces = zip(self._order, self._bounds, self._bounds[1:], strict=False)
        return [flat[start:end].reshape(p.value.shape) for (_, p), start, end in pieces]

    def take(self, gradients: Mapping[Parameter, Array], op: str) -> None:
        """Take the gradients, which must have their parameters' shapes: by their addresses, or copied to `update`."""
        found = [gradients[parameter] for _, parameter in self._order]
        for (name, parameter), gradient in zip(self._order, found, strict=True):
            value = parameter.value
            if gradient.shape != value.shape:
                raise ValueError(
                    f"{op}: the gradient of {name!r} has shape {gradient.shape}, the parameter {value.shape}"
                )
            if not value.flags.writeable:  # mapped from a file, or the caller's own
                parameter.data = value.copy()
        weights = [parameter.value for _, parameter in self._order]
        self.scale = 1.0
        if self._last is not None and all(map(operator.is_, self._last.weights, weights)):
            self.rows = self._last.take(found)
            return
        if compiles(self.dtype, weights):
            decays = [parameter.decay for _, parameter in self._order]
            self.rows = self._last = Rows(self.dtype, weights, found, self._kept, decays)
            return
        self.rows = self._last = None
        for view, gradient in zip(self._views, found, strict=True):
            view[...] = gradient

    def norm(self, op: str) -> float:
        """Return the length of all gradients; FloatingPointError, naming a parameter, where it isn't finite."""
        parts = [self.update] if self.rows is None else self.rows.gradients
        if self.rows is None:
            with np.errstate(over="ignore", invalid="ignore"):
                square = float(np.dot(self.update, self.update))
        else:
            square = self.rows.squares()
        if not math.isfinite(square):  # float32 may only have overflowed; nearly never, so it may cost
            square = float(sum(np.sum(np.square(part, dtype=np.float64)) for part in parts))
        if not math.isfinite(square):
            views = self._views if self.rows is None else self.rows.gradients
            named = zip(self._order, views, strict=True)
            bad = next((name for (name, _), view in named if not np.isfinite(view).all()), "?")
            raise FloatingPointError(
                f"{op}: the gradient of {bad!r} holds NaN or infinity; nothing was changed"
            )
        return math.sqrt(square)

    def shrink(self, factor: float) -> None:
        """Multiply all gradients by `factor`."""
        if self.rows is None:
            self.update *= factor
        else:
            self.scale = factor

    def add_decay(self, factor: float) -> None:
        """Add `factor` times the weights to `update`, for those that decay."""
        if not factor:
            return
        for parameter, view in zip(self._decayed, self._scratch_views, strict=False):
            np.multiply(parameter.value, factor, out=view)
        self.update[: self.decay_end] += self.scratch[: self.decay_end]

    def apply(self) -> None:
        """Subtract `update` from the parameters, unless the kernels have done all."""
        if self.rows is None:
            for (_, parameter), view in zip(self._order, self._views, strict=True):
                np.subtract(parameter.value, view, out=parameter.value, casting="same_kind")
        if self.rows is not None:
            self.rows.let_go()
        self.rows = None


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    With the gradient `g ← g + λ·w` (λ the weight decay): `b ← μ·b + g`, `w ← w − η·b`, or with Nesterov
    `w ← w − η·(g + μ·b)`. This is PyTorch's form (Sutskever et al., "On the importance of initialization
    and momentum in deep learning", 2013, note there too), in which η may change without rescaling b.

    Args:
        learning_rate: η.
        momentum: μ, from 0 to below 1.
        nesterov: look ahead along the momentum; needs momentum above 0.
        weight_decay: λ.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> SGD(0.1, momentum=0.9)
        SGD(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        self.momentum = self._setting("momentum", momentum, below=1)
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov=True needs momentum above 0, such as 0.9")

    @property
    def slots(self) -> tuple[str, ...]:
        """`("momentum",)`, or nothing without momentum."""
        return ("momentum",) if self.momentum else ()

    def _update(self, flat: _Flat, learning_rate: float) -> None:
        if flat.rows is not None:
            decay, momentum = self.weight_decay, self.momentum
            flat.rows.sgd(learning_rate, decay, momentum, flat.scale, nesterov=self.nesterov)
            return
        flat.add_decay(self.weight_decay)
        if self.momentum:
            average = flat.state["momentum"]
            average *= self.momentum
            average += flat.update
            if self.nesterov:
                flat.update += np.multiply(average, self.momentum, out=flat.scratch)
            else:
                flat.update[...] = average
        flat.update *= learning_rate


class Adam(Optimizer):
    """Steps scaled by running averages of the gradient and of its square (Kingma and Ba, 2015).

    `m ← β₁·m + (1−β₁)·g`, `v ← β₂·v + (1−β₂)·g²`, `w ← w − η·m̂ / (√v̂ + ε)` with `m̂ = m/(1−β₁ᵗ)` and
    `v̂ = v/(1−β₂ᵗ)`. Weight decay is added to the gradient; `AdamW` keeps it apart, which usually does better.

    Args:
        learning_rate: η.
        betas: (β₁, β₂), each from 0 to below 1.
        eps: ε, above 0.
        weight_decay: λ.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> Adam(0.002)
        Adam(betas=(0.9, 0.999), eps=1e-08, learning_rate=0.002, weight_decay=0.0)
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, weight_decay)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"{self._name}: betas={betas!r} is not two numbers; use (0.9, 0.999)")
        first, second = betas
        self.betas = (self._setting("betas[0]", first, below=1), self._setting("betas[1]", second, below=1))
        self.eps = self._setting("eps", eps)
        if not self.eps:
            raise ValueError(f"{self._name}: eps=0 would divide by 0; use 1e-8")

    @property
    def slots(self) -> tuple[str, ...]:
        """`("first", "second")`: the averages of the gradient and of its square."""
        return ("first", "second")

    def _update(self, flat: _Flat, learning_rate: float) -> None:
        if flat.rows is not None:
            self._compiled(flat, flat.rows, learning_rate, self.weight_decay, 0.0)
            return
        flat.add_decay(self.weight_decay)
        self._scale(flat, learning_rate)

    def _compiled(self, flat: _Flat, rows: Rows, rate: float, decay: float, apart: float) -> None:
        """Change the parameters by the kernel."""
        (beta1, beta2), steps = self.betas, self._steps
        betas = (beta1, 1 - beta1, beta2, 1 - beta2)
        root = 1 / math.sqrt(1 - beta2**steps)
        rows.adam(rate / (1 - beta1**steps), decay, apart, *betas, root, self.eps, flat.scale)

    def _scale(self, flat: _Flat, learning_rate: float) -> None:
        (beta1, beta2), update = self.betas, flat.update
        first, second = flat.state["first"], flat.state["second"]
        first *= beta1
        first += np.multiply(update, 1 - beta1, out=flat.scratch)
        second *= beta2
        np.multiply(update, update, out=flat.scratch)
        flat.scratch *= 1 - beta2
        second += flat.scratch
        np.sqrt(second, out=flat.scratch)
        flat.scratch /= math.sqrt(1 - beta2**self._steps)
        flat.scratch += self.eps
        np.divide(first, flat.scratch, out=update)
        update *= learning_rate / (1 - beta1**self._steps)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient's averages (Loshchilov and Hutter, 2019).

    `w ← w − η·λ·w − η·m̂ / (√v̂ + ε)`.

    Args:
        learning_rate: η.
        betas: (β₁, β₂), each from 0 to below 1.
        eps: ε, above 0.
        weight_decay: λ.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> AdamW(0.002).weight_decay
        0.01
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, betas=betas, eps=eps, weight_decay=weight_decay)

    def _update(self, flat: _Flat, learning_rate: float) -> None:
        apart = learning_rate * self.weight_decay
        if flat.rows is not None:
            self._compiled(flat, flat.rows, learning_rate, 0.0, apart)
            return
        self._scale(flat, learning_rate)
        flat.add_decay(apart)
