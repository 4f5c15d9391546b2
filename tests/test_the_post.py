"""The post's own code, as printed, held against ours: where they agree, where they differ, and why.

`tests/post.py` is the post's text, token for token. The counts are those of a survey of that code.
Its lists of sizes are lost; those below are ours, chosen so that the same counts come out.
"""

from __future__ import annotations

import inspect
import tracemalloc
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest

import deepconv as dc
from deepconv.arrays import Array
from tests.post import Convolution, ForwardOnly, arr2vec, vec2arr

# ---------------------------------------------------------------- arr2vec: right wherever it answers

IMAGES = [(5, 5), (7, 7), (8, 8), (3, 3), (4, 6), (9, 4), (1, 7), (6, 2), (12, 5), (10, 10)]
KERNELS = [(1, 1), (2, 2), (3, 3), (5, 5), (1, 3), (2, 3), (4, 2), (4, 4), (7, 7)]
STRIDES, PADDINGS, CHANNELS, BATCHES = (1, 2, 3, 5), (0, 1, 2, 4), (1, 2, 3), (1, 2)

ARR2VEC_GRID = list(product(IMAGES, KERNELS, STRIDES, PADDINGS, CHANNELS, BATCHES))


def fits(image: tuple[int, int], kernel: tuple[int, int], padding: int) -> bool:
    """Tell whether the kernel fits in the padded image."""
    return all(n + 2 * padding >= k for n, k in zip(image, kernel, strict=True))


def check_arr2vec(geometries: Collection[tuple], rng: np.random.Generator) -> Counter[str]:
    """Count how the post's arr2vec and our im2col compare: equal, different, or both refusing."""
    outcomes: Counter[str] = Counter()
    for image, kernel, stride, padding, channels, batch in geometries:
        x = rng.standard_normal((batch, channels, *image))
        if fits(image, kernel, padding):
            ours = dc.im2col(x, kernel, stride=stride, padding=padding)
            outcomes[
                "equal" if np.array_equal(arr2vec(x, kernel, stride, padding), ours) else "different"
            ] += 1
            continue
        with pytest.raises(TypeError, match="Cannot cast array data from"):
            arr2vec(x, kernel, stride, padding)
        with pytest.raises(ValueError, match="im2col: kernel_size"):
            dc.im2col(x, kernel, stride=stride, padding=padding)
        outcomes["refused"] += 1
    return outcomes


def test_arr2vec_is_im2col_on_a_slice(rng):
    """Every 7th geometry; 7 shares no factor with the lists' lengths, so every size is met."""
    outcomes = check_arr2vec(ARR2VEC_GRID[::7], rng)
    assert set(outcomes) == {"equal", "refused"}
    assert outcomes["equal"] > 1100
    assert outcomes["refused"] > 100


@pytest.mark.full
def test_arr2vec_is_im2col_on_all_geometries(rng):
    assert check_arr2vec(ARR2VEC_GRID, rng) == {"equal": 7824, "refused": 816}


@pytest.mark.parametrize("layer", [ForwardOnly, Convolution])
def test_both_forward_classes_are_our_convolution(layer, rng):
    for image, kernel, stride, padding in product(IMAGES[:6], KERNELS[:7], (1, 2, 3), (0, 1, 2)):
        if not fits(image, kernel, padding):
            continue
        x = rng.standard_normal((2, 3, *image))
        post = layer(3, 4, kernel, stride, padding)
        post.biases = rng.standard_normal(4)
        ours = dc.conv(x, our_weight(post, 3), post.biases, stride=stride, padding=padding)
        np.testing.assert_allclose(post.forward(x), ours, rtol=0, atol=1e-12)


def our_weight(post: Convolution, channels: int) -> Array:
    """Return the post's weight matrix (C·R·S, K) as our (K, C, R, S)."""
    return post.weights.T.reshape(-1, channels, *post.kernel_size)


def our_layout(matrix: Array, like: Array) -> Array:
    """Return a gradient of the post's weight matrix in our weight's shape."""
    return matrix.T.reshape(like.shape)


