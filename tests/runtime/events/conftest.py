"""Fixtures of the tests of events."""

from collections.abc import AsyncIterator

import pytest

from tests.runtime.events.parts import Running
from tests.runtime.servers import NatsServer


@pytest.fixture
async def running(dsn: str, nats_server: NatsServer) -> AsyncIterator[Running]:
    """A system of the test's own on the shared engines, with the tables made."""
    running = Running(dsn, nats_server)
    await running.prepare()
    yield running
    await running.end()
