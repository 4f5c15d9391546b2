"""Where windows fall: kernel, stride, padding, dilation and groups; output sizes; padding's many names."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

from deepconv.arrays import Array

Sizes = int | Sequence[int]
"""One number for every axis, or one for each."""

Padding = int | str | Sequence[int | tuple[int, int]]
"""One number, one for each axis, a (before, after) pair for each, or a name in `PADDING_NAMES`."""

Pairs = tuple[tuple[int, int], ...]
"""(before, after) for each axis: what every padding comes to."""

PADDING_NAMES = ("valid", "same", "same_lower", "causal")

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

WORDS: dict[str, dict[str, str | None]] = {
    "onnx": {
        "NOTSET": None,
        "VALID": "valid",
        "SAME_UPPER": "same",
        "SAME_LOWER": "same_lower",
        "constant": "zeros",
        "reflect": "reflect",
        "edge": "replicate",
        "wrap": "circular",
    },
    "torch": {
        "valid": "valid",
        "same": "same",
        "zeros": "zeros",
        "constant": "zeros",
        "reflect": "reflect",
        "replicate": "replicate",
        "circular": "circular",
    },
    "tensorflow": {"VALID": "valid", "SAME": "same", "CAUSAL": "causal"},
    "numpy": {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"},
    "scipy.ndimage": {
        "constant": "zeros",
        "grid-constant": "zeros",
        "mirror": "reflect",
        "nearest": "replicate",
        "wrap": "circular",
        "grid-wrap": "circular",
    },
    "scipy.signal": {"valid": "valid", "same": "same_lower"},
}
"""What other libraries call our paddings and modes: `WORDS["onnx"]["SAME_UPPER"]` is `"same"`.

