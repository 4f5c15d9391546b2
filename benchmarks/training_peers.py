"""Training steps as they are timed: for each peer a function from a request to a step, which returns its loss.

Every peer starts from the parameters in one file, whose arrays it takes in order, so that the losses of the
same steps can be held against each other. Peers are imported inside their functions: only one is ever
loaded into a process.
"""

from typing import Any

import numpy as np

from benchmarks.measures import Call
from benchmarks.network_cases import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, batch


def request(network: str, parameters: str, *, dropout: bool = True) -> dict[str, Any]:
    """Return what a worker is asked for.

    Args:
        network: its name.
        parameters: the file that `write_parameters` wrote.
        dropout: whether values are dropped; without, the losses are no matter of chance.
    """
    return {"network": network, "parameters": parameters, "dropout": dropout}


def write_parameters(network: str, path: str) -> int:
    """Write first values of a network's parameters in order, and return how many numbers they are."""
    from benchmarks.networks import NETWORKS

    x, _ = batch(network)
    model = NETWORKS[network]().initialize(x.shape[1:], seed=0)
    arrays = [parameter.value for parameter in model.parameters().values()]
    np.savez(path, *arrays)
    return sum(array.size for array in arrays)


def read_parameters(path: str) -> list[np.ndarray]:
    """Return the arrays that `write_parameters` wrote."""
    with np.load(path) as file:
        return [file[f"arr_{index}"] for index in range(len(file.files))]


def deepconv(asked: dict[str, Any]) -> Call:
    """Return our step: what `Trainer` does for a batch."""
    import deepconv as dc
    from benchmarks.networks import NETWORKS

    dc.set_threads(1)
    x, labels = batch(asked["network"])
    model = NETWORKS[asked["network"]]().initialize(x.shape[1:], seed=0)
    parameters, arrays = model.parameters(), read_parameters(asked["parameters"])
    for parameter, array in zip(parameters.values(), arrays, strict=True):
        check_shape(parameter.value.shape, array)
        parameter.data = array
    if not asked["dropout"]:
        for _, layer in model.walk():
            if isinstance(layer, dc.Dropout):
                layer.p = 0.0
    loss, rng = dc.CrossEntropy(), np.random.default_rng(0)
    optimizer = dc.SGD(LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)

    def step() -> float:
        with np.errstate(all="ignore"):
            y, pullback = model.apply(x, training=True, rng=rng)
            value, slope = loss.apply(y, labels)
            optimizer.step(parameters, pullback.parameter_gradients(slope))
            pullback.commit()
        return value

    return step


def torch(asked: dict[str, Any], *, channels_last: bool = False) -> Call:
    """Return PyTorch's eager step, on contiguous tensors or on channels-last ones."""
    import torch

    from benchmarks.torch_networks import NETWORKS

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images, classes = batch(asked["network"])
    x, labels = torch.from_numpy(images).to(memory_format=layout), torch.from_numpy(classes)
    model = NETWORKS[asked["network"]]().train()
    parameters, arrays = list(model.parameters()), read_parameters(asked["parameters"])
    with torch.no_grad():
        for parameter, array in zip(parameters, arrays, strict=True):
            check_shape(tuple(parameter.shape), array)
            parameter.copy_(torch.from_numpy(array))
    model.to(memory_format=layout)  # type: ignore[call-overload]
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and not asked["dropout"]:
            module.p = 0.0
    # As ours does: biases and the scales of norms are not decayed.
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim == 1]
    groups: Any = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=MOMENTUM)

    def step() -> Any:
        optimizer.zero_grad()
        loss: Any = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def torch_channels_last(asked: dict[str, Any]) -> Call:
    """Return PyTorch's step on channels-last tensors."""
    return torch(asked, channels_last=True)


def check_shape(shape: tuple[int, ...], array: np.ndarray) -> None:
    """Raise ValueError unless an array is the parameter that stands at its place."""
    if shape != array.shape:
        raise ValueError(f"a parameter of shape {shape} stands where the file has {array.shape}")


PEERS = {"deepconv": deepconv, "torch": torch, "torch_channels_last": torch_channels_last}
"""Every peer by name, ours first."""
