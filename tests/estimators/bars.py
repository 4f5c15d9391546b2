"""Pictures that a small network learns to tell apart in a moment, and estimators of that size."""

import numpy as np

import deepconv as dc

SMALL = dict(layers=(4, "pool", 6), max_iter=4, random_state=0)


def bars(samples=60, height=6, width=7, channels=None, seed=0, dtype=np.float64):
    """Pictures with a bright row or column, which a small network tells apart."""
    rng = np.random.default_rng(seed)
    x = rng.normal(100, 15, (samples, height, width, channels or 1))
    y = rng.integers(0, 2, samples)
    for picture, label in zip(x, y, strict=True):
        if label:
            picture[rng.integers(height)] += 80
        else:
            picture[:, rng.integers(width)] += 80
    x = np.clip(x, 0, 255).astype(dtype)
    return (x if channels else x[..., 0]), y


def fitted(x, y, kind=dc.ConvClassifier, **settings):
    return kind(**SMALL | settings).fit(x, y)
