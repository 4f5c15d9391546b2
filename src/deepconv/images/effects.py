"""What people mean by an effect, a name with settings, their own numbers or a file, as kernels and a way to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.images.filtering import check_kernel
from deepconv.images.kernel_files import format_kernel, parse_kernel, read_kernel
from deepconv.images.kernels import KERNELS, named_kernels

__all__ = ["GALLERY", "Effect", "describe", "effect", "names_file"]

_FILES = (".npy", ".json", ".csv", ".tsv", ".txt")
_COLUMNS_SHOWN = 15

GALLERY: Mapping[str, Mapping[str, Any]] = {
    "identity": {},
    "box size=5": {},
    "gaussian sigma=2": {},
    "motion length=15 angle=30": {},
    "sharpen": {},
    "unsharp sigma=2 amount=1.5": {},
    "outline": {},
    "laplacian neighbours=4": {},
    "laplacian neighbours=8": {},
    "log sigma=1.4": {"divisor": 0.1},
    "dog sigma1=1 sigma2=1.6": {"divisor": 0.1},
    **{f"sobel{part}": {} for part in ("", "-x", "-y")},
    **{f"prewitt{part}": {} for part in ("", "-x", "-y")},
    **{f"scharr{part}": {"divisor": 4} for part in ("", "-x", "-y")},
    **{f"ridge angle={angle}": {} for angle in (0, 45, 90, 135)},
    **{f"emboss direction={direction}": {} for direction in ("n", "ne", "e", "se", "s", "sw", "w", "nw")},
    **{f"gabor angle={angle}": {"divisor": 0.25} for angle in (0, 45, 90, 135)},
}
"""A contact sheet: for each of its pictures a text for `effect`, and what else to tell `apply`.

