"""An absent peer skips with its name and the remedy, and is an error where it was promised."""

import pytest

from tests.peers.conftest import peer


def test_an_absent_peer_skips_and_says_so(monkeypatch):
    monkeypatch.delenv("DEEPCONV_REQUIRE_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"peer no_such_library is not installed .*pip install"):
        peer("no_such_library")


def test_an_absent_peer_is_an_error_where_it_was_promised(monkeypatch):
    monkeypatch.setenv("DEEPCONV_REQUIRE_PEERS", "1")
    with pytest.raises(ImportError, match="no_such_library"):
        peer("no_such_library")


def test_the_fixture_is_the_function(peer):
    assert peer("numpy").__name__ == "numpy"
