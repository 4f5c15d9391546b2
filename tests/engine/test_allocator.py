"""Freed memory stays while training, and is given back behind it; what the environment says goes first."""

import ctypes
import sys

import pytest

from deepconv.engine import allocator


class Library:
    """Notes what it is asked."""

    def __init__(self):
        self.told = []

    def mallopt(self, name, value):
        self.told.append((name, value))

    def malloc_trim(self, pad):
        self.told.append("trim")


@pytest.fixture
def library(monkeypatch):
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    return library


def failing(library):
    with allocator.freed_memory_kept():
        assert library.told == [(-3, 2**25), (-1, 2**30)]
        raise KeyError


def test_memory_is_given_back_whatever_happens(library):
    with pytest.raises(KeyError):
        failing(library)
    assert library.told[2:] == [(-1, 2**26), "trim"]


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_the_environment_goes_first(library, monkeypatch, name):
    monkeypatch.setenv(name, "1000")
    with allocator.freed_memory_kept():
        pass
    assert library.told == []


def test_other_systems_have_no_such_thing(library, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # musl
    with allocator.freed_memory_kept():
        pass
    monkeypatch.delattr(Library, "malloc_trim")  # one half of it alone
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    with allocator.freed_memory_kept():
        pass
    assert library.told == []
    monkeypatch.setattr(ctypes, "CDLL", None)
    monkeypatch.setattr(sys, "platform", "win32")
    with allocator.freed_memory_kept():
        pass
