"""Nobody gets in without the token, from another page, or by another name of this machine."""

import http.client
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from deepconv.studio.security import CONTENT_POLICY, Gate, new_token


def request(studio, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in ({"Host": f"127.0.0.1:{studio.port}"} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_page_comes_with_the_token_and_its_policy(studio):
    status, headers, body = request(studio, f"/{studio.token}/")
    assert (status, headers["content-security-policy"]) == (200, CONTENT_POLICY)
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert b"deepconv" in body
    assert b"http://" not in body.replace(b"http://www.w3.org/", b"")
    assert request(studio, f"/{studio.token}/main.js")[1]["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path", ["/", "/x/", "/main.js", "/A-TOKEN-FOR-TESTS/", "/a-token-for-test/", "/%00/", "//", "/live"]
)
def test_without_the_token_nothing_answers(studio, path):
    status, headers, body = request(studio, path)
    assert (status, body) == (403, b"Open the address that deepconv studio printed.\n")
    assert "content-security-policy" in headers


@pytest.mark.parametrize(
    "path", ["../security.py", "..%2fsecurity.py", "%2e%2e/app.py", "rooms/../../app.py", "....//app.py"]
)
def test_no_file_outside_the_page(studio, path):
    assert request(studio, f"/{studio.token}/{path}")[0] in {403, 404}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "127.0.0.1:80:80", "a:b"],
)
def test_by_another_name_nothing_answers(studio, host):
    assert request(studio, f"/{studio.token}/", Host=host)[0] in {400, 403}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "[::1]", "[::1]:80", "127.0.0.1", "127.9.9.9:1"]
)
def test_this_machine_by_its_names(host):
    assert Gate("t").knows_host(host)


def test_beyond_loopback_only_numbers_and_ones_own_name():
    gate = Gate("t", "0.0.0.0")
    assert gate.knows_host("192.168.1.9:8731")
    assert gate.knows_host("[fe80::1]:8731")
    assert gate.knows_host(socket.gethostname())
    assert not gate.knows_host("evil.example")
    assert Gate("t", "studio.lan").knows_host("studio.lan:8731")
    assert not Gate("t").knows_host("192.168.1.9")


@given(st.text(max_size=30))
def test_no_other_word_is_a_host(name):
    known = {"localhost", "127.0.0.1", "::1"}
    if name.strip().lower().strip("[]") not in known and not name.strip().startswith("127."):
        assert not Gate("t").knows_host(name) or ":" in name


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1", "file://", "http://127.0.0.1:1"]
)
def test_a_socket_from_another_page_is_refused(studio, origin):
    with pytest.raises(InvalidStatus, match="403"), studio.client(origin=origin):
        pass
    assert request(studio, f"/{studio.token}/", Origin=origin)[0] == 403


def test_a_socket_without_an_origin_is_refused(studio):
    with pytest.raises(InvalidStatus, match="403"), studio.client(origin=None):
        pass


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading(studio, method):
    assert request(studio, f"/{studio.token}/", method)[0] == 403
    assert request(studio, f"/{studio.token}/", method, Origin=studio.origin)[0] == 405


def test_tokens_are_long_and_new():
    assert len({new_token() for _ in range(50)}) == 50
    assert all(len(new_token()) >= 32 for _ in range(5))
