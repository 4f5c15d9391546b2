"""A call that was checked before is not checked again, and yet nothing slips through."""

import numpy as np
import pytest

import deepconv as dc
from deepconv.engine.choice import Plan
from deepconv.operators import calls, convolution


@pytest.fixture
def operands():
    rng = np.random.default_rng(3)
    return tuple(rng.standard_normal(s).astype("f4") for s in ((2, 3, 7, 6), (4, 3, 3, 2), (4,)))


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(calls, "_kept", {})


def all_passes(x, w, b, **words):
    y = dc.conv(x, w, b, **words)
    return y, dc.conv_input_grad(y, w, x.shape, **words), dc.conv_weight_grad(y, x, w.shape, **words)


def test_the_second_call_is_not_checked_and_gives_the_same(operands, monkeypatch):
    first = all_passes(*operands, stride=(2, 1), padding=((1, 0), (0, 2)))
    assert len(calls._kept) == 3
    monkeypatch.setattr(convolution, "case_of", None)  # whoever checks fails
    for a, b in zip(first, all_passes(*operands, stride=(2, 1), padding=((1, 0), (0, 2))), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "words",
    [{"stride": True}, {"padding": (1, True)}, {"padding": ((1, 1), (1, True))}, {"dilation": 1.0}, {"groups": 1.0},
     {"stride": (1.0, 1)}, {"padding": ((1, 1), (1, 1.0))}],
)  # fmt: skip
def test_what_equals_a_whole_number_is_still_refused(operands, words):
    x, w, b = operands
    for padding in (0, 1, (1, 1), ((1, 1), (1, 1))):
        all_passes(x, w, b, padding=padding)
        all_passes(x, w, b, padding=padding, stride=(1, 1))
    with pytest.raises((TypeError, ValueError)):
        all_passes(x, w, b, **words)


def test_another_call_is_another_key(operands):
    """Whatever a result may depend on keeps calls apart."""
    x, w, b = operands
    keys = set()
    defaults = (1, 0, 1, 1, "zeros", False, "auto", False)
    variants = [defaults, (2, *defaults[1:]), (1, 1, *defaults[2:]), (1, "same", *defaults[2:]),
                (1, 0, 2, *defaults[3:]), (*defaults[:4], "reflect", False, "auto"),
                (*defaults[:5], True, "auto"), (*defaults[:6], "taps")]  # fmt: skip
    for words in variants:
        keys.add(calls.key_of("forward", (x, w, b), words))
    keys.add(calls.key_of("forward", (x, w, None), defaults))
    keys.add(calls.key_of("forward", (x[:1], w, b), defaults))
    keys.add(calls.key_of("forward", tuple(a.astype("f8") for a in (x, w, b)), defaults))
    keys.add(calls.key_of("weight_grad", (x, w, b), defaults))
    assert len(keys) == len(variants) + 4
    assert None not in keys


def test_settings_are_heeded_at_once(operands):
    x, w, b = operands
    all_passes(x, w, b)
    before = dc.get_workspace_limit()
    try:
        dc.set_workspace_limit(0)
        plans = [calls.find(calls.key_of("forward", (x, w, b), (1, 0, 1, 1, "zeros", False, "auto", False)))]
        dc.conv(x, w, b)
        plans.append(
            calls.find(calls.key_of("forward", (x, w, b), (1, 0, 1, 1, "zeros", False, "auto", False)))
        )
    finally:
        dc.set_workspace_limit(before)
    assert plans[0] is None
    assert isinstance(plans[1], Plan)
    assert plans[1].problem.workspace_limit == 0


def test_the_number_of_threads_is_heeded_at_once(operands):
    x, w, b = operands
    before = dc.get_threads()
    try:
        for count in (1, 2, 1):
            dc.set_threads(count)
            dc.conv(x, w, b)
            key = calls.key_of("forward", (x, w, b), (1, 0, 1, 1, "zeros", False, "auto", False))
            assert calls.find(key).problem.threads == count
    finally:
        dc.set_threads(before)


@pytest.mark.parametrize(
    "change",
    [lambda a: a.astype("f2"), lambda a: a.astype("i4"), lambda a: a.tolist(), lambda a: a.astype(">f4"),
     lambda a: np.ma.array(a)],
)  # fmt: skip
def test_other_kinds_of_operands_take_the_long_way(operands, change):
    x, w, b = operands
    assert calls.key_of("forward", (x, change(w), b), (1,)) is None
    assert calls.key_of("forward", (change(x), w, b), (1,)) is None
    dc.conv(x, w, b)
    kept = dict(calls._kept)
    y = dc.conv(x, change(w), b)
    np.testing.assert_allclose(y, dc.conv(x, np.asarray(change(w)).astype("f4"), b), rtol=2e-3, atol=2e-2)
    assert calls._kept == kept


def test_borders_flips_and_single_images_are_not_kept(operands):
    """They need more than the engine alone."""
    x, w, b = operands
    for words in ({"padding_mode": "reflect", "padding": 1}, {"flip": True}):
        all_passes(x, w, b, **words)
    all_passes(x[0], w, b)
    assert not calls._kept


def test_a_bias_of_another_size_is_refused_after_a_right_one(operands):
    x, w, b = operands
    dc.conv(x, w, b)
    with pytest.raises(ValueError, match=r"bias has shape \(3,\)"):
        dc.conv(x, w, b[:3])


def test_it_does_not_grow_without_end(operands, monkeypatch):
    _, w, b = operands
    monkeypatch.setattr(calls, "_MOST", 5)
    for n in range(1, 12):
        dc.conv(np.zeros((n, 3, 7, 6), "f4"), w, b)
        assert len(calls._kept) <= 5


@pytest.mark.parametrize("padding", [([1, 1], 1), ([1, 1], [1, 1])])
def test_lists_within_tuples_are_geometry_as_well(rng, padding):
    x, weight = rng.standard_normal((2, 3, 7, 6), np.float32), rng.standard_normal((4, 3, 3, 3), np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(dc.conv(x, weight, padding=padding), dc.conv(x, weight, padding=1))
