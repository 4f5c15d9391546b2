"""A page for benchmarks, in a process of its own: it sends each line of standard input and waits for the answer.

`python -m benchmarks.studio_client ADDRESS PICTURE`, where PICTURE is the file that the page loads first.
"""

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from deepconv.studio.wire import encode

_NUMBERS = count(1)


def ask(socket: ClientConnection, method: str, arguments: dict[str, Any], blobs: list[bytes]) -> None:
    """Ask the lab, and wait until the answer has come in whole."""
    message = {"id": next(_NUMBERS), "room": "lab", "method": method, "arguments": arguments}
    socket.send(encode(message, blobs))
    answer = socket.recv()
    if b'"error"' in answer[:200] if isinstance(answer, bytes) else '"error"' in answer:
        raise RuntimeError(answer)


def main() -> None:
    """Be a page until the input ends."""
    address, picture = sys.argv[1:]
    place = urlsplit(address)
    origin: Any = f"http://{place.netloc}"
    with connect(
        f"ws://{place.netloc}{place.path}live", origin=origin, max_size=None, compression=None
    ) as socket:
        socket.recv()  # the greeting
        ask(socket, "load", {}, [Path(picture).read_bytes()])
        print(flush=True)
        for line in sys.stdin:
            ask(socket, "run", {"settings": json.loads(line)}, [])
            print(flush=True)


if __name__ == "__main__":
    main()
