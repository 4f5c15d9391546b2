"""The compiled normalisation against its NumPy form, which other tests hold against the definition."""

import numpy as np
import pytest

from deepconv.engine import normalisation as engine
from deepconv.engine.kernels import threads
from deepconv.engine.machine import why_not_compiled

pytestmark = pytest.mark.skipif(why_not_compiled() is not None, reason="Numba is not installed")

NAN, INF = float("nan"), float("inf")
LENGTHS = [*range(2, 20), 31, 32, 33, 49, 63, 64, 65, 4095, 4096, 4097, 9000]


@pytest.fixture
def ran(monkeypatch):
    """The kernels that were called, in order."""
    called = []
    run = engine._run
    monkeypatch.setattr(engine, "_run", lambda kernel, *rest: (called.append(kernel), run(kernel, *rest)))
    return called


def in_numpy(monkeypatch, function, *args):
    with monkeypatch.context() as patched:
        patched.setattr(engine, "why_not_compiled", lambda: "to compare")
        return function(*args)


def operands(rng, shape, dtype):
    x = (rng.standard_normal(shape) * 2 + 3).astype(dtype)
    dy, vectors = rng.standard_normal(shape), rng.standard_normal((2, shape[1]))
    return x, dy.astype(dtype), *vectors.astype(dtype)


def close(got, expected, dtype):
    scale = max(1, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(got, expected, rtol=0, atol=scale * (2e-5 if dtype == np.float32 else 1e-12))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_length_has_its_tail_right(rng, monkeypatch, ran, dtype):
    for length in LENGTHS:
        for n, c, sets in (
            (3, 4, engine.over_batch),
            (2, 6, engine.over_groups(2)),
            (1, 1, engine.over_batch),
        ):
            x, dy, weight, bias = operands(rng, (n, c, length), dtype)
            count = n * length if sets.groups is None else c // 2 * length
            call = (engine.normalise, x, weight, bias, sets, count, 0.1)
            close(call[0](*call[1:]), in_numpy(monkeypatch, *call), dtype)
            call = (engine.gradients, dy, x, weight, sets, count, 0.1)
            got, expected = call[0](*call[1:]), in_numpy(monkeypatch, *call)
            for part in ("dx", "dw", "db"):
                assert getattr(got, part).dtype == dtype
                close(getattr(got, part), getattr(expected, part), dtype)
    assert ran == ["normalise", "gradients"] * (3 * len(LENGTHS))


@pytest.mark.parametrize("limits", [(NAN, NAN), (0.0, NAN), (0.0, 0.5), (NAN, 0.1)])
def test_training_with_limits_is_normalising_and_then_cutting_off(rng, ran, limits):
    x, dy, weight, bias = operands(rng, (3, 5, 77), np.float64)
    y, mean, var = engine.train(x, weight, bias, 0.1, limits)
    plain, *_ = engine.train(x, weight, bias, 0.1)
    low, high = (limit if limit == limit else end for limit, end in zip(limits, (-INF, INF), strict=True))
    np.testing.assert_array_equal(y, np.clip(plain, low, high))
    np.testing.assert_allclose(mean, x.mean((0, 2)))
    np.testing.assert_allclose(var, x.var((0, 2)))
    passed = np.where((plain <= low) | (plain >= high), 0, dy)
    expected = engine.gradients(passed, x, weight, engine.over_batch, 3 * 77, 0.1)
    got = engine.train_gradients(dy, x, (weight, bias, mean, var), 0.1, limits)
    for part in ("dx", "dw", "db"):
        np.testing.assert_allclose(getattr(got, part), getattr(expected, part), atol=1e-13)
    assert ran == ["normalise", "normalise", "gradients", "gradients"]


def test_limits_without_numba_are_the_same(rng, monkeypatch):
    x, dy, weight, bias = operands(rng, (3, 5, 77), np.float64)
    call = (engine.train, x, weight, bias, 0.1, (0.0, 0.5))
    found = call[0](*call[1:])
    for a, b in zip(found, in_numpy(monkeypatch, *call), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)
    call = (engine.train_gradients, dy, x, (weight, bias, *found[1:]), 0.1, (0.0, 0.5))
    got, expected = call[0](*call[1:]), in_numpy(monkeypatch, *call)
    for part in ("dx", "dw", "db"):
        np.testing.assert_allclose(getattr(got, part), getattr(expected, part), atol=1e-13)


def test_given_statistics(rng, monkeypatch, ran):
    x, _, weight, bias = operands(rng, (2, 3, 35), np.float32)
    mean, var = rng.standard_normal(3).astype("f4"), np.array([0, 1, 2], "f4")
    for vectors in ((weight, bias), (None, None)):
        call = (engine.normalise_by, x, *vectors, mean, var, 0.0 if vectors[0] is None else 0.1)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(call[0](*call[1:]), in_numpy(monkeypatch, *call), rtol=2e-5, atol=1e-6)
    assert ran == ["normalise"] * 2


def test_one_task_is_one_sum(rng, monkeypatch):
    x, dy, weight, bias = operands(rng, (5, 7, 130), np.float32)
    results = []
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "worth", lambda threads, work, count=count: count)
        y, mean, var = engine.train(x, weight, bias, 1e-5)
        found = engine.train_gradients(dy, x, (weight, bias, mean, var), 1e-5)
        results.append([a.tobytes() for a in (y, mean, var, found.dx, found.dw, found.db)])
    assert results[0] == results[1] == results[2]


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