def test_the_post_slides_a_kernel_that_is_not_flipped(rng):
    """Signal processing calls that correlation; the post never says so."""
    x, post = rng.standard_normal((1, 1, 6, 5)), Convolution(1, 1, (3, 2), 1, 0)
    y = post.forward(x)
    np.testing.assert_allclose(y, dc.conv(x, our_weight(post, 1)), atol=1e-13)
    assert not np.allclose(y, dc.conv(x, our_weight(post, 1), flip=True))


# ---------------------------------------------------------------- vec2arr: wrong nearly everywhere

REPAIRS = ("swap", "row length", "padding", "stride", "clip")


def repaired_vec2arr(x, kernel_size, old_shape, stride=1, padding=0, repairs: Collection[str] = REPAIRS):
    """The post's vec2arr with some of its five errors repaired; with none it is the printed one."""
    k1, k2 = kernel_size
    n, p = old_shape
    mb, md, ftrs = x.shape
    ch = ftrs // (k1 * k2)
    nb2 = (p + 2 * padding - k2) // stride + 1
    m, c, i, j, k1i, k2j = np.ix_(range(mb), range(ch), range(n), range(p), range(k1), range(k2))
    row, column = i - k1i, j - k2j
    mask = (row >= -padding) & (row <= n - k1 + padding) & (column >= -padding) & (column <= p - k2 + padding)
    mask = mask & ((row + padding) % stride == 0) & ((column + padding) % stride == 0)
    if "padding" in repairs:
        row, column = row + padding, column + padding
    if "stride" in repairs:
        row, column = row // stride, column // stride
    window = row * (nb2 if "row length" in repairs else k2) + column
    tap = k1i * k2 + k2j
    flat = window * ftrs + tap if "swap" in repairs else tap * ftrs + window
    flat = flat + c * k1 * k2 + m * md * ftrs
    mask = np.broadcast_to(mask, flat.shape)
    if "clip" in repairs:
        flat = np.where(mask, flat, 0)
    return np.where(mask, np.take(x, flat), 0).sum(axis=(4, 5))


