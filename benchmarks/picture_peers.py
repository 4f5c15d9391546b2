"""Filters of pictures as they are timed: for each peer a function from a request to a call.

Full kernels are drawn, so that no two of their rows are alike; outer products are drawn line by line. All peers filter
each channel by itself, with the edge's pixel repeated (`reflect`), and return a new array.
"""

from typing import Any

import numpy as np

from benchmarks.measures import Call
from deepconv.arrays import Array


def drawn(asked: dict[str, Any]) -> tuple[Array, Array, Array, Array]:
    """Return the picture, the kernel, and the two lines it is the product of, for an outer product."""
    rng = np.random.default_rng(0)
    picture = rng.random(asked["shape"], dtype=np.float32)
    size = asked["size"]
    down, across = rng.random((2, size), dtype=np.float32) + np.float32(0.1)
    full = rng.standard_normal((size, size)).astype(np.float32)
    return picture, full if asked["full"] else np.outer(down, across), down, across


def deepconv(asked: dict[str, Any]) -> Call:
    """Return our call."""
    import deepconv as dc
    from deepconv.operators.planes import correlate_planes

    dc.set_threads(1)
    picture, kernel, _, _ = drawn(asked)
    return lambda: correlate_planes(picture, kernel)


def scipy(asked: dict[str, Any]) -> Call | None:
    """Return SciPy's call: two passes for an outer product; large kernels would take minutes."""
    from scipy import ndimage

    picture, kernel, down, across = drawn(asked)
    if not asked["full"]:
        return lambda: ndimage.correlate1d(ndimage.correlate1d(picture, down, axis=0), across, axis=1)
    if asked["size"] > 15:
        return None
    return lambda: ndimage.correlate(picture, kernel[:, :, None])


def cv2(asked: dict[str, Any]) -> Call:
    """Return OpenCV's call, `filter2D`."""
    import cv2

    cv2.setNumThreads(1)
    picture, kernel, _, _ = drawn(asked)
    return lambda: cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT)


def cv2_sep(asked: dict[str, Any]) -> Call | None:
    """Return OpenCV's call for an outer product, `sepFilter2D`."""
    import cv2

    cv2.setNumThreads(1)
    picture, _, down, across = drawn(asked)
    if asked["full"]:
        return None
    return lambda: cv2.sepFilter2D(picture, -1, across, down, borderType=cv2.BORDER_REFLECT)


PEERS = {"deepconv": deepconv, "scipy": scipy, "cv2": cv2, "cv2_sep": cv2_sep}
"""Every peer by name, ours first."""
