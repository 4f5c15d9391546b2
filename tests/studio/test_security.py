"""Nobody gets in without the token, from another page, or by another name of this machine."""

import http.client
import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from deepconv.studio.security import CONTENT_POLICY, Gate, Guard, is_loopback, new_token


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


@pytest.mark.parametrize(
    "host", ["evillocalhost", "evil.localhost:80", "127.0.0.1:x", "localhost:8O", "localhost.", "127.1"]
)
def test_what_only_looks_like_this_machine(host):
    assert not Gate("t").knows_host(host)


def test_beyond_loopback_only_numbers_and_ones_own_name():
    gate = Gate("t", "0.0.0.0")
    assert gate.knows_host("192.168.1.9:8731")
    assert gate.knows_host("[fe80::1]:8731")
    assert gate.knows_host(socket.gethostname())
    assert not gate.knows_host("evil.example")
    assert Gate("t", "studio.lan").knows_host("studio.lan:8731")
    assert not Gate("t").knows_host("192.168.1.9")
    assert not Gate("t").knows_host(socket.gethostname())
    assert not is_loopback("studio.lan")


def refusal(*headers, kind="websocket", method="GET", path="/t/live"):
    """Return what the door says to a request with these headers; None where it lets it in."""
    known = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "method": method, "path": path, "headers": known}
    return Guard(None, Gate("t"))._refusal(scope)


HOST = ("host", "127.0.0.1:873")


def test_the_origin_is_the_whole_of_it_and_there_is_one():
    assert refusal(HOST, ("origin", "http://127.0.0.1:873")) is None
    assert refusal(HOST, ("origin", "HTTPS://127.0.0.1:873")) is None
    for origin in ("http://127.0.0.1:8731", "http://127.0.0.1:873.evil.example", "http://localhost:873", ""):
        assert refusal(HOST, ("origin", origin)) == "Only the studio's own page may ask this.\n"
    own = ("origin", "http://127.0.0.1:873")
    assert refusal(HOST, own, own) is not None
    assert refusal(HOST) is not None
    assert refusal(HOST, kind="http") is None


def test_two_hosts_are_none():
    """A server in front could read the one, and this one the other."""
    assert refusal(HOST, kind="http") is None
    for hosts in ([HOST, HOST], [HOST, ("host", "evil.example")], []):
        assert "address" in refusal(*hosts, kind="http")


def test_the_policy_lets_nothing_in_but_the_pages_own():
    policy = dict(part.strip().partition(" ")[::2] for part in CONTENT_POLICY.split(";"))
    for directive in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy.pop(directive) == "'none'"
    for directive in ("script-src", "style-src", "connect-src", "font-src"):
        assert policy.pop(directive) == "'self'"
    assert policy == {"img-src": "'self' blob: data:", "media-src": "'self' blob:"}


def test_every_answer_keeps_others_out(studio):
    for path in (f"/{studio.token}/cat.jpg", "/elsewhere"):
        headers = request(studio, path)[1]
        assert (
            headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        )
        assert headers["permissions-policy"] == "camera=(self), microphone=(), geolocation=()"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_token_does_not_come_from_a_generator_that_can_be_wound_back():
    found = set()
    for _ in range(3):
        random.seed(1)
        found.add(new_token())
    assert len(found) == 3


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
