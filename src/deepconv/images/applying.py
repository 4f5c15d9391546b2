"""An effect over a whole picture: bits, colours, transparency, light and negative results done right.

The picture is taken band by band, so that beside picture and result only a few dozen megabytes are needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.images import effects
from deepconv.images.borders import check_border, extended, places
from deepconv.images.colour import from_linear, linear_table, to_linear
from deepconv.images.effects import kernel_total
from deepconv.images.filtering import check_anchor, check_number
from deepconv.images.picture import Picture
from deepconv.operators.planes import correlate_planes

__all__ = ["ALPHA", "SIGNED", "apply"]

SIGNED = ("clip", "absolute", "grey", "stretch")
"""How negative results may be shown."""

ALPHA = ("auto", "filter", "keep", "ignore")
"""What may be done with transparency."""

_OP = "apply"
_BAND = 1 << 21  # numbers of a band
_CHANNELS = 16  # a picture of a few rows with more channels than these has its axes in another order
_Pixels = TypeVar("_Pixels", Picture, Array)


def apply(
    picture: _Pixels,
    effect: Any,
    *,
    border: str = "reflect",
    constant: float = 0.0,
    divisor: float | str | None = None,
    offset: float = 0.0,
    signed: str | None = None,
    linear: bool = False,
    flip: bool = False,
    anchor: tuple[int, int] | None = None,
    alpha: str = "auto",
    **settings: Any,
) -> _Pixels:
    """Lay an effect over a picture and return a picture of the same kind.

    Every channel is filtered by itself, so colour stays colour. Integers come back as the same integers,
    rounded to the nearest (halves to the even one) and clipped, never wrapped; they are computed in float32
    for 8 bits and in float64 for 16. Floats come back as they come out, neither clipped nor scaled.

    Transparency: colours weigh as much as they are opaque, so a transparent pixel's hidden colour has no
    influence. With `alpha="filter"` the transparency is filtered too: edges of what is visible blur with it.
    With `"keep"` it stays, and a neighbour counts as much as it is opaque, what is missing taken to be like
    the pixel itself: the edge of a shape is then no edge of its colours. `"auto"` filters with kernels whose
    weights are all positive (blurs) and keeps with others; `"ignore"` takes every channel for a colour. Beyond
    the picture lies transparency for `border="zero"`, and the opaque constant for `"constant"`.

    Args:
        picture: a `Picture`, or an array `(H, W)` or `(H, W, C)` of uint8, uint16 or floats (0 black, 1 white);
            of two or four channels the last is alpha.
        effect: a name, alone or with settings, numbers written out, a file, an array or an `Effect`: see
            `deepconv.images.effect`.
        border: what stands beyond the picture; see `deepconv.images.borders`. `crop` leaves a smaller picture.
        constant: for `border="constant"`, from 0 for black to 1 for white.
        divisor: what the sums are divided by; `"sum"` for the sum of the weights; 1 if None, nothing is
            scaled by itself.
        offset: what is added then, as a part of the full range: 0.5 is half of it, whatever the depth.
        signed: how negative results are shown. `clip`: as 0. `absolute`: without their sign. `grey`: zero at
            middle grey, half the range to both sides. `stretch`: the least result of the picture as 0, the
            largest as full. None: for integers `absolute` where the weights sum to 0 (`grey` for emboss and
            gabor, `clip` for outline), else `clip`; for floats nothing is done.
        linear: filter light, not its encoding: sRGB's curve is undone first and redone before offset and signed.
        flip: turn the kernel by half a turn: convolution in place of correlation.
        anchor: the kernel's cell that stands on the pixel being computed, as for `correlate`.
        alpha: what is done with transparency.
        **settings: settings of a named kernel.

    Returns:
        What was given: a `Picture` with its profile, EXIF data and the like, or an array of the same dtype.

    Raises:
        TypeError: the picture is of a type that no picture has.
        ValueError: an argument is unknown, out of range or does not fit the picture.

    Example:
        >>> grey = np.array([[10, 10, 200, 200]], np.uint8)
        >>> apply(grey, "box", size=(1, 3))
        array([[ 10,  73, 137, 200]], dtype=uint8)
        >>> apply(grey, "-1 0 1", signed="grey")
        array([[128, 255, 255, 128]], dtype=uint8)
        >>> apply(grey.astype(np.float32), "-1 0 1").tolist()
        [[0.0, 190.0, 190.0, 0.0]]
    """
    chosen = effects.effect(effect, **settings)
    if isinstance(picture, str | bytes | os.PathLike):
        raise TypeError(f"{_OP}: picture={picture!r:.100} is a path; pass read_image(path)")
    given = picture if isinstance(picture, Picture) else Picture(as_array(_OP, "picture", picture))
    pixels = _checked(given.pixels)
    for name, value, words in (("signed", signed, (*SIGNED, None)), ("alpha", alpha, ALPHA)):
        if value not in words:
            raise ValueError(f"{_OP}: {name}={value!r} is not known; use one of {', '.join(map(str, words))}")
    kernels, anchor = laid_on(chosen, divisor, flip, anchor)
    check_border(_OP, border, pixels.shape, kernels[0].shape)
    whole = pixels.dtype.kind == "u"
    planes = pixels.reshape(*pixels.shape[:2], -1)
    work = _Work(
        pixels=planes,
        kernels=kernels,
        anchor=anchor,
        places=places(pixels.shape, kernels[0].shape, anchor, border),
        outside=_outside(planes, border, _part("constant", constant, whole), alpha),
        alpha=alpha_rule(planes.shape[2], alpha, kernels),
        linear=bool(linear),
        offset=_part("offset", offset, whole),
        shown=signed or (chosen.view if whole else "raw"),
    )
    out: Any = work.run().reshape(work.size + pixels.shape[2:])
    if not isinstance(picture, Picture):
        return out  # type: ignore[no-any-return]
    odd = linear and given.profile is not None
    notes = ("linear light was computed by sRGB's curve, not by the file's own profile",) if odd else ()
    result: Any = given.with_pixels(out, *notes)
    return result  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class _Work:
    """All that is decided before the first number is computed.

    Attributes:
        pixels: `(H, W, C)`.
        kernels: one or two, turned and divided already.
        anchor: of theirs.
        places: which rows and columns stand where the kernel reaches.
        outside: what stands beyond the picture, per channel.
        alpha: `none`, `filter` or `keep`.
        linear: whether light is filtered.
        offset: as a part of the full range.
        shown: one of `SIGNED`, or `raw`.
    """

    pixels: Array
    kernels: tuple[Array, ...]
    anchor: tuple[int, int]
    places: tuple[Array, Array]
    outside: Array
    alpha: str
    linear: bool
    offset: float
    shown: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result."""
        rows, columns = self.kernels[0].shape
        return len(self.places[0]) - rows + 1, len(self.places[1]) - columns + 1

    @property
    def full(self) -> float:
        """What stands for white."""
        return 1.0 if self.pixels.dtype.kind == "f" else float(np.iinfo(self.pixels.dtype).max)

    @property
    def kind(self) -> np.dtype[Any]:
        """What it is computed in."""
        wide = self.pixels.dtype in (np.uint16, np.float64)
        return np.dtype(np.float64 if wide else np.float32)

    def run(self) -> Array:
        """Return the whole result."""
        lowest, highest = 0.0, self.full
        if self.shown == "stretch":
            ends = [self._ends(top, stop) for top, stop in self._bands()]
            lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
        out = np.empty((*self.size, self.pixels.shape[2]), self.pixels.dtype)
        for top, stop in self._bands():
            colours, opaque = self._filtered(top, stop)
            colours = self._as_shown(colours, lowest, highest)
            out[top:stop, :, : colours.shape[2]] = self._rounded(colours)
            if opaque is not None:
                out[top:stop, :, -1:] = self._rounded(opaque.clip(0, 1) * self.full)
                out[top:stop, :, :-1][out[top:stop, :, -1] == 0] = 0
        return out

    def _bands(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last row of each band: large beside the kernel, small beside memory."""
        height = self.size[0]
        rows = max(4 * self.kernels[0].shape[0], _BAND // (len(self.places[1]) * self.pixels.shape[2]), 1)
        yield from ((top, min(height, top + rows)) for top in range(0, height, rows))

    def _filtered(self, top: int, stop: int) -> tuple[Array, Array | None]:
        """Return colours, in the picture's range but not clipped to it, and opacity from 0 to 1 if there is any."""
        rows, columns = self.places
        source = extended(self.pixels, rows[top : stop + self.kernels[0].shape[0] - 1], columns, self.outside)
        light = self._light(source if self.alpha == "none" else source[..., :-1])
        opaque: Array | None = None
        if self.alpha == "none":
            sums = [correlate_planes(light, kernel, border="crop") for kernel in self.kernels]
        else:
            sums, opaque = self._weighed(
                light, source[..., -1:].astype(self.kind) / self.kind.type(self.full)
            )
        colours = sums[0] if len(sums) == 1 else _magnitude(*sums)
        if self.linear:
            colours = from_linear(colours) * self.kind.type(self.full)
        if self.offset:
            colours += self.kind.type(self.offset * self.full)
        return colours, opaque

    def _light(self, colours: Array) -> Array:
        """Return colours as the numbers that are filtered: light from 0 to 1, or as they stand."""
        if not self.linear:
            return colours.astype(self.kind, copy=False)
        if colours.dtype.kind == "u":
            table: Array = linear_table(int(self.full))[colours]
            return table
        return to_linear(colours.astype(self.kind, copy=False))

    def _weighed(self, colours: Array, opaque: Array) -> tuple[list[Array], Array]:
        """Return each kernel's colours and the result's opacity, transparent pixels weighing nothing."""
        both = np.empty((*colours.shape[:2], colours.shape[2] + 1), self.kind)
        both[..., -1:] = opaque
        hidden = opaque[..., 0] == 0
        for channel in range(colours.shape[2]):  # by channel: NumPy is slow at three numbers at a time
            np.multiply(colours[..., channel], opaque[..., 0], out=both[..., channel])
        if self.pixels.dtype.kind == "f" and hidden.any():  # a product alone would leave a hidden NaN
            both[hidden] = 0
        sums = [correlate_planes(both, kernel, border="crop") for kernel in self.kernels]
        totals = [self.kind.type(kernel_total(kernel)) for kernel in self.kernels]
        weights = [total[..., -1] for total in sums]
        if self.alpha == "filter":
            visible = weights[0] > totals[0] * self.kind.type(1e-6)
            share = totals[0] / np.where(visible, weights[0], self.kind.type(np.inf))
            for channel in range(colours.shape[2]):
                sums[0][..., channel] *= share
            return [sums[0][..., :-1]], weights[0][..., None] / totals[0]
        (ay, ax), (height, width) = self.anchor, weights[0].shape
        own = np.s_[ay : ay + height, ax : ax + width]
        for result, weight, total in zip(sums, weights, totals, strict=True):
            # What its neighbours lack in opacity is taken to be like the pixel itself.
            lacking = np.where(hidden[own], 0, total - weight)
            for channel in range(colours.shape[2]):
                result[..., channel] += np.where(hidden[own], 0, colours[own][..., channel]) * lacking
        return [result[..., :-1] for result in sums], opaque[own]

    def _ends(self, top: int, stop: int) -> tuple[float, float]:
        """Return the least and the largest visible result of a band."""
        colours, opaque = self._filtered(top, stop)
        seen = colours if opaque is None else colours[opaque[..., 0] > 0]
        seen = seen[np.isfinite(seen)]
        return float(seen.min(initial=np.inf)), float(seen.max(initial=-np.inf))

    def _as_shown(self, colours: Array, lowest: float, highest: float) -> Array:
        """Return the colours with negative ones made visible."""
        if self.shown == "clip":
            return colours if self.pixels.dtype.kind == "u" else colours.clip(0, self.full)
        if self.shown == "absolute":
            return np.abs(colours, out=colours)
        if self.shown == "grey":
            colours += self.kind.type(self.full / 2)
        elif self.shown == "stretch" and highest > lowest:
            colours -= self.kind.type(lowest)
            colours *= self.kind.type(self.full / (highest - lowest))
        return colours

    def _rounded(self, values: Array) -> Array:
        """Return values that the picture's type holds."""
        if self.pixels.dtype.kind == "f":
            return values
        return np.rint(values, out=values).clip(0, self.full, out=values)


def _magnitude(down: Array, across: Array) -> Array:
    """Return the root of the sum of both squares, in the memory of the first."""
    down *= down
    across *= across
    down += across
    return np.sqrt(down, out=down)


def _checked(pixels: Array) -> Array:
    """Return the pixels in this machine's order of bytes; refuse what is no picture."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype not in (np.uint8, np.uint16) and pixels.dtype.kind != "f":
        remedy = (
            "multiply it by numpy.uint8(255)"
            if pixels.dtype == bool
            else "make it uint8, uint16 or floats from 0 to 1"
        )
        raise TypeError(f"{_OP}: picture has dtype {pixels.dtype} (shape {pixels.shape}); {remedy}")
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ValueError(
            f"{_OP}: picture has shape {pixels.shape}; use (height, width) or (height, width, channels), none of them 0"
        )
    if pixels.ndim == 3 and pixels.shape[0] <= 4 and pixels.shape[2] > _CHANNELS:
        raise ValueError(
            f"{_OP}: picture has shape {pixels.shape}, which looks like channels first; pass "
            f"numpy.moveaxis(picture, 0, -1), or use correlate, which takes any shape"
        )
    return pixels


def laid_on(
    chosen: effects.Effect, divisor: Any, flip: bool, anchor: Any
) -> tuple[tuple[Array, ...], tuple[int, int]]:
    """Return the kernels divided and turned, and the cell that stands on the pixel.

    Args:
        chosen: the effect.
        divisor: as for `apply`.
        flip: as for `apply`.
        anchor: as for `apply`.

    Raises:
        ValueError: the divisor or the anchor can't be.

    Example:
        >>> laid_on(effects.effect("1 2 3 4"), 2, True, None)
        ((array([[2. , 1.5, 1. , 0.5]]),), (0, 1))
    """
    if divisor == "sum":
        divisor = chosen.total
        if divisor == 0:
            raise ValueError(f"{_OP}: divisor='sum', but the weights of {chosen.name} sum to 0; leave it out")
    elif isinstance(divisor, str):
        raise ValueError(f"{_OP}: divisor={divisor!r}; use a number, 'sum' or None")
    by = 1 if divisor is None else check_number(_OP, "divisor", divisor)
    if by == 0:
        raise ValueError(f"{_OP}: divisor={divisor!r}; divide by another number than 0, or leave it out")
    ay, ax = check_anchor(_OP, anchor, chosen.kernels[0])
    kernels = tuple(kernel / np.float64(by) for kernel in chosen.kernels)
    if flip:
        rows, columns = kernels[0].shape
        kernels, (ay, ax) = tuple(k[::-1, ::-1] for k in kernels), (rows - 1 - ay, columns - 1 - ax)
    return kernels, (ay, ax)


def _part(name: str, value: Any, whole: bool) -> float:
    """Return a part of the full range; for integer pictures it is one."""
    number = check_number(_OP, name, value)
    low = -1 if name == "offset" else 0
    if whole and not low <= number <= 1:
        raise ValueError(
            f"{_OP}: {name}={value!r}; use a part of the full range, {low} to 1: middle grey is 0.5, whatever the depth"
        )
    return number


def alpha_rule(channels: int, asked: str, kernels: tuple[Array, ...]) -> str:
    """Return what is done with the last channel: `none`, `filter` or `keep`.

    Args:
        channels: the picture's; of two or four the last is alpha.
        asked: as for `apply`.
        kernels: divided already.

    Raises:
        ValueError: `filter` with kernels that can't.

    Example:
        >>> alpha_rule(4, "auto", (np.ones((3, 3)),)), alpha_rule(3, "auto", (np.ones((3, 3)),))
        ('filter', 'none')
    """
    if asked == "ignore" or channels not in (2, 4):
        return "none"
    positive = len(kernels) == 1 and kernel_total(kernels[0]) > 0
    if asked == "filter" and not positive:
        raise ValueError(
            f"{_OP}: alpha='filter' needs one kernel whose weights sum to more than 0; use 'keep'"
        )
    if asked == "auto":
        return "filter" if positive and bool((kernels[0] >= 0).all()) else "keep"
    return asked


def _outside(pixels: Array, border: str, constant: float, alpha: str) -> Array:
    """Return what stands beyond the picture: nothing, or an opaque constant."""
    channels, whole = pixels.shape[2], pixels.dtype.kind == "u"
    if border != "constant":
        return np.zeros(channels, pixels.dtype)
    full = float(np.iinfo(pixels.dtype).max) if whole else 1.0
    beyond = np.full(channels, constant * full)
    if alpha != "ignore" and channels in (2, 4):
        beyond[-1] = full
    return (np.rint(beyond) if whole else beyond).astype(pixels.dtype)
