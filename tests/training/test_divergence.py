"""NaN and infinity end a run, wherever they appear; the last good epoch is what remains."""

import numpy as np
import pytest

from deepconv.layers.dense import Linear
from deepconv.training import SGD, MeanSquared, Trainer, TrainingDiverged
from deepconv.training.checkpoints import read_checkpoint
from tests.training.small import assert_same

rng = np.random.default_rng(5)
X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))


def model():
    return Linear(3, 2).initialize((3,), dtype=np.float64)


class States:
    def __init__(self, of):
        self.of, self.states = of, [of.state()]

    def on_epoch_end(self, record):
        self.states.append(self.of.state())


class Spoilt(MeanSquared):
    """A loss that goes wrong at the given call of `apply`, in value or in slope."""

    def __init__(self, call, value=None, slope=None):
        self.call, self.value, self.slope, self.calls = call, value, slope, 0

    def apply(self, prediction, target, *, weight=None):
        value, slope = super().apply(prediction, target, weight=weight)
        self.calls += 1
        if self.calls == self.call:
            value = value if self.value is None else self.value
            slope = slope if self.slope is None else slope + self.slope
        return value, slope


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path, value):
    net = model()
    states = States(net)
    trainer = Trainer(
        net, Spoilt(11, value=value), SGD(0.125), callbacks=[states], checkpoint=tmp_path / "run.ckpt"
    )
    message = (
        rf"Trainer.fit: loss={value} at epoch 3, batch 3 of 4 \(learning rate 0\.125\); the weights are back at the "
        r"end of epoch 2; lower the learning rate or set clip_norm=1\.0"
    )
    with pytest.raises(TrainingDiverged, match=message) as caught:
        trainer.fit((X, Y), epochs=9, batch_size=10)
    assert (caught.value.epoch, caught.value.batch, caught.value.learning_rate) == (3, 3, 0.125)
    assert isinstance(caught.value, ArithmeticError)
    assert_same(net.state(), states.states[2])
    assert len(trainer.history) == 2
    found = read_checkpoint(tmp_path / "run.ckpt")
    assert_same(dict(found.model), states.states[2])
    assert len(found.history) == 2


def test_a_gradient_that_is_not_finite_stops_it_though_the_loss_is():
    net = model()
    start = net.state()
    with pytest.raises(
        TrainingDiverged, match=r"loss=\d.*, but SGD: the gradient of 'weight' .*batch 2 of 4.*before it"
    ):
        Trainer(net, Spoilt(2, slope=np.nan), SGD(0.1, momentum=0.9)).fit((X, Y), epochs=2, batch_size=10)
    assert_same(net.state(), start)


def test_a_learning_rate_far_too_high_is_caught_without_a_warning():
    net = Linear(3, 2).initialize((3,))
    with pytest.raises(TrainingDiverged, match=r"loss=(inf|nan) at epoch .*learning rate 1000\)"):
        Trainer(net, MeanSquared(), SGD(1000.0)).fit((X, Y), epochs=50, batch_size=10)
    assert all(np.isfinite(array).all() for array in net.state().values())


def test_bad_data_is_told_from_a_bad_learning_rate():
    spoilt = X.copy()
    spoilt[7, 1] = np.nan
    with pytest.raises(
        TrainingDiverged, match="loss=nan, as x of this batch holds NaN or infinity, at epoch 1"
    ):
        Trainer(model(), MeanSquared(), SGD(0.1)).fit((spoilt, Y), epochs=1, batch_size=40)


def test_weights_that_overflow_in_the_last_step_never_reach_a_checkpoint(tmp_path):
    net = Linear(3, 2).initialize((3,))
    start = net.state()
    trainer = Trainer(net, MeanSquared(), SGD(1e39), checkpoint=tmp_path / "run.ckpt")
    with pytest.raises(
        TrainingDiverged, match=r"'weight' holds NaN or infinity at epoch 1, after its last batch"
    ):
        trainer.fit((X, Y), epochs=1, batch_size=40)
    assert_same(net.state(), start)
    assert not (tmp_path / "run.ckpt").exists()


def test_a_validation_loss_that_is_not_finite_stops_it_too():
    spoilt = X.copy()
    spoilt[7, 1] = np.inf
    with pytest.raises(
        TrainingDiverged, match=r"validation loss=(inf|nan) at epoch 1, after its last batch"
    ) as caught:
        Trainer(model(), MeanSquared(), SGD(0.1)).fit((X, Y), (spoilt, Y), epochs=1)
    assert caught.value.batch is None
