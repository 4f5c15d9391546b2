"""Reasons: the slip that explains the most of what is wrong, and nothing that came out right."""

import numpy as np
import pytest

from deepconv.check.cases import Case
from deepconv.check.slips import SLIPS, reason, same

TWO, THREE = Case("two", n=2, c=2, k=3, image=(5, 7)), Case("three", n=3, c=2, k=3, image=(5, 7))


def test_a_slip_that_would_have_shown_in_what_is_right_was_not_made():
    halved = TWO.expected("dw") / 2
    assert "averaged over the batch" in reason("dw", [(TWO, halved)])
    assert "averaged over the batch" in reason("dw", [(TWO, halved)], [Case("one", c=2)])
    assert reason("dw", [(TWO, halved)], [THREE]) is None  # there it is a sum


def test_of_two_slips_the_one_that_explains_more_is_named():
    square = Case("square", image=(6, 6), stride=2, padding=1)
    wide = Case("wide", image=(7, 9), stride=2)
    failed = [(case, case.expected("cols", stride=1)) for case in (square, wide)]
    assert reason("cols", failed).startswith("the stride is missing")
    failed = [(case, case.expected("cols", stride=1, padding=0)) for case in (square, wide)]
    assert reason("cols", failed).startswith("both the stride and the padding")


def test_what_a_random_array_is_has_no_reason(rng):
    for result in SLIPS:
        wrong = rng.standard_normal(TWO.expected(result).shape)
        assert reason(result, [(TWO, wrong)]) is None


@pytest.mark.parametrize(
    ("axis", "words"),
    [(1, "padding is added above and below only"), (0, "padding is added left and right only")],
)
def test_the_axis_is_named_truly(axis, words):
    padding = [(1, 1), (1, 1)]
    padding[axis] = (0, 0)
    case = Case("padded", image=(5, 7), padding=1)
    assert words in reason("y", [(case, case.expected("y", padding=tuple(padding)))])
    stride = [2, 2]
    stride[axis] = 1
    case = Case("strided", image=(7, 10), stride=2)
    words = "heeded down the rows only" if axis else "heeded along the columns only"
    assert words in reason("y", [(case, case.expected("y", stride=tuple(stride)))])


def test_equal_is_up_to_float32s_rounding():
    right = np.linspace(-3, 3, 50)
    assert same(right.astype(np.float32), right)
    assert not same(right + 1e-3, right)
    assert not same(right[:-1], right)
