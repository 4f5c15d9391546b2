"""Upsampling against its definition; its gradient against the adjoint identity."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from deepconv.operators.resampling import upsample, upsample_input_grad
from tests import oracles
from tests.conftest import examples

MODES = pytest.mark.parametrize("mode", ["nearest", "linear"])


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=3),
    st.sampled_from(["nearest", "linear"]),
    st.integers(0, 99),
)
@settings(max_examples=examples(60, full=1000))
def test_upsample_is_its_definition_and_its_gradient_the_adjoint(axes, mode, seed):
    image, factors = zip(*axes, strict=True)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 1, *image))
    y = upsample(x, factors, mode=mode)
    np.testing.assert_allclose(y, oracles.upsample(x, factors, mode), atol=1e-12)
    dy = rng.standard_normal(y.shape)
    dx = upsample_input_grad(dy, x.shape, factors, mode=mode)
    assert dx.shape == x.shape
    np.testing.assert_allclose((dx * x).sum(), (dy * y).sum(), atol=1e-10)


def test_linear_interpolates_between_centres():
    y = upsample(np.array([[[0.0, 6.0, 0.0]]]), 3, mode="linear")
    np.testing.assert_allclose(y, [[[0, 0, 2, 4, 6, 4, 2, 0, 0]]], atol=1e-15)


def test_linear_keeps_what_is_not_finite_to_itself():
    y = upsample(np.array([[[1.0, 1.0, np.nan, 1.0, 1.0]]]), 3, mode="linear")
    assert np.isnan(y).sum() == 5  # the pixel's own three and one on either side


@MODES
def test_types_batches_and_integers(rng, mode):
    x = rng.standard_normal((2, 3, 4, 5))
    for dtype in (np.float16, np.float32, np.float64):
        small = x.astype(dtype)
        assert upsample(small, 2, mode=mode).dtype == dtype
        assert upsample_input_grad(upsample(small, 2, mode=mode), x.shape, 2, mode=mode).dtype == dtype
    np.testing.assert_array_equal(upsample(x[0], (2, 3), mode=mode), upsample(x, (2, 3), mode=mode)[0])
    assert upsample(x[:0], 2, mode=mode).shape == (0, 3, 8, 10)
    assert upsample_input_grad(np.zeros((0, 3, 8, 10)), (0, 3, 4, 5), 2, mode=mode).shape == (0, 3, 4, 5)
    whole = np.array([[[2**53 + 1, -3]]])
    if mode == "nearest":
        np.testing.assert_array_equal(upsample(whole, 2), [[[2**53 + 1, 2**53 + 1, -3, -3]]])
    else:
        with pytest.raises(TypeError, match=r"upsample: got int64 \(1, 1, 2\), but what lies between"):
            upsample(whole, 2, mode=mode)


def test_what_cannot_work_is_refused(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    with pytest.raises(ValueError, match="upsample: mode='cubic' is not known; use 'nearest' or 'linear'"):
        upsample(x, 2, mode="cubic")
    with pytest.raises(TypeError, match=r"scale_factor=1\.5 is not a whole number"):
        upsample(x, 1.5)
    with pytest.raises(ValueError, match="scale_factor=0 must be at least 1"):
        upsample(x, 0)
    with pytest.raises(ValueError, match=r"dy has shape \(2, 3, 4, 5\) but the output has \(2, 3, 8, 10\)"):
        upsample_input_grad(x, x.shape, 2)
    with pytest.raises(ValueError, match="images without pixels"):
        upsample(x[..., :0], 2)
    with pytest.raises(OverflowError, match="a sum of 4 numbers"):
        upsample_input_grad(np.full((1, 1, 4), 2**62), (1, 1, 1), 4)
