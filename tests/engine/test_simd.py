"""Vectors as values: every intrinsic against NumPy, for this machine's registers and for others'."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepconv.engine import machine

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="Numba is not there")
ROOT = Path(__file__).parents[2]

if machine.why_not_compiled() is None:
    from tests.engine.simd_checks import CHECKS, DTYPES
else:
    CHECKS, DTYPES = [], []


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_intrinsics(check, dtype):
    check(dtype)


@pytest.mark.parametrize(
    ("target", "lanes"),
    [
        pytest.param("avx512", 16, marks=pytest.mark.full),
        pytest.param("avx2", 8, marks=pytest.mark.full),
        pytest.param("neon", 4, marks=pytest.mark.full),
        ("plain", 4),
    ],
)
def test_intrinsics_at_other_widths(target, lanes, tmp_path):
    environment = {**os.environ, "DEEPCONV_TARGET": target, "DEEPCONV_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.simd_checks"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [target, str(lanes)]