Every named kernel is there, in every direction of those that have one. Nothing is scaled by itself: where the
weights make a result too faint or too bright to be looked at, a divisor stands here.
"""


@dataclass(frozen=True, eq=False)
class Effect:
    """Kernels, and how their results are shown.

    Attributes:
        name: the kernel's name; of a file its name; of numbers `own kernel`.
        kernels: one kernel, or two whose results are joined as the root of the sum of their squares.
        settings: every setting of a named kernel, with its value.
        given: the settings that were given.
        view: how negative results of integer pictures are shown unless one says otherwise.

    Example:
        >>> effect("gaussian size=7,sigma=1.2")
        Effect('gaussian size=7 sigma=1.2')
    """

    name: str
    kernels: tuple[Array, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    view: str = "clip"

    def __str__(self) -> str:
        """Return the text that `effect` reads back, for a named kernel."""
        return " ".join([self.name, *(f"{name}={_written(value)}" for name, value in self.given.items())])

    def __repr__(self) -> str:
        """Return it as one writes it, without the numbers."""
        return f"Effect({str(self)!r})"

    @property
    def total(self) -> float:
        """The sum of the weights, exactly 0 where rounding alone keeps it from that; 0 for a magnitude."""
        return 0.0 if len(self.kernels) > 1 else kernel_total(self.kernels[0])


def kernel_total(kernel: Array) -> float:
    """Return the sum of a kernel's weights, exactly 0 where rounding alone keeps it from that.

    Example:
        >>> kernel_total(np.array([[0.1, 0.2, -0.3]]))
        0.0
    """
    total, size = float(kernel.sum(dtype=np.float64)), float(np.abs(kernel.astype(np.float64)).sum())
    return 0.0 if abs(total) <= 1e-9 * size else total


def effect(what: Any, **settings: Any) -> Effect:
    """Return an effect from whatever says which one.

    Args:
        what: a name of `KERNELS`, alone or with settings (`"gaussian size=7,sigma=1.2"`); numbers written out
            (`"1 2 1; 2 4 2; 1 2 1"`, `"[[1, 2, 1]]"`); the name of a file that ends in .npy, .json, .csv, .tsv
            or .txt, or a `Path`; an array; an `Effect`.
        **settings: settings of a named kernel; they win over those in the text.

    Returns:
        The effect.

    Raises:
        ValueError: there is no such name or setting, a setting is out of range, or text or file hold no kernel.
        TypeError: an array does not hold numbers.

    Example:
        >>> effect("sharpen", amount=2).kernels[0].tolist()
        [[0, -2, 0], [-2, 9, -2], [0, -2, 0]]
        >>> effect("1 2 1; 2 4 2; 1 2 1").total
        16.0
    """
    if isinstance(what, str) and not _is_own(what):
        return _named(what, settings)
    if settings:
        raise ValueError(f"effect: {', '.join(settings)} can't be set; only named kernels have settings")
    if isinstance(what, Effect):
        return what
    if isinstance(what, Path) or (isinstance(what, str) and names_file(what)):
        path = what if isinstance(what, Path) else Path(what.strip())
        return _own(path.name, read_kernel(path))
    if isinstance(what, str):
        return _own("own kernel", parse_kernel(what))
    return _own("own kernel", check_kernel("effect", what))


def describe(what: Any, **settings: Any) -> str:
    """Return all there is to know of an effect, as text: what it does, formula, settings, numbers.

    Args:
        what: as for `effect`.
        **settings: as for `effect`.

    Returns:
        Some lines.

    Raises:
        ValueError: as for `effect`.
        TypeError: as for `effect`.

    Example:
        >>> print(describe("sobel-x"))
        sobel-x: how fast it gets brighter rightwards
        weights: (1 2 1) across × (-1 0 1) along; Sobel and Feldman 1968
        turned by half a turn (convolve): the negative
        3 × 3, sum 0, negative results shown: absolute
          -1  0  1
          -2  0  2
          -1  0  1
    """
    chosen = effect(what, **settings)
    lines = [chosen.name]
    entry = KERNELS.get(chosen.name)
    if entry is not None and chosen.settings.keys() == {s.name for s in entry.settings}:
        lines = [f"{entry.name}: {entry.does}", f"weights: {entry.formula}; {entry.source}"]
        lines.append(f"turned by half a turn (convolve): {entry.turned}")
        for setting in entry.settings:
            value = _written(chosen.settings[setting.name])
            lines.append(f"{setting.name}={value}: {setting.meaning}; {setting.range}")
    for kernel in chosen.kernels:
        rows, columns = kernel.shape
        lines.append(
            f"{rows} × {columns}, sum {kernel_total(kernel):.6g}, negative results shown: {chosen.view}"
        )
        if max(rows, columns) <= _COLUMNS_SHOWN:
            shown = kernel if kernel.dtype.kind in "biu" else np.round(kernel, 6) + 0.0
            lines += [f"  {line}" for line in format_kernel(shown).splitlines()]
    return "\n".join(lines)


def _is_own(text: str) -> bool:
    """Tell whether a text holds numbers or names a file, rather than a named kernel."""
    return not text.strip()[:1].isalpha() or names_file(text)


def names_file(text: str) -> bool:
    """Say whether `effect` takes a text for the name of a file; what takes texts from strangers asks first.

    Args:
        text: as `effect` takes it.

    Example:
        >>> names_file("mine.csv"), names_file("mine.csv/."), names_file("sharpen amount=0.5")
        (True, True, False)
    """
    return Path(text.strip()).suffix.lower() in _FILES


def _named(text: str, settings: Mapping[str, Any]) -> Effect:
    """Return the effect of a name and settings in one text."""
    name, *pairs = re.split(r"[\s,:]+", text.strip().rstrip(","))
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ValueError(
                f"effect: {pair!r} in {text!r} is no setting; write settings as in 'gaussian size=7,sigma=1.2'"
            )
        if key in given:
            raise ValueError(f"effect: {text!r} sets {key} twice; set it once")
        given[key] = value
    given |= settings
    values, kernels = named_kernels("effect", name, given)
    chosen = Effect(name, kernels, values, {key: values[key] for key in given})
    return Effect(name, kernels, values, chosen.given, KERNELS[name].view if _zero_sum(kernels) else "clip")


def _own(name: str, kernel: Array) -> Effect:
    return Effect(name, (kernel,), view="absolute" if _zero_sum((kernel,)) else "clip")


def _zero_sum(kernels: tuple[Array, ...]) -> bool:
    return all(kernel_total(kernel) == 0 for kernel in kernels)


def _written(value: Any) -> str:
    if value is None:
        return "auto"
    if isinstance(value, tuple):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(value)
