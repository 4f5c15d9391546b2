"""Activations against Python's own mathematics, their gradients against central differences."""

import math

import numpy as np
import pytest

from deepconv.engine.erf import erf
from deepconv.operators import activation
from tests import oracles


def phi(v):
    return 0.5 * math.erfc(-v / math.sqrt(2))


def gelu_tanh(v):
    return 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))


# name, arguments, the same in plain Python, limits at -inf and inf
POINTWISE = [
    ("relu", {}, lambda v: max(v, 0.0), (0, math.inf)),
    ("relu6", {}, lambda v: min(max(v, 0.0), 6.0), (0, 6)),
    ("leaky_relu", {}, lambda v: v if v > 0 else 0.01 * v, (-math.inf, math.inf)),
    ("leaky_relu", {"negative_slope": 1.5}, lambda v: v if v > 0 else 1.5 * v, (-math.inf, math.inf)),
    ("leaky_relu", {"negative_slope": -0.5}, lambda v: v if v > 0 else -0.5 * v, (math.inf, math.inf)),
    ("leaky_relu", {"negative_slope": 0}, lambda v: max(v, 0.0), (0, math.inf)),
    ("sigmoid", {}, lambda v: 1 / (1 + math.exp(-v)), (0, 1)),
    ("tanh", {}, math.tanh, (-1, 1)),
    ("silu", {}, lambda v: v / (1 + math.exp(-v)), (0, math.inf)),
    ("gelu", {}, lambda v: v * phi(v), (0, math.inf)),
    ("gelu", {"approximate": "tanh"}, gelu_tanh, (0, math.inf)),
]
POINTWISE_CASES = pytest.mark.parametrize(("name", "words", "plain", "limits"), POINTWISE)
AXIS_CASES = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


def functions(name):
    return getattr(activation, name), getattr(activation, f"{name}_input_grad")


@POINTWISE_CASES
def test_values_are_python_s(rng, name, words, plain, limits):
    function, _ = functions(name)
    x = rng.standard_normal((3, 5, 7)) * 4
    expected = np.vectorize(plain)(x)
    np.testing.assert_allclose(function(x, **words), expected, rtol=1e-12, atol=1e-15)
    for dtype, tolerance in ((np.float32, 2e-6), (np.float16, 4e-3)):
        got = function(x.astype(dtype), **words)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@POINTWISE_CASES
def test_gradients_are_what_differences_say(rng, name, words, plain, limits):
    function, input_grad = functions(name)
    x, dy = rng.standard_normal((2, 4, 5)) * 3, rng.standard_normal((2, 4, 5))
    expected = oracles.numeric_gradient(lambda v: function(v, **words), x, dy)
    np.testing.assert_allclose(input_grad(dy, x, **words), expected, atol=1e-7)
    for dtype in (np.float32, np.float16):
        got = input_grad(dy.astype(dtype), x.astype(dtype), **words)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, atol=2e-2 if dtype == np.float16 else 1e-5)


@POINTWISE_CASES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_there_are_limits_and_no_warnings(name, words, plain, limits, dtype):
    function, input_grad = functions(name)
    x = np.array([-np.inf, -1e30, -1e4, -100, 100, 1e4, 1e30, np.inf, np.nan], dtype)
    y = function(x, **words)
    assert (y[0], y[7]) == limits
    assert np.isfinite(y[1:7]).all()
    assert np.isnan(y[8])
    slopes = input_grad(np.ones_like(x), x, **words)
    assert np.isfinite(slopes[:8]).all()
    np.testing.assert_allclose(slopes[[0, 7]], slopes[[1, 6]], atol=1e-30)
    assert np.isfinite(function(np.array([-1e4, 1e4], np.float16), **words)).all()


@POINTWISE_CASES
def test_small_values_are_right_relative_to_themselves(name, words, plain, limits):
    """Far to the left silu and gelu are small, but still the product that they are defined as."""
    x = np.array([-30.0, -21.5, -12.25, -5.5])
    if name.startswith("gelu"):
        x = x[-1:] if words else np.array([-5.5, -4.5])  # 1 + erf leaves no digits beyond
    y = getattr(activation, name)(x, **words)
    rtol = 1e-6 if name.startswith("gelu") else 1e-12
    np.testing.assert_allclose(y, [plain(v) for v in x], rtol=rtol)


def test_silu_gradient_far_to_the_left():
    x = np.array([-25.0, -21.5])
    s = np.exp(x) / (1 + np.exp(x))
    np.testing.assert_allclose(activation.silu_input_grad(np.ones(2), x), s * (1 + x * (1 - s)), rtol=1e-9)


def test_leaky_relu_at_zero_has_the_slope_of_the_left_side():
    """As in PyTorch, and as relu, whose slope at 0 is 0."""
    one, zero = np.ones(1), np.array([0.0])
    for slope in (0.25, 0.0, -3.0, 2.0):
        assert activation.leaky_relu_input_grad(one, zero, slope).tolist() == [slope]


def test_relu_at_zero_and_with_gradients_that_are_not_finite():
    x = np.array([-1.0, 0.0, 1.0, np.nan, -2.0])
    dy = np.array([np.inf, 1.0, np.inf, 3.0, np.nan])
    np.testing.assert_array_equal(activation.relu_input_grad(dy, x), [0, 0, np.inf, 3, 0])
    whole = np.array([-3, 4])
    np.testing.assert_array_equal(activation.relu(whole), [0, 4])
    assert activation.relu(whole.astype(np.int8)).dtype == np.int64
    np.testing.assert_array_equal(activation.relu_input_grad(np.array([7, 8]), whole), [0, 8])


