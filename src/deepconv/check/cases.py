"""The cases that a learner's code is tried on, from the plainest to one that has everything at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.operators.convolution import conv, conv_bias_grad, conv_input_grad, conv_weight_grad
from deepconv.operators.windows import col2im, im2col

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """One convolution to try.

    Args:
        what: what is new in it, for people.
        n: images.
        c: channels.
        image: their height and width.
        k: filters.
        kernel: its height and width.
        stride: of both axes.
        padding: on all four sides.
        biased: False leaves the bias out: it is 0.

    Example:
        >>> case = Case("plain", image=(4, 5), kernel=(3, 2))
        >>> case.expected("y").shape
        (1, 1, 2, 4)
    """

    what: str
    n: int = 1
    c: int = 1
    image: tuple[int, int] = (5, 5)
    k: int = 1
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: int = 0
    biased: bool = True

    def __str__(self) -> str:
        shape = f"x {self.operands()['x'].shape}, weight {self.operands()['weight'].shape}"
        return f"{self.what}: {shape}, stride {self.stride}, padding {self.padding}"

    def operands(self) -> dict[str, Any]:
        """Return x, weight, bias, dy and columns of unit-normal float64 numbers, the same at every call."""
        rng = np.random.default_rng(
            [self.n, self.c, *self.image, self.k, *self.kernel, self.stride, self.padding]
        )
        x = rng.standard_normal((self.n, self.c, *self.image))
        weight = rng.standard_normal((self.k, self.c, *self.kernel))
        columns = im2col(x, self.kernel, stride=self.stride, padding=self.padding)
        dy = rng.standard_normal(conv(x, weight, **self.words).shape)
        return {
            "x": x, "weight": weight, "bias": rng.standard_normal(self.k) * self.biased, "dy": dy,
            "columns": rng.standard_normal(columns.shape),
        }  # fmt: skip

    @property
    def words(self) -> dict[str, Any]:
        """The settings as `conv` takes them."""
        return {"stride": self.stride, "padding": self.padding}

    def expected(self, result: str, **changes: Any) -> Array:
        """Return what is right, or what a slip would give.

        Args:
            result: y, dx, dw, db, cols or image (the columns put back).
            changes: operands and settings that a slip changes.
        """
        o = {**self.operands(), **self.words, **changes}
        words = {"stride": o["stride"], "padding": o["padding"]}
        match result:
            case "y":
                return conv(o["x"], o["weight"], o["bias"], flip=o.get("flip", False), **words)
            case "dx":
                return conv_input_grad(o["dy"], o["weight"], o["x"].shape, flip=o.get("flip", False), **words)
            case "dw":
                return conv_weight_grad(o["dy"], o["x"], o["weight"].shape, **words)
            case "db":
                return conv_bias_grad(o["dy"])
            case "cols":
                return im2col(o["x"], self.kernel, **words)
            case _:
                return col2im(o["columns"], self.image, self.kernel, **words)


CASES = (
    Case("the plainest"),
    Case("a wide image", image=(5, 7)),
    Case("a wide image and a tall kernel", image=(6, 8), kernel=(3, 2)),
    Case("two channels", c=2, image=(5, 7)),
    Case("three filters", c=2, k=3, image=(5, 7)),
    Case("two images", n=2, c=2, k=3, image=(5, 7)),
    Case("padding", image=(5, 6), padding=1),
    Case("stride 2", image=(7, 9), stride=2),
    Case("a stride that doesn't divide", image=(6, 9), stride=2),
    Case("stride and padding", image=(7, 6), stride=2, padding=1),
    Case("stride 3, padding 2, a kernel of 2 × 4", image=(8, 7), kernel=(2, 4), stride=3, padding=2),
    Case("everything at once", n=3, c=3, k=4, image=(7, 10), kernel=(3, 2), stride=2, padding=1),
)
"""In this order; the first that fails is shown."""
