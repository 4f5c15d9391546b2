"""The compiled gradient of the weights: tails, bands, threads, limits, arrays of all kinds; and that of the bias."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepconv import geometry, reference
from deepconv.engine import machine
from deepconv.engine.algorithms import direct_weights
from deepconv.engine.choice import choose
from deepconv.engine.kernels import team, threads
from deepconv.engine.problem import Problem

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="Numba is not there")
ROOT = Path(__file__).parents[2]


def problem_of(
    batch, channels, image, filters, kernel, groups=1, dtype=np.float32, threads=1, limit=1 << 40, **how
):
    window = geometry.window("test", image, kernel, **how)
    return Problem(
        "weight_grad", batch, channels, filters, image, window, groups, np.dtype(dtype),
        threads=threads, workspace_limit=limit,
    )  # fmt: skip


def operands(problem, seed=0):
    rng = np.random.default_rng([seed, *problem.x_shape, *problem.y_shape])
    return [rng.standard_normal(shape).astype(problem.dtype) for shape in (problem.y_shape, problem.x_shape)]


def truth(problem, dy, x):
    shape, wide = problem.weight_shape, np.float64
    return reference.conv_weight_grad_by_taps(
        dy.astype(wide), x.astype(wide), shape, problem.window, problem.groups
    )


def check(problem):
    assert direct_weights.refuses(problem) is None
    dy, x = operands(problem)
    got, expected = direct_weights.weight_grad(problem, dy, x), truth(problem, dy, x)
    assert got.dtype == problem.dtype
    rms = np.sqrt(problem.batch * problem.places)
    np.testing.assert_allclose(got, expected, rtol=0, atol=rms * 40 * np.finfo(problem.dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("filters", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33])
def test_tails_of_filters_and_rows(filters, dtype):
    check(problem_of(2, filters % 5 + 1, (5, 6), filters, (3, 1 + filters % 3), dtype=dtype, padding=1))


@pytest.mark.parametrize("width", range(1, 21))
def test_tails_of_places(width):
    check(problem_of(3, 2, (width,), 9, 1))
    check(problem_of(2, 3, (1 + width % 3, width), 17, (1, 3), padding=1))


@pytest.mark.parametrize(
    "how",
    [
        dict(stride=2),
        dict(stride=(3, 2), padding=2),
        dict(dilation=(2, 3), padding=(2, 3)),
        dict(padding=[(0, 3), (4, 0)]),
        dict(padding="same", stride=2, dilation=2),
    ],
    ids=str,
)
@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (1, 4), (3, 1)])
def test_geometries(kernel, how):
    if how.get("padding") == "same" and kernel == (1, 1):
        how = dict(padding=0, stride=5)
    check(problem_of(2, 3, (11, 13), 10, kernel, **how))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_volumes_and_groups(groups):
    check(problem_of(2, 4, (4, 5, 6), 20, (2, 3, 1), groups, stride=(1, 2, 3), padding=(1, 0, 1)))
    check(problem_of(1, 4, (3, 4, 5), 8, (1, 1, 1), groups, stride=2, padding=1))


@pytest.mark.parametrize("most", [1, 5, 17, 64])
def test_bands_and_panels_of_every_size(most, monkeypatch):
    """The same problems cut otherwise: rows of one image, several images, panels of a few places."""
    monkeypatch.setattr(direct_weights, "_FEWEST", most)
    monkeypatch.setattr(direct_weights, "_MOST", most)
    direct_weights._work.cache_clear()
    try:
        for batch, image, how in (
            (1, (13, 9), dict(padding=1)),
            (7, (3, 3), dict(padding=1, dilation=2)),
            (2, (9, 11), dict(stride=2, padding=(2, 0))),
            (5, (4, 3), {}),
        ):
            check(problem_of(batch, 3, image, 18, 3, **how))
            check(problem_of(batch, 3, image, 18, 1, **how))
    finally:
        direct_weights._work.cache_clear()


@pytest.mark.parametrize("groups", [1, 3])
def test_any_number_of_threads_gives_the_same_bits(groups, monkeypatch):
    monkeypatch.setattr(threads, "_SMALLEST", 1000)
    plans = [problem_of(3, 6, (14, 15), 99, 3, groups, threads=n, padding=1) for n in (1, 2, 3, 7)]
    dy, x = operands(plans[0])
    one, *others = (direct_weights.weight_grad(plan, dy, x) for plan in plans)
    for other in others:
        np.testing.assert_array_equal(other, one)
    np.testing.assert_allclose(one, truth(plans[0], dy, x), rtol=0, atol=1e-3)


def test_a_range_of_tasks_writes_its_own_filters_alone(monkeypatch):
    """Two threads that both wrote a block would give the same numbers, and nobody would see it."""
    problem = problem_of(2, 3, (6, 7), 70, 3, padding=1)
    dy, x = operands(problem)
    expected, (_, width) = direct_weights.weight_grad(problem, dy, x), direct_weights._tile(problem)
    run = team.run
    monkeypatch.setattr(
        team,
        "run",
        lambda calls, tasks, *rest, **words: run(lambda _, __, own: calls(1, 2, own), 1, *rest, **words),
    )
    monkeypatch.setattr(direct_weights.np, "empty", lambda shape, dtype: np.full(shape, 7, dtype))
    got = direct_weights.weight_grad(problem, dy, x)
    np.testing.assert_array_equal(got[width : 2 * width], expected[width : 2 * width])
    assert (np.delete(got, np.s_[width : 2 * width], 0) == 7).all()


def test_the_workspace_limit_is_kept():
    whole = problem_of(2, 8, (12, 12), 200, 3, padding=1)
    dy, x = operands(whole)
    expected, need = direct_weights.weight_grad(whole, dy, x), direct_weights.workspace(whole)
    lower = problem_of(2, 8, (12, 12), 200, 3, padding=1, limit=need - 1)
    assert direct_weights.workspace(lower) < need  # fewer filters at a time, the same sums
    np.testing.assert_array_equal(direct_weights.weight_grad(lower, dy, x), expected)
    least = direct_weights.workspace(problem_of(2, 8, (12, 12), 200, 3, padding=1, limit=1))
    fits = problem_of(2, 8, (12, 12), 200, 3, padding=1, limit=least)
    assert direct_weights.refuses(fits) is None
    np.testing.assert_array_equal(direct_weights.weight_grad(fits, dy, x), expected)
    short = problem_of(2, 8, (12, 12), 200, 3, padding=1, limit=least - 1)
    assert (
        direct_weights.refuses(short) == f"it needs {least:,} bytes and the workspace limit is {least - 1:,}"
    )


def as_people_have_them(a):
    """Yield arrays equal to `a` that lie otherwise in memory."""
    yield np.asfortranarray(a)
    yield a[..., ::-1].copy()[..., ::-1]
    yield a[::-1].copy()[::-1]
    yield np.repeat(a, 2, axis=1)[:, ::2]
    unaligned = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    unaligned[...] = a
    yield unaligned
    yield a.astype(a.dtype.newbyteorder())
    fixed = a.copy()
    fixed.flags.writeable = False
    yield fixed


def test_arrays_of_all_kinds():
    problem = problem_of(2, 3, (6, 7), 10, 3, padding=1)
    dy, x = operands(problem)
    expected = direct_weights.weight_grad(problem, dy, x)
    for other_dy, other_x in zip(as_people_have_them(dy), as_people_have_them(x), strict=True):
        np.testing.assert_array_equal(direct_weights.weight_grad(problem, other_dy, other_x), expected)
        np.testing.assert_array_equal(direct_weights.bias_grad(other_dy), direct_weights.bias_grad(dy))


def test_nothing_beside_the_operands_is_read_or_written():
    """Numbers around the operands that would be seen: NaN, and the result's own neighbours."""
    for shape in ((1, 1, (1, 1), 1, 1), (1, 3, (2, 3), 5, 2), (3, 2, (7, 9), 9, 3), (1, 2, (3, 17), 16, 1)):
        problem = problem_of(*shape)
        dy, x = operands(problem)
        expected = direct_weights.weight_grad(problem, dy, x)
        inside = []
        for a in (dy, x):
            around = np.full(a.size + 128, np.nan, a.dtype)
            around[64:-64] = a.ravel()
            inside.append(around[64:-64].reshape(a.shape))
        np.testing.assert_array_equal(direct_weights.weight_grad(problem, *inside), expected)
        np.testing.assert_array_equal(direct_weights.bias_grad(inside[0]), direct_weights.bias_grad(dy))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_arrives_where_the_definition_puts_it(value):
    problem = problem_of(2, 5, (6, 7), 9, 3, padding=1, stride=2)
    for which, place in ((0, (1, 3, 0, 2)), (1, (0, 2, 5, 4)), (1, (0, 4, 0, 0))):
        both = operands(problem)
        both[which][place] = value
        with np.errstate(invalid="ignore"):
            got, expected = direct_weights.weight_grad(problem, *both), truth(problem, *both)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(expected))
        finite = np.isfinite(expected)
        assert finite.any()
        assert not finite.all()
        np.testing.assert_allclose(got[finite], expected[finite], rtol=0, atol=1e-4)


