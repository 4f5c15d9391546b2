"""ONNX's words said in ours, operator by operator, and a backend that runs ONNX models through them.

Nothing is computed here except what ONNX itself lays outside the sum: offsets of flat indices, running
averages of statistics, zero points. Every entry of `OPERATORS` takes the node's attributes and the
model's opset, then the node's inputs, and returns its outputs.
"""

import math
from collections import Counter

import numpy as np

import deepconv as dc
from tests.peers.conftest import peer

onnx = peer("onnx")
Backend, BackendRep = (getattr(peer("onnx.backend.base"), name) for name in ("Backend", "BackendRep"))

MODES = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
AUTO_PAD = {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}


def pairs(pads):
    """Turn ONNX's (all befores, all afters) into a (before, after) pair per axis."""
    half = len(pads) // 2
    return [(int(b), int(a)) for b, a in zip(pads[:half], pads[half:], strict=True)]


def geometry(attributes):
    """Return stride, padding and dilation, where the node has them."""
    words = {}
    if "strides" in attributes:
        words["stride"] = tuple(attributes["strides"])
    if "dilations" in attributes:
        words["dilation"] = tuple(attributes["dilations"])
    if "pads" in attributes:
        words["padding"] = pairs(attributes["pads"])
    if attributes.get("auto_pad", "NOTSET") != "NOTSET":
        words["padding"] = AUTO_PAD[attributes["auto_pad"]]
    return words


def narrow(array, dtype):
    """Give integers back the type they came in, which ONNX keeps and we widen to int64; exact or an error."""
    result = array.astype(dtype)
    assert np.array_equal(result, array)
    return result


def conv(a, opset, x, weight, bias=None):
    return dc.conv(x, weight, bias, groups=a.get("group", 1), **geometry(a))


def conv_integer(a, opset, x, weight, x_zero=0, weight_zero=0):
    weight_zero = np.asarray(weight_zero, np.int64)
    if weight_zero.ndim:
        weight_zero = weight_zero.reshape(-1, *[1] * (weight.ndim - 1))
    y = dc.conv(x - np.int64(x_zero), weight - weight_zero, groups=a.get("group", 1), **geometry(a))
    return narrow(y, np.int32)


def causal_conv_with_state(a, opset, x, weight, bias=None, past=None):
    if past is None:
        y, padded = dc.conv(x, weight, bias, padding="causal", groups=x.shape[1]), None
    else:
        padded = np.concatenate([past, x], axis=2)
        y = dc.conv(padded, weight, bias, groups=x.shape[1])
    keep = weight.shape[2] - 1
    if padded is None:
        padded = dc.pad(x, [(keep, 0)])
    state = padded[:, :, padded.shape[2] - keep :]
    return (dc.silu(y) if a.get("activation", "none") in ("silu", "swish") else y), state


def conv_transpose(a, opset, x, weight, bias=None):
    words = geometry(a)
    rank = x.ndim - 2
    extra = list(a.get("output_padding", (0,) * rank))
    shape = a.get("output_shape")
    if shape is None and a.get("auto_pad", "").startswith("SAME"):
        shape = [n * s for n, s in zip(x.shape[2:], words.get("stride", (1,) * rank), strict=True)]
    if shape is not None:
        words["padding"] = transposed_padding(a, words, x, weight, extra, shape)
    for axis, (before, after) in enumerate(words.get("padding", ())):
        if after < 0:  # more output than the sum reaches: our output_padding
            extra[axis] -= after
            words["padding"][axis] = (before, 0)
    return dc.conv_transpose(x, weight, bias, groups=a.get("group", 1), output_padding=extra, **words)


def transposed_padding(a, words, x, weight, extra, shape):
    """Return the padding that leaves `shape`, by the formula in ONNX's ConvTranspose."""
    result = []
    for axis, size in enumerate(shape):
        stride = words.get("stride", (1,) * len(shape))[axis]
        dilation = words.get("dilation", (1,) * len(shape))[axis]
        span = (weight.shape[axis + 2] - 1) * dilation + 1
        total = stride * (x.shape[axis + 2] - 1) + extra[axis] + span - size
        less, more = total // 2, total - total // 2
        result.append((less, more) if a.get("auto_pad") == "SAME_UPPER" else (more, less))
    return result


def ceil_words(a):
    return {**geometry(a), "ceil_mode": bool(a.get("ceil_mode", 0))}


def strides_of(a):
    """ONNX's pooling steps by one where it does not say; ours by the kernel."""
    return {"stride": a.get("strides", [1] * len(a["kernel_shape"]))}


def max_pool(a, opset, x):
    words = {**ceil_words(a), **strides_of(a)}
    kernel = a["kernel_shape"]
    y = dc.max_pool(x, kernel, **words)
    if x.dtype.kind in "iu":
        y = narrow(y, x.dtype)
    plane = math.prod(x.shape[2:])
    indices = dc.max_pool_indices(x, kernel, **words)
    if a.get("storage_order", 0):  # column major: count the first axis fastest
        places = np.unravel_index(indices, x.shape[2:])
        indices = np.ravel_multi_index(places, x.shape[2:], order="F")
    offsets = plane * np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    return y, indices + offsets


