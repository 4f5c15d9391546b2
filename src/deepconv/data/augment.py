"""Augmentation: small random changes to training pictures that leave their meaning as it is.

Each is called as `change(x, rng)` on a batch `(N, C, H, W)` and returns a new batch of the same shape and
dtype; every sample is changed on its own. The result depends on x, the generator and nothing else, and x
is not changed. Any function of that form can stand beside these in a `Compose`.

Coordinates are in pixels, rows downwards. What comes in from outside the picture is `fill`: give the
value that paper has *after* preprocessing. For photographs, where no value is right, `border="mirror"`
brings in the picture itself, mirrored at its edge: moved so, it is what a crop further on would show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from deepconv.arrays import Array

__all__ = ["Affine", "Augment", "ColourJitter", "Compose", "CutOut", "Flip", "Mixup", "Noise", "Shift"]

Augment = Callable[[Array, np.random.Generator], Array]


class Compose:
    """Several changes, one after the other.

    Args:
        steps: each called as `step(x, rng)`.

    Example:
        >>> change = Compose(Shift(1), Noise(0.1))
        >>> change
        Compose(Shift(pixels=1, fill=0.0), Noise(std=0.1))
        >>> change(np.zeros((2, 1, 8, 8)), np.random.default_rng(0)).shape
        (2, 1, 8, 8)
    """

    def __init__(self, *steps: Augment) -> None:
        self.steps = steps

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed batch."""
        for step in self.steps:
            x = step(x, rng)
        return x

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.steps))})"


class _Bordered:
    """What has a border setting says so only where it isn't the usual one, as it did before there was one."""

    def __repr__(self) -> str:
        shown = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        shown = {name: value for name, value in shown.items() if (name, value) != ("border", "fill")}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True, repr=False)
class Shift(_Bordered):
    """Move each picture by whole pixels, up to `pixels` in each direction: a crop, shifted at random.

    Args:
        pixels: the farthest move.
        fill: what comes in at the edge.
        border: "fill", or "mirror" for the picture itself, mirrored.

    Raises:
        ValueError: `pixels` is negative, or `border` is neither of the two.

    Example:
        >>> x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
        >>> Shift(1)(x, np.random.default_rng(3))[0, 0]
        array([[0., 4., 5.],
               [0., 7., 8.],
               [0., 0., 0.]])
    """

    pixels: int
    fill: float = 0.0
    border: str = "fill"

    def __post_init__(self) -> None:
        _check("Shift", "pixels", self.pixels)
        _check_border("Shift", self.border)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed batch."""
        n, _, height, width = _images("Shift", x)
        rows, columns = rng.integers(0, 2 * self.pixels + 1, (2, n))
        if self.border == "mirror":
            edge = (self.pixels, self.pixels)
            framed = np.pad(x, ((0, 0), (0, 0), edge, edge), "reflect") if x.size else x.repeat(1, axis=0)
        else:
            framed = _framed(x, self.pixels, self.fill)
        windows = np.lib.stride_tricks.sliding_window_view(framed, (height, width), axis=(2, 3))
        moved: Array = windows[np.arange(n), :, rows, columns]
        return moved


@dataclass(frozen=True, repr=False)
class Affine(_Bordered):
    """Turn, resize and move each picture about its centre, by bilinear interpolation, in one go.

    Each sample draws its angle, its two moves and its size evenly from the ranges given. Combining them
    costs one interpolation and blurs once. Beyond the edge the picture fades into `fill` within a pixel.

    Args:
        degrees: the largest angle, to either side.
        scale: the largest change of size: 0.1 is from 1/1.1 to 1.1 times, evenly in the logarithm.
        shift: the farthest move in pixels, to each side, whole or not.
        shear: the largest slant, as columns per row: 0.1 moves the top of a picture of 20 rows by one.
        fill: what comes in from outside.
        border: "fill", or "mirror" for the picture itself, mirrored.

    Raises:
        ValueError: a setting is negative, or `border` is neither of the two.
        TypeError: x is not of floats.

    Example:
        >>> x = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
        >>> Affine(degrees=10, scale=0.1, shift=0.5)(x, np.random.default_rng(0)).dtype
        dtype('float32')
    """

    degrees: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    fill: float = 0.0
    border: str = "fill"

    def __post_init__(self) -> None:
        for name in ("degrees", "scale", "shift", "shear"):
            _check("Affine", name, getattr(self, name))
        _check_border("Affine", self.border)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed batch."""
        n = _images("Affine", x)[0]
        angle, size, slant, down, right = rng.uniform(-1, 1, (5, n))
        angle, slant = np.deg2rad(angle * self.degrees), slant * self.shear
        grow = np.exp(-size * np.log1p(self.scale))  # from the new picture back to the old
        cos, sin = grow * np.cos(angle), grow * np.sin(angle)
        # rows and columns of the inverse map: turn and resize after slanting
        back = np.array([[cos, sin], [slant * cos - sin, slant * sin + cos]])
        move = np.array([down, right]) * self.shift
        return warp(x, back, move, fill=self.fill, border=self.border)


