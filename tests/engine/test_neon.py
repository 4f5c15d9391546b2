"""The kernels for AArch64, which no machine here can run: read as assembly, their inner loops are NEON's."""

import json
import os
import subprocess
import sys

import pytest

from deepconv.engine import machine

pytestmark = pytest.mark.skipif(
    machine.why_not_compiled() is not None, reason="there are no compiled kernels"
)

# For each kernel the least share of its tightest loop that are vector multiply-adds.
LOOPS = {
    "calibration.products": 0.6,
}


def test_inner_loops_are_vector_multiply_adds(tmp_path):
    environment = {**os.environ, "DEEPCONV_TARGET": "neon", "DEEPCONV_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.engine.neon", *LOOPS]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    for name, (vector, instructions, scalar) in json.loads(run.stdout).items():
        assert vector >= 8, (name, vector, instructions)
        assert vector / instructions >= LOOPS[name], (name, vector, instructions)
        assert scalar == 0, name