def average_pool(a, opset, x):
    return dc.avg_pool(
        x,
        a["kernel_shape"],
        count_include_pad=bool(a.get("count_include_pad", 0)),
        **{**ceil_words(a), **strides_of(a)},
    )


def lp_pool(a, opset, x):
    return dc.lp_pool(x, a["kernel_shape"], p=a.get("p", 2), **{**ceil_words(a), **strides_of(a)})


def col2im(a, opset, columns, image_shape, block_shape):
    kernel = [int(n) for n in block_shape]
    return dc.col2im(columns.swapaxes(1, 2), [int(n) for n in image_shape], kernel, **geometry(a))


def pad(a, opset, x, pads=None, value=None, axes=None):
    pads = a["pads"] if pads is None else pads
    value = a.get("value", 0.0) if value is None else value
    axes = range(x.ndim) if axes is None else [int(axis) % x.ndim for axis in axes]
    each = dict(zip(axes, pairs(pads), strict=True))
    padding = [each.get(axis, (0, 0)) for axis in range(x.ndim)]
    return dc.pad(x, padding, mode=MODES[a.get("mode", "constant")], value=value)


def batch_normalization(a, opset, x, scale, bias, mean, var):
    eps = a.get("epsilon", 1e-5)
    if not a.get("training_mode", 0):
        return dc.batch_norm(x, scale, bias, mean=mean, var=var, eps=eps)
    momentum = a.get("momentum", 0.9)
    now_mean, now_var = dc.batch_statistics(x)
    running = (mean * momentum + now_mean * (1 - momentum), var * momentum + now_var * (1 - momentum))
    return dc.batch_norm(x, scale, bias, eps=eps), *(r.astype(x.dtype) for r in running)


def group_normalization(a, opset, x, scale, bias):
    return dc.group_norm(x, a["num_groups"], scale, bias, eps=a.get("epsilon", 1e-5))


def instance_normalization(a, opset, x, scale, bias):
    return dc.group_norm(x, x.shape[1], scale, bias, eps=a.get("epsilon", 1e-5))


def along_axis(function):
    def run(a, opset, x):
        if opset >= 13:
            return function(x, axis=a.get("axis", -1))
        axis = a.get("axis", 1) % x.ndim  # until opset 13 everything from the axis on was one axis
        flat = x.reshape(math.prod(x.shape[:axis]), -1)
        return function(flat, axis=1).reshape(x.shape)

    return run


def gemm(a, opset, x, weight, bias=None):
    assert a.get("transB") == 1
    assert a.get("alpha", 1.0) == a.get("beta", 1.0) == 1.0
    return dc.linear(x, weight, bias)


def upsample(a, opset, x, scales):
    whole = tuple(int(s) for s in scales)
    assert whole == tuple(scales)
    assert whole[:2] == (1, 1)
    return dc.upsample(x, whole[2:], mode=a["mode"])


OPERATORS = {
    "Conv": conv,
    "ConvInteger": conv_integer,
    "CausalConvWithState": causal_conv_with_state,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "GlobalAveragePool": lambda a, opset, x: dc.global_avg_pool(x),
    "GlobalMaxPool": lambda a, opset, x: dc.global_max_pool(x),
    "Col2Im": col2im,
    "Pad": pad,
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "Relu": lambda a, opset, x: dc.relu(x),
    "LeakyRelu": lambda a, opset, x: dc.leaky_relu(x, a.get("alpha", 0.01)),
    "Gelu": lambda a, opset, x: dc.gelu(x, a.get("approximate", "none")),
    "Swish": lambda a, opset, x: dc.silu(x),
    "Sigmoid": lambda a, opset, x: dc.sigmoid(x),
    "Tanh": lambda a, opset, x: dc.tanh(x),
    "Softmax": along_axis(lambda x, axis: dc.softmax(x, axis=axis)),
    "LogSoftmax": along_axis(lambda x, axis: dc.log_softmax(x, axis=axis)),
    "Gemm": gemm,
    "Upsample": upsample,
    "Resize": lambda a, opset, x, roi, scales: upsample(a, opset, x, scales),
}

PLUMBING = {
    "Unsqueeze": lambda a, opset, x: np.expand_dims(x, tuple(a["axes"])),
    "Squeeze": lambda a, opset, x: np.squeeze(x, tuple(a["axes"])),
}


class Model(BackendRep):
    """An ONNX model, its nodes run in order through our operators."""

    calls: Counter = Counter()

    def __init__(self, model):
        self.graph = model.graph
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))

    def run(self, inputs, **kwargs):
        values = {"": None}
        values.update((t.name, onnx.numpy_helper.to_array(t)) for t in self.graph.initializer)
        fed = [i.name for i in self.graph.input]
        values.update(zip(fed[: len(inputs)], inputs, strict=True))
        for node in self.graph.node:
            function = OPERATORS.get(node.op_type) or PLUMBING[node.op_type]
            self.calls[node.op_type] += 1
            outputs = function(attributes_of(node), self.opset, *(values[name] for name in node.input))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            values.update(zip(node.output, outputs, strict=False))
        return [values[o.name] for o in self.graph.output]


def attributes_of(node):
    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}


class Deepconv(Backend):
    """What ONNX's test runner talks to."""

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        return Model(model)

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"
