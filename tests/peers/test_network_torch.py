"""Whole networks against PyTorch: the same weights, the same batches, the same numbers after five steps."""

import numpy as np
import pytest

import deepconv as dc
from tests.peers.conftest import peer


def torch_network(torch):
    """A stem, a residual block with a strided shortcut, a grouped one, pooling of both kinds and a head."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), nn.GroupNorm(2, 8),
            )  # fmt: skip
            self.shortcut = nn.Conv2d(6, 8, 1, stride=2)

        def forward(self, x):
            return self.body(x) + self.shortcut(x)

    return nn.Sequential(
        nn.Conv2d(3, 6, (3, 5), padding=(1, 2), padding_mode="reflect"), nn.GELU(), nn.MaxPool2d(2, 2, 0),
        Block(), nn.SiLU(), nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), nn.LeakyReLU(),
        nn.AvgPool2d(3, 2, 1), nn.Flatten(), nn.Linear(36, 5),
    ).double()  # fmt: skip


def our_network():
    body = dc.Sequential(
        dc.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), dc.BatchNorm(8), dc.ReLU(),
        dc.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), dc.GroupNorm(2, 8),
    )  # fmt: skip
    return dc.Sequential(
        dc.Conv2d(3, 6, (3, 5), padding=(1, 2), padding_mode="reflect"), dc.GELU(), dc.MaxPool2d(2),
        dc.Residual(body, dc.Conv2d(6, 8, 1, stride=2)), dc.SiLU(),
        dc.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), dc.LeakyReLU(),
        dc.AvgPool2d(3, stride=2, padding=1), dc.Flatten(), dc.Linear(36, 5),
    )  # fmt: skip


def flat(model):
    return [p.data for p in model.parameters().values()]


@pytest.mark.parametrize("training", [True, False])
def test_five_steps_end_in_the_same_numbers(training):
    torch = peer("torch")
    torch.manual_seed(3)
    theirs, ours = torch_network(torch), our_network().initialize((3, 10, 13), seed=0, dtype=np.float64)
    parameters = list(theirs.parameters())
    assert [tuple(p.shape) for p in parameters] == [p.shape for p in ours.parameters().values()]
    for parameter, tensor in zip(ours.parameters().values(), parameters, strict=True):
        parameter.data = tensor.detach().numpy().copy()
    theirs.train(training)
    optimizer = torch.optim.SGD(parameters, 0.05, momentum=0.9, nesterov=True)
    our_optimizer, loss = dc.SGD(0.05, momentum=0.9, nesterov=True), dc.CrossEntropy(label_smoothing=0.1)
    rng = np.random.default_rng(1)
    for _ in range(5):
        x, labels = rng.standard_normal((7, 3, 10, 13)), rng.integers(0, 5, 7)
        optimizer.zero_grad()
        output = theirs(torch.from_numpy(x))
        value = torch.nn.functional.cross_entropy(output, torch.from_numpy(labels), label_smoothing=0.1)
        value.backward()
        y, pullback = ours.apply(x, training=training)
        np.testing.assert_allclose(y, output.detach().numpy(), rtol=1e-9, atol=1e-11)
        our_value, dy = loss.apply(y, labels)
        assert our_value == pytest.approx(value.item(), rel=1e-10)
        _, gradients = pullback(dy)
        for name, (parameter, tensor) in zip(
            ours.parameters(), zip(ours.parameters().values(), parameters, strict=True), strict=True
        ):
            np.testing.assert_allclose(
                gradients[parameter], tensor.grad.numpy(), rtol=1e-7, atol=1e-10, err_msg=name
            )
        pullback.commit()
        our_optimizer.step(ours.parameters(), gradients)
        optimizer.step()
    for mine, tensor in zip(flat(ours), parameters, strict=True):
        np.testing.assert_allclose(mine, tensor.detach().numpy(), rtol=1e-7, atol=1e-10)
    buffers = [b.numpy() for name, b in theirs.named_buffers() if "running" in name]
    for mine, running in zip(ours.buffers().values(), buffers, strict=True):
        np.testing.assert_allclose(mine.data, running, rtol=1e-9)
    x = rng.standard_normal((2, 3, 10, 13))
    theirs.eval()
    np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-8, atol=1e-10)
