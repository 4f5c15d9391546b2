"""Pooling: the largest pixel or the mean of each window, or of the whole image, with gradients."""

import math
from collections.abc import Sequence

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.engine import global_pooling
from deepconv.engine import pooling as engine
from deepconv.geometry import Padding, Sizes
from deepconv.operators import checks
from deepconv.operators.pooled import Pooling, check_axes, pooling

_NO_MEAN = "a mean is seldom a whole number"


def max_pool(
    x: Array,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Array:
    """Return the largest pixel of each window: `y[n, c, o] = max_r x[n, c, o·stride + r·dilation - before]`.

    Args:
        x: images, `(N, C, *spatial)`; without N where `kernel_size` has a number for each axis.
        kernel_size: the window's cells, one number for all axes or one for each.
        stride: how far the window moves at a step; None is `kernel_size`, so that windows don't overlap.
        padding: what is added around the image and never wins: an int, one per axis, a (before, after)
            pair per axis, `"valid"`, `"same"`, `"same_lower"` or `"causal"`. A number may be half the
            window's span at most, as in PyTorch; a pair anything less than the span.
        dilation: the distance between two cells of the window.
        ceil_mode: also step to a last window that reaches over the far edge, if it starts before it.

    Returns:
        `(N, C, *out)` or `(C, *out)`, `out = floor((size + before + after - dilation·(kernel - 1) - 1)
        / stride) + 1` (`ceil` with `ceil_mode`). NaN counts as the largest; a window without a pixel gives
        -inf. Floats keep their type, integers come back as int64.

    Raises:
        TypeError, ValueError: an argument that can't work; the message says what would.
        OverflowError: a uint64 beyond int64.

    Example:
        >>> max_pool(np.arange(12).reshape(1, 1, 3, 4), 2, stride=(1, 2))
        array([[[[ 5,  7],
                 [ 9, 11]]]])
    """
    x = as_array("max_pool", "x", x)
    case = pooling("max_pool", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    (x,), result = checks.numbers("max_pool", x)
    return engine.max_pool(x, case.axes).astype(result, copy=False)


def max_pool_indices(
    x: Array,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Array:
    """Return where each window's largest pixel stands: its place in its plane, counted row by row.

    Args:
        x, kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool`.

    Returns:
        int64 of the shape of `max_pool`'s result, counted without padding. Of equal pixels the first
        wins, of several NaN the last (PyTorch's rule); a window without a pixel gives -1.

    Raises:
        TypeError, ValueError, OverflowError: as `max_pool`.

    Example:
        >>> max_pool_indices(np.array([[[3.0, 3.0, 1.0, 2.0]]]), 2)
        array([[[0, 3]]])
    """
    op = "max_pool_indices"
    x = as_array(op, "x", x)
    case = pooling(op, x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    (x,), _ = checks.numbers(op, x)
    return engine.max_pool_indices(x, case.axes)


def max_pool_input_grad(
    dy: Array,
    x: Array,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Array:
    """Return the gradient of `max_pool`'s input: each window's `dy` goes to the pixel that won it.

    Args:
        dy: the gradient of the output, of its shape.
        x, kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to. A tie goes to the first pixel.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> max_pool_input_grad(np.array([[[5.0, 7.0]]]), np.array([[[3.0, 3.0, 1.0, 2.0]]]), 2)
        array([[[5., 0., 0., 7.]]])
    """
    op = "max_pool_input_grad"
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    case = pooling(op, x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    case.check_gradient(op, dy)
    (dy, x), result = checks.numbers(op, dy, x, terms=case.terms)
    return engine.max_pool_input_grad(dy, x, case.axes).astype(result, copy=False)


def avg_pool(
    x: Array,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Array:
    """Return the mean of each window: `y[n, c, o] = Σ_r x[n, c, o·stride + r·dilation - before] / divisor`.

    Args:
        x, kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool`; padding counts as zeros.
        count_include_pad: whether the divisor counts padding; what a `ceil_mode` window reads beyond the
            padding never counts.
        divisor_override: divide by this instead; any number but 0.

    Returns:
        `(N, C, *out)` or `(C, *out)` as `max_pool`; a window without a pixel gives 0.

    Raises:
        TypeError: whole numbers, whose mean isn't one: convert them to floats first.
        ValueError: an argument that can't work; the message says what would.

    Example:
        >>> avg_pool(np.arange(5.0).reshape(1, 1, 5), 3, stride=2, padding=1, count_include_pad=False)
        array([[[0.5, 2. , 3.5]]])
    """
    x = as_array("avg_pool", "x", x)
    case = pooling("avg_pool", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    divisor = _divisor("avg_pool", case, count_include_pad, divisor_override)
    (x,), result = checks.floats("avg_pool", _NO_MEAN, x)
    return engine.avg_pool(x, case.axes, divisor).astype(result, copy=False)


def avg_pool_input_grad(
    dy: Array,
    x_shape: Sequence[int],
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Array:
    """Return the gradient of `avg_pool`'s input: each pixel gets its share of every window it is in.

    Args:
        dy: the gradient of the output, of its shape.
        x_shape: the shape of `avg_pool`'s `x`.
        kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override: as in
            `avg_pool`.

    Returns:
        An array of shape `x_shape`, of dy's type.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> avg_pool_input_grad(np.array([[[2.0, 6.0]]]), (1, 1, 3), 2, stride=1)
        array([[[1., 4., 3.]]])
    """
    op = "avg_pool_input_grad"
    dy = as_array(op, "dy", dy)
    shape = checks.shape_of(op, "x_shape", x_shape)
    case = pooling(op, shape, kernel_size, stride, padding, dilation, ceil_mode)
    case.check_gradient(op, dy)
    divisor = _divisor(op, case, count_include_pad, divisor_override)
    (dy,), result = checks.floats(op, _NO_MEAN, dy)
    return engine.avg_pool_input_grad(dy, case.axes, divisor).astype(result, copy=False)


def _divisor(op: str, case: Pooling, include_pad: bool, override: float | None) -> Array | float:
    """Return by what each window's sum is divided."""
    if not isinstance(include_pad, bool | np.bool_):
        raise TypeError(f"{op}: count_include_pad={include_pad!r} is not True or False")
    if override is not None:
        if isinstance(override, bool) or not isinstance(override, int | float | np.integer | np.floating):
            raise TypeError(f"{op}: divisor_override={override!r} is not a number")
        if override == 0 or not math.isfinite(override):
            raise ValueError(
                f"{op}: divisor_override={override} can't divide a sum; use a number that isn't 0"
            )
        return float(override)
    return engine.window_counts(case.axes, case.window if include_pad else None, case.image)


def global_avg_pool(x: Array) -> Array:
    """Return the mean of each channel of each image, the spatial axes kept with size 1.

    Args:
        x: images, `(N, C, *spatial)`, not empty.

    Returns:
        `(N, C, 1, ...)`, of x's type.

    Raises:
        TypeError: whole numbers, whose mean isn't one.
        ValueError: no spatial axis, or an empty one.

    Example:
        >>> global_avg_pool(np.array([[[1.0, 2.0], [3.0, 5.0]]]))
        array([[[1.5],
                [4. ]]])
    """
    x = as_array("global_avg_pool", "x", x)
    check_global("global_avg_pool", x.shape)
    if checks.is_plain(x):
        return global_pooling.mean(x)
    (x,), result = checks.floats("global_avg_pool", _NO_MEAN, x)
    return global_pooling.mean(x).astype(result, copy=False)


def global_avg_pool_input_grad(dy: Array, x_shape: Sequence[int]) -> Array:
    """Return the gradient of `global_avg_pool`'s input: every pixel gets the same share.

    Args:
        dy: the gradient of the output, `(N, C, 1, ...)`.
        x_shape: the shape of `global_avg_pool`'s `x`.

    Returns:
        An array of shape `x_shape`, of dy's type.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> global_avg_pool_input_grad(np.array([[[6.0]]]), (1, 1, 4))
        array([[[1.5, 1.5, 1.5, 1.5]]])
    """
    op = "global_avg_pool_input_grad"
    dy = as_array(op, "dy", dy)
    shape = checks.shape_of(op, "x_shape", x_shape)
    checks.check_gradient(op, dy, check_global(op, shape))
    if checks.is_plain(dy):
        return global_pooling.mean_input_grad(dy, shape)
    (dy,), result = checks.floats(op, _NO_MEAN, dy)
    return global_pooling.mean_input_grad(dy, shape).astype(result, copy=False)


def global_max_pool(x: Array) -> Array:
    """Return the largest pixel of each channel of each image, the spatial axes kept with size 1.

    Args:
        x: images, `(N, C, *spatial)`, not empty.

    Returns:
        `(N, C, 1, ...)`; floats keep their type, integers come back as int64.

    Raises:
        TypeError, ValueError, OverflowError: as `max_pool`.

    Example:
        >>> global_max_pool(np.array([[[1, 2], [5, 3]]]))
        array([[[2],
                [5]]])
    """
    x = as_array("global_max_pool", "x", x)
    check_global("global_max_pool", x.shape)
    (x,), result = checks.numbers("global_max_pool", x)
    return global_pooling.maximum(x).astype(result, copy=False)


def global_max_pool_input_grad(dy: Array, x: Array) -> Array:
    """Return the gradient of `global_max_pool`'s input: `dy` goes to the first largest pixel.

    Args:
        dy: the gradient of the output, `(N, C, 1, ...)`.
        x: as in `global_max_pool`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> global_max_pool_input_grad(np.array([[[6.0]]]), np.array([[[1.0, 4.0, 4.0]]]))
        array([[[0., 6., 0.]]])
    """
    op = "global_max_pool_input_grad"
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    checks.check_gradient(op, dy, check_global(op, x.shape))
    (dy, x), result = checks.numbers(op, dy, x)
    return global_pooling.maximum_input_grad(dy, x).astype(result, copy=False)


def check_global(op: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape that pooling whole images gives, or raise where there are none.

    Args:
        op: the operation that asks, for the message.
        shape: that of x, `(N, C, *spatial)`.

    Raises:
        ValueError: no spatial axis, or no pixel.

    Example:
        >>> check_global("global_max_pool", (2, 3, 8, 8))
        (2, 3, 1, 1)
    """
    if len(shape) < 3:
        raise ValueError(f"{op}: x has shape {tuple(shape)}, without spatial axes; pass (N, C, *spatial)")
    check_axes(op, shape, len(shape) - 2)
    if 0 in shape[2:]:
        raise ValueError(f"{op}: x has shape {tuple(shape)}, images without pixels; use sizes of at least 1")
    return (*shape[:2], *[1] * (len(shape) - 2))
