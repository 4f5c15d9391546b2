"""Sizes, paddings and their names, against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepconv.geometry import PADDING_MODES, PADDING_NAMES, WORDS, check_groups, per_axis, split_batch, window


@given(
    n=st.integers(1, 30), k=st.integers(1, 6), s=st.integers(1, 5), d=st.integers(1, 4),
    b=st.integers(0, 7), a=st.integers(0, 7),
)  # fmt: skip
def test_output_size_counts_the_places_where_the_window_fits(n, k, s, d, b, a):
    places = [i for i in range(0, n + b + a, s) if i + d * (k - 1) < n + b + a]
    if not places:
        with pytest.raises(ValueError, match="larger than the padded image"):
            window("conv", (n,), k, stride=s, padding=[(b, a)], dilation=d)
    else:
        assert window("conv", (n,), k, stride=s, padding=[(b, a)], dilation=d).output_size((n,)) == (
            len(places),
        )


@given(n=st.integers(1, 30), k=st.integers(1, 6), s=st.integers(1, 5), d=st.integers(1, 4))
def test_same_gives_as_many_outputs_as_steps_and_the_odd_pixel_after(n, k, s, d):
    upper = window("conv", (n,), k, stride=s, padding="same", dilation=d)
    lower = window("conv", (n,), k, stride=s, padding="same_lower", dilation=d)
    assert upper.output_size((n,)) == lower.output_size((n,)) == (-(-n // s),)
    ((before, after),) = upper.padding
    assert after - before in (0, 1)
    assert lower.padding == ((after, before),)


@given(n=st.integers(1, 30), k=st.integers(1, 6), s=st.integers(1, 5), p=st.integers(0, 3))
def test_ceil_mode_takes_every_place_that_starts_inside(n, k, s, p):
    p = min(p, k // 2)  # as pooling demands
    if n + 2 * p < k:
        return
    starts = [i for i in range(0, n + p, s) if i - s + k < n + 2 * p]  # the one before did not reach the end
    assert window("pool", (n,), k, stride=s, padding=p, ceil_mode=True).output_size((n,)) == (len(starts),)


def test_causal_sees_nothing_after_itself():
    assert window("conv", (9,), 3, padding="causal", dilation=2).padding == ((4, 0),)
    assert window("conv", (9, 8), (3, 2), padding="causal", dilation=(2, 3)).padding == ((4, 0), (3, 0))


def test_formula_reads_as_written():
    text = window("conv", (7, 8), (3, 2), stride=2, padding=[(1, 1), (0, 1)]).formula((7, 8))
    assert (
        text
        == "floor((7 + 1 + 1 - 1*(3 - 1) - 1) / 2) + 1 = 4 by floor((8 + 0 + 1 - 1*(2 - 1) - 1) / 2) + 1 = 4"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(kernel_size=0), ValueError, r"conv: kernel_size=0 must be at least 1"),
        (dict(stride=0), ValueError, r"conv: stride=0 must be at least 1"),
        (dict(stride=(1, -2)), ValueError, r"conv: stride=\(1, -2\) must be at least 1"),
        (dict(dilation=0), ValueError, r"conv: dilation=0 must be at least 1"),
        (dict(stride=1.5), TypeError, r"conv: stride=1.5 is not a whole number"),
        (dict(stride=True), TypeError, r"conv: stride=True is not a whole number"),
        (dict(stride="2"), TypeError, r"conv: stride='2' is not a whole number"),
        (dict(stride=(1, 2, 3)), ValueError, r"conv: stride=\(1, 2, 3\) has 3 numbers for 2 spatial axes"),
        (dict(padding=-1), ValueError, r"conv: padding=-1 must be at least 0"),
        (dict(padding=[(-1, 1), 0]), ValueError, r"conv: padding=\[\(-1, 1\), 0\] must be at least 0"),
        (dict(padding="full"), ValueError, r"conv: padding='full' is not known; use 'valid', 'same'"),
        (dict(padding=(1, 2, 3)), ValueError, r"conv: padding=\(1, 2, 3\) has 3 entries for 2 spatial axes"),
        (dict(padding=[(1, 2, 3), 1]), TypeError, r"neither a number nor a \(before, after\) pair"),
        (dict(padding=None), TypeError, r"conv: padding=None is not a number"),
        (dict(kernel_size=(3, 9)), ValueError, r"kernel_size=\(3, 9\) is larger than the padded image \(6, 5\)"),
        (dict(kernel_size=8), ValueError, r"empty, floor\(\(6 \+ 0 \+ 0 - 1\*\(8 - 1\) - 1\) / 1\) \+ 1 = -1 by"),
        (dict(kernel_size=3, dilation=3), ValueError, r"spans \(7, 7\) with dilation=\(3, 3\)"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        window("conv", (6, 5), **{"kernel_size": 3, **arguments})


@pytest.mark.parametrize("stride", [2, np.int64(2), (2, 2), [2, 2], np.array([2, 2])])
def test_numbers_come_in_every_form(stride):
    assert per_axis("conv", "stride", stride, 2) == (2, 2)


def test_groups():
    message = (
        r"conv: groups=3 does not divide in_channels=8 \(x has shape \(2, 8, 5, 5\)\); use 1, 2, 4 or 8$"
    )
    with pytest.raises(ValueError, match=message):
        check_groups("conv", 3, in_channels=(8, "x has shape (2, 8, 5, 5)"))
    with pytest.raises(ValueError, match=r"groups=8 does not divide in_channels=3 .*; use 1 or 3$"):
        check_groups("conv", 8, in_channels=(3, "x has shape (2, 3, 5, 5)"))
    with pytest.raises(ValueError, match="groups=0 must be at least 1"):
        check_groups("conv", 0)
    with pytest.raises(TypeError, match=r"groups=2\.0 is not a whole number"):
        check_groups("conv", 2.0)


def test_split_batch_names_the_axes_that_are_missing():
    with pytest.raises(ValueError, match=r"x has 2 axes \(shape \(5, 5\)\).*need 4, \(N, C, H, W\), or 3"):
        split_batch("conv", np.zeros((5, 5)), 2)


def test_every_word_of_another_library_is_one_of_ours():
    ours = {None, *PADDING_NAMES, *PADDING_MODES}
    assert {word for words in WORDS.values() for word in words.values()} <= ours
    assert WORDS["tensorflow"]["SAME"] == "same"
