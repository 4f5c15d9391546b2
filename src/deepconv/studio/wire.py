"""What travels over the page's WebSocket: JSON, and bytes such as pictures behind it.

A message without bytes is a text message of JSON. One with bytes is binary: the length of the JSON as four
bytes, little-endian; the JSON, whose `blobs` lists the lengths of what follows; the blobs, one after another.

    to the server    {"id": 7, "room": "lab", "method": "filter", "arguments": {…}}
    to the page      {"id": 7, "result": {…}}, {"id": 7, "error": "…"}, {"id": 7, "superseded": true}
                     {"room": "network", "event": "epoch", "data": {…}}       without having been asked
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["WireError", "decode", "encode"]

_MOST_BLOBS = 64
_DEEPEST = 12  # of brackets within brackets


class WireError(ValueError):
    """A message that is none.

    Example:
        >>> decode("hello")
        Traceback (most recent call last):
        deepconv.studio.wire.WireError: message: not JSON; send an object with id, room, method and arguments
    """


def encode(message: Mapping[str, Any], blobs: Sequence[bytes | memoryview] = ()) -> str | bytes:
    """Return a message as it is sent.

    Args:
        message: what JSON holds; NaN and infinity must have been written as text by then.
        blobs: bytes that go with it.

    Raises:
        ValueError: JSON can't hold it.

    Example:
        >>> decode(encode({"id": 1}, [b"abc", b""]))
        ({'id': 1}, [b'abc', b''])
    """
    if not blobs:
        return json.dumps(message, allow_nan=False, separators=(",", ":"))
    head = json.dumps(
        {**message, "blobs": [len(blob) for blob in blobs]}, allow_nan=False, separators=(",", ":")
    ).encode()
    return b"".join([len(head).to_bytes(4, "little"), head, *blobs])


def decode(data: str | bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Read a message that anybody may have sent.

    Args:
        data: what came over the socket.

    Returns:
        The JSON object, without `blobs`, and the blobs.

    Raises:
        WireError: it isn't such a message.

    Example:
        >>> decode('{"id": 1, "room": "lab"}')
        ({'id': 1, 'room': 'lab'}, [])
    """
    if isinstance(data, str):
        return _object(data), []
    size = int.from_bytes(data[:4], "little")
    if len(data) < 4 or size > len(data) - 4:
        raise WireError(f"message: {len(data)} bytes that end before their JSON does; send its length first")
    message = _object(data[4 : 4 + size])
    lengths = message.pop("blobs", None)
    if not isinstance(lengths, list) or len(lengths) > _MOST_BLOBS or not all(map(_is_length, lengths)):
        raise WireError(f"message: blobs must list up to {_MOST_BLOBS} lengths in bytes")
    if sum(lengths) != len(data) - 4 - size:
        raise WireError(
            f"message: blobs say {sum(lengths)} bytes, {len(data) - 4 - size} came; make them equal"
        )
    blobs, start = [], 4 + size
    for length in lengths:
        blobs.append(bytes(data[start : start + length]))
        start += length
    return message, blobs


def _is_length(value: object) -> bool:
    return type(value) is int and value >= 0


def _object(text: str | bytes) -> dict[str, Any]:
    wanted = "send an object with id, room, method and arguments"
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise WireError(f"message: not JSON; {wanted}") from None
    if not isinstance(found, dict):
        raise WireError(f"message: JSON of a {type(found).__name__}; {wanted}")
    if _depth(found) > _DEEPEST:
        raise WireError(f"message: brackets {_DEEPEST} deep and more; {wanted}")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _depth(value: object) -> int:
    """Return how many brackets lie within each other, without going in further than needed."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        nested = any(isinstance(item, dict | list) for item in level)
        level, depth = inner, depth + nested
    return depth
