"""In inference a convolution and the ReLU behind it are computed at once; nobody can tell but by the clock."""

import numpy as np
import pytest

import deepconv as dc
from deepconv.layers.convolution import Conv2d
from deepconv.layers.graph import Graph
from deepconv.operators.convolution import conv, conv_relu


def stepwise(model, x):
    return model.run((x,), lambda name, layer, arrays: layer(*arrays))


class Louder(Conv2d):
    """A convolution of somebody's own, which must be asked itself."""

    def __call__(self, *inputs):
        return 2 * super().__call__(*inputs)


def models(conv_layer):
    yield dc.Sequential(conv_layer(3, 5, 3, padding=1), dc.ReLU(), conv_layer(5, 4, 1), dc.ReLU())
    yield Graph({"c": (conv_layer(3, 4, 3), ["x"]), "r": (dc.ReLU(), ["c"]), "both": (dc.Add(), ["c", "r"])})
    yield Graph({"c": (conv_layer(3, 4, 3), ["x"]), "r": (dc.ReLU(), ["c"])}, output="r")
    yield Graph({"c": (conv_layer(3, 4, 3), ["x"]), "l": (dc.LeakyReLU(), ["c"])})
    yield Graph({"c": (conv_layer(3, 4, 3), ["x"]), "r": (dc.ReLU(), ["c"]), "s": (dc.Add(), ["r", "r"])})


@pytest.mark.parametrize("conv_layer", [Conv2d, Louder])
@pytest.mark.parametrize("number", range(5))
def test_it_is_what_the_layers_give_one_by_one(rng, conv_layer, number):
    model = list(models(conv_layer))[number].initialize((3, 9, 8), seed=1)
    x = rng.standard_normal((2, 3, 9, 8)).astype("f4")
    np.testing.assert_array_equal(model(x), stepwise(model, x))
    assert len(model._rectified) == (conv_layer is Conv2d) * [2, 0, 1, 0, 1][number]


def test_relu_of_a_sum_with_nan_stays_nan():
    x, w = np.array([[[np.nan, -1.0, np.inf, -np.inf, 2.0]]]), np.array([[[1.0]]])
    np.testing.assert_array_equal(conv_relu(x, w), [[[np.nan, 0, np.inf, 0, 2]]])
    np.testing.assert_array_equal(conv_relu(x.astype("f4"), w.astype("f4")), [[[np.nan, 0, np.inf, 0, 2]]])


def test_every_kind_of_call(rng):
    x, w, b = (rng.standard_normal(s) for s in ((2, 4, 7, 6), (6, 2, 3, 2), (6,)))
    for words in (
        {},
        {"stride": 2, "padding": (1, 2)},
        {"padding": 1, "padding_mode": "reflect"},
        {"flip": True},
    ):
        expected = np.maximum(conv(x, w, b, groups=2, **words), 0)
        for _ in range(2):  # the second call is found again
            np.testing.assert_array_equal(conv_relu(x, w, b, groups=2, **words), expected)
    whole = np.arange(-8, 8).reshape(1, 1, 16)
    np.testing.assert_array_equal(conv_relu(whole, np.ones((1, 1, 1), int)), np.maximum(whole, 0))
    with pytest.raises(TypeError, match=r"conv_relu: strides is no argument; use stride, padding"):
        conv_relu(x, w, b, strides=2)
