"""The named kernels: what each does, its settings with their ranges, its formula, and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from deepconv.arrays import Array
from deepconv.geometry import whole_number
from deepconv.images import formulas

__all__ = ["KERNELS", "NamedKernel", "Setting", "kernel", "named_kernels"]


@dataclass(frozen=True)
class Setting:
    """One setting of a named kernel.

    Attributes:
        name: its keyword.
        default: what it is when it is not given; None is computed from the others.
        low: the least it may be.
        high: the most.
        kind: `number`, `whole`, or `size`: one whole number for both sides, or rows and columns (`3x7`).
        words: the only values it may have, if there are any.
        meaning: what it does, in a few words, with its unit.
    """

    name: str
    default: Any
    low: float = 0
    high: float = 0
    kind: str = "number"
    words: tuple[Any, ...] = ()
    meaning: str = ""

    @property
    def range(self) -> str:
        """What it may be, in words.

        Example:
            >>> KERNELS["emboss"].settings[0].range
            'e, ne, n, nw, w, sw, s, se'
        """
        if self.words:
            return ", ".join(map(str, self.words))
        if self.kind == "size":
            return f"{self.low:g} to {self.high:g}, or rows x columns such as 3x7"
        return f"{'whole numbers ' if self.kind == 'whole' else ''}{self.low:g} to {self.high:g}"

    def checked(self, op: str, value: Any) -> Any:
        """Return a value, which may be text, as its formula wants it.

        Args:
            op: the operation that asks, for the message.
            value: a number, a word, or either as text; None or `auto` for the default.

        Raises:
            ValueError: it can't be read, or is out of range.

        Example:
            >>> KERNELS["box"].settings[0].checked("kernel", "3x7")
            (3, 7)
        """
        if value is None or value == "auto":
            value = self.default
        if value is None:
            return None
        if self.words:
            found = next((word for word in self.words if str(word) == str(value).lower()), None)
        elif self.kind == "size":
            found = self._size(value)
        else:
            found = self._number(value)
        if found is None:
            raise ValueError(f"{op}: {self.name}={value!r}; use {self.range}")
        return found

    def _size(self, value: Any) -> tuple[int, int] | None:
        parts = value.lower().replace("×", "x").split("x") if isinstance(value, str) else value
        sides = list(parts) if isinstance(parts, (tuple, list)) else [parts]
        rows, columns = sides * 2 if len(sides) == 1 else sides if len(sides) == 2 else (None, None)
        down, across = self._number(rows, whole=True), self._number(columns, whole=True)
        return None if down is None or across is None else (int(down), int(across))

    def _number(self, value: Any, *, whole: bool = False) -> float | None:
        number: float | None = whole_number(value)
        if number is None and not isinstance(value, bool):
            try:
                number = float(value)
            except (TypeError, ValueError):
                return None
        if number is None or not math.isfinite(number) or not self.low <= number <= self.high:
            return None
        if number == int(number):
            return int(number)
        return None if whole or self.kind != "number" else number


@dataclass(frozen=True)
class NamedKernel:
    """One entry of the catalogue.

    Attributes:
        name: its name.
        does: what one sees, in a few words.
        formula: its weights.
        source: where the formula or the numbers come from.
        turned: what `convolve` makes of it, where `correlate` is what its description says.
        group: `blur`, `sharpen`, `edges`, `relief` or `texture`.
        settings: its settings, in order.
        parts: functions of the settings' values, each of them one kernel; where there are two, the effect is
            the root of the sum of the squares of both.
        view: how negative results of integer pictures are shown unless one says otherwise, where the weights
            sum to zero.
    """

    name: str
    does: str
    formula: str
    source: str
    turned: str
    group: str
    settings: tuple[Setting, ...]
    parts: tuple[Callable[..., Array], ...]
    view: str = "absolute"

    def values(self, op: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with its value, the given ones checked.

        Args:
            op: the operation that asks, for the message.
            settings: what was given; text is read as numbers where it must be.

        Raises:
            ValueError: a setting is unknown or out of range.

        Example:
            >>> KERNELS["sharpen"].values("kernel", {"amount": "0.5"})
            {'amount': 0.5}
        """
        known = {setting.name: setting for setting in self.settings}
        for name in settings:
            if name not in known:
                close = get_close_matches(name, known, 1)
                has = f"its settings are {', '.join(known)}" if known else "it has no settings"
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"{op}: {self.name} has no setting {name!r}{hint}; {has}")
        op = f"{op}: {self.name}"
        return {name: setting.checked(op, settings.get(name)) for name, setting in known.items()}


_SAME = "the same: it looks the same after half a turn"
_NEGATIVE = "the negative"
_CALCULUS = "finite differences"
_SIZE = Setting("size", None, 1, formulas.LARGEST, "size", meaning="cells; auto reaches to 3 sigma")
_SIGMA = Setting("sigma", None, 0.05, 160, meaning="width of the bell, in pixels")


