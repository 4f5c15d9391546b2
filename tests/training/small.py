"""A small problem and a small model with everything that a checkpoint has to carry."""

import numpy as np

from deepconv.layers.activation import ReLU
from deepconv.layers.convolution import Conv2d
from deepconv.layers.dense import Linear
from deepconv.layers.dropout import Dropout
from deepconv.layers.flatten import Flatten
from deepconv.layers.normalisation import BatchNorm
from deepconv.layers.sequential import Sequential


def pictures(n=90, seed=0):
    """Return pictures of 5 × 6 pixels in three classes: a bright row, a bright column, neither."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 120, (n, 1, 5, 6), dtype=np.uint8)
    y = rng.integers(0, 3, n)
    for picture, label in zip(x, y, strict=True):
        if label == 0:
            picture[0, rng.integers(0, 5)] += 110
        elif label == 1:
            picture[0, :, rng.integers(0, 6)] += 110
    return x, y


def scale(x):
    """Bring 0 … 255 to -1 … 1."""
    return x / np.float32(127.5) - 1


def network(dtype=np.float32, seed=0):
    """Return a network with running statistics and chance in it."""
    model = Sequential(
        Conv2d(1, 4, 3),
        BatchNorm(),
        ReLU(),
        Flatten(),
        Dropout(0.2),
        Linear(None, 8),
        ReLU(),
        Linear(None, 3),
    )
    return model.initialize((1, 5, 6), seed=seed, dtype=dtype)


def assert_same(a, b):
    """Assert that two dicts of arrays are the same, bit for bit."""
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name, strict=True)


def differs(a, b):
    """Tell whether any array differs."""
    return any(not np.array_equal(a[name], b[name]) for name in a)
