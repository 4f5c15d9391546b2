"""The post's layer, as printed, held against ours: its gradients, its start, its memory, what it takes.

`tests/test_the_post.py` holds the two functions below it, arr2vec and vec2arr.
"""

from __future__ import annotations

import inspect
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

import deepconv as dc
from deepconv.arrays import Array
from tests.post import Convolution, ForwardOnly, arr2vec, vec2arr
from tests.post_layout import our_layout, our_weight

# ---------------------------------------------------------------- backward: a mean where a sum belongs


def ratio(a: Array, b: Array) -> float:
    """Return the one number that b must be multiplied by to give a; fail if there is none."""
    factor = float((a * b).sum() / (b * b).sum())
    np.testing.assert_allclose(a, factor * b, rtol=0, atol=1e-12 * float(np.abs(b).max()))
    return factor


@pytest.mark.parametrize("batch", [1, 4, 6])
def test_the_post_averages_over_the_batch_where_the_gradient_is_a_sum(batch, rng):
    """On 5x5 with a 3x3 kernel, where vec2arr happens to be right."""
    x, post = rng.standard_normal((batch, 2, 5, 5)), Convolution(2, 3, (3, 3), 1, 0)
    dy = rng.standard_normal(post.forward(x).shape)
    weight = our_weight(post, 2)
    dx, dw = dc.conv_input_grad(dy, weight, x.shape), dc.conv_weight_grad(dy, x, weight.shape)
    # dL/dy of any loss: weights and biases come m times too small, the input's gradient right.
    assert ratio(post.backward(dy), dx) == pytest.approx(1)
    assert ratio(our_layout(post.grad_w, dw), dw) == pytest.approx(1 / batch)
    assert ratio(post.grad_b, dc.conv_bias_grad(dy)) == pytest.approx(1 / batch)
    # A loss that forgets to divide by m puts weights and biases right, and the input's gradient wrong:
    mean = dy / batch
    assert ratio(post.backward(dy), dc.conv_input_grad(mean, weight, x.shape)) == pytest.approx(batch)
    right = dc.conv_weight_grad(mean, x, weight.shape)
    assert ratio(our_layout(post.grad_w, right), right) == pytest.approx(1)


def grad_w_bytes(batch: int, places: int, features: int, filters: int) -> int:
    """Return what the post's grad_w builds on its way to (features, filters), in float64."""
    return 8 * batch * places * features * filters


def test_grad_w_builds_an_array_as_large_as_computed(rng):
    # The survey's layer (32 pictures, 16 channels 28x28, 3x3, 32 filters) and AlexNet's first one.
    assert grad_w_bytes(32, 28 * 28, 16 * 9, 32) == 924_844_032
    assert grad_w_bytes(128, 55 * 55, 3 * 121, 64) == pytest.approx(72e9, rel=0.01)
    x, post = rng.standard_normal((4, 3, 10, 10)), Convolution(3, 8, (3, 3), 1, 1)
    dy = rng.standard_normal(post.forward(x).shape)
    computed = grad_w_bytes(4, 100, 27, 8)
    assert computed <= peak(lambda: post.backward(dy)) < 1.5 * computed
    weight = our_weight(post, 3)
    assert peak(lambda: dc.conv_weight_grad(dy, x, weight.shape, padding=1)) < computed / 4


