"""SciPy and OpenCV judge how pictures are filtered: every border, pictures smaller than the kernel too."""

from itertools import product

import numpy as np
import pytest

from deepconv.operators.planes import correlate_planes
from tests.peers.conftest import peer

ndimage = peer("scipy.ndimage")

MODES = {
    "reflect": "reflect",
    "mirror": "mirror",
    "edge": "nearest",
    "wrap": "wrap",
    "zero": "constant",
    "constant": "constant",
}
SIZES = [(1, 1), (1, 5), (2, 3), (7, 5), (23, 41), (70, 67)]
KERNELS = [(1, 1), (1, 6), (2, 3), (3, 3), (5, 4), (11, 9)]


@pytest.mark.parametrize("algorithm", ["auto", "fourier", "taps"])
@pytest.mark.parametrize("border", MODES)
def test_ndimage(rng, border, algorithm):
    for (image, kernel), channels in zip(product(SIZES, KERNELS), 7 * [1, 3, 4, 5, 3, 2], strict=False):
        x, w = rng.standard_normal((*image, channels)), rng.standard_normal(kernel)
        theirs = ndimage.correlate(x, w[:, :, None], mode=MODES[border], cval=1.5 * (border == "constant"))
        ours = correlate_planes(x, w, border=border, constant=1.5, algorithm=algorithm)
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12, err_msg=f"{image} {kernel}")


def test_a_nan_below_zero_cells_as_ndimage_has_it(rng):
    x, w = rng.standard_normal((21, 22, 3)), rng.standard_normal((5, 5))
    w[rng.random(w.shape) < 0.5] = 0
    x[rng.random(x.shape) < 0.02] = np.nan
    theirs = ndimage.correlate(x, w[:, :, None])
    np.testing.assert_array_equal(np.isnan(correlate_planes(x, w)), np.isnan(theirs))


def test_opencv(rng):
    cv2 = peer("cv2")
    borders = {
        "reflect": cv2.BORDER_REFLECT,
        "mirror": cv2.BORDER_REFLECT_101,
        "edge": cv2.BORDER_REPLICATE,
        "zero": cv2.BORDER_CONSTANT,
    }
    for (border, theirs), size, channels in product(borders.items(), (3, 5, 8, 13), (1, 3, 4)):
        x = rng.standard_normal((57, 83, channels)).astype(np.float32)
        w = rng.standard_normal((size, size)).astype(np.float32)
        y = cv2.filter2D(x, -1, w, borderType=theirs).reshape(x.shape)
        ours = correlate_planes(x, w, border=border)
        np.testing.assert_allclose(ours, y, rtol=1e-4, atol=2e-4, err_msg=f"{border} {size} {channels}")
