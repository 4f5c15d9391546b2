"""Transposed convolution: `conv`'s input gradient used forwards, with gradients of its own.

    y[n, k, i·stride + r·dilation - before] += x[n, c, i] · weight[c, k, r]

Every input pixel stamps the kernel, scaled, onto the output. So `y` is what `conv_input_grad` gives
for `x` as the gradient, its input gradient is a `conv`, and its weight gradient a `conv_weight_grad`
with the two images in each other's place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv import geometry
from deepconv.arrays import Array, as_array, dtypes, is_integer
from deepconv.geometry import Padding, Pairs, Sizes
from deepconv.operators import checks
from deepconv.operators.cases import channels_message, check_ranks
from deepconv.operators.convolution import (
    conv,
    conv_bias_grad,
    conv_input_grad,
    conv_weight_grad,
)  # fmt: skip


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Stamp the kernel onto the output for every pixel of `x`, scaled by it: the adjoint of `conv`.

    Args:
        x: images, `(N, C, *spatial)`, or one image, `(C, *spatial)`.
        weight: `(C, K/groups, *kernel)`: the weight of the `conv` whose adjoint this is.
        bias: `(K,)`, or None.
        stride: how far apart the stamps are.
        padding: what is cut from the full output: every form that `conv` takes but `"causal"`; `"same"` and
            `"same_lower"` give `size·stride` outputs.
        output_padding: rows and columns added after, under the stride or the dilation: it tells apart
            the sizes that a strided `conv` maps to one.
        dilation: the distance between two cells of the kernel.
        groups: parts into which channels and filters fall.

    Returns:
        `(N, K, *out)`, or `(K, *out)`, with
        `out = (size - 1)·stride - before - after + dilation·(kernel - 1) + output_padding + 1`.

    Raises:
        TypeError, ValueError: an argument that can't work; the message says what would.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> conv_transpose(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0, 100.0]]]), stride=2)
        array([[[  1.,  10., 102.,  20., 200.]]])
    """
    op = "conv_transpose"
    x, weight = as_array(op, "x", x), as_array(op, "weight", weight)
    case = _case(op, x.shape, weight.shape, stride, padding, output_padding, dilation, groups)
    operands = [x, weight] if bias is None else [x, weight, _bias(case, weight, bias, groups)]
    working, result = dtypes(op, *operands)
    exact = is_integer(*operands)
    x, weight, *biases = operands if exact else [a.astype(working, copy=False) for a in operands]
    y = conv_input_grad(
        x, weight, case.stamped_shape, stride=stride, padding=case.cut, dilation=dilation, groups=groups
    )
    if any(case.rest):
        y = np.pad(y, ((0, 0),) * (y.ndim - len(case.rest)) + tuple((0, n) for n in case.rest))
    for b in biases:
        if exact and checks.largest_of(y) + checks.largest_of(b) >= 2**63:
            raise OverflowError(
                f"{op}: a bias of {b.dtype} up to {checks.largest_of(b)} may take sums up to "
                f"{checks.largest_of(y)} beyond int64; use float64, which rounds, or scale down"
            )
        y = y + b.astype(y.dtype, copy=False).reshape(-1, *(1,) * len(case.rest))
    return y if exact else y.astype(result, copy=False)


def _bias(case: "_Case", weight: Array, bias: Array, groups: int) -> Array:
    """Return the bias, checked."""
    bias = as_array("conv_transpose", "bias", bias)
    if bias.shape != (case.filters,):
        raise ValueError(
            f"conv_transpose: bias has shape {bias.shape} but weight of shape {weight.shape} has {case.filters} "
            f"output channels with groups={groups}; use shape ({case.filters},)"
        )
    return bias


