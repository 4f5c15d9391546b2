"""The networks whose steps are timed are those that networks.md names, and a step does what a trainer does."""

import numpy as np
import pytest

import deepconv as dc
from benchmarks.network_cases import BATCHES, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, batch
from benchmarks.networks import NETWORKS
from benchmarks.processes import Timed
from benchmarks.training import Steps, markdown
from benchmarks.training_peers import deepconv, read_parameters, request, write_parameters

# Counted by hand from networks.md; convolutions before a normalisation have no bias.
PARAMETERS = {"lenet": 431_080, "digits": 25_978, "resnet20": 272_474, "mobile": 150_282}


@pytest.mark.parametrize("name", BATCHES)
def test_each_network_has_the_parameters_of_its_description(name, tmp_path):
    path = str(tmp_path / "parameters.npz")
    assert write_parameters(name, path) == PARAMETERS[name]
    arrays = read_parameters(path)
    model = NETWORKS[name]().initialize(BATCHES[name][1:], seed=0)
    assert [a.shape for a in arrays] == [p.shape for p in model.parameters().values()]
    assert model(batch(name)[0][:2]).shape == (2, 10)


def test_mobile_has_eight_depthwise_layers_and_four_shortcuts():
    layers = [layer for _, layer in NETWORKS["mobile"]().walk()]
    assert sum(getattr(layer, "groups", 1) > 1 for layer in layers) == 8
    assert sum(isinstance(layer, dc.Residual) for layer in layers) == 4


def test_a_step_is_what_the_trainer_does(tmp_path):
    path = str(tmp_path / "parameters.npz")
    write_parameters("digits", path)
    step = deepconv(request("digits", path, dropout=False))
    losses = [step() for _ in range(3)]

    x, labels = batch("digits")
    model = NETWORKS["digits"]().initialize(x.shape[1:], seed=0)
    for _, layer in model.walk():
        if isinstance(layer, dc.Dropout):
            layer.p = 0.0
    optimizer = dc.SGD(LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    history = dc.Trainer(model, dc.CrossEntropy(), optimizer).fit((x, labels), epochs=3, batch_size=len(x))
    assert losses == pytest.approx([record.loss for record in history], rel=1e-5)
    assert losses[2] < losses[0]


def test_dropout_drops_where_it_is_timed(tmp_path):
    path = str(tmp_path / "parameters.npz")
    write_parameters("digits", path)
    with_, without = (deepconv(request("digits", path, dropout=dropout))() for dropout in (True, False))
    assert with_ != pytest.approx(without, rel=1e-4)


def test_parameters_of_another_network_are_refused(tmp_path):
    path = str(tmp_path / "parameters.npz")
    np.savez(path, *(np.zeros((2, 2), np.float32) for _ in range(11)))
    with pytest.raises(ValueError, match="stands where the file has"):
        deepconv(request("digits", path))


def test_slow_steps_are_marked():
    row = {"deepconv": Timed(2.0, 3.0, (1.0,)), "torch": Timed(3.0, 4.0, (1.0,))}
    text = markdown({"lenet": Steps(10, (1.0,), row)})
    assert "| lenet, a step against PyTorch on NCHW | 1.50 | at least 1.6 | missed ✗ |" in text
    assert "| lenet | 64×1×28×28 | 10 | 3000 | 2000.00 | 1.50 | 4000.00 | 3000.00 |" in text
