"""Losses, optimizers and schedules, step for step against PyTorch's."""

import numpy as np
import pytest

from deepconv.layers.parameter import Parameter
from deepconv.training.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanSquared
from deepconv.training.optimizers import SGD, Adam, AdamW
from deepconv.training.schedules import Constant, Cosine, OneCycle, StepDecay, WarmUp
from tests.peers.conftest import peer

torch = peer("torch")

rng = np.random.default_rng(17)
N, K = 6, 5
FLAT, PIXELS = rng.normal(size=(N, K)), rng.normal(size=(N, K, 3, 4))
CLASSES, PIXEL_CLASSES = rng.integers(0, K, N), rng.integers(0, K, (N, 3, 4))
SHARES = rng.dirichlet(np.ones(K), N)
WEIGHT = rng.random(N) + 0.1


def per_sample(torch_loss, weight):
    """Return PyTorch's unreduced loss under the weighted average that ours takes."""

    def loss(prediction, target):
        each = torch_loss(prediction, target).reshape(len(weight), -1).mean(dim=1)
        return (each * torch.tensor(weight)).sum() / weight.sum()

    return loss


def losses():
    nn = torch.nn
    yes_no = rng.random((N, K))
    yield "cross entropy", CrossEntropy(), nn.CrossEntropyLoss(), FLAT, CLASSES, None
    yield "cross entropy, pixels", CrossEntropy(), nn.CrossEntropyLoss(), PIXELS, PIXEL_CLASSES, None
    yield "cross entropy, probabilities", CrossEntropy(), nn.CrossEntropyLoss(), FLAT, SHARES, None
    yield "binary", BinaryCrossEntropy(), nn.BCEWithLogitsLoss(), FLAT * 5, yes_no, None
    yield "mean squared", MeanSquared(), nn.MSELoss(), FLAT, yes_no, None
    for delta in (0.3, 1.0, 2.5):
        yield f"huber {delta}", Huber(delta), nn.HuberLoss(delta=delta), FLAT * 2, yes_no, None
    for smooth in (0.1, 0.5, 1.0):
        ours, theirs = CrossEntropy(smooth), nn.CrossEntropyLoss(label_smoothing=smooth)
        yield f"smoothed {smooth}", ours, theirs, FLAT, CLASSES, None
        yield f"smoothed {smooth}, pixels", ours, theirs, PIXELS, PIXEL_CLASSES, None
        yield f"smoothed {smooth}, probabilities", ours, theirs, FLAT, SHARES, None
    by_class = rng.random(K) + 0.1
    theirs = nn.CrossEntropyLoss(weight=torch.tensor(by_class))
    yield "cross entropy, weighted", CrossEntropy(), theirs, FLAT, CLASSES, by_class[CLASSES]
    weighted = [
        ("smoothed", CrossEntropy(0.2), nn.CrossEntropyLoss(label_smoothing=0.2, reduction="none"), CLASSES),
        ("binary", BinaryCrossEntropy(), nn.BCEWithLogitsLoss(reduction="none"), yes_no),
        ("mean squared", MeanSquared(), nn.MSELoss(reduction="none"), yes_no),
        ("huber", Huber(), nn.HuberLoss(reduction="none"), yes_no),
    ]
    for name, ours, theirs, target in weighted:
        yield f"{name}, weighted", ours, per_sample(theirs, WEIGHT), FLAT, target, WEIGHT


@pytest.mark.parametrize(
    ("ours", "theirs", "prediction", "target", "weight"),
    [pytest.param(*case, id=name) for name, *case in losses()],
)
def test_losses_and_their_gradients(ours, theirs, prediction, target, weight):
    leaf = torch.tensor(prediction, requires_grad=True)
    expected = theirs(leaf, torch.tensor(target))
    expected.backward()
    value, gradient = ours.apply(prediction, target, weight=weight)
    assert value == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-12, atol=1e-15)


