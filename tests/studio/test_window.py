"""The small convolution: every number of the answer, for random geometries, against the operators themselves."""

import numpy as np
import pytest

import deepconv as dc
from deepconv.studio.rooms.numbers import from_page, to_page
from deepconv.studio.rooms.window import compute
from deepconv.studio.session import Session

GEOMETRIES = [
    {"stride": [2, 1], "padding": [[1, 0], [0, 2]], "dilation": [1, 2]},
    {"stride": [1, 3], "padding": [[0, 2], [1, 1]], "dilation": [2, 1]},
]


def asked(**arguments):
    return compute.call(Session(None, {}, {}), [], **arguments).data


@pytest.fixture(params=GEOMETRIES, ids=["tall strides", "wide strides"])
def case(request, rng):
    """Two channels, three filters, an image and a kernel that are no squares."""
    words = {
        key: tuple(map(tuple, value)) if key == "padding" else tuple(value)
        for key, value in request.param.items()
    }
    image, bias = rng.integers(-9, 9, (2, 6, 7)) / 4, rng.integers(-9, 9, 3) / 4
    return request.param, words, image, bias


def test_a_window_and_its_way_back(case, rng):
    given, words, image, bias = case
    weight = rng.integers(-9, 9, (3, 2, 2, 3)) / 4
    x = image[None]
    y = dc.conv(x, weight, bias, **words)
    dy = rng.integers(-9, 9, y.shape) / 4
    arguments = {"image": image.tolist(), "weight": weight.tolist(), "bias": bias.tolist(), **given}
    found = asked(**arguments, dy=dy[0].tolist(), rate=0.5)
    columns, dw, db = (
        dc.im2col(x, (2, 3), **words)[0],
        dc.conv_weight_grad(dy, x, weight.shape, **words),
        dy.sum((0, 2, 3)),
    )
    padded = np.pad(image, [(0, 0), *words["padding"]])
    rows = dy[0].reshape(3, -1).T
    seen = dc.col2im(np.ones((1, y[0, 0].size, 6)), (6, 7), (2, 3), **words)[0, 0]
    right = {
        "y": y[0], "padded": padded, "columns": columns, "matrix": weight.reshape(3, -1).T, "dy": dy[0],
        "product": y[0].reshape(3, -1).T, "dx": dc.conv_input_grad(dy, weight, x.shape, **words)[0], "dw": dw, "db": db,
        "dcolumns": rows @ weight.reshape(3, -1), "seen": seen,
    }  # fmt: skip
    for name, value in right.items():
        np.testing.assert_allclose(found[name], value, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(padded.ravel()[np.array(found["cells"])], columns)
    assert found["padded_shape"] == list(padded.shape)
    assert (found["padding"], found["places"]) == (given["padding"], list(y.shape[2:]))
    step = found["step"]
    np.testing.assert_allclose(step["weight"], weight - 0.5 * dw, atol=1e-12)
    np.testing.assert_allclose(step["bias"], bias - 0.5 * db, atol=1e-12)
    np.testing.assert_allclose(
        step["y"], dc.conv(x, weight - 0.5 * dw, bias - 0.5 * db, **words)[0], atol=1e-12
    )
    np.testing.assert_allclose(asked(**arguments)["db"], np.full(3, y[0, 0].size))  # without dy: 1 everywhere


def test_a_stamp_and_its_way_back(case, rng):
    given, words, image, bias = case
    weight = rng.integers(-9, 9, (2, 3, 2, 3)) / 4
    x = image[None]
    y = dc.conv_transpose(x, weight, bias, **words)
    dy = rng.integers(-9, 9, y.shape) / 4
    found = asked(
        image=image.tolist(),
        weight=weight.tolist(),
        bias=bias.tolist(),
        transposed=True,
        dy=dy[0].tolist(),
        **given,
    )
    stamps = np.einsum("chw,ckrs->hwkrs", image, weight).reshape(42, -1)
    dw, db = dc.conv_transpose_weight_grad(dy, x, weight.shape, **words), dy.sum((0, 2, 3))
    right = {
        "y": y[0], "padded": dc.conv_transpose(x, weight, bias, **(words | {"padding": 0}))[0], "stamps": stamps,
        "dx": dc.conv_transpose_input_grad(dy, weight, x.shape, **words)[0], "dw": dw, "db": db,
    }  # fmt: skip
    for name, value in right.items():
        np.testing.assert_allclose(found[name], value, atol=1e-12, err_msg=name)
    assert found["places"] == [6, 7]
    after = dc.conv_transpose(x, weight - 0.1 * dw, bias - 0.1 * db, **words)[0]
    np.testing.assert_allclose(found["step"]["y"], after, atol=1e-12)
    whole = np.zeros(np.shape(found["padded"])).ravel()
    np.add.at(whole, np.array(found["cells"]), stamps)  # each stamp where its cells say
    np.testing.assert_allclose(
        whole.reshape(3, -1) + bias[:, None], np.reshape(found["padded"], (3, -1)), atol=1e-12
    )


def test_the_sizes_rule_and_what_cannot_work(case):
    given, _, image, bias = case
    kernel = np.ones((2, 3, 2, 3))
    numbers = {"image": image.tolist(), "bias": bias.tolist(), **given}
    found = asked(**numbers, weight=kernel.tolist(), transposed=True)
    for part, out, back, axis in zip(
        found["formula"].split(" by "),
        found["padded_shape"][1:],
        found["inverse"].split(" by "),
        (0, 1),
        strict=True,
    ):
        arithmetic, _, size = part.partition(" = ")
        assert eval(arithmetic) == int(size) == out - sum(given["padding"][axis])
        assert back.endswith(f" + 1 = {image.shape[1 + axis]}")
    assert np.shape(found["y"])[1:] == tuple(
        n - sum(pair) for n, pair in zip(found["padded_shape"][1:], given["padding"], strict=True)
    )
    with pytest.raises(
        ValueError,
        match=r"^The kernel spans .* larger than the padded image .*: no window fits.*Output size: floor",
    ):
        asked(**numbers | {"image": image[:, :1].tolist()}, weight=np.ones((3, 2, 5, 3)).tolist())
    with pytest.raises(
        ValueError, match=r"cuts off all that is stamped\. Pad less\. Output size: \(6 - 1\).* = -\d+ by "
    ):
        asked(**numbers | {"padding": [[30, 0], [0, 0]]}, weight=kernel.tolist(), transposed=True)
    with pytest.raises(
        ValueError, match=r"conv: stride=\(0, 1\) must be at least 1"
    ):  # the library's own words
        asked(**numbers | {"stride": [0, 1]}, weight=np.ones((3, 2, 2, 3)).tolist())


def test_numbers_on_their_way():
    array = np.array([[np.inf, -np.inf], [np.nan, -0.5]])
    assert to_page(array) == [["∞", "−∞"], ["NaN", -0.5]]
    assert to_page(np.float64("nan")) == "NaN"
    for value, axes in (
        [[[]], "HW"],
        [[1.0, 2.0], "HW"],
        [[[1.0]] * 5, "HW"],
        [[["1e400x"]], "HW"],
        [None, "K"],
    ):
        with pytest.raises(ValueError, match=r"grid: (has shape|expected)"):
            from_page("grid", value, axes, 4)