def test_an_empty_batch_gives_zeros():
    problem = problem_of(0, 3, (4, 5), 7, 3, padding=1)
    np.testing.assert_array_equal(direct_weights.weight_grad(problem, *operands(problem)), 0)
    np.testing.assert_array_equal(direct_weights.bias_grad(np.empty((0, 4, 3), np.float32)), np.zeros(4))


def test_what_it_refuses():
    exact = Problem(
        "weight_grad", 1, 1, 1, (3,), geometry.window("test", (3,), 3), 1, np.dtype("i8"), exact=True
    )
    assert "int64" in direct_weights.refuses(exact)
    exact = Problem(
        "weight_grad", 1, 1, 1, (3,), geometry.window("test", (3,), 3), 1, np.dtype("f8"), exact=True
    )
    assert "exact" in direct_weights.refuses(exact)
    assert "4" in direct_weights.refuses(problem_of(1, 1, (2, 2, 2, 2), 1, 1))


@pytest.mark.skipif(machine.target().vector_bytes < 32, reason="measured with vectors of 32 bytes and more")
def test_it_is_what_runs_where_it_was_measured_fastest():
    for channels, image, filters, kernel, how in (
        (3, (64, 64), 64, 7, dict(padding=3, stride=2)),
        (128, (28, 28), 128, 3, dict(padding=1, stride=2)),
    ):
        problem = problem_of(8, channels, image, filters, kernel, **how)
        assert choose(problem).algorithm.name == "direct"
        assert choose(problem, "direct").algorithm.passes["weight_grad"] is direct_weights.weight_grad


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("places", [(), (1,), (7,), (8,), (9, 1), (5, 13), (3, 4, 11), (130,)])
def test_bias_grad(places, dtype, rng):
    dy = rng.standard_normal((3, 5, *places)).astype(dtype)
    got = direct_weights.bias_grad(dy)
    assert got.dtype == dtype
    axes = (0, *range(2, dy.ndim))
    np.testing.assert_allclose(
        got, dy.sum(axis=axes, dtype=np.float64), rtol=0, atol=1e3 * np.finfo(dtype).eps
    )


def test_bias_grad_is_the_same_for_any_number_of_threads(rng, monkeypatch):
    monkeypatch.setattr(threads, "_SMALLEST", 100)
    dy = rng.standard_normal((4, 13, 31)).astype(np.float32)
    one = direct_weights.bias_grad(dy)
    for count in (2, 3, 20):
        np.testing.assert_array_equal(direct_weights.bias_grad(dy, count), one)


@pytest.mark.full
@pytest.mark.parametrize("target", ["avx512", "neon", "plain"])
def test_other_widths(target, tmp_path):
    environment = {**os.environ, "DEEPCONV_TARGET": target, "DEEPCONV_CACHE_DIR": str(tmp_path)}
    tests = ["-m", "pytest", "-q", "-x", "-k", "not other_widths and not measured", __file__]
    done = subprocess.run([sys.executable, *tests], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
