"""Schedules: where they begin, end and turn; the curves themselves are held against PyTorch's in tests/peers."""

import pytest

from deepconv.training.schedules import Constant, Cosine, OneCycle, StepDecay, WarmUp

ALL = [Constant(), StepDecay(), Cosine(), WarmUp(), WarmUp(0.3, then=Cosine()), OneCycle()]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 100])
def test_every_factor_is_from_0_to_1_however_short_the_run(schedule, total):
    factors = [schedule(step, total) for step in range(total)]
    assert all(isinstance(factor, float) and 0 <= factor <= 1 for factor in factors)


def test_one_cycle_rises_to_1_and_ends_at_its_end():
    factors = [OneCycle()(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.04, rel=1e-14)
    assert factors[29] == max(factors) == 1
    assert factors[99] == 1 / 25e4
    assert sorted(factors[:30]) == factors[:30]
    assert sorted(factors[29:], reverse=True) == factors[29:]


def test_one_cycle_may_rise_not_at_all_or_all_the_way():
    assert OneCycle(rise=0)(0, 10) == 1
    assert OneCycle(rise=1)(9, 10) == 1


def test_cosine_goes_half_way_in_half_the_time():
    assert Cosine(end=0.1)(0, 10) == 1
    assert Cosine(end=0.1)(5, 10) == pytest.approx(0.55)
    assert Cosine(end=0.1)(10, 10) == pytest.approx(0.1)


def test_step_decay_turns_exactly_at_its_points():
    schedule = StepDecay(at=(0.1, 0.3), factor=0.5)  # 0.1 · 30 is above 3 in floating point
    assert [schedule(step, 30) for step in (0, 2, 3, 8, 9, 29)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_warm_up_leaves_the_rest_of_the_run_to_the_next():
    schedule = WarmUp(0.2, start=0.5, then=Cosine())
    assert [schedule(step, 10) for step in (0, 1)] == [0.5, 0.75]
    assert [schedule(step, 10) for step in range(2, 10)] == [Cosine()(step, 8) for step in range(8)]


def test_equal_settings_are_equal_and_show_themselves():
    assert OneCycle(rise=0.2) == OneCycle(rise=0.2) != OneCycle()
    assert repr(WarmUp(0.1, then=Cosine())) == "WarmUp(fraction=0.1, start=0.01, then=Cosine(end=0.0))"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepDecay(at=(0.5, 1.5)), "StepDecay: at=1.5 is not from 0 to 1"),
        (lambda: Cosine(-1), "Cosine: end=-1 is not from 0 to 1"),
        (lambda: WarmUp(fraction=5), "WarmUp: fraction=5 is not"),
        (lambda: OneCycle(rise=float("nan")), "OneCycle: rise=nan is not"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
