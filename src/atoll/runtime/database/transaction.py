"""What is stored together, or not at all."""

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from atoll.errors import (
    KEY_RUNNING,
    QUERY_FAILED,
    TRANSACTION_CLOSED,
    UNDECLARED_TOPIC,
    AtollError,
    DatabaseError,
    EventError,
    QueryFailed,
)
from atoll.model.resources import Topic
from atoll.runtime.context import Context, current
from atoll.runtime.database.errors import place_outside, translated
from atoll.runtime.database.pool import Connection, Pool
from atoll.runtime.database.rows import Readers
from atoll.runtime.database.statements import Call, Statements, affected, deadline
from atoll.runtime.database.tables import KEEP_ANSWER
from atoll.runtime.events.outbox import Outbox
from atoll.runtime.events.outgoing import Outgoing
from atoll.runtime.idempotency import Answer, KeyRefused

T = TypeVar("T")
E = TypeVar("E")

ROLLBACK_TIME = 2.0
"""Seconds to wait for a ROLLBACK; what takes longer goes on behind the caller's back."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every transaction of one database uses. outbox: None where the service declares no topic."""

    service: str
    pool: Pool
    statements: Statements
    readers: Readers
    outbox: Outbox | None


class PostgresTransaction:
    """One transaction on one connection: new → open → committed | rolled back. For one task at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._context: Context | None = None
        self._until = 0.0
        self._connection: Connection | None = None
        self._events: list[Outgoing] = []
        self._stored_events = False
        self._answer: Answer | None = None
        self._failure: DatabaseError | None = None
        self._leaves_state = False

    @property
    def connection(self) -> Connection:
        """The connection it is on, for what asyncpg can and `Transaction` can't. Raises TRANSACTION_CLOSED."""
        return self._check_open()

    async def one(self, into: type[T], sql: str, *arguments: object) -> T | None:
        row = await self._run(self.connection.fetchrow, sql, arguments)
        return None if row is None else self._parts.readers.row(into, row)

    async def all(self, into: type[T], sql: str, *arguments: object) -> list[T]:
        return self._parts.readers.rows(into, await self._run(self.connection.fetch, sql, arguments))

    async def value(self, into: type[T], sql: str, *arguments: object) -> T | None:
        value: object = await self._run(self.connection.fetchval, sql, arguments)
        return self._parts.readers.value(into, value)

    async def execute(self, sql: str, *arguments: object) -> int:
        return affected(await self._run(self.connection.execute, sql, arguments))

    async def publish(self, topic: Topic[E], event: E) -> None:
        connection, outbox = self.connection, self._parts.outbox
        if outbox is None:
            problem = UNDECLARED_TOPIC.at(place_outside(), service=self._parts.service, topic=topic.name)
            raise EventError(problem)
        self._events.append(outbox.prepare(topic, event))
        if len(self._events) >= outbox.most:
            await self._store_events(connection, outbox)

    def answer(self, value: T) -> T:
        self._check_open()
        if self._context is not None and self._context.idempotency is not None:
            self._answer = self._context.idempotency.answer(value)
        return value

    async def __aenter__(self) -> Self:
        self._context = current.get()
        self._until = deadline(self._context)
        pool = self._parts.pool
        connection = pool.take_idle() or await self._parts.statements.take(pool, self._until, self._context)
        self._connection = connection
        try:
            await self._send(connection.execute, "BEGIN", ())
        except BaseException:
            self._connection = None
            pool.give_doubtful(connection)
            raise
        if self._context is not None:
            self._context.in_transaction += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._context is not None:
            self._context.in_transaction -= 1
        connection, settled = self.connection, False
        try:
            if error is None:
                await self._commit(connection)
                settled = not self._leaves_state
            elif isinstance(error, Exception):
                settled = await self._roll_back(connection)
        except Exception:
            settled = await self._roll_back(connection)
            raise
        finally:
            self._connection = None
            # Whatever was cut short is ended in the background: nobody may wait for that while being cancelled.
            (self._parts.pool.give if settled else self._parts.pool.give_doubtful)(connection)

    def _check_open(self) -> Connection:
        if self._connection is None:
            raise AtollError(TRANSACTION_CLOSED.at(place_outside()))
        return self._connection

    async def _run(self, call: Call[T], sql: str, arguments: tuple[object, ...]) -> T:
        """A statement of the user's."""
        try:
            return await self._send(call, sql, arguments)
        except DatabaseError as error:
            self._failure = self._failure or error
            raise
        finally:
            self._leaves_state |= self._parts.statements.known(sql).leaves_state

    async def _send(self, call: Call[T], sql: str, arguments: tuple[object, ...]) -> T:
        return await self._parts.statements.run(call, sql, arguments, self._until, self._context)

    async def _commit(self, connection: Connection) -> None:
        outbox = self._parts.outbox
        if self._events and outbox is not None:
            await self._store_events(connection, outbox)
        if self._answer is not None:
            await self._keep_answer(connection, self._answer)
        done = await self._send(connection.execute, "COMMIT", ())
        if done != "COMMIT":
            # An error that the block swallowed: PostgreSQL has undone everything, and says so only here.
            reason = "an earlier statement of the transaction had failed, so it was rolled back at its end"
            raise QueryFailed(QUERY_FAILED.at(place_outside(), reason=reason)) from self._failure
        if self._stored_events and outbox is not None:
            outbox.committed()

    async def _store_events(self, connection: Connection, outbox: Outbox) -> None:
        rows, self._events = self._events, []
        with translated(self._parts.service):
            async with asyncio.timeout(self._until - time.monotonic()):
                await outbox.store(connection, rows)
        self._stored_events = True

    async def _keep_answer(self, connection: Connection, answer: Answer) -> None:
        idempotency = self._context.idempotency if self._context is not None else None
        assert idempotency is not None
        kept = await self._send(
            connection.execute,
            KEEP_ANSWER,
            (
                *(idempotency.scope, idempotency.key, idempotency.claim, idempotency.fingerprint),
                *(answer.status, [list(header) for header in answer.headers], answer.body),
            ),
        )
        if not affected(kept):
            # Another replica served the same key meanwhile, because this one's lock was lost with its connection.
            raise KeyRefused(KEY_RUNNING.at(), 409)

    async def _roll_back(self, connection: Connection) -> bool:
        """Whether the connection is as new afterwards."""
        if connection.is_closed():
            return True
        try:
            async with asyncio.timeout(ROLLBACK_TIME):
                await connection.execute("ROLLBACK")
        except Exception:  # noqa: BLE001
            # The error that the caller is about to see says more; what remains is the pool's business.
            return False
        return not self._leaves_state
