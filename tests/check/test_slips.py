"""Reasons: the slip that explains the most of what is wrong, and nothing that came out right."""

import numpy as np
import pytest

from deepconv.check.cases import CASES, Case
from deepconv.check.slips import SLIPS, reason, same
from tests.check.inside import examined
from tests.check.test_check import GATHER, IM2COL, PAIR, PLAIN, REPAIRS

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
    assert not same(right.reshape(5, 10), right.reshape(10, 5))
    assert not same(right, np.where(right > 2, np.nan, right))


def test_the_cases_hold_what_they_are_called():
    known = {case.what: case for case in CASES}
    height, width = known["a wide image"].image
    assert height < width
    divided = known["a stride that doesn't divide"]
    assert all(
        (size - k) % divided.stride for size, k in zip(divided.image[:1], divided.kernel[:1], strict=True)
    )
    for case in CASES:
        for words, size in (("two images", case.n), ("two channels", case.c), ("three filters", case.k)):
            assert words != case.what or size > 1


# What a person writes, and the one sentence that is true of it; the texts are NumPy alone and know no `Case`.
FORWARD = ('    s, p = conv_param["stride"], conv_param["pad"]\n    cols = im2col(x, w.shape[2:], s, p)\n    y',
           '    s, p = {}, {}\n    cols = im2col(x, w.shape[2:], s, p)\n    y')  # fmt: skip
ROWS = "rows.append(x[:, :, i:i + k1, j:j + k2].reshape(n, -1))"
FLAT = ("x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))\n", """own = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
""")  # fmt: skip
GATHERED = "dx = vec2arr(rows @ w.reshape(len(w), -1), w.shape[2:], x.shape[2:], s, p)"
INDEXED = """at = [(ch * own[0] + i + a) * own[1] + j + b for ch in range(c) for a in range(k1) for b in range(k2)]
            rows.append(x.reshape(n, -1)[:, at])"""
MEANS = """seen = np.zeros_like(x)
    for row in range(cols.shape[1]):
        i, j = row // wide * stride, row % wide * stride
        seen[:, :, i:i + k1, j:j + k2] += 1
    x = x / np.maximum(seen, 1)
    return x[:, :, padding:"""
BACK = "dx = col2im(rows @ w.reshape(len(w), -1), x.shape[2:], w.shape[2:], s, p)"


def settings(stride='conv_param["stride"]', padding='conv_param["pad"]'):
    return FORWARD[0], FORWARD[1].format(stride, padding)


def places(step_down, step_right, pad):
    """Return changes that make PLAIN step and pad so."""
    return [
        ("np.pad(image, padding)", f"np.pad(image, {pad})"),
        ("(h - r) // stride", f"(h - r) // {step_down}"),
        ("(w - s) // stride", f"(w - s) // {step_right}"),
        ("i * stride:i * stride + r", f"i * {step_down}:i * {step_down} + r"),
        ("j * stride:j * stride + s", f"j * {step_right}:j * {step_right} + s"),
    ]


WRITTEN = [
    (PAIR, [("w.reshape(len(w), -1).T + b", "w.reshape(len(w), -1).T / x.shape[1] + b")], "the output",
     "the channels are averaged, not summed"),
    (PAIR, [("reshape(len(x), len(w), h, wide)", "reshape(len(x), len(w), h, wide).swapaxes(2, 3)")], "the output",
     "rows and columns of the output are swapped"),
    (PAIR, [settings(stride="1")], "the output", "the stride is missing"),
    (PAIR, [settings(padding="0")], "the output", "the padding is missing"),
    (PAIR, [settings("1", "0")], "the output", "both the stride and the padding are missing"),
    (PLAIN, places("stride", 1, "padding"), "the output", "the stride is heeded down the rows only"),
    (PLAIN, places(1, "stride", "padding"), "the output", "the stride is heeded along the columns only"),
    (PLAIN, places("stride", "stride", "((padding, padding), (0, 0))"), "the output",
     "the padding is added above and below only"),
    (PLAIN, places("stride", "stride", "((0, 0), (padding, padding))"), "the output",
     "the padding is added left and right only"),
    (IM2COL, [("    for i in range(0, h - k1 + 1, stride):\n        for j in range(0, w - k2 + 1, stride):",
               "    for j in range(0, w - k2 + 1, stride):\n        for i in range(0, h - k1 + 1, stride):")],
     "the matrix of windows", "the places are listed column by column"),
    (IM2COL, [(ROWS, ROWS.replace(".reshape", ".transpose(0, 2, 3, 1).reshape"))], "the matrix of windows",
     "the channels stand last in each row"),
    (IM2COL, [("(0, 0), (padding, padding), (padding, padding)", "(0, 0), (0, 0), (0, 0)")], "the matrix of windows",
     "the padding is missing"),
    (IM2COL, [FLAT, ("h - k1 + 1", "own[0] - k1 + 1"), ("w - k2 + 1", "own[1] - k2 + 1")], "the matrix of windows",
     "padding is left out of an index: the last place is n + 2·padding − k, not n − k"),
    (IM2COL, [FLAT, (ROWS, INDEXED)], "the matrix of windows",
     "padding is left out of an index: rows of the padded image are n2 + 2·padding long, not n2"),
    (IM2COL, [("return x[:, :, padding:", MEANS)], "the image put back together",
     "cells are averaged instead of summed"),
    (PAIR, [(BACK, BACK.replace("s, p)", "s, p) / len(x)"))], "the input's gradient", "averaged over the batch"),
    (PAIR, [(BACK, BACK.replace("w.reshape", "w.swapaxes(2, 3).reshape"))], "the input's gradient",
     "rows and columns of the kernel are swapped"),
    (PAIR, [(BACK, BACK.replace(" s, p)", " 1, p)"))], "the input's gradient", None),
    (PAIR, [("return dx, dw, db", "return dx, dw / rows.shape[1], db")], "the weights' gradient",
     "averaged over the places of the window"),
    (PAIR, [("return dx, dw, db", "return dx, dw / rows.shape[1] / len(x), db")], "the weights' gradient",
     "averaged over images and places"),
    (PAIR, [("return dx, dw, db", "return dx, dw[:, :, ::-1, ::-1], db")], "the weights' gradient",
     "the kernel's gradient is flipped"),
    (PAIR, [("return dx, dw, db", "return dx, dw.swapaxes(2, 3), db")], "the weights' gradient",
     "rows and columns of the kernel are swapped"),
    (PAIR, [("return dx, dw, db", "return dx, dw, db / rows.shape[1]")], "the bias's gradient",
     "averaged over the places of the window"),
    (PAIR + GATHER, [(BACK, GATHERED), REPAIRS["padding"]], "the input's gradient",
     "a window's number counts from −padding"),
    (PAIR + GATHER, [(BACK, GATHERED), REPAIRS["stride"]], "the input's gradient",
     "divide a window's start by the stride"),
    (GATHER, [REPAIRS["padding"]], "the image put back together", "a window's number counts from −padding"),
    (GATHER, [REPAIRS["stride"]], "the image put back together", "divide a window's start by the stride"),
]  # fmt: skip


