"""Batch, group and layer normalisation, with gradients.

    y = weight · (x - mean) / sqrt(var + eps) + bias

Batch normalisation takes mean and variance of each channel over the batch (Ioffe and Szegedy 2015), group
normalisation those of each group of channels within one image (Wu and He 2018), layer normalisation those
of each sample's last axes (Ba, Kiros and Hinton 2016). All variances are biased: the mean of the squares.
"""

from collections.abc import Sequence

from deepconv.arrays import Array, as_array
from deepconv.engine import normalisation as engine
from deepconv.operators import checks, normalised


def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    mean: Array | None = None,
    var: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Normalise each channel: `y = weight · (x - mean) / sqrt(var + eps) + bias`.

    Args:
        x: `(N, C, *spatial)`, any number of spatial axes or none.
        weight: `(C,)`, or None for 1.
        bias: `(C,)`, or None for 0.
        mean: `(C,)`; None takes the batch's own, and then `var` must be None too.
        var: `(C,)`, biased; None takes the batch's own.
        eps: added to the variance; at least 0, and more where the variance is the batch's own.

    Returns:
        An array of x's shape, of the dtype that all arguments promote to. An empty batch gives an empty one.

    Raises:
        TypeError: whole numbers: convert them to floats first.
        ValueError: shapes that don't go together, or a single value per channel, whose variance says nothing.

    Example:
        >>> import numpy as np
        >>> batch_norm(np.array([[[1.0, 3.0], [5.0, 5.0]]])).round(3)
        array([[[-1.,  1.],
                [ 0.,  0.]]])
    """
    given = normalised.batch_operands("batch_norm", x, eps, mean, var, weight=weight, bias=bias)
    if given.mean is not None and given.var is not None:
        y = engine.normalise_by(given.x, given.weight, given.bias, given.mean, given.var, eps)
    else:
        count = normalised.per_channel(given.x)
        y = engine.normalise(given.x, given.weight, given.bias, engine.over_batch, count, eps)
    return y.reshape(given.shape).astype(given.result, copy=False)


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Return each channel's mean and biased variance over the batch: what `batch_norm` normalises by.

    Args:
        x: `(N, C, *spatial)`.

    Returns:
        `(mean, var)`, each `(C,)`, of x's type (float32 for float16). An empty batch has mean and variance 0.

    Raises:
        TypeError, ValueError: whole numbers, or no channels.

    Example:
        >>> import numpy as np
        >>> batch_statistics(np.array([[1.0, 5.0], [3.0, 5.0]]))
        (array([2., 5.]), array([1., 0.]))
    """
    x = as_array("batch_statistics", "x", x)
    normalised.check_channels("batch_statistics", x)
    given = normalised.operands("batch_statistics", x)
    return engine.statistics(given.x, normalised.per_channel(x))