class Geometry(NamedTuple):
    """One case of the vec2arr survey."""

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: int
    padding: int
    channels: int
    batch: int

    @property
    def places(self) -> int:
        """How many places the window takes: L."""
        return int(
            np.prod([(n + 2 * self.padding - k) // self.stride + 1 for n, k in zip(*self[:2], strict=True)])
        )

    @property
    def features(self) -> int:
        """How many numbers a window sees: F."""
        return self.channels * self.kernel[0] * self.kernel[1]

    def columns(self, rng: np.random.Generator) -> Array:
        """Return random columns of this geometry's shape."""
        return rng.standard_normal((self.batch, self.places, self.features))

    def outcome(self, function: Callable[..., Array], cols: Array) -> str:
        """Compare a function with col2im: equal, wrong (silently), or IndexError."""
        truth = dc.col2im(cols, self.image, self.kernel, stride=self.stride, padding=self.padding)
        try:
            got = function(cols, self.kernel, self.image, self.stride, self.padding)
        except IndexError:
            return "IndexError"
        return "equal" if np.allclose(got, truth, rtol=1e-9, atol=1e-9) else "wrong"

    def predicted_to_raise(self) -> bool:
        """Tell from the sizes alone whether the printed vec2arr reads past its input's end."""
        (n, p), (k1, k2), cells = self.image, self.kernel, self.kernel[0] * self.kernel[1]
        last = (n - k1) * k2 + (p - k2) + self.features * (cells - 1) + (self.channels - 1) * cells
        return last >= self.places * self.features


# The survey counted how often the function is right, by what is repaired in it, over 5,364 geometries. Its
# list of sizes is lost. This one was found by integer programming: for each kernel the images, so that with
# every stride, padding, number of channels and of pictures below *all* of its counts come out at once.
SURVEY_IMAGES: dict[tuple[int, int], list[tuple[int, int]]] = {
    (1, 1): [(1, 1), (1, 7), (3, 4), (3, 5), (4, 3), (4, 4), (5, 3), (5, 5), (6, 3), (7, 1), (7, 4), (8, 3)],
    (1, 2): [
        (2, 2),
        (3, 2),
        (3, 3),
        (3, 6),
        (3, 7),
        (3, 9),
        (4, 2),
        (4, 3),
        (4, 4),
        (4, 5),
        (5, 2),
        (5, 3),
        (6, 3),
        (7, 3),
        (8, 3),
    ],
    (1, 3): [(1, 5), (2, 3), (3, 3), (3, 4), (3, 5), (3, 7), (4, 3), (4, 4), (5, 4), (6, 3), (6, 4)],
    (1, 4): [(2, 2), (2, 6), (2, 7), (3, 2), (3, 4), (3, 5), (4, 2), (4, 3), (4, 4), (4, 6)],
    (2, 1): [(2, 3), (2, 6), (2, 8), (3, 5), (3, 7), (4, 3), (4, 4), (5, 3), (6, 4), (7, 3)],
    (2, 2): [
        (2, 2),
        (2, 3),
        (2, 5),
        (2, 7),
        (3, 2),
        (3, 3),
        (3, 4),
        (3, 5),
        (4, 2),
        (4, 3),
        (5, 2),
        (5, 3),
        (7, 2),
        (8, 2),
    ],
    (2, 3): [(1, 1), (2, 3), (2, 4), (2, 5), (3, 3), (3, 4), (6, 1)],
    (2, 4): [(1, 2), (2, 2), (2, 4)],
    (3, 1): [(3, 2), (3, 3), (3, 4), (3, 5), (4, 1), (4, 2), (4, 4), (5, 1), (5, 3), (6, 1), (6, 3)],
    (3, 2): [(1, 1), (2, 1), (3, 2), (3, 3), (4, 2), (5, 2)],
    (3, 4): [(1, 2), (1, 3)],
    (4, 1): [(4, 1), (4, 2), (4, 3), (4, 4), (5, 2), (5, 3), (7, 1), (7, 2)],
    (4, 2): [(2, 1), (3, 1), (4, 2), (5, 2), (7, 1)],
    (4, 3): [(2, 1), (3, 1)],
}
SURVEY_GRID = [
    Geometry(image, kernel, stride, padding, channels, batch)
    for kernel, images in SURVEY_IMAGES.items()
    for image, stride, padding, channels, batch in product(images, (1, 2, 3), (0, 1, 2, 4), (1, 2), (1, 2))
    if fits(image, kernel, padding)
]

SURVEY = [
    # repairs, equal, silently wrong, IndexError
    ((), 202, 3680, 1482),
    (("row length",), 242, 3552, 1570),
    (("swap",), 190, 2830, 2344),
    (("row length", "padding", "stride"), 498, 3750, 1116),
    (("swap", "row length", "padding", "stride"), 3934, 0, 1430),
    (REPAIRS, 5364, 0, 0),
]


def survey(
    geometries: Collection[Geometry], repairs: Collection[str], rng: np.random.Generator
) -> Counter[str]:
    """Count the outcomes of vec2arr, printed or repaired, over some geometries."""
    function = partial(repaired_vec2arr, repairs=repairs) if repairs else vec2arr
    return Counter(geometry.outcome(function, geometry.columns(rng)) for geometry in geometries)


@pytest.mark.full
@pytest.mark.parametrize(("repairs", "equal", "wrong", "raises"), SURVEY, ids=lambda value: str(value))
def test_the_survey_of_repairs(repairs, equal, wrong, raises, rng):
    outcomes = survey(SURVEY_GRID, repairs, rng)
    assert (outcomes["equal"], outcomes["wrong"], outcomes["IndexError"]) == (equal, wrong, raises)


def test_repairs_on_a_slice_of_the_survey(rng):
    """Every 23rd geometry: only all five repairs together make it right."""
    slice_ = SURVEY_GRID[::23]
    outcomes = {repairs: survey(slice_, repairs, rng) for repairs, *_ in SURVEY}
    assert len(slice_) > 200
    assert outcomes[REPAIRS] == {"equal": len(slice_)}
    for repairs, *_ in SURVEY[:4]:
        assert outcomes[repairs]["equal"] < 0.15 * len(slice_)
        assert outcomes[repairs]["wrong"] > 0.4 * len(slice_)
    assert set(outcomes[SURVEY[4][0]]) == {"equal", "IndexError"}


def test_without_repairs_it_is_the_printed_function(rng):
    """So that the survey's other rows speak of the post's code, and not of a misreading of it."""
    compared = 0
    for geometry in SURVEY_GRID[::13]:
        arguments = (
            geometry.columns(rng),
            geometry.kernel,
            geometry.image,
            geometry.stride,
            geometry.padding,
        )
        if geometry.predicted_to_raise():
            with pytest.raises(IndexError):
                repaired_vec2arr(*arguments, repairs=())
        else:
            np.testing.assert_allclose(
                repaired_vec2arr(*arguments, repairs=()), vec2arr(*arguments), atol=1e-12
            )
            compared += 1
    assert compared > 200


def check_all_ones_and_the_prediction(geometries: Collection[Geometry]) -> Counter[str]:
    """Assert for each geometry that all ones hide the errors and that the sizes tell whether it raises."""
    outcomes: Counter[str] = Counter()
    for geometry in geometries:
        ones = np.ones((geometry.batch, geometry.places, geometry.features))
        outcome = geometry.outcome(vec2arr, ones)
        assert outcome == ("IndexError" if geometry.predicted_to_raise() else "equal"), geometry
        outcomes[outcome] += 1
    return outcomes


def test_all_ones_hide_every_error_on_a_slice():
    outcomes = check_all_ones_and_the_prediction(SURVEY_GRID[::11])
    assert outcomes["equal"] > 300
    assert outcomes["IndexError"] > 100


@pytest.mark.full
def test_all_ones_hide_every_error_everywhere():
    assert check_all_ones_and_the_prediction(SURVEY_GRID) == {"equal": 3882, "IndexError": 1482}


def why_right(geometry: Geometry) -> str:
    """Say why the printed vec2arr is right for a geometry where it is."""
    (n, p), (k1, k2) = geometry.image, geometry.kernel
    plain = (geometry.stride, geometry.padding) == (1, 0)
    if plain and (n, p) == (2 * k1 - 1, 2 * k2 - 1):
        return "as many windows as cells"
    if plain and (k1, k2, geometry.channels) == (1, 1, 1) and 1 in (n, p):
        return "one pixel, one channel, one line"
    ones = np.ones((1, geometry.places, geometry.features))
    seen = dc.col2im(ones, geometry.image, geometry.kernel, stride=geometry.stride, padding=geometry.padding)
    return "coincidence" if seen.any() else "no window sees the picture"


@pytest.mark.full
def test_where_the_printed_function_is_right(rng):
    right = [g for g in SURVEY_GRID if g.outcome(vec2arr, g.columns(rng)) == "equal"]
    assert Counter(map(why_right, right)) == {
        "as many windows as cells": 20,
        "one pixel, one channel, one line": 4,
        "no window sees the picture": 160,
        "coincidence": 18,
    }


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (2, 4), (5, 3), (1, 6)])
def test_the_favourite_test_case_hides_every_error(kernel, rng):
    """Images of 2k-1: windows and cells of a window are equally many, and swapping them permutes the sum."""
    k1, k2 = kernel
    for channels, batch in product((1, 2, 3), (1, 2)):
        geometry = Geometry((2 * k1 - 1, 2 * k2 - 1), kernel, 1, 0, channels, batch)
        assert geometry.outcome(vec2arr, geometry.columns(rng)) == "equal"
        larger = Geometry((2 * k1 + 3, 2 * k2), kernel, 1, 0, channels, batch)
        assert larger.outcome(vec2arr, larger.columns(rng)) != "equal"