OPTIMIZERS = {
    "sgd": (SGD(), "SGD", {"lr": 0.01}),
    "sgd decay": (SGD(0.1, weight_decay=0.02), "SGD", {"lr": 0.1, "weight_decay": 0.02}),
    "momentum": (SGD(0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    "momentum decay": (
        SGD(0.05, momentum=0.8, weight_decay=0.1),
        "SGD",
        {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1},
    ),
    "nesterov": (
        SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "adam": (Adam(), "Adam", {}),
    "adam decay": (
        Adam(0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
        "Adam",
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamw": (AdamW(), "AdamW", {}),
    "adamw decay": (
        AdamW(0.03, betas=(0.7, 0.9), weight_decay=0.3),
        "AdamW",
        {"lr": 0.03, "betas": (0.7, 0.9), "weight_decay": 0.3},
    ),
}


def both(dtype):
    """Return the same parameters, ours and PyTorch's: a weight that decays and a bias that doesn't."""
    ours = {}
    for name, shape in {"weight": (4, 3, 2), "bias": (4,)}.items():
        ours[name] = Parameter(
            shape, lambda generator, size: generator.normal(size=size), decay=name == "weight"
        )
        ours[name].initialise(np.random.default_rng(len(name)), dtype)
    return ours, {name: torch.nn.Parameter(torch.tensor(p.data)) for name, p in ours.items()}


@pytest.mark.parametrize("clip", [None, 1.5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize(("optimizer", "name", "settings"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizers_over_twenty_steps(optimizer, name, settings, dtype, tolerance, clip):
    ours, theirs = both(dtype)
    groups = [{"params": [theirs["weight"]]}, {"params": [theirs["bias"]], "weight_decay": 0.0}]
    peer_optimizer = getattr(torch.optim, name)(groups, **settings)
    base = settings.get("lr", 1e-3)
    optimizer.reset()
    generator = np.random.default_rng(5)
    for step in range(20):
        rate = base * (0.5 + step % 3)  # a rate that changes, as under a schedule
        gradients = {p: generator.normal(size=p.shape).astype(dtype) for p in ours.values()}
        for key, parameter in ours.items():
            theirs[key].grad = torch.tensor(gradients[parameter])
        norm = torch.nn.utils.clip_grad_norm_(theirs.values(), clip or float("inf"))
        for group in peer_optimizer.param_groups:
            group["lr"] = rate
        peer_optimizer.step()
        assert optimizer.step(ours, gradients, rate, clip_norm=clip) == pytest.approx(norm.item(), rel=1e-5)
        for key, parameter in ours.items():
            slack = tolerance if clip is None else max(tolerance, 2e-5)  # PyTorch adds 1e-6 to the norm
            np.testing.assert_allclose(parameter.data, theirs[key].detach().numpy(), rtol=slack, atol=slack)


def rates(make, total):
    """Return the learning rates that a PyTorch schedule gives, from a base of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(torch.optim.lr_scheduler, optimizer)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def warm_cosine(lib, optimizer):
    first = lib.LinearLR(optimizer, start_factor=0.2, total_iters=12)
    return lib.SequentialLR(optimizer, [first, lib.CosineAnnealingLR(optimizer, T_max=28)], milestones=[12])


SCHEDULES = {
    "constant": (Constant(), lambda lib, o: lib.ConstantLR(o, factor=1.0)),
    "cosine": (Cosine(), lambda lib, o: lib.CosineAnnealingLR(o, T_max=40)),
    "cosine to 0.1": (Cosine(0.1), lambda lib, o: lib.CosineAnnealingLR(o, T_max=40, eta_min=0.1)),
    "steps": (
        StepDecay(at=(0.25, 0.5, 0.75), factor=0.3),
        lambda lib, o: lib.StepLR(o, step_size=10, gamma=0.3),
    ),
    "milestones": (StepDecay(at=(0.3, 0.9)), lambda lib, o: lib.MultiStepLR(o, milestones=[12, 36])),
    "warm-up": (WarmUp(0.3, start=0.2), lambda lib, o: lib.LinearLR(o, start_factor=0.2, total_iters=12)),
    "one cycle": (OneCycle(), lambda lib, o: lib.OneCycleLR(o, max_lr=1.0, total_steps=40)),
    "one cycle, odd": (
        OneCycle(rise=0.42, start=0.1, end=0.001),
        lambda lib, o: lib.OneCycleLR(
            o, 1.0, total_steps=40, pct_start=0.42, div_factor=10, final_div_factor=100
        ),
    ),
}


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # PyTorch's own, about steps past the end
@pytest.mark.parametrize(("ours", "make"), SCHEDULES.values(), ids=SCHEDULES)
def test_schedules_over_a_run(ours, make):
    np.testing.assert_allclose([ours(step, 40) for step in range(40)], rates(make, 40), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_warm_up_then_cosine():
    ours = WarmUp(0.3, start=0.2, then=Cosine())
    np.testing.assert_allclose(
        [ours(step, 40) for step in range(40)], rates(warm_cosine, 40), rtol=1e-9, atol=1e-12
    )
