"""The errors that are shown are those of the results."""

import numpy as np
import pytest

from benchmarks import errors
from benchmarks.cases import PASSES, Layer
from deepconv.engine import machine

SMALL = Layer("small", "body", 2, 8, 9, 6, 3, 1, 1, 1, 1)
pytestmark = pytest.mark.skipif(
    machine.why_not_compiled() is not None, reason="there are no compiled kernels"
)


def test_an_error_is_relative_to_the_result():
    exact = np.array([3.0, -4.0])
    assert errors.error(exact, exact) == 0
    assert errors.error(exact * (1 + 1e-3), exact) == pytest.approx(1e-3)
    assert errors.error(exact + np.array([0.05, 0.0]), exact) == pytest.approx(0.01)


def test_a_row_for_every_algorithm_and_a_mark_beyond_its_bound(tmp_path):
    for which in PASSES:
        exact = errors.ours(SMALL, which, "f8", "matmul")
        for noise, marked in ((1e-5, False), (1e-12, True)):
            np.save(tmp_path / f"small.{which}.npy", exact * (1 + noise))
            rows = errors.rows_of(SMALL, which, tmp_path)
            assert {row[2] for row in rows} >= {"winograd"}
            assert all(row[-1].endswith("✗") == marked for row in rows)
