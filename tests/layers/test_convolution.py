"""The convolution layers are the operators with parameters; wrong sizes are met where they are written."""

import re

import numpy as np
import pytest

import deepconv.layers as dl
from deepconv.operators.convolution import conv
from deepconv.operators.transposed import conv_transpose


def test_the_layer_is_the_operator():
    x = np.random.default_rng(0).normal(size=(2, 4, 7, 6))
    options = {"stride": (2, 1), "padding": 2, "dilation": (1, 2), "groups": 2, "padding_mode": "circular"}
    layer = dl.Conv2d(4, 6, (3, 2), **options).initialize((4, 7, 6), dtype=np.float64)
    layer.bias.data = np.arange(6.0)
    assert np.array_equal(layer(x), conv(x, layer.weight.value, layer.bias.value, **options))
    options = {"stride": 3, "padding": 1, "output_padding": 1, "dilation": 2, "groups": 2}
    layer = dl.ConvTranspose2d(4, 6, (3, 2), **options).initialize((4, 7, 6), dtype=np.float64)
    layer.bias.data = np.arange(6.0)
    assert np.array_equal(layer(x), conv_transpose(x, layer.weight.value, layer.bias.value, **options))


@pytest.mark.parametrize("kind", [dl.Conv2d, dl.ConvTranspose2d])
def test_channels_last_is_recognised(kind):
    layer = kind(3, 4, 3)
    text = (
        f"{kind.__name__}: x has 28 channels (shape (2, 28, 27, 3)) but in_channels=3; "
        f"x looks channels-last, so use np.moveaxis(x, -1, 1)"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        layer(np.zeros((2, 28, 27, 3)))
    with pytest.raises(ValueError, match=r"np.moveaxis\(x, -1, 0\)"):
        layer(np.zeros((28, 27, 3)))
    with pytest.raises(ValueError, match="pass 3 channels or make the layer with in_channels=5"):
        layer(np.zeros((2, 5, 28, 27)))
    with pytest.raises(ValueError, match="has 2 axes"):
        layer(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="has 2 axes"):
        kind(None, 4, 3)(np.zeros((3, 5)))


@pytest.mark.parametrize("kind", [dl.Conv2d, dl.ConvTranspose2d])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((0, 4, 3), {}, ValueError, "in_channels=0"),
        ((3, -1, 3), {}, ValueError, "out_channels=-1"),
        ((3.5, 4, 3), {}, TypeError, "in_channels=3.5"),
        ((3, 4, 0), {}, ValueError, "kernel_size=0"),
        ((3, 4, (3, 3, 3)), {}, ValueError, "kernel_size"),
        ((3, 4, 3), {"stride": 0}, ValueError, "stride=0"),
        ((3, 4, 3), {"dilation": (1, -1)}, ValueError, "dilation"),
        ((3, 4, 3), {"padding": -1}, ValueError, "padding=-1"),
        ((4, 6, 3), {"groups": 3}, ValueError, "groups=3 does not divide in_channels=4"),
        ((6, 4, 3), {"groups": 3}, ValueError, "groups=3 does not divide out_channels=4"),
        ((3, 4, 3), {"groups": 0}, ValueError, "groups=0"),
        ((3, 4, 3), {"bias": "yes"}, TypeError, "bias='yes'"),
    ],
)
def test_wrong_sizes_are_met_in_the_constructor(kind, arguments, options, error, text):
    with pytest.raises(error, match=f"{kind.__name__}: .*{text}"):
        kind(*arguments, **options)


def test_words_for_padding():
    with pytest.raises(ValueError, match="padding_mode='mirror' is not known"):
        dl.Conv2d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match="padding='full'"):
        dl.Conv2d(3, 4, 3, padding="full")
    with pytest.raises(ValueError, match="larger than the padded image"):
        dl.Conv2d(3, 4, 9)(np.zeros((1, 3, 4, 4)))


def test_groups_meet_the_inferred_channels():
    layer = dl.Conv2d(None, 4, 3, groups=2)
    with pytest.raises(ValueError, match="groups=2 does not divide in_channels=3"):
        layer(np.zeros((1, 3, 5, 5)))
    assert layer(np.zeros((1, 6, 5, 5))).shape == (1, 4, 3, 3)


def test_a_linear_layer_asks_for_flatten():
    with pytest.raises(
        ValueError, match=r"Linear: x has shape \(2, 3, 4, 5\) but in_features=60; put Flatten"
    ):
        dl.Linear(60, 2)(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match="pass 7 features or make the layer with in_features=6"):
        dl.Linear(7, 2)(np.zeros((2, 6)))


def test_the_cost_of_a_convolution():
    rows = dl.Conv2d(4, 6, (3, 2), groups=2).initialize((4, 5, 7)).summary((4, 5, 7))
    assert f"{6 * 2 * 3 * 2 + 6}" in rows
    assert f"{3 * 6 * 6 * 2 * 3 * 2:,}" in rows  # 3×6 places of 6 channels, each over 2 channels of 3×2
    rows = dl.ConvTranspose2d(4, 6, (3, 2), stride=2).summary((4, 5, 7))
    assert f"{5 * 7 * 4 * 6 * 3 * 2:,}" in rows
    model = dl.Sequential(dl.Conv2d(4, 6, (3, 2), groups=2), dl.ReLU(), dl.Conv2d(6, 2, 1))
    total = model.initialize((4, 5, 7)).summary((4, 5, 7)).splitlines()[-1]
    assert total.split() == ["total", str(78 + 14), f"{1296 + 3 * 6 * 2 * 6:,}"]


@pytest.mark.parametrize("kind", [dl.Conv2d, dl.ConvTranspose2d])
def test_no_channels_to_infer(kind):
    with pytest.raises(
        ValueError, match=r"x has no channels \(shape \(0, 9, 8\)\); pass \(N, C, H, W\), as x\[:, None\]"
    ):
        kind(None, 4, 3)(np.zeros((0, 9, 8), np.float32))


@pytest.mark.parametrize("padding", ["valid", "same", "same_lower", [(0, 1), (1, 0)]])
def test_a_transposed_layer_takes_every_padding_that_the_operator_takes(padding, rng):
    layer = dl.ConvTranspose2d(2, 3, (4, 5), stride=2, padding=padding).initialize(
        (2, 5, 4), dtype=np.float64
    )
    x = rng.standard_normal((2, 2, 5, 4))
    expected = conv_transpose(x, layer.weight.value, stride=2, padding=padding)
    np.testing.assert_array_equal(layer(x), expected)
    dl.check_gradients(layer, x)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            {"padding": "causal"},
            "ConvTranspose2d: padding='causal' is not known; use 'valid', 'same', 'same_lower'",
        ),
        ({"output_padding": 2}, "ConvTranspose2d: output_padding=2 must be under the stride"),
        ({"padding": "same", "stride": 5}, "ConvTranspose2d: padding='same' can't make 5 outputs"),
    ],
)
def test_a_transposed_layer_refuses_where_it_is_written(words, text):
    with pytest.raises(ValueError, match=text):
        dl.ConvTranspose2d(2, 3, 3, **{"stride": 2, **words})
