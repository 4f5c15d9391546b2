"""Data: what ships, what is read from disk, and how it reaches the trainer."""

from deepconv.data.augment import Affine, Augment, Compose, CutOut, Flip, Noise, Shift
from deepconv.data.batches import Batches, BatchSource
from deepconv.data.digits import load_digits, split_digits

__all__ = [
    "Affine",
    "Augment",
    "BatchSource",
    "Batches",
    "Compose",
    "CutOut",
    "Flip",
    "Noise",
    "Shift",
    "load_digits",
    "split_digits",
]
