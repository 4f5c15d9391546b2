"""Winograd's convolution: its transforms in fractions, its tails, its threads, its limits, what NaN reaches."""

from fractions import Fraction

import numpy as np
import pytest

from deepconv import reference
from deepconv.engine import machine
from deepconv.engine.algorithms import winograd_blocks
from deepconv.engine.algorithms.toom_cook import POINTS_4, toom_cook
from deepconv.engine.choice import choose
from deepconv.engine.kernels import threads, workspace
from deepconv.engine.problem import Problem
from deepconv.geometry import window

pytestmark = pytest.mark.skipif(
    machine.why_not_compiled() is not None, reason="compiled algorithms are missing"
)


class Exact:
    """A number that the transforms take for a vector, in fractions."""

    def __init__(self, value):
        self.value = Fraction(value)

    def __add__(self, other):
        return Exact(self.value + other.value)

    def __sub__(self, other):
        return Exact(self.value - other.value)

    def __rmul__(self, factor):
        return Exact(Fraction(factor) * self.value)

    def plus(self, factor, other):
        return Exact(self.value + Fraction(factor) * other.value)


def matrix_of(function, size):
    """The matrix of a linear function, by what it makes of the unit vectors."""
    columns = [function(*(Exact(i == j) for i in range(size))) for j in range(size)]
    return [[float(column[i].value) for column in columns] for i in range(len(columns[0]))]


def test_transforms_are_toom_cooks_matrices():
    from deepconv.engine.kernels import winograd_transforms

    f = toom_cook(4, 3, POINTS_4)
    assert matrix_of(winograd_transforms.input_6, 6) == [[float(a) for a in row] for row in f.of_input]
    assert matrix_of(winograd_transforms.inverse_4, 6) == [[float(a) for a in row] for row in f.inverse]
    of_filter = matrix_of(winograd_transforms.filter_6, 3)  # thirds: rounded to float64, once or twice
    np.testing.assert_allclose(
        of_filter, [[float(a) for a in row] for row in f.of_filter], rtol=1e-15, atol=0
    )


def problem(which, x_shape, filters, kernel=3, *, padding=1, dilation=1, dtype=np.float64, **more):
    n, c, *image = x_shape
    w = window("conv", tuple(image), kernel, padding=padding, dilation=dilation)
    return Problem(which, n, c, filters, tuple(image), w, 1, np.dtype(dtype), **more)


def operands(p, rng):
    """x, weight, dy and bias of a problem."""
    shapes = (p.x_shape, p.weight_shape, p.y_shape, (p.out_channels,))
    return [rng.standard_normal(shape).astype(p.dtype) for shape in shapes]


def run(p, x, w, dy, bias=None):
    plan = choose(p, "winograd")
    assert plan.algorithm.name == "winograd"
    if p.which == "forward":
        return plan.run(x, plan.prepare(w), bias)
    return plan.run(dy, plan.prepare(w))


def truth(p, x, w, dy, bias=None):
    x, w, dy = (a.astype(np.float64) for a in (x, w, dy))
    if p.which == "input_grad":
        return reference.conv_input_grad_by_taps(dy, w, p.x_shape, p.window, 1)
    y = reference.conv_by_taps(x, w, p.window, 1)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


GEOMETRIES = {
    "one pixel": ((1, 1, 1, 1), 1, 3, {}),
    "one tile without padding": ((1, 1, 3, 3), 1, 3, {"padding": 0}),
    "exact tiles": ((2, 16, 8, 8), 32, 3, {}),
    "tails everywhere": ((3, 5, 7, 9), 11, 3, {"padding": (0, 1)}),
    "rows of one tile": ((2, 3, 41, 2), 5, 3, {}),
    "columns of one tile": ((2, 9, 2, 43), 17, 3, {}),
    "more padding than the kernel": ((2, 8, 5, 6), 3, 3, {"padding": (5, 4)}),
    "padding of one side": ((1, 4, 9, 10), 6, 3, {"padding": ((0, 3), (2, 0))}),
    "dilated": ((2, 9, 13, 27), 17, 3, {"padding": 2, "dilation": (1, 2)}),
    "dilated by more than the image": ((1, 8, 9, 7), 8, 3, {"padding": 7, "dilation": (5, 6)}),
    "5x5": ((2, 12, 17, 15), 9, 5, {"padding": 2}),
    "7x4, dilated": ((2, 9, 30, 31), 20, (7, 4), {"padding": 4, "dilation": (2, 1)}),
    "9x9": ((1, 10, 16, 19), 8, 9, {"padding": 4}),
    "smaller kernel": ((2, 8, 11, 12), 7, (2, 1), {"padding": 0}),
    "many channels of few pixels": ((1, 40, 7, 7), 70, 3, {}),
    "a row in two blocks": ((1, 3, 5, 205), 4, 3, {}),
    "many tiles": ((2, 8, 60, 58), 9, 3, {}),
}