CLOSE = [("i * stride:i * stride + r", "i:i + r"), ("j * stride:j * stride + s", "j:j + s")]
IN_PLACE = "the output's size heeds it, the window's place doesn't"
WINDOWS = (
    "x[:, :, i:i + k1, j:j + k2].reshape",
    "x[:, :, i // stride:i // stride + k1, j // stride:j // stride + k2].reshape",
)
SPREAD = ("i, j = row // wide * stride, row % wide * stride", "i, j = row // wide, row % wide")
CUT = "x[:, :, padding:padding + h, padding:padding + w]"


@pytest.mark.parametrize(
    ("text", "changes", "result", "words"),
    [
        (PLAIN, CLOSE, "the output", IN_PLACE),
        (IM2COL, [WINDOWS], "the matrix of windows", IN_PLACE),
        (IM2COL, [SPREAD], "the image put back together", IN_PLACE),
        (PAIR, [SPREAD], "the input's gradient", IN_PLACE),
        (PAIR, [WINDOWS], "the weights' gradient", IN_PLACE),
        (PAIR, [(CUT, "x[:, :, :h, :w]")], "the input's gradient", "not [:, :, :n1, :n2]"),
        (PAIR, [(CUT, "x")], "the input's gradient", "padding left in"),
        (IM2COL, [(CUT, "x[:, :, :h, :w]")], "the image put back together", "not [:, :, :n1, :n2]"),
    ],
)
def test_a_stride_and_a_padding_that_are_heeded_by_half(text, changes, result, words):
    (found,) = (f for f in examined(text, *changes).findings if f.case and f.result == result)
    assert words in (found.reason or "nothing")


@pytest.mark.full
@pytest.mark.parametrize(("text", "changes", "result", "words"), WRITTEN)
def test_what_people_write_is_called_what_it_is(text, changes, result, words):
    found = [
        finding for finding in examined(text, *changes).findings if finding.case and finding.result == result
    ]
    assert len(found) == 1
    if words is None:
        assert found[0].reason is None
    else:
        assert words in (found[0].reason or "nothing")


def test_of_slips_that_explain_as_much_the_first_is_named():
    """With one image an average over its places is one over everything, too."""
    case = Case("one image", c=2, image=(5, 7))
    assert "over the places" in reason("dw", [(case, case.expected("dw") / 15)])
    assert "over the places" in reason("db", [(case, case.expected("db") / 15)])


def test_what_runs_past_the_end_counts_as_what_would():
    """The post's index without its division runs past the end of the matrix, and that is its sign."""
    wide = Case("wide", image=(8, 11), stride=2, padding=1)
    assert "missing stride" in (reason("image", [(wide, None)]) or "")
    assert reason("image", [(wide, None)], [wide]) is None


def test_another_error_than_an_index_past_the_end_has_no_reason():
    at = "def vec2arr(x, kernel_size, old_shape, stride=1, padding=0):\n"
    slip = (at, at + "    if stride > 1:\n        raise KeyError('stride')\n")
    report = examined(GATHER, slip)
    assert not report.right
    assert not report.to_dict()["right"]
    assert report.findings[0].problem == "KeyError: 'stride'"
    assert report.findings[0].reason is None
