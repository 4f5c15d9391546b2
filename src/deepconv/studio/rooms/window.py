"""The window, the matrix and the way back: one small convolution with everything that can be seen of it.

The same answer serves three rooms. All places are found by the library itself: an image that holds the numbers of
its own cells goes through `im2col`, and what comes out says which cell stands where in the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from deepconv.arrays import Array
from deepconv.geometry import Window, window
from deepconv.operators.convolution import conv, conv_bias_grad, conv_input_grad, conv_weight_grad
from deepconv.operators.transposed import (
    conv_transpose,
    conv_transpose_input_grad,
    conv_transpose_weight_grad,
)
from deepconv.operators.windows import im2col, pad
from deepconv.studio.rooms.numbers import from_page, to_page
from deepconv.studio.session import Answer, Session, method

__all__ = ["compute"]

_PIXELS, _WEIGHTS, _OUTPUTS = 3 * 16 * 16, 4 * 3 * 7 * 7, 4 * 40 * 40
"""How many numbers the page can show of each kind."""

Pair = Annotated[list[Annotated[int, Field(ge=0, le=32)]], Field(min_length=2, max_length=2)]
"""A whole number for rows and one for columns."""


@method(latest=True)
def compute(
    session: Session,
    blobs: list[bytes],
    *,
    image: list[Any],
    weight: list[Any],
    bias: list[Any],
    stride: Pair,
    padding: Annotated[list[Pair], Field(min_length=2, max_length=2)],
    dilation: Pair,
    transposed: bool = False,
    dy: list[Any] | None = None,
    rate: Annotated[float, Field(ge=0, le=1e6)] = 0.1,
) -> Answer:
    """Compute a small convolution, or a transposed one, with its matrix and its gradients.

    Args:
        session: the page's.
        blobs: none.
        image: `(C, H, W)`.
        weight: `(K, C, R, S)`; of a transposed convolution `(C, K, R, S)`.
        bias: `(K,)`.
        stride: of rows and of columns.
        padding: before and after, of rows and of columns.
        dilation: of rows and of columns.
        transposed: stamp the kernel instead of sliding it.
        dy: the output's gradient; None takes 1 everywhere.
        rate: the learning rate of the one step.
    """
    case = _Case(
        from_page("image", image, "CHW", _PIXELS),
        from_page("weight", weight, "KCRS", _WEIGHTS),
        from_page("bias", bias, "K", 16),
        {"stride": tuple(stride), "padding": tuple(map(tuple, padding)), "dilation": tuple(dilation)},
        transposed,
    )
    try:
        y = case.output()
    except ValueError as error:
        raise ValueError(case.misfit() or str(error)) from None
    gradient = np.ones_like(y) if dy is None else from_page("dy", dy, "KHW", _OUTPUTS)
    with np.errstate(all="ignore"):  # numbers of 1e300 are the person's own; what they come to is shown
        return Answer({**_forward(case, y), **_backward(case, gradient, rate)})


@dataclass(frozen=True)
class _Case:
    image: Array
    weight: Array
    bias: Array
    words: dict[str, Any]
    transposed: bool

    def output(self) -> Array:
        call = conv_transpose if self.transposed else conv
        y: Array = call(self.image[None], self.weight, self.bias, **self.words)[0]
        if y.size > _OUTPUTS:
            raise ValueError(
                f"the output {y.shape} has {y.size} numbers, more than can be shown; pad or stride less"
            )
        return y

    def misfit(self) -> str | None:
        """Say in the page's words why nothing comes out, with the size's formula last; None for any other reason."""
        if min(*self.words["stride"], *self.words["dilation"]) < 1:
            return None
        image, sliding = self.image.shape[1:], self.over_image()
        if self.transposed:
            if min(size for size, _ in self.stamps()) > 0:
                return None
            why = f"The padding {self.words['padding']} cuts off all that is stamped. Pad less."
        else:
            if min(sliding.output_size(image)) > 0:
                return None
            why = (
                f"The kernel spans {' × '.join(map(str, sliding.span))} pixels and is larger than the padded image "
                f"{sliding.padded_size(image)}: no window fits. Make it smaller, or pad more."
            )
        return f"{why} Output size: {self.formula()}"

    def over_image(self) -> Window:
        """Return the window over the image, unchecked."""
        return Window(self.weight.shape[2:], **self.words)

    def stamps(self) -> Iterator[tuple[int, str]]:
        """Give each axis of a transposed convolution's output: its size, even where it is none, and how it comes."""
        form = self.over_image()
        sizes = zip(self.image.shape[1:], form.kernel, form.stride, form.padding, form.dilation, strict=True)
        for n, k, s, (b, a), d in sizes:
            out = (n - 1) * s - b - a + d * (k - 1) + 1
            yield out, f"({n} - 1)*{s} - {b} - {a} + {d}*({k} - 1) + 1 = {out}"

    def formula(self) -> str:
        """Write the output's size out with its numbers, as `Window.formula` does."""
        if self.transposed:
            return " by ".join(text for _, text in self.stamps())
        return self.over_image().formula(self.image.shape[1:])

    def slides(self, y: Array) -> tuple[Array, Window]:
        """Return what the window slides over, and the window: a transposed one slides over its output."""
        ground = y if self.transposed else self.image
        name = "conv_transpose" if self.transposed else "conv"
        return ground, window(name, ground.shape[1:], self.weight.shape[2:], **self.words)


