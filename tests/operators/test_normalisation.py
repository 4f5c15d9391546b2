"""Normalisation against its definition in plain loops; gradients against central differences."""

import numpy as np
import pytest

from deepconv.operators import normalisation as norm
from tests import oracles

SHAPES = [(5, 4), (3, 4, 7), (2, 4, 3, 5), (2, 4, 3, 1, 2)]


def by_channel(at):
    return at[1]


def vectors(rng, *shape):
    return rng.standard_normal(shape), rng.standard_normal(shape)


def along(vector, x, axis=1):
    return vector.reshape([-1 if a == axis else 1 for a in range(x.ndim)])


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_is_its_definition(rng, shape):
    x = rng.standard_normal(shape) * 3 + 5
    weight, bias = vectors(rng, 4)
    expected = oracles.normalised(x, oracles.sets_by(shape, by_channel), 0.1)
    np.testing.assert_allclose(norm.batch_norm(x, eps=0.1), expected, atol=1e-12)
    got = norm.batch_norm(x, weight, bias, eps=0.1)
    np.testing.assert_allclose(got, expected * along(weight, x) + along(bias, x), atol=1e-12)
    mean, var = norm.batch_statistics(x)
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(mean, x.mean(axes))
    np.testing.assert_allclose(var, x.var(axes))
    given = norm.batch_norm(x, weight, bias, mean=mean, var=var, eps=0.1)
    np.testing.assert_allclose(given, got, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("given", [False, True])
def test_batch_norm_gradients_are_what_differences_say(rng, shape, given):
    x, dy = vectors(rng, *shape)
    weight, bias = vectors(rng, 4)
    stats = {"mean": rng.standard_normal(4), "var": rng.random(4) + 0.5} if given else {}
    dx, dw, db = norm.batch_norm_gradients(dy, x, weight, **stats)

    def check(got, name, value):
        words = {"x": x, "weight": weight, "bias": bias} | {name: value}
        function = lambda v: norm.batch_norm(**(words | {name: v}), **stats)  # noqa: E731
        np.testing.assert_allclose(got, oracles.numeric_gradient(function, value, dy), atol=2e-7)

    check(dx, "x", x)
    check(dw, "weight", weight)
    check(db, "bias", bias)
    np.testing.assert_array_equal(norm.batch_norm_input_grad(dy, x, weight, **stats), dx)
    np.testing.assert_array_equal(norm.batch_norm_weight_grad(dy, x, **stats), dw)
    np.testing.assert_allclose(norm.batch_norm_bias_grad(dy), db)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_and_its_gradients(rng, shape, groups):
    x, dy = vectors(rng, *shape)
    weight, bias = vectors(rng, 4)
    sets = oracles.sets_by(shape, lambda at: (at[0], at[1] * groups // 4))
    expected = oracles.normalised(x, sets, 0.1) * along(weight, x) + along(bias, x)
    np.testing.assert_allclose(norm.group_norm(x, groups, weight, bias, eps=0.1), expected, atol=1e-12)
    dx, dw, db = norm.group_norm_gradients(dy, x, groups, weight, eps=0.1)
    numeric = oracles.numeric_gradient
    np.testing.assert_allclose(
        dx, numeric(lambda v: norm.group_norm(v, groups, weight, eps=0.1), x, dy), atol=2e-7
    )
    np.testing.assert_allclose(
        dw, numeric(lambda v: norm.group_norm(x, groups, v, eps=0.1), weight, dy), atol=2e-7
    )
    np.testing.assert_allclose(
        db, numeric(lambda v: norm.group_norm(x, groups, None, v, eps=0.1), bias, dy), atol=2e-7
    )
    np.testing.assert_array_equal(norm.group_norm_input_grad(dy, x, groups, weight, eps=0.1), dx)
    np.testing.assert_array_equal(norm.group_norm_weight_grad(dy, x, groups, eps=0.1), dw)
    np.testing.assert_allclose(norm.group_norm_bias_grad(dy), db)


@pytest.mark.parametrize(("shape", "last"), [((3, 5), 1), ((2, 3, 4), 2), ((4, 3), 2), ((2, 2, 3, 2), 1)])
def test_layer_norm_and_its_gradients(rng, shape, last):
    x, dy = vectors(rng, *shape)
    sizes = shape[-last:]
    weight, bias = vectors(rng, *sizes)
    sets = oracles.sets_by(shape, lambda at: at[: len(shape) - last])
    expected = oracles.normalised(x, sets, 0.1) * weight + bias
    np.testing.assert_allclose(norm.layer_norm(x, sizes, weight, bias, eps=0.1), expected, atol=1e-12)
    dx, dw, db = norm.layer_norm_gradients(dy, x, sizes, weight, eps=0.1)
    numeric = oracles.numeric_gradient
    np.testing.assert_allclose(
        dx, numeric(lambda v: norm.layer_norm(v, sizes, weight, eps=0.1), x, dy), atol=2e-7
    )
    np.testing.assert_allclose(
        dw, numeric(lambda v: norm.layer_norm(x, sizes, v, eps=0.1), weight, dy), atol=2e-7
    )
    np.testing.assert_array_equal(norm.layer_norm_input_grad(dy, x, sizes, weight, eps=0.1), dx)
    np.testing.assert_array_equal(norm.layer_norm_weight_grad(dy, x, sizes, eps=0.1), dw)
    np.testing.assert_allclose(norm.layer_norm_bias_grad(dy, sizes), db)
    np.testing.assert_allclose(db, dy.sum(tuple(range(x.ndim - last))))


def test_a_large_mean_costs_no_digits(rng):
    small = rng.standard_normal((4, 2, 5000))  # rows long enough to be summed pairwise
    x = (small + 1000).astype(np.float32)
    expected = norm.batch_norm(x.astype(np.float64))
    np.testing.assert_allclose(norm.batch_norm(x), expected, atol=2e-4)
    np.testing.assert_allclose(norm.batch_statistics(x)[1], x.astype(np.float64).var((0, 2)), rtol=1e-4)
    dy = rng.standard_normal(x.shape)
    got = norm.batch_norm_input_grad(dy.astype(np.float32), x)
    np.testing.assert_allclose(got, norm.batch_norm_input_grad(dy, x.astype(np.float64)), atol=2e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_type_and_arguments_their_values(rng, dtype):
    x, dy = (v.astype(dtype) for v in vectors(rng, 3, 4, 5))
    weight, bias = (v.astype(dtype) for v in vectors(rng, 4))
    kept = [v.copy() for v in (x, dy, weight, bias)]
    assert norm.batch_norm(x, weight, bias).dtype == dtype
    assert norm.group_norm(x, 2, weight, bias).dtype == dtype
    assert norm.layer_norm(x, 5).dtype == dtype
    assert {g.dtype for g in norm.batch_norm_gradients(dy, x, weight)} == {np.dtype(dtype)}
    assert {g.dtype for g in norm.group_norm_gradients(dy, x, 2, weight)} == {np.dtype(dtype)}
    assert {g.dtype for g in norm.layer_norm_gradients(dy, x, (4, 5))} == {np.dtype(dtype)}
    for before, after in zip(kept, (x, dy, weight, bias), strict=True):
        np.testing.assert_array_equal(before, after)


def test_empty_batches_give_empty_results():
    x = np.zeros((0, 4, 3))
    assert norm.batch_norm(x).shape == norm.group_norm(x, 2).shape == norm.layer_norm(x, 3).shape == x.shape
    np.testing.assert_array_equal(norm.batch_statistics(x), np.zeros((2, 4)))
    for gradients in (norm.batch_norm_gradients(x, x), norm.group_norm_gradients(x, x, 2)):
        assert [g.shape for g in gradients] == [x.shape, (4,), (4,)]
    assert [g.shape for g in norm.layer_norm_gradients(x, x, (4, 3))] == [x.shape, (4, 3), (4, 3)]
    assert norm.batch_norm(x, mean=np.ones(4), var=np.ones(4)).shape == x.shape


def test_what_cannot_work_is_refused(rng):
    x = rng.standard_normal((2, 4, 3))
    four = np.ones(4)
    with pytest.raises(
        ValueError, match=r"batch_norm: weight has shape \(3,\) but x of shape \(2, 4, 3\) has 4 ch"
    ):
        norm.batch_norm(x, np.ones(3))
    with pytest.raises(ValueError, match=r"batch_norm: weight has shape \(4, 1\) but x"):
        norm.batch_norm(x, np.ones((4, 1)))  # of the right size, but it would be spread over the batch
    with pytest.raises(ValueError, match="only one of mean and var is given"):
        norm.batch_norm(x, mean=four)
    with pytest.raises(ValueError, match=r"x has 1 value per channel \(shape \(1, 4, 1\)\)"):
        norm.batch_norm(x[:1, :, :1])
    assert norm.batch_norm(x[:1, :, :1], mean=four, var=four).shape == (1, 4, 1)
    with pytest.raises(ValueError, match="eps=0 must be more than 0"):
        norm.batch_norm(x, eps=0)
    with pytest.raises(ValueError, match="eps=-1 must be at least 0"):
        norm.batch_norm(x, mean=four, var=four, eps=-1)
    with pytest.raises(TypeError, match="eps='small' is not a number"):
        norm.group_norm(x, 2, eps="small")
    with pytest.raises(ValueError, match="dy has shape"):
        norm.batch_norm_input_grad(x[:1], x)
    with pytest.raises(ValueError, match="dy has shape"):
        norm.group_norm_input_grad(x[..., :1], x, 2)
    with pytest.raises(ValueError, match="dy has shape"):
        norm.layer_norm_input_grad(x[0], x, 3)
    with pytest.raises(ValueError, match="without channels"):
        norm.batch_statistics(x[0, 0])
    with pytest.raises(TypeError, match=r"batch_norm: got int64 .* what is normalised is a fraction"):
        norm.batch_norm(np.arange(6).reshape(2, 3))
    with pytest.raises(ValueError, match="groups=3 does not divide channels=4"):
        norm.group_norm(x, 3)
    with pytest.raises(ValueError, match=r"x has shape \(2, 4, 3\) but axes_shape=\(4,\)"):
        norm.layer_norm(x, 4)
    with pytest.raises(ValueError, match="has nothing to normalise"):
        norm.layer_norm(x, ())
    with pytest.raises(ValueError, match=r"weight has shape \(3,\) but axes_shape=\(4, 3\)"):
        norm.layer_norm(x, (4, 3), np.ones(3))
    with pytest.raises(ValueError, match="dy's last axes must be those"):
        norm.layer_norm_bias_grad(x, 4)
