"""Another model's weights to start from, with a new last layer for the classes at hand."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepconv.data.preprocessing import check_steps, photograph_steps
from deepconv.layers import Sequential
from deepconv.models.heads import with_new_head
from deepconv.storage import load

__all__ = ["Start", "read_start"]


@dataclass(frozen=True)
class Start:
    """A network with another model's weights, and what that model does to a picture first.

    Args:
        network: for the new classes.
        classes: those of the model before.
        size: height and width of its pictures.
        channels: 1 for grey, 3 for colour.
        mean: that it takes off each channel.
        std: that it divides each channel by.
        fingerprint: a checksum of the file.
    """

    network: Sequential
    classes: tuple[str, ...]
    size: tuple[int, int]
    channels: int
    mean: list[float]
    std: list[float]
    fingerprint: str

    def kept(self, classes: Sequence[str]) -> list[str]:
        """Return those of the new classes that the model knew before.

        Args:
            classes: the new ones.
        """
        return [name for name in classes if name in self.classes]


def read_start(path: Path, classes: Sequence[str], seed: int) -> Start:
    """Read a model file to start from.

    Args:
        path: what `deepconv train FOLDER` wrote.
        classes: the new classes; the last layer keeps the weights of those that the model knew.
        seed: draws the weights of the others.

    Raises:
        ValueError: the file is no model, or not one for photographs.
        OSError: the file can't be read.

    Example:
        >>> read_start(Path("missing.safetensors"), ["cat", "dog"], 0)
        Traceback (most recent call last):
        FileNotFoundError: ...
    """
    where = f"start: model {str(path)!r}"
    model = load(path)
    before, steps = model.metadata.get("classes"), model.metadata.get("preprocessing")
    if not isinstance(before, list) or not before or not all(isinstance(name, str) for name in before):
        raise ValueError(
            f"{where} doesn't say what its classes are; start from one that deepconv train wrote"
        )
    size, channels, mean, std = _prepared(where, steps)
    try:
        network = with_new_head(model, before, classes, seed=seed)
        network.summary((channels, *size))
    except ValueError as error:
        raise ValueError(f"{where} doesn't fit: {error}") from error
    return Start(network, tuple(before), size, channels, mean, std, f"{zlib.crc32(path.read_bytes()):08x}")


def _prepared(where: str, steps: Any) -> tuple[tuple[int, int], int, list[float], list[float]]:
    """Return what `photograph_steps` was given to write these steps."""
    try:
        check_steps(steps)
        named = {step["step"]: step for step in steps}
        height, width = named["cover"]["size"]
        mean, std = (list(named["standardise"][name]) for name in ("mean", "std"))
        channels = 1 if "grey" in named else 3
        if steps != photograph_steps((height, width), channels, mean=mean, std=std):
            raise ValueError("its steps come in another order")
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{where} prepares its pictures in another way than photographs are ({error}); start from a model that "
            f"deepconv train wrote for a folder of pictures"
        ) from error
    return (height, width), channels, mean, std
