"""Pooling's kernels against NumPy's calls, which tests/operators hold against the definition."""

import weakref

import numpy as np
import pytest

from deepconv.engine import machine, planes, settings
from deepconv.layers.pooling import MaxPool2d
from deepconv.operators import adaptive, pooling, winners

if machine.why_not_compiled():
    pytest.skip(machine.why_not_compiled(), allow_module_level=True)

from deepconv.engine.kernels import threads

CASES = {
    "2x2": ((2, 20, 24, 24), 2, {}),
    "3x3 step 2": ((2, 8, 113, 112), 3, {"stride": 2, "padding": 1}),
    "3x3 step 1": ((3, 7, 35, 33), 3, {"stride": 1, "padding": 1}),
    "tiny": ((64, 16, 4, 4), 2, {}),
    "tinier than a vector": ((100, 30, 2, 2), 2, {}),
    "one pixel": ((8, 300, 1, 1), 1, {}),
    "whole image": ((8, 16, 7, 7), 7, {}),
    "gaps": ((2, 9, 30, 40), 4, {"stride": 5}),
    "dilated": ((1, 17, 31, 27), (5, 2), {"stride": (2, 3), "dilation": (1, 3), "padding": (2, 0), "ceil_mode": True}),
    "windows without a pixel": ((1, 999, 1, 3), 2, {"stride": 1, "dilation": 2, "padding": 1}),
    "one axis": ((3, 7, 200), 3, {"stride": 2, "padding": 1}),
    "three axes": ((2, 8, 9, 11, 13), (2, 3, 2), {"stride": (1, 2, 3), "padding": (1, 1, 0)}),
    "one image": ((17, 20, 20), (3, 2), {"stride": 2}),
}  # fmt: skip


def by_numpy(monkeypatch, function, *args, **words):
    """Return what NumPy's calls compute where the kernels are missing."""
    with monkeypatch.context() as patch:
        patch.setattr(machine, "why_not_compiled", lambda: "a test")
        return function(*args, **words)


@pytest.fixture
def runs(monkeypatch):
    """Count the calls of kernels."""
    counted = []
    run = planes._run
    monkeypatch.setattr(planes, "_run", lambda *args, **words: (counted.append(args), run(*args, **words)))
    return counted


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_kernels_agree_with_numpy(rng, monkeypatch, runs, name, dtype):
    shape, kernel, words = CASES[name]
    close = {"rtol": 0, "atol": 20 * np.finfo(dtype).eps}
    for numbers in (rng.standard_normal(shape), rng.integers(-2, 3, shape)):  # the second is full of ties
        x = numbers.astype(dtype)
        y = pooling.max_pool(x, kernel, **words)
        np.testing.assert_array_equal(
            y, by_numpy(monkeypatch, pooling.max_pool, x, kernel, **words), strict=True
        )
        dy = rng.standard_normal(y.shape).astype(dtype)
        dx = pooling.max_pool_input_grad(dy, x, kernel, **words)
        expected = by_numpy(monkeypatch, pooling.max_pool_input_grad, dy, x, kernel, **words)
        np.testing.assert_allclose(dx, expected, strict=True, **close)
        for include in (True, False):
            words = {**words, "count_include_pad": include}
            y = pooling.avg_pool(x, kernel, **words)
            np.testing.assert_allclose(
                y, by_numpy(monkeypatch, pooling.avg_pool, x, kernel, **words), strict=True, **close
            )
            dx = pooling.avg_pool_input_grad(dy, shape, kernel, **words)
            expected = by_numpy(monkeypatch, pooling.avg_pool_input_grad, dy, shape, kernel, **words)
            np.testing.assert_allclose(dx, expected, strict=True, **close)
        words = CASES[name][2]
    assert len(runs) >= 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["2x2", "3x3 step 2", "one axis", "three axes"])
def test_nan_and_infinity_win_where_they_do_in_numpy(rng, monkeypatch, runs, name, dtype):
    shape, kernel, words = CASES[name]
    x = rng.standard_normal(shape).astype(dtype)
    flat = x.reshape(-1)
    flat[::7], flat[3::11], flat[5::13] = np.nan, -np.inf, np.inf
    flat[: flat.size // 8] = -np.inf  # windows whose maximum is what nothing gives, too
    y = pooling.max_pool(x, kernel, **words)
    np.testing.assert_array_equal(y, by_numpy(monkeypatch, pooling.max_pool, x, kernel, **words))
    dy = rng.standard_normal(y.shape).astype(dtype)
    dy.reshape(-1)[::17] = np.inf
    dx = pooling.max_pool_input_grad(dy, x, kernel, **words)
    expected = by_numpy(monkeypatch, pooling.max_pool_input_grad, dy, x, kernel, **words)
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)
    assert len(runs) == 3
    indices = pooling.max_pool_indices(x, kernel, **words)
    expected = by_numpy(monkeypatch, pooling.max_pool_indices, x, kernel, **words)
    np.testing.assert_array_equal(indices, expected, strict=True)
    assert len(runs) == 4


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_training_keeps_the_winners_in_place_of_x(rng, name, dtype):
    shape, kernel, words = CASES[name]
    x = rng.integers(-5, 6, shape).astype(dtype)
    y, won = winners.max_pool(x, kernel, **words)
    np.testing.assert_array_equal(y, pooling.max_pool(x, kernel, **words), strict=True)
    for wide in (dtype, np.float32, np.float64):
        dy = rng.standard_normal(y.shape).astype(wide)
        expected = pooling.max_pool_input_grad(dy, x, kernel, **words)
        got = winners.max_pool_input_grad(dy, won, x.dtype)
        np.testing.assert_allclose(got, expected, rtol=0, atol=20 * np.finfo(got.dtype).eps, strict=True)
    indices = pooling.max_pool_indices(x.astype(np.int64), kernel, **words)  # which no kernel searches
    np.testing.assert_array_equal(pooling.max_pool_indices(x, kernel, **words), indices, strict=True)


