"""Check gradients against differences: the proof that the way back fits the way forward."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.layers.base import Layer
from deepconv.layers.parameter import Parameter

# A right gradient agrees at one of these steps: the larger ones fail where a kink (ReLU, a maximum) lies
# within the step, the smaller ones drown in rounding. A wrong gradient agrees at none.
_STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
_TOLERANCE = 1e-6


class GradientError(AssertionError):
    """A gradient that differs from the differences it should equal, or is missing."""


@dataclass(frozen=True)
class GradientReport:
    """What was checked, and how closely it agreed.

    Attributes:
        errors: for each input (`dx`, or `dx0`, `dx1` …) and parameter, the greatest difference between
            the gradient along a random direction and the measured slope, relative to the gradient's norm.
    """

    errors: Mapping[str, float]

    @property
    def worst(self) -> str:
        """The name with the greatest error."""
        return max(self.errors, key=lambda name: _rank(self.errors[name]))

    def __str__(self) -> str:
        lines = [f"{name}: relative error {error:.1e}" for name, error in self.errors.items()]
        return "\n".join(lines)


def check_gradients(
    layer_or_function: Any,
    x: Any,
    *,
    seed: int = 0,
    samples: int = 3,
    training: bool = True,
) -> GradientReport:
    """Compare every gradient with central differences, in float64, along random directions.

    With `L = Σ y·dy` for a random `dy`, the gradient `g` of an array `a` must give
    `g·v ≈ (L(a + h·v) - L(a - h·v)) / 2h` for random directions `v`. One direction sees every entry, so
    few suffice, and a gradient wrong by a thousandth is found. The layer itself isn't changed: a copy is
    converted, and initialised from `seed` if need be.

    Args:
        layer_or_function: a layer, any object with `apply`, or a function; called with the inputs, it
            returns the output and a pullback, and the pullback returns the input's gradient, for a layer
            and an object with `apply` together with a dict of the parameters' gradients.
        x: the input, or a tuple of inputs.
        seed: where `dy`, the directions and what dropout draws come from.
        samples: how many directions for each array.
        training: whether to check the layer as in training.

    Returns:
        The errors found, all small.

    Raises:
        GradientError: a gradient is wrong, missing or of the wrong shape; the message names the worst.

    Example:
        >>> from deepconv.layers.dense import Linear
        >>> sorted(check_gradients(Linear(3, 2), np.random.default_rng(0).normal(size=(4, 3))).errors)
        ['bias', 'dx', 'weight']
        >>> check_gradients(lambda x: (x**2, lambda dy: 2.002 * x * dy), np.array([1.0, 2.0]))
        Traceback (most recent call last):
        ...
        deepconv.layers.checking.GradientError: check_gradients: dx is wrong: along a random direction it gives ...
    """
    arrays = x if isinstance(x, tuple) else (x,)
    inputs = [as_array("check_gradients", "x", array).astype(np.float64) for array in arrays]
    case = _Case(layer_or_function, inputs, seed, training)
    gradients = case.gradients()
    rng = np.random.default_rng([seed, 1])
    found = {
        name: max((_compare(case, name, gradients[name], rng) for _ in range(samples)), key=_rank_of)
        for name in case.names()
    }
    report = GradientReport({name: one.error for name, one in found.items()})
    worst = found[report.worst]
    if not worst.error <= _TOLERANCE:
        raise GradientError(
            f"check_gradients: {report.worst} is wrong: along a random direction it gives {worst.given:.9g} "
            f"but the slope is {worst.slope:.9g} (relative error {worst.error:.1e})"
        )
    return report


@dataclass(frozen=True)
class _Found:
    """One direction's outcome: what the gradient gives, the slope measured, their relative difference."""

    given: float
    slope: float
    error: float


def _rank(error: float) -> float:
    """Return what to compare errors by: NaN is the largest of all."""
    return math.inf if math.isnan(error) else error


def _rank_of(found: _Found) -> float:
    return _rank(found.error)


