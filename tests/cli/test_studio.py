"""`deepconv studio` as a process: it says where it is, answers there, takes a free port, and ends with Ctrl-C."""

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import sys
import time
import webbrowser

import pytest

import deepconv as dc
from deepconv.cli.app import run
from deepconv.studio import server


@contextlib.contextmanager
def started(*options, cwd):
    command = [sys.executable, "-m", "deepconv.cli", "studio", "--no-browser", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)
    try:
        line = process.stdout.readline()
        yield process, re.fullmatch(r"The studio is at http://([^:]+):(\d+)/([\w-]{32})/\n", line)
    finally:
        process.kill()
        process.communicate()


def status(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_answers_at_its_address_and_ends_with_ctrl_c(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, started(cwd=tmp_path) as (process, found):
        host, port, token = found.groups()
        assert host == "127.0.0.1"
        assert status(port, f"/{token}/") == 200
        assert status(port, "/") == 403
        with started(cwd=tmp_path) as (_, other):  # the usual port is taken by now
            assert other.group(2) != port
            assert other.group(3) != token
        assert int(port) != taken.getsockname()[1]
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_is_one_line(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["studio", "--no-browser", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"deepconv: studio: --port {port} is taken; leave --port out to get a free one\n"
    )
    assert run(["studio", "--no-browser", "--host", "no.such.host.invalid"]) == 2
    assert "is no address of this machine" in capsys.readouterr().err
    assert run(["studio", "--no-browser", "--host", "192.0.2.1"]) == 2
    assert "can't be listened on" in capsys.readouterr().err
    model = tmp_path / "words.safetensors"
    model.write_text("no model")
    assert run(["studio", "--no-browser", "--model", str(model)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["studio", "--no-browser", "--model", "nope"]) == 2
    assert capsys.readouterr().err.startswith(
        "deepconv: studio: --model nope: no such file or directory; name"
    )


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_ports_that_are_none(port, capsys):
    assert run(["studio", "--port", port]) == 2
    assert "--port" in capsys.readouterr().err


def test_a_browser_is_opened_unless_it_is_not_wanted(monkeypatch, capsys, tmp_path):
    """With the address that was printed; and all options reach the server."""
    opened, served = [], []

    def serve(*, ready, **options):
        served.append(options)
        ready("http://127.0.0.1:8731/token/")
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", serve)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    path = tmp_path / "model.safetensors"
    dc.Linear(3, 2).initialize((3,)).save(path)
    assert run(["studio", "--host", "::1", "--port", "9001", "--model", str(path)]) == 0
    assert opened == ["http://127.0.0.1:8731/token/"]
    assert run(["studio", "--no-browser"]) == 0
    assert len(opened) == 1
    assert served == [
        {"host": "::1", "port": 9001, "model": path},
        {"host": "127.0.0.1", "port": None, "model": None},
    ]
    assert capsys.readouterr().out.count("The studio is at http://127.0.0.1:8731/token/\n") == 2
