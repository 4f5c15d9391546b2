"""What the tests of the algorithms by bands share: problems, the truth, and runs that are checked."""

import numpy as np

from deepconv import reference
from deepconv.engine.choice import choose
from deepconv.engine.problem import PASSES, Problem
from deepconv.geometry import window


def problem(which, x_shape, weight_shape, groups, dtype=np.float64, **words):
    """Return a problem with `conv`'s keywords, and `bias`, `relu`, `threads` and `workspace_limit`."""
    own = {k: words.pop(k) for k in ("bias", "relu", "threads", "workspace_limit") if k in words}
    w = window("conv", x_shape[2:], weight_shape[2:], **words)
    n, c, *image = x_shape
    return Problem(which, n, c, weight_shape[0], tuple(image), w, groups, np.dtype(dtype), **own)


def truth(p, x, w, dy):
    """Return the definition's result."""
    if p.which == "forward":
        return reference.conv_by_taps(x, w, p.window, p.groups)
    if p.which == "input_grad":
        return reference.conv_input_grad_by_taps(dy, w, p.x_shape, p.window, p.groups)
    return reference.conv_weight_grad_by_taps(dy, x, p.weight_shape, p.window, p.groups)


def run(name, p, x, w, dy, bias=None):
    """Return what the named algorithm makes of the operands."""
    plan = choose(p, name)
    assert plan.algorithm.name == name
    if p.which == "forward":
        return plan.run(x, plan.prepare(w), bias)
    return plan.run(dy, plan.prepare(w)) if p.which == "input_grad" else plan.run(dy, x)


def operands(p, seed=0, dtype=None):
    """Return random `x, weight, dy`."""
    rng = np.random.default_rng(seed)
    shapes = p.x_shape, p.weight_shape, p.y_shape
    return tuple(rng.standard_normal(s).astype(dtype or p.dtype) for s in shapes)


def check(name, x_shape, weight_shape, groups, dtype=np.float64, **words):
    """Hold an algorithm against the definition in all passes."""
    for which in PASSES:
        p = problem(which, x_shape, weight_shape, groups, dtype, **words)
        x, w, dy = operands(p)
        close = {"rtol": 1e-11, "atol": 1e-11} if p.dtype == np.float64 else {"rtol": 1e-4, "atol": 2e-5}
        expected = truth(p, *(a.astype(np.float64) for a in (x, w, dy)))
        np.testing.assert_allclose(
            run(name, p, x, w, dy), expected, **close, err_msg=f"{which} {x_shape} {words}"
        )


def same_places(name, p, x, w, dy):
    """Hold an algorithm to where the definition has NaN and the infinities, and to the numbers elsewhere."""
    with np.errstate(all="ignore"):
        expected = truth(p, x, w, dy)
    got = run(name, p, x, w, dy)
    assert not np.isfinite(expected).all()
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-11)  # NaN and infinities in the same places
