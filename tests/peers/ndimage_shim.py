"""A pytest plugin that puts `dc.conv` under `scipy.ndimage`, for SciPy's own tests to run on.

It replaces the one inner function that all of ndimage's correlations and convolutions go through. What
`dc.conv` can express goes to it; SciPy keeps the rest (complex numbers, more than three axes, int64 sums
that could pass what float64 holds, its own refusals). How many calls went where is written as JSON to the
file that DEEPCONV_SHIM_COUNTS names.
"""

import json
import os
from collections import Counter

import numpy as np
from scipy.ndimage import _filters, _ni_support

import deepconv as dc
from deepconv.geometry import WORDS

COUNTS: Counter = Counter()
THEIRS = _filters._correlate_or_convolve


def correlate_or_convolve(input, weights, output, mode, cval, origin, convolution, axes):  # noqa: A002
    """Take the place of `scipy.ndimage._filters._correlate_or_convolve`."""
    image, kernel = np.asarray(input), np.asarray(weights)
    reason = why_not(image, kernel, output, mode, axes)
    if not reason:
        kernel, origins = on_every_axis(image.ndim, axes, kernel.astype(np.float64), origin)
        if any(not -(k // 2) <= o <= (k - 1) // 2 for o, k in zip(origins, kernel.shape, strict=True)):
            reason = "refused by SciPy"
    COUNTS[reason or "ours"] += 1
    if reason:  # complex numbers come back here, one real part at a time
        return THEIRS(input, weights, output, mode, cval, origin, convolution, axes)
    result = _ni_support._get_output(output, image)
    result[...] = correlate(image, kernel, mode, cval, origins, convolution).astype(result.dtype)
    return result


def why_not(image, kernel, output, mode, axes):
    """Return why SciPy must do it, or None."""
    if not isinstance(mode, str) or mode not in {"reflect", "grid-mirror", *WORDS["scipy.ndimage"]}:
        return "unknown mode"
    if "c" in (image.dtype.kind, kernel.dtype.kind) or image.dtype.itemsize > 8:
        return "number type"
    if not 1 <= image.ndim <= 3 or image.size == 0 or kernel.size == 0:
        return "rank or empty"
    if kernel.ndim != (image.ndim if axes is None else np.size(axes)):
        return "refused by SciPy"
    target = output.dtype if isinstance(output, np.ndarray) else np.dtype(output or image.dtype)
    return "result type" if target.kind in "uc" else None  # SciPy wraps unsigned results


def on_every_axis(rank, axes, kernel, origin):
    """Return kernel and origins for all axes, where SciPy was given some: size one on the others."""
    axes = _ni_support._check_axes(axes, rank)
    return _filters._expand_footprint(rank, axes, kernel, "weights"), _filters._expand_origin(
        rank, axes, origin
    )


def correlate(image, kernel, mode, cval, origins, convolution):
    """Return the sum that SciPy asks for, in float64 as SciPy computes it."""
    pairs = []
    for size, shift in zip(kernel.shape, origins, strict=True):
        before = (size - 1) // 2 - shift if convolution else size // 2 + shift
        pairs.append((int(before), int(size - 1 - before)))
    x = image.astype(np.float64)[None]
    if mode in ("reflect", "grid-mirror"):  # repeats the edge pixel, which no mode of ours does
        x = np.pad(x, [(0, 0), *pairs], mode="symmetric")
    else:
        x = dc.pad(x, pairs, mode=WORDS["scipy.ndimage"][mode], value=float(cval))
    return dc.conv(x, kernel[None, None], flip=bool(convolution))[0]


def pytest_configure(config):
    """Put ours in its place, before SciPy's tests are collected."""
    _filters._correlate_or_convolve = correlate_or_convolve


def pytest_unconfigure(config):
    """Say how many calls went where."""
    with open(os.environ["DEEPCONV_SHIM_COUNTS"], "w") as file:
        json.dump(COUNTS, file)
