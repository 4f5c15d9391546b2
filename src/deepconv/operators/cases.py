"""The shapes of one convolution, checked: what the operators hand to the engine, or say why they can't."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from deepconv import geometry
from deepconv.engine import settings
from deepconv.engine.problem import Pass, Problem
from deepconv.geometry import Padding, Sizes, Window
from deepconv.operators import calls
from deepconv.operators.windows import check_mode


@dataclass(frozen=True)
class Case:
    """The checked shapes of one convolution."""

    batched: bool
    batch: int
    channels: int
    filters: int
    image: tuple[int, ...]
    window: Window
    groups: int
    mode: str

    @property
    def plain(self) -> bool:
        """Whether the engine takes the arrays as they are: a batch, and zeros around it."""
        return self.batched and self.mode == "zeros"

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of `y`, without the batch axis where `x` has none."""
        lead = (self.batch,) if self.batched else ()
        return (*lead, self.filters, *self.window.output_size(self.image))


def case_of(op: str, x_shape: Sequence[int], weight_shape: Sequence[int], *geometry_words: Any) -> Case:
    """Return the checked shapes, or raise what the design asks for; what was checked once is kept."""
    words = tuple(_hashable(word) for word in geometry_words)
    return _checked_case(op, tuple(x_shape), tuple(weight_shape), *words, calls.kinds(words))


def _hashable(word: Any) -> Any:
    """Return lists and arrays as tuples, so that equal geometries are found again."""
    if isinstance(word, np.ndarray):
        word = word.tolist()
    return tuple(_hashable(item) for item in word) if isinstance(word, (list, tuple)) else word


@lru_cache(maxsize=4096)
def _checked_case(
    op: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
    padding_mode: str,
    kinds: Any,
) -> Case:
    """Return the checked shapes, or raise what the design asks for; `kinds` keeps True and 1 apart."""
    rank = check_ranks(op, x_shape, weight_shape)
    image, kernel = x_shape[-rank:], weight_shape[2:]
    channels, filters = x_shape[-rank - 1], weight_shape[0]
    geometry.check_groups(
        op,
        groups,
        in_channels=(channels, f"x has shape {x_shape}"),
        out_channels=(filters, f"weight has shape {weight_shape}"),
    )
    if weight_shape[1] * groups != channels:
        wanted = weight_shape[1] * groups
        raise ValueError(channels_message(op, x_shape, weight_shape, wanted, rank))
    if channels == 0 or filters == 0:
        raise ValueError(
            f"{op}: there are no channels (x has shape {x_shape}, weight {weight_shape}); use at least one"
        )
    window = geometry.window(op, image, kernel, stride=stride, padding=padding, dilation=dilation)
    check_mode(op, image, window.padding, padding_mode, "padding_mode")
    batched = len(x_shape) == rank + 2
    batch = x_shape[0] if batched else 1
    return Case(batched, batch, channels, filters, image, window, groups, padding_mode)


def check_ranks(op: str, x_shape: tuple[int, ...], weight_shape: tuple[int, ...]) -> int:
    """Return the number of spatial axes, read off the weight, or raise where `x` can't go with it.

    Args:
        op: the operation that asks, for the message.
        x_shape: `(N, C, *spatial)` or `(C, *spatial)`.
        weight_shape: two axes for channels, then the kernel's.

    Raises:
        ValueError: too few axes, or counts that don't go together.

    Example:
        >>> check_ranks("conv", (3, 8, 8), (4, 3, 3, 3))
        2
    """
    rank = len(weight_shape) - 2
    if rank < 1:
        raise ValueError(
            f"{op}: weight has {len(weight_shape)} axes (shape {weight_shape}); use two for channels and one "
            f"for each spatial axis, such as (out_channels, in_channels/groups, height, width)"
        )
    if len(x_shape) not in (rank + 1, rank + 2):
        raise ValueError(
            f"{op}: x has {len(x_shape)} axes (shape {x_shape}) but weight of shape {weight_shape} slides over "
            f"{rank} spatial axes; use {rank + 2} axes, (N, C, ...), or {rank + 1} for one image, (C, ...)"
        )
    return rank


def channels_message(
    op: str, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], wanted: int, rank: int
) -> str:
    """Return what to say where `x` has not the channels that `weight` wants.

    Args:
        op: the operation that asks.
        x_shape: its images.
        weight_shape: its weight.
        wanted: the channels that `x` should have.
        rank: the number of spatial axes.

    Example:
        >>> print(channels_message("conv", (1, 8, 9, 3), (4, 3, 2, 2), 3, 2))  # doctest: +ELLIPSIS
        conv: x has 8 channels (shape (1, 8, 9, 3)) but weight ... channels-last: use x.transpose(0, 3, 1, 2)
    """
    axis = len(x_shape) - rank - 1
    message = (
        f"{op}: x has {x_shape[axis]} channels (shape {x_shape}) "
        f"but weight of shape {weight_shape} wants {wanted}"
    )
    if x_shape[-1] == wanted:
        order = (*range(axis), len(x_shape) - 1, *range(axis, len(x_shape) - 1))
        return f"{message}; x looks channels-last: use x.transpose{order}"
    return f"{message}; use x with {wanted} channels on axis {axis}, or other groups"


def problem_of(which: Pass, case: Case, dtype: np.dtype[Any], **what: bool) -> Problem:
    """Return the engine's description; borders that aren't zeros are part of the image it sees."""
    window, image = case.window, case.image
    if case.mode != "zeros":
        image, window = window.padded_size(image), window.without_padding()
    return Problem(
        which, case.batch, case.channels, case.filters, image, window, case.groups, dtype,
        **what, threads=settings.get_threads(), workspace_limit=settings.get_workspace_limit(),
    )  # fmt: skip