@pytest.mark.parametrize("which", ["forward", "input_grad"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_geometries(which, name, rng):
    x_shape, filters, kernel, words = GEOMETRIES[name]
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 3e-5)):
        p = problem(which, x_shape, filters, kernel, dtype=dtype, **words)
        x, w, dy, bias = operands(p, rng)
        bias = bias if which == "forward" else None
        got = run(p, x, w, dy, bias)
        expected = truth(p, x, w, dy, bias)
        assert got.shape == expected.shape
        assert got.dtype == dtype
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("channels", [1, 2, 7, 8, 9, 15, 17])
@pytest.mark.parametrize("filters", [1, 3, 8, 16, 18])
def test_tails_of_channels_and_filters(channels, filters, rng):
    for which in ("forward", "input_grad"):
        p = problem(which, (1, channels, 6, 11), filters)
        x, w, dy, _ = operands(p, rng)
        np.testing.assert_allclose(run(p, x, w, dy), truth(p, x, w, dy), rtol=0, atol=1e-13 * 200)


def test_bias_and_relu_are_folded_in(rng):
    p = problem("forward", (2, 9, 10, 13), 19, bias=True, relu=True)
    x, w, dy, bias = operands(p, rng)
    expected = np.maximum(truth(p, x, w, dy, bias), 0)
    np.testing.assert_allclose(run(p, x, w, dy, bias), expected, rtol=0, atol=1e-12)
    assert (expected == 0).any()
    x[...], bias[::2] = 0, -1
    assert np.array_equal(
        run(p, x, w, dy, bias), np.broadcast_to(np.maximum(bias, 0)[:, None, None], p.y_shape)
    )


@pytest.mark.parametrize("which", ["forward", "input_grad"])
@pytest.mark.parametrize(
    ("x_shape", "filters", "wide"), [((5, 16, 20, 27), 24, False), ((3, 48, 7, 7), 96, True)]
)
def test_any_number_of_threads_gives_the_same_bits(which, x_shape, filters, wide, rng, monkeypatch):
    monkeypatch.setattr(threads, "_SMALLEST", 1)
    p = problem(which, x_shape, filters, dtype=np.float32)
    assert winograd_blocks.cut(p).wide == wide
    x, w, dy, _ = operands(p, rng)
    one = run(p, x, w, dy)
    for count in (2, 3):
        more = problem(which, x_shape, filters, dtype=np.float32, threads=count)
        assert np.array_equal(run(more, x, w, dy), one)


@pytest.mark.parametrize("dilation", [1, 2])
def test_nan_reaches_three_pixels_further(dilation, rng):
    """NaN where the definition has it, and beyond that no further than what shares a tile, 3 pixels."""
    d = dilation
    p = problem("forward", (2, 9, 37, 34), 10, padding=d, dilation=d, dtype=np.float32)
    x, w, dy, _ = operands(p, rng)
    clean = run(p, x, w, dy)
    for row, column, value in ((0, 0, np.nan), (17, 20, np.inf), (36, 33, -np.inf)):
        spoilt = x.copy()
        spoilt[1, 4, row, column] = value
        got = run(p, spoilt, w, dy)
        rows, columns = np.abs(np.arange(37) - row)[:, None], np.abs(np.arange(34) - column)[None, :]
        on_grid = (rows % d == 0) & (columns % d == 0)
        defined = on_grid & (rows <= d) & (columns <= d)
        near = on_grid & (rows <= 4 * d) & (columns <= 4 * d)
        assert not np.isfinite(got[1][:, defined]).any()
        np.testing.assert_array_equal(got[1][:, ~near], clean[1][:, ~near])
        np.testing.assert_array_equal(got[0], clean[0])


