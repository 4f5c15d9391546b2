"""What an installed deepconv must be able to do. Run by test_wheel.py, against the built wheel alone.

    python -P smoke.py FOLDER

FOLDER is where the wheel was installed; the current folder is written to.
"""

import sys
from pathlib import Path

import numpy as np

import deepconv as dc
from deepconv.data.digits import load_digits


def convolution_and_its_gradients(rng):
    x, weight = rng.standard_normal((2, 4, 7, 5)), rng.standard_normal((6, 2, 3, 2))
    how = {"stride": (2, 1), "padding": 1, "groups": 2}
    y = dc.conv(x, weight, **how)
    dy = rng.standard_normal(y.shape)
    dx = dc.conv_input_grad(dy, weight, x.shape, **how)
    dw = dc.conv_weight_grad(dy, x, weight.shape, **how)
    np.testing.assert_allclose([np.vdot(x, dx), np.vdot(weight, dw)], np.vdot(y, dy), rtol=1e-12)


def a_network_learns_and_survives_a_file(rng):
    pictures, labels = load_digits()
    assert pictures.shape == (1797, 1, 8, 8)
    assert np.bincount(labels).min() > 170
    x, labels = (pictures[:256] / 16).astype(np.float32), labels[:256]
    model = dc.Sequential(
        dc.Conv2d(1, 6, 3, padding="same"), dc.ReLU(), dc.MaxPool2d(2), dc.Flatten(), dc.Linear(None, 10)
    )
    model.initialize(x.shape[1:], seed=3)
    loss, optimizer = dc.CrossEntropy(), dc.SGD(learning_rate=0.2, momentum=0.9)
    values = []
    for _ in range(12):
        prediction, pullback = model.apply(x)
        value, dy = loss.apply(prediction, labels)
        optimizer.step(model.parameters(), pullback(dy)[1], 0.2)
        values.append(value)
    assert values[-1] < 0.5 * values[0], values
    model.save("model.safetensors")
    np.testing.assert_array_equal(dc.load("model.safetensors")(x), model(x))


def only_the_wheel_was_used(folder):
    ours = [module for name, module in sys.modules.items() if name.split(".")[0] == "deepconv"]
    assert len(ours) > 20
    strangers = [module.__file__ for module in ours if folder not in Path(module.__file__).parents]
    assert strangers == []


if __name__ == "__main__":
    convolution_and_its_gradients(np.random.default_rng(1))
    a_network_learns_and_survives_a_file(np.random.default_rng(2))
    only_the_wheel_was_used(Path(sys.argv[1]).resolve())
    print("the wheel works")
