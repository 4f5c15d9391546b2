"""Depthwise convolutions: every length of a row, each way to compute a plane, bands, and memory left alone."""

import numpy as np
import pytest

from deepconv.engine import machine
from deepconv.engine.algorithms import depthwise
from deepconv.engine.choice import choose
from deepconv.engine.kernels import threads
from deepconv.engine.problem import PASSES, Problem
from deepconv.geometry import window
from tests.engine.banded import check, operands, problem, run, same_places, truth

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="nothing is compiled here")


@pytest.fixture
def small_caches(monkeypatch):
    """Make caches so small that planes fall into bands."""
    monkeypatch.setattr(machine, "caches", lambda: machine.Caches(512, 1024, 1 << 20))
    for cached in (depthwise._form, depthwise._scratch):
        cached.cache_clear()
    yield
    for cached in (depthwise._form, depthwise._scratch):
        cached.cache_clear()


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_every_length(stride, dtype):
    for width in range(1, 36):
        check("depthwise", (2, 2, 1 + width % 10, width), (2, 1, 3, 3), 2, dtype, stride=stride, padding=1)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ((1, 1), {}),
        ((3, 3), {"padding": 1}),
        ((3, 3), {"padding": 4}),
        ((3, 3), {"dilation": (1, 2)}),
        ((3, 3), {"dilation": (2, 1), "padding": "same"}),
        ((5, 5), {"padding": 2}),
        ((5, 5), {"padding": 2, "stride": (2, 1)}),
        ((4, 1), {"padding": (2, 0)}),
        ((4, 6), {"dilation": (1, 3), "padding": [(0, 3), (9, 2)]}),
        ((7, 7), {"padding": 3}),
        ((7, 7), {"padding": 3, "stride": 2}),
        ((2, 9), {"padding": (0, 8), "stride": (3, 4)}),
        ((11, 3), {"padding": 5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("multiplier", [1, 3])
def test_kernels_of_every_kind(kernel, words, multiplier):
    for image in [(13, 17), (21, 40)]:
        check("depthwise", (2, 3, *image), (3 * multiplier, 1, *kernel), 3, **words)


def test_one_axis_is_one_row():
    check("depthwise", (2, 3, 41), (6, 1, 5), 3, padding=2, stride=2)


def test_three_axes_are_refused():
    p = problem("forward", (1, 2, 4, 4, 4), (2, 1, 3, 3, 3), 2)
    with pytest.raises(ValueError, match="there are 3 axes, more than two"):
        choose(p, "depthwise")


@pytest.mark.parametrize(
    "words", [{"padding": 2}, {"padding": 2, "stride": 2}, {"padding": 4, "dilation": 2}], ids=str
)
def test_bands_of_a_plane_give_the_same(small_caches, words):
    check("depthwise", (1, 2, 53, 19), (4, 1, 5, 5), 2, **words)
    p = problem("forward", (1, 2, 53, 19), (4, 1, 5, 5), 2, **words)
    assert depthwise._form(p).bands > 1


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_arrives_where_it_should(which, bad):
    for stride in (1, 2):
        for place in [(0, 0, 0, 0), (0, 1, 4, 10), (0, 0, 8, 16), (0, 1, 8, 0)]:
            p = problem(which, (2, 2, 9, 17), (2, 1, 3, 3), 2, padding=1, stride=stride)
            for i in range(3):
                arrays = operands(p)
                at = tuple(min(a, n - 1) for a, n in zip(place, arrays[i].shape, strict=True))
                arrays[i][at] = bad
                used = {"forward": (0, 1), "input_grad": (2,), "weight_grad": (0, 2)}[which]
                if i in used and not np.isfinite(truth(p, *arrays)).all():
                    same_places("depthwise", p, *arrays)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_bias_and_relu_are_folded(kernel, stride):
    shapes = (2, 3, 11, 10), (6, 1, kernel, kernel), 3
    p = problem("forward", *shapes, bias=True, relu=True, padding=1, stride=stride)
    x, w, dy = operands(p)
    bias = np.linspace(-2, 2, 6)
    expected = np.maximum(truth(p, x, w, dy) + bias[:, None, None], 0)
    np.testing.assert_allclose(run("depthwise", p, x, w, dy, bias), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("which", PASSES)
def test_any_number_of_threads_gives_the_same_bits(which, monkeypatch):
    monkeypatch.setattr(threads, "_SMALLEST", 1)
    for kernel in (3, 5):
        shapes = (3, 5, 13, 18), (5, 1, kernel, kernel), 5
        p = [problem(which, *shapes, np.float32, padding=1, threads=n) for n in (1, 2, 3)]
        arrays = operands(p[0])
        first, *others = (run("depthwise", one, *arrays) for one in p)
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_nothing_is_written_beside_the_result():
    """Each plane's last vectors end with it: what stands around the result is left alone."""
    for width in (1, 3, 7, 8, 9, 15, 17):
        for stride in (1, 2):
            for which in ("forward", "input_grad"):
                p = problem(which, (1, 2, 5, width), (2, 1, 3, 3), 2, padding=1, stride=stride)
                x, w, dy = operands(p)
                shape = p.y_shape if which == "forward" else p.x_shape
                size = int(np.prod(shape))
                around = np.full(size + 128, 7.0)
                result = around[64 : 64 + size].reshape(shape)
                depthwise._convolve(p, x if which == "forward" else dy, depthwise.prepare(p, w), None, result)
                assert (around[:64] == 7).all()
                assert (around[64 + size :] == 7).all()
                np.testing.assert_allclose(result, truth(p, x, w, dy), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("which", PASSES)
def test_operands_of_any_memory_layout(which):
    p = problem(which, (2, 4, 9, 13), (4, 1, 3, 3), 4, np.float32, padding=1)
    arrays = operands(p)
    expected = run("depthwise", p, *arrays)

    def misaligned(a):
        raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(np.uint8)
        copy = np.frombuffer(raw.data, np.uint8).view(a.dtype).reshape(a.shape)
        copy[...] = a
        return copy

    def locked(a):
        copy = a.copy()
        copy.flags.writeable = False
        return copy

    for make in (misaligned, locked, lambda a: a[::-1].copy()[::-1], lambda a: a.astype(">f4")):
        np.testing.assert_array_equal(run("depthwise", p, *map(make, arrays)), expected)


def test_an_empty_batch():
    check("depthwise", (0, 2, 5, 4), (2, 1, 3, 3), 2)


@pytest.mark.parametrize("which", PASSES)
def test_the_limit_is_kept(which):
    shapes = (2, 4, 30, 30), (4, 1, 3, 3), 4
    need = depthwise.workspace(problem(which, *shapes))
    assert depthwise.refuses(problem(which, *shapes, workspace_limit=need)) is None
    with pytest.raises(ValueError, match=f"it needs {need:,} bytes and the workspace limit is {need - 1:,}"):
        choose(problem(which, *shapes, workspace_limit=need - 1), "depthwise")


def test_it_is_chosen_for_layers_of_networks():
    for which in PASSES:
        for channels, size, kernel, stride in [
            (144, 56, 3, 1),
            (144, 56, 3, 2),
            (672, 14, 5, 1),
            (96, 56, 7, 1),
        ]:
            p = problem(
                which, (4, channels, size, size), (channels, 1, kernel, kernel), channels, np.float32,
                padding=kernel // 2, stride=stride,
            )  # fmt: skip
            assert choose(p).algorithm.name == "depthwise"


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_read_where_they_are(stride, dtype):
    """Most planes of a batch have others on both sides, of which nothing may be seen, NaN least of all."""
    for width in [1, 2, 3, 6, 8, 15, 16, 17, 18, 31, 34, 35, 37]:
        for padding in (1, [(1, 0), (1, 1)], [(0, 2), (2, 0)]):
            shapes = (7, 9, 3 + width % 6, width + 1), (9, 1, 3, 3), 9
            check("depthwise", *shapes, dtype, stride=stride, padding=padding)
    for which in PASSES:
        p = problem(which, (5, 9, 7, 19), (9, 1, 3, 3), 9, dtype, stride=stride, padding=1)
        x, w, dy = operands(p)
        expected = run("depthwise", p, x, w, dy)
        x[:, 4], dy[:, 4] = np.nan, np.nan
        got = run("depthwise", p, x, w, dy)
        rest = np.arange(9) != 4
        assert not np.isfinite(got[4] if which == "weight_grad" else got[:, 4]).any()
        if which == "weight_grad":
            np.testing.assert_array_equal(got[rest], expected[rest])
        else:
            np.testing.assert_array_equal(got[:, rest], expected[:, rest])


@pytest.mark.parametrize("which", PASSES)
def test_what_is_not_finite_arrives_from_planes_among_others(which):
    for stride in (1, 2):
        for place in [(2, 4, 0, 0), (2, 4, 4, 10), (2, 4, 7, 17), (2, 4, 8, 0), (2, 4, 0, 18)]:
            p = problem(which, (5, 9, 9, 19), (9, 1, 3, 3), 9, padding=1, stride=stride)
            for i in (0, 2):
                arrays = operands(p)
                at = tuple(min(a, n - 1) for a, n in zip(place, arrays[i].shape, strict=True))
                arrays[i][at] = np.inf
                used = {"forward": (0,), "input_grad": (2,), "weight_grad": (0, 2)}[which]
                if i in used and not np.isfinite(truth(p, *arrays)).all():
                    same_places("depthwise", p, *arrays)


@pytest.mark.parametrize("which", PASSES)
def test_strides_give_the_same_bits_for_any_number_of_threads(which, monkeypatch):
    monkeypatch.setattr(threads, "_SMALLEST", 1)
    for stride in (1, 2):
        shapes = (5, 7, 13, 19), (7, 1, 3, 3), 7
        p = [problem(which, *shapes, np.float32, padding=1, stride=stride, threads=n) for n in (1, 2, 3)]
        arrays = operands(p[0])
        first, *others = (run("depthwise", one, *arrays) for one in p)
        for other in others:
            np.testing.assert_array_equal(first, other)


# µs of (images, channels, pixels, cells) on Zen 3, one thread, float32.
LONG_KERNELS = {
    (1, 16, 1000, 31, "forward"): {"depthwise": 155, "grouped": 100, "direct": 134},
    (1, 16, 1000, 31, "input_grad"): {"depthwise": 150, "grouped": 95, "direct": 139},
    (1, 16, 1000, 31, "weight_grad"): {"depthwise": 50, "grouped": 105, "direct": 367},
    (4, 32, 2048, 9, "forward"): {"depthwise": 890, "grouped": 478, "direct": 1044},
    (1, 16, 4096, 101, "forward"): {"depthwise": 1552, "grouped": 823, "direct": 1231, "fourier": 5780},
    (1, 16, 4096, 101, "input_grad"): {"depthwise": 1261, "grouped": 761, "direct": 1274, "fourier": 6316},
    (1, 16, 4096, 101, "weight_grad"): {"depthwise": 337, "grouped": 713, "direct": 2922},
    (1, 16, 16384, 501, "forward"): {"depthwise": 27556, "grouped": 15202, "direct": 20603, "fourier": 12481},
    (1, 16, 16384, 501, "weight_grad"): {"depthwise": 4858, "grouped": 11777, "direct": 52496},
    (1, 8, 8192, 1001, "input_grad"): {"depthwise": 13182, "grouped": 6727, "direct": 11920, "fourier": 2026},
}


@pytest.mark.skipif(machine.target().name != "avx2", reason="these were measured on AVX2")
@pytest.mark.parametrize("case", LONG_KERNELS)
def test_long_kernels_of_one_axis_take_what_was_measured_fastest(case):
    images, channels, pixels, cells, which = case
    lying = window("conv", (pixels,), cells, padding=cells // 2)
    asked = Problem(which, images, channels, channels, (pixels,), lying, channels, np.dtype(np.float32))
    measured = LONG_KERNELS[case]
    assert measured[choose(asked).algorithm.name] == min(measured.values())
