"""`conv` and its gradients: values against the definition, types, batches, messages."""

import numpy as np
import pytest

import deepconv as dc
from deepconv import reference
from deepconv.operators.convolution import conv_relu
from tests.cases import CASES

NAMED = {case.name: case for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_named_cases_in_all_passes(case):
    x, w, dy = case.arrays()
    rest = (case.window, case.groups, case.mode)
    words = case.keywords
    np.testing.assert_allclose(dc.conv(x, w, **words), reference.conv(x, w, *rest), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        dc.conv_input_grad(dy, w, x.shape, **words), reference.conv_input_grad(dy, w, x.shape, *rest),
        rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(
        dc.conv_weight_grad(dy, x, w.shape, **words), reference.conv_weight_grad(dy, x, w.shape, *rest),
        rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    axes = (0, *range(2, dy.ndim))
    np.testing.assert_allclose(dc.conv_bias_grad(dy), dy.sum(axes), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_integers_are_exact_in_all_passes(case):
    x, w, dy = case.arrays(np.int16)
    rest = (case.window, case.groups, case.mode)
    wide = [a.astype(np.int64) for a in (x, w, dy)]
    words = case.keywords
    y = dc.conv(x, w, **words)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, reference.conv(wide[0], wide[1], *rest))
    dx = dc.conv_input_grad(dy, w, x.shape, **words)
    np.testing.assert_array_equal(dx, reference.conv_input_grad(wide[2], wide[1], x.shape, *rest))
    dw = dc.conv_weight_grad(dy, x, w.shape, **words)
    np.testing.assert_array_equal(dw, reference.conv_weight_grad(wide[2], wide[0], w.shape, *rest))


def test_nine_two_hundreds_do_not_wrap():
    x = np.full((1, 1, 3, 3), 200, np.uint8)
    assert dc.conv(x, np.ones((1, 1, 3, 3), np.uint8)).item() == 1800


def test_integers_beyond_a_double_are_exact():
    rng = np.random.default_rng(3)
    x = rng.integers(-(2**40), 2**40, (1, 2, 5, 4))
    w = rng.integers(-(2**18), 2**18, (3, 2, 2, 3))
    w[0, 0, 0, 0] |= 1
    exact = reference.conv(x.astype(object), w.astype(object), NAMED["plain"].window.__class__(
        (2, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)))  # fmt: skip
    got = dc.conv(x, w)
    assert got.tolist() == exact.tolist()
    assert got.tolist() != dc.conv(x.astype(float), w.astype(float)).astype(np.int64).tolist()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_that_may_overflow_say_so(dtype):
    x = np.full((1, 1, 4), 2**62, dtype)
    with pytest.raises(OverflowError, match=r"conv: a sum of 2 products of .*may exceed int64; use float64"):
        dc.conv(x, np.ones((1, 1, 2), np.int64))
    with pytest.raises(OverflowError, match="conv_weight_grad"):
        dc.conv_weight_grad(np.ones((1, 1, 3), np.int64), x, (1, 1, 2))


def test_integers_bias_and_the_border_of_overflow():
    x = np.array([[[2**62, 1]]])
    w = np.array([[[1]]])
    assert dc.conv(x, w, np.array([2**62 - 1])).tolist() == [[[2**63 - 1, 2**62]]]
    with pytest.raises(OverflowError):
        dc.conv(x, w, np.array([2**62]))


def test_repeated_borders_count_in_the_overflow_bound():
    """A replicated pixel's gradient is a sum of many: it must not wrap either."""
    dy = np.full((1, 1, 41), 2**58)
    w = np.ones((1, 1, 1), np.int64)
    with pytest.raises(OverflowError):
        dc.conv_input_grad(dy, w, (1, 1, 1), padding=20, padding_mode="replicate")
    small = dc.conv_input_grad(dy // 2**10, w, (1, 1, 1), padding=20, padding_mode="replicate")
    assert small.item() == 41 * 2**48


def test_the_overflow_bound_counts_every_product_of_a_sum():
    """Each of these sums is 2**63 exactly: one product less, and it would fit and be exact."""
    one = np.ones((1, 1, 1), np.int64)
    with pytest.raises(OverflowError, match="conv: a sum of 4 products"):
        dc.conv(np.full((1, 2, 2), 2**61), np.ones((1, 2, 2), np.int64))
    with pytest.raises(OverflowError, match="conv_input_grad: a sum of 4 products"):
        dc.conv_input_grad(np.full((1, 4, 3), 2**61), np.ones((4, 1, 1), np.int64), (1, 1, 3))
    with pytest.raises(OverflowError, match="conv_input_grad: a sum of 2 products"):
        dc.conv_input_grad(np.full((1, 1, 2), 2**62), np.ones((1, 1, 2), np.int64), (1, 1, 3))
    with pytest.raises(OverflowError, match="conv_weight_grad: a sum of 2 products"):
        dc.conv_weight_grad(np.full((2, 1, 1), 2**62), np.ones((2, 1, 1), np.int64), one.shape)
    with pytest.raises(OverflowError, match="conv_weight_grad: a sum of 2 products"):
        dc.conv_weight_grad(np.full((1, 1, 2), 2**62), np.ones((1, 1, 2), np.int64), one.shape)
    with pytest.raises(OverflowError, match="conv_bias_grad: a sum of 4 numbers"):
        dc.conv_bias_grad(np.full((2, 1, 2), 2**61))
    assert dc.conv_bias_grad(np.full((2, 1, 2), 2**61 - 1)).tolist() == [2**63 - 4]


def test_the_overflow_bound_sees_negative_numbers():
    with pytest.raises(OverflowError):
        dc.conv(np.array([[-(2**62), 1]]), np.array([[[-2, 1]]]))
    with pytest.raises(OverflowError):
        dc.conv(np.array([[1, 1]]), np.array([[[-(2**62), -(2**62) - 1]]]))


def test_sums_just_beyond_a_double_are_exact():
    """2**53 + 1 is no float64."""
    assert dc.conv(np.array([[2**53, 1]]), np.array([[[1, 1]]])).tolist() == [[2**53 + 1]]
    assert dc.conv(np.array([[2**53]]), np.array([[[1]]]), np.array([1])).tolist() == [[2**53 + 1]]


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (np.float32, np.float32, np.float32),
        (np.float64, np.float64, np.float64),
        (np.float16, np.float16, np.float16),
        (np.float32, np.float64, np.float64),
        (np.float16, np.float32, np.float32),
        (np.uint8, np.float32, np.float32),
        (np.int64, np.float32, np.float64),
        (bool, np.int8, np.int64),
        (bool, bool, np.int64),
        (">f4", "<f4", np.float32),
    ],
)
def test_types(first, second, result):
    case = NAMED["plain"]
    x, w, dy = case.arrays(np.int8)
    if first is bool:
        x = x > 0
    if second is bool:
        w = w > 0
    x, w, dy = x.astype(first), w.astype(second), dy.astype(first)
    expected = reference.conv(x.astype(np.float64), w.astype(np.float64), case.window)
    y = dc.conv(x, w)
    assert y.dtype == result
    np.testing.assert_allclose(y, expected, rtol=2e-3)
    assert dc.conv_input_grad(dy, w, x.shape).dtype == result
    of_x = np.dtype(first).newbyteorder("=") if np.dtype(first).kind == "f" else np.int64
    assert dc.conv_weight_grad(dy, x, w.shape).dtype == of_x


def test_float16_is_summed_in_float32():
    """2048 + 1 is 2048 in float16; a thousand ones added to it one by one would vanish."""
    x = np.ones((1, 1, 1001), np.float16)
    x[0, 0, 0] = 2048
    y = dc.conv(x, np.ones((1, 1, 1001), np.float16))
    assert y.dtype == np.float16
    assert y.item() == 3048


@pytest.mark.parametrize(
    "array", [np.zeros((1, 1, 3), complex), np.array([[["a", "b"]]]), np.full((1, 1, 3), None)]
)
def test_what_is_no_number_is_refused(array):
    with pytest.raises(
        TypeError, match=r"conv: x has dtype .* \(shape \(1, 1, \d\)\).*use booleans, integers, float16"
    ):
        dc.conv(array, np.ones((1, 1, 2)))


@pytest.mark.parametrize(
    "name", ["plain", "depthwise_twofold", "signal", "volume", "reflect", "pointwise_strided"]
)
def test_one_image_without_a_batch_axis(name):
    case = NAMED[name]
    x, w, dy = case.arrays()
    one, gradient = x[:1], dy[:1]
    np.testing.assert_array_equal(dc.conv(one[0], w, **case.keywords), dc.conv(one, w, **case.keywords)[0])
    np.testing.assert_array_equal(
        dc.conv_input_grad(gradient[0], w, x.shape[1:], **case.keywords),
        dc.conv_input_grad(gradient, w, one.shape, **case.keywords)[0],
    )
    np.testing.assert_array_equal(
        dc.conv_weight_grad(gradient[0], one[0], w.shape, **case.keywords),
        dc.conv_weight_grad(gradient, one, w.shape, **case.keywords),
    )


@pytest.mark.parametrize("name", ["plain", "depthwise", "pointwise", "dilated_strided", "circular", "volume"])
def test_flip_is_the_other_convolution(name):
    case = NAMED[name]
    x, w, dy = case.arrays()
    turned = w[(slice(None), slice(None)) + (slice(None, None, -1),) * (w.ndim - 2)]
    words = case.keywords
    np.testing.assert_array_equal(dc.conv(x, w, flip=True, **words), dc.conv(x, turned, **words))
    np.testing.assert_array_equal(
        dc.conv_input_grad(dy, w, x.shape, flip=True, **words),
        dc.conv_input_grad(dy, turned, x.shape, **words),
    )
    dw = dc.conv_weight_grad(dy, x, w.shape, flip=True, **words)
    y_dot = (dc.conv(x, w, flip=True, **words) * dy).sum()
    np.testing.assert_allclose((dw * w).sum(), y_dot, rtol=1e-10)


def test_bias_is_added_once_for_each_filter_by_every_algorithm():
    case = NAMED["grouped"]
    x, w, _ = case.arrays()
    bias = np.array([1.0, -20.0, 300.0, 4000.0])
    for name in ("matmul", "taps"):
        with_bias = dc.conv(x, w, bias, algorithm=name, **case.keywords)
        np.testing.assert_allclose(
            with_bias - dc.conv(x, w, algorithm=name, **case.keywords), np.broadcast_to(
                bias[:, None, None], with_bias.shape), rtol=1e-9)  # fmt: skip


def test_not_a_number_arrives_where_the_definition_puts_it():
    x, w, _ = NAMED["plain"].arrays()
    x[1, 2, 3, 4] = np.nan
    expected = np.isnan(reference.conv(x, w, NAMED["plain"].window))
    for name in ("matmul", "taps"):
        np.testing.assert_array_equal(np.isnan(dc.conv(x, w, algorithm=name)), expected)
    assert 0 < expected.sum() < expected.size


X, W = np.zeros((2, 8, 5, 5)), np.zeros((4, 8, 3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dc.conv(X, W, groups=3), ValueError,
         r"^conv: groups=3 does not divide in_channels=8 \(x has shape \(2, 8, 5, 5\)\); use 1, 2, 4 or 8$"),
        (lambda: dc.conv(X, np.zeros((3, 4, 3, 3)), groups=2), ValueError,
         r"conv: groups=2 does not divide out_channels=3 \(weight has shape \(3, 4, 3, 3\)\); use 1 or 3"),
        (lambda: dc.conv(X, W, groups=0), ValueError, "conv: groups=0 must be at least 1"),
        (lambda: dc.conv(X, W, groups=-2), ValueError, "conv: groups=-2 must be at least 1"),
        (lambda: dc.conv(X, W, groups=2.0), TypeError, r"conv: groups=2\.0 is not a whole number"),
        (lambda: dc.conv(X, W, stride=0), ValueError, "conv: stride=0 must be at least 1"),
        (lambda: dc.conv(X, W, dilation=-1), ValueError, "conv: dilation=-1 must be at least 1"),
        (lambda: dc.conv(X, np.zeros((4, 8, 6, 3))), ValueError,
         r"conv: kernel_size=\(6, 3\) is larger than the padded image \(5, 5\)"),
        (lambda: dc.conv(X, np.zeros((4, 8, 0, 3))), ValueError, r"kernel_size=\(0, 3\) must be at least 1"),
        (lambda: dc.conv(X, np.zeros((4, 7, 3, 3))), ValueError,
         r"conv: x has 8 channels \(shape \(2, 8, 5, 5\)\) but weight of shape \(4, 7, 3, 3\) wants 7"),
        (lambda: dc.conv(np.zeros((2, 5, 6, 8)), W), ValueError,
         r"x looks channels-last: use x\.transpose\(0, 3, 1, 2\)"),
        (lambda: dc.conv(np.zeros((5, 6, 8)), W), ValueError,
         r"x looks channels-last: use x\.transpose\(2, 0, 1\)"),
        (lambda: dc.conv(np.zeros((5, 5)), W), ValueError,
         r"conv: x has 2 axes \(shape \(5, 5\)\) but weight of shape \(4, 8, 3, 3\) slides over 2 spatial axes"),
        (lambda: dc.conv(X, np.zeros((4, 8))), ValueError, r"conv: weight has 2 axes \(shape \(4, 8\)\)"),
        (lambda: dc.conv(X, W, np.zeros(3)), ValueError,
         r"conv: bias has shape \(3,\) but weight of shape \(4, 8, 3, 3\) has 4 filters; use shape \(4,\)"),
        (lambda: dc.conv(X, W, padding_mode="mirror"), ValueError,
         "conv: padding_mode='mirror' is not known; use 'zeros', 'reflect', 'replicate', 'circular'"),
        (lambda: dc.conv(X, W, padding=5, padding_mode="reflect"), ValueError,
         r"padding_mode='reflect' can't pad 5 pixels by \(5, 5\); it shows at most 4"),
        (lambda: dc.conv(X, W, padding=6, padding_mode="circular"), ValueError, "shows at most 5 on a side"),
        (lambda: dc.conv(X, W, padding="full"), ValueError, "conv: padding='full' is not known"),
        (lambda: dc.conv(np.zeros((2, 0, 5, 5)), np.zeros((4, 0, 3, 3))), ValueError, "there are no channels"),
        (lambda: dc.conv_input_grad(np.zeros((2, 4, 3, 4)), W, X.shape), ValueError,
         r"conv_input_grad: dy has shape \(2, 4, 3, 4\) but the output has \(2, 4, 3, 3\)"),
        (lambda: dc.conv_input_grad(np.zeros((1, 4, 3, 3)), W, X.shape), ValueError, "dy has shape"),
        (lambda: dc.conv_weight_grad(np.zeros((2, 5, 3, 3)), X, W.shape), ValueError,
         r"conv_weight_grad: dy has shape \(2, 5, 3, 3\) but the output has \(2, 4, 3, 3\)"),
        (lambda: dc.conv_weight_grad(np.zeros((2, 4, 3, 3)), X, (4, 7, 3, 3)), ValueError, "wants 7"),
        (lambda: dc.conv_bias_grad(np.zeros(3)), ValueError, r"conv_bias_grad: dy has shape \(3,\)"),
        (lambda: dc.explain((2, 8, 5, 5), (4, 8, 7, 7)), ValueError, "explain: kernel_size"),
    ],
)  # fmt: skip
def test_what_can_not_work_says_why(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_equals_a_number_seen_before_is_checked_all_the_same():
    """What was checked once is kept, and True == 1 == 1.0."""
    dc.conv(X, W, stride=1, groups=1)
    with pytest.raises(TypeError, match="stride=True is not a whole number"):
        dc.conv(X, W, stride=True, groups=1)
    with pytest.raises(TypeError, match=r"groups=1\.0 is not a whole number"):
        dc.conv(X, W, stride=1, groups=1.0)


@pytest.mark.parametrize("flip", ["q", 1, None, np.array([True, False])])
def test_flip_is_true_or_false_and_nothing_else(rng, flip):
    x, w = rng.standard_normal((2, 3, 5, 6)), rng.standard_normal((4, 3, 2, 3))
    dy = dc.conv(x, w, flip=True)
    with pytest.raises(TypeError, match=r"conv: flip=.* is not True or False"):
        dc.conv(x, w, flip=flip)
    with pytest.raises(TypeError, match=r"conv: flip=.* is not True or False"):
        conv_relu(x, w, flip=flip)
    with pytest.raises(TypeError, match=r"conv_input_grad: flip=.* is not True or False"):
        dc.conv_input_grad(dy, w, x.shape, flip=flip)
    with pytest.raises(TypeError, match=r"conv_weight_grad: flip=.* is not True or False"):
        dc.conv_weight_grad(dy, x, w.shape, flip=flip)


def test_a_gradient_of_another_batch_is_not_broadcast():
    """The post's class takes it silently."""
    with pytest.raises(ValueError, match=r"dy has shape \(1, 4, 3, 3\) but the output has \(2, 4, 3, 3\)"):
        dc.conv_weight_grad(np.zeros((1, 4, 3, 3)), X, W.shape)


def test_gradients_are_sums_over_the_batch():
    case = NAMED["plain"]
    x, w, dy = case.arrays()
    each = sum(dc.conv_weight_grad(dy[n : n + 1], x[n : n + 1], w.shape) for n in range(len(x)))
    np.testing.assert_allclose(dc.conv_weight_grad(dy, x, w.shape), each, rtol=1e-12)


def test_threads_may_call_at_once():
    from concurrent.futures import ThreadPoolExecutor

    case = NAMED["long_batch"]
    x, w, _ = case.arrays()
    expected = dc.conv(x, w, **case.keywords)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: dc.conv(x, w, **case.keywords), range(64)))
    assert all(np.array_equal(expected, r) for r in results)


