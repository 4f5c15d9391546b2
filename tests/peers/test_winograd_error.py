"""Winograd's error beside PyTorch's: at most six times, root mean square over the output's, on unit-normal data."""

import numpy as np
import pytest

from deepconv import reference
from deepconv.engine import machine
from deepconv.engine.choice import choose
from deepconv.engine.problem import Problem
from deepconv.geometry import window
from tests.peers.conftest import peer

torch = peer("torch")
pytestmark = pytest.mark.skipif(
    machine.why_not_compiled() is not None, reason="compiled algorithms are missing"
)


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "relu"),
    [
        (16, 24, 3, False),
        (64, 24, 3, False),
        (64, 24, 3, True),
        (256, 14, 3, False),
        (48, 27, 5, False),
        (32, 32, 9, False),
    ],
)
def test_error_is_at_most_six_times_pytorchs(channels, size, kernel, relu, rng):
    w = window("conv", (size, size), kernel, padding=kernel // 2)
    plans = {
        which: choose(
            Problem(which, 2, channels, channels, (size, size), w, 1, np.dtype(np.float32)), "winograd"
        )
        for which in ("forward", "input_grad")
    }
    shape = (2, channels, size, size)
    x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    weight = rng.standard_normal((channels, channels, kernel, kernel)).astype(np.float32)
    if relu:  # what a layer sees behind a ReLU
        x = np.maximum(x, 0)
    forward, back = plans["forward"], plans["input_grad"]
    ours = forward.run(x, forward.prepare(weight), None), back.run(dy, back.prepare(weight))
    tensors = [torch.from_numpy(a) for a in (x, weight, dy)]
    theirs = (
        torch.nn.functional.conv2d(*tensors[:2], padding=kernel // 2).numpy(),
        torch.nn.grad.conv2d_input(shape, tensors[1], tensors[2], padding=kernel // 2).numpy(),
    )
    x, weight, dy = (a.astype(np.float64) for a in (x, weight, dy))
    truths = (
        reference.conv_by_taps(x, weight, w, 1),
        reference.conv_input_grad_by_taps(dy, weight, shape, w, 1),
    )
    for got, peers, truth in zip(ours, theirs, truths, strict=True):
        errors = [np.sqrt(np.mean((a - truth) ** 2) / np.mean(truth**2)) for a in (got, peers)]
        assert errors[0] < 6 * errors[1]
