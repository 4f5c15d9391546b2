"""Transposed convolution: the adjoint of `conv`, stamps by hand, sizes and messages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepconv as dc
from tests.cases import CASES, geometries
from tests.conftest import examples

PLAIN = [c for c in CASES if c.mode == "zeros" and not isinstance(c.keywords.get("padding"), str)]


def stamped(x, w, stride, padding, output_padding, dilation, groups):
    """The definition: every input pixel adds its scaled kernel onto a canvas, then the border is cut."""
    rank = x.ndim - 2
    per_group_in, per_group_out = x.shape[1] // groups, w.shape[1]
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in
            zip(x.shape[2:], stride, dilation, w.shape[2:], strict=True)]  # fmt: skip
    canvas = np.zeros(
        (len(x), per_group_out * groups, *(f + e for f, e in zip(full, output_padding, strict=True)))
    )
    for n, c, *i in np.ndindex(*x.shape):
        g = c // per_group_in
        for k, *r in np.ndindex(*w.shape[1:]):
            place = tuple(a * s + b * d for a, s, b, d in zip(i, stride, r, dilation, strict=True))
            canvas[n, g * per_group_out + k, *place] += x[n, c, *i] * w[c, k, *r]
    cut = tuple(slice(b, canvas.shape[2 + a] - e) for a, (b, e) in enumerate(padding))
    assert len(cut) == rank
    return canvas[:, :, *cut]


@st.composite
def transposed(draw):
    rank = draw(st.integers(1, 3))
    most = {1: 7, 2: 4, 3: 3}[rank]
    axis = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    image, kernel, stride, dilation = axis(1, most), axis(1, 3), axis(1, 3), axis(1, 3)
    output_padding = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    padding = []
    for n, s, d, k, e in zip(image, stride, dilation, kernel, output_padding, strict=True):
        size = (n - 1) * s + d * (k - 1) + 1
        before = draw(st.integers(0, min(3, size - 1)))
        padding.append((before, draw(st.integers(0, min(3, size + e - 1 - before)))))
    groups = draw(st.integers(1, 2))
    shape = (draw(st.sampled_from([1, 2, 0])), groups * draw(st.integers(1, 2)), *image)
    weight = (shape[1], draw(st.integers(1, 2)), *kernel)
    return shape, weight, dict(stride=stride, padding=padding, output_padding=output_padding,
                               dilation=dilation, groups=groups)  # fmt: skip


@settings(max_examples=examples(60, full=1500))
@given(case=transposed(), seed=st.integers(0, 99))
def test_it_stamps_and_its_gradients_are_adjoint(case, seed):
    x_shape, w_shape, words = case
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    y = dc.conv_transpose(x, w, **words)
    np.testing.assert_allclose(y, stamped(x, w, **words), rtol=1e-12, atol=1e-12)
    dy = rng.standard_normal(y.shape)
    product = (y * dy).sum()
    dx = dc.conv_transpose_input_grad(dy, w, x.shape, **words)
    dw = dc.conv_transpose_weight_grad(dy, x, w.shape, **words)
    assert dx.shape == x.shape
    assert dw.shape == w.shape
    np.testing.assert_allclose((x * dx).sum(), product, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose((w * dw).sum(), product, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dc.conv_transpose_bias_grad(dy), dy.sum((0, *range(2, dy.ndim))))


@settings(max_examples=examples(40, full=1000))
@given(case=geometries())
def test_it_is_the_adjoint_of_conv(case):
    """<conv(x, w), y> = <x, conv_transpose(y, w)>, once the pixels that conv leaves unread are put back."""
    if case.mode != "zeros":
        return
    x, w, y = case.arrays()
    window = case.window
    reach = window.formula(x.shape[2:])
    unread = [
        n + b + a - s - (o - 1) * t
        for n, (b, a), s, o, t in zip(
            x.shape[2:], window.padding, window.span, y.shape[2:], window.stride, strict=True
        )
    ]
    words = dict(stride=window.stride, dilation=window.dilation, groups=case.groups)
    full = dc.conv_transpose(y, w, output_padding=unread, padding=window.padding, **words)
    assert full.shape == x.shape, reach
    product = (dc.conv(x, w, padding=window.padding, **words) * y).sum()
    np.testing.assert_allclose((x * full).sum(), product, rtol=1e-9, atol=1e-9)


def test_a_place_that_lies_in_the_padding_stamps_nothing():
    """`conv` may have such a place, so its adjoint must too (found by the full run)."""
    x, w = np.array([[[5.0]]]), np.array([[[3.0]]])
    words = dict(stride=2, padding=[(1, 0)], output_padding=1)
    assert dc.conv_transpose(x, w, **words).tolist() == [[[0.0]]]
    assert dc.conv_transpose(x, w, np.array([7.0]), **words).tolist() == [[[7.0]]]
    assert dc.conv_transpose_input_grad(np.array([[[2.0]]]), w, x.shape, **words).tolist() == [[[0.0]]]
    assert dc.conv_transpose_weight_grad(np.array([[[2.0]]]), x, w.shape, **words).tolist() == [[[0.0]]]


@pytest.mark.parametrize(("padding", "first"), [("same", 0), ("same_lower", 1)])
def test_same_gives_stride_times_as_many(padding, first):
    x, w = np.arange(1.0, 5).reshape(1, 1, 4), np.array([[[1.0, 10.0, 100.0]]])
    whole = dc.conv_transpose(x, w, stride=2)
    assert whole.shape == (1, 1, 9)
    np.testing.assert_array_equal(
        dc.conv_transpose(x, w, stride=2, padding=padding), whole[..., first : first + 8]
    )


@pytest.mark.parametrize(("padding", "first"), [("same", 0), ("same_lower", 1)])
def test_same_counts_the_output_padding(padding, first):
    x, w = np.arange(1.0, 5).reshape(1, 1, 4), np.array([[[1.0, 10.0, 100.0]]])
    whole = dc.conv_transpose(x, w, stride=3, output_padding=1)
    assert whole.shape == (1, 1, 13)
    same = dc.conv_transpose(x, w, stride=3, padding=padding, output_padding=1)
    np.testing.assert_array_equal(same, whole[..., first : first + 12])


def test_bias_and_one_image():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 2, 2, 3)), np.array([5.0, -70.0])
    y = dc.conv_transpose(x, w, b, stride=2, padding=1)
    np.testing.assert_allclose(y, dc.conv_transpose(x[None], w, stride=2, padding=1)[0] + b[:, None, None])


def test_types():
    x, w = np.ones((1, 1, 2), np.uint8) * 200, np.ones((1, 1, 3), np.uint8) * 100
    assert dc.conv_transpose(x, w).tolist() == [[[20000, 40000, 40000, 20000]]]
    assert dc.conv_transpose(x.astype(np.float16) / 200, w.astype(np.float16)).dtype == np.float16


def test_types_with_a_bias_are_those_of_conv():
    x, w = np.array([[[3, 4]]], np.uint8), np.array([[[2]]], np.int8)
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.uint64):
        bias = np.array([1], dtype)
        assert dc.conv_transpose(x, w, bias).dtype == dc.conv(x, w, bias).dtype
        assert dc.conv_transpose(x, w, bias).tolist() == [[[7, 9]]]
    half = np.array([[[45.25]]], np.float16)  # its square, 2047.5625, is 2048 in float16
    assert dc.conv_transpose(half, half, np.array([-0.5], np.float16)).item() == 2047


def test_a_bias_never_takes_integers_beyond_int64():
    x, w = np.array([[[-(2**62), 2**62]]]), np.array([[[1]]])
    assert dc.conv_transpose(x, w, np.array([2**62 - 1])).tolist() == [[[-1, 2**63 - 1]]]
    for bias in (np.array([2**62]), np.array([2**63], np.uint64)):
        with pytest.raises(OverflowError, match="conv_transpose: a bias of"):
            dc.conv_transpose(x, w, bias)


X, W = np.zeros((2, 4, 5, 5)), np.zeros((4, 3, 3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dc.conv_transpose(X, W, groups=3), ValueError, r"groups=3 does not divide .*=4.*use 1, 2 or 4"),
        (lambda: dc.conv_transpose(np.zeros((2, 5, 5, 4)), W), ValueError, "channels-last"),
        (lambda: dc.conv_transpose(X, W, output_padding=1), ValueError,
         r"conv_transpose: output_padding=1 must be under the stride \(1, 1\) or the dilation"),
        (lambda: dc.conv_transpose(X, W, stride=2, output_padding=-1), ValueError, "output_padding=-1 must be"),
        (lambda: dc.conv_transpose(X, W, padding=4), ValueError, r"no stamp would be left in the output, \(-1, -1\)"),
        (lambda: dc.conv_transpose(X, W, np.zeros(4)), ValueError, r"has 3 output channels.*use shape \(3,\)"),
        (lambda: dc.conv_transpose(X, W, stride=0), ValueError, "stride=0 must be at least 1"),
        (lambda: dc.conv_transpose(X, W, padding="causal"), ValueError, "padding='causal' is not known"),
        (lambda: dc.conv_transpose(X, W, stride=5, padding="same"), ValueError, "use output_padding=2 more"),
        (lambda: dc.conv_transpose_input_grad(np.zeros((2, 3, 7, 6)), W, X.shape), ValueError,
         r"dy has shape \(2, 3, 7, 6\) but the output has \(2, 3, 7, 7\)"),
        (lambda: dc.conv_transpose_weight_grad(np.zeros((1, 3, 7, 7)), X, W.shape), ValueError, "dy has shape"),
    ],
)  # fmt: skip
def test_what_can_not_work_says_why(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_shapes_given_as_arguments():
    x, w = np.zeros((1, 2, 4, 3)), np.zeros((2, 3, 3, 3))
    with pytest.raises(
        TypeError,
        match=r"conv_transpose_input_grad: x_shape is an array of shape \(1, 2, 4, 3\); pass its shape",
    ):
        dc.conv_transpose_input_grad(np.zeros((1, 3, 6, 5)), w, x)
    with pytest.raises(TypeError, match="conv_transpose_weight_grad: weight_shape=3 is not a shape"):
        dc.conv_transpose_weight_grad(np.zeros((1, 3, 6, 5)), x, 3)


def test_a_padding_that_a_transposed_convolution_lacks():
    with pytest.raises(
        ValueError, match=r"padding='causal' is not known; use 'valid', 'same', 'same_lower', a number"
    ):
        dc.conv_transpose(np.zeros((1, 2, 4)), np.zeros((2, 3, 3)), padding="causal")
