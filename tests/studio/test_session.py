"""Questions over the socket: answered, superseded, refused; clients neither mix nor wait for each other."""

import asyncio
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

import deepconv as dc
from deepconv.studio.memory import Memory
from deepconv.studio.session import Answer, Method, Session
from deepconv.studio.wire import WireError

SMALL = {
    "image": np.arange(20.0).reshape(1, 4, 5).tolist(), "weight": np.arange(6.0).reshape(1, 1, 2, 3).tolist(),
    "bias": [1.0], "stride": [1, 2], "padding": [[0, 1], [1, 0]], "dilation": [1, 1],
}  # fmt: skip


def test_a_question_is_answered_with_the_librarys_numbers(studio):
    with studio.client() as client:
        assert client.hello["event"] == "hello"
        answer, _ = client.ask("window", "compute", **SMALL)
    y = dc.conv(
        np.array(SMALL["image"]),
        np.array(SMALL["weight"]),
        np.ones(1),
        stride=(1, 2),
        padding=((0, 1), (1, 0)),
    )
    assert answer["result"]["y"] == y.tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stride": [0, 1]}, r"conv: stride=\(0, 1\) must be at least 1"),
        ({"stride": [1]}, "stride: has 1, and must have at least 2"),
        ({"stride": [1, "2"]}, r"stride\.1: give a whole number"),
        ({"stride": [1, 1e9]}, r"stride\.1"),
        ({"image": [[1, 2], [3]]}, "image: expected equally long lists"),
        ({"image": [[[1.0] * 900] * 900]}, "image: has shape"),
        ({"weight": np.zeros((1, 1, 6, 6)).tolist()}, "larger than the padded image .* floor"),
        ({"more": 1}, "more: is not known here"),
        ({"rate": -1}, "rate: must be at least 0"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(studio, change, words):
    with studio.client() as client:
        answer, _ = client.ask("window", "compute", **(SMALL | change))
        assert "result" not in answer
        assert re.search(words, answer["error"])
        assert "result" in client.ask("window", "compute", **SMALL)[0]  # and the line is still there


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        "[]",
        "x",
        b"\x00",
        '{"id": 1}',
        '{"id": "1", "room": "window", "method": "compute"}',
        '{"id":1,"room":[],"method":"a"}',
    ],
)
def test_what_is_no_question_ends_the_line(studio, data):
    with studio.client() as client:
        client.socket.send(data)
        with pytest.raises(ConnectionClosed):
            client.receive()


def test_an_unknown_method_is_named(studio):
    with studio.client() as client:
        assert "no method 'fly' in room 'window'" in client.ask("window", "fly")[0]["error"]
        assert "no method 'compute' in room '__class__'" in client.ask("__class__", "compute")[0]["error"]


def test_the_latest_question_wins(studio):
    heavy = SMALL | {
        "image": np.ones((3, 16, 16)).tolist(),
        "weight": np.ones((3, 3, 7, 7)).tolist(),
        "bias": [0] * 3,
        "stride": [1, 1],
        "padding": [[6, 6], [6, 6]],
    }
    with studio.client() as client:
        numbers = [client.send("window", "compute", **heavy) for _ in range(60)]
        answers = {}
        while len(answers) < 60:
            message, _ = client.receive()
            answers[message["id"]] = "result" in message
    assert answers[numbers[-1]]
    assert sum(answers.values()) < 55
    assert set(answers) == set(numbers)


def test_twenty_clients_neither_mix_nor_starve(studio):
    def visit(number):
        rng = np.random.default_rng(number)
        image = rng.integers(-9, 9, (1, 4, 5)).astype(float)
        slowest = 0.0
        with studio.client() as client:
            for _ in range(10):
                began = time.perf_counter()
                answer, _ = client.ask("window", "compute", **(SMALL | {"image": image.tolist()}))
                slowest = max(slowest, time.perf_counter() - began)
                found = dc.conv(
                    image, np.array(SMALL["weight"]), np.ones(1), stride=(1, 2), padding=((0, 1), (1, 0))
                )
                assert answer["result"]["y"] == found.tolist()
        return slowest

    with ThreadPoolExecutor(20) as pool:
        assert max(pool.map(visit, range(20))) < 30


