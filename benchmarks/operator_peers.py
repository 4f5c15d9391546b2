"""Operators as they are timed: for each peer a function from a request to a call.

Both sides get what a training step would hand them. PyTorch's backward passes are its own kernels, called
without autograd, with whatever its forward pass saves (outputs, indices, statistics), and so do ours: an
activation's output, the pixels that won a pooling, the statistics.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.measures import Call
from benchmarks.operator_cases import Case

Passes = dict[str, Call]
"""The call of each pass."""


def deepconv(asked: dict[str, Any]) -> Call:
    """Return our call."""
    import deepconv as dc
    from benchmarks import our_operators

    dc.set_threads(1)
    return _call(our_operators.OPERATORS, asked)


def torch(asked: dict[str, Any]) -> Call:
    """Return PyTorch's call."""
    import torch

    from benchmarks import torch_operators

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    return _call(torch_operators.OPERATORS, asked)


def _call(operators: dict[str, Callable[[Case], Passes]], asked: dict[str, Any]) -> Call:
    case = Case(**asked["case"] | {"shape": tuple(asked["case"]["shape"])})
    return operators[case.operator](case)[asked["which"]]


PEERS = {"deepconv": deepconv, "torch": torch}
"""Every peer by name, ours first."""
