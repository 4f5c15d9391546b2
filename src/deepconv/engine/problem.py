"""One computation of a convolution, described without its data: what a choice of algorithm may depend on."""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal

import numpy as np

from deepconv.geometry import Window

Pass = Literal["forward", "input_grad", "weight_grad"]
PASSES: tuple[Pass, ...] = ("forward", "input_grad", "weight_grad")


@dataclass(frozen=True)
class Problem:
    """One pass of one convolution.

    Attributes:
        which: forward, the gradient of the input, or that of the weight.
        batch: N, images.
        in_channels: C.
        out_channels: K, filters.
        image: the input's spatial size.
        window: the sliding window; its padding is zeros (other modes are padded beforehand).
        groups: parts into which the channels fall.
        dtype: what the sums are computed in.
        bias: whether a number for each filter is added to the output (forward).
        relu: whether what is below zero in the output becomes zero (forward), after the bias.
        exact: every sum must be exact, because the numbers stand for integers.
        threads: how many may be used.
        workspace_limit: bytes it may take beside its operands and its result.
    """

    which: Pass
    batch: int
    in_channels: int
    out_channels: int
    image: tuple[int, ...]
    window: Window
    groups: int
    dtype: np.dtype[Any]
    bias: bool = False
    relu: bool = False
    exact: bool = False
    threads: int = 1
    workspace_limit: int = 1 << 62

    def __hash__(self) -> int:
        """Return a hash that is reckoned once: every kept plan and table is found by its problem."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """The hash of all fields."""
        return hash(_VALUES(self))

    @cached_property
    def out(self) -> tuple[int, ...]:
        """The output's spatial size."""
        return self.window.output_size(self.image)

    @cached_property
    def places(self) -> int:
        """L: how many places the window takes in an image."""
        return math.prod(self.out)

    @cached_property
    def x_shape(self) -> tuple[int, ...]:
        """`(N, C, *image)`."""
        return (self.batch, self.in_channels, *self.image)

    @cached_property
    def y_shape(self) -> tuple[int, ...]:
        """`(N, K, *out)`."""
        return (self.batch, self.out_channels, *self.out)

    @cached_property
    def weight_shape(self) -> tuple[int, ...]:
        """`(K, C/groups, *kernel)`."""
        return (self.out_channels, self.in_channels // self.groups, *self.window.kernel)

    @property
    def parameters(self) -> int:
        """Numbers in the weight and the bias."""
        return math.prod(self.weight_shape) + self.out_channels * self.bias

    @cached_property
    def flops(self) -> int:
        """Multiplications and additions of the definition, padding's zeros counted: `2·N·K·L·(C/groups)·taps`."""
        per_place = self.in_channels // self.groups * self.window.taps
        return 2 * self.batch * self.out_channels * self.places * per_place

    @cached_property
    def operand_bytes(self) -> int:
        """Bytes of input, weight, bias and output: what any algorithm has to read and write at least."""
        numbers = math.prod(self.x_shape) + math.prod(self.y_shape) + self.parameters
        return numbers * self.dtype.itemsize


_VALUES = attrgetter(*(field.name for field in fields(Problem)))
