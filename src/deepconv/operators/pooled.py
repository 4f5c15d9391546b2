"""What the pooling operators check in common: the window, its padding, the batch axis, the gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from deepconv import geometry
from deepconv.arrays import Array
from deepconv.engine.windowed import Axis, window_axes
from deepconv.geometry import Padding, Sizes, Window
from deepconv.operators import checks


@dataclass(frozen=True)
class Pooling:
    """Checked arguments of one pooling.

    Attributes:
        shape: that of x, as it was given.
        window: the window, None for adaptive pooling.
        axes: how it lies on each spatial axis.
    """

    shape: tuple[int, ...]
    window: Window | None
    axes: tuple[Axis, ...]

    @property
    def image(self) -> tuple[int, ...]:
        """The spatial sizes of x."""
        return self.shape[len(self.shape) - len(self.axes) :]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the output, with a batch axis where x has one."""
        return (*self.shape[: len(self.shape) - len(self.axes)], *(axis.out for axis in self.axes))

    @property
    def terms(self) -> int:
        """In how many windows a pixel can be, generously."""
        return int(np.prod([max(1, len(axis.moves)) for axis in self.axes]))

    def check_gradient(self, op: str, dy: Array) -> None:
        """Raise unless `dy` has the output's shape.

        Args:
            op: the operation that asks, for the message.
            dy: the gradient.
        """
        sizes = f"spatial sizes {self.window.formula(self.image)}" if self.window else ""
        checks.check_gradient(op, dy, self.output_shape, sizes)


def spatial_rank(op: str, name: str, value: Sizes | Sequence[int | None], shape: Sequence[int]) -> int:
    """Return how many spatial axes are meant: as many as `value` has numbers, else x's axes but two.

    Args:
        op: the operation that asks, for the message.
        name: the argument's name, for the message.
        value: a number or a sequence of them.
        shape: that of x.

    Raises:
        ValueError: the axes can't be told, or x has others.

    Example:
        >>> spatial_rank("max_pool", "kernel_size", (2, 2), (3, 8, 8))
        2
    """
    several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    rank = len(value) if several else len(shape) - 2  # type: ignore[arg-type]
    if several and rank == 0:
        raise ValueError(f"{op}: {name}={value!r} has no number; use one for each spatial axis")
    if rank < 1:
        raise ValueError(
            f"{op}: x has {len(shape)} axes (shape {tuple(shape)}), from which {name}={value!r} can't tell the "
            f"spatial ones; pass (N, C, *spatial), or {name} as a tuple with a number for each axis"
        )
    check_axes(op, shape, rank)
    return rank


def check_axes(op: str, shape: Sequence[int], rank: int) -> None:
    """Raise unless `shape` is that of images with `rank` spatial axes, batched or not, and has channels.

    Args:
        op: the operation that asks, for the message.
        shape: that of x.
        rank: how many spatial axes there are.

    Raises:
        ValueError: another count of axes, or no channels.

    Example:
        >>> check_axes("max_pool", (3, 8, 8), 2)
    """
    if len(shape) not in (rank + 1, rank + 2):
        raise ValueError(
            f"{op}: x has {len(shape)} axes (shape {tuple(shape)}) where {rank} spatial axes need {rank + 2}, "
            f"(N, C, *spatial), or {rank + 1} for one image, (C, *spatial)"
        )
    if shape[-rank - 1] == 0:
        raise ValueError(f"{op}: x has no channels (shape {tuple(shape)}); pass at least one")


def pooling(
    op: str,
    shape: Sequence[int],
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
) -> Pooling:
    """Return the pooling that these arguments describe, checked.

    Args:
        op: the operation that asks, for the messages.
        shape: that of x.
        kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool`.

    Raises:
        TypeError, ValueError: an argument that can't work.

    Example:
        >>> pooling("max_pool", (3, 7, 8), (2, 2), None, 0, 1, True).output_shape
        (3, 4, 4)
    """
    words = (kernel_size, stride, padding, dilation, ceil_mode)
    if all(map(_is_simple, words)):
        # What was checked before is not thought about twice: that costs as much as pooling a small batch.
        return _checked(op, tuple(shape), words, _kinds(words))
    return _check(op, tuple(shape), *words)


def _kinds(value: Any) -> Any:
    """Return the types of what a tuple holds: True equals 1, and only one of them is a stride."""
    return tuple(map(_kinds, value)) if type(value) is tuple else type(value)


def _is_simple(value: Any) -> bool:
    """Tell whether an argument can be remembered: Python's own numbers and words, or tuples of them."""
    if type(value) is tuple:
        return all(map(_is_simple, value))
    return value is None or type(value) in (int, str, bool)


@lru_cache(maxsize=256)
def _checked(op: str, shape: tuple[int, ...], words: tuple[Any, ...], kinds: Any) -> Pooling:
    """Return the pooling of simple arguments, the same object for the same ones."""
    return _check(op, shape, *words)


def _check(
    op: str,
    shape: tuple[int, ...],
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
) -> Pooling:
    """Return the pooling that these arguments describe, or raise."""
    if not isinstance(ceil_mode, bool | np.bool_):
        raise TypeError(f"{op}: ceil_mode={ceil_mode!r} is not True or False")
    rank = spatial_rank(op, "kernel_size", kernel_size, shape)
    image = shape[-rank:]
    window = geometry.window(
        op,
        image,
        kernel_size,
        stride=kernel_size if stride is None else stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=bool(ceil_mode),
    )
    _check_padding(op, padding, window)
    return Pooling(shape, window, window_axes(window, image))


def _check_padding(op: str, given: Padding, window: Window) -> None:
    """Raise where padding is so wide that a window may lie in it whole, or nearly, as PyTorch does.

    A number for both sides must be at most half the window, so that its middle is in the image. A
    (before, after) pair is taken at its word (ONNX's cases have such) as long as a window reaches out.
    """
    if isinstance(given, str):
        return
    for a, (span, pair) in enumerate(zip(window.span, window.padding, strict=True)):
        pairs = np.ndim(given) > 0 and np.ndim(given[a]) > 0  # type: ignore[index]
        limit = span - 1 if pairs else span // 2
        if max(pair) > limit:
            reach = "less than" if pairs else "at most half"
            raise ValueError(
                f"{op}: padding={given!r} must be {reach} the window's span {window.span} (kernel_size="
                f"{window.kernel}, dilation={window.dilation}), or windows see padding alone; use at most {limit}"
            )