def warp(x: Array, back: Array, shift: Array, *, fill: float = 0.0, border: str = "fill") -> Array:
    """Sample each picture where an affine map says, by bilinear interpolation.

    The pixel at p, counted from the picture's centre, becomes what x has at `back @ p + shift`.

    Args:
        x: `(N, C, H, W)`, floats.
        back: one matrix per sample, `(2, 2, N)`, on (row, column).
        shift: one (row, column) per sample, `(2, N)`, in pixels.
        fill: what lies outside.
        border: "fill", or "mirror" where the picture itself, mirrored, lies outside.

    Returns:
        the warped batch, of x's shape and dtype.

    Raises:
        TypeError: x is not of floats.
        ValueError: x does not have four axes.

    Example:
        >>> turn = np.array([[0.0, 1.0], [-1.0, 0.0]])[..., None]
        >>> warp(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), turn, np.zeros((2, 1)))[0, 0]
        array([[2., 4.],
               [1., 3.]])
    """
    n, channels, height, width = _images("warp", x)
    if x.dtype.kind != "f":
        raise TypeError(
            f"warp: x has dtype {x.dtype}, which can't hold values between; use astype(np.float32)"
        )
    compute = np.result_type(x.dtype, np.float32)
    framed = _framed(x, 1, fill)  # with coordinates clipped to it, one pixel stands for all that is outside
    y = np.empty(x.shape, compute)
    few = max(1, 16384 // max(channels * height * width, 1))  # as many pictures as the cache holds
    for start in range(0, n, few):
        part = slice(start, start + few)
        rows, columns = _places(
            back[..., part].astype(compute), shift[:, part].astype(compute), height, width, border
        )
        y[part] = _blend(framed[part].astype(compute, copy=False), rows, columns).reshape(y[part].shape)
    return y.astype(x.dtype, copy=False)


def _places(back: Array, shift: Array, height: int, width: int, border: str) -> list[Array]:
    """Return the row and the column, in the framed picture, that each new pixel is read at, `(N, H, W)`."""
    down = np.arange(height, dtype=back.dtype)[:, None] - (height - 1) / 2
    right = np.arange(width, dtype=back.dtype) - (width - 1) / 2
    places = []
    for axis, size in enumerate((height, width)):
        vertical, horizontal, move = (a[:, None, None] for a in (*back[axis], shift[axis]))
        place = vertical * down + horizontal * right
        if border == "mirror":
            place += move + (size - 1) / 2
            turn = max(2 * (size - 1), 1)  # there and back again
            np.abs(place, out=place)
            if place.size and place.max() > turn:
                place %= turn
            np.minimum(place, turn - place, out=place)
            place += 1
        else:
            place += move + ((size - 1) / 2 + 1)
        places.append(np.clip(place, 0, size + 1, out=place))
    return places


def _blend(framed: Array, rows: Array, columns: Array) -> Array:
    """Return what the framed pictures `(N, C, H + 2, W + 2)` have between pixels, `(N, C, H·W)`."""
    n, channels, height, width = framed.shape
    top, left = np.minimum(np.floor(rows), height - 2), np.minimum(np.floor(columns), width - 2)
    down, right = (rows - top).reshape(n, 1, -1), (columns - left).reshape(n, 1, -1)
    corner = (top * width + left).astype(np.intp).reshape(n, 1, -1)
    corner = corner + (np.arange(n * channels) * (height * width)).reshape(n, channels, 1)
    flat = framed.reshape(-1)
    upper: Array = flat.take(corner)
    lower: Array = flat.take(corner + width)
    upper += (flat.take(corner + 1) - upper) * right
    lower += (flat.take(corner + (width + 1)) - lower) * right
    lower -= upper
    lower *= down
    lower += upper
    return lower


@dataclass(frozen=True)
class Flip:
    """Mirror each picture left to right, with a probability. Not for digits or letters.

    Args:
        probability: from 0 to 1.

    Raises:
        ValueError: `probability` is not from 0 to 1.

    Example:
        >>> Flip(1.0)(np.array([[[[1, 2, 3]]]]), np.random.default_rng(0))[0, 0]
        array([[3, 2, 1]])
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        _check("Flip", "probability", self.probability, most=1)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed batch."""
        n = _images("Flip", x)[0]
        flip = rng.random(n) < self.probability
        return np.where(flip[:, None, None, None], x[..., ::-1], x)


@dataclass(frozen=True)
class CutOut:
    """Cover a square of each picture (DeVries and Taylor, 2017).

    The square's centre falls anywhere in the picture, so that it may reach over the edge.

    Args:
        size: the square's side in pixels.
        fill: what covers it.

    Raises:
        ValueError: `size` is negative.

    Example:
        >>> CutOut(2)(np.ones((1, 1, 3, 4)), np.random.default_rng(0))[0, 0]
        array([[1., 1., 1., 1.],
               [1., 0., 0., 1.],
               [1., 0., 0., 1.]])
    """

    size: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check("CutOut", "size", self.size)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed batch."""
        n, _, height, width = _images("CutOut", x)
        hidden = []
        for length in (height, width):
            start = rng.integers(0, length, n)[:, None] - self.size // 2
            place = np.arange(length)
            hidden.append((place >= start) & (place < start + self.size))
        square = hidden[0][:, None, :, None] & hidden[1][:, None, None, :]
        return np.where(square, np.asarray(self.fill, x.dtype), x)


@dataclass(frozen=True)
class Noise:
    """Add normal noise to every number.

    Args:
        std: its standard deviation, in the units of x.

    Raises:
        ValueError: `std` is negative.
        TypeError: x is not of floats.

    Example:
        >>> Noise(0.5)(np.zeros((1, 1, 1, 2)), np.random.default_rng(0)).round(3)
        array([[[[ 0.063, -0.066]]]])
    """

    std: float

    def __post_init__(self) -> None:
        _check("Noise", "std", self.std)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed batch."""
        if x.dtype.kind != "f":
            raise TypeError(f"Noise: x has dtype {x.dtype}; use astype(np.float32)")
        dtype = np.float64 if x.dtype == np.float64 else np.float32
        noise = np.asarray(rng.standard_normal(x.shape, dtype))
        noise = noise * self.std + x
        return noise.astype(x.dtype, copy=False)


@dataclass(frozen=True)
class ColourJitter:
    """Make each picture brighter or darker, harder or softer, more colourful or paler.

    Each sample draws three factors: 0.2 is from 1/1.2 to 1.2 times, evenly in the logarithm. Brightness
    multiplies; contrast stretches about the picture's mean brightness; saturation stretches each pixel's
    colours about its own brightness (ITU-R BT.601's). Values run from 0 to 1 and stay there.

    Args:
        brightness: the largest change.
        contrast: the largest change.
        saturation: the largest change; without three channels there is none.

    Raises:
        ValueError: a setting is negative.
        TypeError: x is not of floats.

    Example:
        >>> x = np.full((1, 3, 1, 1), 0.5)
        >>> ColourJitter(brightness=0.5)(x, np.random.default_rng(0)).round(2).ravel()
        array([0.56, 0.56, 0.56])
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            _check("ColourJitter", name, getattr(self, name))

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the changed batch."""
        n, channels, _, _ = _images("ColourJitter", x)
        if x.dtype.kind != "f":
            raise TypeError(f"ColourJitter: x has dtype {x.dtype}; use astype(np.float32)")
        widths = np.log1p([[self.brightness], [self.contrast], [self.saturation]])
        factors = np.exp(rng.uniform(-1, 1, (3, n)) * widths)
        light, contrast, colour = factors.astype(np.result_type(x.dtype, np.float32))[..., None, None, None]
        y = x * light
        grey = _brightness(y)
        middle = grey.mean(axis=(2, 3), keepdims=True) if grey.size else grey
        y = (y - middle) * contrast + middle
        if channels == 3 and self.saturation:
            grey = (grey - middle) * contrast + middle
            y = (y - grey) * colour + grey
        changed: Array = y.clip(0, 1).astype(x.dtype, copy=False)
        return changed


def _brightness(x: Array) -> Array:
    """Return how bright each pixel looks, `(N, 1, H, W)`."""
    if x.shape[1] != 3:
        mean: Array = x.mean(axis=1, keepdims=True)
        return mean
    weights = np.array([0.299, 0.587, 0.114], x.dtype)
    bright: Array = x[:, :1] * weights[0] + x[:, 1:2] * weights[1] + x[:, 2:] * weights[2]
    return bright


@dataclass(frozen=True)
class Mixup:
    """Blend each picture with another of its batch, and their targets alike (Zhang et al., 2018).

    Picture i becomes `λ·xᵢ + (1 − λ)·xⱼ`, its target and its weight likewise. λ is drawn for each picture
    from Beta(α, α), and j is another of the batch.

    Args:
        alpha: α, above 0: 0.2 blends a few pictures much, 1 all evenly.

    Raises:
        ValueError: `alpha` is not above 0, or the targets are no probabilities `(N, K)`.
        TypeError: x is not of floats.

    Example:
        >>> x, y = np.array([[0.0], [1.0]]), np.eye(2)
        >>> x, y, _ = Mixup(1.0)(x, y, np.random.default_rng(2))
        >>> x.round(2).tolist(), y.round(2).tolist()
        ([[0.53], [0.9]], [[0.47, 0.53], [0.1, 0.9]])
    """

    alpha: float

    def __post_init__(self) -> None:
        if not 0 < self.alpha < np.inf:
            raise ValueError(f"Mixup: alpha={self.alpha} is not a finite number above 0; use 0.2")

    def __call__(
        self, x: Array, y: Array, rng: np.random.Generator, *, weight: Array | None = None
    ) -> tuple[Array, Array, Array | None]:
        """Return the blended samples, targets and weights.

        Args:
            x: samples `(N, …)`, floats.
            y: their targets, probabilities `(N, K)`.
            rng: what draws.
            weight: how much each counts, `(N,)`.
        """
        if x.dtype.kind != "f":
            raise TypeError(f"Mixup: x has dtype {x.dtype}; use astype(np.float32)")
        if y.ndim != 2 or y.dtype.kind != "f" or len(y) != len(x):
            raise ValueError(
                f"Mixup: y has shape {y.shape} and dtype {y.dtype}; give probabilities ({len(x)}, K)"
            )
        share, order = rng.beta(self.alpha, self.alpha, len(x)), rng.permutation(len(x))
        other = np.empty_like(order)
        other[order] = np.roll(order, 1)  # round in a circle, so that none meets itself

        def blend(values: Array) -> Array:
            part = share.astype(values.dtype).reshape(-1, *(1,) * (values.ndim - 1))
            blended: Array = values * part + values[other] * (1 - part)
            return blended

        return blend(x), blend(y), None if weight is None else blend(weight)


def _images(op: str, x: Array) -> tuple[int, int, int, int]:
    if x.ndim != 4:
        raise ValueError(f"{op}: x has shape {x.shape}; give a batch of pictures (N, C, H, W)")
    n, channels, height, width = x.shape
    return n, channels, height, width


def _framed(x: Array, edge: int, fill: float) -> Array:
    """Return the pictures with a frame of `fill` around each (np.pad takes ten times as long on small ones)."""
    n, channels, height, width = x.shape
    framed = np.full((n, channels, height + 2 * edge, width + 2 * edge), fill, x.dtype)
    framed[:, :, edge : edge + height, edge : edge + width] = x
    return framed


def _check(op: str, name: str, value: float, most: float = np.inf) -> None:
    if not 0 <= value <= most:
        wanted = "negative" if most == np.inf else f"from 0 to {most}"
        raise ValueError(f"{op}: {name}={value} is {'' if wanted == 'negative' else 'not '}{wanted}")


def _check_border(op: str, border: str) -> None:
    if border not in ("fill", "mirror"):
        raise ValueError(f"{op}: border={border!r} is neither 'fill' nor 'mirror'")
