"""The one table of named convolution cases, shared by tests and benchmarks; and random geometries."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from deepconv import geometry
from deepconv.geometry import Window


@dataclass(frozen=True)
class Case:
    """One convolution: shapes with a batch axis, and `conv`'s keywords."""

    name: str
    x_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    keywords: dict[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> int:
        return self.keywords.get("groups", 1)

    @property
    def mode(self) -> str:
        return self.keywords.get("padding_mode", "zeros")

    @property
    def window(self) -> Window:
        words = {k: v for k, v in self.keywords.items() if k in ("stride", "padding", "dilation")}
        return geometry.window("case", self.x_shape[2:], self.weight_shape[2:], **words)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return (self.x_shape[0], self.weight_shape[0], *self.window.output_size(self.x_shape[2:]))

    def arrays(self, dtype: Any = np.float64, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return random `x, weight, dy`."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        shapes = (self.x_shape, self.weight_shape, self.y_shape)
        if np.dtype(dtype).kind in "iu":
            return tuple(rng.integers(-9, 10, shape).astype(dtype) for shape in shapes)
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("plain", (2, 3, 7, 6), (4, 3, 3, 2)),
    Case("post_5x5", (1, 1, 5, 5), (1, 1, 3, 3)),
    Case("post_default", (2, 3, 7, 7), (2, 3, 3, 3), dict(stride=2, padding=1)),
    Case("one_pixel", (3, 2, 1, 1), (3, 2, 1, 1)),
    Case("one_pixel_padded", (2, 2, 1, 1), (3, 2, 3, 3), dict(padding=1)),
    Case("one_channel", (2, 1, 6, 5), (3, 1, 2, 3)),
    Case("kernel_is_image", (2, 3, 4, 3), (2, 3, 4, 3)),
    Case("row_kernel", (2, 2, 5, 7), (3, 2, 1, 5), dict(padding=(0, 2))),
    Case("even_kernel_same", (1, 2, 5, 6), (2, 2, 4, 2), dict(padding="same")),
    Case("same_strided", (1, 2, 8, 7), (2, 2, 3, 3), dict(padding="same", stride=(3, 2))),
    Case("same_lower_strided", (1, 2, 8, 7), (2, 2, 4, 3), dict(padding="same_lower", stride=2)),
    Case("causal_1d", (2, 2, 9), (3, 2, 3), dict(padding="causal", dilation=2)),
    Case("stride_does_not_divide", (2, 2, 8, 9), (3, 2, 3, 3), dict(stride=(2, 3))),
    Case("stride_over_kernel", (2, 2, 9, 8), (2, 2, 2, 1), dict(stride=(4, 3))),
    Case("padding_over_kernel", (1, 2, 3, 4), (2, 2, 2, 3), dict(padding=(4, 3))),
    Case("one_sided", (2, 2, 5, 4), (2, 2, 3, 3), dict(padding=[(2, 0), (0, 3)], stride=(1, 2))),
    Case("dilated", (1, 2, 8, 9), (2, 2, 3, 2), dict(dilation=(2, 3), padding=1)),
    Case("dilated_strided", (2, 2, 9, 8), (2, 2, 2, 3), dict(dilation=3, stride=2, padding=(1, 2))),
    Case("pointwise", (2, 5, 4, 3), (3, 5, 1, 1)),
    Case("pointwise_strided", (2, 4, 5, 7), (6, 2, 1, 1), dict(stride=(2, 3), groups=2)),
    Case("pointwise_padded", (2, 3, 3, 4), (2, 3, 1, 1), dict(padding=1)),
    Case("grouped", (2, 6, 5, 4), (4, 3, 3, 3), dict(groups=2, padding=1)),
    Case("depthwise", (2, 3, 6, 5), (3, 1, 3, 3), dict(groups=3, padding=1)),
    Case("depthwise_twofold", (2, 3, 6, 5), (6, 1, 3, 2), dict(groups=3, stride=2)),
    Case("long_batch", (11, 2, 4, 3), (3, 2, 3, 2), dict(padding=1)),
    Case("long_batch_depthwise", (11, 2, 4, 3), (2, 1, 3, 2), dict(padding=1, groups=2)),
    Case("signal", (2, 3, 11), (4, 3, 4), dict(stride=2, padding=2)),
    Case("signal_grouped", (2, 4, 9), (4, 2, 3), dict(groups=2, dilation=2)),
    Case("volume", (1, 2, 4, 5, 3), (2, 2, 2, 3, 2), dict(stride=(1, 2, 1), padding=(1, 0, 1))),
    Case("volume_depthwise", (1, 2, 3, 4, 5), (2, 1, 2, 2, 3), dict(groups=2, padding=1)),
    Case("four_axes", (1, 2, 3, 2, 3, 2), (2, 2, 2, 1, 2, 2)),
    Case("reflect", (2, 2, 5, 4), (2, 2, 3, 3), dict(padding=(2, 3), padding_mode="reflect")),
    Case("replicate", (2, 2, 4, 3), (2, 2, 3, 2), dict(padding=[(4, 1), (0, 2)], padding_mode="replicate")),
    Case("circular", (2, 2, 4, 5), (2, 2, 3, 3), dict(padding=[(4, 1), (2, 5)], padding_mode="circular")),
    Case("reflect_strided", (1, 2, 6, 5), (2, 2, 3, 3), dict(padding=1, stride=2, padding_mode="reflect")),
    Case("empty_batch", (0, 2, 5, 4), (3, 2, 3, 3), dict(padding=1)),
    Case("empty_batch_pointwise", (0, 2, 5, 4), (3, 2, 1, 1)),
    Case("empty_batch_depthwise", (0, 2, 5, 4), (2, 1, 3, 3), dict(groups=2)),
]


@st.composite
def geometries(draw: st.DrawFn) -> Case:
    """Draw a convolution: one to three axes, odd and rectangular, all paddings and modes, groups, empty batches."""
    rank = draw(st.integers(1, 3))
    most = {1: 12, 2: 7, 3: 4}[rank]

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    image, kernel = per_axis(1, most), per_axis(1, min(4, most))
    stride, dilation = per_axis(1, 4), per_axis(1, 3 if rank < 3 else 2)
    mode = draw(st.sampled_from(geometry.PADDING_MODES))
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    named = draw(st.sampled_from([None, None, "same", "same_lower", "causal", "valid"]))
    limits = {"zeros": [s + 1 for s in span], "replicate": [s + 1 for s in span],
              "reflect": [n - 1 for n in image], "circular": image}[mode]  # fmt: skip
    pairs = [(draw(st.integers(0, most)), draw(st.integers(0, most))) for most in limits]
    padding = named or pairs
    if named is not None:
        try:  # "same" may ask for more than reflect can show, "valid" for a larger image
            resolved = geometry.window("draw", image, kernel, stride=stride, padding=named, dilation=dilation)
            if any(max(p) > limit for p, limit in zip(resolved.padding, limits, strict=True)):
                mode = "zeros"
        except ValueError:
            padding = pairs
    if padding is pairs:  # grow the image where the kernel would not fit
        image = tuple(max(n, s - b - a) for n, s, (b, a) in zip(image, span, pairs, strict=True))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    if draw(st.integers(0, 5)) == 0:
        channels = groups
    batch = draw(st.sampled_from([1, 2, 3, 9, 0]))
    keywords = dict(stride=stride, padding=padding, dilation=dilation, groups=groups, padding_mode=mode)
    name = f"drawn_{batch}x{channels}x{image}_{filters}x{kernel}_{keywords}"
    return Case(name, (batch, channels, *image), (filters, channels // groups, *kernel), keywords)