MINIMAL = [
    # error, kernel, image, channels, stride, padding, what col2im gives, what the printed vec2arr gives
    ("swap", (1, 1), (1, 2), 2, 1, 0, [1, 3, 2, 4], [1, 2, 2, 3]),
    ("row length", (1, 1), (2, 2), 1, 1, 0, [1, 2, 3, 4], [1, 2, 2, 3]),
    ("padding", (1, 1), (1, 1), 1, 1, 1, [5], [1]),
    ("stride", (1, 1), (1, 3), 1, 2, 0, [1, 0, 2], None),
    ("stride", (2, 1), (1, 3), 1, 2, 1, [0, 4, 0], [0, 3, 0]),
    ("clip", (1, 2), (1, 2), 1, 1, 0, [1, 2], None),
]


@pytest.mark.parametrize(
    ("error", "kernel", "image", "channels", "stride", "padding", "right", "printed"), MINIMAL
)
def test_each_error_has_a_smallest_case(error, kernel, image, channels, stride, padding, right, printed):
    geometry = Geometry(image, kernel, stride, padding, channels, 1)
    cols = np.arange(1.0, 1 + geometry.places * geometry.features).reshape(1, geometry.places, -1)
    arguments = (cols, kernel, image, stride, padding)
    assert dc.col2im(cols, image, kernel, stride=stride, padding=padding).ravel().tolist() == right
    assert repaired_vec2arr(*arguments).ravel().tolist() == right
    if printed is None:
        with pytest.raises(IndexError):
            vec2arr(*arguments)
    else:
        assert vec2arr(*arguments).ravel().tolist() == printed
    if error == "clip":  # still there when the other four are repaired
        with pytest.raises(IndexError):
            repaired_vec2arr(*arguments, repairs=set(REPAIRS) - {"clip"})


