"""Convolutions as they are timed: for each peer a function from a layer and a pass to a call without arguments.

Only one peer is ever loaded into a process: two OpenMP teams would fight. Peers are imported here
inside their functions for that reason.
"""

import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.cases import Layer
from benchmarks.measures import Call


def request(layer: Layer, which: str, threads: int = 1) -> dict[str, Any]:
    """Return what a worker is asked for a layer and a pass."""
    return {"layer": asdict(layer), "which": which, "threads": threads}


def arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return random `x, weight, bias, dy` in float32, the same for every peer."""
    rng = np.random.default_rng(0)
    shapes = (layer.x_shape, layer.weight_shape, (layer.out_channels,), layer.y_shape)
    x, weight, bias, dy = (rng.standard_normal(shape, np.float32) for shape in shapes)
    return x, weight, bias, dy


def deepconv(layer: Layer, which: str, threads: int = 1) -> Call:
    """Return our call."""
    import deepconv as dc

    dc.set_threads(threads)
    x, weight, bias, dy = arrays(layer)
    words: dict[str, Any] = {
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
    }
    if which == "forward":
        return lambda: dc.conv(x, weight, bias, **words)
    if which == "input_grad":
        return lambda: dc.conv_input_grad(dy, weight, x.shape, **words)
    return lambda: (dc.conv_weight_grad(dy, x, weight.shape, **words), dc.conv_bias_grad(dy))


def torch(layer: Layer, which: str, threads: int = 1, *, channels_last: bool = False) -> Call:
    """Return PyTorch's call, on contiguous tensors or on channels-last ones; nothing is kept for autograd."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, weight, bias, dy = (torch.from_numpy(a) for a in arrays(layer))
    x, weight, dy = (a.to(memory_format=layout) for a in (x, weight, dy))
    geometry: Any = [[n, n] for n in (layer.stride, layer.padding, layer.dilation)]
    if which == "forward":
        return lambda: torch.nn.functional.conv2d(x, weight, bias, *geometry, layer.groups)
    wanted = [which == "input_grad", which == "weight_grad", which == "weight_grad"]
    return lambda: torch.ops.aten.convolution_backward(
        dy, x, weight, [layer.out_channels], *geometry, False, [0, 0], layer.groups, wanted
    )


def torch_channels_last(layer: Layer, which: str, threads: int = 1) -> Call:
    """Return PyTorch's call on channels-last tensors."""
    return torch(layer, which, threads, channels_last=True)


def onnxruntime(layer: Layer, which: str, threads: int = 1) -> Call | None:
    """Return ONNX Runtime's call; it has no backward pass."""
    if which != "forward":
        return None
    import onnx
    import onnxruntime

    x, weight, bias, _ = arrays(layer)
    node = onnx.helper.make_node(
        "Conv", ["x", "weight", "bias"], ["y"], kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2,
        pads=[layer.padding] * 4, dilations=[layer.dilation] * 2, group=layer.groups,
    )  # fmt: skip
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node], "conv",
        [onnx.helper.make_tensor_value_info("x", float32, layer.x_shape)],
        [onnx.helper.make_tensor_value_info("y", float32, layer.y_shape)],
        [onnx.numpy_helper.from_array(weight, "weight"), onnx.numpy_helper.from_array(bias, "bias")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    data = io.BytesIO()
    onnx.save(model, data)
    session = onnxruntime.InferenceSession(data.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def _asked(build: Callable[[Layer, str, int], Call | None]) -> Callable[[dict[str, Any]], Call | None]:
    """Return the builder that takes a request."""
    return lambda asked: build(Layer(**asked["layer"]), asked["which"], asked["threads"])


PEERS = {
    "deepconv": _asked(deepconv),
    "torch": _asked(torch),
    "torch_channels_last": _asked(torch_channels_last),
    "onnxruntime": _asked(onnxruntime),
}
"""Every peer by name, ours first: a function from a request to a call, or to None where it has no such pass."""
