"""The ladder's first rung: adjoint identities and finite differences on random geometries.

    <conv(x, w), dy> = <x, conv_input_grad(dy, w)> = <w, conv_weight_grad(dy, x)>

350 geometries here (100 for differences), 10,000 in the full run: one to three axes, odd and rectangular, every
padding and mode, strides that don't divide, padding wider than the kernel, groups, empty batches.
"""

import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepconv as dc
from tests.cases import geometries
from tests.conftest import examples


def mismatch(case, seed, wrong=0.0):
    """Return the larger relative gap of the two identities; `wrong` plants an error in one gradient cell."""
    x, w, dy = case.arrays(seed=seed)
    words = case.keywords
    y = dc.conv(x, w, **words)
    dx = dc.conv_input_grad(dy, w, x.shape, **words)
    dw = dc.conv_weight_grad(dy, x, w.shape, **words)
    assert (dx.shape, dw.shape, y.shape) == (x.shape, w.shape, dy.shape)
    dx, dw = dx * (1 + wrong), dw * (1 + wrong)
    products = [(y * dy).sum(), (x * dx).sum(), (w * dw).sum()]
    scale = np.linalg.norm(y) * np.linalg.norm(dy) + 1e-30
    return max(abs(products[0] - p) for p in products[1:]) / scale, abs(products[0]) / scale


@settings(max_examples=examples(350, full=10_000))
@given(case=geometries(), seed=st.integers(0, 2**32 - 1))
def test_adjoint_identities(case, seed):
    assert mismatch(case, seed)[0] < 1e-12


def difference(function, gradient, at, rng):
    """Return (directional derivative by central differences, by the gradient, the scale of both)."""
    direction = rng.standard_normal(at.shape)
    h = 1e-3  # the function is linear in `at`: any step is exact but for rounding
    numeric = (function(at + h * direction) - function(at - h * direction)) / (2 * h)
    return numeric, (gradient * direction).sum(), np.abs(gradient * direction).sum() + 1e-9


# Fewer: the identities above and one derivative of a linear function say the same, this costs twice as much.
@settings(max_examples=examples(100, full=10_000))
@given(case=geometries(), seed=st.integers(0, 2**32 - 1))
def test_finite_differences(case, seed):
    x, w, dy = case.arrays(seed=seed)
    rng = np.random.default_rng(seed)
    words = case.keywords
    checks = [
        difference(lambda a: (dc.conv(a, w, **words) * dy).sum(), dc.conv_input_grad(dy, w, x.shape, **words), x, rng),
        difference(lambda a: (dc.conv(x, a, **words) * dy).sum(), dc.conv_weight_grad(dy, x, w.shape, **words), w, rng),
    ]  # fmt: skip
    scale = np.abs(dy).sum() * np.abs(x).max(initial=1) * np.abs(w).sum()
    for numeric, exact, size in checks:
        assert abs(numeric - exact) < 1e-9 * (size + scale)


def test_a_planted_error_of_a_thousandth_is_seen():
    """The tester tested: on geometries where the identity says anything, 0.1 % is far over the bound."""
    seen = []

    @settings(max_examples=100)
    @given(case=geometries(), seed=st.integers(0, 1000))
    def plant(case, seed):
        gap, size = mismatch(case, seed, wrong=1e-3)
        if size > 1e-4:
            seen.append(gap)

    plant()
    assert len(seen) > 50
    assert min(seen) > 1e-8


def test_what_is_drawn_is_what_was_promised():
    """Without this the strategy could shrink to nothing and all of the above would stay green."""
    count = Counter()

    @settings(max_examples=250)
    @given(case=geometries())
    def look(case):
        window = case.window
        image = case.x_shape[2:]
        count[f"rank {len(image)}"] += 1
        count[case.mode] += any(map(any, window.padding))
        count[str(case.keywords["padding"]) if isinstance(case.keywords["padding"], str) else "pairs"] += 1
        count["rectangular"] += len(set(image)) > 1
        count["stride does not divide"] += any(
            (n - s) % t for n, s, t in zip(window.padded_size(image), window.span, window.stride, strict=True)
        )
        count["wider than the kernel"] += any(
            max(p) >= k for p, k in zip(window.padding, window.kernel, strict=True)
        )
        count["dilated"] += max(window.dilation) > 1
        count["grouped"] += case.groups > 1
        count["depthwise"] += case.groups == case.x_shape[1] > 1
        count["empty"] += case.x_shape[0] == 0
        count["one-sided"] += any(b != a for b, a in window.padding)

    look()
    wanted = ["rank 1", "rank 2", "rank 3", "zeros", "reflect", "replicate", "circular", "pairs", "same", "same_lower",
              "causal", "valid", "rectangular", "stride does not divide", "wider than the kernel", "dilated",
              "grouped", "depthwise", "empty", "one-sided"]  # fmt: skip
    assert {name: count[name] for name in wanted if count[name] < 7} == {}, count


def test_each_run_draws_what_it_promises():
    """And no peer has put its own profile in the place of ours, as PyTorch's test tools do."""
    profile = os.environ["DEEPCONV_HYPOTHESIS"]
    assert settings.get_current_profile_name() == profile
    drawn = test_adjoint_identities._hypothesis_internal_use_settings.max_examples
    assert drawn == {"ci": 350, "full": 10_000}[profile]


@pytest.mark.full
def test_the_full_run_draws_ten_thousand():
    assert examples(350, full=10_000) == 10_000