def test_the_forgotten_stride_alone_is_silent():
    cols = np.arange(1.0, 9.0).reshape(1, 4, 2)
    got = repaired_vec2arr(cols, (2, 1), (1, 3), 2, 1, repairs=set(REPAIRS) - {"stride"})
    assert got.ravel().tolist() == [0, 6, 0]


def test_with_the_default_stride_and_padding_it_is_never_right(rng):
    """Square images 3 to 32, 3x3 kernel, stride 2, padding 1: the class's own defaults."""
    outcomes = {n: Geometry((n, n), (3, 3), 2, 1, 1, 1) for n in range(3, 33)}
    outcomes = {n: geometry.outcome(vec2arr, geometry.columns(rng)) for n, geometry in outcomes.items()}
    assert [n for n, outcome in outcomes.items() if outcome == "IndexError"] == [3, 4, 6]
    assert {outcome for n, outcome in outcomes.items() if n not in (3, 4, 6)} == {"wrong"}


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of the angle between two arrays: 1 for the same direction."""
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_digit_sized_gradient_has_nothing_to_do_with_the_truth(rng):
    cols = Geometry((28, 28), (3, 3), 1, 1, 1, 8).columns(rng)
    truth, got = dc.col2im(cols, (28, 28), 3, padding=1), vec2arr(cols, (3, 3), (28, 28), 1, 1)
    assert abs(cosine(got, truth)) < 0.05
    assert 1.3 < np.linalg.norm(got - truth) / np.linalg.norm(truth) < 1.5


def test_one_layer_never_sees_the_error_and_three_do(rng):
    """The last layer's weight gradient is exact, and noise arrives at the layers below it."""
    x, dy = rng.standard_normal((4, 3, 12, 12)), rng.standard_normal((4, 3, 12, 12))
    layers = [Convolution(3, 3, (3, 3), 1, 1) for _ in range(3)]
    inputs = []
    y = x
    for layer in layers:
        inputs.append(y)
        y = layer.forward(y)
    grad, truth, cosines = dy, dy, []
    for layer, seen in zip(reversed(layers), reversed(inputs), strict=True):
        weight = our_weight(layer, 3)
        right = dc.conv_weight_grad(truth, seen, weight.shape, padding=1)
        truth = dc.conv_input_grad(truth, weight, seen.shape, padding=1)
        grad = layer.backward(grad)
        cosines.append(cosine(our_layout(layer.grad_w, right), right))
    assert cosines[0] == pytest.approx(1, abs=1e-12)
    assert max(cosines[1:]) < 0.5


def test_nothing_is_checked(rng):
    """Columns that cannot be, and an image of another size, give numbers; ours says what is wrong."""
    odd = rng.standard_normal((1, 9, 19))  # 19 numbers are no whole count of 3x3 windows
    assert vec2arr(odd, (3, 3), (5, 5)).shape == (1, 2, 5, 5)
    with pytest.raises(ValueError, match="col2im: "):
        dc.col2im(odd, (5, 5), 3)
    cols = rng.standard_normal((1, 4, 9))  # four windows: a 4x4 image
    assert vec2arr(np.tile(cols, (1, 9, 1)), (3, 3), (9, 3)).shape == (1, 1, 9, 3)
    with pytest.raises(ValueError, match="col2im: "):
        dc.col2im(cols, (9, 3), 3)


def test_vec2arr_keeps_the_number_type(rng):
    cols = rng.standard_normal((1, 9, 9)).astype(np.float32)
    assert vec2arr(cols, (3, 3), (5, 5)).dtype == np.float32


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
