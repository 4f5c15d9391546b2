"""`correlate` and `convolve`: the sum by its definition, integers that never wrap, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepconv.images import BORDERS, apply, convolve, correlate

NUMPY = {"reflect": "symmetric", "mirror": "reflect", "edge": "edge", "wrap": "wrap", "zero": "constant"}


def by_definition(picture, kernel, border, anchor, constant=0):
    """Sum the products in plain loops; NumPy's pad says what lies beyond."""
    (rows, columns), (ay, ax) = kernel.shape, anchor
    if border != "crop":
        pads = [(ay, rows - 1 - ay), (ax, columns - 1 - ax)] + [(0, 0)] * (picture.ndim - 2)
        more = {"constant_values": constant} if border in ("zero", "constant") else {}
        picture = np.pad(picture, pads, mode=NUMPY.get(border, "constant"), **more)
    height, width = picture.shape[0] - rows + 1, picture.shape[1] - columns + 1
    out = np.zeros((height, width, *picture.shape[2:]), np.result_type(picture, kernel))
    for r in range(rows):
        for s in range(columns):
            out += kernel[r, s] * picture[r : r + height, s : s + width]
    return out


@st.composite
def problems(draw, borders=BORDERS):
    """Draw a picture, a kernel, a border and an anchor; the picture may be smaller than the kernel."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width, rows, columns = (draw(st.integers(1, 8)) for _ in range(4))
    channels = draw(st.sampled_from([(), (1,), (2,), (3,)]))
    border = draw(st.sampled_from(borders))
    if border == "crop":
        height, width = max(height, rows), max(width, columns)
    anchor = (draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1)))
    return rng, (height, width, *channels), (rows, columns), border, anchor


@given(problems())
def test_integers_are_exact(problem):
    rng, shape, size, border, anchor = problem
    picture = rng.integers(0, 256, shape, dtype=np.uint8)
    kernel = rng.integers(-9, 10, size)
    expected = by_definition(picture.astype(np.int64), kernel, border, anchor, 3)
    found = correlate(picture, kernel, border=border, anchor=anchor, constant=3)
    if border == "zero":
        expected = by_definition(picture.astype(np.int64), kernel, border, anchor, 0)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


@given(problems())
def test_convolve_is_correlate_with_all_turned(problem):
    rng, shape, size, border, (ay, ax) = problem
    picture, kernel = rng.standard_normal(shape), rng.standard_normal(size)
    mirrored = (size[0] - 1 - ay, size[1] - 1 - ax)
    np.testing.assert_array_equal(
        convolve(picture, kernel, border=border, anchor=(ay, ax)),
        correlate(picture, kernel[::-1, ::-1], border=border, anchor=mirrored),
    )


@given(problems())
def test_it_is_linear(problem):
    rng, shape, size, border, anchor = problem
    a, b = rng.standard_normal((2, *shape))
    k, m = rng.standard_normal((2, *size))
    more = dict(border=border, anchor=anchor)
    both = correlate(2 * a - 3 * b, k, **more)
    np.testing.assert_allclose(both, 2 * correlate(a, k, **more) - 3 * correlate(b, k, **more), atol=1e-10)
    sums = correlate(a, k + 5 * m, **more)
    np.testing.assert_allclose(sums, correlate(a, k, **more) + 5 * correlate(a, m, **more), atol=1e-10)


@given(problems([border for border in BORDERS if border not in ("zero", "constant")]))
def test_a_flat_picture_stays_flat(problem):
    rng, shape, size, border, anchor = problem
    kernel = rng.random(size) - 0.2
    kernel /= kernel.sum()
    flat = correlate(np.full(shape, 0.7), kernel, border=border, anchor=anchor)
    np.testing.assert_allclose(flat, 0.7, atol=1e-9 * np.abs(kernel).sum())


@given(problems())
def test_channels_are_filtered_by_themselves(problem):
    rng, shape, size, border, anchor = problem
    picture, kernel = rng.standard_normal((*shape[:2], 3)), rng.standard_normal(size)
    together = correlate(picture, kernel, border=border, anchor=anchor)
    for channel in range(3):
        alone = correlate(picture[..., channel], kernel, border=border, anchor=anchor)
        np.testing.assert_allclose(together[..., channel], alone, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_type(rng, dtype):
    picture = rng.random((7, 9, 3)).astype(dtype)
    found = correlate(picture, [[1, 2, 1]], divisor=4, offset=0.5)
    assert found.dtype == dtype
    expected = by_definition(picture.astype(np.float64), np.array([[1, 2, 1]]), "reflect", (0, 1)) / 4 + 0.5
    np.testing.assert_allclose(found, expected, rtol=2e-3 if dtype == np.float16 else 1e-6)


@pytest.mark.parametrize(
    ("dtype", "kernel", "more", "result"),
    [
        (np.uint8, [[1, 1]], {}, np.int64),
        (np.uint8, [[1, 1]], {"divisor": 1, "offset": 7}, np.int64),
        (np.uint8, [[1, 1]], {"divisor": 2}, np.float32),
        (np.uint16, [[0.5, 1]], {}, np.float32),
        (np.int32, [[0.5, 1]], {}, np.float64),
        (bool, [[1, 1]], {}, np.int64),
    ],
)
def test_the_type_of_integers(rng, dtype, kernel, more, result):
    picture = rng.integers(0, 2, (4, 5)).astype(dtype)
    found = correlate(picture, kernel, **more)
    assert found.dtype == result
    expected = by_definition(picture.astype(float), np.array(kernel), "reflect", (0, 1))
    np.testing.assert_allclose(found, expected / more.get("divisor", 1) + more.get("offset", 0))


@pytest.mark.parametrize("size", [2**7, 2**15, 2**31, 2**46, 2**50])
def test_large_integers_are_exact_or_refused(rng, size):
    picture = rng.integers(-size, size, (6, 7))
    kernel = rng.integers(-1000, 1000, (3, 2))
    found = correlate(picture, kernel, border="wrap")
    np.testing.assert_array_equal(found, by_definition(picture, kernel, "wrap", (1, 1)))
    with pytest.raises(OverflowError, match="could pass what int64 holds"):
        correlate(picture * 2 ** (62 - size.bit_length()), kernel)


@pytest.mark.parametrize("size", [(31, 31), (101, 1), (64, 65)])
def test_large_kernels_are_exact_too(rng, size):
    picture = rng.integers(0, 256, (90, 70), dtype=np.uint8)
    kernel = rng.integers(0, 2, size) * 2 - 1
    exact = by_definition(picture.astype(np.int64), kernel, "reflect", (size[0] // 2, size[1] // 2))
    np.testing.assert_array_equal(correlate(picture, kernel), exact)


def test_a_large_constant_is_exact_too():
    found = correlate(np.uint8([[3, 5]]), [[1, 1, 1]], border="constant", constant=2**40 + 1)
    assert found.tolist() == [[2**40 + 9, 2**40 + 9]]
    with pytest.raises(OverflowError, match="could pass what int64 holds"):
        correlate(np.uint8([[3, 5]]), [[1, 1, 1]], border="constant", constant=2**61)


def test_nine_times_200_does_not_wrap():
    assert correlate(np.full((3, 3), 200, np.uint8), np.ones((3, 3), np.uint8)).tolist() == [[1800] * 3] * 3
    assert correlate(np.zeros((1, 1), np.uint8), [[-1]], offset=-5).tolist() == [[-5]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(border="symmetric"), ValueError, "border='symmetric' is not known; use one of reflect"),
        (dict(border="crop", kernel=np.ones((9, 2))), ValueError, "crop.*leaves nothing.*4 × 5.*9 × 2"),
        (dict(anchor=(3, 0)), ValueError, r"anchor=\(3, 0\) is not a cell of a kernel of 3 × 2.*None for \(1, 1\)"),
        (dict(anchor=1), ValueError, "anchor=1 is not a cell"),
        (dict(divisor=0), ValueError, "divisor=0; divide by another number"),
        (dict(divisor="sum"), TypeError, "divisor='sum' is not a number"),
        (dict(offset=float("nan")), ValueError, "offset=nan; use a finite number"),
        (dict(constant=None), TypeError, "constant=None is not a number"),
        (dict(kernel=[1, 2, 3]), ValueError, r"kernel has shape \(3,\)"),
        (dict(kernel=np.ones((0, 3))), ValueError, r"kernel has shape \(0, 3\)"),
        (dict(kernel=[[1, np.inf]]), ValueError, r"kernel\[0, 1\] is inf"),
        (dict(kernel=[["a"]]), TypeError, "kernel has dtype"),
        (dict(picture=np.ones(3)), ValueError, r"picture has shape \(3,\)"),
        (dict(picture=np.ones((0, 3))), ValueError, r"picture has shape \(0, 3\)"),
        (dict(picture=np.ones((2, 2), complex)), TypeError, "picture has dtype complex"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("operation", [correlate, convolve])
def test_what_cannot_work_is_said(operation, change, error, message):
    arguments = dict(picture=np.ones((4, 5)), kernel=np.ones((3, 2))) | change
    with pytest.raises(error, match=message) as caught:
        operation(**arguments)
    assert str(caught.value).startswith(operation.__name__)
    assert "\n" not in str(caught.value)


def test_apply_is_correlate_and_with_flip_convolve(rng):
    picture, kernel = rng.random((8, 9, 3)), rng.random((2, 4))
    for border in BORDERS:
        more = dict(border=border, anchor=(0, 3))
        np.testing.assert_allclose(
            apply(picture, kernel, **more), correlate(picture, kernel, **more), atol=1e-12
        )
        np.testing.assert_allclose(
            apply(picture, kernel, flip=True, **more), convolve(picture, kernel, **more), atol=1e-12
        )