class _Case:
    """The subject in float64, its inputs and the random loss; one array of it can be moved at a time."""

    def __init__(self, subject: Any, inputs: list[Array], seed: int, training: bool) -> None:
        self.subject, self.inputs = _in_float64(subject, inputs, seed), inputs
        self.seed, self.training = seed, training
        self.parameters: dict[str, Parameter] = getattr(self.subject, "parameters", dict)()
        y, self.pullback = self.forward()
        self.dy = np.random.default_rng([seed, 0]).normal(size=y.shape)
        # What rounding alone may do to a slope at the largest step.
        self.noise = 16 * np.finfo(np.float64).eps * float(np.abs(y * self.dy).sum()) / _STEPS[0]

    def names(self) -> list[str]:
        count = len(self.inputs)
        return [*(["dx"] if count == 1 else [f"dx{i}" for i in range(count)]), *self.parameters]

    def forward(self) -> tuple[Array, Any]:
        if not hasattr(self.subject, "apply"):
            result = self.subject(*self.inputs)
        else:
            rng = np.random.default_rng(self.seed)  # the same draws at every step
            result = self.subject.apply(*self.inputs, training=self.training, rng=rng)
        if not isinstance(result, tuple) or len(result) != 2 or not callable(result[1]):
            raise TypeError(
                f"check_gradients: {self.subject!r:.100} returned {type(result).__name__}, not the output and a "
                f"pullback; return y, lambda dy: dx"
            )
        return np.asarray(result[0]), result[1]

    def gradients(self) -> dict[str, Array]:
        """Return every gradient by name, having checked that each is there and has its array's shape."""
        result = self.pullback(self.dy)
        dx, own = result if hasattr(self.subject, "apply") else (result, {})
        found = dict(zip(self.names(), dx if isinstance(dx, tuple) else (dx,), strict=False))
        found.update({name: own[p] for name, p in self.parameters.items() if p in own})
        for name in self.names():
            if name not in found:
                raise GradientError(f"check_gradients: the pullback gives no gradient for {name}")
            shape = np.shape(found[name])
            if shape != self.value(name).shape:
                raise GradientError(
                    f"check_gradients: the gradient of {name} has shape {shape}, not {self.value(name).shape}"
                )
        return found

    def value(self, name: str) -> Array:
        if name in self.parameters:
            return self.parameters[name].value
        return self.inputs[self.names().index(name)]

    def put(self, name: str, value: Array) -> None:
        if name in self.parameters:
            self.parameters[name].data = value
        else:
            self.inputs[self.names().index(name)] = value

    def loss(self, name: str, value: Array) -> float:
        """Return `Σ y·dy` with one array replaced."""
        before = self.value(name)
        self.put(name, value)
        y, _ = self.forward()
        self.put(name, before)
        return float((y * self.dy).sum())


def _compare(case: _Case, name: str, gradient: Array, rng: np.random.Generator) -> _Found:
    """Hold the gradient against the slope along one random direction, at the step where they agree best."""
    value = case.value(name)
    direction = rng.normal(size=value.shape)
    given, norm = float((gradient * direction).sum()), float(np.linalg.norm(gradient))
    scale = max(1.0, float(np.sqrt(np.mean(value**2)))) if value.size else 1.0
    best = _Found(given, math.nan, math.nan)
    for step in _STEPS:
        h = step * scale
        rise = case.loss(name, value + h * direction) - case.loss(name, value - h * direction)
        slope = rise / (2 * h)
        floor = max(norm, abs(slope)) + case.noise / _TOLERANCE
        error = abs(given - slope) / floor if floor else 0.0
        if math.isnan(best.error) or error < best.error:
            best = _Found(given, slope, error)
        if error <= _TOLERANCE:
            break
    return best


def _in_float64(subject: Any, inputs: list[Array], seed: int) -> Any:
    if not hasattr(subject, "apply"):
        return subject
    subject = copy.deepcopy(subject)
    if not isinstance(subject, Layer):
        return subject
    if any(parameter.data is None for parameter in subject.parameters().values()):
        subject.initialize_like(*inputs, seed=seed, dtype=np.float64)
    return subject.astype(np.float64)
