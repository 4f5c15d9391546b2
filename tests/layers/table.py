"""One row for each layer: how it is made, what goes in and what shape comes out; every layer test runs it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import deepconv.layers as dl


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], dl.Layer]
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    batched: bool = True

    def arrays(self, dtype: type = np.float64) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(7)
        return tuple(rng.normal(size=shape).astype(dtype) for shape in self.inputs)


def case(
    make: Callable[[], dl.Layer], inputs: object, output: tuple[int, ...], *, batched: bool = True
) -> Case:
    several = inputs if isinstance(inputs, list) else [inputs]
    return Case(type(make()).__name__, make, tuple(several), output, batched)


def _shared() -> dl.Graph:
    conv = dl.Conv2d(2, 2, 3, padding="same")
    return dl.Graph(
        {
            "sum": (dl.Add(), ["first", "again", "z"]),  # declared before what it needs
            "first": (conv, "x"),
            "act": (dl.Tanh(), "first"),
            "again": (conv, "act"),
            "pool": (dl.GlobalAvgPool(), "sum"),
        },
        inputs=("x", "z"),
        output="pool",
    )


CASES = [
    case(lambda: dl.Conv1d(None, 4, 3, stride=2, padding="causal", groups=2), (2, 6, 9), (2, 4, 5)),
    case(lambda: dl.Conv1d(3, 4, 3, bias=False), (3, 7), (4, 5), batched=False),
    case(
        lambda: dl.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=((0, 2), (1, 0)), dilation=(1, 2)),
        (2, 3, 7, 6),
        (2, 4, 4, 5),
    ),
    case(lambda: dl.Conv2d(None, 2, 3, padding=2, padding_mode="reflect"), (2, 3, 4, 5), (2, 2, 6, 7)),
    case(lambda: dl.Conv2d(2, 2, 3, padding="same"), (2, 5, 4), (2, 5, 4), batched=False),
    case(lambda: dl.Conv3d(2, 3, (2, 3, 1), padding="same", stride=2), (2, 2, 3, 4, 5), (2, 3, 2, 2, 3)),
    case(
        lambda: dl.ConvTranspose1d(None, 4, 3, stride=3, padding=1, output_padding=2), (2, 3, 4), (2, 4, 12)
    ),
    case(
        lambda: dl.ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), groups=2, dilation=(1, 2), bias=False),
        (2, 4, 3, 5),
        (2, 6, 7, 7),
    ),
    case(lambda: dl.ConvTranspose2d(2, 3, 2, stride=2), (2, 3, 4), (3, 6, 8), batched=False),
    case(lambda: dl.ConvTranspose3d(2, 1, 2, padding=1), (1, 2, 3, 4, 5), (1, 1, 2, 3, 4)),
    case(lambda: dl.Linear(None, 3), (4, 5), (4, 3)),
    case(lambda: dl.Linear(5, 3, bias=False), (2, 4, 5), (2, 4, 3)),
    case(dl.ReLU, (3, 4, 5), (3, 4, 5)),
    case(dl.ReLU6, (3, 4, 5), (3, 4, 5)),
    case(lambda: dl.LeakyReLU(0.2), (3, 4, 5), (3, 4, 5)),
    case(dl.GELU, (3, 4, 5), (3, 4, 5)),
    case(lambda: dl.GELU("tanh"), (3, 4, 5), (3, 4, 5)),
    case(dl.SiLU, (3, 4, 5), (3, 4, 5)),
    case(dl.Sigmoid, (3, 4, 5), (3, 4, 5)),
    case(dl.Tanh, (3, 4, 5), (3, 4, 5)),
    case(dl.Softmax, (3, 4, 5), (3, 4, 5)),
    case(lambda: dl.Softmax(-1), (3, 4, 5), (3, 4, 5)),
    case(lambda: dl.MaxPool1d(3, stride=2, padding=1, ceil_mode=True), (2, 3, 8), (2, 3, 5)),
    case(lambda: dl.MaxPool2d((2, 3), stride=1, dilation=(2, 1)), (2, 3, 5, 7), (2, 3, 3, 5)),
    case(lambda: dl.MaxPool2d(2), (3, 5, 7), (3, 2, 3), batched=False),
    case(lambda: dl.MaxPool3d((1, 2, 3)), (2, 1, 3, 4, 7), (2, 1, 3, 2, 2)),
    case(lambda: dl.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), (2, 3, 8), (2, 3, 4)),
    case(lambda: dl.AvgPool2d((3, 2), stride=(1, 2), padding=(1, 0)), (2, 3, 5, 7), (2, 3, 5, 3)),
    case(lambda: dl.AvgPool3d(2, ceil_mode=True), (1, 2, 3, 4, 5), (1, 2, 2, 2, 3)),
    case(dl.GlobalAvgPool, (2, 3, 4, 5), (2, 3)),
    case(lambda: dl.BatchNorm(eps=1e-3, momentum=0.2), (4, 3, 2, 5), (4, 3, 2, 5)),
    case(lambda: dl.BatchNorm(5), (6, 5), (6, 5)),
    case(lambda: dl.GroupNorm(2), (3, 6, 4, 5), (3, 6, 4, 5)),
    case(dl.LayerNorm, (3, 4, 5), (3, 4, 5)),
    case(lambda: dl.LayerNorm(5, eps=1e-4), (3, 4, 5), (3, 4, 5)),
    case(lambda: dl.Dropout(0.3), (3, 4, 5), (3, 4, 5)),
    case(dl.Flatten, (3, 4, 5), (3, 20)),
    case(lambda: dl.Upsample(2), (2, 3, 4), (2, 3, 8)),
    case(lambda: dl.Upsample((2, 3), mode="linear"), (2, 3, 4, 5), (2, 3, 8, 15)),
    case(dl.Add, [(2, 3, 4)] * 3, (2, 3, 4)),
    case(lambda: dl.Concatenate(-1), [(2, 3, 4), (2, 3, 1)], (2, 3, 5)),
    case(_shared, [(2, 2, 4, 5), (2, 2, 4, 5)], (2, 2)),
    case(
        lambda: dl.Sequential(
            dl.Conv2d(None, 4, 3),
            dl.BatchNorm(),
            dl.ReLU(),
            dl.Dropout(0.2),
            dl.Flatten(),
            dl.Linear(None, 3),
        ),
        (4, 2, 5, 6),
        (4, 3),
    ),
    case(dl.Sequential, (2, 3), (2, 3)),
    case(
        lambda: dl.Residual(
            dl.Sequential(dl.Conv2d(None, 4, 3, padding=1), dl.SiLU()), dl.Conv2d(None, 4, 1, bias=False)
        ),
        (2, 3, 4, 5),
        (2, 4, 4, 5),
    ),
    case(lambda: dl.Residual(dl.Linear(5, 5)), (2, 5), (2, 5)),
    case(
        lambda: dl.Concat(dl.Conv2d(3, 2, 1), dl.Conv2d(3, 4, 3, padding=1), dl.Sigmoid()),
        (2, 3, 4, 5),
        (2, 9, 4, 5),
    ),
]
IDS = [f"{index}-{case.name}" for index, case in enumerate(CASES)]
