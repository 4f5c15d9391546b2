"""The networks for pictures by name, and which of them suits a data set."""

from __future__ import annotations

from collections.abc import Callable

from deepconv.layers import Sequential
from deepconv.models.lenet import lenet
from deepconv.models.mobile import mobile
from deepconv.models.resnet import resnet
from deepconv.models.small import small

__all__ = ["NETWORKS", "choose_network", "choose_size", "picture_network"]

NETWORKS: dict[str, Callable[[int, int, int], Sequential]] = {
    "lenet": lenet,
    "small": small,
    "resnet": resnet,
    "mobile": mobile,
}
"""A new network is a file here and a line in this table; each takes channels, classes and size."""

_MOST_PIXELS, _FEWEST_PIXELS = 64, 16
_CHARACTER = 28  # pixels: as large as the characters of MNIST
_MANY, _MANY_PER_CLASS = 2000, 300


def picture_network(name: str, *, channels: int, classes: int, size: int) -> Sequential:
    """Return a network for pictures by its name, without values yet.

    Args:
        name: one of `NETWORKS`.
        channels: 1 for grey pictures, 3 for colour.
        classes: how many there are to tell apart.
        size: the side of the square pictures in pixels.

    Raises:
        ValueError: there is no network of that name, or a number is out of its range.

    Example:
        >>> network = picture_network("small", channels=3, classes=2, size=32).initialize((3, 32, 32))
        >>> picture_network("large", channels=3, classes=2, size=32)
        Traceback (most recent call last):
        ValueError: picture_network: name='large' is not one of lenet, small, resnet, mobile
    """
    if name not in NETWORKS:
        raise ValueError(f"picture_network: name={name!r} is not one of {', '.join(NETWORKS)}")
    return NETWORKS[name](channels, classes, size)


def choose_network(*, pictures: int, classes: int, channels: int, size: int) -> str:
    """Return the name of the network that suits a data set.

    The first of these rules that applies:

    - grey pictures of at most 28 pixels are taken for characters: `lenet`;
    - 2,000 pictures and more, and 300 and more for each class on average: `resnet`, which has most layers;
    - else `small`.

    `mobile` is for whoever asks for it: a fifth of the multiplications of `resnet`, though not less time here.

    Args:
        pictures: how many are trained on.
        classes: how many there are to tell apart.
        channels: 1 for grey pictures, 3 for colour.
        size: the side of the square pictures in pixels.

    Example:
        >>> choose_network(pictures=500, classes=2, channels=3, size=64)
        'small'
        >>> choose_network(pictures=20_000, classes=2, channels=3, size=64)
        'resnet'
    """
    if channels == 1 and size <= _CHARACTER:
        return "lenet"
    many = pictures >= max(_MANY, _MANY_PER_CLASS * classes)
    return "resnet" if many else "small"


def choose_size(side: float) -> int:
    """Return to how many pixels a data set's pictures are best brought, for a network trained from nothing.

    That is what they have, in steps of 4, between 16 and 64: with some thousand pictures more pixels than 64
    add more to the time than to what is learned.

    Args:
        side: the median of the pictures' shorter sides.

    Example:
        >>> choose_size(28), choose_size(333.5), choose_size(35), choose_size(9)
        (28, 64, 32, 16)
    """
    return max(_FEWEST_PIXELS, min(_MOST_PIXELS, int(side) // 4 * 4))
