"""Data: what ships, what is read from disk, and how it reaches the trainer."""

from deepconv.data.augment import Affine, Augment, Compose, CutOut, Flip, Noise, Shift
from deepconv.data.batches import Batches, BatchSource

__all__ = ["Affine", "Augment", "BatchSource", "Batches", "Compose", "CutOut", "Flip", "Noise", "Shift"]
