"""The compiled im2col and col2im against their NumPy form; `tests/operators` holds both against the definition."""

import numpy as np
import pytest

from deepconv import geometry
from deepconv.engine import columns, settings
from deepconv.engine.kernels import threads
from deepconv.engine.machine import why_not_compiled

pytestmark = pytest.mark.skipif(why_not_compiled() is not None, reason="Numba is not installed")

CASES = [  # shape, kernel, stride, padding, dilation
    ((2, 3, 9), 3, 1, 1, 1),
    ((2, 1, 40), 19, 2, 3, 1),
    ((1, 2, 30), 4, 3, [(0, 5)], 4),
    ((1, 1, 1), 1, 1, 0, 1),
    ((3, 5, 7, 6), (3, 2), (1, 2), 1, 1),
    ((2, 4, 8, 9), 3, 1, 2, (1, 2)),
    ((2, 7, 5, 5), 1, 2, 0, 1),
    ((2, 2, 20, 40), (2, 33), 3, 0, 1),
    ((2, 3, 4, 5, 6), (2, 3, 2), (1, 2, 1), 1, (2, 1, 1)),
]


@pytest.fixture
def ran(monkeypatch):
    """The kernels that were called, in order."""
    called = []
    run = columns._run
    monkeypatch.setattr(columns, "_run", lambda kernel, *rest: (called.append(kernel), run(kernel, *rest)))
    return called


def in_numpy(monkeypatch, function, *args):
    with monkeypatch.context() as patched:
        patched.setattr(columns, "_compiles", lambda *args: False)
        return function(*args)


def drawn(rng, case, dtype=np.float32):
    shape, kernel, stride, padding, dilation = case
    words = {"stride": stride, "padding": padding, "dilation": dilation}
    window = geometry.window("im2col", shape[2:], kernel, **words)
    return (100 * rng.standard_normal(shape)).astype(dtype), window


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("limit", [1 << 40, 0], ids=["whole images", "one channel at once"])
def test_as_in_numpy(rng, monkeypatch, ran, case, limit):
    monkeypatch.setattr(settings, "_workspace_limit", limit)
    for dtype in (np.float32, np.float64, np.int32, np.uint64):
        x, window = drawn(rng, case, dtype)
        cols = columns.im2col(x, window)
        assert cols.dtype == dtype
        np.testing.assert_array_equal(cols, in_numpy(monkeypatch, columns.im2col, x, window))
        if dtype in (np.float32, np.float64):
            g = rng.standard_normal(cols.shape).astype(dtype)
            got = columns.col2im(g, x.shape, window)
            tolerance = 2e-6 if dtype == np.float32 else 1e-14
            expected = in_numpy(monkeypatch, columns.col2im, g, x.shape, window)
            np.testing.assert_allclose(got, expected, rtol=10 * tolerance, atol=10 * tolerance)
    assert ran == ["im2col", "col2im"] * 2 + ["im2col"] * 2


def test_one_image_is_one_task(rng, monkeypatch):
    x, window = drawn(rng, ((5, 3, 9, 8), 3, 1, 1, 1))
    results = []
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "worth", lambda threads, work, count=count: count)
        cols = columns.im2col(x, window)
        results.append((cols.tobytes(), columns.col2im(cols, x.shape, window).tobytes()))
    assert results[0] == results[1] == results[2]


def test_arrays_that_lie_otherwise_and_what_stands_beside_them(rng):
    x, window = drawn(rng, ((2, 3, 7, 6), 3, 1, 1, 1))
    expected = columns.im2col(x, window)
    raw = np.full(x.nbytes + 101, 255, np.uint8)  # NaN wherever no number is
    inside = raw[50 : 50 + x.nbytes]
    inside.view(x.dtype)[...] = x.ravel()
    np.testing.assert_array_equal(columns.im2col(inside.view(x.dtype).reshape(x.shape), window), expected)
    np.testing.assert_array_equal(columns.im2col(x[..., ::-1].copy()[..., ::-1], window), expected)
    np.testing.assert_array_equal(columns.im2col(x.astype(">f4"), window), expected)
    back = columns.col2im(expected, x.shape, window)
    turned = np.ascontiguousarray(expected.transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(columns.col2im(turned, x.shape, window), back)


def test_what_is_not_finite_stays_where_it_belongs(rng):
    x, window = drawn(rng, ((1, 2, 6, 6), 3, 1, 1, 1))
    cols = columns.im2col(x, window)
    cols[0, 14, 4] = np.inf  # the middle of the window at (2, 2)
    cols[0, 35, 0] = np.nan  # the first cell of the last window
    back = columns.col2im(cols, x.shape, window)
    assert np.argwhere(~np.isfinite(back)).tolist() == [[0, 0, 2, 2], [0, 0, 4, 4]]
    assert back[0, 0, 2, 2] == np.inf
