"""Where the studio listens, what it calls that, and what it writes down."""

import errno
import http.client
import logging
import os
import signal
import socket
import threading

import pytest

from deepconv.studio import server
from deepconv.studio.security import Gate


def test_it_says_where_it_is_once_it_answers_and_writes_no_token_down(capfd, monkeypatch):
    """An address in a log is a key under the mat."""
    monkeypatch.setattr(logging.getLogger("uvicorn"), "handlers", [logging.StreamHandler()])
    said, found = [], []

    def visit(address):
        host, port, token = address.replace("/", ":").split(":")[3:6]
        for path in (f"/{token}/", f"/{token}/main.js", f"/{token}/nothing", f"/{token}x/", f"/{token}"):
            connection = http.client.HTTPConnection(host, int(port), timeout=20)
            connection.request("GET", path)
            answer = connection.getresponse()
            found.append((answer.status, answer.getheader("server")))
            connection.close()
        os.kill(os.getpid(), signal.SIGINT)

    def ready(address):
        said.append(address)
        threading.Thread(target=visit, args=(address,), daemon=True).start()

    with pytest.raises(KeyboardInterrupt):
        server.serve(ready=ready)
    assert found == [(200, None), (200, None), (404, None), (403, None), (308, None)]
    assert len(said) == 1
    written = "".join(capfd.readouterr())
    assert said[0].rsplit("/", 2)[1] not in written


def test_the_gate_knows_where_it_stands(monkeypatch):
    """What is offered to this machine's own people depends on the address, so it must come from `--host`."""
    gates = []

    def create_app(gate, **options):
        gates.append(gate)
        raise InterruptedError

    monkeypatch.setattr(server, "create_app", create_app)
    for host in ("0.0.0.0", "127.0.0.1"):
        with pytest.raises(InterruptedError):
            server.serve(host=host)
    assert [gate.host for gate in gates] == ["0.0.0.0", "127.0.0.1"]
    assert gates[0].token != gates[1].token
    assert gates[0] != Gate(gates[0].token)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fe80::7", "[fe80::7]"),
     ("a.lan", "a.lan")],
)  # fmt: skip
def test_the_address_is_one_that_a_browser_opens(host, shown):
    assert server._shown(host) == shown


def test_why_a_port_cannot_be_had():
    assert "needs more rights; use one from 1024" in server._why_not("h", 80, OSError(errno.EACCES, "x"))
    assert "--port 80 is taken" in server._why_not("h", 80, OSError(errno.EADDRINUSE, "x"))
    assert "--host h can't be listened on: x" in server._why_not("h", 80, OSError(errno.EADDRNOTAVAIL, "x"))


def test_a_port_given_by_number_can_be_had_again_at_once():
    """The end that hangs up first holds the port for a minute."""
    with server.bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listening.accept()
            accepted.close()
            client.recv(1)
    with server.bind("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port
