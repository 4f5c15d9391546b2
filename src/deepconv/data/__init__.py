"""Data: what ships, what is read from disk, and how it reaches the trainer.

What reads files is loaded at its first use, as it needs more than NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepconv.data.augment import (
    Affine,
    Augment,
    ColourJitter,
    Compose,
    CutOut,
    Flip,
    Mixup,
    Noise,
    Shift,
)
from deepconv.data.batches import Batches, BatchSource
from deepconv.data.digits import load_digits, split_digits

_LATE = {
    "PictureBatches": "decoding",
    "PictureFolder": "folders",
    "load_cifar10": "cifar",
    "load_cifar100": "cifar",
    "load_mnist": "idx",
    "photograph_steps": "preprocessing",
    "picture_statistics": "decoding",
    "prepare_picture": "decoding",
    "read_cifar": "cifar",
    "read_idx": "idx",
    "scan_folder": "folders",
    "split_folder": "folders",
}
"""Where each name lives that is loaded late. The imports below say the same to type checkers."""

__all__ = [
    "Affine",
    "Augment",
    "BatchSource",
    "Batches",
    "ColourJitter",
    "Compose",
    "CutOut",
    "Flip",
    "Mixup",
    "Noise",
    "PictureBatches",
    "PictureFolder",
    "Shift",
    "load_cifar10",
    "load_cifar100",
    "load_digits",
    "load_mnist",
    "photograph_steps",
    "picture_statistics",
    "prepare_picture",
    "read_cifar",
    "read_idx",
    "scan_folder",
    "split_digits",
    "split_folder",
]


def __getattr__(name: str) -> Any:
    """Load a name at its first use."""
    if name not in _LATE:
        raise AttributeError(f"module 'deepconv.data' has no attribute {name!r}")
    value = getattr(import_module(f"deepconv.data.{_LATE[name]}"), name)
    globals()[name] = value
    return value


if TYPE_CHECKING:
    from deepconv.data.cifar import load_cifar10 as load_cifar10
    from deepconv.data.cifar import load_cifar100 as load_cifar100
    from deepconv.data.cifar import read_cifar as read_cifar
    from deepconv.data.decoding import PictureBatches as PictureBatches
    from deepconv.data.decoding import picture_statistics as picture_statistics
    from deepconv.data.decoding import prepare_picture as prepare_picture
    from deepconv.data.folders import PictureFolder as PictureFolder
    from deepconv.data.folders import scan_folder as scan_folder
    from deepconv.data.folders import split_folder as split_folder
    from deepconv.data.idx import load_mnist as load_mnist
    from deepconv.data.idx import read_idx as read_idx
    from deepconv.data.preprocessing import photograph_steps as photograph_steps