def peak(action: Callable[[], object]) -> int:
    """Return the most bytes that were held at once while the action ran, above what was held before."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_backward_takes_gradients_that_cannot_be(rng):
    post = Convolution(1, 2, (3, 3), 1, 1)
    with pytest.raises(AttributeError, match="old_x"):
        post.backward(np.ones((1, 2, 4, 4)))
    x = rng.standard_normal((4, 1, 4, 4))
    post.forward(x)
    assert post.backward(rng.standard_normal((1, 2, 4, 4))).shape == (1, 1, 4, 4)  # one gradient for four
    assert post.grad_w.shape == (9, 2)
    assert post.backward(rng.standard_normal((4, 2, 2, 8))).shape == x.shape  # 2x8 for 4x4
    weight = our_weight(post, 1)
    for wrong in ((1, 2, 4, 4), (4, 2, 2, 8)):
        with pytest.raises(ValueError, match="conv_weight_grad: "):
            dc.conv_weight_grad(np.ones(wrong), x, weight.shape, padding=1)
        with pytest.raises(ValueError, match="conv_input_grad: "):
            dc.conv_input_grad(np.ones(wrong), weight, x.shape, padding=1)


def test_gradients_are_overwritten_and_so_is_what_forward_kept(rng):
    x, post = rng.standard_normal((2, 1, 5, 5)), Convolution(1, 2, (3, 3), 1, 0)
    dy = rng.standard_normal(post.forward(x).shape)
    post.backward(dy)
    first, kept = post.grad_w, post.old_x
    post.backward(dy)
    np.testing.assert_array_equal(post.grad_w, first)  # not twice
    post.forward(2 * x)
    np.testing.assert_array_equal(post.old_x, 2 * kept)


def test_the_prose_has_the_product_the_wrong_way_round(rng):
    """`tW grad1` has shapes that do not multiply; `grad1 tW`, which the code has, does."""
    weights, grad1 = rng.standard_normal((9, 2)), rng.standard_normal((16, 2))
    with pytest.raises(ValueError, match="mismatch"):
        weights.T @ grad1
    assert (grad1 @ weights.T).shape == (16, 9)


# ---------------------------------------------------------------- initialisation


def test_the_variance_grows_ninefold_a_layer(rng):
    """std sqrt(2/ch) forgets that ch*k1*k2 numbers are summed: the spread triples at each 3x3 layer."""
    posts = [Convolution(32, 32, (3, 3), 1, 1) for _ in range(5)]
    y = z = rng.standard_normal((1, 32, 16, 16))
    for layer, post in enumerate(posts, start=1):
        weight = our_weight(post, 32)
        y = np.maximum(dc.conv(y, weight, padding=1), 0)
        z = np.maximum(dc.conv(z, weight / 3, padding=1), 0)  # std sqrt(2/(ch*k1*k2))
        np.testing.assert_allclose(y, 3.0**layer * z, rtol=1e-10, atol=1e-10)
    assert y.std() == pytest.approx(158, rel=0.25)
    assert z.std() == pytest.approx(0.65, rel=0.25)


# ---------------------------------------------------------------- what else the survey found


def test_class_and_functions_have_different_defaults():
    for function, expected in [
        (Convolution, (2, 1)),
        (ForwardOnly, (2, 1)),
        (arr2vec, (1, 0)),
        (vec2arr, (1, 0)),
    ]:
        parameters = inspect.signature(function).parameters
        assert (parameters["stride"].default, parameters["padding"].default) == expected


@pytest.mark.parametrize(
    ("shape", "arguments", "error"),
    [
        ((1, 1, 3, 3), ((4, 4),), TypeError),  # larger than the image
        ((0, 1, 4, 4), ((3, 3),), TypeError),  # an empty batch
        ((1, 1, 4, 4), ((0, 0),), TypeError),
        ((1, 1, 4, 4), ((3, 3), -1), TypeError),
        ((1, 1, 4, 4), ((3, 3), 0), ValueError),
        ((1, 1, 4, 4), ((3, 3), 1, -1), ValueError),
        ((1, 1, 4, 4), (3,), TypeError),
        ((1, 1, 4, 4), ((3, 3), (1, 1)), TypeError),
        ((4, 4, 1), ((3, 3),), ValueError),
    ],
)
def test_where_the_post_raises_it_does_not_say_why(shape, arguments, error):
    with pytest.raises(error) as caught:
        arr2vec(np.zeros(shape), *arguments)
    assert not any(word in str(caught.value) for word in ("arr2vec", "kernel", "stride", "padding"))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kernel_size": 5}, "im2col: kernel_size"),
        ({"kernel_size": 0}, "im2col: kernel_size"),
        ({"kernel_size": 3, "stride": -1}, "im2col: stride"),
        ({"kernel_size": 3, "stride": 0}, "im2col: stride"),
        ({"kernel_size": 3, "padding": -1}, "im2col: padding"),
    ],
)
def test_where_ours_raises_it_names_the_argument(options, match):
    with pytest.raises(ValueError, match=match):
        dc.im2col(np.zeros((1, 1, 4, 4)), **options)


def test_ours_takes_what_makes_sense(rng):
    x = rng.standard_normal((2, 1, 4, 4))
    assert dc.im2col(x[:0], 3).shape == (0, 4, 9)
    np.testing.assert_array_equal(dc.im2col(x, 3), dc.im2col(x, (3, 3), stride=(1, 1), padding=(0, 0)))


@pytest.mark.parametrize("kind", ["float16", "float32", "uint8", "bool", "int64"])
def test_arr2vec_answers_in_float64(kind):
    x = np.arange(16).reshape(1, 1, 4, 4).astype(kind)
    assert arr2vec(x, (3, 3)).dtype == np.float64
    if kind.startswith("float"):
        assert dc.im2col(x, 3).dtype == kind


def test_arr2vec_loses_large_integers_and_imaginary_parts():
    large = np.full((1, 1, 2, 2), 2**53 + 1)
    assert arr2vec(large, (1, 1))[0, 0, 0] == 2**53
    assert int(dc.im2col(large, 1)[0, 0, 0]) == 2**53 + 1
    with pytest.warns(np.exceptions.ComplexWarning):
        assert arr2vec(np.full((1, 1, 1, 1), 1 + 2j), (1, 1))[0, 0, 0] == 1
    with pytest.raises(TypeError, match="im2col: "):
        dc.im2col(np.full((1, 1, 1, 1), 1 + 2j), 1)


def test_channels_last_passes_unseen():
    assert arr2vec(np.zeros((1, 8, 8, 3)), (3, 3), 1, 1).shape == (1, 24, 72)


@pytest.mark.parametrize("order", ["C", "F"])
def test_any_memory_order_is_read_right(order, rng):
    x = np.asarray(rng.standard_normal((2, 2, 6, 7)), order=order)[:, :, ::2, ::-1]
    np.testing.assert_array_equal(arr2vec(x, (2, 3)), dc.im2col(x, (2, 3)))


def test_a_stride_that_does_not_divide_leaves_pixels_unread():
    pixels = np.arange(64.0).reshape(1, 1, 8, 8)
    for columns in (arr2vec(pixels, (3, 3), 2, 0), dc.im2col(pixels, 3, stride=2)):
        assert len(set(range(64)) - set(columns.ravel().tolist())) == 15


def test_padding_as_wide_as_the_kernel_shows_windows_without_a_picture():
    ones = np.ones((1, 1, 4, 4))
    for columns in (arr2vec(ones, (3, 3), 1, 3), dc.im2col(ones, 3, padding=3)):
        assert columns.shape[1] == 64
        assert int((columns == 0).all(axis=2).sum()) == 28


@pytest.mark.parametrize(("stride", "times"), [(1, 9.0), (2, 2.25)])
def test_forward_keeps_several_copies_of_its_input(stride, times, rng):
    x, post = rng.standard_normal((2, 4, 28, 28)), Convolution(4, 2, (3, 3), stride, 1)
    post.forward(x)
    assert post.old_x.nbytes / x.nbytes == times


def test_index_tables_take_as_much_memory_as_the_answer(rng):
    x = rng.standard_normal((4, 3, 20, 20))
    columns = arr2vec(x, (3, 3), 1, 1)
    assert peak(lambda: arr2vec(x, (3, 3), 1, 1)) >= 2 * columns.nbytes
    assert peak(lambda: dc.im2col(x, 3, padding=1)) < 1.5 * columns.nbytes


def test_the_prose_swaps_the_bounds_of_the_grid():
    """ "j goes from 0 to k1, i goes from 0 to k2": swapped, and one too far where the end is meant."""
    k1, k2, n2 = 2, 3, 5
    assert [j + n2 * i for i in range(k2) for j in range(k1)] == [0, 1, 5, 6, 10, 11]
    assert [j + n2 * i for i in range(k1) for j in range(k2)] == [0, 1, 2, 5, 6, 7]
    assert dc.im2col(np.arange(25).reshape(1, 1, 5, 5), (k1, k2))[0, 0].tolist() == [0, 1, 2, 5, 6, 7]


def test_columns_are_ordered_channel_first(rng):
    """The prose says k1 x k2 x ch; the code has ch x k1 x k2, and so has ours."""
    x = rng.standard_normal((1, 2, 2, 3))
    for columns in (arr2vec(x, (2, 3)), dc.im2col(x, (2, 3))):
        np.testing.assert_array_equal(columns[0, 0], x.ravel())


def test_same_size_needs_an_odd_kernel():
    """2p = k-1 at stride 1: seven stay seven for k=3, and turn to eight or six for k=2."""
    sizes = [
        dc.im2col(np.zeros((1, 1, 7, 7)), k, padding=p).shape[1] ** 0.5 for k, p in [(3, 1), (2, 1), (2, 0)]
    ]
    assert sizes == [7, 8, 6]


def test_a_snippet_of_the_post_misspells_a_name():
    snippet = (
        "in_bounds = (idx[:,:,0] >= -padding) * (idx[:,:,0] <= n-k1+padding)\n"
        "in_bound *= (idx[:,:,1] >= -padding) * (idx[:,:,1] <= p-k2+padding)\n"
    )
    with pytest.raises(NameError, match="in_bound"):
        exec(snippet, {"idx": np.zeros((1, 1, 2), int), "n": 1, "p": 1, "k1": 1, "k2": 1, "padding": 0})
