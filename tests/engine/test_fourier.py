"""Large kernels through Fourier space: one to three axes, forward and back, their memory, threads and refusals."""

import tracemalloc

import numpy as np
import pytest

import deepconv as dc
from deepconv.engine import machine
from deepconv.engine.algorithms import fourier
from deepconv.engine.choice import choose
from deepconv.engine.kernels import threads
from tests.cases import Case
from tests.engine.test_algorithms import operands, problem_of, truth

CASES = [
    Case("plane", (2, 3, 21, 26), (4, 3, 9, 8), dict(padding=4)),
    Case("bare", (1, 2, 19, 23), (3, 2, 11, 7)),
    Case("groups", (2, 4, 15, 17), (6, 2, 8, 9), dict(padding=3, groups=2)),
    Case("channelwise", (1, 3, 15, 17), (3, 1, 9, 9), dict(padding=4, groups=3)),
    Case("dilated", (1, 2, 31, 30), (2, 2, 8, 8), dict(padding=5, dilation=(2, 3))),
    Case("far padding", (1, 2, 9, 8), (2, 2, 8, 8), dict(padding=[(11, 0), (2, 13)])),
    Case("line", (2, 2, 301), (3, 2, 77), dict(padding=[(40, 5)])),
    Case("space", (1, 2, 9, 10, 11), (2, 2, 4, 5, 4), dict(padding=2)),
    Case("tiles", (1, 1, 700, 40), (1, 1, 31, 12), dict(padding=6)),
]
PASSES = ("forward", "input_grad")


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_definition(which, case, dtype):
    arrays = case.arrays(dtype)
    x, w, dy = arrays
    before = [a.copy() for a in arrays]
    plan = choose(problem_of(case, which, dtype), "fourier")
    bias = np.arange(1.0, 1 + len(w)).astype(dtype) if which == "forward" else None
    x, dy = np.asfortranarray(x), dy[..., ::-1].copy()[..., ::-1]
    got = plan.run(*operands(plan, x, w, dy, bias))
    want = truth(plan.problem, *(a.astype(np.float64) for a in (x, w, dy)))
    if bias is not None:
        want += bias.reshape(-1, *(1,) * (x.ndim - 2))
    close = 1e-12 if dtype == np.float64 else 3e-7
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=close, atol=close * np.abs(want).max())
    for a, was in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, was)


@pytest.mark.parametrize("which", PASSES)
def test_threads_and_tiles_give_the_same_bits(which, monkeypatch):
    monkeypatch.setattr(threads, "_SMALLEST", 1)
    x, w, dy = CASES[-1].arrays(np.float32)
    results = []
    for count in (1, 2, 3):
        plan = choose(problem_of(CASES[-1], which, np.float32, threads=count), "fourier")
        results.append(plan.run(*operands(plan, x, w, dy)).tobytes())
    assert len(set(results)) == 1
    assert len(fourier._form(plan.problem).corners) > 1


@pytest.mark.parametrize("which", PASSES)
def test_memory_stays_within_what_the_plan_says(which):
    for case in (CASES[0], CASES[2], CASES[6]):
        x, w, dy = case.arrays(np.float32)
        plan = choose(problem_of(case, which, np.float32), "fourier")
        plan.run(*operands(plan, x, w, dy))
        tracemalloc.start()
        result = plan.run(*operands(plan, x, w, dy))
        peak = tracemalloc.get_traced_memory()[1] - result.nbytes
        tracemalloc.stop()
        assert peak <= plan.workspace * 1.02 + 20_000, (case, peak, plan.workspace)


def test_it_is_chosen_where_it_pays_by_much_alone():
    large = Case("large", (1, 1, 1000, 1000), (1, 1, 151, 151), dict(padding=75))
    assert choose(problem_of(large, "forward", np.float32)).algorithm.name == "fourier"
    for kernel in (3, 7, 11) if machine.why_not_compiled() is None else (3, 7):
        small = Case("small", (1, 3, 500, 500), (4, 3, kernel, kernel))
        assert choose(problem_of(small, "forward", np.float32)).algorithm.name != "fourier"


@pytest.mark.parametrize(
    ("words", "more", "why"),
    [
        (dict(stride=2), {}, "the stride (2, 2) is not 1"),
        ({}, dict(exact=True), "the sums must be exact"),
        ({}, dict(dtype=np.int64), "it computes in float64, not int64"),
        ({}, dict(workspace_limit=9), "the workspace limit is 9"),
    ],
)
def test_what_it_refuses(words, more, why):
    case = Case("refused", (1, 2, 30, 30), (2, 2, 9, 9), words)
    assert why in fourier.refuses(problem_of(case, "forward", **more))
    small = Case("small", (1, 2, 30, 30), (2, 2, 7, 9))
    assert fourier.refuses(problem_of(small, "forward")) == "the kernel has 63 cells, fewer than 64"


def test_conv_takes_it_by_name():
    x, w, _ = CASES[0].arrays()
    ours = dc.conv(x, w, padding=4, algorithm="fourier")
    np.testing.assert_allclose(ours, dc.conv(x, w, padding=4, algorithm="taps"), rtol=1e-12, atol=1e-11)
