"""Layers: steps of a network, each with the way back. A new one is a file here and a line in `LAYERS`."""

from deepconv.layers.activation import GELU, LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Softmax, Tanh
from deepconv.layers.base import Gradients, Layer, Pullback
from deepconv.layers.checking import GradientError, GradientReport, check_gradients
from deepconv.layers.concat import Concat
from deepconv.layers.convolution import Conv1d, Conv2d, Conv3d
from deepconv.layers.dense import Linear
from deepconv.layers.dropout import Dropout
from deepconv.layers.flatten import Flatten
from deepconv.layers.graph import Graph
from deepconv.layers.merge import Add, Concatenate
from deepconv.layers.normalisation import BatchNorm, GroupNorm, LayerNorm
from deepconv.layers.parameter import Buffer, Parameter
from deepconv.layers.pooling import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from deepconv.layers.residual import Residual
from deepconv.layers.sequential import Sequential
from deepconv.layers.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from deepconv.layers.upsample import Upsample

_CLASSES: tuple[type[Layer], ...] = (
    *(Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Linear),
    *(ReLU, ReLU6, LeakyReLU, GELU, SiLU, Sigmoid, Tanh, Softmax),
    *(MaxPool1d, MaxPool2d, MaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, GlobalAvgPool),
    *(BatchNorm, GroupNorm, LayerNorm, Dropout, Flatten, Upsample, Add, Concatenate),
    *(Graph, Sequential, Residual, Concat),
)

LAYERS: dict[str, type[Layer]] = {kind.__name__: kind for kind in _CLASSES}
"""Every layer by name: what a model file may hold."""

__all__ = [
    "GELU",
    "LAYERS",
    "Add",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm",
    "Buffer",
    "Concat",
    "Concatenate",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GradientError",
    "GradientReport",
    "Gradients",
    "Graph",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Parameter",
    "Pullback",
    "ReLU",
    "ReLU6",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Upsample",
    "check_gradients",
]
