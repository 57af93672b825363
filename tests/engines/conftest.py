"""What tests of engines share."""

from collections.abc import Iterator

import pytest

from atoll.supervisor.home import Home
from tests.engines.running import open_home


@pytest.fixture
def home() -> Iterator[Home]:
    """A folder for the state of one system, with nothing in it yet."""
    with open_home() as made:
        yield made
