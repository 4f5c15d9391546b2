"""How pictures are filtered: every algorithm against the definition, its choice, its threads and its memory."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import deepconv as dc
from deepconv.engine import machine
from deepconv.engine.kernels import threads, workspace
from deepconv.engine.pictures import choice, fourier
from deepconv.engine.pictures.problem import BORDERS, beyond, factors
from deepconv.operators.planes import correlate_planes, explain_planes

ROOT = Path(__file__).parents[2]
NAMES = tuple(choice.TABLE)
compiled = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="nothing is compiled here")

# Smaller than the kernel, than a tile, than a vector; rows and columns that no tile divides.
PICTURES = [(1, 1, 3), (2, 3, 1), (5, 4, 4), (3, 70, 3), (9, 41, 5), (67, 30, 3), (133, 26, 1)]
KERNELS = [(1, 1), (1, 4), (5, 1), (2, 3), (3, 3), (4, 2), (7, 5), (6, 11)]


def expected(image, kernel, border, constant=0.0, anchor=None):
    """Return the sums by the definition, one cell at a time, in float64."""
    (rows, columns), channels = kernel.shape, image.shape[2]
    down, across = anchor or (rows // 2, columns // 2)
    before, after = (down, across), (rows - 1 - down, columns - 1 - across)
    if border == "crop":
        before = after = (0, 0)
    there, beside = (beyond(image.shape[i], before[i], after[i], border) for i in range(2))
    padded = image.astype(np.float64)[there][:, beside]
    padded[there < 0] = constant
    padded[:, beside < 0] = constant
    height, width = len(there) - rows + 1, len(beside) - columns + 1
    y = np.zeros((height, width, channels))
    for r, s in product(range(rows), range(columns)):
        if kernel[r, s]:
            y += float(kernel[r, s]) * padded[r : r + height, s : s + width]
    return y


def draw(rng, image, kernel, name, dtype=np.float32):
    """Return a picture and a kernel that an algorithm can take."""
    x = rng.standard_normal(image).astype(dtype)
    w = rng.standard_normal(kernel)
    if name == "separable":
        w = w[:, :1] * w[:1]
    return x, w.astype(dtype)


def able(name, image, kernel, border):
    """Tell whether an algorithm can compute a case here."""
    if border == "crop" and (image[0] < kernel[0] or image[1] < kernel[1]):
        return False
    if name == "separable" and min(kernel) == 1:
        return False
    return name in ("fourier", "taps") or machine.why_not_compiled() is None


def close(dtype, count):
    """Return how near a sum of `count` products must be."""
    eps = np.finfo(dtype).eps * 4 * count
    return {"rtol": eps, "atol": eps}


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_is_the_definition(rng, name, border):
    checked = 0
    for i, (image, kernel) in enumerate(product(PICTURES, KERNELS)):
        if not able(name, image, kernel, border):
            continue
        dtype = (np.float32, np.float64)[i % 2]
        x, w = draw(rng, image, kernel, name, dtype)
        anchor = tuple(int(rng.integers(n)) for n in kernel) if i % 3 else None
        got = correlate_planes(x, w, border=border, constant=1.5, anchor=anchor, algorithm=name)
        outside = 1.5 if border == "constant" else 0.0
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got,
            expected(x, w, border, outside, anchor),
            **close(dtype, w.size + 8),
            err_msg=f"{image} {kernel}",
        )
        checked += 1
    assert checked >= (10 if machine.why_not_compiled() is None else 0)


@pytest.mark.parametrize("name", NAMES)
def test_cells_that_are_zero_are_not_looked_at(rng, name):
    if not able(name, (20, 20, 3), (5, 5), "zero"):
        pytest.skip("nothing is compiled here")
    x, w = draw(rng, (20, 23, 3), (5, 5), name, np.float64)
    w[1] = w[:, 3] = 0
    x[9, 11, 1] = np.nan
    got = correlate_planes(x, w, border="mirror", algorithm=name)
    seen = {(9 + 2 - r, 11 + 2 - s) for r, s in product(range(5), range(5)) if w[r, s]}
    assert {(i, j) for i, j, c in np.argwhere(np.isnan(got))} == seen
    assert not np.isnan(got[:, :, [0, 2]]).any()
    finite = ~np.isnan(got)
    np.testing.assert_allclose(got[finite], expected(x, w, "mirror")[finite], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_any_strides_and_an_out_of_any_strides(rng, name):
    if not able(name, (20, 20, 3), (5, 4), "edge"):
        pytest.skip("nothing is compiled here")
    x, w = draw(rng, (31, 44, 3), (5, 4), name)
    want = correlate_planes(x, w, border="edge", algorithm=name)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    crooked = raw[1:].view(np.float32).reshape(x.shape)
    crooked[...] = x
    wide = np.zeros((31, 60, 3), np.float32)
    wide[:, 7:51] = x
    planar = np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0)
    for other in (crooked, wide[:, 7:51], planar, x[::-1].copy()[::-1], x[:, ::-1].copy()[:, ::-1]):
        np.testing.assert_array_equal(correlate_planes(other, w, border="edge", algorithm=name), want)
        beyond_it = correlate_planes(other, w, border="constant", constant=3.5, algorithm=name)
        np.testing.assert_allclose(beyond_it, expected(x, w, "constant", 3.5), **close(np.float32, w.size))
    room = np.zeros((40, 60, 5), np.float32)
    for out in (room[4:35, 8:52, 1:4], room[4:35, 51:7:-1, :3], np.zeros_like(planar)):
        assert correlate_planes(x, w, border="edge", algorithm=name, out=out) is out
        np.testing.assert_array_equal(out, want)
    assert not room[:4].any()
    assert not room[:, :8].any()
    assert not room[35:].any()
    assert correlate_planes(x, w, border="edge", algorithm=name, out=x) is x
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_threads_gives_the_same_bits(rng, name, monkeypatch):
    if not able(name, (20, 20, 3), (5, 5), "zero"):
        pytest.skip("nothing is compiled here")
    monkeypatch.setattr(threads, "_SMALLEST", 1)
    x, w = draw(rng, (331, 65, 3), (7, 5), name)
    before, results = dc.get_threads(), []
    try:
        for count in (1, 2, 3):
            dc.set_threads(count)
            results.append(correlate_planes(x, w, algorithm=name).tobytes())
    finally:
        dc.set_threads(before)
    assert len(set(results)) == 1


@compiled
@pytest.mark.parametrize("name", ["direct", "separable"])
def test_scratch_memory_is_what_the_plan_says(rng, name, monkeypatch):
    asked = []

    def scratch(size):
        asked.append(size)
        return workspace.scratch(size)

    monkeypatch.setattr("deepconv.engine.pictures.rows.scratch", scratch)
    for image, kernel in product(PICTURES, [(3, 3), (7, 5), (6, 11)]):
        x, w = draw(rng, image, kernel, name)
        asked.clear()
        plan = choice.choose(explain_planes(image, w).problem, name)
        correlate_planes(x, w, algorithm=name)
        assert max(asked) <= plan.workspace_bytes


@compiled
@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect here")
def test_nothing_is_touched_beyond_the_fences():
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.engine.picture_fences"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout) >= 50


def test_the_cheapest_is_taken_and_the_others_have_reasons(rng):
    big, plain = (3000, 4000, 3), machine.why_not_compiled() is None
    rough = rng.standard_normal((9, 9))
    told = explain_planes(big, rough)
    assert told.algorithm == (
        "direct" if plain else "fourier" if "fourier" not in told.not_chosen else "taps"
    )
    assert set(told.not_chosen) | {told.algorithm} == set(NAMES)
    if plain:
        assert told.not_chosen["separable"] == "the kernel is not an outer product of two lines"
        assert explain_planes(big, np.ones((9, 9))).algorithm == "separable"
        assert explain_planes(big, np.ones((1, 9))).algorithm == "direct"
    assert explain_planes(big, rng.standard_normal((151, 151))).algorithm == "fourier"
    assert explain_planes(big, rng.standard_normal((151, 151)), exact=True).algorithm != "fourier"
    assert "9 x 9, 81 of its cells" in str(told)
    assert f"algorithm   {told.algorithm}" in str(told)


def test_a_small_workspace_limit_ends_in_the_plainest(rng):
    before = dc.get_workspace_limit()
    try:
        dc.set_workspace_limit(1000)
        told = explain_planes((300, 400, 3), rng.standard_normal((9, 9)))
    finally:
        dc.set_workspace_limit(before)
    assert told.algorithm == "taps"
    assert "the workspace limit is 1,000" in told.not_chosen["fourier"]


def test_factors_are_found_within_rounding_and_not_beyond(rng):
    for dtype in (np.float32, np.float64):
        u, v = rng.standard_normal(9), rng.standard_normal(6)
        kernel = np.outer(u, v).astype(dtype)
        down, across = factors(kernel)
        np.testing.assert_allclose(np.outer(down, across), kernel, rtol=8 * np.finfo(dtype).eps)
        kernel[2, 3] *= 1 + 100 * np.finfo(dtype).eps * kernel.size
        kernel[2, 3] += 100 * np.finfo(dtype).eps * abs(kernel).max()
        assert factors(kernel) is None
    near = np.outer([0.1, 1.0, 0.3], [0.2, 1.0, 0.4]).astype(np.float32)
    assert factors(near) is not None
    near[0, 0] += 5e-6  # 40 units of the last place of the largest
    assert factors(near) is None
    small = np.array([[1.0, 1e-9], [1e-9, 0.0]], np.float32)  # a NaN under the zero must not count
    assert factors(small) is None
    assert factors(np.zeros((3, 3))) is None
    assert factors(np.full((3, 3), np.nan)) is None
    assert factors(np.array([[1.0, np.inf]])) is None


def test_whole_kernels_have_whole_factors_and_exact_sums(rng):
    kernel = np.outer([3, 0, -6, 9], [7, 5, 3]).astype(np.float64)
    down, across = factors(kernel)
    np.testing.assert_array_equal(np.outer(down, across), kernel)
    assert (down == np.rint(down)).all()
    assert (across == np.rint(across)).all()
    x = rng.integers(0, 1 << 30, (40, 50, 3)).astype(np.float64)
    got = correlate_planes(x, kernel, exact=True)
    np.testing.assert_array_equal(got, expected(x, kernel, "reflect"))
    halves = np.outer([0.5, 1.5], [1.0, 3.0])
    told = explain_planes((40, 50), halves, exact=True)
    assert told.problem.sides is None


def test_fourier_keeps_nan_and_infinity_where_they_are(rng):
    x, w = rng.standard_normal((90, 80, 2)), rng.standard_normal((9, 7))
    x[30, 40, 0], x[60, 20, 1] = np.nan, np.inf
    got, want = correlate_planes(x, w, algorithm="fourier"), expected(x, w, "reflect")
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    np.testing.assert_allclose(got[np.isfinite(want)], want[np.isfinite(want)], rtol=1e-12, atol=1e-11)
    w[0, 0] = np.nan
    with pytest.raises(
        ValueError, match=r"algorithm='fourier' can't filter .* holds a NaN or an infinity; use 'auto'"
    ):
        correlate_planes(x, w, algorithm="fourier")


def test_tiles_grow_with_the_kernel_and_stop_at_the_picture(rng):
    for kernel in (3, 50, 300):
        n, m = fourier.tile(explain_planes((2000, 90), rng.standard_normal((kernel, kernel))).problem)
        assert kernel <= n <= max(512, 4 * kernel)
        assert kernel <= m <= 90 + kernel + 300
