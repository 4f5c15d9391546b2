"""Windows and borders: im2col, its adjoint col2im, and padding, each on the last axes of an array."""

import math
from collections.abc import Sequence

import numpy as np

from deepconv import geometry
from deepconv.arrays import Array, as_array
from deepconv.engine import columns
from deepconv.engine import padding as engine_padding
from deepconv.geometry import Padding, Pairs, Sizes, Window
from deepconv.operators import checks


def kernel_rank(op: str, kernel_size: Sizes, x: Array) -> int:
    """Return how many spatial axes are meant: as many as `kernel_size` has numbers, else `x`'s but two.

    Args:
        op: the operation that asks, for the message.
        kernel_size: a number or a sequence of them.
        x: the images.

    Raises:
        ValueError: one number, and `x` has fewer than three axes.

    Example:
        >>> import numpy as np
        >>> kernel_rank("im2col", (3, 3), np.zeros((1, 8, 8))), kernel_rank("im2col", 3, np.zeros((1, 8, 8)))
        (2, 1)
    """
    if isinstance(kernel_size, Sequence) and not isinstance(kernel_size, str):
        return len(kernel_size)
    if x.ndim < 3:
        raise ValueError(
            f"{op}: x has shape {x.shape} and kernel_size={kernel_size!r} is one number, so the spatial axes "
            f"can't be told; pass (N, C, *spatial), or kernel_size as a tuple with a number for each axis"
        )
    return x.ndim - 2


