"""One studio for the tests of this folder."""

import pytest

from tests.studio.running import running


@pytest.fixture(scope="session")
def studio():
    with running() as found:
        yield found
