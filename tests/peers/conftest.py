"""How a test asks for another library: `peer("torch")`, from tests.peers.conftest or as a fixture.

A peer that is not installed skips the test and says so. With `DEEPCONV_REQUIRE_PEERS=1`, as in CI,
its absence is an error instead, so that a broken installation can't pass as a green run of nothing.
"""

import importlib
import os
import warnings
from types import ModuleType

import pytest
from hypothesis import settings

collect_ignore = ["ndimage_shim.py"]  # a plugin for SciPy's own tests, not for ours


def peer(name: str) -> ModuleType:
    """Return another library's module, or skip the test (the whole file, where it is asked for there).

    A peer's own warnings while it is imported are not ours to fix and are not shown.

    Args:
        name: a module's dotted name, such as `"torch"` or `"scipy.ndimage"`.

    Raises:
        ImportError: it is missing although DEEPCONV_REQUIRE_PEERS=1 promises it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("DEEPCONV_REQUIRE_PEERS") == "1":
            raise
        pytest.skip(
            f"peer {name} is not installed ({error}); pip install -e '.[peers]'", allow_module_level=True
        )
    # PyTorch's test tools load a Hypothesis profile of their own, under which ours would draw less.
    settings.load_profile(os.environ["DEEPCONV_HYPOTHESIS"])
    if name == "torch":  # one thread: the sums come out the same on every machine, and two runs can share one
        module.set_num_threads(1)
    return module


@pytest.fixture(name="peer", scope="session")
def peer_fixture():
    """`peer` for a test that asks for its library only when it runs."""
    return peer


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, one for all tests."""
    from tests.peers.browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def studio():
    """One studio for all tests in the browser."""
    from tests.studio.running import running

    with running() as found:
        yield found


@pytest.fixture
def visitor(browser, studio):
    """A person at the studio's page."""
    from tests.peers.browser import visiting

    with visiting(browser, studio) as found:
        yield found