def conv_transpose_input_grad(
    dy: Array,
    weight: Array,
    x_shape: Sequence[int],
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Return the gradient of `conv_transpose`'s input from that of its output: a `conv`.

    Args:
        dy: the gradient of the output.
        weight: as in `conv_transpose`.
        x_shape: the shape of `conv_transpose`'s `x`.
        stride, padding, output_padding, dilation, groups: as in `conv_transpose`.

    Returns:
        An array of shape `x_shape`.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> import numpy as np
        >>> conv_transpose_input_grad(
        ...     np.arange(5.0).reshape(1, 1, 5), np.array([[[1.0, 10.0, 100.0]]]), (1, 1, 2), stride=2
        ... )
        array([[[210., 432.]]])
    """
    op = "conv_transpose_input_grad"
    dy, weight = as_array(op, "dy", dy), as_array(op, "weight", weight)
    shape = checks.shape_of(op, "x_shape", x_shape)
    case = _case(op, shape, weight.shape, stride, padding, output_padding, dilation, groups)
    dy = case.stamped(op, dy)
    return conv(dy, weight, stride=stride, padding=case.cut, dilation=dilation, groups=groups)


def conv_transpose_weight_grad(
    dy: Array,
    x: Array,
    weight_shape: Sequence[int],
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Return the gradient of `conv_transpose`'s weight from that of its output: a sum over the batch.

    Args:
        dy: the gradient of the output.
        x: as in `conv_transpose`.
        weight_shape: the shape of `conv_transpose`'s `weight`.
        stride, padding, output_padding, dilation, groups: as in `conv_transpose`.

    Returns:
        An array of shape `weight_shape`.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than the output.

    Example:
        >>> import numpy as np
        >>> conv_transpose_weight_grad(
        ...     np.arange(5.0).reshape(1, 1, 5), np.array([[[1.0, 2.0]]]), (1, 1, 3), stride=2
        ... )
        array([[[ 4.,  7., 10.]]])
    """
    op = "conv_transpose_weight_grad"
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    shape = checks.shape_of(op, "weight_shape", weight_shape)
    case = _case(op, x.shape, shape, stride, padding, output_padding, dilation, groups)
    dy = case.stamped(op, dy)
    return conv_weight_grad(x, dy, shape, stride=stride, padding=case.cut, dilation=dilation, groups=groups)


def conv_transpose_bias_grad(dy: Array) -> Array:
    """Return the gradient of `conv_transpose`'s bias from that of its output, as `conv_bias_grad` does.

    Args:
        dy: the gradient of the output, `(N, K, *out)`.

    Returns:
        `(K,)`.

    Example:
        >>> import numpy as np
        >>> conv_transpose_bias_grad(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]))
        array([10.])
    """
    return conv_bias_grad(dy)


@dataclass(frozen=True)
class _Case:
    """The checked shapes of one transposed convolution.

    `cut` is the padding that is left once output_padding has been taken off what is cut after;
    `rest` is the part of output_padding beyond what a `conv` with this stride leaves unread at the end:
    with it, the `conv` would have one place more than there are stamps. No stamp reaches it.
    """

    lead: tuple[int, ...]
    filters: int
    out: tuple[int, ...]
    cut: Pairs
    rest: tuple[int, ...]

    @property
    def stamped_shape(self) -> tuple[int, ...]:
        """The output's shape without `rest`."""
        return (*self.lead, self.filters, *(n - r for n, r in zip(self.out, self.rest, strict=True)))

    def stamped(self, op: str, dy: Array) -> Array:
        """Return the part of the output's gradient where stamps reach, or raise for a wrong shape."""
        expected = (*self.lead, self.filters, *self.out)
        checks.check_gradient(op, dy, expected)
        reached: tuple[Any, ...] = (..., *(slice(n - r) for n, r in zip(self.out, self.rest, strict=True)))
        part: Array = dy[reached]
        return part


def _case(
    op: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Sizes,
    padding: Padding,
    output_padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> _Case:
    """Return the checked shapes, or raise what the design asks for."""
    rank = check_ranks(op, x_shape, weight_shape)
    image, channels = x_shape[-rank:], x_shape[-rank - 1]
    geometry.check_groups(op, groups, in_channels=(channels, f"x has shape {x_shape}"))
    if weight_shape[0] != channels:
        raise ValueError(channels_message(op, x_shape, weight_shape, weight_shape[0], rank))
    kernel = weight_shape[2:]
    steps, extra, span, pairs = stamp(op, kernel, stride, padding, output_padding, dilation)
    full = tuple((n - 1) * s + reach for n, s, reach in zip(image, steps, span, strict=True))
    out = tuple(n - b - a + e for n, (b, a), e in zip(full, pairs, extra, strict=True))
    cut = tuple((b, max(0, a - e)) for (b, a), e in zip(pairs, extra, strict=True))
    rest = tuple(max(0, e - a - (s - 1)) for (_, a), e, s in zip(pairs, extra, steps, strict=True))
    if min(image) < 1 or min(n - r for n, r in zip(out, rest, strict=True)) < 1:
        raise ValueError(
            f"{op}: no stamp would be left in the output, {out} = (size - 1)*stride - before - after + "
            f"dilation*(kernel - 1) + output_padding + 1 (x has shape {x_shape}, kernel {kernel}, stride {steps}, "
            f"padding {pairs}); use less padding"
        )
    return _Case(x_shape[: -rank - 1], weight_shape[1] * groups, out, cut, rest)


def stamp(
    op: str, kernel: Sequence[int], stride: Sizes, padding: Padding, output_padding: Sizes, dilation: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Pairs]:
    """Return a transposed window's stride, output padding, span and cut on each axis, checked.

    Args:
        op: the operation that asks, for the message.
        kernel: the window's cells on each axis.
        stride, padding, output_padding, dilation: as in `conv_transpose`.

    Raises:
        TypeError, ValueError: an argument that can't work, whatever the image.

    Example:
        >>> stamp("conv_transpose", (4,), 2, "same", 0, 1)
        ((2,), (0,), (4,), ((1, 1),))
    """
    rank = len(kernel)
    kernel = geometry.per_axis(op, "kernel_size", kernel, rank)
    steps = geometry.per_axis(op, "stride", stride, rank)
    gaps = geometry.per_axis(op, "dilation", dilation, rank)
    extra = geometry.per_axis(op, "output_padding", output_padding, rank, minimum=0)
    if any(e >= max(s, d) and e > 0 for e, s, d in zip(extra, steps, gaps, strict=True)):
        raise ValueError(
            f"{op}: output_padding={output_padding!r} must be under the stride {steps} or the dilation {gaps}"
        )
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, gaps, strict=True))
    return steps, extra, span, _cut(op, padding, span, steps, extra)


def _cut(
    op: str, padding: Padding, span: tuple[int, ...], stride: tuple[int, ...], extra: tuple[int, ...]
) -> Pairs:
    """Return the (before, after) that padding cuts; by name, so that `size·stride` outputs are left."""
    if not isinstance(padding, str):
        return geometry.padding_pairs(op, padding, len(span))
    if padding not in ("valid", "same", "same_lower"):
        raise ValueError(
            f"{op}: padding={padding!r} is not known; use 'valid', 'same', 'same_lower', a number, one per axis, "
            f"or a (before, after) pair per axis"
        )
    if padding == "valid":
        return ((0, 0),) * len(span)
    pairs = []
    for reach, step, more in zip(span, stride, extra, strict=True):
        total = reach + more - step
        if total < 0:
            raise ValueError(
                f"{op}: padding={padding!r} can't make {step} outputs for each input pixel with a kernel that spans "
                f"{reach}; use output_padding={-total} more, or a larger kernel"
            )
        half = total // 2
        pairs.append((total - half, half) if padding == "same_lower" else (half, total - half))
    return tuple(pairs)
