"""Convolution of any rank and its exact gradients.

    y[n, k, o] = bias[k] + Σ_{c, r} x[n, c, o·stride + r·dilation - before] · weight[k, c, r]

The kernel is not flipped: networks call this convolution, signal processing calls it correlation;
`flip=True` gives the other. Gradients are sums over the batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepconv.arrays import Array, as_array, dtypes, is_integer
from deepconv.engine import machine, settings
from deepconv.engine import padding as engine_padding
from deepconv.engine.algorithms.direct_weights import bias_grad
from deepconv.engine.choice import choose
from deepconv.engine.problem import PASSES
from deepconv.geometry import Padding, Sizes
from deepconv.operators import calls, checks
from deepconv.operators.cases import Case, case_of, problem_of
from deepconv.operators.windows import copies

if TYPE_CHECKING:
    from deepconv.engine.explanation import Explanation


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
) -> Array:
    """Slide the filters of `weight` over `x` and sum the products, plus a bias for each filter.

    Args:
        x: images, `(N, C, *spatial)`, or one image, `(C, *spatial)`; one to three spatial axes and more.
        weight: filters, `(K, C/groups, *kernel)`.
        bias: `(K,)`, or None.
        stride: how far the window moves at a step.
        padding: what is added around the image: an int, one per axis, a (before, after) pair per axis,
            `"valid"`, `"same"` (`ceil(size/stride)` outputs, the odd pixel after), `"same_lower"`, `"causal"`.
        dilation: the distance between two cells of the window.
        groups: parts into which channels and filters fall; each filter sees one part.
        padding_mode: zeros, reflect, replicate or circular.
        flip: turn the kernel round on every axis first: what signal processing calls convolution.
        algorithm: `"auto"`, or a name that `explain` lists; one that can't compute this raises.

    Returns:
        `(N, K, *out)`, or `(K, *out)`, with
        `out = floor((size + before + after - dilation·(kernel - 1) - 1) / stride) + 1`.
        Floats promote as in NumPy; float16 is computed in float32; integers exactly, in int64.

    Raises:
        TypeError, ValueError: an argument that can't work; the message says what would.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> x = np.arange(12.0).reshape(1, 1, 3, 4)
        >>> conv(x, np.array([[[[0.0, 1.0], [-1.0, 0.0]]]]), stride=(1, 2))
        array([[[[-3., -3.],
                 [-3., -3.]]]])
    """
    words = (stride, padding, dilation, groups, padding_mode, flip, algorithm)
    return _forward(x, weight, bias, words, relu=False)


def conv_relu(x: Array, weight: Array, bias: Array | None = None, **words: Any) -> Array:
    """Return `relu(conv(x, weight, bias, **words))`, the zeros written with the sums: no second pass over memory.

    Args:
        x, weight, bias, words: as for `conv`.

    Raises:
        TypeError, ValueError, OverflowError: as for `conv`.

    Example:
        >>> import numpy as np
        >>> conv_relu(np.array([[[1.0, -2.0]]]), np.array([[[3.0]]]))
        array([[[3., 0.]]])
    """
    given = tuple(words.pop(name, default) for name, default in _WORDS.items())
    if words:
        raise TypeError(f"conv_relu: {', '.join(words)} is no argument; use {', '.join(_WORDS)}")
    return _forward(x, weight, bias, given, relu=True)


_WORDS = {
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "padding_mode": "zeros",
    "flip": False,
    "algorithm": "auto",
}
"""What `conv` takes beside its arrays, in order, and what it takes them to be."""


def _forward(x: Array, weight: Array, bias: Array | None, words: tuple[Any, ...], *, relu: bool) -> Array:
    """Return the convolution, the words in the order of `_WORDS`; below zero there is zero where `relu` says so."""
    key = calls.key_of("forward", (x, weight, bias), (*words, relu))
    if (known := calls.find(key)) is not None:
        return known.run(x, known.prepare(weight), bias)
    x, weight = as_array("conv", "x", x), as_array("conv", "weight", weight)
    operands = [x, weight] if bias is None else [x, weight, as_array("conv", "bias", bias)]
    *_, padding_mode, flip, algorithm = words
    _check_flip("conv", flip)
    case = case_of("conv", x.shape, weight.shape, *words[:5])
    if bias is not None and operands[2].shape != (len(weight),):
        raise ValueError(
            f"conv: bias has shape {operands[2].shape} but weight of shape {weight.shape} has {len(weight)} "
            f"filters; use shape ({len(weight)},)"
        )

    def compute(x: Array, weight: Array, bias: Array | None = None, *, exact: bool) -> Array:
        problem = problem_of("forward", case, x.dtype, exact=exact, bias=bias is not None, relu=relu)
        batch = x if case.batched else x[None]
        if padding_mode != "zeros":
            batch = engine_padding.pad(batch, case.window.padding, padding_mode)
        plan = choose(problem, algorithm)
        if case.plain and not flip:
            calls.keep(key, plan)
        y = plan.run(batch, plan.prepare(_flipped(weight, flip)), bias)
        return y if case.batched else y[0]

    terms = weight.shape[1] * case.window.taps
    return _computed("conv", compute, operands, terms)


def conv_input_grad(
    dy: Array,
    weight: Array,
    x_shape: Sequence[int],
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
) -> Array:
    """Return the gradient of `conv`'s input from that of its output.

    `dx[n, c, i] = Σ dy[n, k, o] · weight[k, c, r]` over all `o·stride + r·dilation - before = i`.

    Args:
        dy: the gradient of the output, `(N, K, *out)` or `(K, *out)`.
        weight: as in `conv`.
        x_shape: the shape of `conv`'s `x`.
        stride, padding, dilation, groups, padding_mode, flip, algorithm: as in `conv`.

    Returns:
        An array of shape `x_shape`, of the dtype that `dy` and `weight` promote to.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than `conv` gives.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> conv_input_grad(np.array([[[1.0, 2.0]]]), np.array([[[10.0, 1.0]]]), (1, 1, 3))
        array([[[10., 21.,  2.]]])
    """
    op = "conv_input_grad"
    words = (stride, padding, dilation, groups, padding_mode, flip, algorithm)
    key = calls.key_of("input_grad", (dy, weight), (x_shape, *words))
    if (known := calls.find(key)) is not None:
        return known.run(dy, known.prepare(weight))
    dy, weight = as_array(op, "dy", dy), as_array(op, "weight", weight)
    shape = checks.shape_of(op, "x_shape", x_shape)
    _check_flip(op, flip)
    case = case_of(op, shape, weight.shape, stride, padding, dilation, groups, padding_mode)
    _check_gradient(op, dy, case)

    def compute(dy: Array, weight: Array, *, exact: bool) -> Array:
        plan = choose(problem_of("input_grad", case, dy.dtype, exact=exact), algorithm)
        if case.plain and not flip:
            calls.keep(key, plan)
        dx = plan.run(dy if case.batched else dy[None], plan.prepare(_flipped(weight, flip)))
        if padding_mode != "zeros":
            dx = engine_padding.pad_input_grad(dx, case.image, case.window.padding, padding_mode)
        return dx if case.batched else dx[0]

    terms = len(weight) // groups * case.window.taps * copies(case.window.padding, padding_mode)
    return _computed(op, compute, [dy, weight], terms)


def conv_weight_grad(
    dy: Array,
    x: Array,
    weight_shape: Sequence[int],
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
) -> Array:
    """Return the gradient of `conv`'s weight from that of its output: a sum over the batch.

    `dw[k, c, r] = Σ_{n, o} dy[n, k, o] · x[n, c, o·stride + r·dilation - before]`.

    Args:
        dy: the gradient of the output, `(N, K, *out)` or `(K, *out)`.
        x: as in `conv`.
        weight_shape: the shape of `conv`'s `weight`.
        stride, padding, dilation, groups, padding_mode, flip, algorithm: as in `conv`.

    Returns:
        An array of shape `weight_shape`, of the dtype that `dy` and `x` promote to.

    Raises:
        TypeError, ValueError: an argument that can't work, or `dy` of another shape than `conv` gives.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> conv_weight_grad(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 2.0, 4.0]]]), (1, 1, 2))
        array([[[ 5., 10.]]])
    """
    op = "conv_weight_grad"
    words = (stride, padding, dilation, groups, padding_mode, flip, algorithm)
    key = calls.key_of("weight_grad", (dy, x), (weight_shape, *words))
    if (known := calls.find(key)) is not None:
        return known.run(dy, x)
    dy, x = as_array(op, "dy", dy), as_array(op, "x", x)
    shape = checks.shape_of(op, "weight_shape", weight_shape)
    _check_flip(op, flip)
    case = case_of(op, x.shape, shape, stride, padding, dilation, groups, padding_mode)
    _check_gradient(op, dy, case)

    def compute(dy: Array, x: Array, *, exact: bool) -> Array:
        batch = x if case.batched else x[None]
        if padding_mode != "zeros":
            batch = engine_padding.pad(batch, case.window.padding, padding_mode)
        plan = choose(problem_of("weight_grad", case, dy.dtype, exact=exact), algorithm)
        if case.plain and not flip:
            calls.keep(key, plan)
        return _flipped(plan.run(dy if case.batched else dy[None], batch), flip)

    terms = case.batch * math.prod(case.window.output_size(case.image))
    return _computed(op, compute, [dy, x], terms)


def conv_bias_grad(dy: Array) -> Array:
    """Return the gradient of `conv`'s bias from that of its output: a sum over batch and places.

    A bias is added at every place of every image, so by the chain rule its gradient is the sum of theirs.

    Args:
        dy: the gradient of the output, `(N, K, *out)`, with the batch axis.

    Returns:
        `(K,)`, of the dtype of `dy`; float16 is summed in float32, integers in int64.

    Raises:
        TypeError, ValueError: no numbers, or fewer than two axes.
        OverflowError: integers whose sum may exceed int64.

    Example:
        >>> import numpy as np
        >>> conv_bias_grad(np.array([[[1.0, 2.0]], [[3.0, 4.0]]]))
        array([10.])
    """
    dy = as_array("conv_bias_grad", "dy", dy)
    if dy.ndim < 2:
        raise ValueError(f"conv_bias_grad: dy has shape {dy.shape}; use (N, K, *out)")
    if checks.is_plain(dy) and machine.why_not_compiled() is None:
        return bias_grad(dy, settings.get_threads())
    (dy,), result = checks.numbers("conv_bias_grad", dy, terms=dy.size // max(1, dy.shape[1]))
    db: Array = dy.sum(axis=(0, *range(2, dy.ndim)))
    return db.astype(result, copy=False)


def explain(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    bias: bool = True,
    dtype: Any = np.float32,
) -> "Explanation":
    """Return what a convolution costs, which algorithm each pass would take, and why not the others.

    Args:
        x_shape: `(N, C, *spatial)`, or `(C, *spatial)`.
        weight_shape: `(K, C/groups, *kernel)`.
        stride, padding, dilation, groups, padding_mode: as in `conv`.
        bias: whether there is one.
        dtype: of the numbers.

    Returns:
        An `Explanation`: print it, or read its attributes.

    Raises:
        TypeError, ValueError: what `conv` would raise.

    Example:
        >>> print(explain((8, 64, 56, 56), (128, 64, 3, 3), stride=2, padding=1))  # doctest: +ELLIPSIS
        input       8 x 64 x 56 x 56 float32
        weight      128 x 64 x 3 x 3
        output      8 x 128 x 28 x 28
                    each axis floor((size + before + after - dilation*(kernel - 1) - 1) / stride) + 1:
                    floor((56 + 1 + 1 - 1*(3 - 1) - 1) / 2) + 1 = 28 by floor((56 + 1 + 1 - 1*(3 - 1) ...
        parameters  73,856
        FLOPs       924,844,032 forward, by the definition; each gradient as many
        ...
    """
    try:
        compute, _ = dtypes("explain", as_array("explain", "dtype", np.empty(0, dtype)))
    except TypeError:
        raise TypeError(
            f"explain: dtype={dtype!r} is not supported; use float16, float32 or float64"
        ) from None
    shapes = [
        checks.shape_of("explain", f"{n}_shape", s) for n, s in (("x", x_shape), ("weight", weight_shape))
    ]
    case = case_of("explain", *shapes, stride, padding, dilation, groups, padding_mode)
    plans = tuple(
        choose(problem_of(which, case, compute, exact=False, bias=bias and which == "forward"))
        for which in PASSES
    )
    from deepconv.engine.explanation import explanation  # 3 ms, for those who ask

    return explanation(plans, batched=case.batched)


def _check_gradient(op: str, dy: Array, case: Case) -> None:
    """Raise unless `dy` has the shape of the output."""
    if dy.shape != case.output_shape:  # the formula is written out only where somebody reads it
        sizes = f"spatial sizes {case.window.formula(case.image)}"
        checks.check_gradient(op, dy, case.output_shape, sizes)


def _check_flip(op: str, flip: bool) -> None:
    """Raise unless `flip` is True or False."""
    if not isinstance(flip, bool | np.bool_):
        raise TypeError(f"{op}: flip={flip!r} is not True or False")


def _flipped(weight: Array, flip: bool) -> Array:
    """Return the weight turned round on every spatial axis where `flip` asks for it."""
    return np.flip(weight, tuple(range(2, weight.ndim))) if flip else weight


def _computed(op: str, compute: Callable[..., Array], operands: list[Array], terms: int) -> Array:
    """Call `compute` in the right type and return its result in the right type.

    Args:
        op: the operation, for messages.
        compute: takes the operands and `exact`.
        operands: of any supported type; the first two are multiplied, a third is added.
        terms: how many products a sum has at most.

    Integers are computed exactly. Where no partial sum can exceed 2⁵³, doubles hold all of them, and
    the BLAS is fast; else int64. Where int64 could overflow, that is said: nothing wraps.
    """
    working, result = dtypes(op, *operands)
    if not is_integer(*operands):
        floats = [a.astype(working, copy=False) for a in operands]
        return compute(*floats, exact=False).astype(result, copy=False)
    bound = terms * checks.largest_of(operands[0]) * checks.largest_of(operands[1])
    bound += sum(checks.largest_of(a) for a in operands[2:])
    if bound < 2**53:
        return compute(*(a.astype(np.float64) for a in operands), exact=True).astype(np.int64)
    if bound >= 2**63:
        shapes = " and ".join(f"{a.dtype} {a.shape} up to {checks.largest_of(a)}" for a in operands[:2])
        raise OverflowError(
            f"{op}: a sum of {terms} products of {shapes} may exceed int64; use float64, which rounds, or scale down"
        )
    return compute(*(a.astype(np.int64) for a in operands), exact=True)
