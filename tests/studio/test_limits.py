"""Many clients, large files, slow readers: none of them harms the others or the machine."""

import asyncio
import io
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus

from deepconv import images
from deepconv.studio import app, memory
from deepconv.studio.rooms.uploads import LARGEST
from deepconv.studio.server import MOST_BYTES
from deepconv.studio.session import Answer, Method, Session
from tests.studio.running import running
from tests.studio.test_lab import pixels_of, png

ENDLESS = "def conv2d(x, w):\n    while True:\n        pass\n"


@pytest.mark.full  # by default tests/studio/test_session.py has twenty, each in a room of numbers
def test_twenty_clients_filter_their_own_pictures_and_none_starves(studio):
    """Each moves a slider as fast as it may; each gets its own picture back, and as much of it as the others."""

    def visit(number):
        rng = np.random.default_rng(number)
        picture = rng.integers(0, 256, (150, 200 + number, 3), np.uint8)
        answered = 0
        with studio.client() as client:
            client.ask("lab", "load", [png(picture)])
            end = time.monotonic() + 3
            while time.monotonic() < end:
                kernel = rng.integers(-3, 4, (5, 5)).astype(float)
                found = pixels_of(*client.ask("lab", "run", settings={"kernel": kernel.tolist()}))
                assert found.shape == (150, 200 + number, 4)
                answered += 1
            assert np.array_equal(found[..., :3], images.apply(picture, kernel, signed="clip"))
        return answered

    with ThreadPoolExecutor(20) as pool:
        counts = sorted(pool.map(visit, range(20)))
    assert counts[0] >= 1
    assert counts[0] >= counts[10] / 3  # the slowest beside the one in the middle


def test_checks_and_files_do_not_hold_the_quick_ones_up(studio):
    with studio.client() as one, studio.client() as two, studio.client() as quick:
        for client in (one, two):
            client.send("check", "check", code=ENDLESS)
        began = time.perf_counter()
        for _ in range(3):
            assert "result" in quick.ask("lab", "run", settings={"name": "sharpen"})[0]
        assert time.perf_counter() - began < 4  # a check is given five seconds, and both are under way


def test_a_message_too_long_ends_the_line(studio):
    def send_it(client):
        client.socket.send(bytes(MOST_BYTES + 1))
        client.receive()

    with studio.client() as client, pytest.raises(ConnectionClosed):
        send_it(client)
    with studio.client() as client:
        assert "result" in client.ask("lab", "catalogue")[0]


def bomb(width, height):
    """Return a PNG that says how large it is, and holds nothing."""
    found = png(np.zeros((2, 2), np.uint8))
    at = found.index(b"IHDR")
    head = b"IHDR" + struct.pack(">II", width, height) + found[at + 12 : at + 17]
    return found[:at] + head + struct.pack(">I", zlib.crc32(head)) + found[at + 21 :]


@pytest.mark.parametrize("room", ["lab", "network"])
def test_pictures_of_too_many_pixels_are_refused_by_their_header(studio, room):
    size = int(LARGEST**0.5) + 1
    with studio.client() as client:
        began = time.perf_counter()
        answer = client.ask(room, "load" if room == "lab" else "see", [bomb(size, size)])[0]
    assert time.perf_counter() - began < 5
    if room == "lab":
        assert "pixels" in answer["error"]
        assert "40,000,000" in answer["error"].replace("_", ",")


def test_all_pages_together_keep_no_more_than_is_allowed(monkeypatch, rng):
    monkeypatch.setattr(app, "Memory", lambda: memory.Memory(1_300_000))
    picture = png(
        rng.integers(0, 256, (300, 400, 3), np.uint8)
    )  # 360,000 bytes, kept as it came and as shown
    with running() as studio, studio.client() as one, studio.client() as two:
        assert "result" in one.ask("lab", "load", [picture])[0]
        assert "close a page" in two.ask("lab", "load", [picture])[0]["error"]
        assert (
            two.ask("lab", "run", settings={"name": "identity"})[0]["result"]["height"] == 300
        )  # the cat stays
        one.ask("lab", "load")
        assert "result" in two.ask("lab", "load", [picture])[0]


def test_uploads_that_wait_are_counted():
    async def visit():
        sent, account = [], memory.Memory(1_000_000)

        async def send(message):
            sent.append(message)

        with ThreadPoolExecutor(1) as pool:
            rooms = {"room": {"ask": Method(lambda session, blobs: Answer({"got": len(blobs[0])}))}}
            session = Session(send, rooms, {"quick": pool}, account)
            for number in range(3):
                await session.ask({"id": number, "room": "room", "method": "ask"}, [bytes(400_000)])
            assert account.kept == 800_000
            running = asyncio.create_task(session.run())
            while len(sent) < 3:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            running.cancel()
        return sent, account.kept

    sent, kept = asyncio.run(visit())
    assert "may keep" in sent[0]
    assert '"id":2' in sent[0]
    assert kept == 0


def test_one_page_more_than_there_may_be(monkeypatch):
    monkeypatch.setattr(app, "CLIENTS", 2)
    with running() as studio, studio.client(), studio.client() as last:
        third = studio.client()
        with pytest.raises(InvalidStatus, match="403"):
            third.__enter__()
        assert "result" in last.ask("lab", "catalogue")[0]


def test_news_for_a_slow_reader_is_bounded():
    """A page that doesn't read keeps the latest events waiting, not all of them."""

    async def visit():
        gate, sent = asyncio.Event(), []

        async def send(message):
            sent.append(message)
            await gate.wait()

        session = Session(send, {}, {})
        running = asyncio.create_task(session.run())
        await asyncio.sleep(0)
        for number in range(1000):
            await asyncio.to_thread(session.tell, "network", "batch", {"number": number})
        assert len(sent) == 1
        gate.set()
        while session._news:
            await asyncio.sleep(0)
        running.cancel()
        return sent

    sent = asyncio.run(visit())
    assert 2 <= len(sent) <= 66
    assert '"number":999' in sent[-1]


def test_nothing_is_computed_for_a_page_that_does_not_read():
    """The next question waits until the last answer has gone out, so at most one lies in memory."""

    async def visit():
        gate, calls = asyncio.Event(), []

        async def send(message):
            await gate.wait()

        def answer(session, blobs):
            calls.append(1)
            return Answer({}, (bytes(1000),))

        with ThreadPoolExecutor(2) as pool:
            session = Session(send, {"room": {"ask": Method(answer)}}, {"quick": pool})
            running = asyncio.create_task(session.run())
            for number in range(9):
                await session.ask({"id": number, "room": "room", "method": "ask"}, [])
            await asyncio.sleep(0.3)
            before = len(calls)
            gate.set()
            while len(calls) < 9:
                await asyncio.sleep(0.01)
            running.cancel()
        return before

    assert asyncio.run(visit()) == 1


def test_a_picture_of_a_hundred_megabytes_on_disk_is_never_asked_for(studio):
    """The file that a person chose goes over the wire as it is; nothing here opens a path."""
    with studio.client() as client:
        stream = io.BytesIO()
        Image.new("L", (30, 20)).save(stream, "PNG")
        assert client.ask("lab", "load", [stream.getvalue()])[0]["result"]["width"] == 30
        assert "error" in client.ask("lab", "load", path="/etc/hostname")[0]
