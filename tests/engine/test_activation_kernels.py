"""The vector functions and the activations' kernels, against Python's own mathematics and the NumPy code."""

import math
from functools import cache

import numpy as np
import pytest

from deepconv.engine import machine, settings

if machine.why_not_compiled():
    pytest.skip(machine.why_not_compiled(), allow_module_level=True)

from deepconv.engine import activation
from deepconv.engine.kernels import frontend, threads, transcendental
from deepconv.engine.kernels.compile import Kernel
from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.simd import lanes, load, pointer, store
from tests.conftest import examples


@part
def distribution(x):
    return transcendental.normal(x)[0]


@part
def density(x):
    return transcendental.normal(x)[1]


class Tried(Kernel):
    """A kernel that stands in no file: a vector function, applied to numbers in memory."""

    def __init__(self, function):
        def run(x_at, y_at, count, zero: frontend.Number):
            x, y = pointer(x_at, zero), pointer(y_at, zero)
            for i in range(0, count, lanes(zero)):
                store(y, i, function(load(x, i)))

        run.__name__ = run.__qualname__ = f"tried_{id(function)}"
        super().__init__("activation", run.__name__)
        self.run = run

    def _code(self, dtype):
        symbol, code = frontend.compiled(self.run, dtype, None).split(b"\0", 1)
        return symbol.decode(), code


tried = cache(Tried)


def computed(function, x):
    """Return a vector function of all numbers of x."""
    padded = np.append(x, np.zeros(-len(x) % 16, x.dtype))
    y = np.empty_like(padded)
    tried(function)[x.dtype](padded, y, len(padded))
    return y[: len(x)]


def logistic(v):
    return 1 / (1 + math.exp(-v))


def phi(v):
    return math.erfc(-v / math.sqrt(2)) / 2


def bell(v):
    return math.exp(-v * v / 2) / math.sqrt(2 * math.pi)