@pytest.mark.parametrize(
    "other", [misaligned, lambda a: np.repeat(a, 2, -1)[..., ::2], lambda a: a[..., ::-1].copy()[..., ::-1]]
)
@pytest.mark.parametrize("pixels", [21, 77])
def test_arrays_that_lie_otherwise(rng, ran, other, pixels):
    x, dy, weight, bias = operands(rng, (3, 4, pixels), np.float32)
    found = engine.train(x, weight, bias, 1e-5)
    again = engine.train(other(x), other(weight), other(bias), 1e-5)
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)
    vectors = (weight, bias, *found[1:])
    a = engine.train_gradients(dy, x, vectors, 1e-5)
    b = engine.train_gradients(other(dy), other(x), tuple(map(other, vectors)), 1e-5)
    np.testing.assert_array_equal(a.dx, b.dx)
    assert ran == ["normalise"] * 2 + ["gradients"] * (2 if pixels > engine._SMALL else 0)


@pytest.mark.parametrize("wrong", [NAN, INF])
def test_what_is_not_finite_stays_in_its_channel(rng, wrong):
    x, dy, weight, bias = operands(rng, (3, 4, 21), np.float32)
    x[1, 2, 20] = wrong
    y, mean, var = engine.train(x, weight, bias, 1e-5)
    found = engine.train_gradients(dy, x, (weight, bias, mean, var), 1e-5)
    for a in (y, found.dx):
        np.testing.assert_array_equal(np.isnan(a).any((0, 2)), [False, False, True, False])
        assert np.isnan(a[:, 2]).all()


def test_a_large_mean_and_a_step_between_images_cost_no_digits(rng):
    x = rng.standard_normal((4, 2, 5000)).astype(np.float32)
    x += np.float32(1000) * np.arange(4, dtype=np.float32)[:, None, None]
    mean, var = engine.statistics(x, 20000)
    np.testing.assert_allclose(mean, x.mean((0, 2), np.float64), rtol=1e-5)
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2)), rtol=1e-5)
    x = x[:1] + np.float32(10000)
    np.testing.assert_allclose(engine.statistics(x, 5000)[1], x.astype(np.float64).var((0, 2)), rtol=1e-4)


@pytest.mark.parametrize("limits", [(NAN, NAN), (0.0, 0.5)])
def test_small_images_are_taken_one_after_the_other(rng, monkeypatch, limits):
    for images, channels, length in ((7, 13, 15), (3, 40, 32), (60, 9, 3)):
        x, dy, weight, bias = operands(rng, (images, channels, length), np.float32)
        for vectors in ((weight, bias), (None, None)):
            _, *found = engine.train(x, *vectors, 0.1, limits)
            call = (dy, x, (*vectors, *found), 0.1, limits)
            got = engine.train_gradients(*call)
            with monkeypatch.context() as patched:
                patched.setattr(engine, "_SMALL", 0)
                expected = engine.train_gradients(*call)
            for part in ("dx", "dw", "db"):
                close(getattr(got, part), getattr(expected, part), np.float32)
