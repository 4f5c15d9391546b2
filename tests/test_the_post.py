"""The post's own code, as printed, held against ours: where they agree, where they differ, and why.

`tests/post.py` is the post's text, token for token. The counts are those of a survey of that code.
Its lists of sizes are lost; those below are ours, chosen so that the same counts come out.
"""

from __future__ import annotations

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
from tests.post_layout import our_layout, our_weight

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
