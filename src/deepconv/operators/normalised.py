"""What the normalisations check in common: channels, shapes, types, statistics."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array, as_array
from deepconv.engine import normalisation as engine
from deepconv.geometry import check_groups
from deepconv.operators import checks

WHY = "what is normalised is a fraction"


@dataclass(frozen=True)
class Operands:
    """Checked arguments, in the type they are computed in; what was not given is None.

    Attributes:
        shape: that of x, as it was given.
        x: `(N, C, L)`.
        dy: as x.
        weight, bias, mean, var: `(C,)`.
        result: the type of what is returned.
    """

    shape: tuple[int, ...]
    x: Array
    dy: Array | None
    weight: Array | None
    bias: Array | None
    mean: Array | None
    var: Array | None
    result: np.dtype[Any]

    def typed(self, found: engine.Gradients) -> tuple[Array, Array, Array]:
        """Return gradients in the shape of x and the type of the result.

        Args:
            found: what the engine returned.
        """
        parts = (found.dx.reshape(self.shape), found.dw, found.db)
        dx, dw, db = (part.astype(self.result, copy=False) for part in parts)
        return dx, dw, db


def per_channel(x: Array) -> int:
    """Return how many numbers each channel has over the batch."""
    return len(x) * int(math.prod(x.shape[2:]))


def check_channels(op: str, x: Array, name: str = "x") -> None:
    """Raise unless `x` has a batch axis and channels.

    Args:
        op: the operation that asks, for the message.
        x: `(N, C, *spatial)`.
        name: the argument's name, for the message.

    Raises:
        ValueError: it hasn't.
    """
    if x.ndim < 2 or x.shape[1] == 0:
        raise ValueError(f"{op}: {name} has shape {x.shape}, without channels; pass (N, C, *spatial)")


def check_eps(op: str, eps: float, *, own: bool) -> None:
    """Raise unless `eps` can be added to a variance.

    Args:
        op: the operation that asks, for the message.
        eps: a number.
        own: whether the variance is found here and may be 0.

    Raises:
        TypeError, ValueError: it can't.
    """
    if isinstance(eps, bool) or not isinstance(eps, int | float | np.integer | np.floating):
        raise TypeError(f"{op}: eps={eps!r} is not a number")
    if not 0 <= eps < math.inf or (own and eps == 0):
        raise ValueError(f"{op}: eps={eps} must be {'more than' if own else 'at least'} 0; 1e-5 is usual")


def operands(op: str, x: Array, dy: Any = None, **vectors: Any) -> Operands:
    """Return the arguments checked and in one type.

    Args:
        op: the operation that asks, for the messages.
        x: `(N, C, *spatial)`, checked by `check_channels`.
        dy: the gradient of the output, if any.
        vectors: `weight`, `bias`, `mean` and `var`, as far as there are.

    Raises:
        TypeError, ValueError: something that is no array, has another shape or is whole numbers.
    """
    given = {name: as_array(op, name, v) for name, v in {"dy": dy, **vectors}.items() if v is not None}
    for name, vector in given.items():
        if name == "dy":
            checks.check_gradient(op, vector, x.shape)
        elif vector.shape != (x.shape[1],):
            raise ValueError(
                f"{op}: {name} has shape {vector.shape} but x of shape {x.shape} has {x.shape[1]} channels; "
                f"use shape ({x.shape[1]},)"
            )
    arrays, result = checks.floats(op, WHY, x, *given.values())
    x, *rest = arrays
    found = dict(zip(given, rest, strict=True))
    for name in ("weight", "bias", "mean", "var"):
        found.setdefault(name, None)  # type: ignore[arg-type]
    shape = (*x.shape[:2], math.prod(x.shape[2:]))
    gradient = found.pop("dy", None)
    return Operands(
        x.shape,
        x.reshape(shape),
        None if gradient is None else gradient.reshape(shape),
        result=result,
        **found,
    )


def batch_operands(op: str, x: Array, eps: float, mean: Any, var: Any, **others: Any) -> Operands:
    """Return the arguments of a batch normalisation, checked.

    Args:
        op: the operation that asks, for the messages.
        x: `(N, C, *spatial)`.
        eps: added to the variance.
        mean, var: statistics, or None for the batch's own.
        others: as in `operands`.

    Raises:
        TypeError, ValueError: an argument that can't work.
    """
    x = as_array(op, "x", x)
    check_channels(op, x)
    if (mean is None) != (var is None):
        raise ValueError(f"{op}: only one of mean and var is given; pass both, or None for the batch's own")
    check_eps(op, eps, own=mean is None)
    if mean is None and per_channel(x) == 1:
        raise ValueError(
            f"{op}: x has 1 value per channel (shape {x.shape}), whose variance says nothing; use a larger "
            f"batch, or pass mean and var"
        )
    return operands(op, x, mean=mean, var=var, **others)


def batch_gradients(
    op: str, dy: Any, x: Array, weight: Any, mean: Any, var: Any, eps: float
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)` of a batch normalisation; arguments as in `batch_norm_gradients`."""
    given = batch_operands(op, x, eps, mean, var, weight=weight, dy=as_array(op, "dy", dy))
    if given.dy is None:
        raise TypeError(f"{op}: dy is None; pass the gradient of the output")
    if given.mean is not None and given.var is not None:
        found = engine.gradients_by(given.dy, given.x, given.weight, given.mean, given.var, eps)
    else:
        count = per_channel(given.x)
        found = engine.gradients(given.dy, given.x, given.weight, engine.over_batch, count, eps)
    return given.typed(found)