def test_the_layers_way_back_does_not_hold_x(rng):
    layer = MaxPool2d(3, stride=2, padding=1)
    x = rng.standard_normal((2, 8, 31, 30), np.float32)
    held = weakref.ref(given := x.copy())
    y, pullback = layer.apply(given)
    del given
    assert held() is None
    dy = rng.standard_normal(y.shape, np.float32)
    expected = pooling.max_pool_input_grad(dy, x, 3, stride=2, padding=1)
    np.testing.assert_array_equal(pullback(dy)[0], expected, strict=True)
    few = x[:1, :1]  # too few for kernels
    y, pullback = layer.apply(few)
    expected = pooling.max_pool_input_grad(dy[:1, :1], few, 3, stride=2, padding=1)
    np.testing.assert_array_equal(pullback(dy[:1, :1])[0], expected, strict=True)


ADAPTIVE = [
    ((2, 9, 30, 41), (7, 5)),
    ((3, 8, 100), 13),
    ((1, 16, 8, 9, 12), (3, 4, 12)),
    ((2, 19, 8, 8), (13, 3)),
]


@pytest.mark.parametrize(("shape", "output"), ADAPTIVE)
def test_adaptive_windows(rng, monkeypatch, runs, shape, output):
    x = rng.standard_normal(shape)
    for name, of in (("max", x), ("avg", shape)):
        pool = getattr(adaptive, f"adaptive_{name}_pool")
        input_grad = getattr(adaptive, f"adaptive_{name}_pool_input_grad")
        y = pool(x, output)
        np.testing.assert_allclose(y, by_numpy(monkeypatch, pool, x, output), rtol=0, atol=1e-14)
        dy = rng.standard_normal(y.shape)
        expected = by_numpy(monkeypatch, input_grad, dy, of, output)
        np.testing.assert_allclose(input_grad(dy, of, output), expected, rtol=0, atol=1e-14)
    assert len(runs) >= 3


@pytest.mark.parametrize("shape", [(8, 100, 7, 7), (3, 5, 100, 101), (40, 60, 1, 1), (3, 200, 5)])
def test_global_mean(rng, monkeypatch, shape):
    x, dy = rng.standard_normal(shape, np.float32), rng.standard_normal(shape[:2], np.float32)
    dy = dy.reshape(*shape[:2], *[1] * (len(shape) - 2))
    exact = x.astype(np.float64).mean(tuple(range(2, x.ndim)), keepdims=True)
    np.testing.assert_allclose(pooling.global_avg_pool(x), exact, rtol=0, atol=3e-7)
    expected = by_numpy(monkeypatch, pooling.global_avg_pool_input_grad, dy, shape)
    np.testing.assert_array_equal(pooling.global_avg_pool_input_grad(dy, shape), expected, strict=True)


@pytest.mark.parametrize("name", ["2x2", "3x3 step 2", "three axes", "tiny"])
def test_threads_bands_and_strides_change_nothing(rng, monkeypatch, name):
    shape, kernel, words = CASES[name]
    x = rng.standard_normal(shape, np.float32)
    dy = rng.standard_normal(pooling.max_pool(x, kernel, **words).shape, np.float32)

    def everything(x):
        return [
            pooling.max_pool(x, kernel, **words),
            pooling.max_pool_input_grad(dy, x, kernel, **words),
            pooling.avg_pool(x, kernel, **words),
            pooling.avg_pool_input_grad(dy, x.shape, kernel, **words),
        ]

    expected = everything(x)

    def same(x):
        for got, one in zip(everything(x), expected, strict=True):
            np.testing.assert_array_equal(got, one)

    turned = np.asfortranarray(x[:, ::-1])[:, ::-1]
    assert not turned.flags.c_contiguous
    same(turned)
    odd = np.empty(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    odd[...] = x
    odd.flags.writeable = False
    same(odd)
    for used in (2, 3):
        monkeypatch.setattr(threads, "worth", lambda allowed, work, used=used: used)
        same(x)
    small = machine.Caches(1, 1 << 13, 1 << 13)
    monkeypatch.setattr(machine, "caches", lambda: small)  # bands of few rows
    same(x)


def test_small_planes_other_types_and_little_memory_are_left_to_numpy(rng, monkeypatch, runs):
    x = rng.standard_normal((1, 1, 90, 90))
    expected = x.reshape(45, 2, 45, 2).max((1, 3))
    np.testing.assert_array_equal(pooling.max_pool(x, 2)[0, 0], expected)
    assert pooling.max_pool(np.arange(40_000).reshape(1, 100, 20, 20), 2).dtype == np.int64
    many = rng.standard_normal((1, 100, 9, 9))
    pooling.max_pool(many[:, :10], 2), pooling.max_pool(many[:0], 2)
    monkeypatch.setattr(settings, "_workspace_limit", 1000)
    pooling.max_pool(many, 2)
    assert not runs
    monkeypatch.undo()
    pooling.max_pool(many, 2)