def test_paddings_and_strides_may_be_arrays():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((4, 3, 3, 2))
    expected = dc.conv(x, w, stride=(2, 1), padding=[(1, 2), (0, 1)])
    np.testing.assert_array_equal(
        dc.conv(x, w, stride=np.array([2, 1]), padding=np.array([[1, 2], [0, 1]])), expected
    )


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (
            lambda x, w, y: dc.conv_input_grad(y, w, x),
            r"conv_input_grad: x_shape is an array of shape \(1, 2, 5, 4\)",
        ),
        (lambda x, w, y: dc.conv_input_grad(y, w, "1254"), "conv_input_grad: x_shape='1254' is not a shape"),
        (
            lambda x, w, y: dc.conv_input_grad(y, w, (1, 2, 5.0, 4)),
            "conv_input_grad: x_shape=.* is not a shape",
        ),
        (lambda x, w, y: dc.conv_weight_grad(y, x, 3), "conv_weight_grad: weight_shape=3 is not a shape"),
        (lambda x, w, y: dc.explain(x, w), "explain: x_shape is an array of shape .*; pass its shape"),
        (
            lambda x, w, y: dc.explain(x.shape, w.shape, dtype="float99"),
            "explain: dtype='float99' is not supported",
        ),
        (
            lambda x, w, y: dc.explain(x.shape, w.shape, dtype=complex),
            "explain: dtype=<class 'complex'> is not",
        ),
        (lambda x, w, y: dc.conv(None, w), "conv: x is None; pass an array of numbers"),
    ],
)
def test_shapes_and_types_that_are_none(use, text):
    x, w = np.zeros((1, 2, 5, 4)), np.zeros((3, 2, 3, 3))
    with pytest.raises(TypeError, match=text):
        use(x, w, dc.conv(x, w))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"padding": "SAME"}, "tensorflow's 'SAME' is 'same' here"),
        ({"padding": "SAME_LOWER"}, "onnx's 'SAME_LOWER' is 'same_lower' here"),
        ({"padding": 1, "padding_mode": "mirror"}, "scipy.ndimage's 'mirror' is 'reflect' here"),
        ({"padding": 1, "padding_mode": "edge"}, "'edge' is 'replicate' here"),
        ({"padding": "full"}, "pair per axis$"),  # none of ours: no remark
        ({"padding": 1, "padding_mode": "symmetric"}, "'circular'$"),
    ],
)
def test_other_libraries_words_are_translated(words, text):
    x, w = np.zeros((1, 2, 5, 4)), np.zeros((3, 2, 3, 3))
    with pytest.raises(ValueError, match=text):
        dc.conv(x, w, **words)
    with pytest.raises(ValueError, match=text):
        dc.Conv2d(2, 3, 3, **words)
