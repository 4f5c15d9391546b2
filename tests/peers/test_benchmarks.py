"""What the benchmarks compare is the same computation on both sides: every row returns what PyTorch returns."""

import json

import pytest

from benchmarks import operator_peers, training_peers
from benchmarks.measures import digest
from benchmarks.network_cases import BATCHES
from benchmarks.operator_cases import CASES
from benchmarks.operators import with_shapes
from benchmarks.processes import Timed, check_same, interleaved, workers
from benchmarks.training import measure
from tests.peers.conftest import peer

torch = peer("torch")

LARGE = 2**21  # numbers in an operator's input


def numbers(case):
    size = 1
    for length in case.shape:
        size *= length
    return size


SMALL = [case for case in CASES if numbers(case) < LARGE]


def check(cases):
    """Ask both sides, each in a process of its own, as the benchmark does."""
    with workers("operators", ["deepconv", "torch"]) as asked:
        for case in cases:
            for which in case.passes:
                interleaved(asked, with_shapes(case).request(which), 1)  # raises where they differ


def digested(peers, request):
    """Return of each peer what its first three calls returned, in digests, as if it had been measured."""
    row = {}
    for side in ("deepconv", "torch"):
        with torch.set_grad_enabled(torch.is_grad_enabled()):  # a benchmark turns gradients off, for good
            call = peers[side](request)
            row[side] = Timed(0.0, 0.0, tuple(digest(call()) for _ in range(3)))
    return row


def test_operators_return_the_same():
    assert len(SMALL) > 20
    assert {case.operator for case in SMALL} == {case.operator for case in CASES}
    for case in SMALL:
        for which in case.passes:
            request = with_shapes(case).request(which)
            check_same(digested(operator_peers.PEERS, request), json.dumps(request))


@pytest.mark.full
@pytest.mark.parametrize("small", [True, False])
def test_operators_measured_in_processes_return_the_same(small):
    check([case for case in CASES if (case in SMALL) == small])


def test_the_first_steps_of_a_small_network_have_the_same_losses(tmp_path):
    path = str(tmp_path / "parameters.npz")
    assert training_peers.write_parameters("digits", path) > 1000
    row = digested(training_peers.PEERS, training_peers.request("digits", path, dropout=False))
    check_same(row, "the losses")
    losses = row["deepconv"].digests
    assert losses[2] < losses[0]


# Each peer is a process of its own, which imports PyTorch anew.
@pytest.mark.full
@pytest.mark.parametrize("network", BATCHES)
def test_the_first_steps_have_the_same_losses(network):
    steps = measure(network, ["deepconv", "torch", "torch_channels_last"], 1)
    assert len(steps.losses) == 3
    assert steps.losses[2] < steps.losses[0]
