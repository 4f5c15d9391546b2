"""Adaptive pooling: windows laid out so that the output has the size asked for, with gradients."""

from collections.abc import Sequence
from functools import lru_cache

from deepconv.arrays import Array, as_array
from deepconv.engine import global_pooling
from deepconv.engine import pooling as engine
from deepconv.engine.windowed import Axis, adaptive_axes
from deepconv.geometry import per_axis
from deepconv.operators import checks
from deepconv.operators.pooled import Pooling, spatial_rank

OutputSize = int | Sequence[int | None]
"""One size for every axis or one for each; None leaves an axis as it is."""

_NO_MEAN = "a mean is seldom a whole number"


def adaptive_avg_pool(x: Array, output_size: OutputSize) -> Array:
    """Return the mean over `output_size` windows: window i of o is the pixels from ⌊i·n/o⌋ to ⌈(i+1)·n/o⌉.

    Args:
        x: images, `(N, C, *spatial)`; without N where `output_size` has an entry for each axis.
        output_size: one size for all spatial axes or one for each; None leaves an axis as it is.

    Returns:
        `(N, C, *output_size)` or `(C, *output_size)`, of x's type.

    Raises:
        TypeError: whole numbers, whose mean isn't one: convert them to floats first.
        ValueError: an argument that can't work.

    Example:
        >>> import numpy as np
        >>> adaptive_avg_pool(np.arange(5.0).reshape(1, 1, 5), 2)
        array([[[1., 3.]]])
    """
    x = as_array("adaptive_avg_pool", "x", x)
    case = _adaptive("adaptive_avg_pool", x.shape, output_size)
    (x,), result = checks.floats("adaptive_avg_pool", _NO_MEAN, x)
    return engine.avg_pool(x, case.axes, engine.window_counts(case.axes)).astype(result, copy=False)


def adaptive_avg_pool_input_grad(dy: Array, x_shape: Sequence[int], output_size: OutputSize) -> Array:
    """Return the gradient of `adaptive_avg_pool`'s input: each pixel gets its share of every window.

    Args:
        dy: the gradient of the output, of its shape.
        x_shape: the shape of `adaptive_avg_pool`'s `x`.
        output_size: as in `adaptive_avg_pool`.

    Returns:
        An array of shape `x_shape`, of dy's type.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> import numpy as np
        >>> adaptive_avg_pool_input_grad(np.array([[[3.0, 6.0]]]), (1, 1, 5), 2)
        array([[[1., 1., 3., 2., 2.]]])
    """
    op = "adaptive_avg_pool_input_grad"
    dy = as_array(op, "dy", dy)
    shape = checks.shape_of(op, "x_shape", x_shape)
    case = _adaptive(op, shape, output_size)
    case.check_gradient(op, dy)
    (dy,), result = checks.floats(op, _NO_MEAN, dy)
    divisor = engine.window_counts(case.axes)
    return engine.avg_pool_input_grad(dy, case.axes, divisor).astype(result, copy=False)


def adaptive_max_pool(x: Array, output_size: OutputSize) -> Array:
    """Return the largest pixel of `output_size` windows, laid out as for `adaptive_avg_pool`.

    Args:
        x, output_size: as in `adaptive_avg_pool`.

    Returns:
        `(N, C, *output_size)` or `(C, *output_size)`; floats keep their type, integers come back as int64.

    Raises:
        TypeError, ValueError: an argument that can't work.
        OverflowError: a uint64 beyond int64.

    Example:
        >>> import numpy as np
        >>> adaptive_max_pool(np.arange(5).reshape(1, 1, 5), 2)
        array([[[2, 4]]])
    """
    x = as_array("adaptive_max_pool", "x", x)
    case = _adaptive("adaptive_max_pool", x.shape, output_size)
    (x,), result = checks.numbers("adaptive_max_pool", x)
    y = global_pooling.maximum(x) if _is_global(case) else engine.max_pool(x, case.axes)
    return y.astype(result, copy=False)


def adaptive_max_pool_indices(x: Array, output_size: OutputSize) -> Array:
    """Return where each window's largest pixel stands: its place in its plane, counted row by row.

    Args:
        x, output_size: as in `adaptive_max_pool`.

    Returns:
        int64 of the shape of `adaptive_max_pool`'s result; of equal pixels the first wins.

    Raises:
        TypeError, ValueError, OverflowError: as `adaptive_max_pool`.

    Example:
        >>> import numpy as np
        >>> adaptive_max_pool_indices(np.array([[[1.0, 3.0, 3.0, 2.0]]]), 2)
        array([[[1, 2]]])
    """
    op = "adaptive_max_pool_indices"
    x = as_array(op, "x", x)
    case = _adaptive(op, x.shape, output_size)
    (x,), _ = checks.numbers(op, x)
    return global_pooling.maximum_indices(x) if _is_global(case) else engine.max_pool_indices(x, case.axes)


def adaptive_max_pool_input_grad(dy: Array, x: Array, output_size: OutputSize) -> Array:
    """Return the gradient of `adaptive_max_pool`'s input: each window's `dy` goes to the pixel that won it.

    Args:
        dy: the gradient of the output, of its shape.
        x, output_size: as in `adaptive_max_pool`.

    Returns:
        An array of x's shape, of the dtype that `dy` and `x` promote to. A tie goes to the first pixel.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> adaptive_max_pool_input_grad(np.array([[[5.0, 7.0]]]), np.array([[[1.0, 3.0, 2.0]]]), 2)
        array([[[ 0., 12.,  0.]]])
    """
    op = "adaptive_max_pool_input_grad"
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    case = _adaptive(op, x.shape, output_size)
    case.check_gradient(op, dy)
    (dy, x), result = checks.numbers(op, dy, x, terms=case.terms)
    if _is_global(case):
        return global_pooling.maximum_input_grad(dy, x).astype(result, copy=False)
    return engine.max_pool_input_grad(dy, x, case.axes).astype(result, copy=False)


def _adaptive(op: str, shape: Sequence[int], output_size: OutputSize) -> Pooling:
    """Return the pooling that gives this output, checked."""
    rank = spatial_rank(op, "output_size", output_size, shape)
    image = tuple(shape)[-rank:]
    sizes: OutputSize = output_size
    if not isinstance(output_size, int) and hasattr(output_size, "__len__"):
        sizes = [n if size is None else size for n, size in zip(image, output_size, strict=True)]
    output = per_axis(op, "output_size", sizes, rank)  # type: ignore[arg-type]
    if 0 in image:
        raise ValueError(f"{op}: x has shape {tuple(shape)}, images without pixels; use sizes of at least 1")
    return Pooling(tuple(shape), None, _axes(image, output))


@lru_cache(maxsize=256)
def _axes(image: tuple[int, ...], output: tuple[int, ...]) -> tuple[Axis, ...]:
    """Return the axes, the same objects for the same sizes."""
    return adaptive_axes(image, output)


def _is_global(case: Pooling) -> bool:
    """Tell whether each whole image is one window, for which there is a quicker way."""
    return len(case.shape) == len(case.axes) + 2 and all(axis.out == 1 for axis in case.axes)