def _slopes(name: str, smooth: tuple[int, int, int], source: str) -> list[NamedKernel]:
    """Return a pair of slopes and their magnitude."""
    x, y = (partial(formulas.slope, smooth, axis) for axis in "xy")
    weights = " ".join(map(str, smooth))
    title = name.capitalize()
    along = f"({weights}) across × (-1 0 1) along"
    return [
        NamedKernel(
            name, f"edges of every direction, by {title}", f"√({name}-x² + {name}-y²)",
            source, _SAME, "edges", (), (x, y),
        ),
        NamedKernel(
            f"{name}-x", "how fast it gets brighter rightwards", along, source, _NEGATIVE, "edges", (), (x,)
        ),
        NamedKernel(
            f"{name}-y", "how fast it gets brighter downwards", along, source, _NEGATIVE, "edges", (), (y,)
        ),
    ]  # fmt: skip


_ENTRIES = [
    NamedKernel(
        "identity", "nothing: the picture itself", "1 at the anchor", "definition",
        "the same, its one cell being its anchor", "blur",
        (Setting("size", (1, 1), 1, formulas.LARGEST, "size", meaning="cells"),), (formulas.identity,),
    ),
    NamedKernel(
        "box", "blur, every pixel of a rectangle counting alike", "1 / (rows · columns)", "mean filter", _SAME, "blur",
        (Setting("size", (3, 3), 1, formulas.LARGEST, "size", meaning="cells"),), (formulas.box,),
    ),
    NamedKernel(
        "gaussian", "soft blur", "exp(-(x² + y²) / 2σ²), divided by its sum",
        "sampled normal density; size from sigma is 2·ceil(3σ) + 1, sigma from size OpenCV's "
        "0.3·((size - 1)/2 - 1) + 0.8, neither: sigma 1", _SAME, "blur", (_SIZE, _SIGMA), (formulas.gaussian,),
    ),
    NamedKernel(
        "motion", "blur along a line, as if the camera had moved",
        "max(0, 1 - distance to the line), divided by its sum", "the rule of MATLAB's fspecial('motion')",
        _SAME, "blur",
        (
            Setting("length", 9, 1, 1000, meaning="of the line, in pixels"),
            Setting("angle", 0, -360, 360, meaning="degrees counter-clockwise from rightwards"),
        ),
        (formulas.motion,),
    ),
    NamedKernel(
        "sharpen", "crisper detail", "identity - amount · laplacian", "Laplacian sharpening", _SAME, "sharpen",
        (Setting("amount", 1, 0, 100, meaning="how much"),), (formulas.sharpen,),
    ),
    NamedKernel(
        "unsharp", "crisper edges, of a chosen width", "identity + amount · (identity - gaussian)", "unsharp mask",
        "the same for odd sizes", "sharpen",
        (_SIZE, Setting("sigma", 2, 0.05, 160, meaning="width of the bell, in pixels"),
         Setting("amount", 1, 0, 100, meaning="how much")), (formulas.unsharp,),
    ),
    NamedKernel(
        "outline", "outlines on black", "8 · pixel - its 8 neighbours", _CALCULUS, _SAME, "edges",
        (), (formulas.outline,), view="clip",
    ),
    NamedKernel(
        "laplacian", "where brightness bends: edges and points", "neighbours - n · pixel", _CALCULUS, _SAME, "edges",
        (Setting("neighbours", 4, words=(4, 8), meaning="how many count"),), (formulas.laplacian,),
    ),
    NamedKernel(
        "log", "edges and blobs of a chosen size", "(r² - 2σ²) / σ⁴ · gaussian, less its mean",
        "Laplacian of Gaussian (Marr and Hildreth 1980)", _SAME, "edges",
        (_SIZE, Setting("sigma", 1.4, 0.3, 160, meaning="width of the bell, in pixels")),
        (formulas.laplacian_of_gaussian,),
    ),
    NamedKernel(
        "dog", "detail between two sizes", "gaussian(sigma1) - gaussian(sigma2)",
        "difference of Gaussians; a ratio of 1.6 is nearest to log (Marr and Hildreth 1980)", _SAME, "edges",
        (_SIZE, Setting("sigma1", 1, 0.05, 160, meaning="width of the narrow bell, in pixels"),
         Setting("sigma2", 1.6, 0.05, 160, meaning="width of the wide one")),
        (formulas.difference_of_gaussians,),
    ),
    *_slopes("sobel", (1, 2, 1), "Sobel and Feldman 1968"),
    *_slopes("prewitt", (1, 1, 1), "Prewitt 1970"),
    *_slopes("scharr", (3, 10, 3), "Scharr 2000"),
    NamedKernel(
        "ridge", "lines one pixel wide", "2 along the line, -1 beside it", "line detection (Gonzalez and Woods)",
        _SAME, "edges", (Setting("angle", 0, words=(0, 45, 90, 135), meaning="of the lines, in degrees"),),
        (formulas.ridge,),
    ),
    NamedKernel(
        "emboss", "relief, lit from the side that the direction leaves", "base · identity + slope in the direction",
        "ring 2 1 0 -1 -2 -1 0 1 around the pixel", "lit from the other side", "relief",
        (
            Setting(
                "direction", "se", words=("e", "ne", "n", "nw", "w", "sw", "s", "se"), meaning="of rising brightness"
            ),
            Setting("base", 1, words=(0, 1), meaning="1 keeps the picture, 0 leaves the relief alone on grey"),
        ),
        (formulas.emboss,), view="grey",
    ),
    NamedKernel(
        "gabor", "texture of one spacing and direction", "exp(-(u² + γ²v²) / 2σ²) · cos(2πu/λ + φ), balanced",
        "Gabor 1946, Daugman 1985", "the same for phase 0, the negative for 90", "texture",
        (
            Setting("size", None, 1, formulas.LARGEST, "size", meaning="cells; auto reaches to 3 sigma"),
            Setting("wavelength", 8, 2, 100, meaning="λ, in pixels"),
            Setting("angle", 0, -360, 360, meaning="the wave's direction, degrees counter-clockwise"),
            Setting("sigma", None, 0.3, 160, meaning="σ, the bell's width; auto is 0.56 λ"),
            Setting("aspect", 0.5, 0.1, 10, meaning="γ, below 1 for a bell longer across the wave"),
            Setting("phase", 0, -360, 360, meaning="φ, in degrees"),
            Setting("balance", 1, words=(0, 1), meaning="1: weights sum to 0, the positive ones to 1; 0: bare formula"),
        ),
        (formulas.gabor,), view="grey",
    ),
]  # fmt: skip

