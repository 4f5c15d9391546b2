"""Starting the studio: a free port, an address with a token, and a clean end."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from deepconv.studio.app import create_app
from deepconv.studio.security import Gate, new_token

__all__ = ["MOST_BYTES", "PORT", "bind", "configured", "serve"]

PORT = 8731
MOST_BYTES = 32 * 2**20
"""The largest message that is taken: a photograph of 40 megapixels as JPEG fits."""


def bind(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens: on the port asked for, else on the usual or any free one.

    Args:
        host: the address to listen on.
        port: None takes 8731, or where that is taken any free one.

    Raises:
        ValueError: the port is taken or forbidden, or the address isn't this machine's; the text says which.

    Example:
        >>> with bind("127.0.0.1", 0) as listening:
        ...     listening.getsockname()[0]
        '127.0.0.1'
    """
    wanted = PORT if port is None else port
    try:
        family, *_, address = socket.getaddrinfo(host, wanted, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError):
        raise ValueError(f"studio: --host {host} is no address of this machine; use 127.0.0.1") from None
    try:
        return _listening(family, address)
    except OSError as error:
        if port is not None or error.errno != errno.EADDRINUSE:
            raise ValueError(_why_not(host, wanted, error)) from error
    return _listening(family, (address[0], 0, *address[2:]))


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it, one must wait a minute after stopping the studio on a port given by number.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError:
        found.close()
        raise
    return found


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"studio: --port {port} is taken; leave --port out to get a free one"
    if error.errno == errno.EACCES:
        return f"studio: --port {port} needs more rights; use one from 1024 to 65535"
    return f"studio: --host {host} can't be listened on: {error.strerror or error}; use 127.0.0.1"


def configured(app: ASGIApp) -> uvicorn.Config:
    """Return how the server runs: it writes down no addresses, as they hold the token, and takes no endless message.

    Args:
        app: what it serves.

    Example:
        >>> configured(create_app(Gate("secret"))).ws_max_size == MOST_BYTES
        True
    """
    return uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, ws_max_size=MOST_BYTES,
        ws_per_message_deflate=False, timeout_graceful_shutdown=2, lifespan="on",
    )  # fmt: skip


def serve(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    model: str | os.PathLike[str] | None = None,
    ready: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve the studio until interrupted.

    Args:
        host: the address to listen on; another than loopback lets other machines in that know the token.
        port: None takes 8731, or where that is taken any free one.
        model: a model file that every page begins with.
        ready: called with the page's address, token included, once it answers.

    Raises:
        ValueError: the address or port can't be had.
    """
    with bind(host, port) as listening:
        gate = Gate(new_token(), host)
        address = f"http://{_shown(host)}:{listening.getsockname()[1]}/{gate.token}/"
        server = _Server(configured(create_app(gate, model=model)), lambda: ready(address))
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Uvicorn that says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()


def _shown(host: str) -> str:
    """Return the host as a browser takes it; an address of all interfaces is reached by loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{host}]" if address.version == 6 else host