A word with no entry has no equal here: SciPy's `reflect` repeats the edge pixel, which none of ours does.
"""


def meant(word: object, known: Sequence[str]) -> str:
    """Return a remark on what another library's word is called here; nothing where it has no equal.

    Args:
        word: what the caller gave.
        known: the words that the caller could have given.

    Example:
        >>> meant("mirror", PADDING_MODES)
        " (scipy.ndimage's 'mirror' is 'reflect' here)"
        >>> meant("full", PADDING_NAMES)
        ''
    """
    for library, words in WORDS.items():
        ours = words.get(word) if isinstance(word, str) else None
        if ours in known and ours != word:
            return f" ({library}'s {word!r} is {ours!r} here)"
    return ""


def whole_number(value: object) -> int | None:
    """Return a whole number of any type as an int, or None for anything else; True is no size.

    Args:
        value: what somebody gave as a count or a size.

    Example:
        >>> whole_number(3), whole_number(3.0), whole_number(True)
        (3, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def per_axis(op: str, name: str, value: Sizes, rank: int, *, minimum: int = 1) -> tuple[int, ...]:
    """Return one whole number for each axis from a number or a sequence of them.

    Args:
        op: the operation that asks, for the message.
        name: the argument's name, for the message.
        value: a number for every axis, or a sequence of `rank` numbers.
        rank: how many axes there are.
        minimum: the least number that makes sense.

    Raises:
        TypeError: something else than whole numbers.
        ValueError: the wrong count of numbers, or one under `minimum`.

    Example:
        >>> per_axis("conv", "stride", 2, 3)
        (2, 2, 2)
    """
    whole = whole_number(value)
    items: Sequence[object] = (whole,) * rank if whole is not None else value  # type: ignore[assignment]
    try:
        numbers = [whole_number(item) for item in items]
    except TypeError:
        numbers = [None]
    if None in numbers or isinstance(value, str):
        raise TypeError(f"{op}: {name}={value!r} is not a whole number or a sequence of them")
    if len(numbers) != rank:
        raise ValueError(
            f"{op}: {name}={value!r} has {len(numbers)} numbers for {rank} spatial axes; "
            f"use one number or {rank}"
        )
    result = tuple(n for n in numbers if n is not None)
    if min(result, default=minimum) < minimum:
        raise ValueError(f"{op}: {name}={value!r} must be at least {minimum} on every axis")
    return result


@dataclass(frozen=True)
class Window:
    """A window that slides over an image, one entry for each spatial axis.

    Attributes:
        kernel: how many cells the window looks at.
        stride: how far it moves at a step.
        padding: `(before, after)`, how much is added to the image.
        dilation: the distance between two cells it looks at; 1 is a solid window.
        ceil_mode: also step to a last window that reaches over the far edge, as pooling may.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    ceil_mode: bool = False

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.kernel)

    @property
    def taps(self) -> int:
        """How many cells the window looks at, all axes together."""
        return math.prod(self.kernel)

    @property
    def span(self) -> tuple[int, ...]:
        """How far the window reaches on each axis: `dilation·(kernel-1) + 1`."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def padded_size(self, image: Sequence[int]) -> tuple[int, ...]:
        """Return the image's size with its padding."""
        return tuple(n + sum(p) for n, p in zip(image, self.padding, strict=True))

    def output_size(self, image: Sequence[int]) -> tuple[int, ...]:
        """Return how many places the window takes on each axis.

        `⌊(n + before + after - dilation·(kernel-1) - 1) / stride⌋ + 1`. With `ceil_mode` the
        quotient is rounded up, but no window may start beyond the image and its padding before.

        Example:
            >>> Window((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)).output_size((7, 8))
            (4, 4)
        """
        sizes = []
        for n, span, stride, (before, after) in zip(image, self.span, self.stride, self.padding, strict=True):
            room = n + before + after - span
            steps = -(-room // stride) if self.ceil_mode else room // stride
            if self.ceil_mode and steps * stride >= n + before:
                steps -= 1
            sizes.append(steps + 1)
        return tuple(sizes)

    def formula(self, image: Sequence[int]) -> str:
        """Return the size formula with this window's numbers filled in, for people to read.

        Example:
            >>> print(Window((3,), (2,), ((1, 0),), (1,)).formula((8,)))
            floor((8 + 1 + 0 - 1*(3 - 1) - 1) / 2) + 1 = 4
        """
        rounding = "ceil" if self.ceil_mode else "floor"
        return " by ".join(
            f"{rounding}(({n} + {b} + {a} - {d}*({k} - 1) - 1) / {s}) + 1 = {out}"
            for n, k, s, (b, a), d, out in zip(
                image, self.kernel, self.stride, self.padding, self.dilation,
                self.output_size(image), strict=True,
            )
        )  # fmt: skip

    def without_padding(self) -> "Window":
        """Return the same window over an image that has its padding already."""
        return Window(self.kernel, self.stride, ((0, 0),) * self.rank, self.dilation, self.ceil_mode)


def _named_padding(name: str, image: Sequence[int], span: Sequence[int], stride: Sequence[int]) -> Pairs:
    """Return the pairs that a padding's name stands for."""
    if name == "valid":
        return ((0, 0),) * len(span)
    if name == "causal":  # an output sees nothing after its own place
        return tuple((reach - 1, 0) for reach in span)
    pairs = []
    for n, reach, step in zip(image, span, stride, strict=True):
        total = max((-(-n // step) - 1) * step + reach - n, 0)
        less, more = total // 2, total - total // 2
        pairs.append((more, less) if name == "same_lower" else (less, more))
    return tuple(pairs)


def padding_pairs(op: str, value: Padding, rank: int, *, minimum: int | None = 0) -> Pairs:
    """Return a (before, after) pair for each axis from a number, numbers or pairs; names not included.

    Args:
        op: the operation that asks, for the message.
        value: one number, one per axis, or one pair per axis.
        rank: how many axes there are.
        minimum: the least number that makes sense; None where any does.

    Raises:
        TypeError: something else than whole numbers.
        ValueError: the wrong count, or a number under `minimum`.

    Example:
        >>> padding_pairs("conv", [(1, 0), 2], 2)
        ((1, 0), (2, 2))
    """
    if isinstance(value, str):
        raise ValueError(f"{op}: padding={value!r} is not known; use {', '.join(map(repr, PADDING_NAMES))}, "
                         f"a number, one per axis, or a (before, after) pair per axis"
                         f"{meant(value, PADDING_NAMES)}")  # fmt: skip
    whole = whole_number(value)
    if whole is not None:
        items: list[object] = [whole] * rank
    else:
        try:
            items = list(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"{op}: padding={value!r} is not a number, a sequence or a name") from None
    if len(items) != rank:
        raise ValueError(
            f"{op}: padding={value!r} has {len(items)} entries for {rank} spatial axes; use one number, "
            f"{rank} numbers or {rank} (before, after) pairs"
        )
    pairs = []
    for item in items:
        one = whole_number(item)
        both = (one, one) if one is not None else tuple(map(whole_number, item))  # type: ignore[call-overload]
        if len(both) != 2 or None in both:
            raise TypeError(
                f"{op}: padding={value!r}: {item!r} is neither a number nor a (before, after) pair"
            )
        if minimum is not None and min(both) < minimum:
            raise ValueError(f"{op}: padding={value!r} must be at least {minimum} on every side")
        pairs.append(both)
    return tuple(pairs)


def window(
    op: str,
    image: Sequence[int],
    kernel_size: Sizes,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Window:
    """Return the window that these arguments describe over an image, every name and number resolved.

    Args:
        op: the operation that asks, for the messages.
        image: the image's spatial sizes; their count is the rank.
        kernel_size: cells on each axis.
        stride: step on each axis.
        padding: an int, one per axis, a (before, after) pair per axis, `"valid"`, `"same"`
            (`ceil(size/stride)` outputs, the odd pixel after), `"same_lower"` or `"causal"`.
        dilation: distance between cells on each axis.
        ceil_mode: as in `Window`.

    Raises:
        TypeError, ValueError: an argument that can't work, or a kernel larger than the padded image.

    Example:
        >>> window("conv", (7, 8), 3, stride=2, padding="same").padding
        ((1, 1), (0, 1))
    """
    rank = len(image)
    kernel = per_axis(op, "kernel_size", kernel_size, rank)
    strides = per_axis(op, "stride", stride, rank)
    dilations = per_axis(op, "dilation", dilation, rank)
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True))
    if isinstance(padding, str) and padding in PADDING_NAMES:
        pairs = _named_padding(padding, image, span, strides)
    else:
        pairs = padding_pairs(op, padding, rank)
    result = Window(kernel, strides, pairs, dilations, ceil_mode)
    if min(result.output_size(image)) < 1:
        padded = result.padded_size(image)
        dilated = f", which spans {span} with dilation={dilations}," if max(dilations) > 1 else ""
        raise ValueError(
            f"{op}: kernel_size={kernel}{dilated} is larger than the padded image {padded} (image "
            f"{tuple(image)}, padding {pairs}), so the output would be empty, {result.formula(image)}; "
            f"use a smaller kernel or more padding"
        )
    return result


def check_groups(op: str, groups: int, **channels: tuple[int, str]) -> None:
    """Raise unless `groups` is a whole number that divides every count of channels.

    Args:
        op: the operation that asks, for the message.
        groups: into how many parts the channels fall.
        channels: for each name, the count and where it was read (`"x has shape (2, 8, 5, 5)"`).

    Raises:
        TypeError: not a whole number.
        ValueError: under 1, or it does not divide; the message lists what would.

    Example:
        >>> check_groups("conv", 3, in_channels=(8, "x has shape (2, 8, 5, 5)"))
        Traceback (most recent call last):
        ...
        ValueError: conv: groups=3 does not divide in_channels=8 (x has shape (2, 8, 5, 5)); use 1, 2, 4 or 8
    """
    if whole_number(groups) is None:
        raise TypeError(f"{op}: groups={groups!r} is not a whole number")
    if groups < 1:
        raise ValueError(f"{op}: groups={groups} must be at least 1")
    for name, (count, where) in channels.items():
        if count % groups:
            # A hostile model file may name 10**14 channels: counting through them all would never end.
            divisors = [str(d) for d in range(1, min(count, 4096) + 1) if count % d == 0]
            listed = ", ".join(divisors[:-1]) + " or " * (len(divisors) > 1) + divisors[-1]
            raise ValueError(f"{op}: groups={groups} does not divide {name}={count} ({where}); use {listed}")


def split_batch(op: str, x: Array, rank: int, name: str = "x") -> tuple[Array, bool]:
    """Return `x` with a batch axis, and whether it had one.

    Args:
        op: the operation that asks, for the message.
        x: `(N, C, *spatial)` or `(C, *spatial)` with `rank` spatial axes.
        rank: how many spatial axes there are.
        name: the argument's name, for the message.

    Raises:
        ValueError: another number of axes.

    Example:
        >>> import numpy as np
        >>> batch, had = split_batch("conv", np.zeros((3, 8, 8)), 2)
        >>> batch.shape, had
        ((1, 3, 8, 8), False)
    """
    if x.ndim == rank + 2:
        return x, True
    if x.ndim == rank + 1:
        return x[None], False
    axes = ", ".join("DHW"[3 - rank :]) if 1 <= rank <= 3 else "*spatial"
    raise ValueError(
        f"{op}: {name} has {x.ndim} axes (shape {x.shape}) where {rank} spatial axes need {rank + 2}, "
        f"(N, C, {axes}), or {rank + 1} for one image, (C, {axes})"
    )
