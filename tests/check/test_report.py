"""What a report says of results that are wrong in several ways at once."""

import pytest

from tests.check.inside import examined
from tests.check.test_check import IM2COL

BIAS = """
    def conv_bias_grad(dz):
        wrong = dz.sum(axis=(0, 2))
        return wrong if len(dz) == 1 else OTHERWISE
"""


def test_of_several_wrong_cells_the_first_is_shown():
    worse = "found[:, 1, 2] += 5; found[:, 1, 7] += 7; found[:, 3, 1] += 9"
    change = f"found = np.stack(rows, axis=1); {worse}; return found"
    finding = examined(IM2COL, ("return np.stack(rows, axis=1)", change)).findings[0]
    assert finding.cell == (0, 1, 2)
    assert finding.mine == pytest.approx(finding.theirs + 5)
    assert finding.problem.endswith("; 3 of 81 numbers differ")


@pytest.mark.parametrize(
    ("otherwise", "reason"),
    [
        ("dz.sum(axis=(1, 2))", "the gradient is summed over the wrong axes: it is dy.sum(axis=(0, 2, 3))"),
        ("dz.sum(axis=(0, 2, 3)) + 0.1", None),
    ],
)
def test_a_reason_holds_in_every_case_that_is_wrong(otherwise, reason):
    finding = examined(BIAS, ("OTHERWISE", otherwise)).findings[0]
    assert (finding.result, finding.right) == ("the bias's gradient", 0)
    assert (finding.reason or "").startswith(reason) if reason else finding.reason is None
