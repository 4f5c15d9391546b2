"""What the benchmarks compare is the same computation on both sides: every row returns what PyTorch returns."""

import pytest

from benchmarks.network_cases import BATCHES
from benchmarks.operator_cases import CASES
from benchmarks.operators import with_shapes
from benchmarks.processes import interleaved, workers
from benchmarks.training import measure
from tests.peers.conftest import peer

peer("torch")

LARGE = 2**20  # numbers in an operator's input


def check(cases):
    with workers("operators", ["deepconv", "torch"]) as asked:
        for case in cases:
            for which in case.passes:
                interleaved(asked, with_shapes(case).request(which), 1)  # raises where they differ


def numbers(case):
    size = 1
    for length in case.shape:
        size *= length
    return size


def test_operators_return_the_same():
    small = [case for case in CASES if numbers(case) < LARGE]
    assert len(small) > 20
    check(small)


@pytest.mark.full
def test_large_operators_return_the_same():
    check([case for case in CASES if numbers(case) >= LARGE])


# Each peer is a process of its own, which imports PyTorch anew: by default one network meets one of them.
@pytest.mark.parametrize(
    ("network", "peers"),
    [
        ("digits", ["torch"]),
        *(pytest.param(name, ["torch", "torch_channels_last"], marks=pytest.mark.full) for name in BATCHES),
    ],
)
def test_the_first_steps_have_the_same_losses(network, peers):
    steps = measure(network, ["deepconv", *peers], 1)
    assert len(steps.losses) == 3
    assert steps.losses[2] < steps.losses[0]
