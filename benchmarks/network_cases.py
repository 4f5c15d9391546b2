"""What the training steps are made of, whoever makes them: batches, and the optimizer's settings."""

from collections.abc import Iterator

import numpy as np

CLASSES = 10
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.001, 0.9, 5e-4

BATCHES = {
    "lenet": (64, 1, 28, 28),
    "digits": (64, 1, 8, 8),
    "resnet20": (32, 3, 32, 32),
    "mobile": (16, 3, 64, 64),
}
"""The shape of each network's batch, `(N, C, H, W)`."""


def batch(network: str) -> tuple[np.ndarray, np.ndarray]:
    """Return random images in float32 and their classes, the same for every peer."""
    rng = np.random.default_rng(1)
    shape = BATCHES[network]
    return rng.standard_normal(shape, np.float32), rng.integers(0, CLASSES, shape[0])


def inverted_blocks() -> Iterator[tuple[int, int, int, int]]:
    """Yield each inverted residual block of `mobile`: channels, filters, stride, expansion."""
    channels = 32
    for filters, stride, times, expansion in ((16, 1, 1, 1), (24, 2, 2, 6), (32, 2, 3, 6), (64, 2, 2, 6)):
        for index in range(times):
            yield channels, filters, stride if index == 0 else 1, expansion
            channels = filters
