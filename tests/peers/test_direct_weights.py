"""How far the compiled gradients of weights and biases are from exact ones, beside PyTorch's."""

import numpy as np
import pytest

from deepconv import reference
from deepconv.engine import machine
from deepconv.engine.algorithms import direct_weights
from tests.engine.test_direct_weights import operands, problem_of
from tests.peers.conftest import peer

torch = peer("torch")
pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="Numba is not there")


def error(got, exact):
    return float(np.sqrt(np.mean((got - exact) ** 2) / np.mean(exact**2)))


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((4, 16, (28, 28), 32, 3), dict(padding=1)),
        ((8, 48, (14, 14), 64, 1), {}),
        ((2, 3, (64, 64), 32, 7), dict(padding=3, stride=2)),
        ((64, 8, (8, 8), 16, 3), dict(padding=2, dilation=2)),
    ],
    ids=str,
)
def test_error_is_at_most_twice_theirs(shape, how):
    problem = problem_of(*shape, **how)
    dy, x = operands(problem)
    exact = reference.conv_weight_grad_by_taps(
        dy.astype(float), x.astype(float), problem.weight_shape, problem.window, problem.groups
    )
    theirs = torch.nn.grad.conv2d_weight(
        torch.from_numpy(x), problem.weight_shape, torch.from_numpy(dy), **how
    )
    ours = direct_weights.weight_grad(problem, dy, x)
    assert error(ours, exact) <= 2 * error(theirs.numpy(), exact)
    bias, exact_bias = direct_weights.bias_grad(dy), dy.sum(axis=(0, 2, 3), dtype=np.float64)
    assert (
        error(bias, exact_bias) <= 2 * error(torch.from_numpy(dy).sum((0, 2, 3)).numpy(), exact_bias) + 1e-7
    )
