"""`deepconv studio`: the page on which convolution can be seen."""

from __future__ import annotations

import contextlib
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from deepconv.cli import console

__all__ = ["studio"]


def studio(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Where to listen.", show_default="8731, or a free one if that is taken"
        ),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A model file to open in the page.")] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    host: Annotated[
        str, typer.Option(help="The address to listen on; another than this lets other machines in.")
    ] = "127.0.0.1",
) -> None:
    """Open a page on which convolution can be seen: kernels on pictures, windows, the way back, your own network.

    The page is served by this program and needs no network. The address that is printed holds a token, without
    which nothing answers. Ctrl-C ends it.
    """
    if model is not None:
        from deepconv.storage import load

        try:
            load(model)  # what is wrong with the file is said here, not in the page
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ValueError(
                f"studio: --model {model}: {why}; name a model file that deepconv train wrote"
            ) from error

    from deepconv.studio.server import serve

    def ready(address: str) -> None:
        console.say(f"The studio is at {address}")
        console.say_aside("Ctrl-C ends it.")
        if browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(address)

    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has stopped cleanly by then
        serve(host=host, port=port, model=model, ready=ready)
