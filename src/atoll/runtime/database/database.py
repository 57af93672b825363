"""The database that a service's constructor is given."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg

from atoll.errors import DatabaseUnreachable, QueryFailed
from atoll.runtime.context import current
from atoll.runtime.database.errors import is_passing, translated
from atoll.runtime.database.json import set_codecs
from atoll.runtime.database.pool import Connection, Pool
from atoll.runtime.database.rows import Readers
from atoll.runtime.database.statements import Call, Statements, affected, deadline
from atoll.runtime.database.transaction import Parts, PostgresTransaction
from atoll.runtime.events.outbox import Outbox
from atoll.runtime.telemetry import Telemetry

T = TypeVar("T")

START_PATIENCE = 10.0
"""Seconds that a starting process waits for the server."""
PATIENCE = 1.0
"""Seconds that a call waits for a server that refuses connections: PostgreSQL is back from a crash in a fifth of it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25


class PostgresDatabase:
    """The service's own database, by `connections` connections at most that are opened when they are needed."""

    def __init__(self, dsn: str, connections: int, service: str, telemetry: Telemetry, outbox: Outbox | None) -> None:
        self._dsn = dsn
        self.service = service
        self._statements = Statements(service, urlsplit(dsn).path.lstrip("/"), telemetry)
        self._readers = Readers()
        self._pool = Pool(self.connect, connections, service)
        self._parts = Parts(service, self._pool, self._statements, self._readers, outbox)
        for state, read in (
            ("idle", lambda: self._pool.idle),
            ("used", lambda: self._pool.used),
        ):
            labels = {"db.client.connection.state": state}
            telemetry.metrics.gauge("db.client.connection.count", "Connections to the database.", labels).read = read
        most = telemetry.metrics.gauge("db.client.connection.max", "Most connections of the pool.", {})
        most.set(connections)
        waiting = telemetry.metrics.gauge("db.client.connection.pending_requests", "Calls that wait for one.", {})
        waiting.read = lambda: self._pool.waiting

    @classmethod
    async def open(cls, dsn: str, connections: int, service: str, telemetry: Telemetry, outbox: Outbox | None) -> Self:
        """With a first connection, so that a wrong address shows at the start.

        Raises DatabaseUnreachable after START_PATIENCE.
        """
        database = cls(dsn, connections, service, telemetry, outbox)
        until = time.monotonic() + START_PATIENCE
        first = await database._connect(until, START_PATIENCE)
        database._pool.adopt(first)
        return database

    async def close(self, grace: float = 5.0) -> None:
        """Wait for what is at work, at most `grace` seconds, then cut it."""
        await self._pool.close(grace)

    async def one(self, into: type[T], sql: str, *arguments: object) -> T | None:
        row = await self._run(_fetchrow, sql, arguments)
        return None if row is None else self._readers.row(into, row)

    async def all(self, into: type[T], sql: str, *arguments: object) -> list[T]:
        return self._readers.rows(into, await self._run(_fetch, sql, arguments))

    async def value(self, into: type[T], sql: str, *arguments: object) -> T | None:
        return self._readers.value(into, await self._run(_fetchval, sql, arguments))

    async def execute(self, sql: str, *arguments: object) -> int:
        return affected(await self._run(_execute, sql, arguments))

    def transaction(self) -> PostgresTransaction:
        """BEGIN; COMMIT at the end of the block, ROLLBACK if it raises."""
        return PostgresTransaction(self._parts)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Connection]:
        """A connection of the pool for a while; its session is made as new afterwards, locks included."""
        context = current.get()
        connection = await self._statements.take(self._pool, deadline(context), context)
        try:
            yield connection
        finally:
            self._pool.give_doubtful(connection)

    async def connect(self, until: float) -> Connection:
        """A connection beside the pool; whoever asks for it closes it.

        until: seconds of time.monotonic(); a server that refuses is asked again for PATIENCE seconds at most.
        Raises DatabaseUnreachable.
        """
        return await self._connect(until, PATIENCE)

    async def _connect(self, until: float, patience: float) -> Connection:
        give_up = min(until, time.monotonic() + patience)
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._try_to_connect(until)
            except DatabaseUnreachable as error:
                wait = pause * random.uniform(0.5, 1.0)  # noqa: S311
                if time.monotonic() + wait >= give_up or error.__cause__ is None or not is_passing(error.__cause__):
                    raise
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _try_to_connect(self, until: float) -> Connection:
        with translated(self.service, connecting=True):
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection: Connection = await asyncpg.connect(
                self._dsn,
                timeout=left,
                server_settings={"application_name": f"atoll {self.service}"},
                # As long as the connection: a service has a fixed set of statements.
                max_cached_statement_lifetime=0,
            )
            await set_codecs(connection)
            return connection

    async def _run(self, method: "Method[T]", sql: str, arguments: tuple[object, ...]) -> T:
        context = current.get()
        until = deadline(context)
        pool, statements = self._pool, self._statements
        connection = pool.take_idle() or await statements.take(pool, until, context)
        settled = False
        try:
            result = await statements.run(method(connection), sql, arguments, until, context)
            settled = True
        except QueryFailed:
            settled = True
            raise
        else:
            return result
        finally:
            if settled and not statements.known(sql).leaves_state:
                pool.give(connection)
            else:
                pool.give_doubtful(connection)


Method: TypeAlias = Callable[[Connection], Call[T]]


def _fetchrow(connection: Connection) -> "Call[asyncpg.Record | None]":
    return connection.fetchrow


def _fetch(connection: Connection) -> "Call[list[asyncpg.Record]]":
    return connection.fetch


def _fetchval(connection: Connection) -> Call[object]:
    return connection.fetchval


def _execute(connection: Connection) -> Call[str]:
    return connection.execute
