"""Convolutions with few channels in a group: tiles that aren't full, phases, bands, and memory left alone."""

import numpy as np
import pytest

from deepconv.engine import machine
from deepconv.engine.algorithms import grouped
from deepconv.engine.choice import choose
from deepconv.engine.kernels import threads
from deepconv.engine.problem import PASSES
from tests.engine.banded import check, operands, problem, run, same_places, truth

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="nothing is compiled here")


@pytest.fixture
def small_caches(monkeypatch):
    """Make caches so small that planes fall into bands."""
    monkeypatch.setattr(machine, "caches", lambda: machine.Caches(512, 1024, 1 << 20))
    for cached in (grouped._form, grouped._scratch):
        cached.cache_clear()
    yield
    for cached in (grouped._form, grouped._scratch):
        cached.cache_clear()


@pytest.mark.parametrize("filters", range(1, 10))
def test_any_number_of_filters_in_a_group(filters):
    for channels in (1, 2, 3):
        check("grouped", (2, 2 * channels, 6, 9), (2 * filters, channels, 3, 3), 2, padding=1)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_every_length(stride, dtype):
    for width in range(1, 36, 1 + stride):
        shapes = (1, 4, 1 + width % 5, width), (6, 2, 3, 3)
        check("grouped", *shapes, 2, dtype, stride=stride, padding=1)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ((1, 1), {}),
        ((3, 3), {"padding": 1, "dilation": 2}),
        ((3, 3), {"padding": 5}),
        ((5, 4), {"padding": "same", "stride": (2, 3)}),
        ((7, 7), {"padding": 3, "stride": 2}),
        ((2, 1), {"stride": (4, 3)}),
        ((2, 3), {"padding": [(0, 3), (9, 2)], "dilation": 3, "stride": 2}),
    ],
    ids=str,
)
def test_kernels_of_every_kind(kernel, words):
    check("grouped", (2, 6, 13, 17), (10, 3, *kernel), 2, **words)


def test_first_layers():
    check("grouped", (2, 3, 24, 25), (16, 3, 7, 7), 1, np.float32, stride=2, padding=3)
    check("grouped", (3, 1, 28, 28), (10, 1, 5, 5), 1, np.float32)


def test_one_axis_is_one_row():
    check("grouped", (2, 6, 41), (4, 3, 5), 2, padding=2, stride=2)


@pytest.mark.parametrize("words", [{"padding": 2}, {"padding": 2, "stride": 2}], ids=str)
def test_bands_of_a_plane_give_the_same(small_caches, words):
    check("grouped", (2, 4, 53, 19), (6, 2, 5, 5), 2, **words)
    assert grouped._form(problem("forward", (2, 4, 53, 19), (6, 2, 5, 5), 2, **words)).bands > 1


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_arrives_where_it_should(which, bad):
    for place in [(0, 0, 0, 0), (1, 1, 4, 10), (0, 0, 8, 16), (0, 1, 8, 0)]:
        p = problem(which, (2, 4, 9, 17), (6, 2, 3, 3), 2, padding=1)
        for i in {"forward": (0, 1), "input_grad": (2,), "weight_grad": (0, 2)}[which]:
            arrays = operands(p)
            arrays[i][tuple(min(a, n - 1) for a, n in zip(place, arrays[i].shape, strict=True))] = bad
            same_places("grouped", p, *arrays)


@pytest.mark.parametrize("filters", [4, 5])
def test_bias_and_relu_are_folded(filters):
    p = problem("forward", (2, 6, 11, 10), (2 * filters, 3, 3, 3), 2, bias=True, relu=True, padding=1)
    x, w, dy = operands(p)
    bias = np.linspace(-2, 2, 2 * filters)
    expected = np.maximum(truth(p, x, w, dy) + bias[:, None, None], 0)
    np.testing.assert_allclose(run("grouped", p, x, w, dy, bias), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("which", PASSES)
def test_any_number_of_threads_gives_the_same_bits(which, monkeypatch, small_caches):
    monkeypatch.setattr(threads, "_SMALLEST", 1)
    shapes = (3, 4, 40, 18), (10, 2, 3, 3), 2
    p = [problem(which, *shapes, np.float32, padding=1, threads=n) for n in (1, 2, 3)]
    arrays = operands(p[0])
    first, *others = (run("grouped", one, *arrays) for one in p)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_nothing_is_written_beside_the_result():
    for width in (1, 3, 7, 8, 9, 15, 17):
        for which in ("forward", "input_grad"):
            p = problem(which, (1, 4, 5, width), (6, 2, 3, 3), 2, padding=1)
            x, w, dy = operands(p)
            shape = p.y_shape if which == "forward" else p.x_shape
            size = int(np.prod(shape))
            around = np.full(size + 128, 7.0)
            result = around[64 : 64 + size].reshape(shape)
            grouped._convolve(p, x if which == "forward" else dy, grouped.prepare(p, w), None, result)
            assert (around[:64] == 7).all()
            assert (around[64 + size :] == 7).all()
            np.testing.assert_allclose(result, truth(p, x, w, dy), rtol=1e-12, atol=1e-12)


def test_an_empty_batch():
    check("grouped", (0, 4, 5, 4), (6, 2, 3, 3), 2)


@pytest.mark.parametrize("which", PASSES)
def test_the_limit_is_kept(which):
    shapes = (2, 4, 30, 30), (4, 2, 3, 3), 2
    need = grouped.workspace(problem(which, *shapes))
    assert grouped.refuses(problem(which, *shapes, workspace_limit=need)) is None
    with pytest.raises(ValueError, match=f"it needs {need:,} bytes and the workspace limit is {need - 1:,}"):
        choose(problem(which, *shapes, workspace_limit=need - 1), "grouped")


def test_many_channels_are_refused():
    with pytest.raises(ValueError, match="there are 17 channels in a group, more than 16"):
        choose(problem("forward", (1, 17, 4, 4), (2, 17, 3, 3), 1), "grouped")
