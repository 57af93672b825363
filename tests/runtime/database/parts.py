"""What tests of the database need in several files."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeAlias

import asyncpg

from atoll.runtime.context import Context
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.telemetry import Telemetry

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_RUNNING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE $1 AND state = 'active'
"""


class Begin(Protocol):
    """Makes the test a request with a trace, and with a deadline in so many seconds if it says so."""

    def __call__(self, deadline: float | None = None, *, sampled: bool = True) -> Context: ...


def running(admin: Admin, comment: str, count: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many statements with this comment run on the server just now."""

    async def look() -> bool:
        return bool(await admin.fetchval(_RUNNING, f"/* {comment} */%") == count)

    return look


def idle_connections(telemetry: Telemetry, count: int) -> bool:
    """Whether the metrics page tells of so many."""
    return f'db_client_connection_count{{db_client_connection_state="idle"}} {count}\n' in telemetry.metrics.render()


@asynccontextmanager
async def opened(dsn: str, telemetry: Telemetry, connections: int) -> AsyncIterator[PostgresDatabase]:
    """A database as one replica has it."""
    database = await PostgresDatabase.open(dsn, connections, "users", telemetry, None)
    try:
        yield database
    finally:
        await database.close(grace=0.1)
