"""A studio that runs for tests, and clients that talk to it as a page does."""

import contextlib
import json
import threading

import uvicorn
from websockets.sync.client import connect

from deepconv.studio.app import create_app
from deepconv.studio.security import Gate
from deepconv.studio.server import bind, configured
from deepconv.studio.wire import decode, encode


class Studio:
    """A running studio: where it is, and how to get in."""

    def __init__(self, port, token):
        self.port, self.token = port, token
        self.origin = f"http://127.0.0.1:{port}"
        self.page = f"{self.origin}/{token}/"

    @contextlib.contextmanager
    def client(self, **options):
        options = {"origin": self.origin, "max_size": None, "compression": None} | options
        with connect(f"ws://127.0.0.1:{self.port}/{self.token}/live", **options) as socket:
            yield Client(socket)


class Client:
    """One open page."""

    def __init__(self, socket):
        self.socket, self.number = socket, 0
        self.hello = self.receive()[0]

    def send(self, room, method, blobs=(), /, **arguments):
        self.number += 1
        message = {"id": self.number, "room": room, "method": method, "arguments": arguments}
        self.socket.send(encode(message, blobs))
        return self.number

    def receive(self, timeout=250):
        data = self.socket.recv(timeout)
        return decode(data) if isinstance(data, bytes) else (json.loads(data), [])

    def ask(self, room, method, blobs=(), /, **arguments):
        """Return the answer to one question, as (message, blobs)."""
        number = self.send(room, method, blobs, **arguments)
        while True:
            message, found = self.receive()
            if message.get("id") == number:
                return message, found


@contextlib.contextmanager
def running(host="127.0.0.1", **options):
    """Run a studio in a thread for as long as the block takes."""
    listening = bind("127.0.0.1", 0)
    token = "a-token-for-tests"
    server = uvicorn.Server(configured(create_app(Gate(token, host), **options)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Studio(listening.getsockname()[1], token)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
