"""The weights' gradient of a kernel of one cell: tails, chunks across images, strides, threads, memory."""

import numpy as np
import pytest

from deepconv import geometry
from deepconv.engine import machine
from deepconv.engine.algorithms import direct, pointwise_weights
from deepconv.engine.problem import Problem

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="Numba is not there")


def problem_of(batch, channels, image, filters, *, dtype=np.float32, threads=1, limit=1 << 40, **how):
    window = geometry.window("test", image, 1, **how)
    return Problem(
        "weight_grad", batch, channels, filters, image, window, 1, np.dtype(dtype),
        threads=threads, workspace_limit=limit,
    )  # fmt: skip


def operands(problem):
    rng = np.random.default_rng([5, *problem.x_shape, *problem.y_shape])
    return [rng.standard_normal(shape).astype(problem.dtype) for shape in (problem.y_shape, problem.x_shape)]


def truth(problem, dy, x):
    steps = tuple(
        slice(None, (n - 1) * s + 1, s) for n, s in zip(problem.out, problem.window.stride, strict=True)
    )
    picked = x[(slice(None), slice(None), *steps)].reshape(problem.batch, problem.in_channels, -1)
    dy = dy.reshape(problem.batch, problem.out_channels, -1)
    return np.einsum("nkp,ncp->kc", dy.astype(float), picked.astype(float)).reshape(problem.weight_shape)


def check(problem):
    assert pointwise_weights.work(problem) is not None
    dy, x = operands(problem)
    got = direct.weight_grad(problem, dy, x)
    scale = np.sqrt(problem.batch * problem.places) * 40 * np.finfo(problem.dtype).eps
    np.testing.assert_allclose(got, truth(problem, dy, x), rtol=0, atol=scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("more", [0, 1, 3, 7, 8, 9, 15, 17, 23])
def test_tails_of_channels_and_filters(more, dtype):
    check(problem_of(2, 40 + more, (5, 7), 31 + more, dtype=dtype))


@pytest.mark.parametrize("image", [(1, 1), (1, 3), (7, 7), (3, 11), (20, 13), (31, 33)])
@pytest.mark.parametrize("batch", [1, 5])
def test_chunks_end_within_images_and_beyond(batch, image):
    check(problem_of(batch, 35, image, 50))


@pytest.mark.parametrize("image", [(40,), (9, 14), (5, 1), (4, 5, 6)])
@pytest.mark.parametrize("stride", [2, 3])
def test_strides_skip_pixels(image, stride):
    check(problem_of(3, 34, image, 45, stride=stride))


def test_a_stride_down_alone():
    check(problem_of(3, 34, (9, 15), 45, stride=(2, 1)))


def test_strips_of_filters_and_panels_of_channels():
    check(problem_of(1, 40, (14, 14), 700))
    check(problem_of(1, 700, (14, 14), 40))


@pytest.mark.parametrize(("channels", "filters"), [(90, 300), (300, 90)])
def test_the_same_bits_for_any_number_of_threads(channels, filters):
    problems = [problem_of(13, channels, (14, 15), filters, threads=n, stride=1) for n in (1, 2, 3)]
    dy, x = operands(problems[0])
    one, *others = (direct.weight_grad(problem, dy, x) for problem in problems)
    assert pointwise_weights.work(problems[2]).threads == 3
    for other in others:
        np.testing.assert_array_equal(other, one)


def test_fewer_threads_where_memory_is_short_then_another_way():
    need = pointwise_weights.work(problem_of(4, 90, (14, 15), 300)).bytes
    assert pointwise_weights.work(problem_of(4, 90, (14, 15), 300, threads=3, limit=need)).threads == 1
    short = problem_of(4, 90, (14, 15), 300, limit=need - 1)
    assert pointwise_weights.work(short) is None
    assert direct.workspace(short) < need


def test_not_a_number_stays_in_its_row_and_column():
    problem = problem_of(2, 40, (5, 5), 30)
    dy, x = operands(problem)
    dy[1, 7, 2, 3], x[0, 33, 4, 4] = np.nan, np.inf
    dw = direct.weight_grad(problem, dy, x)[..., 0, 0]
    wrong = ~np.isfinite(dw)
    assert wrong[7].all()
    assert wrong[:, 33].all()
    assert wrong.sum() == 40 + 30 - 1
