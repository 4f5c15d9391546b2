"""Naming what a picture shows, with nothing but a model file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.decoding import PictureBatches, prepare_picture
from deepconv.data.folders import PictureFolder, failure, split_folder
from deepconv.data.preprocessing import check_steps, preprocess
from deepconv.layers import Layer
from deepconv.operators.activation import softmax
from deepconv.storage import load
from deepconv.training.scores import TestScores, score

__all__ = ["Classifier", "load_classifier"]


@dataclass(frozen=True)
class Classifier:
    """A network together with the names of its classes and what is done to a picture first.

    Args:
        model: from what the preprocessing gives to one score per class.
        classes: their names.
        preprocessing: steps as `deepconv.data.preprocessing` has them.

    Example:
        >>> from deepconv.layers import Flatten
        >>> mean = [{"step": "block_means", "size": [1, 2]}]
        >>> left_or_right = Classifier(Flatten(), ("left", "right"), mean)
        >>> left_or_right.classify(np.array([[0.0, 0.0, 9.0, 9.0]]))[0][0]
        'right'
    """

    model: Layer
    classes: tuple[str, ...]
    preprocessing: Sequence[Mapping[str, Any]]

    def classify(self, picture: Array) -> list[tuple[str, float]]:
        """Return every class with its probability, the likeliest first.

        Args:
            picture: `(height, width)` or `(height, width, channels)`, values from 0 to 1.

        Raises:
            ValueError: the picture shows nothing, or the model can't tell.
        """
        return self._named(preprocess(picture, self.preprocessing))

    def _named(self, x: Array) -> list[tuple[str, float]]:
        """Return every class of one prepared picture `(C, H, W)`, the likeliest first."""
        try:
            scores = np.asarray(self.model(x[None]))
        except ValueError as error:
            raise ModelError(f"classify: the model does not fit its preprocessing: {error}") from error
        if scores.shape != (1, len(self.classes)) or not np.isfinite(scores).all():
            raise ModelError(
                f"classify: the model gave {_shown(scores)} for {len(self.classes)} classes; the file is no classifier"
            )
        probabilities = softmax(scores.astype(np.float64))[0]
        order = np.argsort(-probabilities, kind="stable")
        return [(self.classes[place], float(probabilities[place])) for place in order]

    def classify_file(self, path: str | os.PathLike[str]) -> list[tuple[str, float]]:
        """Read a picture file and return every class with its probability, the likeliest first.

        Args:
            path: the picture, of any format, size and mode.

        Raises:
            ValueError: the file can't be read as a picture or shows nothing; the text names it.
            ModuleNotFoundError: Pillow is not installed; the extra `app` brings it.
        """
        check_steps(self.preprocessing)
        try:
            x = prepare_picture(path, self.preprocessing)
        except ValueError as error:
            if repr(os.fspath(path)) in str(error):
                raise
            raise ValueError(f"classify: path={os.fspath(path)!r}: {error}") from error
        return self._named(x)

    def score(
        self, folder: PictureFolder, rows: Array, *, workers: int = 2, strict: bool = False
    ) -> tuple[TestScores, dict[str, str]]:
        """Name pictures of a folder, and compare with what they are.

        Args:
            folder: what `scan_folder(root, classes=classifier.classes)` found.
            rows: which of its pictures.
            workers: threads that decode; any number gives the same result.
            strict: raise at the first picture that can't be read.

        Returns:
            The scores, and why a file could not be read, by its name.

        Raises:
            ValueError: no picture can be read, or the model can't name them.
        """
        shape = self._shape(folder, rows)
        source = PictureBatches(
            folder, rows, size=shape[1:], channels=shape[0], workers=workers, strict=strict
        )
        source.steps = [dict(step) for step in self.preprocessing]  # the model's own, whatever they are
        try:
            return score(self.model, source, self.classes), source.failed
        except ValueError as error:
            if str(error).startswith("PictureBatches"):
                raise
            raise ModelError(f"evaluate: the model does not fit its preprocessing: {error}") from error

    def part(self, folder: PictureFolder, name: str) -> Array:
        """Return the rows of a part as the model's own run drew them from this folder.

        Args:
            folder: the pictures.
            name: "train", "validation" or "test".

        Raises:
            ValueError: the model doesn't say how it drew them, or it was another folder then.
        """
        from deepconv.training.pictures import fingerprint  # naming a picture needs nothing that trains

        metadata = self.model.metadata
        settings = metadata.get("settings")
        wanted = ("seed", "validation", "test")
        if not isinstance(settings, dict) or not all(
            type(settings.get(key)) in (int, float) for key in wanted
        ):
            raise ValueError(
                f"evaluate: the model doesn't say which pictures were its {name} part; choose the part all"
            )
        if metadata.get("fingerprint") != fingerprint(folder):
            raise ValueError(
                f"evaluate: {folder.root} is not the folder as the model's run divided it, so its {name} part can't be "
                f"told; choose the part all"
            )
        rows: Array = split_folder(
            folder, settings["seed"], validation=settings["validation"], test=settings["test"]
        )[name]
        return rows

    def _shape(self, folder: PictureFolder, rows: Array) -> tuple[int, int, int]:
        """Return what the steps make of a picture, `(C, H, W)`, from the first that can be read."""
        error: BaseException = ValueError("there are none")
        for row in rows:
            try:
                channels, height, width = prepare_picture(folder.path(row), self.preprocessing).shape
            except (OSError, ValueError) as reason:
                error = ValueError(failure(reason, folder.path(row)))
            else:
                return channels, height, width
        raise ValueError(f"evaluate: none of the {len(rows)} pictures in {folder.root} can be read: {error}")


class ModelError(ValueError):
    """The model file is at fault, not the picture.

    Example:
        >>> raise ModelError("classify: the model gave NaN")
        Traceback (most recent call last):
        deepconv.predict.ModelError: classify: the model gave NaN
    """


def load_classifier(path: str | os.PathLike[str]) -> Classifier:
    """Read a model file that holds all that is needed to name pictures.

    Args:
        path: what `deepconv train` wrote, or `save` with `classes` and `preprocessing` in the metadata.

    Returns:
        The classifier.

    Raises:
        ValueError: the file is no model, or doesn't say what its classes are or how pictures are prepared.
        OSError: the file can't be read.

    Example:
        >>> load_classifier("missing.safetensors")
        Traceback (most recent call last):
        FileNotFoundError: ...
    """
    model = load(path)
    where = f"predict: model={os.fspath(path)!r}"
    classes: Any = model.metadata.get("classes")
    steps: Any = model.metadata.get("preprocessing")
    named = isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes)
    if not named or steps is None:
        missing = "'classes'" if not named else "'preprocessing'"
        raise ModelError(
            f"{where} can't name pictures: its metadata has no {missing}; save the model with both"
        )
    try:
        check_steps(steps)
    except ValueError as error:
        raise ModelError(f"{where}: {error}") from error
    return Classifier(model, tuple(classes), steps)


def _shown(scores: Array) -> str:
    return "NaN or infinity" if not np.isfinite(scores).all() else f"scores of shape {scores.shape}"
