"""One request at a time under each Idempotency-Key, and the answer that is kept under it."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import asyncpg

from atoll.errors import KEY_REUSED, KEY_RUNNING, QUERY_TIMEOUT, TOO_MANY_KEYS, DatabaseError, QueryTimeout
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
LOCK_TIME = 5.0
"""Seconds for a statement about locks; then their connection is cut, which gives all of them back."""

logger = logging.getLogger("atoll.idempotency")


class _Found(NamedTuple):
    """locked: whether the lock was free. row: of the answer that is kept, None for none."""

    locked: bool
    row: asyncpg.Record | None


class Claims:
    """The keys that requests in this process run under: free → claimed → free, the answer kept or nothing.

    A claim is an advisory lock, so that it ends with its process. All of a process's locks are on one connection of
    its own: a request waits for remote calls while it has its key, and may not have one of the pool's for so long.
    That it runs once does not depend on the lock but on the primary key of the answer. Source: decision 0005.
    """

    def __init__(self, database: PostgresDatabase, most: int = MOST_RUNNING) -> None:
        self._database = database
        self._most = most
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._running: set[tuple[str, str]] = set()
        self._held: Counter[int] = Counter()
        self._unlocking: set[asyncio.Task[None]] = set()
        self._purging: asyncio.Task[None] | None = None
        self._warned = False

    @asynccontextmanager
    async def claim(self, idempotency: Idempotency) -> AsyncIterator[None]:
        """The block is the only one under this key; if `idempotency.kept` is set the key has its answer already.

        Raises KeyRefused: 409 while another request runs under the key, 422 if its answer belongs to another request,
        503 at `most` keys. Raises DatabaseError if the database does not answer.
        """
        self._start_purging()
        name = (idempotency.scope, idempotency.key)
        if name in self._running:
            raise KeyRefused(KEY_RUNNING.at(), 409)
        if len(self._running) >= self._most:
            raise KeyRefused(TOO_MANY_KEYS.at(limit=self._most), 503)
        lock = lock_key("idempotency", *name)
        # A task of its own: a caller that is cancelled shall not leave a lock of which nobody knows whether it is held.
        locking = asyncio.get_running_loop().create_task(self._lock(idempotency, lock), name="lock idempotency key")
        self._running.add(name)
        try:
            found = await self._found(locking)
            if found.row is not None:
                idempotency.kept = _kept(found.row, idempotency.fingerprint)
            elif not found.locked:
                raise KeyRefused(KEY_RUNNING.at(), 409)
            yield
            self._warn_of_no_answer(idempotency)
        finally:
            self._running.discard(name)
            # Not awaited, for the caller may be cancelled; and whoever finds the lock still taken finds the answer too.
            self._in_background(self._unlock(locking, lock))

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

    async def _found(self, locking: "asyncio.Task[_Found]") -> _Found:
        """What the task found, if it does so within the caller's deadline."""
        done, _ = await asyncio.wait({locking}, timeout=deadline(current.get()) - time.monotonic())
        if not done:
            raise QueryTimeout(
                QUERY_TIMEOUT.at(reason="the Idempotency-Key could not be looked up before the deadline")
            )
        return locking.result()

    async def _lock(self, idempotency: Idempotency, lock: int) -> _Found:
        """Try to take the lock, then look for an answer: in this order, or one kept in between would be missed."""
        async with self._turn:
            connection = await self._connected()
            with self._certain(connection):
                locked: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock, timeout=LOCK_TIME)
                row = await connection.fetchrow(FIND_ANSWER, idempotency.scope, idempotency.key, timeout=LOCK_TIME)
            if locked:
                self._held[lock] += 1
        return _Found(locked, row)

    async def _unlock(self, locking: "asyncio.Task[_Found]", lock: int) -> None:
        await asyncio.wait({locking})
        if locking.cancelled() or locking.exception() is not None or not locking.result().locked:
            return
        async with self._turn:
            self._held -= Counter((lock,))
            connection = self._connection
            if connection is not None and not connection.is_closed():
                with suppress(DatabaseError), self._certain(connection):
                    await connection.execute("SELECT pg_advisory_unlock($1)", lock, timeout=LOCK_TIME)

    async def _connected(self) -> Connection:
        """The connection of the locks; a new one takes the locks of the old again, as far as nobody else has."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._database.connect(time.monotonic() + LOCK_TIME)
            with self._certain(self._connection):
                again = "SELECT pg_try_advisory_lock(key) FROM unnest($1::bigint[]) AS key"
                await self._connection.fetch(again, list(self._held.elements()), timeout=LOCK_TIME)
        return self._connection

    @contextmanager
    def _certain(self, connection: Connection) -> Iterator[None]:
        """If anything fails inside, no lock of the connection is held any more: it is cut."""
        try:
            with translated(self._database.service):
                yield
        except BaseException as error:
            logger.warning("the connection of the idempotency keys is opened anew: %s", error)
            connection.terminate()
            raise

    def _warn_of_no_answer(self, idempotency: Idempotency) -> None:
        if idempotency.kept is None and not idempotency.answered and not self._warned:
            self._warned = True
            logger.warning(
                "a handler kept no answer under its Idempotency-Key, so the same request would be carried out again: "
                "return tx.answer(...) from inside its transaction"
            )

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="unlock idempotency key")
        self._unlocking.add(task)
        task.add_done_callback(self._unlocking.discard)

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


def _kept(row: asyncpg.Record, fingerprint: bytes) -> Answer:
    if row["fingerprint"] != fingerprint:
        raise KeyRefused(KEY_REUSED.at(), 422)
    return Answer(row["status"], tuple((name, value) for name, value in row["headers"]), row["body"])