def batch_norm_gradients(
    dy: Array,
    x: Array,
    weight: Array | None = None,
    *,
    mean: Array | None = None,
    var: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Return all gradients of `batch_norm` at once, which shares the work: `(dx, dw, db)`.

    Args:
        dy: the gradient of the output, of x's shape.
        x, weight, mean, var, eps: as in `batch_norm`. Statistics that are given are constants; the batch's
            own depend on x, and the gradient says so.

    Returns:
        `dx` of x's shape, `dw` and `db` `(C,)`: sums over the batch.

    Raises:
        TypeError, ValueError: as `batch_norm`, or `dy` of another shape than the output.

    Example:
        >>> import numpy as np
        >>> dx, dw, db = batch_norm_gradients(np.array([[1.0], [2.0]]), np.array([[0.0], [4.0]]))
        >>> dw.round(3), db
        (array([1.]), array([3.]))
    """
    return normalised.batch_gradients("batch_norm_gradients", dy, x, weight, mean, var, eps)


def batch_norm_input_grad(
    dy: Array,
    x: Array,
    weight: Array | None = None,
    *,
    mean: Array | None = None,
    var: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Return the gradient of `batch_norm`'s input.

    `dx = (g - mean(g) - h · mean(g · h)) / sqrt(var + eps)` with `g = weight · dy` and h the normalised x;
    where mean and variance are given, only the first term is left.

    Args:
        dy, x, weight, mean, var, eps: as in `batch_norm_gradients`.

    Returns:
        An array of x's shape, of the dtype that all arguments promote to.

    Raises:
        TypeError, ValueError: as `batch_norm_gradients`.

    Example:
        >>> import numpy as np
        >>> one = np.ones(1)
        >>> batch_norm_input_grad(
        ...     np.array([[1.0], [2.0]]), np.array([[0.0], [4.0]]), mean=one, var=4 * one, eps=0
        ... )
        array([[0.5],
               [1. ]])
    """
    return normalised.batch_gradients("batch_norm_input_grad", dy, x, weight, mean, var, eps)[0]


def batch_norm_weight_grad(
    dy: Array, x: Array, *, mean: Array | None = None, var: Array | None = None, eps: float = 1e-5
) -> Array:
    """Return the gradient of `batch_norm`'s weight: `dw = Σ dy · (x - mean) / sqrt(var + eps)`.

    Args:
        dy, x, mean, var, eps: as in `batch_norm_gradients`.

    Returns:
        `(C,)`.

    Raises:
        TypeError, ValueError: as `batch_norm_gradients`.

    Example:
        >>> import numpy as np
        >>> batch_norm_weight_grad(np.array([[1.0], [2.0]]), np.array([[0.0], [4.0]])).round(3)
        array([1.])
    """
    return normalised.batch_gradients("batch_norm_weight_grad", dy, x, None, mean, var, eps)[1]


def batch_norm_bias_grad(dy: Array) -> Array:
    """Return the gradient of `batch_norm`'s bias: the sum of `dy` over all but the channels.

    Args:
        dy: the gradient of the output, `(N, C, *spatial)`.

    Returns:
        `(C,)`, of dy's type.

    Raises:
        TypeError, ValueError: whole numbers, or no channels.

    Example:
        >>> import numpy as np
        >>> batch_norm_bias_grad(np.array([[1.0, 5.0], [2.0, 5.0]]))
        array([ 3., 10.])
    """
    return normalised.bias_gradient("batch_norm_bias_grad", dy)


def group_norm(
    x: Array, groups: int, weight: Array | None = None, bias: Array | None = None, *, eps: float = 1e-5
) -> Array:
    """Normalise each group of channels within each image, then scale and shift each channel.

    Args:
        x: `(N, C, *spatial)`, any number of spatial axes or none.
        groups: into how many groups the channels fall; C is instance normalisation.
        weight: `(C,)`, or None for 1.
        bias: `(C,)`, or None for 0.
        eps: added to the variance, more than 0.

    Returns:
        An array of x's shape, of the dtype that all arguments promote to.

    Raises:
        TypeError: whole numbers: convert them to floats first.
        ValueError: shapes that don't go together, or groups that don't divide the channels.

    Example:
        >>> import numpy as np
        >>> group_norm(np.array([[1.0, 3.0, 5.0, 5.0]]), 2).round(3)
        array([[-1.,  1.,  0.,  0.]])
    """
    given = normalised.group_operands("group_norm", x, groups, eps, weight=weight, bias=bias)
    merge, count = engine.over_groups(groups), normalised.per_group(given.x, groups)
    y = engine.normalise(given.x, given.weight, given.bias, merge, count, eps)
    return y.reshape(given.shape).astype(given.result, copy=False)


def group_norm_gradients(
    dy: Array, x: Array, groups: int, weight: Array | None = None, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Return all gradients of `group_norm` at once, which shares the work: `(dx, dw, db)`.

    Args:
        dy: the gradient of the output, of x's shape.
        x, groups, weight, eps: as in `group_norm`.

    Returns:
        `dx` of x's shape, `dw` and `db` `(C,)`: sums over the batch.

    Raises:
        TypeError, ValueError: as `group_norm`, or `dy` of another shape than the output.

    Example:
        >>> import numpy as np
        >>> dx, dw, db = group_norm_gradients(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), 1)
        >>> dw.round(3), db
        (array([-1.,  2.]), array([1., 2.]))
    """
    return normalised.group_gradients("group_norm_gradients", dy, x, groups, weight, eps)


def group_norm_input_grad(
    dy: Array, x: Array, groups: int, weight: Array | None = None, *, eps: float = 1e-5
) -> Array:
    """Return the gradient of `group_norm`'s input; the formula is `batch_norm_input_grad`'s.

    Args:
        dy, x, groups, weight, eps: as in `group_norm_gradients`.

    Returns:
        An array of x's shape, of the dtype that all arguments promote to.

    Raises:
        TypeError, ValueError: as `group_norm_gradients`.

    Example:
        >>> import numpy as np
        >>> group_norm_input_grad(np.array([[1.0, 2.0, 2.0]]), np.array([[0.0, 4.0, 2.0]]), 1, eps=1).round(3)
        array([[-0.158, -0.016,  0.174]])
    """
    return normalised.group_gradients("group_norm_input_grad", dy, x, groups, weight, eps)[0]


def group_norm_weight_grad(dy: Array, x: Array, groups: int, *, eps: float = 1e-5) -> Array:
    """Return the gradient of `group_norm`'s weight: each channel's sum of `dy` times the normalised x.

    Args:
        dy, x, groups, eps: as in `group_norm_gradients`.

    Returns:
        `(C,)`.

    Raises:
        TypeError, ValueError: as `group_norm_gradients`.

    Example:
        >>> import numpy as np
        >>> group_norm_weight_grad(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), 1).round(3)
        array([-1.,  2.])
    """
    return normalised.group_gradients("group_norm_weight_grad", dy, x, groups, None, eps)[1]


def group_norm_bias_grad(dy: Array) -> Array:
    """Return the gradient of `group_norm`'s bias: the sum of `dy` over all but the channels.

    Args:
        dy: the gradient of the output, `(N, C, *spatial)`.

    Returns:
        `(C,)`, of dy's type.

    Raises:
        TypeError, ValueError: whole numbers, or no channels.

    Example:
        >>> import numpy as np
        >>> group_norm_bias_grad(np.array([[1.0, 5.0], [2.0, 5.0]]))
        array([ 3., 10.])
    """
    return normalised.bias_gradient("group_norm_bias_grad", dy)


def layer_norm(
    x: Array,
    axes_shape: int | Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """Normalise the last axes of each sample, then scale and shift each of their places.

    Args:
        x: `(..., *axes_shape)`, any leading axes.
        axes_shape: the sizes of the last axes, one number or several.
        weight: of shape `axes_shape`, or None for 1.
        bias: of shape `axes_shape`, or None for 0.
        eps: added to the variance, more than 0.

    Returns:
        An array of x's shape, of the dtype that all arguments promote to.

    Raises:
        TypeError: whole numbers: convert them to floats first.
        ValueError: shapes that don't go together.

    Example:
        >>> import numpy as np
        >>> layer_norm(np.array([[1.0, 3.0], [5.0, 5.0]]), 2).round(3)
        array([[-1.,  1.],
               [ 0.,  0.]])
    """
    given = normalised.rows("layer_norm", x, axes_shape, eps, weight=weight, bias=bias)
    y = engine.normalise_rows(given.x, given.weight, given.bias, eps)
    return y.reshape(given.shape).astype(given.result, copy=False)


def layer_norm_gradients(
    dy: Array, x: Array, axes_shape: int | Sequence[int], weight: Array | None = None, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Return all gradients of `layer_norm` at once, which shares the work: `(dx, dw, db)`.

    Args:
        dy: the gradient of the output, of x's shape.
        x, axes_shape, weight, eps: as in `layer_norm`.

    Returns:
        `dx` of x's shape, `dw` and `db` of shape `axes_shape`: sums over all leading axes.

    Raises:
        TypeError, ValueError: as `layer_norm`, or `dy` of another shape than the output.

    Example:
        >>> import numpy as np
        >>> dx, dw, db = layer_norm_gradients(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), 2)
        >>> dw.round(3), db
        (array([-1.,  2.]), array([1., 2.]))
    """
    return normalised.row_gradients("layer_norm_gradients", dy, x, axes_shape, weight, eps)


