"""The application around the rooms: what it opens with, what it says when it hangs up, how much it does at once."""

import re
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from deepconv.studio import app
from deepconv.studio.memory import MOST_KEPT
from deepconv.studio.rooms.lab import SHOWN
from deepconv.studio.rooms.uploads import LARGEST
from deepconv.studio.security import Gate
from deepconv.studio.server import MOST_BYTES
from tests.studio.running import running
from tests.studio.test_network import model  # noqa: F401 (a fixture)
from tests.studio.test_security import request

DOCUMENT = Path(__file__).parents[2] / "docs" / "studio.md"


def test_the_address_without_its_last_slash_leads_to_the_page(studio):
    status, headers, _ = request(studio, f"/{studio.token}")
    assert (status, headers["location"]) == (308, f"/{studio.token}/")
    assert request(studio, headers["location"])[0] == 200


def test_a_page_is_told_why_it_is_hung_up_on(studio):
    with studio.client() as client:
        client.socket.send("{")
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert closed.value.rcvd.code == 1007
    assert closed.value.rcvd.reason.startswith("message: not JSON")


def test_a_model_from_the_command_line_is_there_at_once(model):  # noqa: F811
    with running(model=model) as studio, studio.client() as one, studio.client() as two:
        for client in (one, two):
            found = client.ask("network", "state")[0]["result"]
            assert (found["model"], found["training"]) == ("digits.safetensors", False)
            assert found["filters"] == [16, 1, 3, 3]


def test_as_much_at_once_as_the_documentation_says(monkeypatch):
    """The limits that people read are those that hold."""
    made = {}

    class Pool:
        def __init__(self, threads, thread_name_prefix):
            made[thread_name_prefix] = threads

    monkeypatch.setattr(app, "ThreadPoolExecutor", Pool)
    app.create_app(Gate("t"))
    said = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert said["open pages"] == f"{app.CLIENTS}"
    assert said["one upload"] == f"{MOST_BYTES >> 20} MiB, and {LARGEST // 10**6} million pixels of a picture"
    assert said["pictures, models and waiting uploads of all pages together"].startswith(
        f"{MOST_KEPT >> 30} GiB;"
    )
    assert made["studio-files"] == made["studio-checks"] == 2
    assert said["files being opened at once, and checks at once"].startswith("2 each")
    assert said["picture while a slider moves"].startswith(f"{SHOWN // 10**6} million")
