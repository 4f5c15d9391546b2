"""The post's weights, a matrix with its filters as columns, as the weight arrays of ours."""

from __future__ import annotations

from deepconv.arrays import Array
from tests.post import Convolution


def our_weight(post: Convolution, channels: int) -> Array:
    """Return the post's weight matrix (C·R·S, K) as our (K, C, R, S)."""
    return post.weights.T.reshape(-1, channels, *post.kernel_size)


def our_layout(matrix: Array, like: Array) -> Array:
    """Return a gradient of the post's weight matrix in our weight's shape."""
    return matrix.T.reshape(like.shape)