# Function, the same in Python, the interval for float32 and for float64, the error in units in the last place,
# and that of Python's own formula in float64 (its argument is rounded).
FUNCTIONS = [
    (transcendental.exp, math.exp, (-87.3, 88.3), (-708, 709.4), 1.1, 1),
    (transcendental.tanh, math.tanh, (-12, 12), (-22, 22), 2.5, 1),
    (transcendental.sigmoid, logistic, (-86, 100), (-700, 700), 2.5, 2),
    (distribution, phi, (-12.9, 13), (-3, 3), 7, 20),
    (density, bell, (-12.9, 13), (-3, 3), 3, 20),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", FUNCTIONS, ids=["exp", "tanh", "sigmoid", "distribution", "density"])
def test_errors_are_as_small_as_stated(rng, case, dtype):
    function, plain, single, double, limit, own = case
    ends = single if dtype == np.float32 else double
    x = np.concatenate(
        [
            np.linspace(*ends, examples(5_001, full=20_001)),
            rng.uniform(-1, 1, examples(2_000, full=5_000)),
            10.0 ** rng.uniform(-30, 0, 999),
        ]
    )
    assert largest_error(function, plain, x.astype(dtype)) <= limit + (own if dtype == np.float64 else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_is_right_from_denormals_to_the_largest(rng, dtype):
    limits = np.finfo(dtype)
    least, most = np.log2(float(limits.smallest_subnormal)), np.log2(float(limits.max)) - 1e-3
    powers = rng.uniform(least, most, examples(5_000, full=20_000))
    middle = rng.uniform(0.5, 2, examples(2_000, full=5_000))
    x = np.concatenate([2.0**powers, middle, [limits.max, limits.tiny]]).astype(dtype)
    assert largest_error(transcendental.log, math.log, x) <= (1 if dtype == np.float32 else 2)
    edges = np.array([0, -0.0, -1, np.inf, -np.inf, np.nan, 1], dtype)
    expected = [-np.inf, -np.inf, np.nan, np.inf, np.nan, np.nan, 0]
    np.testing.assert_array_equal(computed(transcendental.log, edges), expected)


def largest_error(function, plain, x):
    """Return by how many units in the last place a function is off at most."""
    expected = np.array([plain(float(v)) for v in x])
    unit = np.spacing(np.abs(expected).astype(x.dtype)).astype(float)
    return (np.abs(computed(function, x).astype(float) - expected) / unit).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges_of_the_range(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, tiny, -tiny], dtype)
    expected = {
        transcendental.exp: [1, 1, np.inf, 0, np.nan, np.inf, 0, 1, 1],
        transcendental.tanh: [0, -0.0, 1, -1, np.nan, 1, -1, tiny, -tiny],
        transcendental.sigmoid: [0.5, 0.5, 1, 0, np.nan, 1, 0, 0.5, 0.5],
        distribution: [0.5, 0.5, 1, 0, np.nan, 1, 0, 0.5, 0.5],
    }
    for function, values in expected.items():
        y = computed(function, x)
        np.testing.assert_array_equal(y, np.array(values, dtype))
        np.testing.assert_array_equal(np.signbit(y[:4]), np.signbit(np.array(values[:4])))


NAMES = ["relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh"]


def by_numpy(monkeypatch, function, *args):
    """Return what NumPy's calls compute where the kernels are missing."""
    with monkeypatch.context() as patch:
        patch.setattr(machine, "why_not_compiled", lambda: "a test")
        return function(*args)


def close(got, expected, dtype, tolerance=40):
    """Hold that both have infinities and NaN in the same places, and else agree to some last digits."""
    assert got.dtype == dtype
    assert got.flags.c_contiguous
    np.testing.assert_allclose(
        got, expected, rtol=tolerance * np.finfo(dtype).eps, atol=tolerance * np.finfo(dtype).eps
    )


def both(names, doubles):
    """Return each name with both types: one source for both, so by default only some are compiled for doubles."""
    return [
        pytest.param(name, dtype, marks=[pytest.mark.full] * (dtype == np.float64 and name not in doubles))
        for name in names
        for dtype in (np.float32, np.float64)
    ]


@pytest.mark.parametrize(("name", "dtype"), both(NAMES, ["relu", "leaky_relu", "tanh", "gelu"]))
def test_kernels_agree_with_numpy_at_every_length(rng, monkeypatch, name, dtype):
    function, input_grad = getattr(activation, name), getattr(activation, f"{name}_input_grad")
    edges = np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e30, -1e30, -1e4, 1e4, -100, 100], dtype)
    least = 1 << 14 if name in ("relu", "leaky_relu") else 1 << 10
    x = np.append(edges, rng.standard_normal(least + 17).astype(dtype) * 5)
    x[-17::3] = edges[:6]
    dy = rng.standard_normal(x.size).astype(dtype)
    for numbers in ((0.1,), (-0.5,), (0.0,)) if name == "leaky_relu" else ((),):
        expected = by_numpy(monkeypatch, function, x, *numbers)
        back = by_numpy(monkeypatch, input_grad, dy, x, *numbers)
        for more in range(17):
            some = slice(more, more + least + more % 5)  # results lie at any place of a vector, too
            close(function(x[some], *numbers), expected[some], dtype)
            close(input_grad(dy[some], x[some], *numbers), back[some], dtype)


