"""Whatever comes over either face, the studio answers, refuses or hangs up; it never fails from within."""

import contextlib
import http.client
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from deepconv.studio.rooms import ROOMS
from tests.conftest import examples

NUMBERS = st.integers(-5, 40) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
GRID = st.lists(st.lists(NUMBERS, min_size=1, max_size=5), min_size=1, max_size=5)
SMALL = st.lists(st.integers(-1, 6), min_size=2, max_size=2)
PLANES = st.lists(GRID, min_size=1, max_size=2)
NAMES = st.sampled_from(["sharpen", "sobel", "gaussian sigma=2", "box size=99", "nothing", "1 2; 3", "a.npy"])
SETTINGS = {
    "name": NAMES,
    "kernel": GRID,
    "border": st.sampled_from(["reflect", "wrap", "crop", "zero", "?"]),
    "divisor": NUMBERS,
    "offset": NUMBERS,
    "signed": st.sampled_from(["clip", "grey", "absolute", "stretch", ""]),
    "flip": st.booleans(),
    "stride": st.integers(-1, 20),
}
WORDS = {
    "image": PLANES,
    "weight": st.lists(PLANES, min_size=1, max_size=2),
    "bias": st.lists(NUMBERS, min_size=1, max_size=2),
    "stride": SMALL,
    "dilation": SMALL,
    "padding": st.lists(SMALL, min_size=2, max_size=2),
    "transposed": st.booleans(),
    "dy": st.none() | PLANES,
    "rate": NUMBERS,
    "settings": st.fixed_dictionaries({}, optional=SETTINGS),
    "row": st.integers(-2, 400),
    "column": st.integers(-2, 600),
    "text": st.text(max_size=30) | NAMES,
    "name": st.text(max_size=9),
    "height": st.integers(-1, 9),
    "width": st.integers(-1, 9),
    "layer": st.sampled_from(["0", "input", ""]),
    "channel": st.integers(-1, 3),
    "action": st.sampled_from(["pause", "resume", "stop", "fly"]),
}
QUIET = {("network", "train"), ("check", "check")}  # they start things; they have tests of their own
ASKED = st.sampled_from(
    [(room, name) for room, found in ROOMS.items() for name in found if (room, name) not in QUIET]
)


@pytest.fixture(scope="module")
def client(studio):
    with studio.client() as found:
        yield found


@settings(max_examples=examples(60, full=3000))
@given(
    asked=ASKED,
    words=st.fixed_dictionaries({}, optional=WORDS),
    blobs=st.lists(st.binary(max_size=60), max_size=2),
)
def test_any_arguments_are_answered_or_refused(client, asked, words, blobs):
    answer, _ = client.ask(*asked, blobs, **words)
    assert ("result" in answer) != ("error" in answer)
    assert "something went wrong" not in answer.get("error", "")


@settings(max_examples=examples(30, full=1000))
@given(asked=ASKED, words=st.dictionaries(st.text(max_size=9), JSON, max_size=3))
def test_arguments_of_other_kinds(client, asked, words):
    answer, _ = client.ask(*asked, [], **words)
    assert "something went wrong" not in answer.get("error", "")


@settings(max_examples=examples(20, full=500))
@given(data=st.binary(max_size=80) | st.text(max_size=80))
def test_any_bytes_leave_the_studio_standing(studio, data):
    with studio.client() as client:
        client.socket.send(data)
        with contextlib.suppress(ConnectionClosed):
            client.receive()
    with studio.client() as client:
        assert "result" in client.ask("lab", "catalogue")[0]


@settings(max_examples=examples(40, full=1000))
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "TRACE", "X"]),
    path=st.text(string.ascii_letters + string.digits + "/.%-_~?#&=;:@", max_size=40),
    inside=st.booleans(),
    headers=st.dictionaries(
        st.sampled_from(["Origin", "Range", "If-None-Match", "Accept-Encoding", "Content-Length", "Referer", "Cookie"]),
        st.text(string.printable[:94], max_size=30).map(str.strip), max_size=3,
    ),
)  # fmt: skip
def test_any_request_gets_an_answer_below_500(studio, method, path, inside, headers):
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
    try:
        connection.putrequest(
            method, f"/{studio.token}/{path}" if inside else f"/{path}", skip_accept_encoding=True
        )
        for name, value in headers.items():
            if name != "Content-Length" or value.isdigit():
                connection.putheader(name, "0" if name == "Content-Length" else value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    assert answer.status < 500
    if not inside:
        assert answer.status in {400, 403}
