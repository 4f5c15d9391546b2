"""Naming what a picture shows, with nothing but a model file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.preprocessing import check_steps, preprocess
from deepconv.layers import Layer
from deepconv.operators.activation import softmax
from deepconv.storage import load

__all__ = ["Classifier", "load_classifier"]

_LONGEST_SIDE = 768  # a larger picture is shrunk as far as it stays above this


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
        x = preprocess(picture, self.preprocessing)
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
        from deepconv.data.pictures import read_picture

        picture = read_picture(path, longest_side=_LONGEST_SIDE)
        try:
            return self.classify(picture)
        except ModelError:
            raise
        except ValueError as error:
            raise ValueError(f"classify: path={os.fspath(path)!r}: {error}") from error


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