@pytest.mark.parametrize(("ends", "limits"), [((-1, 6), (5, 5)), ((-3, -1), (8, 20)), ((-5, -3), (15, 40))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_keeps_its_digits_to_the_left(dtype, ends, limits):
    x = np.linspace(*ends, 2_001).astype(dtype)
    expected = np.array([v * phi(v) for v in x.astype(float)])
    units = np.abs(activation.gelu(x) - expected) / np.spacing(np.abs(expected).astype(dtype))
    assert units.max() <= limits[dtype == np.float64]


@pytest.mark.parametrize(("name", "dtype"), both(["sigmoid", "tanh"], ["tanh"]))
def test_gradients_from_the_output_are_those_from_the_input(rng, name, dtype):
    edges = np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e30, -1e30, -1e4, 1e4, -100, 100], dtype)
    x = np.append(edges, rng.standard_normal(1100).astype(dtype) * 5)
    dy = rng.standard_normal(x.size).astype(dtype)
    y, input_grad = getattr(activation, name)(x), getattr(activation, f"{name}_input_grad")
    for count in range(1030, 1047):
        expected = input_grad(dy[:count], x[:count])
        np.testing.assert_array_equal(input_grad(dy[:count], x[:count], y[:count]), expected)


SHAPES = [((300, 10), 1), ((10, 300), 0), ((7, 1000), 1), ((3, 21, 31, 5), 1), ((3, 5, 17, 16), 1), ((2, 700, 3), 1),
          ((1, 3, 5000), 1), ((5000, 1), 1), ((1, 5000), 1)]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), both(["softmax", "log_softmax"], ["softmax"]))
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_softmax_kernels_agree_with_numpy(rng, monkeypatch, name, dtype, shape, axis):
    x, dy = (rng.standard_normal(shape) * 4).astype(dtype), rng.standard_normal(shape).astype(dtype)
    wild = x.reshape(-1)[:: max(7, x.size // 50)]
    wild[:4] = np.inf, -np.inf, np.nan, 1e30
    for which, args in ((name, (x, axis)), (f"{name}_input_grad", (dy, x, axis))):
        function = getattr(activation, which)
        expected = by_numpy(monkeypatch, function, *args)
        with np.errstate(all="raise"):
            close(function(*args), expected, dtype, 400)
    y = by_numpy(monkeypatch, getattr(activation, name), x, axis)
    with np.errstate(all="raise"):
        close(function(dy, x, axis, y), expected, dtype, 400)


@pytest.mark.parametrize("name", ["relu", "gelu", "softmax", "softmax columns"])
def test_threads_and_strides_change_nothing(rng, monkeypatch, name):
    x, dy = rng.standard_normal((2, 40, 70, 69), np.float32), rng.standard_normal((2, 40, 70, 69), np.float32)
    axis = {"softmax": (-1,), "softmax columns": (1,)}.get(name, ())
    name = name.split()[0]
    function, input_grad = getattr(activation, name), getattr(activation, f"{name}_input_grad")
    one, back = function(x, *axis), input_grad(dy, x, *axis)
    monkeypatch.setattr(settings, "get_threads", lambda: 3)  # one thread asks nobody
    monkeypatch.setattr(threads, "worth", lambda allowed, work: allowed)
    np.testing.assert_array_equal(function(x, *axis), one)
    np.testing.assert_array_equal(input_grad(dy, x, *axis), back)
    turned = np.asfortranarray(x)[:, ::-1]
    np.testing.assert_array_equal(function(turned, *axis), function(np.ascontiguousarray(turned), *axis))
    odd = np.empty(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    odd[...] = x
    odd.flags.writeable = False
    assert not odd.flags.aligned
    np.testing.assert_array_equal(input_grad(dy, odd, *axis), back)


@pytest.mark.parametrize("size", [1, 31, 203])
def test_past_the_caches_the_same_is_written(rng: np.random.Generator, size: int) -> None:
    dtype = np.dtype(np.float32)
    dy, x = (rng.standard_normal(size + 9, np.float32)[1:-8] for _ in range(2))
    for run, given in (
        (activation.KERNELS.relu[dtype], (x,)),
        (activation.KERNELS.relu_grad[dtype], (dy, x)),
    ):
        through, past = np.full((2, size + 3), 7, np.float32)
        run(*given, through[1:-2], size, False, 0.0)
        run(*given, past[1:-2], size, True, 0.0)
        np.testing.assert_array_equal(past, through)
        assert past[0] == 7 == past[-1] == past[-2]