def _alike(eps: float, x: Array, *vectors: Array) -> bool:
    """Tell whether nothing has to be said or converted: all are of one type, one number a channel, some pixels."""
    dtype, shape = x.dtype, x.shape
    if dtype.char not in "fd" or len(shape) < 2 or x.size <= shape[1] or eps <= 0:
        return False
    return all(v.dtype == dtype and v.shape == shape[1:2] for v in vectors)


def train(
    op: str, x: Array, weight: Array, bias: Array, eps: float, limits: engine.Limits = engine.UNLIMITED
) -> tuple[Array, Array, Array]:
    """Return `(y, mean, var)` of a batch normalisation in one go, as a layer in training wants them.

    Args:
        op: who asks, for the messages.
        x, weight, bias, eps: as in `batch_norm`.
        limits: what y is cut off at, below and above; NaN is no limit.

    Returns:
        y, and the batch's mean and biased variance, which are float32 for float16.

    Raises:
        TypeError, ValueError: an argument that can't work.
    """
    if _alike(eps, x, weight, bias):
        y, mean, var = engine.train(x.reshape(*x.shape[:2], -1), weight, bias, eps, limits)
        return y.reshape(x.shape), mean, var
    given = batch_operands(op, x, eps, None, None, weight=weight, bias=bias)
    y, mean, var = engine.train(given.x, given.weight, given.bias, eps, limits)
    return y.reshape(given.shape).astype(given.result, copy=False), mean, var


