"""The tester, tested: it must find a gradient wrong by a thousandth, and one that isn't there."""

import numpy as np
import pytest

import deepconv.layers as dl


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(3, 2, 6, 7))


class Planted(dl.Layer):
    """A convolution, normalisation and ReLU whose pullback is tampered with."""

    def __init__(self, tamper, make=lambda: dl.Sequential(dl.Conv2d(None, 3, 3), dl.BatchNorm(), dl.ReLU())):
        self.body, self.tamper = make(), tamper

    def apply(self, x, *, training=True, rng=None):
        (x,) = self.prepare(x)
        y, pullback = self.body.apply(x, training=training, rng=rng)

        def pull(dy):
            dx, gradients = pullback(dy)
            named = {name: gradients[p] for name, p in self.body.parameters().items()}
            dx, named = self.tamper(dx, named)
            return dx, {self.body.parameters()[name]: g for name, g in named.items()}

        return y, dl.Pullback("Planted", y, pull)


NAMES = ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_nothing_planted_nothing_found(x):
    report = dl.check_gradients(Planted(lambda dx, g: (dx, g)), x)
    assert max(report.errors.values()) < 1e-6
    assert report.worst in report.errors
    assert "relative error" in str(report)


@pytest.mark.parametrize("seed", range(8))
def test_a_thousandth_in_dx_is_found(x, seed):
    with pytest.raises(dl.GradientError, match="dx is wrong"):
        dl.check_gradients(Planted(lambda dx, g: (dx * 1.001, g)), x, seed=seed)


# The bias before a normalisation has no effect, and so no gradient to be wrong by a thousandth of.
@pytest.mark.parametrize("name", ["0.weight", "1.weight", "1.bias"])
@pytest.mark.parametrize("seed", range(4))
def test_a_thousandth_in_each_parameter_is_found(x, name, seed):
    tamper = Planted(lambda dx, g: (dx, {**g, name: g[name] * 0.999}))
    with pytest.raises(dl.GradientError, match=rf"body\.{name} is wrong"):
        dl.check_gradients(tamper, x, seed=seed)


def test_a_gradient_where_there_is_none_is_found(x):
    with pytest.raises(dl.GradientError, match=r"body\.0\.bias is wrong"):
        dl.check_gradients(Planted(lambda dx, g: (dx, {**g, "0.bias": g["0.bias"] + 0.01})), x)


def test_one_entry_out_of_many_is_found(x):
    def tamper(dx, g):
        dx = dx.copy()
        dx[1, 0, 3, 3] *= 1.01
        return dx, g

    with pytest.raises(dl.GradientError, match="dx is wrong"):
        dl.check_gradients(Planted(tamper), x)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_gradient_is_found(x, name):
    tamper = Planted(lambda dx, g: (dx, {n: v for n, v in g.items() if n != name}))
    with pytest.raises(dl.GradientError, match=rf"no gradient for body\.{name}"):
        dl.check_gradients(tamper, x)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda dx: dx[:1], r"gradient of dx has shape \(1, 2, 6, 7\), not \(3, 2, 6, 7\)"),
        (lambda dx: dx.sum(), r"gradient of dx has shape \(\)"),
        (lambda dx: dx * np.nan, "dx is wrong"),
        (lambda dx: np.zeros_like(dx), "dx is wrong"),
        (lambda dx: dx[..., ::-1, :], "dx is wrong"),
        (lambda dx: -dx, "dx is wrong"),
    ],
)
def test_other_mistakes(x, wrong, text):
    with pytest.raises(dl.GradientError, match=text):
        dl.check_gradients(Planted(lambda dx, g: (wrong(dx), g)), x)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_s_gradient_of_nan_is_found(x, name):
    """No comparison with NaN holds, so a search for the largest error may pass it by."""
    tamper = Planted(lambda dx, g: (dx, {n: v * np.nan if n == name else v for n, v in g.items()}))
    with pytest.raises(dl.GradientError, match=rf"body\.{name} is wrong"):
        dl.check_gradients(tamper, x)


@pytest.mark.parametrize("make", [dl.ReLU, lambda: dl.MaxPool2d(2), lambda: dl.LeakyReLU(0.3)])
@pytest.mark.parametrize("seed", range(6))
def test_kinks_are_no_false_alarm(make, seed):
    x = np.random.default_rng(seed).normal(size=(4, 5, 20, 21))
    dl.check_gradients(make(), x, seed=seed)


@pytest.mark.parametrize("make", [dl.ReLU, lambda: dl.MaxPool2d(2)])
def test_kinks_hide_nothing(make):
    x = np.random.default_rng(1).normal(size=(4, 5, 20, 21))
    with pytest.raises(dl.GradientError, match="dx is wrong"):
        dl.check_gradients(Planted(lambda dx, g: (dx * 1.001, g), make), x)


@pytest.mark.parametrize("shape", [(3, 2, 7), (3, 2, 4, 5), (2, 3, 2, 3, 4)])
def test_the_global_mean_of_any_rank(shape):
    dl.check_gradients(dl.GlobalAvgPool(), np.random.default_rng(2).normal(size=shape))


def test_dropout_is_checked_with_its_draw_held_still(x):
    dl.check_gradients(dl.Dropout(0.5), x)


def test_the_layer_itself_is_not_touched(x):
    layer = dl.BatchNorm(2).initialize((2, 6, 7), seed=1)
    before = layer.state()
    dl.check_gradients(layer, x)
    assert all(np.array_equal(before[name], value) for name, value in layer.state().items())
    assert layer.dtype == np.float32
    bare = dl.Conv2d(None, 3, 3)
    dl.check_gradients(bare, x[0])  # one image, without a batch
    assert bare.weight.data is None


def test_the_seed_decides(x):
    layer = dl.Sequential(dl.Conv2d(None, 3, 3), dl.Tanh())
    assert dl.check_gradients(layer, x, seed=4).errors == dl.check_gradients(layer, x, seed=4).errors
    assert dl.check_gradients(layer, x, seed=4).errors != dl.check_gradients(layer, x, seed=5).errors


def test_functions_and_other_objects():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4))
    product = dl.check_gradients(lambda a, b: (a * b, lambda dy: (dy * b, dy * a)), (a, b))
    assert list(product.errors) == ["dx0", "dx1"]
    with pytest.raises(dl.GradientError, match="dx1 is wrong"):
        dl.check_gradients(lambda a, b: (a * b, lambda dy: (dy * b, dy * a * 1.001)), (a, b))
    with pytest.raises(dl.GradientError, match="no gradient for dx1"):
        dl.check_gradients(lambda a, b: (a * b, lambda dy: (dy * b,)), (a, b))

    class Square:
        def apply(self, x, *, training, rng):
            return x**2, lambda dy: (2 * x * dy, {})

    dl.check_gradients(Square(), a)


def test_integers_are_checked_as_floats():
    dl.check_gradients(dl.Linear(None, 3), np.arange(8).reshape(2, 4))


def test_small_and_large_inputs():
    x = np.random.default_rng(3).normal(size=(4, 6))
    for scale in (1e-3, 1.0, 255.0):
        dl.check_gradients(dl.Linear(None, 3), x * scale)
        with pytest.raises(dl.GradientError):
            dl.check_gradients(lambda x: (x**2, lambda dy: 2.002 * x * dy), x * scale)


def test_a_function_that_returns_no_pullback(rng):
    x = rng.standard_normal((2, 3))  # two rows: not an output and a pullback
    with pytest.raises(
        TypeError, match=r"check_gradients: .*tanh.* returned ndarray, not the output and a pullback"
    ):
        dl.check_gradients(np.tanh, x)
