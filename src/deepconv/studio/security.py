"""Who may talk to the studio: those who know the address it printed, from a page that it served.

Everything stands behind a random token in the path. The Host header must name this machine by an address or a
name that it was started with (a page elsewhere that had its own name pointed here is refused: DNS rebinding),
and a WebSocket, or anything that is no plain reading, must come from a page of the same origin.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CONTENT_POLICY", "Gate", "Guard", "is_loopback", "new_token"]

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: run what was served with it, talk to its own server, show pictures of its own."""

_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_READING = frozenset({"GET", "HEAD"})


def new_token() -> str:
    """Return a token that nobody guesses: 192 random bits.

    Example:
        >>> len(new_token()), new_token() != new_token()
        (32, True)
    """
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Gate:
    """What a request must show.

    Args:
        token: the first part of every path.
        host: the address that the server listens on, as it was given.

    Example:
        >>> gate = Gate("secret", "127.0.0.1")
        >>> gate.knows_host("127.0.0.1:8000"), gate.knows_host("evil.example:8000")
        (True, False)
    """

    token: str
    host: str = "127.0.0.1"

    def knows_token(self, path: str) -> bool:
        """Say whether a path begins with the token, in a time that tells nothing about it."""
        first = path.removeprefix("/").partition("/")[0]
        return secrets.compare_digest(first.encode(errors="replace"), self.token.encode())

    def knows_host(self, header: str) -> bool:
        """Say whether a Host header names this machine: by number, as localhost, or as it was started.

        A name that somebody else's DNS answers for is what an attack by rebinding needs, so other names
        are refused. Numbers are fine: a page can't be served from a number that isn't the server's.
        """
        name = _host_name(header)
        if name is None:
            return False
        if name in {"localhost", self.host.lower()}:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return not is_loopback(self.host) and name == socket.gethostname().lower()
        return address.is_loopback or not is_loopback(self.host)


def _host_name(header: str) -> str | None:
    """Return the name in a Host header, without port and brackets; None where it is no such header."""
    name, colon, port = header.strip().lower().rpartition(":")
    if not colon or (header.strip().endswith("]")):
        name, port = header.strip().lower(), ""
    if port and not (port.isascii() and port.isdigit()):
        return None
    return name.removeprefix("[").removesuffix("]") or None


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine alone.

    Args:
        host: as it was given.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
        (True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """The door in front of an ASGI application: refuses, or lets in and adds the headers.

    Args:
        app: what stands behind it.
        gate: what a request must show.

    Example:
        >>> Guard(None, Gate("secret")).gate.token
        'secret'
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before accepting: HTTP 403
        else:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> str | None:
        """Return why a request is refused; the same words whatever it lacks but the origin."""
        headers = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or not self.gate.knows_host(hosts[0]) or not self.gate.knows_token(scope["path"]):
            return "Open the address that deepconv studio printed.\n"
        same = len(origins) == 1 and origins[0].lower() in {f"{way}://{hosts[0].lower()}" for way in _WAYS}
        reading = scope["type"] == "http" and scope["method"] in _READING
        if not (same or (reading and not origins)):
            return "Only the studio's own page may ask this.\n"
        return None


_WAYS = ("http", "https")  # https: behind somebody's proxy


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = list(message.get("headers", []))
            known = {name for name, _ in headers}
            for name, value in _HEADERS.items():
                if name.encode() not in known or name == "cache-control":
                    headers = [pair for pair in headers if pair[0] != name.encode()]
                    headers.append((name.encode(), value.encode()))
            message = {**message, "headers": headers}
        await send(message)

    return sender
