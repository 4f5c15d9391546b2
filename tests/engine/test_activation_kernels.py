"""The vector functions and the activations' kernels, against Python's own mathematics and the NumPy code."""

import math

import numpy as np
import pytest

from deepconv.engine import machine

if machine.why_not_compiled():
    pytest.skip(machine.why_not_compiled(), allow_module_level=True)

import numba

from deepconv.engine.kernels import transcendental
from deepconv.engine.kernels.frontend import part
from deepconv.engine.kernels.memory import address
from deepconv.engine.kernels.simd import lanes, load, pointer, store


@part
def distribution(x):
    return transcendental.normal(x)[0]


@part
def density(x):
    return transcendental.normal(x)[1]


def computed(function, x):
    """Return a vector function of all numbers of x."""

    @numba.njit
    def run(x_at, y_at, count, zero):
        x, y = pointer(x_at, zero), pointer(y_at, zero)
        for i in range(0, count, lanes(zero)):
            store(y, i, function(load(x, i)))

    padded = np.append(x, np.zeros(-len(x) % 16, x.dtype))
    y = np.empty_like(padded)
    run(address(padded), address(y), len(padded), x.dtype.type(0))
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
    (transcendental.exp, math.exp, (-103.9, 88.7), (-745, 709.7), 1.1, 1),
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
        [np.linspace(*ends, 20_001), rng.uniform(-1, 1, 5_000), 10.0 ** rng.uniform(-30, 0, 999)]
    )
    assert largest_error(function, plain, x.astype(dtype)) <= limit + (own if dtype == np.float64 else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_is_right_from_denormals_to_the_largest(rng, dtype):
    limits = np.finfo(dtype)
    powers = rng.uniform(np.log2(float(limits.smallest_subnormal)), np.log2(float(limits.max)) - 1e-3, 20_000)
    x = np.concatenate([2.0**powers, rng.uniform(0.5, 2, 5_000), [limits.max, limits.tiny]]).astype(dtype)
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
