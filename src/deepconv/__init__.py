"""Convolution for NumPy: see it, use it, train it, at the speed of the machine.

    y = dc.conv(x, weight, stride=2, padding="same")    any convolution, and its exact gradients
    model = dc.Sequential(dc.Conv2d(1, 16, 3), ...)     layers, each with its backward pass
    dc.Trainer(model, loss, optimizer).fit(train)       and what trains them

Every name is loaded at first use, so that importing this costs no more than importing NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "operators.convolution": (
        "conv",
        "conv_input_grad",
        "conv_weight_grad",
        "conv_bias_grad",
        "explain",
    ),
    "operators.transposed": (
        "conv_transpose",
        "conv_transpose_input_grad",
        "conv_transpose_weight_grad",
        "conv_transpose_bias_grad",
    ),
    "operators.windows": (
        "im2col",
        "col2im",
        "pad",
        "pad_input_grad",
    ),
    "operators.pooling": (
        "max_pool",
        "max_pool_indices",
        "max_pool_input_grad",
        "avg_pool",
        "avg_pool_input_grad",
        "global_avg_pool",
        "global_avg_pool_input_grad",
        "global_max_pool",
        "global_max_pool_input_grad",
    ),
    "operators.lp_pooling": (
        "lp_pool",
        "lp_pool_input_grad",
        "global_lp_pool",
        "global_lp_pool_input_grad",
    ),
    "operators.adaptive": (
        "adaptive_avg_pool",
        "adaptive_avg_pool_input_grad",
        "adaptive_max_pool",
        "adaptive_max_pool_indices",
        "adaptive_max_pool_input_grad",
    ),
    "operators.resampling": (
        "upsample",
        "upsample_input_grad",
    ),
    "operators.normalisation": (
        "batch_norm",
        "batch_statistics",
        "batch_norm_gradients",
        "batch_norm_input_grad",
        "batch_norm_weight_grad",
        "batch_norm_bias_grad",
        "group_norm",
        "group_norm_gradients",
        "group_norm_input_grad",
        "group_norm_weight_grad",
        "group_norm_bias_grad",
        "layer_norm",
        "layer_norm_gradients",
        "layer_norm_input_grad",
        "layer_norm_weight_grad",
        "layer_norm_bias_grad",
    ),
    "operators.activation": (
        "relu",
        "relu_input_grad",
        "relu6",
        "relu6_input_grad",
        "leaky_relu",
        "leaky_relu_input_grad",
        "sigmoid",
        "sigmoid_input_grad",
        "tanh",
        "tanh_input_grad",
        "silu",
        "silu_input_grad",
        "gelu",
        "gelu_input_grad",
        "softmax",
        "softmax_input_grad",
        "log_softmax",
        "log_softmax_input_grad",
    ),
    "operators.dense": (
        "linear",
        "linear_input_grad",
        "linear_weight_grad",
        "linear_bias_grad",
    ),
    "layers": (
        "GELU",
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
    ),
    "layers.inspection": (
        "activations",
        "heat_map",
        "score_gradient",
    ),
    "layers.receptive": ("receptive_window",),
    "storage": (
        "save",
        "load",
    ),
    "training": (
        "SGD",
        "Adam",
        "AdamW",
        "BinaryCrossEntropy",
        "Constant",
        "Cosine",
        "CrossEntropy",
        "EarlyStopping",
        "History",
        "Huber",
        "Loss",
        "MeanSquared",
        "OneCycle",
        "Optimizer",
        "StepDecay",
        "Trainer",
        "TrainingDiverged",
        "WarmUp",
        "evaluate",
    ),
    "estimators": (
        "ConvClassifier",
        "ConvRegressor",
    ),
    "engine.settings": (
        "set_threads",
        "get_threads",
        "set_workspace_limit",
        "get_workspace_limit",
    ),
}
"""Where each public name lives. The imports below say the same to type checkers; a test holds them equal."""

_FOLDERS = ("data", "images", "models")
"""Parts of the package whose names stay their own: `dc.data.Batches`."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_HOME, *_FOLDERS]  # noqa: PLE0604  (they are strings)


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name in _FOLDERS:
        return import_module(f"deepconv.{name}")
    if name not in _HOME:
        from difflib import get_close_matches

        close = get_close_matches(name, _HOME, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'deepconv' has no attribute {name!r}{hint}")
    value = getattr(import_module(f"deepconv.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from deepconv import data as data
    from deepconv import images as images
    from deepconv import models as models
    from deepconv.engine.settings import get_threads as get_threads
    from deepconv.engine.settings import get_workspace_limit as get_workspace_limit
    from deepconv.engine.settings import set_threads as set_threads
    from deepconv.engine.settings import set_workspace_limit as set_workspace_limit
    from deepconv.estimators import ConvClassifier as ConvClassifier
    from deepconv.estimators import ConvRegressor as ConvRegressor
    from deepconv.layers import GELU as GELU
    from deepconv.layers import Add as Add
    from deepconv.layers import AvgPool1d as AvgPool1d
    from deepconv.layers import AvgPool2d as AvgPool2d
    from deepconv.layers import AvgPool3d as AvgPool3d
    from deepconv.layers import BatchNorm as BatchNorm
    from deepconv.layers import Buffer as Buffer
    from deepconv.layers import Concat as Concat
    from deepconv.layers import Concatenate as Concatenate
    from deepconv.layers import Conv1d as Conv1d
    from deepconv.layers import Conv2d as Conv2d
    from deepconv.layers import Conv3d as Conv3d
    from deepconv.layers import ConvTranspose1d as ConvTranspose1d
    from deepconv.layers import ConvTranspose2d as ConvTranspose2d
    from deepconv.layers import ConvTranspose3d as ConvTranspose3d
    from deepconv.layers import Dropout as Dropout
    from deepconv.layers import Flatten as Flatten
    from deepconv.layers import GlobalAvgPool as GlobalAvgPool
    from deepconv.layers import GradientError as GradientError
    from deepconv.layers import Graph as Graph
    from deepconv.layers import GroupNorm as GroupNorm
    from deepconv.layers import Layer as Layer
    from deepconv.layers import LayerNorm as LayerNorm
    from deepconv.layers import LeakyReLU as LeakyReLU
    from deepconv.layers import Linear as Linear
    from deepconv.layers import MaxPool1d as MaxPool1d
    from deepconv.layers import MaxPool2d as MaxPool2d
    from deepconv.layers import MaxPool3d as MaxPool3d
    from deepconv.layers import Parameter as Parameter
    from deepconv.layers import Pullback as Pullback
    from deepconv.layers import ReLU as ReLU
    from deepconv.layers import ReLU6 as ReLU6
    from deepconv.layers import Residual as Residual
    from deepconv.layers import Sequential as Sequential
    from deepconv.layers import Sigmoid as Sigmoid
    from deepconv.layers import SiLU as SiLU
    from deepconv.layers import Softmax as Softmax
    from deepconv.layers import Tanh as Tanh
    from deepconv.layers import Upsample as Upsample
    from deepconv.layers import check_gradients as check_gradients
    from deepconv.layers.inspection import activations as activations
    from deepconv.layers.inspection import heat_map as heat_map
    from deepconv.layers.inspection import score_gradient as score_gradient
    from deepconv.layers.receptive import receptive_window as receptive_window
    from deepconv.operators.activation import gelu as gelu
    from deepconv.operators.activation import gelu_input_grad as gelu_input_grad
    from deepconv.operators.activation import leaky_relu as leaky_relu
    from deepconv.operators.activation import leaky_relu_input_grad as leaky_relu_input_grad
    from deepconv.operators.activation import log_softmax as log_softmax
    from deepconv.operators.activation import log_softmax_input_grad as log_softmax_input_grad
    from deepconv.operators.activation import relu as relu
    from deepconv.operators.activation import relu6 as relu6
    from deepconv.operators.activation import relu6_input_grad as relu6_input_grad
    from deepconv.operators.activation import relu_input_grad as relu_input_grad
    from deepconv.operators.activation import sigmoid as sigmoid
    from deepconv.operators.activation import sigmoid_input_grad as sigmoid_input_grad
    from deepconv.operators.activation import silu as silu
    from deepconv.operators.activation import silu_input_grad as silu_input_grad
    from deepconv.operators.activation import softmax as softmax
    from deepconv.operators.activation import softmax_input_grad as softmax_input_grad
    from deepconv.operators.activation import tanh as tanh
    from deepconv.operators.activation import tanh_input_grad as tanh_input_grad
    from deepconv.operators.adaptive import adaptive_avg_pool as adaptive_avg_pool
    from deepconv.operators.adaptive import adaptive_avg_pool_input_grad as adaptive_avg_pool_input_grad
    from deepconv.operators.adaptive import adaptive_max_pool as adaptive_max_pool
    from deepconv.operators.adaptive import adaptive_max_pool_indices as adaptive_max_pool_indices
    from deepconv.operators.adaptive import adaptive_max_pool_input_grad as adaptive_max_pool_input_grad
    from deepconv.operators.convolution import conv as conv
    from deepconv.operators.convolution import conv_bias_grad as conv_bias_grad
    from deepconv.operators.convolution import conv_input_grad as conv_input_grad
    from deepconv.operators.convolution import conv_weight_grad as conv_weight_grad
    from deepconv.operators.convolution import explain as explain
    from deepconv.operators.dense import linear as linear
    from deepconv.operators.dense import linear_bias_grad as linear_bias_grad
    from deepconv.operators.dense import linear_input_grad as linear_input_grad
    from deepconv.operators.dense import linear_weight_grad as linear_weight_grad
    from deepconv.operators.lp_pooling import global_lp_pool as global_lp_pool
    from deepconv.operators.lp_pooling import global_lp_pool_input_grad as global_lp_pool_input_grad
    from deepconv.operators.lp_pooling import lp_pool as lp_pool
    from deepconv.operators.lp_pooling import lp_pool_input_grad as lp_pool_input_grad
    from deepconv.operators.normalisation import batch_norm as batch_norm
    from deepconv.operators.normalisation import batch_norm_bias_grad as batch_norm_bias_grad
    from deepconv.operators.normalisation import batch_norm_gradients as batch_norm_gradients
    from deepconv.operators.normalisation import batch_norm_input_grad as batch_norm_input_grad
    from deepconv.operators.normalisation import batch_norm_weight_grad as batch_norm_weight_grad
    from deepconv.operators.normalisation import batch_statistics as batch_statistics
    from deepconv.operators.normalisation import group_norm as group_norm
    from deepconv.operators.normalisation import group_norm_bias_grad as group_norm_bias_grad
    from deepconv.operators.normalisation import group_norm_gradients as group_norm_gradients
    from deepconv.operators.normalisation import group_norm_input_grad as group_norm_input_grad
    from deepconv.operators.normalisation import group_norm_weight_grad as group_norm_weight_grad
    from deepconv.operators.normalisation import layer_norm as layer_norm
    from deepconv.operators.normalisation import layer_norm_bias_grad as layer_norm_bias_grad
    from deepconv.operators.normalisation import layer_norm_gradients as layer_norm_gradients
    from deepconv.operators.normalisation import layer_norm_input_grad as layer_norm_input_grad
    from deepconv.operators.normalisation import layer_norm_weight_grad as layer_norm_weight_grad
    from deepconv.operators.pooling import avg_pool as avg_pool
    from deepconv.operators.pooling import avg_pool_input_grad as avg_pool_input_grad
    from deepconv.operators.pooling import global_avg_pool as global_avg_pool
    from deepconv.operators.pooling import global_avg_pool_input_grad as global_avg_pool_input_grad
    from deepconv.operators.pooling import global_max_pool as global_max_pool
    from deepconv.operators.pooling import global_max_pool_input_grad as global_max_pool_input_grad
    from deepconv.operators.pooling import max_pool as max_pool
    from deepconv.operators.pooling import max_pool_indices as max_pool_indices
    from deepconv.operators.pooling import max_pool_input_grad as max_pool_input_grad
    from deepconv.operators.resampling import upsample as upsample
    from deepconv.operators.resampling import upsample_input_grad as upsample_input_grad
    from deepconv.operators.transposed import conv_transpose as conv_transpose
    from deepconv.operators.transposed import conv_transpose_bias_grad as conv_transpose_bias_grad
    from deepconv.operators.transposed import conv_transpose_input_grad as conv_transpose_input_grad
    from deepconv.operators.transposed import conv_transpose_weight_grad as conv_transpose_weight_grad
    from deepconv.operators.windows import col2im as col2im
    from deepconv.operators.windows import im2col as im2col
    from deepconv.operators.windows import pad as pad
    from deepconv.operators.windows import pad_input_grad as pad_input_grad
    from deepconv.storage import load as load
    from deepconv.storage import save as save
    from deepconv.training import SGD as SGD
    from deepconv.training import Adam as Adam
    from deepconv.training import AdamW as AdamW
    from deepconv.training import BinaryCrossEntropy as BinaryCrossEntropy
    from deepconv.training import Constant as Constant
    from deepconv.training import Cosine as Cosine
    from deepconv.training import CrossEntropy as CrossEntropy
    from deepconv.training import EarlyStopping as EarlyStopping
    from deepconv.training import History as History
    from deepconv.training import Huber as Huber
    from deepconv.training import Loss as Loss
    from deepconv.training import MeanSquared as MeanSquared
    from deepconv.training import OneCycle as OneCycle
    from deepconv.training import Optimizer as Optimizer
    from deepconv.training import StepDecay as StepDecay
    from deepconv.training import Trainer as Trainer
    from deepconv.training import TrainingDiverged as TrainingDiverged
    from deepconv.training import WarmUp as WarmUp
    from deepconv.training import evaluate as evaluate
