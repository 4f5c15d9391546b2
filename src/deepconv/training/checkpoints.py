"""Checkpoints: all that the next epoch depends on, in one safetensors file that is never half written.

The tensors are `model.NAME`, `optimizer.NAME` and, where the best epoch is not the last, `best.NAME`. The
single metadata key "deepconv" holds JSON: the format, the settings of the run and its history. No random
generator is stored: every epoch draws from generators made of the seed and the epoch's number.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from deepconv.arrays import Array
from deepconv.data.batches import Batches, BatchSource
from deepconv.files import atomic_write
from deepconv.training.history import History

__all__ = ["Checkpoint", "check_settings", "describe", "describe_data", "read_checkpoint", "write_checkpoint"]

FORMAT = 1


@dataclass
class Checkpoint:
    """A run at the end of an epoch.

    Args:
        settings: what the run was made of, by name, JSON-able; a resumed run must have the same.
        history: up to and with this epoch; `best_epoch` is the best so far.
        model: parameters and buffers by name.
        optimizer: its state.
        best: the model at the best epoch, empty where there is none.
    """

    settings: Mapping[str, Any]
    history: History
    model: Mapping[str, Array]
    optimizer: Mapping[str, Array]
    best: Mapping[str, Array] = field(default_factory=dict)


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the one before, whole or not at all.

    Args:
        path: the file; its folder must exist.
        checkpoint: what to write.

    Raises:
        OSError: the file can't be written; the checkpoint before is still there.
    """
    history = checkpoint.history
    groups = {"model": checkpoint.model, "optimizer": checkpoint.optimizer}
    if history.best_epoch != len(history):  # else the best weights are the model's
        groups["best"] = checkpoint.best
    # safetensors writes an array's memory as it lies, so it must lie in rows
    tensors = {
        f"{group}.{name}": array.copy(order="C")
        for group, arrays in groups.items()
        for name, array in arrays.items()
    }
    header = {
        "checkpoint": FORMAT,
        "settings": dict(checkpoint.settings),
        "history": json.loads(history.to_json()),
    }
    atomic_write(path, save(tensors, {"deepconv": json.dumps(header, sort_keys=True, allow_nan=False)}))


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: the file.

    Raises:
        OSError: there is none, or it can't be read.
        ValueError: it is truncated, or not a checkpoint of a format known here.
    """
    shown = os.fspath(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"read_checkpoint: path={shown!r} is not a file")
    try:
        with safe_open(shown, framework="np") as file:
            header = _header(shown, (file.metadata() or {}).get("deepconv"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise ValueError(
            f"read_checkpoint: path={shown!r} is damaged or not a safetensors file ({error}); start anew"
        ) from error
    try:
        history = History.from_json(json.dumps(header["history"]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"read_checkpoint: path={shown!r} holds no history ({error}); start anew") from error
    groups: dict[str, dict[str, Array]] = {"model": {}, "optimizer": {}, "best": {}}
    for key, array in tensors.items():
        group, _, name = key.partition(".")
        if group not in groups:
            raise ValueError(f"read_checkpoint: path={shown!r} holds an unknown array {key!r}; start anew")
        groups[group][name] = array
    if history.best_epoch is not None and history.best_epoch == len(history):
        groups["best"] = groups["model"]
    return Checkpoint(header["settings"], history, groups["model"], groups["optimizer"], groups["best"])


def check_settings(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run, naming the first thing that differs.

    Args:
        found: the checkpoint's settings.
        wanted: this run's.

    Raises:
        ValueError: something differs.

    Example:
        >>> check_settings({"seed": 0}, {"seed": 1})
        Traceback (most recent call last):
        ValueError: checkpoint: it was written with seed=0, but this run has seed=1; ...
    """
    wanted = json.loads(json.dumps(wanted))  # as it would look read back: tuples are lists
    for name in [*wanted, *found]:
        before, now, item = found.get(name), wanted.get(name), name
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                part = next(key for key in [*now, *before] if before.get(key) != now.get(key))
                before, now, item = before.get(part), now.get(part), f"{name}[{part!r}]"
            raise ValueError(
                f"checkpoint: it was written with {item}={_short(before)}, but this run has "
                f"{item}={_short(now)}; resume with the same settings, or start anew with resume=False"
            )


def describe(value: object) -> str:
    """Return a text about a setting that is the same in every process for equal settings.

    Args:
        value: anything; its `repr` is taken, less the addresses in memory.

    Example:
        >>> describe(describe)
        '<function describe>'
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def describe_data(source: BatchSource | None) -> dict[str, Any]:
    """Describe a data set by its sizes, and a checksum of up to 64 samples spread over it.

    Args:
        source: the data set; of one that isn't `Batches` only its `repr` and length are known.

    Example:
        >>> describe_data(Batches([[1, 2]], [0]))["x"]
        '(1, 2) int64'
    """
    if source is None:
        return {"data": None}
    if not isinstance(source, Batches):
        return {"data": describe(source), "batches": len(source)}
    rows = np.unique(np.linspace(0, source.samples - 1, 64).astype(np.intp))
    arrays = [source.x, source.y] if source.weight is None else [source.x, source.y, source.weight]
    sums = [zlib.crc32(np.ascontiguousarray(array[rows]).tobytes()) for array in arrays]
    return {
        "x": f"{source.x.shape} {source.x.dtype}",
        "y": f"{source.y.shape} {source.y.dtype}",
        "checksum": "".join(f"{found:08x}" for found in sums),
        "prepare": describe(source.prepare),
        "batch_size": source.batch_size,
        "shuffle": source.shuffle,
    }


def _header(shown: str, text: str | None) -> dict[str, Any]:
    """Parse the metadata, or say what the file is instead of a checkpoint."""
    try:
        header = json.loads(text or "null")
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or "checkpoint" not in header:
        raise ValueError(
            f"read_checkpoint: path={shown!r} is not a deepconv checkpoint; a model is read by load"
        )
    if header["checkpoint"] != FORMAT:
        raise ValueError(
            f"read_checkpoint: path={shown!r} has format {header['checkpoint']!r}, and this deepconv reads "
            f"format {FORMAT}; use the version that wrote it"
        )
    if not isinstance(header.get("settings"), dict):
        raise ValueError(f"read_checkpoint: path={shown!r} holds no settings; start anew")
    return header


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