def test_nan_in_the_weight_and_in_the_bias_reaches_its_filter_alone(rng):
    p = problem("forward", (1, 9, 10, 11), 20, dtype=np.float32, relu=True)
    x, w, dy, bias = operands(p, rng)
    clean = run(p, x, w, dy, bias)
    w[3, 5, 1, 2], bias[18] = np.nan, np.nan
    got = run(p, x, w, dy, bias)
    others = [k for k in range(20) if k not in (3, 18)]
    assert np.isnan(got[:, [3, 18]]).all()
    np.testing.assert_array_equal(got[:, others], clean[:, others])


@pytest.mark.parametrize("which", ["forward", "input_grad"])
def test_what_lies_around_the_operands_is_not_read(which, rng):
    p = problem(which, (2, 3, 5, 9), 5, dtype=np.float32)
    arrays = operands(p, rng)
    bias = arrays[3] if which == "forward" else None
    expected = run(p, *arrays[:3], bias)
    inside = []
    for a in arrays:
        room = np.full(a.size + 133, np.nan, p.dtype)
        room[66 : 66 + a.size] = a.ravel()
        inside.append(room[66 : 66 + a.size].reshape(a.shape))
    bias = inside[3] if which == "forward" else None
    np.testing.assert_array_equal(run(p, *inside[:3], bias), expected)


@pytest.mark.parametrize("which", ["forward", "input_grad"])
@pytest.mark.parametrize(
    ("x_shape", "filters", "kernel"),
    [((2, 24, 30, 60), 40, 3), ((1, 40, 9, 9), 64, 3), ((1, 60, 20, 20), 8, 9)],
)
def test_the_workspace_limit_is_kept(which, x_shape, filters, kernel, rng):
    """Less and less memory gives the same numbers from smaller blocks, until the algorithm says what it needs."""
    import tracemalloc

    best = problem(which, x_shape, filters, kernel, padding=kernel // 2)
    x, w, dy, _ = operands(best, rng)
    expected = truth(best, x, w, dy)
    limit, cuts = choose(best, "winograd").workspace, set()
    while True:
        p = problem(which, x_shape, filters, kernel, padding=kernel // 2, workspace_limit=limit)
        try:
            plan = choose(p, "winograd")
        except ValueError as error:
            assert f"the workspace limit is {limit:,}" in str(error)  # noqa: PT017
            break
        assert plan.workspace <= limit
        cuts.add(winograd_blocks.cut(p))
        run(p, x, w, dy)  # compiled, if it wasn't
        workspace.release()
        tracemalloc.start()
        got = run(p, x, w, dy)
        peak = tracemalloc.get_traced_memory()[1] - got.nbytes
        tracemalloc.stop()
        assert plan.workspace * 0.5 <= peak <= plan.workspace + 20_000
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)
        limit = plan.workspace - 1
    assert len(cuts) >= 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"window": window("conv", (9, 9), 3, stride=(1, 2))}, "the stride is"),
        ({"window": window("conv", (9,), 3), "image": (9,)}, "there are 1 spatial axes"),
        ({"groups": 2}, "there are 2 groups"),
        ({"exact": True}, "must be exact"),
        ({"dtype": np.dtype(np.int64)}, "not in int64"),
        ({"batch": 0}, "nothing to compute"),
    ],
)
def test_what_it_refuses(words, why):
    fields = {
        "batch": 2,
        "image": (9, 9),
        "window": window("conv", (9, 9), 3),
        "groups": 1,
        "dtype": np.dtype("f4"),
    }
    fields |= words
    p = Problem("forward", in_channels=4, out_channels=4, **fields)
    with pytest.raises(ValueError, match=why):
        choose(p, "winograd")
    assert choose(p).algorithm.name != "winograd"


@pytest.mark.parametrize("which", ["forward", "input_grad"])
@pytest.mark.parametrize(
    ("channels", "kernel", "most"),
    [(16, 3, 7e-7), (64, 3, 1.1e-6), (256, 3, 2e-6), (48, 5, 1.3e-6), (32, 9, 1.2e-6)],
)
def test_error(which, channels, kernel, most, rng):
    """Root mean square over the output's, on unit-normal data, some 1.4 times what was measured on Zen 3."""
    p = problem(which, (1, channels, 20, 20), channels, kernel, padding=kernel // 2, dtype=np.float32)
    x, w, dy, _ = operands(p, rng)
    expected = truth(p, x, w, dy)
    assert np.sqrt(np.mean((run(p, x, w, dy) - expected) ** 2) / np.mean(expected**2)) < most
