"""Fetching the files of published data sets: only when asked for, and only the very bytes that are known.

Everything goes over https to `NAME.part` beside the file's place, is gone on with where it stopped, and
takes its name once its SHA-256 is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "DownloadError", "Published", "fetch"]

_CHUNK = 2**16
_ATTEMPTS = 3
_HERE = {"localhost", "127.0.0.1", "::1"}

Progress = Callable[[int, int], object]


def _is_safe(url: str) -> bool:
    """Tell whether what comes from an address can't be changed or read on its way."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)


class DownloadError(OSError):
    """A file could not be fetched.

    Example:
        >>> raise DownloadError("fetch: no answer")
        Traceback (most recent call last):
        deepconv.data.downloads.DownloadError: fetch: no answer
    """


@dataclass(frozen=True)
class Published:
    """A file that somebody publishes.

    Args:
        name: what it is called.
        urls: where it lies; the second is tried where the first doesn't answer, and so on.
        size: its bytes.
        sha256: their checksum, 64 hexadecimal digits.

    Raises:
        ValueError: an address is not https (or http on this very machine).

    Example:
        >>> Published("a", ("ftp://example.org/a",), 3, "0" * 64)
        Traceback (most recent call last):
        ValueError: Published: 'ftp://example.org/a' is not https; name an address that begins with https://
    """

    name: str
    urls: tuple[str, ...]
    size: int
    sha256: str

    def __post_init__(self) -> None:
        for url in self.urls:
            if not _is_safe(url):
                raise ValueError(
                    f"Published: {url!r} is not https; name an address that begins with https://"
                )


def _mnist(name: str, size: int, sha256: str) -> Published:
    homes = (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    )
    return Published(name, tuple(f"{home}/{name}" for home in homes), size, sha256)


# LeCun's own page no longer gives the files out; these are the mirrors that PyTorch and TensorFlow name.
MNIST = (
    _mnist(
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    _mnist(
        "train-labels-idx1-ubyte.gz",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    _mnist(
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    _mnist(
        "t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
)
"""MNIST's four files."""

CIFAR10 = Published(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
"""CIFAR-10, binary version."""

CIFAR100 = Published(
    "cifar-100-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
    168_513_733,
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
)
"""CIFAR-100, binary version."""


def fetch(
    published: Published,
    folder: str | os.PathLike[str],
    *,
    timeout: float = 30.0,
    progress: Progress | None = None,
) -> Path:
    """Download a file, or go on with a download that was broken off.

    Args:
        published: what to fetch.
        folder: where to put it; it is made if need be. A file that is there already is kept if it is the
            right one, and never written over.
        timeout: seconds without a byte after which a connection is given up; it is tried again twice.
        progress: called with the bytes that are there and those of the whole.

    Returns:
        the file.

    Raises:
        DownloadError: no address gave the file, what came isn't the published one, or another file of its
            name is there. What was received is kept for the next time, unless it is wrong.
        OSError: the folder can't be written.

    Example:
        >>> nowhere = Published("a.gz", ("http://127.0.0.1:9/a.gz",), 3, "0" * 64)
        >>> fetch(nowhere, os.devnull)
        Traceback (most recent call last):
        FileExistsError: ...
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    target, part = place / published.name, place / f"{published.name}.part"
    if target.exists():
        if target.is_file() and _is_right(target, published):
            return target
        raise DownloadError(
            f"fetch: {str(target)!r} is there but is not the published file; move it away, then fetch again"
        )
    reasons = []
    for url in published.urls:
        for _ in range(_ATTEMPTS):
            try:
                _receive(url, part, published.size, timeout, progress)
                break
            except urllib.error.HTTPError as error:
                reasons.append(f"{url}: answers {error.code} {error.reason}")
                if error.code != 416:  # 416: what is there already is longer than the server's file
                    break
                part.unlink(missing_ok=True)
            except (OSError, http.client.HTTPException) as error:
                reasons.append(f"{url}: {_reason(error)}")
        if _bytes(part) == published.size:
            break
    else:
        raise DownloadError(
            f"fetch: {published.name} can't be had: {reasons[-1]}; try again later: it goes on"
        )
    if not _is_right(part, published):
        part.unlink()
        raise DownloadError(
            f"fetch: {published.name} came with another SHA-256 than the published one; it was removed: try again"
        )
    part.replace(target)
    return target


def _receive(url: str, part: Path, size: int, timeout: float, progress: Progress | None) -> None:
    """Bring what is still lacking; raise where not all of it comes."""
    have = _bytes(part)
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    headers = {"User-Agent": "deepconv", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    opener = urllib.request.build_opener(_SafeRedirects)
    request = urllib.request.Request(url, headers=headers)
    with contextlib.closing(opener.open(request, timeout=timeout)) as reply:
        continued = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(
            f"bytes {have}-"
        )
        have = have if continued else 0
        with open(part, "ab" if continued else "wb") as file:
            while block := reply.read(_CHUNK):
                have += len(block)
                if have > size:
                    part.unlink()
                    raise DownloadError(f"sends more than the {size:,} bytes of the published file")
                file.write(block)
                if progress is not None:
                    progress(have, size)
    if have < size:
        raise DownloadError(f"broke off after {have:,} of {size:,} bytes")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only where it leads to https again."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urllib.parse.urlsplit(newurl).scheme != "https" and not _stays_here(req.full_url, newurl):
            raise DownloadError(f"redirects to {newurl!r}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _stays_here(url: str, other: str) -> bool:
    """Tell whether both addresses are http on this very machine."""
    schemes = {urllib.parse.urlsplit(each).scheme for each in (url, other)}
    return schemes == {"http"} and _is_safe(url) and _is_safe(other)


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_right(path: Path, published: Published) -> bool:
    if _bytes(path) != published.size:
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == published.sha256


def _reason(error: BaseException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(reason).split()) or type(reason).__name__
