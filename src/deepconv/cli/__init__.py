"""The command line. A new command is a file here and a line in `app.py`.

Nothing but the standard library is imported before it is known to be there, so that a bare install says
what is missing in one line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRAS = {"typer": "typer", "rich": "rich", "PIL": "pillow", "matplotlib": "matplotlib"}
"""What the extra `app` brings: module and package names."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 is done, 1 is done in part, 2 is an error, 130 is interrupted.

    Args:
        arguments: what was typed after `deepconv`; None takes the process's own.

    Raises:
        SystemExit: always.

    Example:
        >>> main(["--version"])
        Traceback (most recent call last):
        SystemExit: 0
    """
    _open_closed_streams()
    try:
        from deepconv.cli.app import run

        status = run(sys.argv[1:] if arguments is None else list(arguments))
    except ModuleNotFoundError as error:
        package = _EXTRAS.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        sys.stderr.write(f'deepconv: {package} is not installed; pip install "deepconv[app]" brings it\n')
        status = 2
    except KeyboardInterrupt:  # while modules are imported; after that the command has its say first
        status = 130
    sys.exit(status)


def _open_closed_streams() -> None:
    """Let what is printed go nowhere where the shell has closed a stream (`>&-`); Python has None there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (open until exit)