def layer_norm_input_grad(
    dy: Array, x: Array, axes_shape: int | Sequence[int], weight: Array | None = None, *, eps: float = 1e-5
) -> Array:
    """Return the gradient of `layer_norm`'s input; the formula is `batch_norm_input_grad`'s.

    Args:
        dy, x, axes_shape, weight, eps: as in `layer_norm_gradients`.

    Returns:
        An array of x's shape, of the dtype that all arguments promote to.

    Raises:
        TypeError, ValueError: as `layer_norm_gradients`.

    Example:
        >>> import numpy as np
        >>> layer_norm_input_grad(np.array([[1.0, 2.0, 2.0]]), np.array([[0.0, 4.0, 2.0]]), 3, eps=1).round(3)
        array([[-0.158, -0.016,  0.174]])
    """
    return normalised.row_gradients("layer_norm_input_grad", dy, x, axes_shape, weight, eps)[0]


def layer_norm_weight_grad(
    dy: Array, x: Array, axes_shape: int | Sequence[int], *, eps: float = 1e-5
) -> Array:
    """Return the gradient of `layer_norm`'s weight: the sum of `dy` times the normalised x.

    Args:
        dy, x, axes_shape, eps: as in `layer_norm_gradients`.

    Returns:
        An array of shape `axes_shape`.

    Raises:
        TypeError, ValueError: as `layer_norm_gradients`.

    Example:
        >>> import numpy as np
        >>> layer_norm_weight_grad(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), 2).round(3)
        array([-1.,  2.])
    """
    return normalised.row_gradients("layer_norm_weight_grad", dy, x, axes_shape, None, eps)[1]


def layer_norm_bias_grad(dy: Array, axes_shape: int | Sequence[int]) -> Array:
    """Return the gradient of `layer_norm`'s bias: the sum of `dy` over all leading axes.

    Args:
        dy: the gradient of the output, `(..., *axes_shape)`.
        axes_shape: as in `layer_norm`.

    Returns:
        An array of shape `axes_shape`, of dy's type.

    Raises:
        TypeError, ValueError: whole numbers, or shapes that don't go together.

    Example:
        >>> import numpy as np
        >>> layer_norm_bias_grad(np.array([[1.0, 5.0], [2.0, 5.0]]), 2)
        array([ 3., 10.])
    """
    op = "layer_norm_bias_grad"
    dy = as_array(op, "dy", dy)
    sizes = normalised.last_axes(op, axes_shape)
    if dy.shape[dy.ndim - len(sizes) :] != sizes or dy.ndim < len(sizes):
        raise ValueError(
            f"{op}: dy has shape {dy.shape} but axes_shape={sizes}; dy's last axes must be those"
        )
    (dy,), result = checks.floats(op, normalised.WHY, dy)
    db: Array = dy.sum(axis=tuple(range(dy.ndim - len(sizes)))).astype(result, copy=False)
    return db
