"""Batches of pictures straight from their files, decoded and augmented by threads in the background.

Only a few batches are in memory at a time, however many pictures there are. What a batch holds depends on
the seed, the epoch and the files alone: the same bytes for any number of threads.
"""

from __future__ import annotations

import math
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.augment import Augment, Mixup
from deepconv.data.folders import PictureFolder, failure
from deepconv.data.preprocessing import photograph_steps, run_steps
from deepconv.geometry import whole_number

__all__ = ["PictureBatches", "picture_statistics", "prepare_picture"]

_AHEAD = 2  # batches that the threads prepare while one is trained on
_LONGEST_SIDE = 768  # without a size to cover, a larger picture is shrunk as far as it stays above this
_CHANGE, _MIX, _ORDER = 11, 12, 13  # what a generator draws; the trainer's own are 1 and 2

Batch = tuple[Array, Array] | tuple[Array, Array, Array]


def prepare_picture(path: str | os.PathLike[str], steps: Sequence[Mapping[str, Any]]) -> Array:
    """Read a picture file and run it through the steps of a model file.

    Training and prediction both do this, so that they see the same bits. A picture larger than the first
    step needs is decoded smaller where its format can do that, and shrunk by averaging before any step.

    Args:
        path: the file.
        steps: what `check_steps` accepts.

    Returns:
        `(C, H, W)` float32.

    Raises:
        ValueError: the file can't be read as a picture, or a step finds nothing in it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "red.png"
        ...     Image.new("RGB", (90, 80), "red").save(file)
        ...     prepare_picture(file, photograph_steps((8, 6))).shape
        (3, 8, 6)
    """
    from deepconv.data.pictures import read_picture

    size = steps[0].get("size") if steps and steps[0]["step"] == "cover" else None
    if size is None:
        return run_steps(read_picture(path, longest_side=_LONGEST_SIDE), steps)
    return run_steps(read_picture(path, at_least=(size[0], size[1])), steps)