def _forward(case: _Case, y: Array) -> dict[str, Any]:
    ground, sliding = case.slides(y)
    padded = pad(ground[None], sliding.padding)[0]
    kernel, bare = case.weight.shape[2:], {**case.words, "padding": 0}
    cells = im2col(np.arange(padded.size).reshape(1, *padded.shape), kernel, **bare)[0]
    matrix = case.weight.reshape(len(case.weight), -1)
    found: dict[str, Any] = {
        "formula": case.formula(),
        "y": to_page(y),
        "padded_shape": list(padded.shape),
        "padding": [list(pair) for pair in sliding.padding],
        "places": list(sliding.output_size(ground.shape[1:])),
        "cells": cells.tolist(),
    }
    if case.transposed:
        # Row l of the products is the stamp of input pixel l: x[:, l] · W; col2im adds the stamps up.
        stamps = case.image.reshape(len(case.image), -1).T @ matrix
        uncut = conv_transpose(case.image[None], case.weight, case.bias, **bare)[0]
        return found | {
            "inverse": sliding.formula(ground.shape[1:]),
            "padded": to_page(uncut),
            "stamps": to_page(stamps),
            "matrix": to_page(matrix),
        }
    columns = im2col(ground[None], kernel, **case.words)[0]
    return found | {
        "padded": to_page(padded),
        "columns": to_page(columns),
        "matrix": to_page(matrix.T),
        "product": to_page(columns @ matrix.T + case.bias),
    }


def _backward(case: _Case, dy: Array, rate: float) -> dict[str, Any]:
    x, dys = case.image[None], dy[None]
    db = conv_bias_grad(dys)
    if case.transposed:
        dx = conv_transpose_input_grad(dys, case.weight, x.shape, **case.words)
        dw = conv_transpose_weight_grad(dys, x, case.weight.shape, **case.words)
    else:
        dx = conv_input_grad(dys, case.weight, x.shape, **case.words)
        dw = conv_weight_grad(dys, x, case.weight.shape, **case.words)
    stepped = _Case(case.image, case.weight - rate * dw, case.bias - rate * db, case.words, case.transposed)
    found = {
        "dy": to_page(dy),
        "dx": to_page(dx[0]),
        "dw": to_page(dw),
        "db": to_page(db),
        "step": {name: to_page(getattr(stepped, name)) for name in ("weight", "bias")}
        | {"y": to_page(stepped.output())},
    }
    if not case.transposed:
        ground, sliding = case.slides(dy)
        rows = dy.reshape(len(dy), -1).T
        ones = np.ones((1, *ground.shape[1:]))
        seen = conv_input_grad(
            np.ones((1, 1, *sliding.output_size(ground.shape[1:]))),
            np.ones((1, 1, *case.weight.shape[2:])),
            (1, *ones.shape),
            **case.words,
        )
        found |= {"dcolumns": to_page(rows @ case.weight.reshape(len(dy), -1)), "seen": to_page(seen[0, 0])}
    return found
