"""Schedules: how the learning rate changes along a run, step by step.

A schedule is called as `schedule(step, total)` before each step (batch), counted from 0, and returns the
factor on the optimizer's learning rate. Any function of that form will do in place of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from deepconv.training.settings import number

__all__ = ["Constant", "Cosine", "OneCycle", "Schedule", "StepDecay", "WarmUp"]

Schedule = Callable[[int, int], float]


@dataclass(frozen=True)
class Constant:
    """The learning rate as it is.

    Example:
        >>> Constant()(7, 100)
        1.0
    """

    def __call__(self, step: int, total: int) -> float:
        """Return the factor for `step` of `total`."""
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """Multiply by `factor` at given points of the run.

    Args:
        at: the points, as fractions of the run, each between 0 and 1.
        factor: from 0 to 1.

    Raises:
        ValueError: a point or the factor is out of range.

    Example:
        >>> [StepDecay(at=(0.5, 0.75), factor=0.5)(step, 4) for step in range(4)]
        [1.0, 1.0, 0.5, 0.25]
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        _check("StepDecay", "factor", self.factor)
        if not isinstance(self.at, tuple | list):
            raise TypeError(f"StepDecay: at={self.at!r} is not a sequence; use (0.5, 0.75)")
        for point in self.at:
            _check("StepDecay", "at", point)

    def __call__(self, step: int, total: int) -> float:
        """Return the factor for `step` of `total`."""
        # the quotient, not the product: 0.1 · 30 is above 3, while 3 / 30 is the very float that 0.1 is
        return float(self.factor ** sum(step / total >= point for point in self.at))


@dataclass(frozen=True)
class Cosine:
    """From 1 down to `end` along half a cosine wave (Loshchilov and Hutter, "SGDR", 2017).

    Args:
        end: the factor that the run would reach one step after its last.

    Raises:
        ValueError: `end` is not from 0 to 1.

    Example:
        >>> [round(Cosine()(step, 4), 3) for step in range(4)]
        [1.0, 0.854, 0.5, 0.146]
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        _check("Cosine", "end", self.end)

    def __call__(self, step: int, total: int) -> float:
        """Return the factor for `step` of `total`."""
        return _wave(1.0, self.end, step / total)


@dataclass(frozen=True)
class WarmUp:
    """Rise in a straight line from `start` to 1, then follow another schedule over what is left.

    Args:
        fraction: the part of the run spent rising.
        start: the factor of the first step.
        then: the schedule after it.

    Raises:
        ValueError: a setting is not from 0 to 1.

    Example:
        >>> [round(WarmUp(0.5, start=0.2)(step, 8), 2) for step in range(6)]
        [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    """

    fraction: float = 0.05
    start: float = 0.01
    then: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        _check("WarmUp", "fraction", self.fraction)
        _check("WarmUp", "start", self.start)

    def __call__(self, step: int, total: int) -> float:
        """Return the factor for `step` of `total`."""
        rising = round(self.fraction * total)
        if step < rising:
            return self.start + (1 - self.start) * step / rising
        return self.then(step - rising, total - rising)


@dataclass(frozen=True)
class OneCycle:
    """Rise to the full learning rate, then fall far below where it began, both along half a cosine wave.

    The defaults are PyTorch's, after Smith and Topin, "Super-Convergence", 2018. The last step has the
    factor `end` exactly.

    Args:
        rise: the part of the run in which the rate rises.
        start: the factor of the first step.
        end: the factor of the last step.

    Raises:
        ValueError: a setting is not from 0 to 1.

    Example:
        >>> [round(OneCycle(rise=0.5, start=0.1, end=0.0)(step, 6), 3) for step in range(6)]
        [0.1, 0.55, 1.0, 0.75, 0.25, 0.0]
    """

    rise: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 25e4

    def __post_init__(self) -> None:
        for name in ("rise", "start", "end"):
            _check("OneCycle", name, getattr(self, name))

    def __call__(self, step: int, total: int) -> float:
        """Return the factor for `step` of `total`."""
        top = min(max(self.rise * total - 1, 0.0), total - 1.0)  # the rise's last step; may lie between two
        if step <= top and top > 0:
            return _wave(self.start, 1.0, step / top)
        return _wave(1.0, self.end, (step - top) / max(total - 1 - top, 1.0))


def _wave(start: float, end: float, fraction: float) -> float:
    """Return the height of half a cosine wave from `start` to `end` after a fraction of its length."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def _check(op: str, name: str, value: float) -> None:
    if not 0 <= number(op, name, value) <= 1:
        raise ValueError(f"{op}: {name}={value} is not from 0 to 1")