def train_gradients(
    op: str,
    dy: Array,
    x: Array,
    vectors: tuple[Array, Array, Array, Array],
    eps: float,
    limits: engine.Limits = engine.UNLIMITED,
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)` of `train`.

    Args:
        op: who asks, for the messages.
        dy: the gradient of the output.
        x: what was normalised.
        vectors: weight and bias, and the mean and the variance that `train` returned.
        eps, limits: as for `train`.

    Raises:
        TypeError, ValueError: an argument that can't work.
    """
    weight, bias, mean, var = vectors
    if _alike(eps, x, *vectors) and dy.dtype == x.dtype and dy.shape == x.shape:
        shape = (*x.shape[:2], -1)
        found = engine.train_gradients(dy.reshape(shape), x.reshape(shape), vectors, eps, limits)
        return found.dx.reshape(x.shape), found.dw, found.db
    given = batch_operands(op, x, eps, None, None, weight=weight, bias=bias, dy=as_array(op, "dy", dy))
    if given.dy is None:
        raise TypeError(f"{op}: dy is None; pass the gradient of the output")
    mean, var = (v.astype(given.x.dtype, copy=False) for v in (mean, var))
    found = engine.train_gradients(given.dy, given.x, (given.weight, given.bias, mean, var), eps, limits)
    return given.typed(found)


def group_operands(op: str, x: Array, groups: int, eps: float, **others: Any) -> Operands:
    """Return the arguments of a group normalisation, checked.

    Args:
        op: the operation that asks, for the messages.
        x: `(N, C, *spatial)`.
        groups: must divide C.
        eps: added to the variance.
        others: as in `operands`.

    Raises:
        TypeError, ValueError: an argument that can't work.
    """
    x = as_array(op, "x", x)
    check_channels(op, x)
    check_groups(op, groups, channels=(x.shape[1], f"x has shape {x.shape}"))
    check_eps(op, eps, own=True)
    return operands(op, x, **others)


def per_group(x: Array, groups: int) -> int:
    """Return how many numbers a group of channels has in one image."""
    return int(math.prod(x.shape[1:])) // groups


def group_gradients(
    op: str, dy: Any, x: Array, groups: int, weight: Any, eps: float
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)` of a group normalisation; arguments as in `group_norm_gradients`."""
    given = group_operands(op, x, groups, eps, weight=weight, dy=as_array(op, "dy", dy))
    if given.dy is None:
        raise TypeError(f"{op}: dy is None; pass the gradient of the output")
    count = per_group(given.x, groups)
    return given.typed(
        engine.gradients(given.dy, given.x, given.weight, engine.over_groups(groups), count, eps)
    )


def bias_gradient(op: str, dy: Any) -> Array:
    """Return the sum of `dy (N, C, *spatial)` over all but the channels."""
    dy = as_array(op, "dy", dy)
    check_channels(op, dy, "dy")
    (dy,), result = checks.floats(op, WHY, dy)
    db: Array = engine.row_sums(dy.reshape(*dy.shape[:2], math.prod(dy.shape[2:]))).sum(axis=0)
    return db.astype(result, copy=False)


@dataclass(frozen=True)
class Rows:
    """Checked arguments of a layer normalisation, in the type they are computed in.

    Attributes:
        shape: that of x, as it was given.
        x: `(M, L)`: a row for each sample, its last axes as one.
        dy: as x, if given.
        weight, bias: `(L,)`, if given.
        sizes: of the axes that are normalised.
        result: the type of what is returned.
    """

    shape: tuple[int, ...]
    x: Array
    dy: Array | None
    weight: Array | None
    bias: Array | None
    sizes: tuple[int, ...]
    result: np.dtype[Any]


def last_axes(op: str, axes_shape: int | Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of the axes that a layer normalisation is about, checked.

    Args:
        op: the operation that asks, for the message.
        axes_shape: one size or several.

    Raises:
        TypeError, ValueError: no sizes.
    """
    several = (axes_shape,) if isinstance(axes_shape, int) else axes_shape
    sizes = checks.shape_of(op, "axes_shape", several)
    if not sizes or 0 in sizes:
        raise ValueError(f"{op}: axes_shape={axes_shape!r} has nothing to normalise; use sizes of at least 1")
    return sizes


def rows(op: str, x: Array, axes_shape: int | Sequence[int], eps: float, **others: Any) -> Rows:
    """Return the arguments of a layer normalisation, checked.

    Args:
        op: the operation that asks, for the messages.
        x: `(..., *axes_shape)`.
        axes_shape: the sizes of the last axes.
        eps: added to the variance.
        others: `weight` and `bias` of shape `axes_shape` and `dy` of x's, as far as there are.

    Raises:
        TypeError, ValueError: an argument that can't work.
    """
    x = as_array(op, "x", x)
    sizes = last_axes(op, axes_shape)
    if x.shape[x.ndim - len(sizes) :] != sizes or x.ndim < len(sizes):
        raise ValueError(f"{op}: x has shape {x.shape} but axes_shape={sizes}; x's last axes must be those")
    check_eps(op, eps, own=True)
    given = {name: as_array(op, name, v) for name, v in others.items() if v is not None}
    for name, array in given.items():
        if name == "dy":
            checks.check_gradient(op, array, x.shape)
        elif array.shape != sizes:
            raise ValueError(f"{op}: {name} has shape {array.shape} but axes_shape={sizes}; use that shape")
    arrays, result = checks.floats(op, WHY, x, *given.values())
    length = math.prod(sizes)
    flat = [a.reshape(a.size // length, length) for a in arrays]
    found = {n: a if n == "dy" else a[0] for n, a in zip(given, flat[1:], strict=True)}
    return Rows(x.shape, flat[0], found.get("dy"), found.get("weight"), found.get("bias"), sizes, result)


def row_gradients(
    op: str, dy: Any, x: Array, axes_shape: int | Sequence[int], weight: Any, eps: float
) -> tuple[Array, Array, Array]:
    """Return `(dx, dw, db)` of a layer normalisation; arguments as in `layer_norm_gradients`."""
    given = rows(op, x, axes_shape, eps, weight=weight, dy=as_array(op, "dy", dy))
    if given.dy is None:
        raise TypeError(f"{op}: dy is None; pass the gradient of the output")
    dx, dw, db = engine.row_gradients(given.dy, given.x, given.weight, eps)
    parts = (dx.reshape(given.shape), dw.reshape(given.sizes), db.reshape(given.sizes))
    dx, dw, db = (part.astype(given.result, copy=False) for part in parts)
    return dx, dw, db
