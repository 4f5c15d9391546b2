"""Downloads against a server of the test's own: ranges, broken connections, wrong bytes, redirections."""

import hashlib
import http.server
import re
import threading

import numpy as np
import pytest

from deepconv.data import downloads
from deepconv.data.downloads import CIFAR10, CIFAR100, MNIST, DownloadError, Published, fetch

DATA = np.random.default_rng(4).bytes(200_000)


class Handler(http.server.BaseHTTPRequestHandler):
    """Does to each request what the server's list of deeds says next."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        deed = server.deeds.pop(0) if server.deeds else "serve"
        if isinstance(deed, int):
            self.send_error(deed)
        elif deed.startswith("to "):
            self.send_response(302)
            self.send_header("Location", deed[3:])
            self.end_headers()
        else:
            self.serve(asked, deed)

    def serve(self, asked, deed):
        server = self.server
        start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and deed != "ignore" else 0
        body = server.data[start:]
        if deed == "elsewhere":  # not from where it was asked to
            start = 0
            body = server.data
        self.send_response(206 if start or deed == "elsewhere" else 200)
        self.send_header("Content-Length", len(body))
        if start or deed == "elsewhere":
            self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        self.end_headers()
        if deed == "hang":
            server.over.wait(20)
        self.wfile.write(body[: len(body) // 3] if deed == "break" else body)

    def log_message(self, *ignored):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data, server.deeds, server.asked, server.over = DATA, [], [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def published(server, *, data=DATA, size=None, paths=("/a.gz",)):
    urls = tuple(f"http://127.0.0.1:{server.server_port}{path}" for path in paths)
    return Published("a.gz", urls, size or len(data), hashlib.sha256(data).hexdigest())


def test_a_file_arrives_whole_once(server, tmp_path):
    told = []
    file = fetch(published(server), tmp_path / "new" / "folder", progress=lambda *news: told.append(news))
    assert file.read_bytes() == DATA
    assert [entry.name for entry in file.parent.iterdir()] == ["a.gz"]
    assert told[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert fetch(published(server), file.parent) == file
    assert server.asked == [("/a.gz", None)]


def test_a_broken_connection_is_gone_on_with(server, tmp_path):
    server.deeds = ["break", "break", "serve"]
    assert fetch(published(server), tmp_path).read_bytes() == DATA
    (_, first), (_, second), (_, third) = server.asked
    assert first is None
    assert second == f"bytes={len(DATA) // 3}-"
    assert third == f"bytes={len(DATA) // 3 + (len(DATA) - len(DATA) // 3) // 3}-"


def test_what_was_received_is_kept_for_the_next_time(server, tmp_path):
    server.deeds = ["break"] * 3
    with pytest.raises(
        DownloadError, match=r"^fetch: a\.gz can't be had: .*broke off after [\d,]+ of 200,000 bytes; "
    ):
        fetch(published(server), tmp_path)
    have = (tmp_path / "a.gz.part").stat().st_size
    assert have > len(DATA) // 2
    assert not (tmp_path / "a.gz").exists()
    assert fetch(published(server), tmp_path).read_bytes() == DATA
    assert server.asked[-1] == ("/a.gz", f"bytes={have}-")


@pytest.mark.parametrize("deed", ["ignore", "elsewhere"])
def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path, deed):
    server.deeds = ["break", deed]
    assert fetch(published(server), tmp_path).read_bytes() == DATA
    assert len(server.asked) == 2  # seen at once, not by a size that is too large


@pytest.mark.parametrize("left", [len(DATA), len(DATA) + 5, len(DATA) - 5])
def test_a_part_of_other_bytes_is_found_out_and_removed(server, tmp_path, left):
    (tmp_path / "a.gz.part").write_bytes(bytes(left))
    if left <= len(DATA):
        with pytest.raises(
            DownloadError, match=r"a\.gz came with another SHA-256 than the published one; it was"
        ):
            fetch(published(server), tmp_path)
        assert list(tmp_path.iterdir()) == []
    assert fetch(published(server), tmp_path).read_bytes() == DATA


def test_other_bytes_than_the_published_are_never_kept(server, tmp_path):
    server.data = DATA[:-1] + bytes([DATA[-1] ^ 1])
    with pytest.raises(DownloadError, match="another SHA-256"):
        fetch(published(server), tmp_path)
    server.data = DATA + b"more"
    with pytest.raises(DownloadError, match="sends more than the 200,000 bytes of the published file"):
        fetch(published(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_next_address_is_tried_and_the_last_reason_is_told(server, tmp_path):
    server.deeds = [404]
    assert fetch(published(server, paths=("/gone", "/a.gz")), tmp_path).read_bytes() == DATA
    assert [path for path, _ in server.asked] == ["/gone", "/a.gz"]
    server.deeds = [404, 503]
    with pytest.raises(
        DownloadError, match=r"/b: answers 503 Service Unavailable; try again later"
    ) as caught:
        fetch(published(server, paths=("/gone", "/b")), tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_a_range_that_the_server_does_not_have_starts_anew(server, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(DATA[:500])
    server.deeds = [416]
    assert fetch(published(server), tmp_path).read_bytes() == DATA
    assert [asked for _, asked in server.asked] == ["bytes=500-", None]


def test_silence_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_ATTEMPTS", 1)
    server.deeds = ["hang"]
    with pytest.raises(DownloadError, match=r"a\.gz: .*timed out"):
        fetch(published(server), tmp_path, timeout=0.2)


def test_a_redirection_away_from_https_is_refused(server, tmp_path):
    server.deeds = [f"to http://127.0.0.1:{server.server_port}/there"]
    assert fetch(published(server), tmp_path).read_bytes() == DATA
    server.deeds = ["to http://example.org/a.gz"] * 3
    with pytest.raises(DownloadError, match=r"redirects to 'http://example.org/a.gz', which is not https"):
        fetch(published(server), tmp_path / "other")
    assert not downloads._stays_here("https://example.org/a", f"http://127.0.0.1:{server.server_port}/a")


def test_a_file_of_that_name_is_never_written_over(server, tmp_path):
    (tmp_path / "a.gz").write_bytes(b"a person's own")
    with pytest.raises(DownloadError, match=r"a\.gz' is there but is not the published file; move it away"):
        fetch(published(server), tmp_path)
    assert (tmp_path / "a.gz").read_bytes() == b"a person's own"
    assert server.asked == []


def test_ctrl_c_keeps_what_was_received(server, tmp_path):
    def interrupt(done, total):
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(published(server), tmp_path, progress=interrupt)
    assert (tmp_path / "a.gz.part").read_bytes() == DATA[: (tmp_path / "a.gz.part").stat().st_size] != b""


@pytest.mark.parametrize("url", ["http://example.org/a", "file:///etc/hosts", "ftp://127.0.0.1/a", "a.gz"])
def test_addresses_that_are_not_https_are_refused(url):
    with pytest.raises(
        ValueError, match=rf"Published: '{url}' is not https; name an address that begins with"
    ):
        Published("a", (url,), 1, "0" * 64)


def test_the_published_files_are_described_whole():
    for file in (*MNIST, CIFAR10, CIFAR100):
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert all(url.startswith("https://") and url.endswith(f"/{file.name}") for url in file.urls)
    assert sum(file.size for file in MNIST) == 11_594_722
