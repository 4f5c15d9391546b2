"""What the environment says of the machine is heeded, and what it can't mean is refused."""

import subprocess
import sys

import pytest

from deepconv.engine import machine


@pytest.fixture
def told(monkeypatch):
    """Return what asks `why_not_compiled` afresh, with DEEPCONV_COMPILED set to a word or not at all."""

    def ask(word):
        machine.why_not_compiled.cache_clear()
        if word is None:
            monkeypatch.delenv("DEEPCONV_COMPILED", raising=False)
        else:
            monkeypatch.setenv("DEEPCONV_COMPILED", word)
        return machine.why_not_compiled()

    yield ask
    machine.why_not_compiled.cache_clear()


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF", " 0 "])
def test_numba_is_left_alone_when_that_is_asked_for(told, word):
    assert told(word) == f"DEEPCONV_COMPILED={word} leaves Numba alone"


@pytest.mark.parametrize("word", ["", "1", "True", "yes", "on"])
def test_other_words_change_nothing(told, word):
    assert told(word) == told(None)


@pytest.mark.parametrize("word", ["2", "nope", "o"])
def test_what_means_neither_is_refused(told, word):
    with pytest.raises(
        ValueError, match=f"DEEPCONV_COMPILED='{word}' is neither yes nor no; use one of 0, false"
    ):
        told(word)


def test_without_llvm_everything_can_be_imported():
    """WebAssembly has neither Numba nor llvmlite."""
    code = """
import sys
sys.modules["llvmlite"] = sys.modules["numba"] = None
import numpy as np
import deepconv as dc
assert all(getattr(dc, name) is not None for name in dc.__all__)
x, w = np.arange(24.0).reshape(1, 2, 4, 3), np.ones((1, 2, 2, 2))
assert dc.conv(x, w).shape == (1, 1, 3, 2)
print(dc.relu(x).sum())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "276.0"), done.stderr
