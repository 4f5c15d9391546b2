"""The steps that make any photograph an array of one size; `preprocessing` gives them their names.

Each takes a picture `(H, W)` or `(H, W, channels)`, values from 0 to 1, and gives the same kind back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from deepconv.arrays import Array

__all__ = ["cover", "grey", "standardise"]


def cover(picture: Array, size: Sequence[int]) -> Array:
    """Resize a picture in proportion until it just covers `size`, and cut out the centre.

    Shrinking averages over what each new pixel covers (a triangle of twice its width), so that nothing
    flickers; enlarging is bilinear. Only what is kept is computed, and no BLAS is used: the result is the
    same bits on any number of threads.

    Args:
        picture: `(H, W)` or `(H, W, channels)`.
        size: rows and columns of the result.

    Returns:
        `(rows, columns)` or `(rows, columns, channels)`, float32.

    Example:
        >>> cover(np.arange(12.0).reshape(2, 6), [2, 2]).tolist()
        [[2.0, 3.0], [8.0, 9.0]]
    """
    height, width = picture.shape[:2]
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    scale = min(height / size[0], width / size[1])  # old pixels per new one
    rows, shares = _taps(height, size[0], scale)
    tall = _blend(np.asarray(picture, np.float32).reshape(height, -1), rows, shares[..., None], axis=0)
    columns, shares = _taps(width, size[1], scale)
    columns = columns[..., None] * channels + np.arange(channels)
    taps = len(columns)
    small = _blend(tall, columns.reshape(taps, -1), shares.repeat(channels, axis=1), axis=1)
    return small.reshape(*size, *picture.shape[2:])


@lru_cache(maxsize=32)  # pictures of one camera are all of one size
def _taps(old: int, new: int, scale: float) -> tuple[Array, Array]:
    """Return the old places that each of `new` ones in the middle is blended of, and their shares, `(taps, new)`."""
    reach = max(1.0, scale)
    centre = (np.arange(new) - (new - 1) / 2) * scale + (old - 1) / 2
    first = np.floor(centre - reach).astype(np.intp) + 1
    places = first + np.arange(int(np.ceil(2 * reach)))[:, None]
    shares = np.maximum(0.0, 1.0 - np.abs(places - centre) / reach)
    shares *= (places >= 0) & (places < old)
    places, shares = places.clip(0, old - 1), (shares / shares.sum(axis=0)).astype(np.float32)
    places.flags.writeable = shares.flags.writeable = False
    return places, shares


def _blend(values: Array, places: Array, shares: Array, axis: int) -> Array:
    """Return the sum over taps of the values at `places[tap]`, each times `shares[tap]`."""
    blended: Array = values.take(places[0], axis)
    blended *= shares[0]
    for place, share in zip(places[1:], shares[1:], strict=True):
        part = values.take(place, axis)
        part *= share
        blended += part
    return blended


def grey(picture: Array) -> Array:
    """Turn colours into how bright they look (ITU-R BT.601's luma, as Pillow has it).

    Args:
        picture: `(H, W)`, or `(H, W, channels)` with red, green and blue first.

    Returns:
        `(H, W)`.

    Example:
        >>> grey(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])).tolist()
        [[0.299, 0.587]]
    """
    if picture.ndim == 2 or picture.shape[-1] < 3:
        return picture if picture.ndim == 2 else picture[..., 0]
    red, green, blue = (np.asarray(picture[..., channel]) for channel in range(3))
    bright: Array = red * 0.299 + green * 0.587 + blue * 0.114
    return bright


def standardise(picture: Array, mean: Sequence[float], std: Sequence[float]) -> Array:
    """Take each channel's mean off and divide by its standard deviation.

    Args:
        picture: `(H, W)` or `(H, W, channels)`.
        mean: one per channel.
        std: one per channel.

    Returns:
        the same shape, float32.

    Raises:
        ValueError: the picture has another number of channels.

    Example:
        >>> standardise(np.array([[[0.5, 0.2]]]), [0.4, 0.2], [0.1, 0.1]).round(3).tolist()
        [[[1.0, 0.0]]]
    """
    channels = 1 if picture.ndim == 2 else picture.shape[-1]
    if len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"standardise: mean={list(mean)} and std={list(std)} must have one number per channel, {channels}"
        )
    centre, spread = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    moved: Array = np.asarray(picture, np.float32) - (centre if picture.ndim > 2 else centre[0])
    moved /= spread if picture.ndim > 2 else spread[0]
    return moved
