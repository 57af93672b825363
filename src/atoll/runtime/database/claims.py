"""One request at a time under each Idempotency-Key, and the answer that is kept under it."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from atoll.errors import KEY_REUSED, KEY_RUNNING, TOO_MANY_KEYS, DatabaseError
from atoll.runtime.context import current
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.database.errors import translated
from atoll.runtime.database.locks import lock_key
from atoll.runtime.database.pool import Connection
from atoll.runtime.database.statements import deadline
from atoll.runtime.database.tables import FIND_ANSWER, PURGE_ANSWERS
from atoll.runtime.idempotency import RETENTION, Answer, Idempotency, KeyRefused

MOST_RUNNING = 1_024
"""Keys whose requests run in this process; one more is refused. PostgreSQL has 64 lock slots for each connection."""
PURGE_PERIOD = 600.0
"""Seconds between two looks for answers that are older than RETENTION."""
PURGE_BATCH = 1_000
"""Rows that one statement deletes, so that no statement takes long."""
UNLOCK_TIME = 5.0
"""Seconds for giving locks back; then the connection is cut, which gives them back too."""

logger = logging.getLogger("atoll.idempotency")


class Claims:
    """The keys that requests in this process run under: free → claimed → free, the answer kept or nothing.

    A claim is an advisory lock, so that it ends with its process. All of a process's locks are on one connection of
    its own: a request waits for remote calls while it has its key, and may not have one of the pool's for so long.
    That it runs once does not depend on the lock but on the primary key of the answer. Source: decision 0005.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._running: set[tuple[str, str]] = set()
        self._held: set[int] = set()
        self._unlocking: set[asyncio.Task[None]] = set()
        self._purging: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def claim(self, idempotency: Idempotency) -> AsyncIterator[None]:
        """The block is the only one under this key; if `idempotency.kept` is set the key has its answer already.

        Raises KeyRefused: 409 while another request runs under the key, 422 if its answer belongs to another request,
        503 at MOST_RUNNING. Raises DatabaseError if the database does not answer.
        """
        self._start_purging()
        name = (idempotency.scope, idempotency.key)
        if name in self._running:
            raise KeyRefused(KEY_RUNNING.at(), 409)
        if len(self._running) >= MOST_RUNNING:
            raise KeyRefused(TOO_MANY_KEYS.at(limit=MOST_RUNNING), 503)
        lock = lock_key("idempotency", *name)
        self._running.add(name)
        self._held.add(lock)
        try:
            locked = await self._lock(idempotency, lock)
            if idempotency.kept is None and not locked:
                raise KeyRefused(KEY_RUNNING.at(), 409)
            yield
        finally:
            self._running.discard(name)
            self._held.discard(lock)
            self._unlock_later(lock)

    async def close(self) -> None:
        """Give everything back."""
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        await asyncio.gather(*self._unlocking, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()

    async def purge(self) -> int:
        """Delete the answers that are older than RETENTION; how many there were."""
        total = 0
        while True:
            deleted = await self._database.execute(PURGE_ANSWERS, RETENTION, PURGE_BATCH)
            total += deleted
            if deleted < PURGE_BATCH:
                return total

    async def _lock(self, idempotency: Idempotency, lock: int) -> bool:
        """Try to take the lock, then look for an answer: in this order, or one kept in between would be missed."""
        until = deadline(current.get())
        async with self._turn:
            connection = await self._connected(until)
            with translated(self._database.service):
                locked: bool = await connection.fetchval(
                    "SELECT pg_try_advisory_lock($1)", lock, timeout=until - time.monotonic()
                )
                row = await connection.fetchrow(
                    FIND_ANSWER, idempotency.scope, idempotency.key, timeout=until - time.monotonic()
                )
        if row is None:
            return locked
        if row["fingerprint"] != idempotency.fingerprint:
            raise KeyRefused(KEY_REUSED.at(), 422)
        headers = tuple((name, value) for name, value in row["headers"])
        idempotency.kept = Answer(row["status"], headers, row["body"])
        return locked

    async def _connected(self, until: float) -> Connection:
        """The connection of the locks; a new one takes the locks of the old again, as far as nobody else has."""
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            connection = await self._database.connect(until)
            with translated(self._database.service):
                await connection.fetch("SELECT pg_try_advisory_lock(key) FROM unnest($1::bigint[]) AS key", self._held)
            self._connection = connection
        return self._connection

    def _unlock_later(self, lock: int) -> None:
        # Not awaited: the caller may be cancelled, and whoever finds the lock still taken finds the answer too.
        task = asyncio.get_running_loop().create_task(self._unlock(lock), name="unlock idempotency key")
        self._unlocking.add(task)
        task.add_done_callback(self._unlocking.discard)

    async def _unlock(self, lock: int) -> None:
        async with self._turn:
            connection = self._connection
            if connection is None or connection.is_closed():
                return
            try:
                await connection.execute("SELECT pg_advisory_unlock($1)", lock, timeout=UNLOCK_TIME)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                logger.warning("the locks of idempotency keys are given back by cutting their connection: %s", error)
                connection.terminate()

    def _start_purging(self) -> None:
        if self._purging is None:
            self._purging = asyncio.get_running_loop().create_task(self._purge_forever(), name="purge answers")

    async def _purge_forever(self) -> None:
        while True:
            # Replicas that started together shall not purge together.
            await asyncio.sleep(PURGE_PERIOD * random.uniform(0.5, 1.5))  # noqa: S311
            with suppress(DatabaseError):
                deleted = await self.purge()
                logger.debug("purged %d answers", deleted)
