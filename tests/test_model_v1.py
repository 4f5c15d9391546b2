"""A model file of the first day, which must load for ever and give the outputs it gave then.

`model_v1.safetensors` was written once by `first_day().save(…)` after two training steps' statistics, and
`model_v1.npz` holds three inputs and the output. Neither is ever written again: a change that this test
doesn't survive breaks the files that people have.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import deepconv.layers as dl
from deepconv.storage import load, read_metadata

FOLDER = Path(__file__).parent / "data"
PATH = FOLDER / "model_v1.safetensors"
SHA256 = "e9d13cb1a3a26117d65983bae74a2f798a2df35eaa7a31a2d244313e15f64a20"
METADATA = {
    "classes": ["nought", "één", "二"],
    "preprocessing": {"mean": 0.25, "size": [9, 8], "invert": False, "note": None},
}
KINDS = {
    *("Add", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BatchNorm", "Concat", "Concatenate"),
    *("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
    *(
        "Dropout",
        "Flatten",
        "GELU",
        "GlobalAvgPool",
        "Graph",
        "GroupNorm",
        "LayerNorm",
        "LeakyReLU",
        "Linear",
    ),
    *("MaxPool1d", "MaxPool2d", "MaxPool3d", "ReLU", "Residual", "Sequential", "SiLU", "Sigmoid", "Softmax"),
    *("Tanh", "Upsample"),
}


def first_day() -> dl.Graph:
    """The network in the file: every layer of the first day, every kind of argument."""
    shared = dl.Conv2d(None, 4, (3, 2), padding="same", padding_mode="reflect")
    plane = dl.Sequential(
        dl.Conv2d(None, 4, 3, stride=(2, 1), padding=((0, 1), (1, 0)), dilation=(1, 2), groups=2),
        dl.BatchNorm(momentum=0.25),
        dl.ReLU(),
        dl.Residual(dl.Sequential(shared, dl.Tanh(), shared)),
        dl.Residual(dl.Conv2d(None, 6, 1, bias=False), dl.Conv2d(None, 6, 3, padding="same_lower")),
        dl.Concat(dl.MaxPool2d(2, ceil_mode=True), dl.AvgPool2d((2, 2), ceil_mode=True), axis=1),
        dl.GroupNorm(3),
        dl.Upsample(2, mode="linear"),
        dl.ConvTranspose2d(None, 3, 3, stride=2, padding=1, output_padding=1),
        dl.Dropout(0.25),
        dl.LeakyReLU(0.2),
        dl.GlobalAvgPool(),
    )
    line = dl.Sequential(
        dl.Conv1d(None, 4, 3, padding="causal", padding_mode="replicate"),
        dl.GELU("tanh"),
        dl.MaxPool1d(2),
        dl.ConvTranspose1d(None, 3, 2, stride=2, bias=False),
        dl.AvgPool1d(3, stride=1, padding=1, count_include_pad=False),
        dl.LayerNorm(eps=1e-4),
        dl.Flatten(),
        dl.Linear(None, 5),
        dl.Sigmoid(),
    )
    solid = dl.Sequential(
        dl.Conv3d(None, 2, (1, 2, 3), padding=1, padding_mode="circular"),
        dl.SiLU(),
        dl.MaxPool3d((1, 2, 2)),
        dl.AvgPool3d(2, padding=(0, 1, 0)),
        dl.ConvTranspose3d(None, 2, 2, groups=2),
        dl.GlobalAvgPool(),
        dl.GELU(),
    )
    nodes = {
        "plane": (plane, "x"),
        "line": (line, "y"),
        "solid": (solid, "z"),
        "sum": (dl.Add(), ["logits", "bent"]),  # declared before what it needs
        "all": (dl.Concatenate(), ["plane", "line", "solid"]),
        "logits": (dl.Linear(None, 3), "all"),
        "bent": (dl.Tanh(), "logits"),
        "probabilities": (dl.Softmax(), "sum"),
    }
    return dl.Graph(nodes, inputs=("x", "y", "z"), output="probabilities")


@pytest.fixture(scope="module")
def arrays():
    with np.load(FOLDER / "model_v1.npz") as data:
        return dict(data)


def test_the_file_is_the_one_of_the_first_day():
    assert hashlib.sha256(PATH.read_bytes()).hexdigest() == SHA256


def test_it_loads_and_gives_the_outputs_of_the_first_day(arrays):
    model = load(PATH)
    y = model(arrays["x"], arrays["y"], arrays["z"])
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, arrays["output"], rtol=1e-4)
    assert np.ptp(arrays["output"], axis=0).min() > 0.02  # outputs that differ, or equality says little
    again = model.astype(np.float64)(arrays["x"], arrays["y"], arrays["z"])
    np.testing.assert_allclose(again, arrays["exact"], rtol=1e-9)


def test_its_metadata_is_read(arrays):
    assert read_metadata(PATH) == load(PATH).metadata == METADATA


def test_it_held_every_layer_of_the_first_day():
    model = load(PATH)
    assert {type(layer).__name__ for _, layer in model.walk()} == KINDS
    assert dl.LAYERS.keys() >= KINDS
    assert repr(model).startswith("Graph([('plane', Sequential(Conv2d(4, 4, 3, stride=(2, 1)")


def test_saved_again_it_is_the_same_bytes(tmp_path):
    load(PATH).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == PATH.read_bytes()


def test_it_trains_on(arrays):
    model = load(PATH)
    y = model.forward(arrays["x"], arrays["y"], arrays["z"], rng=np.random.default_rng(0))
    model.backward(y - 0.5)
    assert all(np.isfinite(parameter.grad).all() for parameter in model.parameters().values())
