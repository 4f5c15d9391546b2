"""im2col, col2im and pad against the definition, their adjoints, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepconv as dc
from deepconv import reference
from tests.cases import CASES, geometries
from tests.conftest import examples

ZEROS = [c for c in CASES if c.mode == "zeros"]


def words(case):
    return {k: v for k, v in case.keywords.items() if k in ("stride", "padding", "dilation")}


def check_columns(case):
    x, _, _ = case.arrays()
    kernel = case.weight_shape[2:]
    cols = dc.im2col(x, kernel, **words(case))
    np.testing.assert_array_equal(cols, reference.im2col(x, case.window))
    g = np.random.default_rng(5).standard_normal(cols.shape)
    back = dc.col2im(g, x.shape[2:], kernel, **words(case))
    np.testing.assert_allclose(back, reference.col2im(g, x.shape, case.window), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose((cols * g).sum(), (x * back).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", ZEROS, ids=str)
def test_columns_on_the_named_cases(case):
    check_columns(case)


@settings(max_examples=examples(60, full=2000))
@given(case=geometries())
def test_columns_on_drawn_cases(case):
    if case.mode == "zeros":
        check_columns(case)


def test_conv_is_columns_times_weights():
    """The post's sentence: vec(x) · W."""
    case = next(c for c in CASES if c.name == "post_default")
    x, w, _ = case.arrays()
    product = dc.im2col(x, (3, 3), stride=2, padding=1) @ w.reshape(len(w), -1).T
    np.testing.assert_allclose(
        product.transpose(0, 2, 1).reshape(case.y_shape), dc.conv(x, w, stride=2, padding=1), rtol=1e-12
    )


def test_one_image_and_types():
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    cols = dc.im2col(image, (2, 2))
    assert cols.dtype == np.uint8
    assert cols.shape == (6, 8)
    assert cols[1].tolist() == [1, 2, 5, 6, 13, 14, 17, 18]
    back = dc.col2im(np.full((6, 8), 200, np.uint8), (3, 4), (2, 2))
    assert back.dtype == np.int64
    assert back[0].tolist() == [[200, 400, 400, 200], [400, 800, 800, 400], [200, 400, 400, 200]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dc.im2col(np.zeros((5, 5)), 3), ValueError,
         r"im2col: x has shape \(5, 5\) and kernel_size=3 is one number, so the spatial axes can't be told"),
        (lambda: dc.im2col(np.zeros((5, 5)), (3, 3)), ValueError, "im2col: x has 2 axes"),
        (lambda: dc.im2col(np.zeros((1, 1, 5, 5)), 6), ValueError, r"kernel_size=.*larger than the padded"),
        (lambda: dc.col2im(np.zeros((1, 9, 8)), (5, 5), 3), ValueError,
         r"col2im: cols has 8 columns .*no multiple of the 9 cells"),
        (lambda: dc.col2im(np.zeros((1, 8, 9)), (5, 5), 3), ValueError,
         r"col2im: cols has 8 rows \(shape \(1, 8, 9\)\) but the window takes 9 places"),
        (lambda: dc.col2im(np.zeros(9), (5, 5), 3), ValueError, "col2im: cols has shape"),
        (lambda: dc.pad(np.zeros((1, 1, 3)), 3, mode="reflect"), ValueError, "shows at most 2"),
        (lambda: dc.pad(np.zeros((1, 1, 3)), 1, mode="wrap"), ValueError, "mode='wrap' is not known"),
        (lambda: dc.pad(np.zeros((3,)), [(1, 1), (1, 1)]), ValueError, r"pad: padding=.*does not fit x of"),
        (lambda: dc.pad(np.zeros((3,)), [(-2, -2)]), ValueError, "cuts more than the 3 pixels"),
        (lambda: dc.pad(np.zeros((3,)), [(-2, 2)], mode="circular"), ValueError,
         r"mode='circular' can't pad 3 pixels by \(-2, 2\); it shows at most 1"),
        (lambda: dc.pad_input_grad(np.zeros(5), (3,), [(2, 1)]), ValueError, r"dy has shape \(5,\) but pad gives"),
    ],
)  # fmt: skip
def test_what_can_not_work_says_why(call, error, message):
    with pytest.raises(error, match=message):
        call()


