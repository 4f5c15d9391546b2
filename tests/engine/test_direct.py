"""Direct convolution: tails, threads, limits, what arrives where, and nothing touched outside the operands."""

import numpy as np
import pytest

from deepconv import reference
from deepconv.engine import machine
from deepconv.engine.choice import choose
from deepconv.engine.kernels import memory, threads
from deepconv.engine.problem import Problem
from deepconv.geometry import window

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="nothing is compiled here")


def problem(which, x_shape, w_shape, dtype=np.float32, groups=1, bias=False, relu=False, **more):
    limits = {k: more.pop(k) for k in ("threads", "workspace_limit") if k in more}
    w = window("conv", x_shape[2:], w_shape[2:], **more)
    return Problem(
        which,
        x_shape[0],
        x_shape[1],
        w_shape[0],
        x_shape[2:],
        w,
        groups,
        np.dtype(dtype),
        bias,
        relu,
        **limits,
    )


def data(p, rng, dtype=np.float64):
    return tuple(rng.standard_normal(s).astype(dtype) for s in (p.x_shape, p.weight_shape, p.y_shape))


def truth(p, x, w, dy):
    if p.which == "forward":
        return reference.conv_by_taps(x, w, p.window, p.groups)
    return reference.conv_input_grad_by_taps(dy, w, p.x_shape, p.window, p.groups)


def run(p, x, w, dy, bias=None):
    plan = choose(p, "direct")
    assert plan.algorithm.name == "direct"
    prepared = plan.prepare(w)
    return plan.run(x, prepared, bias) if p.which == "forward" else plan.run(dy, prepared)


def check(p, rng, tolerance=None):
    x, w, dy = data(p, rng)
    got = run(p, *(a.astype(p.dtype) for a in (x, w, dy)))
    bound = tolerance or (1e-11 if p.dtype == np.float64 else 1e-4)
    np.testing.assert_allclose(got, truth(p, x, w, dy), rtol=bound, atol=bound)


@pytest.mark.parametrize("which", ["forward", "input_grad"])
def test_tails_of_every_length(which, rng):
    """Every count of places up to two panels, and of filters up to two tiles and one."""
    for places in (*range(1, 2 * 96 + 2, 5), 23, 24, 25, 47, 48, 49):
        check(problem(which, (1, 2, places + 2), (3, 2, 3), padding=(0,)), rng)
    for filters in range(1, 18):
        check(problem(which, (2, 3, 5, 6), (filters, 3, 2, 2), padding=1), rng)
        check(problem(which, (2, filters, 5, 6), (3, filters, 1, 1)), rng)


def test_a_part_may_have_no_place_of_a_phase(rng, monkeypatch):
    """Of rows 0 to 7 read at every third, the second thread's strip has rows of two phases only."""
    monkeypatch.setattr(threads, "_SMALLEST", 1)
    for height in range(6, 12):
        words = {"stride": (3, 2), "padding": ((0, 1), (1, 1)), "threads": 2}
        check(problem("input_grad", (1, 2, height, 7), (2, 2, 3, 3), **words), rng)


