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

# For each kernel the least share of its tightest loop that are vector multiply-adds: about two of three in products of
# packed panels, whose every operand serves several; one of two or three where rows of pixels are read as they stand.
LOOPS = {"calibration.products": 0.65}
SLOW_LOOPS = {
    "direct.convolve": 0.65,
    "direct_weights.weight_grad": 0.5,
    "winograd.convolve": 0.45,
    "winograd_weights.products": 0.65,
    "depthwise.convolve": 0.35,
    "grouped.convolve": 0.5,
}


@pytest.mark.parametrize(
    "loops", [LOOPS, pytest.param(SLOW_LOOPS, marks=pytest.mark.full)], ids=["one", "every algorithm"]
)
def test_inner_loops_are_vector_multiply_adds(loops, tmp_path):
    environment = {**os.environ, "DEEPCONV_TARGET": "neon", "DEEPCONV_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.engine.neon", *loops]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found.keys() == loops.keys()
    for name, (vector, instructions, scalar) in found.items():
        assert vector >= 8, (name, vector, instructions)
        assert vector / instructions >= loops[name], (name, vector, instructions)
        assert scalar == 0, name
