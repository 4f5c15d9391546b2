"""What `deepconv train` needs of the data it trains on: the digits that ship, or a folder of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from deepconv.layers import Layer

__all__ = ["TrainJob", "told"]


class TrainJob(ABC):
    """One run's data, settings and results. A new kind of data is a subclass in a file of its own.

    Args:
        words: what follows `deepconv train` on the command line.
        name: what the folder of a run is called where nobody chose a name.
    """

    def __init__(self, words: str, name: str) -> None:
        self.words, self.name = words, name

    @abstractmethod
    def check(self, found: Mapping[str, Any], folder: Path) -> None:
        """Refuse to go on with a run on other data.

        Args:
            found: what its history.json says.
            folder: the run's.

        Raises:
            ValueError: it is a run on something else, or the options are not those that it began with.
        """

    @abstractmethod
    def settle(self, found: Mapping[str, Any], folder: Path) -> None:
        """Decide what the run will be, and refuse what can't work, before anything is written.

        Args:
            found: what the history.json of the run to go on with says; nothing for a new run.
            folder: the run's, or where it would be.

        Raises:
            ValueError: it can't be.
        """

    @abstractmethod
    def begun(self) -> dict[str, Any]:
        """Return what history.json says while the run goes on."""

    @abstractmethod
    def announce(self, folder: Path) -> None:
        """Say on standard error what will be done.

        Args:
            folder: the run's.
        """

    @abstractmethod
    def train(self, callbacks: Sequence[object], checkpoint: Path, *, resume: bool) -> Layer:
        """Train, and return the model.

        Args:
            callbacks: told of every batch and epoch.
            checkpoint: the file to keep the run's state in.
            resume: go on from it if it is there.
        """

    @abstractmethod
    def result(self, seconds: float) -> dict[str, Any]:
        """Return the numbers that the run came to; the keys are documented in docs/cli.md.

        Args:
            seconds: how long it took.
        """

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """Return what history.json has beyond the result."""

    @abstractmethod
    def report(self, path: Path, result: Mapping[str, Any]) -> None:
        """Draw the report.

        Args:
            path: the file.
            result: what `result` gave.
        """

    @abstractmethod
    def rows(self, result: Mapping[str, Any]) -> dict[str, Text]:
        """Return the closing table's rows, less the paths.

        Args:
            result: what `result` gave, perhaps in an earlier process.
        """


def told(given: Mapping[str, Any], found: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """Return what a run is told: by the options, else as it began.

    Args:
        given: the options' values, None where they were left out.
        found: the settings that the run began with, empty for a new one.
        options: what an option is called, where that isn't its setting's name.

    Raises:
        ValueError: an option differs from what the run began with.

    Example:
        >>> told({"seed": None, "epochs": 3}, {"seed": 7, "epochs": 3}, {})
        {'seed': 7, 'epochs': 3}
    """
    now = {name: value for name, value in given.items() if value is not None}
    for name in now.keys() & found.keys():
        if now[name] != found[name]:
            option = options.get(name, f"--{name.replace('_', '-')}")
            raise ValueError(
                f"train: {option} {now[name]} is not the {found[name]} that this run began with; leave it "
                f"out to go on, or leave out --resume to begin anew"
            )
    return {**found, **now}
