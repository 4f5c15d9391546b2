"""The compiled updates against the rules in NumPy, which other tests hold against the rules written out."""

import numpy as np
import pytest

from deepconv.engine import updates
from deepconv.engine.machine import why_not_compiled
from deepconv.layers.parameter import Parameter
from deepconv.training import optimizers
from deepconv.training.optimizers import SGD, Adam, AdamW

pytestmark = pytest.mark.skipif(why_not_compiled() is not None, reason="Numba is not installed")

MAKERS = {
    "plain": lambda: SGD(0.1),
    "decay": lambda: SGD(0.1, weight_decay=0.2),
    "momentum": lambda: SGD(0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: Adam(0.1, weight_decay=0.2),
    "adamw": lambda: AdamW(0.1, weight_decay=0.2),
}


@pytest.fixture
def ran(monkeypatch):
    """The kernels that were called, in order."""
    called = []
    run = updates.Rows._run
    monkeypatch.setattr(
        updates.Rows, "_run", lambda self, kernel, *rest: (called.append(kernel), run(self, kernel, *rest))
    )
    return called


def made(shapes, dtype):
    parameters = {}
    for i, shape in enumerate(shapes):
        own = Parameter(shape, lambda generator, shape: generator.normal(size=shape), decay=i % 2 == 0)
        own.initialise(np.random.default_rng(i), dtype)
        parameters[str(i)] = own
    return parameters


def slopes(parameters, step, dtype, scale=1.0):
    generator = np.random.default_rng([step, 5])
    return {p: (scale * generator.normal(size=p.shape)).astype(dtype) for p in parameters.values()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_length_as_in_numpy(monkeypatch, ran, make, dtype):
    shapes = [(0,), *((n,) for n in range(1, 36)), (13, 700)]
    ours, other = made(shapes, dtype), made(shapes, dtype)
    fast, slow = make(), make()
    for step in range(3):
        clip = 3.0 if step == 1 else None
        norm = fast.step(ours, slopes(ours, step, dtype), clip_norm=clip)
        with monkeypatch.context() as patched:
            patched.setattr(optimizers, "compiles", lambda dtype, weights: False)
            expected = slow.step(other, slopes(other, step, dtype), clip_norm=clip)
        np.testing.assert_allclose(norm, expected, rtol=1e-6)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    for name, parameter in ours.items():
        np.testing.assert_allclose(parameter.value, other[name].value, rtol=tolerance, atol=tolerance)
    for name, array in fast.state().items():
        np.testing.assert_allclose(array, slow.state()[name], rtol=tolerance, atol=tolerance)
    assert ran == ["squares", "sgd" if "SGD" in repr(fast) else "adam"] * 3


def test_gradients_and_weights_that_lie_otherwise(ran):
    ours, other = made([(5, 8), (3, 4)], np.float32), made([(5, 8), (3, 4)], np.float32)
    one, two = SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9)
    given = slopes(ours, 0, np.float32)
    one.step(ours, given)
    turned = {other[n]: np.asfortranarray(given[p])[::1].astype(">f4") for n, p in ours.items()}
    other["0"].data.flags.writeable = False
    two.step(other, turned)
    for name, parameter in ours.items():
        np.testing.assert_array_equal(parameter.value, other[name].value)
    assert ran == ["squares", "sgd"] * 2
    other["0"].data = np.asfortranarray(other["0"].data)  # no kernel for this one
    two.step(other, {other[n]: given[p] for n, p in ours.items()})
    one.step(ours, given)
    for name, parameter in ours.items():
        np.testing.assert_allclose(parameter.value, other[name].value, rtol=1e-6)
    assert ran == ["squares", "sgd"] * 3


def test_a_large_gradient_has_a_norm_and_an_infinite_one_changes_nothing(ran):
    parameters = made([(40,), (3,)], np.float32)
    optimizer = SGD(0.0)
    given = slopes(parameters, 0, np.float32, 1e30)
    norm = optimizer.step(parameters, given)
    exact = sum(np.square(g, dtype=np.float64).sum() for g in given.values()) ** 0.5
    np.testing.assert_allclose(norm, exact, rtol=1e-6)
    before = {name: p.value.copy() for name, p in parameters.items()}
    given[parameters["1"]][2] = np.nan
    with pytest.raises(FloatingPointError, match="SGD: the gradient of '1' holds NaN"):
        optimizer.step(parameters, given)
    for name, parameter in parameters.items():
        np.testing.assert_array_equal(parameter.value, before[name])
    assert ran == ["squares", "sgd", "squares"]


def test_what_does_not_decay_may_be_infinite(ran):
    parameters = made([(4,), (9,)], np.float32)
    parameters["1"].data[...] = np.inf
    SGD(0.1, momentum=0.5, weight_decay=0.1).step(parameters, slopes(parameters, 0, np.float32))
    AdamW(0.1, weight_decay=0.1).step(parameters, slopes(parameters, 0, np.float32))
    assert np.isposinf(parameters["1"].value).all()
    assert np.isfinite(parameters["0"].value).all()
