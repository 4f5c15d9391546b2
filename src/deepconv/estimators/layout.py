"""Layout: how one row of numbers is a picture, a signal or a volume, and where its channels are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.geometry import whole_number

__all__ = ["Layout", "flat_rows"]

_MOST_CHANNELS = 4  # of a picture whose channels' place isn't told: grey, with alpha, colour, with alpha
_WORDS = ("auto", "first", "last")


@dataclass(frozen=True)
class Layout:
    """What a sample's numbers are: its shape as the user has it, and its channels' axis.

    Args:
        shape: of one sample, `(length,)`, `(H, W)`, `(H, W, C)`, `(C, H, W)` or one axis more for volumes.
        axis: which of them is the channels, 0 or -1; None where there is one channel without an axis.

    Example:
        >>> layout = Layout((4, 5, 3), -1)
        >>> layout.input_shape, layout.pictures(np.zeros((2, 60))).shape
        ((3, 4, 5), (2, 3, 4, 5))
    """

    shape: tuple[int, ...]
    axis: int | None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """A sample's shape as the network has it: channels first."""
        if self.axis is None:
            return (1, *self.shape)
        return self.shape if self.axis == 0 else (self.shape[-1], *self.shape[:-1])

    def pictures(self, rows: Array) -> Array:
        """Return flat rows `(N, numbers)` as `(N, C, *spatial)`: a view where that is possible."""
        if self.axis is None:
            return rows.reshape(len(rows), 1, *self.shape)
        pictures = rows.reshape(len(rows), *self.shape)
        return pictures if self.axis == 0 else np.moveaxis(pictures, -1, 1)

    @staticmethod
    def of(op: str, shape: tuple[int, ...], image_shape: Any, channels: Any) -> Layout:
        """Return the layout of samples, from their own shape and what the user says of it.

        Args:
            op: who asks, for the message.
            shape: of one sample as it came, `(numbers,)` for flat rows.
            image_shape: what the user says, or None.
            channels: "first", "last" or "auto".

        Raises:
            TypeError: `image_shape` is no shape.
            ValueError: it doesn't fit the samples, or the channels' place can't be told.

        Example:
            >>> Layout.of("fit", (64,), (8, 8), "auto"), Layout.of("fit", (3, 32, 32), None, "auto")
            (Layout(shape=(8, 8), axis=None), Layout(shape=(3, 32, 32), axis=0))
        """
        if not isinstance(channels, str) or channels not in _WORDS:
            raise ValueError(f"{op}: channels={channels!r} is not one of {', '.join(map(repr, _WORDS))}")
        if image_shape is not None:
            told = _read_shape(op, image_shape)
            same = told == shape or (len(shape) == 1 and math.prod(told) == shape[0])
            if not same and _squeezed(told) != _squeezed(shape):
                raise ValueError(
                    f"{op}: image_shape={told} has {math.prod(told)} numbers, a sample of X {math.prod(shape)} "
                    f"in shape {shape}; give the shape of one sample"
                )
            shape = told
        if len(shape) <= 2:
            return Layout(shape, None)
        return Layout(shape, _axis(op, shape, channels))


def _read_shape(op: str, image_shape: Any) -> tuple[int, ...]:
    try:
        sizes = [whole_number(size) for size in image_shape]
    except TypeError:
        sizes = [None]
    known = [size for size in sizes if size is not None]
    if not 1 <= len(known) == len(sizes) <= 4 or min(known) < 1:
        raise TypeError(
            f"{op}: image_shape={image_shape!r:.100} is no shape of 1 to 4 sizes; give (H, W) for grey "
            f"pictures, (H, W, C) for colour, (length,) for signals"
        )
    return tuple(known)


def _axis(op: str, shape: tuple[int, ...], channels: str) -> int:
    """Return the channels' axis of a sample of three axes or more."""
    if len(shape) > 4:
        raise ValueError(f"{op}: a sample of X has shape {shape}, more than a volume's (D, H, W, C)")
    if channels != "auto":
        return 0 if channels == "first" else -1
    few = [axis for axis in (0, -1) if shape[axis] <= _MOST_CHANNELS]
    if len(few) != 1:
        which = "neither the first nor the last" if not few else "both the first and the last"
        raise ValueError(
            f"{op}: of a sample's shape {shape}, {which} axis could be 1 to {_MOST_CHANNELS} channels; "
            f"say channels='first' or channels='last'"
        )
    return few[0]


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def flat_rows(op: str, X: Any, fitted: Layout | None) -> tuple[Any, tuple[int, ...] | None]:
    """Return arrays of three axes and more as flat rows, all else as it is, and the shape that samples had.

    Args:
        op: who asks, for the message.
        X: what the user passed.
        fitted: the layout that samples must have; None accepts any.

    Returns:
        X with two axes, and a sample's shape, None where X was left as it is.

    Raises:
        ValueError: the samples have another shape than the fitted ones, or differ among themselves.

    Example:
        >>> rows, shape = flat_rows("fit", np.zeros((7, 8, 8)), None)
        >>> rows.shape, shape
        ((7, 64), (8, 8))
    """
    if isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) > 1:
        shapes = {np.shape(picture) for picture in X}
        if len(shapes) > 1:
            some = " and ".join(map(str, sorted(shapes)[:2]))
            raise ValueError(
                f"{op}: the pictures of X have different shapes, such as {some}; resize them to one"
            )
        X = np.asarray(X)
    if getattr(X, "ndim", 0) < 3 or not isinstance(X, np.ndarray):
        return X, None
    shape = X.shape[1:]
    if fitted is not None and shape != fitted.shape and _squeezed(shape) != _squeezed(fitted.shape):
        if X.shape == fitted.shape:
            raise ValueError(f"{op}: X is a single sample of shape {X.shape}; give X[None], an array of one")
        raise ValueError(
            f"{op}: a sample of X has shape {shape}, but those it was fitted on {fitted.shape}; "
            f"bring X to (N, {', '.join(map(str, fitted.shape))})"
        )
    return X.reshape(len(X), math.prod(shape)), shape
