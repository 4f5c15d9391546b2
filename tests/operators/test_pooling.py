"""Pooling against its definition in plain loops, its gradients against adjoints and differences."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from deepconv import geometry
from deepconv.operators import adaptive, lp_pooling, pooling
from tests import oracles
from tests.conftest import examples


@st.composite
def cases(draw, rank=None):
    """Draw `(x, kernel, arguments, window)`: images that are odd and rectangular, windows that just fit."""
    rank = rank or draw(st.integers(1, 3))
    axes = []
    for _ in range(rank):
        kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        span = dilation * (kernel - 1) + 1
        before, after = draw(st.integers(0, span - 1)), draw(st.integers(0, span - 1))
        axes.append((kernel, draw(st.integers(1, 4)), (before, after), dilation, draw(st.integers(1, 7))))
    kernel, stride, padding, dilation, image = zip(*axes, strict=True)
    words = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": draw(st.booleans())}
    try:
        window = geometry.window("test", image, kernel, **words)
    except ValueError:
        assume(False)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *image)
    # Few different numbers make ties, which a maximum must break.
    x = rng.integers(-3, 4, shape).astype(float) if draw(st.booleans()) else rng.standard_normal(shape)
    return x, kernel, words, window, rng


@given(cases())
@settings(max_examples=examples(80, full=2000))
def test_max_pool_is_its_definition(case):
    x, kernel, words, window, rng = case
    y = pooling.max_pool(x, kernel, **words)
    np.testing.assert_array_equal(y, oracles.max_pool(x, window))
    np.testing.assert_array_equal(
        pooling.max_pool_indices(x, kernel, **words), oracles.max_pool_indices(x, window)
    )
    dy = rng.standard_normal(y.shape)
    expected = oracles.max_pool_input_grad(dy, x, window)
    np.testing.assert_allclose(pooling.max_pool_input_grad(dy, x, kernel, **words), expected, atol=1e-12)


@given(cases(), st.booleans(), st.sampled_from([None, None, -3, 2.5]))
@settings(max_examples=examples(80, full=2000))
def test_avg_pool_is_its_definition_and_its_gradient_the_adjoint(case, include, override):
    x, kernel, words, window, rng = case
    words = {**words, "count_include_pad": include, "divisor_override": override}
    y = pooling.avg_pool(x, kernel, **words)
    np.testing.assert_allclose(y, oracles.avg_pool(x, window, include, override), atol=1e-12)
    dy = rng.standard_normal(y.shape)
    dx = pooling.avg_pool_input_grad(dy, x.shape, kernel, **words)
    assert dx.shape == x.shape
    np.testing.assert_allclose((dx * x).sum(), (dy * y).sum(), atol=1e-10)


@given(cases(), st.sampled_from([1, 1.5, 2, 3, 7]))
@settings(max_examples=examples(40, full=1000))
def test_lp_pool_is_its_definition(case, p):
    x, kernel, words, window, _ = case
    y = lp_pooling.lp_pool(x, kernel, p=p, **words)
    np.testing.assert_allclose(y, oracles.lp_pool(x, window, p), atol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
@pytest.mark.parametrize(("shape", "kernel"), [((2, 1, 7), (3,)), ((1, 2, 5, 4), (3, 2))])
def test_lp_pool_gradient_is_what_differences_say(rng, shape, kernel, p):
    x = rng.standard_normal(shape) + np.sign(rng.standard_normal(shape))
    words = {"p": p, "stride": 2, "padding": 1, "ceil_mode": True}
    dy = rng.standard_normal(lp_pooling.lp_pool(x, kernel, **words).shape)
    dx = lp_pooling.lp_pool_input_grad(dy, x, kernel, **words)
    expected = oracles.numeric_gradient(lambda x: lp_pooling.lp_pool(x, kernel, **words), x, dy)
    np.testing.assert_allclose(dx, expected, atol=1e-7)
    whole = lp_pooling.global_lp_pool(x, p=p)
    np.testing.assert_allclose(whole, (np.abs(x) ** p).sum(tuple(range(2, x.ndim)), keepdims=True) ** (1 / p))
    dy = rng.standard_normal(whole.shape)
    expected = oracles.numeric_gradient(lambda x: lp_pooling.global_lp_pool(x, p=p), x, dy)
    np.testing.assert_allclose(lp_pooling.global_lp_pool_input_grad(dy, x, p=p), expected, atol=1e-7)


def test_lp_pool_neither_overflows_nor_vanishes_and_is_flat_at_zero():
    for size in (1e30, 1e-30):
        x = np.array([[[3.0, 4.0]]], np.float32) * np.float32(size)
        np.testing.assert_allclose(lp_pooling.lp_pool(x, 2), [[[5 * size]]], rtol=1e-6)
        dx = lp_pooling.lp_pool_input_grad(np.ones((1, 1, 1), np.float32), x, 2)
        np.testing.assert_allclose(dx, [[[0.6, 0.8]]], rtol=1e-6)
    zeros, one = np.zeros((1, 1, 2)), np.ones((1, 1, 1))
    np.testing.assert_array_equal(lp_pooling.lp_pool_input_grad(one, zeros, 2), zeros)
    np.testing.assert_array_equal(lp_pooling.global_lp_pool_input_grad(one, zeros, p=3), zeros)


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=examples(60, full=1000))
def test_adaptive_pooling_is_its_definition(axes, seed):
    image, output = zip(*axes, strict=True)
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (2, 1, *image)).astype(float)
    mean = adaptive.adaptive_avg_pool(x, output)
    np.testing.assert_allclose(mean, oracles.adaptive_avg_pool(x, output), atol=1e-12)
    dy = rng.standard_normal(mean.shape)
    dx = adaptive.adaptive_avg_pool_input_grad(dy, x.shape, output)
    np.testing.assert_allclose((dx * x).sum(), (dy * mean).sum(), atol=1e-10)
    largest = adaptive.adaptive_max_pool(x, output)
    np.testing.assert_array_equal(largest, oracles.adaptive_max_pool(x, output))
    indices = adaptive.adaptive_max_pool_indices(x, output)
    flat = x.reshape(2, 1, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, indices.reshape(2, 1, -1), 2).reshape(dy.shape), largest
    )
    expected = np.zeros(flat.shape)
    for n, *place in np.ndindex(2, *output):
        expected[n, 0, indices[(n, 0, *place)]] += dy[(n, 0, *place)]
    got = adaptive.adaptive_max_pool_input_grad(dy, x, output)
    np.testing.assert_allclose(got, expected.reshape(x.shape), atol=1e-12)


def test_adaptive_pooling_leaves_an_axis_whose_size_is_none(rng):
    x = rng.standard_normal((3, 7, 5))
    y = adaptive.adaptive_avg_pool(x, (None, 1))
    np.testing.assert_allclose(y, x.mean(axis=2, keepdims=True))
    np.testing.assert_array_equal(adaptive.adaptive_max_pool(x, (None, 1)), x.max(axis=2, keepdims=True))


@pytest.mark.parametrize("image", [(5,), (3, 4), (2, 3, 4)])
def test_global_pooling_keeps_the_axes(rng, image):
    x = rng.integers(0, 3, (2, 3, *image)).astype(float)
    axes, kept = tuple(range(2, x.ndim)), (2, 3, *[1] * len(image))
    dy = rng.standard_normal(kept)
    np.testing.assert_allclose(pooling.global_avg_pool(x), x.mean(axes, keepdims=True))
    np.testing.assert_array_equal(pooling.global_max_pool(x), x.max(axes, keepdims=True))
    np.testing.assert_array_equal(pooling.global_max_pool(x), adaptive.adaptive_max_pool(x, 1))
    share = pooling.global_avg_pool_input_grad(dy, x.shape)
    np.testing.assert_allclose(share, np.broadcast_to(dy / np.prod(image), x.shape))
    got = pooling.global_max_pool_input_grad(dy, x)
    np.testing.assert_array_equal(got, pooling.max_pool_input_grad(dy, x, image))
    np.testing.assert_array_equal(got, adaptive.adaptive_max_pool_input_grad(dy, x, 1))


def test_a_tie_goes_to_the_first_pixel_and_nan_to_the_last():
    x = np.array([[[[0.0, 1.0], [1.0, 1.0]]]])
    one = np.ones((1, 1, 1, 1))
    np.testing.assert_array_equal(pooling.max_pool_input_grad(one, x, 2), [[[[0, 1], [0, 0]]]])
    x[0, 0, 0, 0] = x[0, 0, 1, 0] = np.nan
    assert np.isnan(pooling.max_pool(x, 2)).all()
    assert pooling.max_pool_indices(x, 2).item() == 2
    np.testing.assert_array_equal(pooling.max_pool_input_grad(one, x, 2), [[[[0, 0], [1, 0]]]])


def test_infinite_gradients_stay_where_they_belong():
    x = np.array([[[1.0, 2.0, 4.0, 3.0]]])
    got = pooling.max_pool_input_grad(np.array([[[np.inf, np.nan]]]), x, 2)
    np.testing.assert_array_equal(got, [[[0, np.inf, np.nan, 0]]])


def test_a_window_without_a_pixel():
    x = np.array([[[5.0]]])  # the two cells of the window straddle the only pixel
    words = {"stride": 1, "dilation": 2, "padding": 1}
    np.testing.assert_array_equal(pooling.max_pool(x, 2, **words), [[[-np.inf]]])
    assert pooling.max_pool_indices(x, 2, **words).item() == -1
    np.testing.assert_array_equal(pooling.avg_pool(x, 2, count_include_pad=False, **words), [[[0]]])
    np.testing.assert_array_equal(pooling.max_pool_input_grad(np.ones((1, 1, 1)), x, 2, **words), [[[0]]])
    row = np.array([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]])  # the same with so many cells that the axes go one by one
    words = {"stride": 1, "dilation": (2, 1), "padding": (1, 0)}
    assert pooling.max_pool_indices(row, (2, 5), **words).item() == -1
    dx = pooling.max_pool_input_grad(np.ones((1, 1, 1, 1)), row, (2, 5), **words)
    np.testing.assert_array_equal(dx, np.zeros_like(row))


def test_large_images_are_worked_off_in_blocks(rng):
    x = rng.standard_normal((3, 5, 130, 171)).astype(np.float32)  # more than one block of planes
    y = pooling.max_pool(x, 2)
    expected = x[:, :, :, :170].reshape(3, 5, 65, 2, 85, 2)
    np.testing.assert_array_equal(y, expected.max((3, 5)))
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = pooling.max_pool_input_grad(dy, x, 2)
    won = (expected == y[:, :, :, None, :, None]) * dy[:, :, :, None, :, None]
    np.testing.assert_array_equal(dx[..., :170], won.reshape(3, 5, 130, 170))
    np.testing.assert_array_equal(dx[..., 170], 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_type(rng, dtype):
    x = rng.standard_normal((2, 3, 7, 5)).astype(dtype)
    for pool in (pooling.max_pool, pooling.avg_pool, lp_pooling.lp_pool):
        y = pool(x, 3, stride=2, padding=1)
        assert y.dtype == dtype
        exact = pool(x.astype(np.float64), 3, stride=2, padding=1)
        np.testing.assert_allclose(y, exact, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)
    assert pooling.max_pool_input_grad(y, x, 3, stride=2, padding=1).dtype == dtype
    assert pooling.avg_pool_input_grad(y, x.shape, 3, stride=2, padding=1).dtype == dtype
    assert lp_pooling.lp_pool_input_grad(y, x, 3, stride=2, padding=1).dtype == dtype
    assert pooling.global_avg_pool(x).dtype == adaptive.adaptive_avg_pool(x, 2).dtype == dtype


def test_integers_are_exact_where_that_has_a_meaning():
    x = np.array([[[2**53 + 1, 2**53, -7, -8]]])
    np.testing.assert_array_equal(pooling.max_pool(x, 2), [[[2**53 + 1, -7]]])
    assert pooling.max_pool(x.astype(np.int8), 2).dtype == np.int64
    np.testing.assert_array_equal(pooling.max_pool_input_grad(np.array([[[3, 4]]]), x, 2), [[[3, 0, 4, 0]]])
    with pytest.raises(TypeError, match=r"avg_pool: got int64 \(1, 1, 4\), but a mean is .*; convert first"):
        pooling.avg_pool(x, 2)
    with pytest.raises(TypeError, match=r"lp_pool: got int64"):
        lp_pooling.lp_pool(x, 2)
    with pytest.raises(OverflowError, match=r"max_pool: .* exceeds int64"):
        pooling.max_pool(np.full((1, 1, 2), 2**63, np.uint64), 2)
    with pytest.raises(OverflowError, match="max_pool_input_grad: a sum of 3 numbers"):
        pooling.max_pool_input_grad(np.full((1, 1, 3), 2**62), np.arange(5).reshape(1, 1, 5), 3, stride=1)


def test_one_image_and_an_empty_batch(rng):
    x = rng.standard_normal((3, 7, 6))
    np.testing.assert_array_equal(pooling.max_pool(x, (2, 3)), pooling.max_pool(x[None], (2, 3))[0])
    np.testing.assert_array_equal(pooling.avg_pool(x, (2, 3)), pooling.avg_pool(x[None], (2, 3))[0])
    dy = rng.standard_normal((3, 3, 2))
    got = pooling.max_pool_input_grad(dy, x, (2, 3))
    np.testing.assert_array_equal(got, pooling.max_pool_input_grad(dy[None], x[None], (2, 3))[0])
    empty = np.zeros((0, 3, 7, 6))
    for pool in (pooling.max_pool, pooling.max_pool_indices, pooling.avg_pool, lp_pooling.lp_pool):
        assert pool(empty, (2, 3)).shape == (0, 3, 3, 2)
    gone = np.zeros((0, 3, 3, 2))
    assert pooling.max_pool_input_grad(gone, empty, (2, 3)).shape == empty.shape
    assert pooling.avg_pool_input_grad(gone, empty.shape, (2, 3)).shape == empty.shape
    assert lp_pooling.lp_pool_input_grad(gone, empty, (2, 3)).shape == empty.shape
    assert adaptive.adaptive_max_pool(empty, (2, 4)).shape == (0, 3, 2, 4)
    assert pooling.global_max_pool(empty).shape == pooling.global_avg_pool(empty).shape == (0, 3, 1, 1)
    assert pooling.global_max_pool_input_grad(np.zeros((0, 3, 1, 1)), empty).shape == empty.shape


@pytest.mark.parametrize("name", ["same", "same_lower", "valid", "causal"])
def test_named_paddings(rng, name):
    x = rng.standard_normal((2, 3, 7, 6))
    window = geometry.window("test", (7, 6), (3, 2), stride=(2, 1), padding=name)
    y = pooling.max_pool(x, (3, 2), stride=(2, 1), padding=name)
    np.testing.assert_array_equal(y, oracles.max_pool(x, window))
    if name.startswith("same"):
        assert y.shape == (2, 3, 4, 6)


def test_arrays_that_do_not_lie_in_order(rng):
    x = np.asfortranarray(rng.standard_normal((2, 3, 7, 6)))[:, ::-1]
    dense = np.ascontiguousarray(x)
    dy = rng.standard_normal((3, 2, 3, 3)).transpose(1, 0, 2, 3)
    np.testing.assert_array_equal(pooling.max_pool(x, 2), pooling.max_pool(dense, 2))
    got = pooling.max_pool_input_grad(dy, x, 2)
    np.testing.assert_array_equal(got, pooling.max_pool_input_grad(np.ascontiguousarray(dy), dense, 2))
    kept = x.copy(), dy.copy()
    pooling.avg_pool(x, 2)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(dy, kept[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"kernel_size": 8}, r"kernel_size=\(8, 8\) is larger than the padded image \(7, 6\)"),
        ({"kernel_size": 0}, "kernel_size=0 must be at least 1"),
        ({"kernel_size": 2, "stride": 0}, "stride=0 must be at least 1"),
        ({"kernel_size": 2, "stride": -1}, "stride=-1 must be at least 1"),
        ({"kernel_size": 2, "dilation": 0}, "dilation=0 must be at least 1"),
        ({"kernel_size": 2, "padding": -1}, "padding=-1 must be at least 0"),
        ({"kernel_size": 3, "padding": 2}, r"padding=2 must be at most half the window's span \(3, 3\)"),
        ({"kernel_size": (5, 3), "padding": (2, 2)}, "padding=.* must be at most half"),
        ({"kernel_size": 3, "padding": [(3, 0), (0, 0)]}, "padding=.* must be less than the window's span"),
        ({"kernel_size": (2, 2, 2)}, r"x has 4 axes .* is .*|x has 4 axes .* where 3 spatial axes need 5"),
        ({"kernel_size": ()}, "has no number"),
        ({"kernel_size": 2, "padding": "full"}, "padding='full' is not known"),
    ],
)
@pytest.mark.parametrize("pool", [pooling.max_pool, pooling.avg_pool, lp_pooling.lp_pool])
def test_what_cannot_work_is_refused(rng, pool, words, message):
    x = rng.standard_normal((2, 3, 7, 6))
    if words["kernel_size"] == (2, 2, 2):
        x = x[0]
        message = r"x has 3 axes \(shape \(3, 7, 6\)\) where 3 spatial axes need 5"
    with pytest.raises(ValueError, match=f"{pool.__name__}: .*{message}"):
        pool(x, **words)


def test_other_refusals(rng):
    x = rng.standard_normal((2, 3, 7, 6))
    with pytest.raises(
        ValueError, match=r"dy has shape \(2, 3, 3, 2\) but the output has \(2, 3, 3, 3\), .*floor"
    ):
        pooling.max_pool_input_grad(x[:, :, :3, :2], x, 2)
    with pytest.raises(ValueError, match=r"dy has shape \(1, 3, 3, 3\) but the output has \(2, 3, 3, 3\)"):
        pooling.avg_pool_input_grad(x[:1, :, :3, :3], x.shape, 2)
    with pytest.raises(ValueError, match=r"dy has shape \(3, 3, 3\)"):
        lp_pooling.lp_pool_input_grad(x[0, :, :3, :3], x, 2)
    with pytest.raises(ValueError, match="adaptive_max_pool_input_grad: dy has shape"):
        adaptive.adaptive_max_pool_input_grad(x, x, 2)
    with pytest.raises(ValueError, match="global_max_pool_input_grad: dy has shape"):
        pooling.global_max_pool_input_grad(x[:, :, 0, 0], x)
    with pytest.raises(ValueError, match="global_avg_pool_input_grad: dy has shape"):
        pooling.global_avg_pool_input_grad(x, x.shape)
    with pytest.raises(ValueError, match="divisor_override=0 can't divide"):
        pooling.avg_pool(x, 2, divisor_override=0)
    with pytest.raises(TypeError, match="divisor_override=True is not a number"):
        pooling.avg_pool(x, 2, divisor_override=True)
    with pytest.raises(TypeError, match="count_include_pad=1 is not True or False"):
        pooling.avg_pool(x, 2, count_include_pad=1)
    with pytest.raises(TypeError, match="ceil_mode='no' is not True or False"):
        pooling.max_pool(x, 2, ceil_mode="no")
    with pytest.raises(TypeError, match=r"kernel_size=1\.5"):
        pooling.max_pool(x, 1.5)
    with pytest.raises(TypeError, match="p='2' is not a number"):
        lp_pooling.lp_pool(x, 2, p="2")
    with pytest.raises(ValueError, match=r"p=0\.5 is no norm's exponent"):
        lp_pooling.global_lp_pool(x, p=0.5)
    with pytest.raises(ValueError, match=r"kernel_size=2 can't tell the spatial ones"):
        pooling.max_pool(x[0, 0], 2)
    with pytest.raises(ValueError, match="has no channels"):
        pooling.max_pool(x[:, :0], 2)
    with pytest.raises(ValueError, match="images without pixels"):
        pooling.global_avg_pool(x[..., :0])
    with pytest.raises(ValueError, match="images without pixels"):
        adaptive.adaptive_avg_pool(x[..., :0], 2)
    with pytest.raises(ValueError, match="without spatial axes"):
        pooling.global_max_pool(x[:, :, 0, 0])
    with pytest.raises(ValueError, match="output_size=0 must be at least 1"):
        adaptive.adaptive_max_pool(x, 0)
    with pytest.raises(ValueError, match=r"x_shape=.* has a negative size"):
        pooling.avg_pool_input_grad(x, (2, 3, -7, 6), 2)
    with pytest.raises(TypeError, match="x_shape=7 is not a shape"):
        pooling.avg_pool_input_grad(x, 7, 2)


def test_negative_integers_win_against_padding():
    """No cell of these windows lies on a pixel everywhere."""
    x = -np.arange(1, 5).reshape(1, 1, 4)
    assert pooling.max_pool(x, (2,), padding=1).tolist() == [[[-1, -2, -4]]]
    assert pooling.max_pool_indices(x, (2,), padding=1).tolist() == [[[0, 1, 3]]]


def test_many_pixels_are_searched_in_parts():
    """So many that the winners of each image are sought by themselves."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((3, 1, 300, 301)), rng.standard_normal((3, 1, 150, 150))
    each = [pooling.max_pool_indices(one[None], 2) for one in x]
    np.testing.assert_array_equal(pooling.max_pool_indices(x, 2), np.concatenate(each))
    each = [pooling.max_pool_input_grad(a[None], b[None], 2) for a, b in zip(dy, x, strict=True)]
    np.testing.assert_array_equal(pooling.max_pool_input_grad(dy, x, 2), np.concatenate(each))


