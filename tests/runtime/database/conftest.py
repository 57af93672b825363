"""A service's database as a running service has it, and what it recorded."""

import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from atoll.runtime.context import Context, current, new_trace_id
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.database.tables import make_tables
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder
from tests.runtime.database.parts import Begin


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(Recorder(), Metrics(), "users", "users-1")


@pytest.fixture
async def database(dsn: str, telemetry: Telemetry) -> AsyncIterator[PostgresDatabase]:
    """With atoll's own tables, three connections at most, no topics."""
    connection = await asyncpg.connect(dsn)
    await make_tables(connection, "users")
    await connection.close()
    database = await PostgresDatabase.open(dsn, 3, "users", telemetry, None)
    yield database
    await database.close(grace=0.5)


@pytest.fixture
def call() -> Iterator[Begin]:
    """`call(deadline=0.1)`: from here on the test is a request."""
    before = current.get()

    def begin(deadline: float | None = None, *, sampled: bool = True) -> Context:
        context = Context(new_trace_id(), sampled=sampled)
        if deadline is not None:
            context.deadline = time.monotonic() + deadline
        current.set(context)
        return context

    yield begin
    current.set(before)
