"""Direct convolution rounds at most twice as much as PyTorch."""

import numpy as np
import pytest

from deepconv.engine import machine
from deepconv.engine.choice import choose
from deepconv.engine.problem import Problem
from deepconv.geometry import window
from tests.peers.conftest import peer

torch = peer("torch")
pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="Numba is not there")


@pytest.mark.parametrize("which", ["forward", "input_grad"])
@pytest.mark.parametrize(
    ("batch", "channels", "size", "filters", "kernel", "stride"),
    [
        (2, 64, 28, 64, 3, 1),
        (2, 128, 14, 96, 3, 2),
        (2, 512, 14, 64, 1, 1),
        (8, 256, 7, 64, 3, 1),
        (2, 3, 56, 32, 7, 2),
    ],
)
def test_rounding(rng, which, batch, channels, size, filters, kernel, stride):
    w = window("test", (size, size), kernel, padding=kernel // 2, stride=stride)
    problem = Problem(which, batch, channels, filters, (size, size), w, 1, np.dtype("f4"))
    plan = choose(problem, "direct")
    shapes = (problem.x_shape, problem.weight_shape, problem.y_shape)
    x, weight, dy = (rng.standard_normal(s).astype(np.float32) for s in shapes)

    def torchs(dtype):
        image, filters, gradient = (torch.from_numpy(a).to(dtype) for a in (x, weight, dy))
        words = {"padding": kernel // 2, "stride": stride}
        if which == "forward":
            return torch.nn.functional.conv2d(image, filters, **words).numpy()
        return torch.nn.grad.conv2d_input(x.shape, filters, gradient, **words).numpy()

    got = (
        plan.run(x, plan.prepare(weight), None) if which == "forward" else plan.run(dy, plan.prepare(weight))
    )
    exact = torchs(torch.float64)
    ours, theirs = (np.sqrt(np.mean((a - exact) ** 2)) for a in (got, torchs(torch.float32)))
    assert ours <= 2 * theirs, ours / theirs