def test_integer_gradients_that_may_overflow_say_so():
    x, dy = np.array([[[1, 5, 1]]]), np.full((1, 1, 2), 2**62)
    with pytest.raises(OverflowError, match="max_pool_input_grad: a sum of 2 numbers"):
        pooling.max_pool_input_grad(dy, x, (2,), stride=1)
    with pytest.raises(OverflowError, match="adaptive_max_pool_input_grad: a sum of"):
        adaptive.adaptive_max_pool_input_grad(dy, x, (2,))
    with pytest.raises(OverflowError, match="max_pool_input_grad"):
        pooling.max_pool_input_grad(np.array([[[-(2**62) - 1, 1]]]), x, (2,), stride=1)
    assert pooling.max_pool_input_grad(dy - 1, x, (2,), stride=1).tolist() == [[[0, 2**63 - 2, 0]]]


def test_a_sum_of_squares_may_overflow_where_one_square_does_not():
    x = np.full((1, 1, 2), 1.5e19, np.float32)
    np.testing.assert_allclose(lp_pooling.lp_pool(x, 2), [[[1.5e19 * np.sqrt(2)]]], rtol=1e-6)
    np.testing.assert_allclose(lp_pooling.global_lp_pool(x), [[[1.5e19 * np.sqrt(2)]]], rtol=1e-6)


@pytest.mark.parametrize("divisor", [0, np.inf, np.nan])
def test_a_divisor_that_divides_nothing_is_refused(divisor):
    with pytest.raises(ValueError, match=f"avg_pool: divisor_override={divisor} can't divide a sum"):
        pooling.avg_pool(np.ones((1, 1, 4)), 2, divisor_override=divisor)
