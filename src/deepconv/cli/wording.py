"""What went wrong, in the words of the command line: options are called as they are typed, not as in Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

__all__ = ["in_words", "option_names"]

# Whose messages reach a person who typed a command: the command's name stands in their place.
_OPERATIONS = re.compile(
    r"^(?:pictures|digits|classify|load|scan_folder|split_folder|PictureBatches|read_picture|measure_picture|"
    r"read_image|write_image|read_metadata|apply): "
)

# Said where no word of a person's stands before it: `size=7`, not the folder `size=7/` of a path.
_SETTING = re.compile(r"(?<![^\s(])([a-z_]+)=((?:'[^']*')|(?:\"[^\"]*\")|[^\s,;:]+)")


def in_words(command: str, error: BaseException | str, options: Mapping[str, str]) -> str:
    """Return what an error says, for a person who typed a command.

    Args:
        command: such as `train`.
        error: what was raised, or its text.
        options: what each of Python's arguments is called here, "" for one that is typed without a name.

    Example:
        >>> in_words("train", "pictures: size=7 must be at least 8", {"size": "--size"})
        'train: --size 7 must be at least 8'
        >>> in_words("predict", "read_picture: path='a.png': no such file; name a picture file", {"path": ""})
        "predict: 'a.png': no such file; name a picture file"
    """

    def typed(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name not in options:
            return found[0]
        if value == "True" or not options[name]:
            return options[name] or value
        return f"{options[name]} {value.strip(chr(39)) if value.strip(chr(39)).isalnum() else value}"

    text = str(error) or type(error).__name__
    return _SETTING.sub(typed, _OPERATIONS.sub(f"{command}: ", text))


def option_names(command: Callable[..., Any]) -> dict[str, str]:
    """Return what Python's arguments are called on the command line: those of a command, and `path` and `root`.

    Args:
        command: the function behind it.

    Example:
        >>> from deepconv.cli.train import train
        >>> names = option_names(train)
        >>> names["learning_rate"], names["start"], names["root"]
        ('--learning-rate', '--from', '')
    """
    names = {"path": "", "root": ""}
    for name, hint in get_type_hints(command, include_extras=True).items():
        given = next(
            (extra for extra in getattr(hint, "__metadata__", ()) if hasattr(extra, "param_decls")), None
        )
        if given is None:
            continue
        if type(given).__name__ == "ArgumentInfo":
            names.setdefault(name, "")
            continue
        words = (
            given.default,
            *(given.param_decls or ()),
        )  # within Annotated the first word has the default's place
        long = [word for word in words if isinstance(word, str) and word.startswith("--")]
        names[name] = long[0].partition("/")[0] if long else f"--{name.replace('_', '-')}"
    return names
