"""`DEEPCONV_VERBOSE`: a line for each convolution that is computed, where it is asked for."""

import re

import numpy as np
import pytest

import deepconv as dc
from deepconv.engine import choice, verbose


@pytest.mark.parametrize(("value", "asked"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_who_asks(value, asked, monkeypatch):
    monkeypatch.delenv("DEEPCONV_VERBOSE", raising=False)
    if value is not None:
        monkeypatch.setenv("DEEPCONV_VERBOSE", value)
    assert verbose.asked() is asked


def test_a_line_says_what_how_and_how_long(rng, monkeypatch, capsys):
    x, w = rng.standard_normal((2, 3, 9, 8)).astype("f4"), rng.standard_normal((6, 1, 3, 2)).astype("f4")
    words = {"stride": (2, 1), "padding": ((1, 0), (0, 1)), "dilation": 2, "groups": 3, "algorithm": "taps"}
    expected = dc.conv(x, w, **words)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(choice, "_VERBOSE", True)
    clock = iter([5.0, 5.25])  # seconds
    monkeypatch.setattr(verbose.time, "perf_counter", lambda: next(clock))
    np.testing.assert_array_equal(dc.conv(x, w, **words), expected)
    err = capsys.readouterr().err
    assert err.startswith(
        "deepconv: forward taps float32 2x3x9x8 6x1x3x2 stride=(2, 1) padding=((1, 0), (0, 1)) "
        "dilation=(2, 2) groups=3 threads="
    )
    flops = 2 * 2 * expected[0].size * 6
    assert re.search(rf" 250\.000 ms {flops / 0.25e9:.1f} GFLOP/s\n$", err)
    assert err.count("\n") == 1
