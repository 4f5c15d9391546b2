"""Number types, judged by PyTorch's float64 and by Python's exact integers."""

import numpy as np
import pytest

import deepconv as dc
from tests.peers.conftest import peer

torch = peer("torch")
F = torch.nn.functional

# How far a result may stand from float64's, in units of the largest: a few roundings of its type.
ROUNDING = {np.float16: 2e-3, np.float32: 3e-6, np.float64: 1e-14}
INTEGERS = [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64]


def assert_near(ours, exact, dtype):
    assert ours.dtype == dtype
    exact = exact.detach().numpy()
    assert ours.shape == exact.shape
    assert np.abs(ours - exact).max() <= ROUNDING[dtype] * np.abs(exact).max()


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(
    "words", [{}, {"stride": 2, "padding": 1}, {"padding": 2, "dilation": 2, "groups": 3}]
)
def test_conv_and_its_gradients(rng, dtype, words):
    x = rng.standard_normal((2, 6, 11, 13)).astype(dtype)
    weight = rng.standard_normal((3, 6 // words.get("groups", 1), 3, 2)).astype(dtype)
    bias = rng.standard_normal(3).astype(dtype)
    leaves = [torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, weight, bias)]
    exact = F.conv2d(*leaves, **words)
    dy = rng.standard_normal(tuple(exact.shape)).astype(dtype)
    exact.backward(torch.from_numpy(dy.astype(np.float64)))
    assert_near(dc.conv(x, weight, bias, **words), exact, dtype)
    assert_near(dc.conv_input_grad(dy, weight, x.shape, **words), leaves[0].grad, dtype)
    assert_near(dc.conv_weight_grad(dy, x, weight.shape, **words), leaves[1].grad, dtype)
    assert_near(dc.conv_bias_grad(dy), leaves[2].grad, dtype)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_the_other_operators_keep_their_type(rng, dtype):
    x = rng.standard_normal((2, 4, 9, 7)).astype(dtype)
    gain, shift = rng.standard_normal((2, 4)).astype(dtype)
    dense = rng.standard_normal((5, 7)).astype(dtype)
    deconv = rng.standard_normal((4, 3, 3, 2)).astype(dtype)
    t = torch.from_numpy
    x64, gain64, shift64, dense64, deconv64 = (
        t(a.astype(np.float64)) for a in (x, gain, shift, dense, deconv)
    )
    for ours, exact in [
        (
            dc.conv_transpose(x, deconv, stride=2, padding=1),
            F.conv_transpose2d(x64, deconv64, stride=2, padding=1),
        ),
        (dc.max_pool(x, 3, stride=2), F.max_pool2d(x64, 3, 2)),
        (dc.avg_pool(x, 3, stride=2), F.avg_pool2d(x64, 3, 2)),
        (dc.lp_pool(x, (3, 2)), F.lp_pool2d(x64, 2, (3, 2))),
        (dc.adaptive_avg_pool(x, (4, 5)), F.adaptive_avg_pool2d(x64, (4, 5))),
        (dc.adaptive_max_pool(x, (4, 5)), F.adaptive_max_pool2d(x64, (4, 5))),
        (dc.batch_norm(x, gain, shift), F.batch_norm(x64, None, None, gain64, shift64, training=True)),
        (dc.group_norm(x, 2, gain, shift), F.group_norm(x64, 2, gain64, shift64)),
        (dc.layer_norm(x, (9, 7)), F.layer_norm(x64, (9, 7))),
        (dc.linear(x, dense), F.linear(x64, dense64)),
        (dc.relu(x), F.relu(x64)),
        (dc.gelu(x), F.gelu(x64)),
        (dc.silu(x), F.silu(x64)),
        (dc.sigmoid(x), torch.sigmoid(x64)),
        (dc.tanh(x), torch.tanh(x64)),
        (dc.softmax(x), F.softmax(x64, 1)),
        (dc.log_softmax(x), F.log_softmax(x64, 1)),
        (dc.upsample(x, 2, mode="linear"), F.interpolate(x64, scale_factor=2, mode="bilinear")),
        (dc.pad(x, 2, mode="reflect"), F.pad(x64, (2, 2, 2, 2), mode="reflect")),
    ]:
        assert_near(ours, exact, dtype)


@pytest.mark.parametrize("kernel", INTEGERS)
@pytest.mark.parametrize("image", INTEGERS)
def test_integers_are_exact(rng, image, kernel):
    """Python's integers are the judge: PyTorch's own uint8 convolution wraps."""
    x, weight = (
        random_integers(rng, dtype, shape) for dtype, shape in ((image, (2, 5, 6)), (kernel, (3, 2, 2, 3)))
    )
    columns = dc.im2col(x, (2, 3)).astype(object)
    exact = (columns @ weight.reshape(3, -1).T.astype(object)).T.reshape(3, 4, 4)
    ours = dc.conv(x, weight)
    assert ours.dtype == np.int64
    np.testing.assert_array_equal(ours, exact.astype(np.int64))


def random_integers(rng, dtype, shape):
    if dtype is np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    most = min(np.iinfo(dtype).max, 2**24)
    return rng.integers(max(np.iinfo(dtype).min, -(2**24)), most, shape, dtype=dtype, endpoint=True)


def test_sums_beyond_float64_stay_exact():
    """2**53 + 1 has no float64; PyTorch's int64 convolution agrees."""
    x = np.array([[2**53, 1, 1, 2**53 + 1]])
    weight = np.array([[[1, 1]]])
    theirs = F.conv1d(torch.from_numpy(x), torch.from_numpy(weight)).numpy()
    np.testing.assert_array_equal(dc.conv(x, weight), theirs)
    assert dc.conv(x, weight)[0, 0] == 2**53 + 1


def test_mixed_types_promote_as_numpy_does(rng):
    x = rng.integers(0, 255, (1, 2, 6, 7), np.uint8)
    weight = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    expected = F.conv2d(torch.from_numpy(x.astype(np.float64)), torch.from_numpy(weight.astype(np.float64)))
    ours = dc.conv(x, weight)
    assert ours.dtype == np.result_type(x, weight) == np.float32
    np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-4, atol=1e-3)
