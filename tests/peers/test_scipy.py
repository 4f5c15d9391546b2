"""SciPy judges the sum and its flip: ndimage and signal in one to three axes, and ndimage's own tests."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deepconv as dc
from deepconv.geometry import WORDS
from tests.peers.conftest import peer

ndimage = peer("scipy.ndimage")
signal = peer("scipy.signal")

SHAPES = [((11,), (4,)), ((11,), (5,)), ((9, 14), (3, 4)), ((14, 9), (2, 5)), ((7, 6, 8), (3, 2, 4))]
NDIMAGE_MODES = ["constant", "grid-constant", "mirror", "nearest", "wrap", "grid-wrap"]


def ndimage_padding(kernel, flip):
    """Return where ndimage puts a kernel's centre: at size//2, and its mirror image when it flips."""
    pairs = []
    for size in kernel:
        centre = (size - 1) // 2 if flip else size // 2
        pairs.append((centre, size - 1 - centre))
    return pairs


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("mode", NDIMAGE_MODES)
@pytest.mark.parametrize(("image", "kernel"), SHAPES)
def test_ndimage(rng, image, kernel, mode, flip):
    x, w = rng.standard_normal(image), rng.standard_normal(kernel)
    expected = (ndimage.convolve if flip else ndimage.correlate)(x, w, mode=mode)
    words = {"padding": ndimage_padding(kernel, flip), "padding_mode": WORDS["scipy.ndimage"][mode]}
    ours = dc.conv(x[None], w[None, None], flip=flip, **words)[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12, strict=True)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("image", "kernel"), SHAPES)
def test_signal(rng, image, kernel, mode, flip):
    x, w = rng.standard_normal(image), rng.standard_normal(kernel)
    theirs = signal.convolve if flip else signal.correlate
    expected = theirs(x, w, mode=mode, method="direct")
    padding = [(k - 1, k - 1) for k in kernel] if mode == "full" else WORDS["scipy.signal"][mode]
    ours = dc.conv(x[None], w[None, None], padding=padding, flip=flip)[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12, strict=True)


def test_a_bank_of_filters_is_signal_summed_over_channels(rng):
    x, w = rng.standard_normal((2, 3, 10, 9)), rng.standard_normal((4, 3, 3, 2))
    expected = [
        [sum(signal.correlate(x[n, c], w[k, c], "valid") for c in range(3)) for k in range(4)] for n in (0, 1)
    ]
    np.testing.assert_allclose(dc.conv(x, w), np.array(expected), rtol=1e-12, atol=1e-12)


def test_integers_are_exact_where_ndimage_wraps(rng):
    x = rng.integers(100, 255, (12, 13), np.uint8)
    w = rng.integers(1, 9, (3, 5))
    exact = signal.correlate(x.astype(np.int64), w, "valid", method="direct")
    ours = dc.conv(x[None], w[None, None])[0]
    assert ours.dtype == np.int64
    np.testing.assert_array_equal(ours, exact)
    wrapped = ndimage.correlate(x, w, mode="constant")[1:-1, 2:-2]
    assert (wrapped != exact).all()


@pytest.mark.full
def test_the_ndimage_suite_runs_on_ours(tmp_path):
    """SciPy's 1,213 cases of correlate and convolve, in a process whose ndimage calls `dc.conv`."""
    counts = tmp_path / "counts.json"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    here = str(Path(__file__).parent)
    environment = {
        **os.environ,
        "DEEPCONV_SHIM_COUNTS": str(counts),
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
    }
    plugins = ["-p", "ndimage_shim", "-p", "no:cacheprovider"]
    select = ["--pyargs", "scipy.ndimage.tests.test_filters", "-k", "(convolve or correlate) and not 1d"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", *plugins, *select],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    report = run.stdout[-3000:] + run.stderr[-1000:]
    assert run.returncode == 0, report
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed, report
    assert int(passed[1]) >= 1200, report
    calls = json.loads(counts.read_text())
    assert calls["ours"] >= 3700, calls
    kept = sum(calls.values()) - calls["ours"] - calls["number type"]  # complex ones come back in real parts
    assert kept <= 200, calls
