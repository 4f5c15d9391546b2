"""The studio's web application: the page's files, and one WebSocket for everything else."""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from deepconv.studio.memory import Memory
from deepconv.studio.rooms import ROOMS, greeting
from deepconv.studio.security import Gate, Guard, is_loopback
from deepconv.studio.session import LANES, Lane, Session
from deepconv.studio.wire import WireError, decode

__all__ = ["CLIENTS", "create_app"]

CLIENTS = 32
"""How many pages may be open at once."""

PAGE = Path(str(files("deepconv.studio") / "page"))


def create_app(gate: Gate, *, model: str | os.PathLike[str] | None = None) -> ASGIApp:
    """Return the application, locked behind its gate.

    Args:
        gate: the token and the address.
        model: a model file that every page begins with.

    Returns:
        An ASGI application; every path in it begins with `/TOKEN/`.

    Example:
        >>> type(create_app(Gate("secret"))).__name__
        'Guard'
    """
    # As many quick threads as cores, and no client gets two. Two files are opened at once, which bounds the memory
    # that decoding takes on top of what is kept.
    threads: dict[Lane, int] = {"quick": max(2, os.cpu_count() or 1), "files": 2, "checks": 2}
    executors = {
        lane: ThreadPoolExecutor(threads[lane], thread_name_prefix=f"studio-{lane}") for lane in LANES
    }
    memory = Memory()
    clients: set[Session] = set()

    async def live(socket: WebSocket) -> None:
        if len(clients) >= CLIENTS:
            await socket.close(1013)
            return
        await socket.accept()
        session = Session(_sender(socket), ROOMS, executors, memory)
        session.state |= {"model": model, "loopback": is_loopback(gate.host)}
        clients.add(session)
        try:
            await _serve(socket, session)
        finally:
            clients.discard(session)
            session.close()

    async def without_slash(request: Any) -> RedirectResponse:
        return RedirectResponse(f"/{gate.token}/", status_code=308)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        yield
        for session in list(clients):
            session.close()
        for executor in executors.values():
            executor.shutdown(wait=False, cancel_futures=True)

    routes: list[BaseRoute] = [
        Route(f"/{gate.token}", without_slash),
        WebSocketRoute(f"/{gate.token}/live", live),
        Mount(f"/{gate.token}", StaticFiles(directory=PAGE, html=True)),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), gate)


def _sender(socket: WebSocket) -> Any:
    lock = asyncio.Lock()

    async def send(message: str | bytes) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the page has gone
            async with lock:
                if isinstance(message, str):
                    await socket.send_text(message)
                else:
                    await socket.send_bytes(message)

    return send


async def _serve(socket: WebSocket, session: Session) -> None:
    """Read questions while another task answers them, until either ends."""
    await session.send(greeting())
    answering = asyncio.create_task(session.run())
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("text")
            await session.ask(*decode(message["bytes"] if data is None else data))
    except WireError as error:
        with contextlib.suppress(RuntimeError):
            await socket.close(1007, str(error)[:120])
    finally:
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering
