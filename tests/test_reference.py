"""The definition against arithmetic done by hand, and the faster oracle against the definition."""

import numpy as np
import pytest
from hypothesis import given, settings

from deepconv import reference
from deepconv.geometry import window
from tests.cases import CASES, geometries
from tests.conftest import examples


def test_by_hand():
    """A 3×4 image, a 2×2 kernel, stride (1, 2), one column of zeros before: every product written out."""
    x = np.array([[[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]]])
    w = np.array([[[[1, 10], [100, 1000]]]])
    around = window("conv", (3, 4), 2, stride=(1, 2), padding=[(0, 0), (1, 0)])
    expected = [
        [0 + 10 * 1 + 0 + 1000 * 5, 2 + 10 * 3 + 100 * 6 + 1000 * 7],
        [0 + 10 * 5 + 0 + 1000 * 9, 6 + 10 * 7 + 100 * 10 + 1000 * 11],
    ]
    assert reference.conv(x, w, around)[0, 0].tolist() == expected


def test_two_channels_two_filters_two_groups_by_hand():
    x = np.array([[[1, 2, 3], [4, 5, 6]]])
    w = np.array([[[1, 10]], [[100, 1000]]])
    around = window("conv", (3,), 2)
    assert reference.conv(x, w, around, groups=2).tolist() == [[[21, 32], [5400, 6500]]]
    both = np.array([[[1, 10], [100, 1000]]])
    assert reference.conv(x, both, around).tolist() == [[[5421, 6532]]]


def test_modes_by_hand():
    shown = {mode: [reference.source(i, 3, mode) for i in range(-2, 5)] for mode in ("replicate", "circular")}
    assert shown == {"replicate": [0, 0, 0, 1, 2, 2, 2], "circular": [1, 2, 0, 1, 2, 0, 1]}
    assert [reference.source(i, 3, "zeros") for i in range(-1, 4)] == [None, 0, 1, 2, None]


def check_oracle(case):
    x, w, dy = case.arrays(np.int64)
    rest = (case.window, case.groups, case.mode)
    np.testing.assert_array_equal(reference.conv_by_taps(x, w, *rest), reference.conv(x, w, *rest))
    np.testing.assert_array_equal(
        reference.conv_input_grad_by_taps(dy, w, x.shape, *rest),
        reference.conv_input_grad(dy, w, x.shape, *rest),
    )
    np.testing.assert_array_equal(
        reference.conv_weight_grad_by_taps(dy, x, w.shape, *rest),
        reference.conv_weight_grad(dy, x, w.shape, *rest),
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_oracle_is_the_definition_on_the_named_cases(case):
    check_oracle(case)


@settings(max_examples=examples(40, full=1000))
@given(case=geometries())
def test_oracle_is_the_definition_on_drawn_cases(case):
    check_oracle(case)


def test_col2im_undoes_nothing_but_counts():
    around = window("im2col", (5, 4), 3, padding=1)
    ones = reference.im2col(np.ones((1, 1, 5, 4)), around)
    counts = reference.col2im(ones, (1, 1, 5, 4), around)[0, 0]
    assert counts.tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]