def im2col(
    x: Array, kernel_size: Sizes, *, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1
) -> Array:
    """Write what a sliding window sees, a row for each of its places: the post's `arr2vec`.

    Args:
        x: images, `(N, C, *spatial)`; without N where `kernel_size` has a number for each axis.
        kernel_size: the window's cells, one number for all axes or one for each.
        stride: how far the window moves at a step.
        padding: zeros around the image; every form that `conv` takes.
        dilation: the distance between two cells of the window.

    Returns:
        `(N, L, C·k)`, or `(L, C·k)` without N: L places in row-major order; a row holds the channels one
        after the other, each with its k cells in row-major order. The dtype is that of `x`.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> import numpy as np
        >>> im2col(np.arange(12).reshape(1, 1, 3, 4), 2)[0, :2]
        array([[0, 1, 4, 5],
               [1, 2, 5, 6]])
    """
    x = as_array("im2col", "x", x)
    rank = kernel_rank("im2col", kernel_size, x)
    batch, batched = geometry.split_batch("im2col", x, rank)
    window = geometry.window(
        "im2col", batch.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    cols = columns.im2col(batch, window)
    cols = cols.copy() if np.may_share_memory(cols, x) else cols  # a window of one cell needs no copying
    return cols if batched else cols[0]


def col2im(
    cols: Array,
    image_size: Sequence[int],
    kernel_size: Sizes,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
) -> Array:
    """Add every cell of `cols` to the pixel it was read from: `im2col`'s adjoint, the post's `vec2arr`.

    A pixel that three windows saw gets the sum of three cells, one that none saw gets 0.

    Args:
        cols: `(N, L, C·k)` or `(L, C·k)`, as `im2col` writes it.
        image_size: the image's spatial sizes, `(H, W)` say.
        kernel_size: the window's cells, one number for all axes or one for each.
        stride: how far the window moves at a step.
        padding: zeros around the image; what would fall there is dropped.
        dilation: the distance between two cells of the window.

    Returns:
        `(N, C, *image_size)`, or `(C, *image_size)`; the dtype is that of `cols`, with the exceptions
        that integers come back as int64 and float16 is summed in float32.

    Raises:
        TypeError, ValueError: an argument that can't work, or `cols` of a shape that `im2col` can't have written.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
        >>> col2im(im2col(x, 2), (3, 3), 2)[0, 0] / x[0, 0].clip(1)  # how many windows saw each pixel
        array([[0., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]])
    """
    cols = as_array("col2im", "cols", cols)
    image = checks.shape_of("col2im", "image_size", image_size)
    window = geometry.window("col2im", image, kernel_size, stride=stride, padding=padding, dilation=dilation)
    _check_columns(cols, image, window)
    (cols,), result = checks.numbers("col2im", cols, terms=window.taps)
    batch = cols if cols.ndim == 3 else cols[None]
    shape = (len(batch), batch.shape[2] // window.taps, *image)
    x = columns.col2im(batch, shape, window).astype(result, copy=False)
    return x if cols.ndim == 3 else x[0]


def _check_columns(cols: Array, image: tuple[int, ...], window: Window) -> None:
    """Raise unless `im2col` of such an image can have written `cols`."""
    if cols.ndim not in (2, 3):
        raise ValueError(
            f"col2im: cols has shape {cols.shape}; use (N, L, C*k) or (L, C*k), as im2col writes it"
        )
    places = math.prod(window.output_size(image))
    if cols.shape[-2] != places:
        raise ValueError(
            f"col2im: cols has {cols.shape[-2]} rows (shape {cols.shape}) but the window takes {places} places, "
            f"{window.formula(image)}; check image_size={image}, stride, padding and dilation"
        )
    if cols.shape[-1] % window.taps:
        raise ValueError(
            f"col2im: cols has {cols.shape[-1]} columns (shape {cols.shape}), which is no multiple of the "
            f"{window.taps} cells of kernel_size={window.kernel}; a row holds C*{window.taps} numbers"
        )


def _pairs(op: str, padding: Padding, ndim: int, shape: tuple[int, ...]) -> Pairs:
    """Return a pair for each of the last axes that `padding` speaks of."""
    one = isinstance(padding, int) or not isinstance(padding, Sequence)
    rank = ndim - 2 if one else len(padding)  # type: ignore[arg-type]
    if not 1 <= rank <= ndim:
        raise ValueError(
            f"{op}: padding={padding!r} does not fit x of shape {shape}; use a (before, after) pair for each of "
            f"the last axes, or one number for every spatial axis of (N, C, *spatial)"
        )
    return geometry.padding_pairs(op, padding, rank, minimum=None)


def check_mode(op: str, image: Sequence[int], pairs: Pairs, mode: str, argument: str = "mode") -> None:
    """Raise unless padding by `pairs` is defined in `mode` for an image of that size.

    Args:
        op: the operation that asks, for the message.
        image: the sizes of the axes that are padded.
        pairs: (before, after) for each.
        mode: zeros, reflect, replicate or circular.
        argument: what the caller calls `mode`.

    Raises:
        ValueError: an unknown mode, or more padding than the image can show.

    Example:
        >>> check_mode("pad", (3,), ((3, 0),), "reflect")
        Traceback (most recent call last):
        ...
        ValueError: pad: mode='reflect' can't pad 3 pixels by (3, 0); it shows at most 2 on a side
    """
    if mode not in geometry.PADDING_MODES:
        known = ", ".join(map(repr, geometry.PADDING_MODES))
        meant = geometry.meant(mode, geometry.PADDING_MODES)
        raise ValueError(f"{op}: {argument}={mode!r} is not known; use {known}{meant}")
    for n, pair in zip(image, pairs, strict=True):
        left = n + min(0, pair[0]) + min(0, pair[1])
        most = {"zeros": None, "reflect": max(n - 1, 0), "replicate": None if n else 0, "circular": left}[
            mode
        ]
        if left < 0:
            raise ValueError(f"{op}: padding={pair} cuts more than the {n} pixels of the axis")
        if most is not None and max(pair) > most:
            raise ValueError(
                f"{op}: {argument}={mode!r} can't pad {n} pixels by {pair}; it shows at most {most} on a side"
            )


def copies(pairs: Pairs, mode: str) -> int:
    """Return how often a padded image may show one pixel at most, itself included.

    Args:
        pairs: (before, after) for each axis.
        mode: one of `PADDING_MODES`.

    Example:
        >>> copies(((2, 1),), "replicate"), copies(((2, 1),), "zeros")
        (4, 1)
    """
    if mode == "zeros":
        return 1
    return math.prod(1 + max(0, before) + max(0, after) for before, after in pairs)


def pad(x: Array, padding: Padding, *, mode: str = "zeros", value: float = 0) -> Array:
    """Add a border to the last axes of an array, or cut one off where a number is negative.

    Args:
        x: any array; `(N, C, *spatial)` where `padding` is one number.
        padding: a (before, after) pair for each of the last axes, `[(1, 2), (0, 1)]`; one number for each
            of the last axes; or one number for every spatial axis.
        mode: zeros, reflect (the edge pixel is not repeated), replicate (it is) or circular.
        value: what zeros puts there instead of 0; a number that the dtype of `x` can hold.

    Returns:
        The padded array, of the dtype of `x`.

    Raises:
        TypeError, ValueError: an argument that can't work, such as reflect by more than `size - 1`.

    Example:
        >>> import numpy as np
        >>> pad(np.array([1, 2, 3]), [(2, 1)], mode="reflect")
        array([3, 2, 1, 2, 3, 2])
    """
    x = as_array("pad", "x", x)
    pairs = _pairs("pad", padding, x.ndim, x.shape)
    check_mode("pad", x.shape[x.ndim - len(pairs) :], pairs, mode)
    return engine_padding.pad(x, pairs, mode, _border(x, value))


def _border(x: Array, value: float) -> float:
    """Return what fills the border, or raise where an array of `x`'s type can't hold it: nothing wraps."""
    array = as_array("pad", "value", value)
    if array.ndim:
        raise TypeError(f"pad: value={value!r} is not one number")
    number = array.item()
    if x.dtype.kind == "f":
        return value
    if not float(number).is_integer():
        raise ValueError(f"pad: value={value!r} is not a whole number, but x is {x.dtype}; convert x first")
    low, high = (0, 1) if x.dtype.kind == "b" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    if not low <= number <= high:
        raise ValueError(f"pad: value={value!r} is beyond {x.dtype}, the dtype of x; convert x first")
    return value


def pad_input_grad(dy: Array, x_shape: Sequence[int], padding: Padding, *, mode: str = "zeros") -> Array:
    """Return the gradient of `pad`'s input: each pixel gets the sum of the gradients of all its copies.

    Args:
        dy: the gradient of `pad`'s output.
        x_shape: the shape of what was padded.
        padding: as in `pad`.
        mode: as in `pad`.

    Returns:
        An array of shape `x_shape`.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than `pad` gives.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> pad_input_grad(np.ones(6), (3,), [(2, 1)], mode="reflect")
        array([1., 3., 2.])
    """
    dy = as_array("pad_input_grad", "dy", dy)
    shape = checks.shape_of("pad_input_grad", "x_shape", x_shape)
    pairs = _pairs("pad_input_grad", padding, len(shape), shape)
    image = shape[len(shape) - len(pairs) :]
    check_mode("pad_input_grad", image, pairs, mode)
    grown = tuple(n + b + a for n, (b, a) in zip(image, pairs, strict=True))
    if dy.shape != shape[: len(shape) - len(pairs)] + grown:
        raise ValueError(
            f"pad_input_grad: dy has shape {dy.shape} but pad gives {shape[: len(shape) - len(pairs)] + grown} "
            f"for x_shape={shape} and padding={padding!r}; pass the gradient of that output"
        )
    (dy,), result = checks.numbers("pad_input_grad", dy, terms=copies(pairs, mode))
    return engine_padding.pad_input_grad(dy, image, pairs, mode).astype(result, copy=False)
