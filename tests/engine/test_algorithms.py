"""Every algorithm, in every pass, against the definition; and which one ran."""

import numpy as np
import pytest
from hypothesis import given, settings

from deepconv import reference
from deepconv.engine import machine
from deepconv.engine.choice import TABLE, choose
from deepconv.engine.kernels import workspace
from deepconv.engine.problem import PASSES, Problem
from tests.cases import CASES, geometries
from tests.conftest import examples

NUMPY = ("pointwise", "depthwise_numpy", "matmul", "taps")
ELSEWHERE = ("fourier",)  # its kernels are larger than any here: test_fourier
ALGORITHMS = [
    (which, algorithm.name)
    for which in PASSES
    for algorithm in TABLE[which]
    if (algorithm.name in NUMPY or machine.why_not_compiled() is None) and algorithm.name not in ELSEWHERE
]


def problem_of(case, which, dtype=np.float64, **more):
    image, window = case.x_shape[2:], case.window
    if case.mode != "zeros":  # the operators pad beforehand
        image, window = window.padded_size(image), window.without_padding()
    channels, filters = case.x_shape[1], case.weight_shape[0]
    return Problem(
        which, case.x_shape[0], channels, filters, image, window, case.groups, np.dtype(dtype), **more
    )


def truth(problem, x, w, dy):
    if problem.which == "forward":
        return reference.conv_by_taps(x, w, problem.window, problem.groups)
    if problem.which == "input_grad":
        return reference.conv_input_grad_by_taps(dy, w, problem.x_shape, problem.window, problem.groups)
    return reference.conv_weight_grad_by_taps(dy, x, problem.weight_shape, problem.window, problem.groups)


def operands(plan, x, w, dy, bias=None):
    if plan.problem.which == "forward":
        return x, plan.prepare(w), bias
    return (dy, plan.prepare(w)) if plan.problem.which == "input_grad" else (dy, x)


def served(case, which, name, dtype=np.float64, **more):
    """Return the plan, or None where the algorithm says why not."""
    problem = problem_of(case, which, dtype, **more)
    (algorithm,) = (a for a in TABLE[which] if a.name == name)
    if algorithm.refuses(problem) is not None:
        return None
    plan = choose(problem, name)
    assert plan.algorithm is algorithm
    return plan


def check(case, which, name, dtype=np.float64, tolerance=1e-12):
    plan = served(case, which, name, dtype)
    if plan is None:
        return False
    rng = np.random.default_rng(7)
    x, w, dy = (rng.standard_normal(s) for s in (plan.problem.x_shape, case.weight_shape, case.y_shape))
    got = plan.run(*operands(plan, *(a.astype(dtype) for a in (x, w, dy))))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, truth(plan.problem, x, w, dy), rtol=tolerance, atol=tolerance * 10)
    return True


@pytest.mark.parametrize(("which", "name"), ALGORITHMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_named_cases(which, name, dtype):
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    served_cases = [case.name for case in CASES if check(case, which, name, dtype, tolerance)]
    least = {
        "direct": len(CASES) - 1,
        "pointwise": 4,
        "depthwise": 4,
        "grouped": 28,
        "winograd": 13,
        "depthwise_numpy": 4,
        "matmul": len(CASES),
        "taps": len(CASES),
    }[name]
    assert len(served_cases) >= least, served_cases  # a refusal must not pass for a success


@settings(max_examples=examples(60, full=2000))
@given(case=geometries())
def test_drawn_cases(case):
    ran = {name for which, name in ALGORITHMS if check(case, which, name)}
    assert ran >= {"matmul", "taps"}


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cheapest_that_serves_is_chosen(which, case):
    problem = problem_of(case, which, np.float32)
    able = [a for a in TABLE[which] if a.refuses(problem) is None]
    chosen = choose(problem)
    assert chosen.algorithm.name == min(able, key=lambda a: a.cost(problem)).name
    assert {chosen.algorithm.name, *dict(chosen.refusals)} == {a.name for a in TABLE[which]}


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", ["matmul", "taps"])
def test_parts_of_the_batch_give_the_same(which, name):
    """A workspace for one, two or all of the images; the limit is kept where it can be."""
    (case,) = (c for c in CASES if c.name == "long_batch")
    whole = served(case, which, name)
    x, w, dy = case.arrays()
    bias = np.arange(1.0, 1 + len(w)) ** 2
    expected = truth(whole.problem, x, w, dy)
    if which == "forward":
        expected = expected + bias.reshape(-1, *(1,) * (x.ndim - 2))
    for share in (1, 2, 5):
        limit = whole.workspace * share // 11
        plan = served(case, which, name, workspace_limit=limit)
        got = plan.run(*operands(plan, x, w, dy, bias))
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-11)
        assert name == "taps" or plan.workspace <= limit


