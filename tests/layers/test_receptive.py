"""The window a place sees, held against what really changes it: every pixel is made brighter once."""

import numpy as np
import pytest

import deepconv as dc
from deepconv.layers import Residual, Sequential
from deepconv.layers.receptive import centres
from deepconv.layers.tracing import trace

SHAPE = (2, 11, 9)


def linear_copy(model, seed):
    """The network with weights that are all positive, so that nothing cancels out and no ReLU is closed."""
    model.initialize(SHAPE, seed=seed, dtype=np.float64)
    for parameter in model.parameters().values():
        parameter.data = np.abs(parameter.value) + 0.1
    return model


def probed(model, name, row, column):
    """Return the rows and columns of pixels that change a place, by changing one after the other."""
    x = np.ones((SHAPE[1] * SHAPE[2], *SHAPE))
    plain = dc.activations(model, x[:1])[name][0, :, row, column]
    for place, picture in enumerate(x):
        picture[:, place // SHAPE[2], place % SHAPE[2]] += 100  # more than any other: it wins each maximum
    difference = np.abs(dc.activations(model, x)[name][:, :, row, column] - plain)
    changed = (difference > 1e-6).any(axis=1).reshape(SHAPE[1:])  # batches may be rounded differently
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


NETWORKS = {
    "plain": lambda: Sequential(dc.Conv2d(2, 3, (3, 2)), dc.ReLU(), dc.Conv2d(3, 2, 3)),
    "strided": lambda: Sequential(
        dc.Conv2d(2, 3, 3, stride=(2, 3), padding=1), dc.BatchNorm(), dc.Conv2d(3, 2, 2, padding="same")
    ),
    "dilated": lambda: Sequential(dc.Conv2d(2, 4, 3, dilation=(2, 3), padding="same_lower", groups=2)),
    "circular": lambda: Sequential(dc.Conv2d(2, 3, 3, padding=(2, 1), padding_mode="circular")),
    "reflected": lambda: Sequential(dc.Conv2d(2, 3, 5, padding=(4, 2), padding_mode="reflect")),
    "pooled": lambda: Sequential(
        dc.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        dc.ReLU6(),
        dc.AvgPool2d(2, stride=1, dilation=2),
        dc.Conv2d(2, 2, 2),
    ),
    "branches": lambda: Sequential(
        Residual(Sequential(dc.Conv2d(2, 2, 3, padding=1), dc.Conv2d(2, 2, 3, padding=1))),
        dc.Concat(dc.Conv2d(2, 1, 1), dc.Conv2d(2, 1, 5, padding=2)),
        dc.MaxPool2d(2),
    ),
    "transposed": lambda: Sequential(
        dc.MaxPool2d(2),
        dc.ConvTranspose2d(2, 2, 3, stride=2, padding=1, output_padding=1),
        dc.Conv2d(2, 2, 2),
    ),
    "enlarged": lambda: Sequential(
        dc.Conv2d(2, 2, 3, stride=2), dc.Upsample(2, mode="linear"), dc.Upsample((1, 2)), dc.Conv2d(2, 2, 2)
    ),
    "padding alone": lambda: Sequential(dc.Conv2d(2, 2, 2, padding=((3, 0), (0, 3)))),
    "all of it": lambda: Sequential(dc.Conv2d(2, 4, 3), dc.GroupNorm(2), dc.Conv2d(4, 2, 2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_more_and_no_less_than_what_changes_a_place(rng, name):
    model = linear_copy(NETWORKS[name](), 3)
    shapes = {layer: y.shape for layer, y in dc.activations(model, np.zeros((1, *SHAPE))).items()}
    for layer, (*_, height, width) in shapes.items():
        corners = [(0, 0), (height - 1, width - 1)]
        inside = [tuple(int(n) for n in rng.integers(0, (height, width))) for _ in range(3)]
        for row, column in [*corners, *inside]:
            got = dc.receptive_window(model, layer, row, column, input_shape=SHAPE)
            assert got == probed(model, layer, row, column), (layer, row, column)


def test_the_window_in_an_earlier_layer_holds_the_sum_that_made_the_value(rng):
    model = Sequential(dc.Conv2d(2, 3, 3), dc.ReLU(), dc.Conv2d(3, 4, (2, 3), stride=(1, 2)))
    model.initialize(SHAPE, seed=0, dtype=np.float64)
    seen = dc.activations(model, rng.standard_normal((1, *SHAPE)))
    rows, columns = dc.receptive_window(model, "2", 5, 1, input_shape=SHAPE, source="1")
    value = (seen["1"][0][:, rows, columns] * model[2].weight.value[3]).sum() + model[2].bias.value[3]
    np.testing.assert_allclose(value, seen["2"][0, 3, 5, 1], rtol=1e-12)


def test_a_network_without_values_stays_without():
    model = Sequential(dc.Conv2d(None, 3, 3), dc.Flatten(), dc.Linear(None, 2))
    assert dc.receptive_window(model, "0", 2, 3, input_shape=SHAPE) == (slice(2, 5), slice(3, 6))
    assert all(parameter.data is None for parameter in model.parameters().values())


def test_a_strangers_layer_sees_everything():
    class Turned(dc.Layer):
        def apply(self, x, *, training=True, rng=None):
            (x,) = self.prepare(x)
            y = x[..., ::-1]
            return y, dc.Pullback("Turned", y, lambda dy: (dy[..., ::-1], {}))

    window = dc.receptive_window(Sequential(Turned()), "0", 2, 3, input_shape=SHAPE)
    assert window == (slice(0, 11), slice(0, 9))


def test_what_cannot_be_asked_is_refused():
    model = Sequential(dc.Conv2d(2, 3, 3), dc.Flatten(), dc.Linear(None, 2)).initialize(SHAPE)
    with pytest.raises(
        ValueError, match=r"layer '1' gives \(189,\) for each picture, without rows and columns"
    ):
        dc.receptive_window(model, "1", 0, 0, input_shape=SHAPE)
    with pytest.raises(ValueError, match="row=9 is outside of layer '0', which has 0 to 8"):
        dc.receptive_window(model, "0", 9, 0, input_shape=SHAPE)
    with pytest.raises(ValueError, match="column=-1 is outside"):
        dc.receptive_window(model, "0", 0, -1, input_shape=SHAPE)
    with pytest.raises(TypeError, match=r"row=1.5 is not a whole number"):
        dc.receptive_window(model, "0", 1.5, 0, input_shape=SHAPE)
    with pytest.raises(ValueError, match=r"no layer 'conv'; use one of 'x', '0', '1', '2'"):
        dc.receptive_window(model, "conv", 0, 0, input_shape=SHAPE)
    with pytest.raises(ValueError, match=r"input_shape=\(11, 9\) is not that of one picture"):
        dc.receptive_window(model, "0", 0, 0, input_shape=(11, 9))


def test_centres_are_the_middles_of_the_windows():
    model = Sequential(
        dc.Conv2d(2, 3, (3, 2), dilation=(1, 2)),
        dc.MaxPool2d(2, stride=(1, 2)),
        dc.ReLU(),
        dc.Conv2d(3, 2, (2, 1)),
    ).initialize(SHAPE, seed=0)
    found = trace(model, [np.zeros((1, *SHAPE))])
    rows, columns = centres(found, "3", "x")
    assert found.outputs["3"].shape[2:] == (len(rows), len(columns)) == (7, 3)
    for row in range(7):
        for column in range(3):
            window = dc.receptive_window(model, "3", row, column, input_shape=SHAPE)
            middles = [(sides.start + sides.stop - 1) / 2 for sides in window]
            assert [rows[row], columns[column]] == middles


def test_centres_with_padding_and_of_layers_that_are_no_window():
    def laid(*layers):
        found = trace(Sequential(*layers).initialize(SHAPE), [np.zeros((1, *SHAPE))])
        return [at.tolist() for at in centres(found, list(found.steps)[-1], "x")]

    assert laid(dc.Conv2d(2, 2, 3, padding=1))[0] == list(range(11))
    assert laid(dc.Conv2d(2, 2, 3, stride=2, padding="same")) == [[0, 2, 4, 6, 8, 10], [0, 2, 4, 6, 8]]
    assert laid(dc.Conv2d(2, 2, 3, padding=1), dc.MaxPool2d(2), dc.MaxPool2d(2)) == [[1.5, 5.5], [1.5, 5.5]]
    rows, _ = laid(dc.Upsample(2))
    np.testing.assert_allclose(rows, np.arange(22) / 2 - 0.25)


def test_what_runs_along_a_side_sees_all_of_it():
    model = dc.Sequential(dc.Conv2d(1, 2, 1), dc.Softmax(axis=3))
    assert dc.receptive_window(model, "1", 2, 3, input_shape=(1, 5, 6)) == (slice(0, 5), slice(0, 6))
    channels = dc.Sequential(dc.Conv2d(1, 2, 1), dc.Softmax(axis=1))
    assert dc.receptive_window(channels, "1", 2, 3, input_shape=(1, 5, 6)) == (slice(2, 3), slice(3, 4))