KERNELS: Mapping[str, NamedKernel] = {entry.name: entry for entry in _ENTRIES}
"""Every named kernel, in the order in which they are shown."""


def kernel(name: str, **settings: Any) -> Array:
    """Return a named kernel's numbers.

    Args:
        name: one of `KERNELS`.
        **settings: its settings; see `KERNELS[name].settings`.

    Returns:
        `(rows, columns)`: int64 where the weights are whole, float64 elsewhere.

    Raises:
        ValueError: the name or a setting is unknown or out of range, or the name stands for the magnitude of
            two kernels.

    Example:
        >>> kernel("sharpen")
        array([[ 0, -1,  0],
               [-1,  5, -1],
               [ 0, -1,  0]])
        >>> kernel("gaussian", size=5, sigma=1.2).shape
        (5, 5)
        >>> kernel("sobel")
        Traceback (most recent call last):
        ValueError: kernel: 'sobel' is the magnitude of two kernels; take 'sobel-x' and 'sobel-y', or apply(...)
    """
    parts = named_kernels("kernel", name, settings)[1]
    if len(parts) > 1:
        raise ValueError(
            f"kernel: {name!r} is the magnitude of two kernels; take '{name}-x' and '{name}-y', "
            f"or apply(picture, {name!r})"
        )
    return parts[0]


def _instead(name: str) -> str:
    """Return what may have been meant: a close name, a whole group such as `blur`, or any of all."""
    lower = name.lower()
    group = [other for other, entry in KERNELS.items() if entry.group in (lower, f"{lower}s", f"{lower}en")]
    if group:
        return f"of that kind there are {', '.join(other for other in group if other != 'identity')}"
    close = get_close_matches(lower, KERNELS, 1)
    hint = f"did you mean {close[0]!r}?; " if close else ""
    return f"{hint}there are {', '.join(KERNELS)}"


def named_kernels(
    op: str, name: str, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Array, ...]]:
    """Return a name's settings, all of them, and its kernels: two where it is a magnitude.

    Args:
        op: the operation that asks, for the message.
        name: one of `KERNELS`.
        settings: those that are given; text is read.

    Returns:
        `(settings, kernels)`.

    Raises:
        ValueError: the name or a setting is unknown or out of range.

    Example:
        >>> [k.shape for k in named_kernels("apply", "sobel", {})[1]]
        [(3, 3), (3, 3)]
    """
    entry = KERNELS.get(name)
    if entry is None:
        raise ValueError(f"{op}: no kernel is named {name!r}; {_instead(name)}")
    values = entry.values(op, settings)
    parts = tuple(part(**values) for part in entry.parts)
    if max(side for part in parts for side in part.shape) > formulas.LARGEST:
        raise ValueError(
            f"{op}: {name} would have {parts[0].shape} cells; the most is {formulas.LARGEST} a side"
        )
    return values, parts