def test_no_workspace_ends_in_the_plainest():
    (case,) = (c for c in CASES if c.name == "plain")
    plan = choose(problem_of(case, "forward", workspace_limit=0))
    assert plan.algorithm.name == "taps"
    reasons = dict(plan.refusals)
    assert reasons["pointwise"] == "the kernel has 6 cells, not one"
    assert "workspace limit is 0" in reasons["matmul"]


@pytest.mark.parametrize(
    ("which", "name", "case"),
    [
        ("forward", "pointwise", "pointwise_strided"),
        ("weight_grad", "pointwise", "pointwise_strided"),
        ("input_grad", "depthwise_numpy", "depthwise"),
        ("input_grad", "matmul", "plain"),
    ],
)
def test_a_byte_too_little_is_refused(which, name, case):
    (case,) = (c for c in CASES if c.name == case)
    (algorithm,) = (a for a in TABLE[which] if a.name == name)
    need = served(case, which, name).workspace
    if name == "matmul":  # it takes the batch in parts
        need //= case.x_shape[0]
    assert algorithm.refuses(problem_of(case, which, workspace_limit=need)) is None
    short = problem_of(case, which, workspace_limit=need - 1)
    assert choose(short).algorithm.name != name
    with pytest.raises(
        ValueError, match=f"{name}' can't compute this {which}.* the workspace limit is {need - 1:,}"
    ):
        choose(short, name)


@pytest.mark.parametrize("batch", [2, 6, 12])
@pytest.mark.parametrize(
    ("weight_shape", "words"),
    [
        ((16, 8, 3, 3), {"padding": 1}),
        ((8, 1, 3, 3), {"padding": 1, "groups": 8}),
        ((16, 8, 1, 1), {"stride": (2, 1)}),
        ((128, 8, 1, 1), {}),  # the weight gradient takes a product for each image
    ],
    ids=["plain", "depthwise", "pointwise strided", "pointwise"],
)
def test_memory_stays_within_what_the_plan_says(batch, weight_shape, words):
    """tracemalloc sees NumPy's arrays: operands and result aside, the peak is the plan's workspace.

    The batch of 12 is taken in three parts, of which no two may be held at once. A plan that asks for far
    more than it takes would be refused where it could serve.
    """
    import tracemalloc

    from tests.cases import Case

    case = Case("memory", (batch, 8, 40, 37), weight_shape, words)
    x, w, dy = case.arrays(np.float32)
    for which, name in ALGORITHMS:
        plan = served(case, which, name, np.float32, workspace_limit=3_000_000)
        if plan is None:
            continue
        arguments = operands(plan, x, w, dy)
        plan.run(*arguments)  # loads what it needs
        workspace.release()  # what an earlier call left
        tracemalloc.start()
        result = plan.run(*arguments)
        peak = tracemalloc.get_traced_memory()[1] - result.nbytes
        tracemalloc.stop()
        assert peak <= plan.workspace * 1.02 + 20_000, (which, name, peak, plan.workspace)
        if name != "taps":  # which is never refused
            assert plan.workspace <= peak * 2 + 20_000, (which, name, peak, plan.workspace)


@pytest.mark.parametrize(("which", "name"), ALGORITHMS)
def test_strange_memory_layouts(which, name):
    """Negative strides, Fortran order and every second pixel give what contiguous copies give."""
    from tests.cases import Case

    words = {"groups": 4} if name.startswith("depthwise") else {}
    kernel = (1, 1) if name == "pointwise" else (3, 2)
    case = Case("layout", (3, 4, 6, 5), (4, 1 if words else 4, *kernel), words)
    plan = served(case, which, name)
    x, w, dy = case.arrays()
    expected = plan.run(*operands(plan, x, w, dy))
    odd = [
        lambda a: np.asfortranarray(a),
        lambda a: np.ascontiguousarray(a[:, :, ::-1])[:, :, ::-1],
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1),
    ]
    for make in odd:
        a, b, c = make(x), make(w), make(dy)
        np.testing.assert_allclose(plan.run(*operands(plan, a, b, c)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("which", "name"), ALGORITHMS)
def test_operands_are_left_alone(which, name):
    for case in CASES[:30]:
        plan = served(case, which, name)
        if plan is None:
            continue
        rng = np.random.default_rng(1)
        arrays = [rng.standard_normal(s) for s in (plan.problem.x_shape, case.weight_shape, case.y_shape)]
        before = [a.copy() for a in arrays]
        result = plan.run(*operands(plan, *arrays))
        result[...] = 0
        for array, was in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, was)
