"""Winograd's gradient of the weights: every way to cut it up gives the definition's numbers, and the same ones."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deepconv import reference
from deepconv.engine import machine
from deepconv.engine.algorithms import winograd_weights
from deepconv.engine.algorithms.toom_cook import POINTS_4, toom_cook
from deepconv.engine.kernels import workspace as scratches
from deepconv.engine.problem import Problem
from deepconv.geometry import window
from tests.conftest import examples

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="Numba is not there")
ROOT = Path(__file__).parents[2]

GEOMETRIES = {
    # images, channels, image, filters, and the window's words
    "exact tiles": (1, 8, (6, 6), 24, {}),
    "one of everything": (1, 1, (3, 3), 1, {}),
    "one pixel, padded": (3, 2, (1, 1), 3, {"padding": 1}),
    "tails": (2, 3, (7, 9), 5, {"padding": 1}),
    "more than a panel": (2, 17, (15, 13), 51, {"padding": (1, 0)}),
    "wide": (1, 5, (4, 70), 9, {"padding": [(0, 2), (1, 0)]}),
    "high": (1, 5, (70, 4), 9, {"padding": [(2, 0), (0, 1)]}),
    "padding over kernel": (1, 2, (3, 4), 2, {"padding": (4, 5)}),
    "dilated": (2, 3, (17, 14), 7, {"dilation": (2, 3), "padding": (2, 3)}),
    "dilated over the output": (1, 2, (9, 23), 2, {"dilation": (4, 9)}),
    "many channels": (1, 130, (5, 5), 70, {"padding": 1}),
    "5x4": (3, 5, (16, 11), 9, {"kernel": (5, 4), "padding": 2}),
    "2x1": (2, 3, (6, 7), 5, {"kernel": (2, 1), "padding": 1}),
    "9x9": (2, 9, (20, 20), 30, {"kernel": 9, "padding": 4}),
    "7x3 dilated": (2, 9, (20, 16), 11, {"kernel": (7, 3), "padding": 4, "dilation": (1, 2)}),
}


def problem_of(batch, channels, image, filters, words, dtype=np.float64, **more):
    words = {"kernel": 3, **words}
    geometry = window("test", image, words.pop("kernel"), **words)
    return Problem("weight_grad", batch, channels, filters, image, geometry, 1, np.dtype(dtype), **more)


def operands(problem, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(s).astype(problem.dtype) for s in (problem.y_shape, problem.x_shape))


def truth(problem, dy, x):
    wide = dy.astype(np.float64), x.astype(np.float64), problem.weight_shape, problem.window, 1
    return reference.conv_weight_grad_by_taps(*wide)


def check(problem):
    assert winograd_weights.refuses(problem) is None
    dy, x = operands(problem)
    got, expected = winograd_weights.weight_grad(problem, dy, x), truth(problem, dy, x)
    assert got.dtype == problem.dtype
    size = np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(got, expected, rtol=0, atol=size * (4e-5 if problem.dtype == "f4" else 1e-13))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_named_geometries(name, dtype):
    check(problem_of(*GEOMETRIES[name], dtype))


@st.composite
def problems(draw):
    """Any that it serves, a few tiles large."""
    image, kernel, dilation, padding = (
        tuple(draw(st.integers(*limits)) for _ in range(2)) for limits in ((1, 20), (1, 7), (1, 3), (0, 4))
    )
    spans = [d * (k - 1) + 1 - 2 * p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    image = tuple(max(n, span, 1) for n, span in zip(image, spans, strict=True))
    words = {"kernel": kernel, "dilation": dilation, "padding": padding}
    batch, channels, filters = (draw(st.integers(1, most)) for most in (3, 20, 60))
    return problem_of(batch, channels, image, filters, words, draw(st.sampled_from(["f4", "f8"])))


@settings(max_examples=examples(40, full=1500))
@given(problem=problems())
def test_drawn_geometries(problem):
    assume(problem.window.taps > 1)
    check(problem)


@pytest.mark.parametrize(
    ("name", "batch"), [("tails", 70), ("many channels", 99), ("dilated", 40), ("9x9", 16)]
)
def test_any_number_of_threads_and_parts_gives_the_same_bits(name, batch, monkeypatch):
    monkeypatch.setattr(winograd_weights.threads, "worth", lambda threads, _: threads)
    sizes = (batch, *GEOMETRIES[name][1:])
    whole = problem_of(*sizes, np.float32)
    dy, x = operands(whole)
    expected = winograd_weights.weight_grad(whole, dy, x)
    parts, ways = set(), set()
    for threads in (1, 2, 3, 5):
        for share in (1.0, 0.8, 0.5, 0.0):
            limit = int(winograd_weights.workspace(whole) * share)
            problem = problem_of(*sizes, np.float32, threads=threads, workspace_limit=limit)
            plan = winograd_weights.plan(problem)
            parts.add(-(-plan.rows // plan.at_once))
            ways.add((len(plan.parts) > 2, plan.apart))
            np.testing.assert_array_equal(winograd_weights.weight_grad(problem, dy, x), expected)
    assert max(parts) > 1
    assert ways == {(True, True), (True, False)}


@pytest.mark.parametrize(("batch", "image"), [(2, (40, 37)), (9, (30, 31))])
def test_the_workspace_is_what_it_says(batch, image):
    import tracemalloc

    least = winograd_weights.workspace(problem_of(batch, 16, image, 32, {}, workspace_limit=0))
    for limit in (1 << 40, 4_000_000, 2_500_000, least):
        problem = problem_of(batch, 16, image, 32, {}, np.float64, workspace_limit=limit)
        assert winograd_weights.refuses(problem) is None
        need = winograd_weights.workspace(problem)
        assert need <= limit
        dy, x = operands(problem)
        expected = truth(problem, dy, x)
        winograd_weights.weight_grad(problem, dy, x)  # its kernels are loaded
        scratches.release()
        tracemalloc.start()
        got = winograd_weights.weight_grad(problem, dy, x)
        peak = tracemalloc.get_traced_memory()[1] - got.nbytes
        tracemalloc.stop()
        assert need * 0.95 - 20_000 <= peak <= need * 1.02 + 20_000
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)
    short = problem_of(batch, 16, image, 32, {}, workspace_limit=least - 1)
    assert f"the workspace limit is {least - 1:,}" in winograd_weights.refuses(short)


@pytest.mark.parametrize(
    ("words", "more", "reason"),
    [
        ({"stride": (1, 2)}, {}, "the stride is"),
        ({}, {"exact": True}, "exact"),
        ({}, {"dtype": np.int64}, "not in int64"),
    ],
)
def test_what_it_refuses(words, more, reason):
    assert reason in winograd_weights.refuses(problem_of(2, 3, (9, 9), 4, words, **more))


def test_it_refuses_groups_other_ranks_and_nothing():
    single = Problem("weight_grad", 1, 4, 4, (9, 9), window("test", (9, 9), 1), 1, np.dtype("f4"))
    assert "one cell" in winograd_weights.refuses(single)
    grouped = Problem("weight_grad", 1, 4, 4, (9, 9), window("test", (9, 9), 3), 2, np.dtype("f4"))
    assert "2 groups" in winograd_weights.refuses(grouped)
    empty = problem_of(0, 3, (8, 8), 4, {})
    assert winograd_weights.refuses(empty) == "there is nothing to compute"
    line = Problem("weight_grad", 1, 4, 4, (9,), window("test", (9,), 3), 1, np.dtype("f4"))
    assert "1 spatial axes, not two" in winograd_weights.refuses(line)


@pytest.mark.parametrize(
    "make",
    [
        np.asfortranarray,
        lambda a: np.ascontiguousarray(a[:, :, ::-1])[:, :, ::-1],
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    ],
    ids=["Fortran", "negative strides", "every second", "other byte order", "misaligned, read-only"],
)
def test_strange_memory_layouts(make):
    problem = problem_of(*GEOMETRIES["tails"], np.float32)
    dy, x = operands(problem)
    expected = winograd_weights.weight_grad(problem, dy, x)
    np.testing.assert_array_equal(winograd_weights.weight_grad(problem, make(dy), make(x)), expected)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("channel", [0, 10])
def test_a_nan_reaches_its_channel_or_filter_and_no_other(poison, channel):
    """Within those, it may reach more taps than the definition gives it: all nine of a tile mix."""
    problem = problem_of(2, 11, (9, 8), 27, {"padding": 1}, np.float32)
    for which in (0, 1):
        arrays = operands(problem)
        clean = winograd_weights.weight_grad(problem, *arrays)
        arrays[which][1, channel, 4, 5] = poison
        got = winograd_weights.weight_grad(problem, *arrays)
        with np.errstate(invalid="ignore"):
            spoiled = ~np.isfinite(truth(problem, *arrays))
        assert not np.isfinite(got[spoiled]).any()
        hit = np.zeros(got.shape, bool)
        hit[(slice(None), channel) if which else channel] = True
        np.testing.assert_array_equal(got[~hit], clean[~hit])


@pytest.mark.parametrize(("channels", "image"), [(16, 28), (64, 14), (3, 56)])
def test_rounding_is_small(channels, image):
    """Of unit-normal numbers, root mean square over the gradient's; a sum as the definition has it, some 3e-7."""
    problem = problem_of(4, channels, (image, image), 32, {"padding": 1}, np.float32)
    dy, x = operands(problem)
    expected = truth(problem, dy, x)
    error = winograd_weights.weight_grad(problem, dy, x) - expected
    assert np.sqrt(np.mean(error**2) / np.mean(expected**2)) < 1.2e-6