@pytest.mark.parametrize("which", ["forward", "input_grad"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_widths_and_strides(which, stride, rng):
    for width in range(3, 40):
        check(problem(which, (2, 2, 3, width), (2, 2, 3, 3), stride=stride, padding=1), rng)


@pytest.mark.parametrize("which", ["forward", "input_grad"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_deep_products_in_pieces(which, dtype, rng):
    """More rows than a panel has, several passes over filters, strips and blocks of images."""
    check(
        problem(which, (3, 150, 9, 7), (37, 150, 3, 3), dtype, padding=1),
        rng,
        1e-3 if dtype == np.float32 else None,
    )
    check(problem(which, (2, 600, 5, 5), (530, 600, 1, 1), dtype), rng, 1e-3 if dtype == np.float32 else None)
    check(
        problem(which, (1, 40, 90, 88), (5, 40, 3, 3), dtype, padding=1),
        rng,
        1e-3 if dtype == np.float32 else None,
    )
    check(problem(which, (2, 3, 70, 9, 8), (5, 3, 2, 3, 3), dtype, padding=1, stride=(1, 2, 1)), rng)
    check(problem(which, (1, 5, 20_000), (6, 5, 7), dtype, padding=3, dilation=2), rng)


@pytest.mark.parametrize("which", ["forward", "input_grad"])
def test_the_same_bits_for_any_number_of_threads(which, rng):
    shapes = [((5, 24, 30, 28), (40, 24, 3, 3)), ((1, 300, 9, 9), (200, 300, 3, 3))]
    for x_shape, w_shape in shapes:
        one = problem(which, x_shape, w_shape, padding=1)
        x, w, dy = data(one, rng, np.float32)
        expected = run(one, x, w, dy)
        for count in (2, 3):
            more = problem(which, x_shape, w_shape, padding=1, threads=count)
            np.testing.assert_array_equal(run(more, x, w, dy), expected)


def test_bias_and_relu_are_folded(rng):
    for shape, kernel in (
        ((3, 4, 7, 7), (6, 4, 3, 3)),
        ((1, 2, 40, 24), (8, 2, 1, 1)),
        ((2, 3, 9, 9), (5, 3, 2, 2)),
    ):
        p = problem("forward", shape, kernel, bias=True, relu=True)
        x, w, dy = data(p, rng)
        bias = rng.standard_normal(len(w))
        expected = np.maximum(truth(p, x, w, dy) + bias.reshape(-1, 1, 1), 0)
        got = run(p, *(a.astype(np.float32) for a in (x, w, dy)), bias.astype(np.float32))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_not_finite_arrives_where_the_definition_puts_it(bad, stride, rng):
    p = problem("forward", (2, 3, 9, 10), (4, 3, 3, 3), relu=True, padding=1, stride=stride)
    x, w, dy = data(p, rng)
    x[1, 2, 4, 5] = bad
    with np.errstate(invalid="ignore"):
        expected = np.maximum(truth(p, x, w, dy), 0)
    got = run(p, *(a.astype(np.float32) for a in (x, w, dy)))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(expected))
    w[0, 0, 0, 0] = bad  # padding's zeros are multiplied too
    back = problem("forward", (2, 3, 9, 10), (4, 3, 3, 3), padding=1, stride=stride)
    got = run(back, *(a.astype(np.float32) for a in (x, w, dy)))
    assert np.isnan(got[:, 0, 0]).all()


@pytest.mark.parametrize("which", ["forward", "input_grad"])
def test_nothing_is_touched_outside(which, rng):
    """Operands and result stand between guards: NaN before and behind them never gets into a sum."""
    for x_shape, w_shape, words in [
        ((1, 3, 5, 7), (5, 3, 1, 1), {}),
        ((2, 2, 6, 5), (3, 2, 3, 3), {}),
        ((2, 2, 7, 9), (3, 2, 3, 3), {"stride": 2, "padding": 1}),
        ((3, 4, 1, 1), (5, 4, 1, 1), {}),
    ]:
        p = problem(which, x_shape, w_shape, **words)
        x, w, dy = data(p, rng, np.float32)
        expected = run(p, x, w, dy)
        guarded = []
        for a in (x, w, dy):
            room = np.full(a.size + 200, np.nan, np.float32)
            room[101 : 101 + a.size] = a.ravel()
            guarded.append(room[101 : 101 + a.size].reshape(a.shape))
        assert memory.plain(guarded[0], p.dtype) is guarded[0]
        np.testing.assert_array_equal(run(p, *guarded), expected)


def test_the_workspace_limit_is_kept(rng):
    whole = problem("forward", (8, 16, 40, 40), (8, 16, 3, 3), padding=1)
    need = choose(whole, "direct").workspace
    least = None
    for share in (2, 4, 8):
        p = problem("forward", (8, 16, 40, 40), (8, 16, 3, 3), padding=1, workspace_limit=need // share)
        try:
            plan = choose(p, "direct")
        except ValueError as refusal:
            assert "workspace limit is" in str(refusal)  # noqa: PT017
            least = share
            continue
        assert plan.workspace <= need // share
        check(p, rng)
    assert least != 2


def test_an_empty_batch_and_a_stride_that_skips(rng):
    for which in ("forward", "input_grad"):
        p = problem(which, (0, 3, 5, 5), (2, 3, 3, 3))
        assert run(p, *data(p, rng, np.float32)).shape == (p.y_shape if which == "forward" else p.x_shape)
        check(problem(which, (2, 3, 9, 9), (4, 3, 1, 1), stride=3), rng)
        check(problem(which, (2, 3, 9, 9), (4, 3, 2, 2), stride=4, dilation=2), rng)