@settings(max_examples=examples(80, full=2000))
@given(data=st.data())
def test_pad_shows_what_the_definition_shows_and_its_gradient_is_adjoint(data):
    axes = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(axes + data.draw(st.integers(0, 2))))
    mode = data.draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    pairs = []
    for n in shape[len(shape) - axes :]:
        most = {"zeros": 6, "reflect": n - 1, "replicate": 6, "circular": n}[mode]
        before = data.draw(st.integers(-(n // 2), most))
        if mode == "circular":
            most = n + min(0, before)
        after = data.draw(st.integers(-(n - n // 2) + (before < 0), most))
        if mode == "circular":
            before = min(before, n + min(0, after))
        pairs.append((before, after))
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    y = dc.pad(x, pairs, mode=mode)
    expected = x
    for axis, (before, after) in enumerate(pairs, len(shape) - axes):
        n = shape[axis]
        cells = [reference.source(i, n, mode) for i in range(-before, n + after)]
        if mode == "circular":  # what is left after the cut goes round, as in PyTorch
            first, left = max(0, -before), n + min(0, before) + min(0, after)
            cells = [first + i % left for i in range(-max(0, before), left + max(0, after))]
        taken = np.take(expected, [c or 0 for c in cells], axis)
        mask = np.array([c is not None for c in cells]).reshape(-1, *(1,) * (len(shape) - axis - 1))
        expected = np.where(mask, taken, 0)
    np.testing.assert_array_equal(y, expected)
    dy = rng.standard_normal(y.shape)
    dx = dc.pad_input_grad(dy, shape, pairs, mode=mode)
    assert dx.shape == shape
    np.testing.assert_allclose((x * dx).sum(), (y * dy).sum(), rtol=1e-9, atol=1e-9)


def test_pad_forms():
    x = np.arange(4).reshape(1, 1, 2, 2)
    assert dc.pad(x, 1, value=9).shape == (1, 1, 4, 4)
    assert dc.pad(x, 1, value=9)[0, 0, 0].tolist() == [9, 9, 9, 9]
    assert dc.pad(x, (0, 2)).shape == (1, 1, 2, 6)
    assert dc.pad(x, [(0, 0), (1, 0), (0, 0), (0, -1)]).tolist() == [[[[0], [0]], [[0], [2]]]]


def test_sums_of_float16_are_taken_in_float32():
    """2048 + 1 is 2048 in float16."""
    numbers = np.array([2048, 1, 1, 1], np.float16)
    cols = np.zeros((3, 3), np.float16)
    cols[[0, 1, 2], [2, 1, 0]] = 2048, 1, 1  # pixel 2 in each of the windows
    assert dc.col2im(cols, (5,), (3,)).tolist() == [[0, 0, 2050, 0, 0]]
    assert dc.pad_input_grad(numbers, (1,), [(1, 2)], mode="replicate").tolist() == [2052]  # 2051 to the even
    two = numbers.reshape(4, 1, 1).repeat(2, axis=1)  # so that NumPy adds image to image
    assert dc.conv_bias_grad(two).tolist() == [2052, 2052]


def test_integers_that_may_overflow_say_so():
    cols = np.full((2, 2), 2**62)
    with pytest.raises(OverflowError, match=r"col2im: a sum of 2 numbers of int64 .* exceeds int64"):
        dc.col2im(cols, (3,), (2,))
    assert dc.col2im(cols - 1, (3,), (2,)).tolist() == [[2**62 - 1, 2**63 - 2, 2**62 - 1]]
    dy = np.full((3,), 2**62)
    for mode in ("reflect", "replicate", "circular"):
        with pytest.raises(OverflowError, match="pad_input_grad: a sum of 2 numbers"):
            dc.pad_input_grad(dy, (2,), [(0, 1)], mode=mode)
    assert dc.pad_input_grad(dy, (1,), [(1, 1)]).tolist() == [2**62]


@pytest.mark.parametrize("kernel", [1, 5, (1, 7)])
@pytest.mark.parametrize("batched", [True, False])
def test_im2col_never_shares_memory_with_the_image(kernel, batched):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 7))
    if not batched:
        x, kernel = x[0], kernel if isinstance(kernel, tuple) else (kernel, kernel)
    before = x.copy()
    dc.im2col(x, kernel)[...] = 99
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("x", "value", "error", "text"),
    [
        (np.zeros((2, 3), np.uint8), 300, ValueError, "pad: value=300 is beyond uint8"),
        (np.zeros((2, 3), np.uint8), -1, ValueError, "pad: value=-1 is beyond uint8"),
        (np.zeros((2, 3), int), 1.5, ValueError, "pad: value=1.5 is not a whole number, but x is int64"),
        (np.zeros((2, 3), int), np.nan, ValueError, "pad: value=nan is not a whole number"),
        (np.zeros((2, 3), int), np.inf, ValueError, "pad: value=inf is beyond|is not a whole number"),
        (np.zeros((2, 3)), "a", TypeError, "pad: value has dtype <U1"),
        (np.zeros((2, 3)), [1, 2], TypeError, r"pad: value=\[1, 2\] is not one number"),
    ],
)
def test_a_border_that_the_array_cannot_hold(x, value, error, text):
    with pytest.raises(error, match=text):
        dc.pad(x, [(1, 1)], value=value)


def test_borders_that_an_array_can_hold():
    assert dc.pad(np.zeros((1, 1), np.uint8), [(1, 0)], value=255.0).tolist() == [[255, 0]]
    assert np.isnan(dc.pad(np.zeros((1, 1), np.float32), [(1, 0)], value=np.nan)[0, 0])
    assert dc.pad(np.zeros((1, 1), bool), [(1, 0)], value=True).tolist() == [[True, False]]
    largest = 2**63 - 1
    assert dc.pad(np.zeros((1, 1), np.int64), [(1, 0)], value=largest).tolist() == [[largest, 0]]


def test_shapes_given_as_arguments():
    with pytest.raises(TypeError, match="col2im: image_size=7 is not a shape"):
        dc.col2im(np.zeros((25, 9)), 7, 3)
    with pytest.raises(TypeError, match=r"pad_input_grad: x_shape=\(3, 'a'\) is not a shape"):
        dc.pad_input_grad(np.zeros((3, 5)), (3, "a"), [(1, 1)])