class PictureBatches:
    """Pictures of a folder in batches, read from the disk as they are needed.

    It is a `BatchSource`. In epoch 0, which validation asks for, the pictures come in the order of `rows`,
    neither changed nor mixed. A file that has vanished or is damaged is left out of its batch, which is then
    shorter, and named in `failed`; should a whole batch be lost, the next picture of the epoch that can be
    read stands in for it, so that every epoch has as many batches (in epoch 0 the batch is left out).

    Args:
        folder: what `scan_folder` found.
        rows: which of its pictures; None takes all.
        size: height and width that every picture is brought to.
        channels: 3 for colour, 1 for grey.
        batch_size: pictures in a batch; the last may be short.
        augment: called as `augment(x, rng)` on each picture `(1, C, H, W)`, values from 0 to 1, before it
            is standardised. `rng` is made of the seed, the epoch and the row.
        mixup: α of `Mixup`; targets are then probabilities `(B, K)`. 0 doesn't mix.
        shuffle: draw a new order for every epoch.
        balance: give each picture a weight, the same total for every class.
        workers: threads that decode ahead; 0 decodes in the caller's thread when it asks.
        mean: of each channel over the training part; None doesn't standardise. See `picture_statistics`.
        std: with `mean`.
        strict: raise at the first file that can't be read.

    Raises:
        TypeError: `batch_size` or `workers` is not a whole number.
        ValueError: a setting is out of its range, or `rows` are not rows of the folder.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from deepconv.data.folders import scan_folder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("cat", "dog"):
        ...         (Path(root) / name).mkdir()
        ...         Image.new("RGB", (30, 20), "white").save(Path(root) / name / "1.jpg")
        ...     batches = PictureBatches(scan_folder(root), size=(8, 8), batch_size=2)
        ...     [(x.shape, y.tolist()) for x, y in batches.epoch(0, 0)]
        [((2, 3, 8, 8), [0, 1])]
    """

    def __init__(
        self,
        folder: PictureFolder,
        rows: Any = None,
        *,
        size: tuple[int, int],
        channels: int = 3,
        batch_size: int = 32,
        augment: Augment | None = None,
        mixup: float = 0.0,
        shuffle: bool = False,
        balance: bool = False,
        workers: int = 2,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        strict: bool = False,
    ) -> None:
        self.folder, self.rows = folder, _rows(folder, rows)
        for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
            if whole_number(value) is None:
                raise TypeError(f"PictureBatches: {name}={value!r} is not a whole number")
            if value < least:
                raise ValueError(f"PictureBatches: {name}={value} is below {least}")
        self.steps = photograph_steps(size, channels, mean=mean, std=std)
        self.size, self.channels = (int(size[0]), int(size[1])), channels
        self.batch_size, self.workers = int(batch_size), int(workers)
        self.augment, self.shuffle, self.balance = augment, shuffle, balance
        self.mixup = Mixup(mixup) if mixup else None
        self.strict = strict
        self.failed: dict[str, str] = {}
        self._weight = _class_weights(folder, self.rows) if balance else None

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.rows) / self.batch_size)

    def __repr__(self) -> str:
        """Say all that the batches depend on; `workers` is not of it."""
        names = "\n".join(self.folder.files[row] for row in self.rows)
        told = {
            name: getattr(self, name) for name in ("batch_size", "augment", "mixup", "shuffle", "balance")
        }
        return (
            f"PictureBatches({len(self.rows)} pictures [{zlib.crc32(names.encode()):08x}], steps={self.steps}, "
            f"{', '.join(f'{name}={value!r}' for name, value in told.items())})"
        )

    def order(self, seed: int, epoch: int) -> Array:
        """Return the rows in the order in which an epoch reads them.

        Args:
            seed: the run's seed.
            epoch: the epoch's number.
        """
        if not self.shuffle or epoch == 0:
            return self.rows
        return np.random.default_rng([seed, epoch, _ORDER]).permutation(self.rows)

    def read(self, row: int) -> Array:
        """Return one picture as prediction sees it: neither changed nor mixed.

        Args:
            row: its row in the folder.

        Returns:
            `(C, H, W)` float32.

        Raises:
            ValueError: it can't be read.
        """
        return prepare_picture(self.folder.path(row), self.steps)

    def epoch(self, seed: int = 0, epoch: int = 0) -> Iterator[Batch]:
        """Give one epoch's batches.

        The threads stop when the last batch is given, when the generator is closed or forgotten, and on
        Ctrl-C: each finishes the picture it has in hand.

        Args:
            seed: the run's seed.
            epoch: the epoch's number, from 1; 0 is for validation.

        Yields:
            `x (B, C, H, W)` float32, a fresh array; the class numbers `y (B,)` int64, or the probabilities
            `(B, K)` float32 of mixed pictures; with `balance` the weights `(B,)`.

        Raises:
            ValueError: no picture can be read at all, or, with `strict`, one can't.
            RuntimeError: `augment` failed on a picture; the text names its file.
        """
        order = self.order(seed, epoch)
        starts = range(0, len(order), self.batch_size)
        pool = ThreadPoolExecutor(self.workers, "deepconv-decode") if self.workers else None
        waiting: deque[_Batch] = deque()
        begun = iter(starts)
        try:
            for number, start in enumerate(starts):
                for ahead in begun:
                    part = order[ahead : ahead + self.batch_size]
                    waiting.append(_Batch(self, part, seed, epoch, pool))
                    if len(waiting) > (_AHEAD if pool else 0):
                        break
                x, rows = self._collected(waiting.popleft())
                if not len(rows):
                    if epoch == 0 and len(self.failed) < len(order):
                        continue
                    x, rows = self._stand_in(order, start + self.batch_size, seed, epoch)
                yield self._finished(x, rows, [seed, epoch, _MIX, number])
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)

    def _collected(self, batch: _Batch) -> tuple[Array, Array]:
        """Wait for a batch; return its pictures and their rows, less those that can't be read."""
        x, kept = batch.x, np.ones(len(batch.rows), bool)
        for place, outcome in enumerate(batch.outcomes):
            failed = outcome() if callable(outcome) else outcome.result()
            if failed is not None:
                file = self.folder.files[batch.rows[place]]
                self.failed[file] = failed
                kept[place] = False
                if self.strict:
                    raise ValueError(f"PictureBatches: {file!r} can't be read: {failed}; strict refuses it")
        return (x, batch.rows) if kept.all() else (x[kept], batch.rows[kept])

    def _stand_in(self, order: Array, after: int, seed: int, epoch: int) -> tuple[Array, Array]:
        """Return the first picture from a place in the order on that can be read, in a batch of its own."""
        for place in range(after, after + len(order)):
            row = order[place % len(order)]
            if self.folder.files[row] not in self.failed:
                x, rows = self._collected(_Batch(self, np.array([row]), seed, epoch, None))
                if len(rows):
                    return x, rows
        file, reason = next(iter(self.failed.items()))
        raise ValueError(
            f"PictureBatches: none of the {len(order)} pictures can be read, such as {file!r}: {reason}"
        )

    def _finished(self, x: Array, rows: Array, entropy: list[int]) -> Batch:
        """Return a batch with its targets and, where they are wanted, its weights."""
        y: Array = self.folder.labels[rows]
        weight = None if self._weight is None else self._weight[y]
        if self.mixup is not None and entropy[1] != 0:
            targets = np.eye(len(self.folder.classes), dtype=np.float32)[y]
            x, y, weight = self.mixup(x, targets, np.random.default_rng(entropy), weight=weight)
        return (x, y) if weight is None else (x, y, weight)

    def _fill(self, place: Array, row: int, seed: int, epoch: int) -> str | None:
        """Put a picture in its place in a batch; return why it can't be read, if so."""
        path = self.folder.path(row)
        augment = self.augment if epoch else None
        last = len(self.steps) - (augment is not None and self.steps[-1]["step"] == "standardise")
        try:
            x = prepare_picture(path, self.steps[:last])
        except (OSError, ValueError) as error:
            return failure(error, path)
        if augment is not None:
            rng = np.random.default_rng([seed, epoch, _CHANGE, row])
            try:
                x = augment(x[None], rng).reshape(x.shape)
            except Exception as error:
                raise RuntimeError(
                    f"PictureBatches: augment failed on {self.folder.files[row]!r}: {error}"
                ) from error
            x = run_steps(np.moveaxis(x, 0, -1), self.steps[last:])
        place[...] = x
        return None


