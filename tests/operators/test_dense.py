"""The dense layer against sums written out, its gradients against the adjoint identities."""

import numpy as np
import pytest

from deepconv.operators.dense import linear, linear_bias_grad, linear_input_grad, linear_weight_grad


@pytest.mark.parametrize("lead", [(), (5,), (2, 3), (0,), (2, 0, 3)])
def test_linear_and_its_gradients(rng, lead):
    x, weight, bias = rng.standard_normal((*lead, 4)), rng.standard_normal((3, 4)), rng.standard_normal(3)
    y = linear(x, weight, bias)
    expected = np.empty((*lead, 3))
    for at in np.ndindex(*lead, 3):
        expected[at] = sum(x[(*at[:-1], i)] * weight[at[-1], i] for i in range(4)) + bias[at[-1]]
    np.testing.assert_allclose(y, expected)
    dy = rng.standard_normal(y.shape)
    plain = linear(x, weight)
    dx, dw = linear_input_grad(dy, weight), linear_weight_grad(dy, x)
    assert dx.shape == x.shape
    assert dw.shape == weight.shape
    np.testing.assert_allclose((dx * x).sum(), (dy * plain).sum(), atol=1e-12)
    np.testing.assert_allclose((dw * weight).sum(), (dy * plain).sum(), atol=1e-12)
    np.testing.assert_allclose(linear_bias_grad(dy), dy.reshape(-1, 3).sum(axis=0))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_type(rng, dtype):
    x, weight = rng.standard_normal((5, 4)).astype(dtype), rng.standard_normal((3, 4)).astype(dtype)
    y = linear(x, weight, weight[:, 0])
    assert {
        a.dtype for a in (y, linear_input_grad(y, weight), linear_weight_grad(y, x), linear_bias_grad(y))
    } == {np.dtype(dtype)}
    eps = np.finfo(dtype).eps
    exact = x.astype(np.float64) @ weight.T + weight[:, 0]
    np.testing.assert_allclose(y, exact, rtol=8 * eps, atol=8 * eps)


def test_integers_are_exact():
    x, weight = np.array([[2**31 + 1, -3]]), np.array([[2**31 - 1, 7]])
    assert linear(x, weight).item() == (2**31 + 1) * (2**31 - 1) - 21  # beyond what a double holds
    assert linear(x.astype(np.int8), np.array([[1, 2]], np.uint8), [True]).dtype == np.int64
    assert linear_weight_grad(np.array([[2**40 + 1]]), np.array([[2**20, 1]])).tolist() == [
        [2**60 + 2**20, 2**40 + 1]
    ]
    with pytest.raises(OverflowError, match=r"linear: a sum of 2 products .* exceeds int64"):
        linear(x, weight * 2**10)
    with pytest.raises(OverflowError, match="linear_bias_grad: a sum of 2 numbers"):
        linear_bias_grad(np.full((2, 1), 2**62))


def test_what_cannot_work_is_refused(rng):
    x, weight = rng.standard_normal((5, 4)), rng.standard_normal((3, 4))
    with pytest.raises(
        ValueError, match=r"linear: x has shape \(5, 3\) but weight of shape \(3, 4\) wants 4 inputs"
    ):
        linear(x[:, :3], weight)
    with pytest.raises(ValueError, match=r"linear: weight has shape \(3,\); use two axes, \(out, in\)"):
        linear(x, weight[:, 0])
    with pytest.raises(ValueError, match=r"bias has shape \(4,\) but weight of shape \(3, 4\) has 3 outputs"):
        linear(x, weight, x[0])
    with pytest.raises(
        ValueError, match=r"linear_input_grad: dy has shape \(5, 4\) but the output has \(5, 3\)"
    ):
        linear_input_grad(x, weight)
    with pytest.raises(
        ValueError, match=r"linear_weight_grad: dy has shape \(4, 3\) but the output has \(5, 3\)"
    ):
        linear_weight_grad(x[:4, :3], x)
    with pytest.raises(ValueError, match="without axes"):
        linear_bias_grad(np.array(3.0))
    with pytest.raises(TypeError, match="weight has dtype complex128"):
        linear(x, weight + 1j)


def test_integers_are_exact_just_beyond_a_double():
    """2**53 + 1 is no float64."""
    assert linear([2**53, 1], [[1, 1]]).tolist() == [2**53 + 1]
    assert linear([2**53], [[1]], [1]).tolist() == [2**53 + 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: linear([2**62, 2**62], [[1, 1]]),
        lambda: linear([2**62], [[1]], [2**62]),
        lambda: linear([1, 1], [[-(2**62) - 1, 1]]),
        lambda: linear_input_grad([2**62, 2**62], [[1], [1]]),
        lambda: linear_weight_grad(np.full((2, 1), 2**62), [[1], [1]]),
        lambda: linear_bias_grad(np.full((2, 1), 2**62)),
        lambda: linear_bias_grad(np.array([[-(2**62) - 1], [1]])),
    ],
)
def test_integers_that_may_overflow_say_so(call):
    with pytest.raises(OverflowError, match=r"linear.*: a sum of \d .* may reach"):
        call()
