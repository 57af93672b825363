"""A service's database as a running service has it, and what it recorded."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from atoll.runtime.context import Context, current, new_trace_id
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.database.tables import make_tables
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder


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


@contextmanager
def call(context: Context | None = None) -> Iterator[Context]:
    """As if a request were served."""
    context = context or Context(new_trace_id())
    token = current.set(context)
    yield context
    current.reset(token)