class _Batch:
    """A batch in the making: its array, and for each picture what will have become of it."""

    def __init__(
        self, source: PictureBatches, rows: Array, seed: int, epoch: int, pool: ThreadPoolExecutor | None
    ) -> None:
        self.rows = rows
        self.x = np.empty((len(rows), source.channels, *source.size), np.float32)
        self.outcomes: list[Callable[[], str | None]] = []
        for place, row in enumerate(rows):
            task = partial(source._fill, self.x[place], int(row), seed, epoch)
            self.outcomes.append(task if pool is None else pool.submit(task).result)


def picture_statistics(
    folder: PictureFolder,
    rows: Any = None,
    *,
    size: tuple[int, int],
    channels: int = 3,
    workers: int = 2,
    most: int = 2000,
) -> tuple[list[float], list[float]]:
    """Return each channel's mean and standard deviation over pictures brought to one size.

    Args:
        folder: what `scan_folder` found.
        rows: the training part's; None takes all.
        size: height and width that every picture is brought to.
        channels: 3 for colour, 1 for grey.
        workers: threads that decode; the result is the same for any number.
        most: of more pictures than this so many are taken, evenly spread over the rows.

    Returns:
        the means and the standard deviations, for `PictureBatches` and `photograph_steps`. Deviations are
        at least 0.01, as pictures all of one colour would be divided by nothing.

    Raises:
        ValueError: no picture can be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from deepconv.data.folders import scan_folder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("black", "white"):
        ...         (Path(root) / name).mkdir()
        ...         Image.new("L", (30, 20), name).save(Path(root) / name / "1.png")
        ...     picture_statistics(scan_folder(root), size=(8, 8), channels=1)
        ([0.5], [0.5])
    """
    rows = _rows(folder, rows)
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)]
    batches = PictureBatches(folder, rows, size=size, channels=channels, workers=workers)
    sums = np.zeros((2, channels))
    pictures = 0
    for x, *_ in batches.epoch(0, 0):
        wide = x.astype(np.float64)
        sums += [wide.mean(axis=(2, 3)).sum(axis=0), (wide * wide).mean(axis=(2, 3)).sum(axis=0)]
        pictures += len(x)
    mean, square = sums / max(pictures, 1)
    std = np.sqrt(np.maximum(square - mean * mean, 1e-4))
    return [round(float(value), 6) for value in mean], [round(float(value), 6) for value in std]


def _rows(folder: PictureFolder, rows: Any) -> Array:
    found = np.arange(len(folder)) if rows is None else np.asarray(rows)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise ValueError(
            f"PictureBatches: rows has shape {found.shape} and dtype {found.dtype}; give whole numbers"
        )
    if len(found) and not 0 <= found.min() <= found.max() < len(folder):
        raise ValueError(
            f"PictureBatches: rows go from {found.min()} to {found.max()}, but the folder has {len(folder)} pictures"
        )
    return found.astype(np.intp)


def _class_weights(folder: PictureFolder, rows: Array) -> Array:
    """Return what a picture of each class counts, so that classes count the same and pictures 1 on average."""
    counts = folder.counts(rows)
    weights: Array = len(rows) / (np.count_nonzero(counts) * np.maximum(counts, 1.0))
    return weights