def test_a_client_that_leaves_in_the_middle_leaves_nothing(studio):
    before = threading.active_count()
    for _ in range(5):
        with studio.client() as client:
            client.send("window", "compute", **SMALL)
    with studio.client() as client:
        assert "result" in client.ask("window", "compute", **SMALL)[0]
    assert threading.active_count() <= before + 4


def answered(call, questions, *, latest=False, answers=None):
    """Ask a session of its own and return what it sent; it begins to answer when all has been asked."""

    async def visit():
        sent = []

        async def send(message):
            sent.append(json.loads(message))

        with ThreadPoolExecutor(2) as pool:
            session = Session(send, {"room": {"ask": Method(call, latest)}}, {"quick": pool}, Memory(1000))
            for number, arguments, blobs in questions:
                await session.ask(
                    {"id": number, "room": "room", "method": "ask", "arguments": arguments}, blobs
                )
            running = asyncio.create_task(session.run())
            while len(sent) < (answers or len(questions)):
                await asyncio.sleep(0.005)
            running.cancel()
            session.close()
        return sent

    return asyncio.run(asyncio.wait_for(visit(), 30))


def test_questions_are_answered_in_the_order_in_which_they_came():
    questions = [(number, {"word": number * 7}, []) for number in (3, 1, 9, 4)]
    sent = answered(lambda session, blobs, word: Answer({"word": word}), questions)
    assert sent == [{"id": number, "result": {"word": number * 7}} for number in (3, 1, 9, 4)]


def test_whatever_goes_wrong_in_a_method_the_next_question_is_answered(caplog):
    errors = {
        0: KeyError("x"),
        1: MemoryError(),
        2: ZeroDivisionError(),
        3: FloatingPointError("f"),
        4: OSError("o"),
    }

    def call(session, blobs, which):
        if which in errors:
            raise errors[which]
        return Answer({"fine": True})

    sent = answered(call, [(number, {"which": number}, []) for number in range(6)])
    said = {message["id"]: message.get("error") for message in sent}
    assert said.pop(0) == said.pop(4) == "something went wrong in the studio; its terminal says what"
    assert "too large for this machine's memory" in said.pop(1)
    assert said == {2: "ZeroDivisionError", 3: "f", 5: None}
    assert len(caplog.records) == 2
    assert caplog.records[0].exc_info[0] is KeyError


def test_of_the_same_kind_the_latest_waits_and_the_others_are_told():
    questions = [(number, {"word": number}, []) for number in range(4)]
    sent = answered(lambda session, blobs, word: Answer({"word": word}), questions, latest=True)
    assert [message.get("superseded") for message in sent] == [True, True, True, None]
    assert sent[3] == {"id": 3, "result": {"word": 3}}


def test_more_questions_than_may_wait_end_the_line():
    questions = [(number, {}, []) for number in range(33)]
    with pytest.raises(WireError, match="32 questions wait already; wait for answers"):
        answered(lambda session, blobs: Answer({}), questions)
    assert len(answered(lambda session, blobs: Answer({}), questions[:32])) == 32


def test_an_upload_that_is_being_looked_at_is_counted_with_those_that_wait():
    kept = []

    def call(session, blobs):
        if not kept:  # another comes meanwhile
            more = {"id": 3, "room": "room", "method": "ask"}
            asyncio.run_coroutine_threadsafe(session.ask(more, [bytes(50)]), session._loop).result(20)
        kept.append(session.memory.kept)
        return Answer({})

    answered(call, [(1, {}, [bytes(300)]), (2, {}, [bytes(400)])], answers=3)
    assert kept == [750, 450, 50]


def test_a_refused_upload_is_answered_once_and_never_looked_at():
    seen = []

    def call(session, blobs):
        seen.append(blobs)
        return Answer({})

    sent = answered(call, [(1, {}, [bytes(1001)]), (2, {}, [b"small"])])
    assert [message["id"] for message in sent] == [1, 2]
    assert "may keep" in sent[0]["error"]
    assert seen == [[b"small"]]


def test_a_page_that_goes_leaves_nothing_behind():
    session = Session(None, {}, {}, memory := Memory())
    session.state["lab"] = np.zeros(5)
    session.keep("picture", 40)
    ended = []
    session.closing.append(lambda: ended.append(1))
    session.close()
    assert (session.state, memory.kept, ended) == ({}, 0, [1])
