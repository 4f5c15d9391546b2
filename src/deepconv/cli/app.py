"""The table of commands, and how each ends: a result, or one line that says what was wrong."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from deepconv import __version__
from deepconv.cli import calibrate, check, console, doctor, evaluate, explain, predict, studio, train
from deepconv.cli.filter import filter_pictures
from deepconv.cli.gallery import gallery
from deepconv.cli.wording import in_words, option_names
from deepconv.training import TrainingDiverged

__all__ = ["app", "run"]

app = typer.Typer(
    name="deepconv",
    help="Convolution for NumPy: train, use and explain convolutional networks.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

_COMMANDS: dict[str, Callable[..., Any]] = {
    "filter": filter_pictures,
    "gallery": gallery,
    "train": train.train,
    "predict": predict.predict,
    "evaluate": evaluate.evaluate,
    "explain": explain.explain,
    "check": check.check,
    "studio": studio.studio,
    "doctor": doctor.doctor,
    "calibrate": calibrate.calibrate,
}

for _name, _command in _COMMANDS.items():
    # Rich would keep the line breaks of the source.
    _paragraphs = (_command.__doc__ or "").split("\n\n")
    app.command(_name, help="\n\n".join(" ".join(text.split()) for text in _paragraphs))(_command)

# Typer brings its own copy of click from 0.26 on; its errors are reached through the classes it shows.
_USAGE_ERROR: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


@app.callback(invoke_without_command=True)
def deepconv(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Convolution for NumPy: train, use and explain convolutional networks."""
    if version:
        console.say(f"deepconv {__version__}")
    elif context.invoked_subcommand is None:
        console.say(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit status, with whatever went wrong said in one line.

    Args:
        arguments: what was typed after `deepconv`.

    Example:
        >>> run(["--version"])
        deepconv 0.1.0
        0
    """
    try:
        status = app(list(arguments), prog_name="deepconv", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except _USAGE_ERROR as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "deepconv"
        return console.fail(f"{error.format_message()} (see {command} --help)")
    except typer.Abort:
        return 130
    except ModuleNotFoundError:
        raise  # main knows what to install
    except BrokenPipeError:
        return _reader_has_gone()
    except OSError as error:
        if error.errno == errno.EPIPE:
            return _reader_has_gone()
        return console.fail(_says(error, arguments))
    except (ValueError, TypeError, OverflowError, MemoryError, TrainingDiverged) as error:
        return console.fail(_says(error, arguments))


def _says(error: BaseException, arguments: Sequence[str]) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = f": {os.fspath(error.filename)!r}" if error.filename else ""
        return f"{error.strerror}{name}"
    command = next((word for word in arguments if word in _COMMANDS), "")
    return in_words(command, error, option_names(_COMMANDS[command]) if command else {})


def _reader_has_gone() -> int:
    """`deepconv explain … | head` has read enough; nothing more may be written, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
