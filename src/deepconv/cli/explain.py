"""`deepconv explain`: what a convolution costs and how it would be computed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from deepconv.cli import console
from deepconv.geometry import Padding

__all__ = ["explain"]


class Dtype(StrEnum):
    """The kinds of numbers that are computed with.

    Example:
        >>> Dtype("float32").value
        'float32'
    """

    float16 = "float16"
    float32 = "float32"
    float64 = "float64"


def explain(
    shape: Annotated[
        str, typer.Option("--input", help="Batch, channels and sizes: 8,64,56,56; one to three sizes.")
    ],
    kernel: Annotated[str, typer.Option(help="The kernel: 3 for every axis, or one number per axis: 3,5.")],
    out: Annotated[int, typer.Option(min=1, help="How many filters, which is channels of the output.")],
    stride: Annotated[str, typer.Option(help="1, or one per axis: 2,1.")] = "1",
    padding: Annotated[
        str,
        typer.Option(
            help="0, one per axis: 1,2, before and after: 0:1,1:2, or valid, same, same_lower, causal."
        ),
    ] = "0",
    dilation: Annotated[str, typer.Option(help="1, or one per axis: 2,1.")] = "1",
    groups: Annotated[int, typer.Option(min=1, help="Divides the channels and the filters.")] = 1,
    dtype: Annotated[Dtype, typer.Option(help="The numbers.")] = Dtype.float32,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one key per fact.")] = False,
) -> None:
    """Print what a convolution costs and how each of its passes would be computed.

    The size formula filled in, parameters, FLOPs, bytes, the algorithm for the output and for both
    gradients, and why not the others.

    Example: deepconv explain --input 8,64,56,56 --kernel 3 --out 128 --stride 2 --padding 1
    """
    from deepconv.operators.convolution import explain as explanation

    x_shape = console.number_list("--input", shape)
    kernel_size = console.number_list("--kernel", kernel)
    if min(x_shape) < 0:
        raise ValueError(f"explain: --input {shape} has a number below 0; write it as 8,64,56,56")
    rank = len(kernel_size) if len(kernel_size) > 1 else max(1, len(x_shape) - 2)
    if not rank + 1 <= len(x_shape) <= rank + 2:
        raise ValueError(
            f"explain: --input {shape} has {len(x_shape)} numbers, but a kernel of {rank} axes needs batch, "
            f"channels and {rank} sizes; write --input 8,64{',56' * rank}"
        )
    channels = x_shape[-rank - 1]
    if channels % groups:
        raise ValueError(
            f"explain: --groups {groups} does not divide the {channels} channels of --input {shape}"
        )
    found = explanation(
        x_shape,
        (out, channels // groups, *(kernel_size if len(kernel_size) == rank else kernel_size * rank)),
        stride=_sizes("--stride", stride),
        padding=_padding(padding),
        dilation=_sizes("--dilation", dilation),
        groups=groups,
        dtype=dtype.value,
    )
    if as_json:
        console.say_json(found.to_dict())
    else:
        console.say(str(found))


def _sizes(option: str, text: str) -> int | tuple[int, ...]:
    numbers = console.number_list(option, text)
    return numbers[0] if len(numbers) == 1 else numbers


def _padding(text: str) -> Padding:
    """Read a word, one number, one per axis, or a pair per axis."""
    if text.replace("_", "").isalpha():
        return text
    if ":" not in text:
        return _sizes("--padding", text)
    pairs = []
    for part in text.split(","):
        before_after = console.number_list("--padding", part.replace(":", ","))
        if len(before_after) != 2:
            raise ValueError(f"--padding {text}: {part} is not before:after; write 0:1,1:2")
        pairs.append((before_after[0], before_after[1]))
    return pairs