def test_the_matrices_are_toom_cooks():
    from deepconv.engine.kernels import winograd_weights as kernels

    class Exact(Fraction):
        """A number that takes the steps of a vector of the kernel."""

        def plus(self, factor, other):
            return Exact(self + Fraction(factor).limit_denominator(10**9) * other)

        def __rmul__(self, factor):
            return Exact(Fraction(self) * Fraction(factor).limit_denominator(10**9))

        def __add__(self, other):
            return Exact(Fraction(self) + Fraction(other))

        def __sub__(self, other):
            return Exact(Fraction(self) - Fraction(other))

    def matrix(row, size):
        columns = [row(*(Exact(i == j) for i in range(size))) for j in range(size)]
        return [[float(column[i]) for column in columns] for i in range(len(columns[0]))]

    exact = toom_cook(3, 4, POINTS_4)
    of_gradient, inverse = matrix(kernels.points_of_4, 4), matrix(kernels.inverse_3, 6)
    scale = [float(row[0] if i < 5 else 1) for i, row in enumerate(exact.of_filter)]  # what G is divided by
    assert exact.of_input == toom_cook(4, 3, POINTS_4).of_input  # whose transform is forward's, tested there
    np.testing.assert_allclose(
        np.array(of_gradient) * np.c_[scale], np.array(exact.of_filter, float), atol=1e-12
    )
    np.testing.assert_allclose(inverse, np.array(exact.inverse, float) * scale, atol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("target", ["avx512", "avx2", "neon", "plain"])
def test_other_widths(target, tmp_path):
    environment = {**os.environ, "DEEPCONV_TARGET": target, "DEEPCONV_CACHE_DIR": str(tmp_path)}
    selected = "named_geometries or same_bits or nan_reaches"
    command = [sys.executable, "-m", "pytest", "-q", "-k", selected, str(Path(__file__).relative_to(ROOT))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