@AXIS_CASES
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_and_its_gradient(rng, name, axis):
    function, input_grad = functions(name)
    x, dy = rng.standard_normal((3, 4, 5)) * 3, rng.standard_normal((3, 4, 5))
    powers = np.exp(x)
    expected = powers / powers.sum(axis, keepdims=True)
    if name == "log_softmax":
        expected = np.log(expected)
    np.testing.assert_allclose(function(x, axis=axis), expected, atol=1e-13)
    difference = oracles.numeric_gradient(lambda v: function(v, axis=axis), x, dy)
    np.testing.assert_allclose(input_grad(dy, x, axis=axis), difference, atol=1e-7)
    np.testing.assert_array_equal(function(x), function(x, axis=1))


def test_softmax_of_large_numbers():
    x = np.array([[1e4, 1e4, -1e4, -np.inf]])
    np.testing.assert_array_equal(activation.softmax(x), [[0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(
        activation.log_softmax(x), [[-np.log(2), -np.log(2), -2e4 - np.log(2), -np.inf]]
    )
    np.testing.assert_allclose(activation.log_softmax(np.array([[0.0, 800.0]])), [[-800, 0]])
    assert np.isnan(activation.softmax(np.array([[np.inf, 1.0]]))).all()
    x = np.array([[1e4, -1e4]], np.float32)
    np.testing.assert_array_equal(activation.softmax_input_grad(np.ones_like(x), x), [[0, 0]])
    np.testing.assert_array_equal(activation.log_softmax_input_grad(np.ones_like(x), x), [[-1, 1]])


@pytest.mark.parametrize("name", [*dict.fromkeys(case[0] for case in POINTWISE), "softmax", "log_softmax"])
def test_empty_arrays_and_refusals(rng, name):
    function, input_grad = functions(name)
    empty = np.zeros((0, 3))
    assert function(empty).shape == input_grad(empty, empty).shape == (0, 3)
    x = rng.standard_normal((2, 3))
    kept = x.copy()
    function(x), input_grad(x, x)
    np.testing.assert_array_equal(x, kept)
    with pytest.raises(
        ValueError, match=rf"{name}_input_grad: dy has shape \(3,\) but the output has \(2, 3\)"
    ):
        input_grad(x[0], x)
    if name not in ("relu", "relu6"):
        with pytest.raises(
            TypeError, match=rf"{name}: got int64 \(2, 3\), but {name} of a whole number is none"
        ):
            function(np.arange(6).reshape(2, 3))
    with pytest.raises(TypeError, match=f"{name}: x has dtype complex128"):
        function(x + 1j)


def test_unknown_arguments(rng):
    x = rng.standard_normal((2, 3))
    with pytest.raises(ValueError, match="gelu: approximate='erf' is not known; use 'none' or 'tanh'"):
        activation.gelu(x, approximate="erf")
    with pytest.raises(TypeError, match="leaky_relu: negative_slope='steep' is not a number"):
        activation.leaky_relu(x, "steep")
    with pytest.raises(
        ValueError, match=r"softmax: axis=2 is none of the 2 axes of x \(shape \(2, 3\)\); use -2 to 1"
    ):
        activation.softmax(x, axis=2)
    with pytest.raises(TypeError, match=r"softmax: axis=1\.0 is not a whole number"):
        activation.softmax(x, axis=1.0)
    assert activation.sigmoid(np.float64(0)) == 0.5
    assert activation.relu_input_grad(np.array(3.0), np.array(1.0)).shape == ()


def test_erf_is_python_s_to_the_last_digits(rng):
    edges = [0.46875, 4.0, 6.0]
    x = np.concatenate([
        rng.standard_normal(20_000) * 2, rng.uniform(-1e-6, 1e-6, 100), [0.0, 5e-324, 1e300],
        edges, np.nextafter(edges, 0), np.nextafter(edges, 9),
    ])  # fmt: skip
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(erf(x), expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(erf(-x), -expected, rtol=0, atol=1e-15)
    single = np.clip(x, -1e30, 1e30).astype(np.float32)
    np.testing.assert_allclose(erf(single), [math.erf(v) for v in single], rtol=0, atol=4e-7)
    np.testing.assert_array_equal(erf(np.array([-np.inf, np.inf, np.nan])), [-1, 1, np.nan])
    tiny = np.array([1e-300, 3e-10])
    np.testing.assert_allclose(erf(tiny), tiny * 2 / math.sqrt(math.pi), rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (4, 5), (40, 60)])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softmax", "log_softmax"])
def test_a_gradient_given_the_output_is_the_same(rng, name, shape, dtype):
    function, input_grad = getattr(activation, name), getattr(activation, f"{name}_input_grad")
    axis = (-1,) if "softmax" in name else ()
    if axis and not shape:
        return
    x, dy = (
        np.asarray(rng.standard_normal(shape)).astype(dtype),
        np.asarray(rng.standard_normal(shape), dtype),
    )
    for gradient in (dy, dy.astype(np.float64)):  # of a wider type than y, which then isn't used
        expected = input_grad(gradient, x, *axis)
        got = input_grad(gradient, x, *axis, y=function(x, *axis))
        np.testing.assert_allclose(got, expected, rtol=0, atol=20 * np.finfo(expected.dtype).eps, strict=True)


def test_an_output_of_another_shape_is_refused():
    x = np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"tanh_input_grad: y has shape \(4,\) but x has \(3, 4\)"):
        activation.tanh_input_grad(x, x, y=x[0])
