"""Kernels, filters and picture files beside SciPy's, scikit-image's and OpenCV's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepconv.images import apply, convolve, correlate, effect, kernel, read_image, write_image
from deepconv.images.colour import to_linear
from tests.peers.conftest import peer

ndimage = peer("scipy.ndimage")
filters = peer("skimage.filters")
cv2 = peer("cv2")

NDIMAGE = {
    "reflect": "reflect",
    "mirror": "mirror",
    "edge": "nearest",
    "wrap": "wrap",
    "zero": "constant",
    "constant": "constant",
}
OPENCV = {
    "reflect": cv2.BORDER_REFLECT,
    "mirror": cv2.BORDER_REFLECT_101,
    "edge": cv2.BORDER_REPLICATE,
    "zero": cv2.BORDER_CONSTANT,
}


@st.composite
def problems(draw):
    """Draw a picture and a kernel of any sizes, the kernel larger at times, and a border."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width, rows, columns = (draw(st.integers(1, 9)) for _ in range(4))
    border = draw(st.sampled_from(list(NDIMAGE)))
    return rng.standard_normal((height, width)), rng.standard_normal((rows, columns)), border


@pytest.mark.parametrize(("ours", "theirs"), [(correlate, ndimage.correlate), (convolve, ndimage.convolve)])
@given(problem=problems())
def test_ndimage(ours, theirs, problem):
    picture, weights, border = problem
    constant = 0.7 if border == "constant" else 0.0
    expected = theirs(picture, weights, mode=NDIMAGE[border], cval=constant)
    np.testing.assert_allclose(ours(picture, weights, border=border, constant=constant), expected, atol=1e-12)


@given(problem=problems(), data=st.data())
def test_the_anchor_is_ndimages_origin_turned_around(problem, data):
    picture, weights, border = problem
    anchor = tuple(data.draw(st.integers(0, size - 1)) for size in weights.shape)
    origin = [cell - size // 2 for cell, size in zip(anchor, weights.shape, strict=True)]
    expected = ndimage.correlate(picture, weights, mode=NDIMAGE[border], origin=origin)
    np.testing.assert_allclose(
        correlate(picture, weights, border=border, anchor=anchor), expected, atol=1e-12
    )


@pytest.mark.parametrize("border", OPENCV)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 4), (5, 2), (13, 13), (1, 8)])
def test_filter2d(rng, border, size):
    picture, weights = rng.random((31, 23, 3)).astype(np.float32), rng.standard_normal(size)
    expected = cv2.filter2D(picture, -1, weights, borderType=OPENCV[border])
    np.testing.assert_allclose(correlate(picture, weights, border=border), expected, atol=2e-5)
    anchor = (size[0] - 1, 0)
    expected = cv2.filter2D(
        picture, -1, weights, anchor=(0, size[0] - 1), delta=0.25, borderType=OPENCV[border]
    )
    found = correlate(picture, weights, border=border, anchor=anchor, offset=0.25)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_bytes_are_rounded_as_in_opencv(rng):
    picture = rng.integers(0, 256, (40, 33, 3), dtype=np.uint8)
    for text in ("sharpen", "emboss", "outline", "box size=5"):
        expected = cv2.filter2D(
            picture, -1, effect(text).kernels[0].astype(np.float64), borderType=cv2.BORDER_REFLECT
        )
        np.testing.assert_array_equal(apply(picture, text, signed="clip"), expected)


@pytest.mark.parametrize("name", ["sobel", "scharr"])
def test_slopes_of_opencv(rng, name):
    picture = rng.random((20, 17))
    operator = getattr(cv2, name.capitalize())
    for axis, order in (("x", (1, 0)), ("y", (0, 1))):
        expected = operator(picture, cv2.CV_64F, *order, borderType=cv2.BORDER_REFLECT)
        np.testing.assert_allclose(correlate(picture, kernel(f"{name}-{axis}")), expected, atol=1e-12)


@pytest.mark.parametrize(("name", "total"), [("sobel", 4), ("prewitt", 3), ("scharr", 16)])
def test_slopes_of_scikit_image(rng, name, total):
    picture = rng.random((20, 17))
    for axis, side in (("x", "v"), ("y", "h")):
        expected = getattr(filters, f"{name}_{side}")(picture)
        np.testing.assert_allclose(apply(picture, f"{name}-{axis}", divisor=total), expected, atol=1e-12)
    magnitude = apply(picture, name, divisor=total) / np.sqrt(2)
    np.testing.assert_allclose(magnitude, getattr(filters, name)(picture), atol=1e-12)


