"""Upsampling: images made larger by repeating pixels or interpolating between them, with gradients."""

import math
from collections.abc import Sequence

from deepconv.arrays import Array, as_array
from deepconv.engine import resampling as engine
from deepconv.geometry import Sizes, per_axis
from deepconv.operators import checks
from deepconv.operators.pooled import spatial_rank

_MODES = ("nearest", "linear")


def upsample(x: Array, scale_factor: Sizes, *, mode: str = "nearest") -> Array:
    """Make every spatial axis `scale_factor` times as long.

    Args:
        x: images, `(N, C, *spatial)`; without N where `scale_factor` has a number for each axis.
        scale_factor: how many times, one whole number for all axes or one for each.
        mode: `"nearest"` repeats pixels; `"linear"` interpolates between their centres (PyTorch's bilinear
            with `align_corners=False`, ONNX's half_pixel): output o lies at `(o + 1/2) / scale - 1/2`, and
            beyond the outermost centres there is only the outermost pixel.

    Returns:
        `(N, C, *(size · scale_factor))`, without N where x is. Floats keep their type, integers come back
        as int64.

    Raises:
        TypeError: something else than whole numbers as a factor, or whole numbers to interpolate between.
        ValueError: an argument that can't work.

    Example:
        >>> import numpy as np
        >>> upsample(np.array([[[0.0, 4.0]]]), 2, mode="linear")
        array([[[0., 1., 3., 4.]]])
    """
    x = as_array("upsample", "x", x)
    factors = _factors("upsample", x.shape, scale_factor, mode)
    if mode == "nearest":
        (x,), result = checks.numbers("upsample", x)
        return engine.nearest(x, factors).astype(result, copy=False)
    (x,), result = checks.floats("upsample", "what lies between whole numbers is a fraction", x)
    return engine.linear(x, factors).astype(result, copy=False)


def upsample_input_grad(
    dy: Array, x_shape: Sequence[int], scale_factor: Sizes, *, mode: str = "nearest"
) -> Array:
    """Return the gradient of `upsample`'s input: each pixel gets the `dy` of what was made of it.

    Args:
        dy: the gradient of the output, of its shape.
        x_shape: the shape of `upsample`'s `x`.
        scale_factor: as in `upsample`.
        mode: as in `upsample`.

    Returns:
        An array of shape `x_shape`, of dy's type.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> upsample_input_grad(np.array([[[1.0, 2.0, 3.0, 4.0]]]), (1, 1, 2), 2)
        array([[[3., 7.]]])
    """
    op = "upsample_input_grad"
    dy = as_array(op, "dy", dy)
    shape = checks.shape_of(op, "x_shape", x_shape)
    factors = _factors(op, shape, scale_factor, mode)
    rank = len(factors)
    expected = (*shape[:-rank], *(n * f for n, f in zip(shape[-rank:], factors, strict=True)))
    checks.check_gradient(op, dy, expected, f"{factors} times the image {shape[-rank:]}")
    if mode == "nearest":
        (dy,), result = checks.numbers(op, dy, terms=math.prod(factors))
        return engine.nearest_input_grad(dy, shape, factors).astype(result, copy=False)
    (dy,), result = checks.floats(op, "what lies between whole numbers is a fraction", dy)
    return engine.linear_input_grad(dy, shape, factors).astype(result, copy=False)


def _factors(op: str, shape: Sequence[int], scale_factor: Sizes, mode: str) -> tuple[int, ...]:
    """Return how many times longer each spatial axis becomes, checked."""
    if mode not in _MODES:
        raise ValueError(f"{op}: mode={mode!r} is not known; use 'nearest' or 'linear'")
    factors = per_axis(
        op, "scale_factor", scale_factor, spatial_rank(op, "scale_factor", scale_factor, shape)
    )
    if 0 in shape[-len(factors) :]:
        raise ValueError(f"{op}: x has shape {tuple(shape)}, images without pixels; use sizes of at least 1")
    return factors
