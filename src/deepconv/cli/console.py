"""What the commands share in talking to a person or a program."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

__all__ = ["fail", "number_list", "printable", "say", "say_aside", "say_json"]


def say(text: str) -> None:
    """Print text to standard output.

    Args:
        text: what to print; nothing is printed if it is empty.

    Example:
        >>> say("3 × 3")
        3 × 3
    """
    if text:
        print(_encodable(text, sys.stdout))


def say_json(data: dict[str, Any]) -> None:
    """Print JSON to standard output, and nothing else may go there.

    Args:
        data: what to print.

    Example:
        >>> say_json({"probability": 0.5})
        {
          "probability": 0.5
        }
    """
    print(json.dumps(data, indent=2, allow_nan=False))


def say_aside(text: str) -> None:
    """Print a line to standard error: news that is no result.

    Args:
        text: the line.

    Example:
        >>> say_aside("writing to digits-run")
    """
    _to_stderr(text)


def fail(message: str) -> int:
    """Print one line to standard error and return the exit status of an error.

    Args:
        message: what was wrong and what would work.

    Returns:
        2.

    Example:
        >>> fail("train: epochs=0 is below 1")
        2
    """
    _to_stderr(f"deepconv: {message}")
    return 2


def printable(text: str) -> str:
    r"""Return text as one line in which nothing can steer a terminal.

    Args:
        text: perhaps a stranger's, such as a class name in a model file.

    Example:
        >>> printable("cat\x1b[31m\n dog")
        'cat?[31m dog'
    """
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def number_list(option: str, text: str) -> tuple[int, ...]:
    """Read whole numbers separated by commas.

    Args:
        option: whose value it is, for the message.
        text: such as `8,64,56,56`.

    Raises:
        ValueError: it is something else.

    Example:
        >>> number_list("--kernel", "3,5")
        (3, 5)
        >>> number_list("--kernel", "3x5")
        Traceback (most recent call last):
        ValueError: --kernel 3x5 is not whole numbers separated by commas; write it as 3,5
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        tidy = ",".join("".join(c if c.isdigit() else " " for c in text).split()) or "8,64,56,56"
        raise ValueError(
            f"{option} {text} is not whole numbers separated by commas; write it as {tidy}"
        ) from None


def _to_stderr(text: str) -> None:
    with contextlib.suppress(OSError):  # a full disk behind it changes neither the run nor the exit status
        print(_encodable(printable(text), sys.stderr), file=sys.stderr, flush=True)


def _encodable(text: str, stream: Any) -> str:
    """Replace what the terminal's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)