def test_slopes_and_laplacian_of_scipy(rng):
    picture = rng.random((20, 17))
    np.testing.assert_allclose(
        correlate(picture, kernel("sobel-x")), ndimage.sobel(picture, axis=1), atol=1e-12
    )
    np.testing.assert_allclose(
        correlate(picture, kernel("prewitt-y")), ndimage.prewitt(picture, axis=0), atol=1e-12
    )
    np.testing.assert_allclose(correlate(picture, kernel("laplacian")), ndimage.laplace(picture), atol=1e-12)
    expected = cv2.Laplacian(picture, cv2.CV_64F, borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(correlate(picture, kernel("laplacian")), expected, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 3.7])
def test_gaussians(rng, sigma):
    picture = rng.random((30, 41))
    reach = kernel("gaussian", sigma=sigma).shape[0] // 2
    expected = ndimage.gaussian_filter(picture, sigma, radius=reach)
    np.testing.assert_allclose(apply(picture, "gaussian", sigma=sigma), expected, atol=1e-12)
    expected = filters.unsharp_mask(picture, radius=sigma, amount=1.5, preserve_range=True)
    found = apply(picture, "unsharp", sigma=sigma, amount=1.5, size=2 * int(4 * sigma + 0.5) + 1)
    np.testing.assert_allclose(found, expected, atol=1e-12)  # scikit-image reaches to 4 sigma


@pytest.mark.parametrize("size", [11, 15, 31])  # OpenCV has tables of rounded numbers up to 9
def test_gaussians_by_size(size):
    column = cv2.getGaussianKernel(size, 0)
    np.testing.assert_allclose(kernel("gaussian", size=size), column @ column.T, atol=1e-7)


def test_boxes(rng):
    picture = rng.random((20, 17, 3))
    expected = ndimage.uniform_filter(picture, (4, 7, 1))
    np.testing.assert_allclose(apply(picture, "box", size=(4, 7)), expected, atol=1e-12)


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
@pytest.mark.parametrize("phase", [0, 90, 40])
def test_gabor(angle, phase):
    expected = cv2.getGaborKernel((21, 21), 4.0, -np.radians(angle), 9.0, 0.6, -np.radians(phase), cv2.CV_64F)
    found = kernel("gabor", size=21, sigma=4, angle=angle, wavelength=9, aspect=0.6, phase=phase, balance=0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_differences_of_gaussians(rng):
    picture = rng.random((30, 41))
    expected = filters.difference_of_gaussians(picture, 1, 2, mode="reflect", truncate=3.0)
    np.testing.assert_allclose(apply(picture, "dog", sigma1=1, sigma2=2, size=13), expected, atol=2e-3)
    bells = ndimage.gaussian_filter(picture, 1, radius=6) - ndimage.gaussian_filter(picture, 2, radius=6)
    np.testing.assert_allclose(apply(picture, "dog", sigma1=1, sigma2=2, size=13), bells, atol=1e-12)


def test_laplacian_of_gaussian(rng):
    y, x = np.mgrid[:50, :50]
    picture = np.sin(x / 5) * np.cos(y / 7)
    expected = ndimage.gaussian_laplace(picture, 2.0)
    np.testing.assert_allclose(
        apply(picture, "log", sigma=2, size=17)[9:-9, 9:-9], expected[9:-9, 9:-9], atol=1e-3
    )


def test_light():
    colour = peer("skimage.color")
    grey = np.linspace(0, 1, 1001)
    expected = colour.rgb2xyz(np.stack([grey] * 3, axis=-1))[:, 1]
    np.testing.assert_allclose(to_linear(grey), expected / expected[-1], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_files_of_opencv(tmp_path, rng, dtype, ending, channels):
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, (19, 14, channels)).astype(dtype)
    pixels = pixels[..., 0] if channels == 1 else pixels
    swapped = pixels if channels == 1 else pixels[..., [2, 1, 0, 3][:channels]]
    cv2.imwrite(str(tmp_path / f"theirs{ending}"), swapped)
    read = read_image(tmp_path / f"theirs{ending}")
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.pixels.dtype == dtype
    write_image(tmp_path / f"ours{ending}", pixels)
    if (ending, channels, dtype) == (".tif", 4, np.uint8):
        return  # which libtiff premultiplies for OpenCV
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / f"ours{ending}"), cv2.IMREAD_UNCHANGED), swapped)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_files_of_scikit_image(tmp_path, rng, dtype, channels):
    io = peer("skimage.io")
    pixels = rng.random((19, 14, channels)) * (1 if np.dtype(dtype).kind == "f" else 255)
    pixels = (pixels[..., 0] if channels == 1 else pixels).astype(dtype)
    write_image(tmp_path / "ours.tif", pixels)
    np.testing.assert_array_equal(io.imread(tmp_path / "ours.tif"), pixels)
    io.imsave(tmp_path / "theirs.tif", pixels, check_contrast=False)
    read = read_image(tmp_path / "theirs.tif")
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.pixels.dtype == dtype
