"""What every test starts from: one BLAS thread, seeded generators, a Hypothesis profile."""

from __future__ import annotations

import os

# Before NumPy is loaded. Idle OpenBLAS threads spin, which on a shared machine costs CPU time and gains
# nothing at the sizes tested here; tests of threads say themselves how many they want.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import random
import signal
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# What a program shows depends on the terminal it believes to have; here it has the same one everywhere.
os.environ["TERM"] = "xterm"
for _name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_name, None)

# Seeded, so that what passed passes again; no deadline, as a shared machine may stall at any moment.
COMMON = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.register_profile("ci", COMMON, max_examples=50)
settings.register_profile("full", COMMON, max_examples=1000)


def pytest_configure(config: pytest.Config) -> None:
    """Take the full profile when DEEPCONV_HYPOTHESIS=full says so or the `full` tests were asked for."""
    profile = os.environ.get("DEEPCONV_HYPOTHESIS") or "ci"
    asked = config.getoption("markexpr")
    if not asked or "full" in asked.replace("not full", ""):
        profile = "full"
    os.environ["DEEPCONV_HYPOTHESIS"] = profile
    settings.load_profile(profile)
    # A shell starts what runs in the background with Ctrl-C ignored, and every child inherits that: tests
    # that interrupt a child would wait in vain.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def examples(ci: int, full: int) -> int:
    """Return how many examples a test shall draw: `@settings(max_examples=examples(500, full=10_000))`."""
    return full if os.environ["DEEPCONV_HYPOTHESIS"] == "full" else ci


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Seed the generators that are global, so that no test depends on the ones before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (ours never draw from it; a dependency might)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Return a generator of the test's own, seeded by its name."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))
