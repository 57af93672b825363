"""One request at a time under each Idempotency-Key, and the answer that is kept under it."""

import asyncio
import contextvars
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from atoll.errors import KEY_REUSED, KEY_RUNNING, QUERY_TIMEOUT, TOO_MANY_KEYS, DatabaseError, QueryTimeout
from atoll.runtime.context import current
from atoll.runtime.database.claim_connection import ClaimConnection, Found, Wanted
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.database.locks import lock_key
from atoll.runtime.database.statements import deadline
from atoll.runtime.database.tables import PURGE_ANSWERS
from atoll.runtime.idempotency import RETENTION, Answer, Idempotency, KeyRefused

MOST_RUNNING = 1_024
"""Keys whose requests run in this process; one more is refused. PostgreSQL has 64 lock slots for each connection."""
PURGE_PERIOD = 600.0
"""Seconds between two looks for answers that are older than RETENTION."""
PURGE_BATCH = 1_000
"""Rows that one statement deletes, so that no statement takes long."""

logger = logging.getLogger("atoll.idempotency")


class Claims:
    """The keys that requests in this process run under: free → claimed → free, the answer kept or nothing.

    A claim is an advisory lock, so that it ends with its process. All of a process's locks are on one connection of
    its own: a request waits for remote calls while it has its key, and may not have one of the pool's for so long.
    That it runs once does not depend on the lock but on the primary key of the answer. Source: decision 0005.
    """

    def __init__(self, database: PostgresDatabase, most: int = MOST_RUNNING) -> None:
        self._database = database
        self._most = most
        self._connection = ClaimConnection(database)
        self._running: set[tuple[str, str]] = set()
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
        if max(len(self._running), self._connection.waiting) >= self._most:
            raise KeyRefused(TOO_MANY_KEYS.at(limit=self._most), 503)
        wanted = Wanted(*name, lock_key("idempotency", *name))
        self._running.add(name)
        self._connection.want(wanted)
        try:
            found = await _found(wanted)
            if found.answer is not None:
                idempotency.kept = _kept(found.answer, idempotency.fingerprint)
            elif not found.locked:
                raise KeyRefused(KEY_RUNNING.at(), 409)
            yield
            self._warn_of_no_answer(idempotency)
        finally:
            self._running.discard(name)
            # Not awaited, for the caller may be cancelled; and whoever finds the lock still taken finds the answer too.
            self._connection.release(wanted)

    async def close(self) -> None:
        """Give everything back."""
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        await self._connection.close()

    async def purge(self) -> int:
        """Delete the answers that are older than RETENTION; how many there were."""
        total = 0
        while True:
            deleted = await self._database.execute(PURGE_ANSWERS, RETENTION, PURGE_BATCH)
            total += deleted
            if deleted < PURGE_BATCH:
                return total

    def _warn_of_no_answer(self, idempotency: Idempotency) -> None:
        if idempotency.kept is None and not idempotency.answered and not self._warned:
            self._warned = True
            logger.warning(
                "a handler kept no answer under its Idempotency-Key, so the same request would be carried out again: "
                "return tx.answer(...) from inside its transaction"
            )

    def _start_purging(self) -> None:
        if self._purging is None:
            # In a context of its own: the request that happens to begin it has a deadline, and ends.
            self._purging = asyncio.get_running_loop().create_task(
                self._purge_forever(), name="purge answers", context=contextvars.Context()
            )

    async def _purge_forever(self) -> None:
        while True:
            # Replicas that started together shall not purge together.
            await asyncio.sleep(PURGE_PERIOD * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                deleted = await self.purge()
                logger.debug("purged %d answers", deleted)
            except DatabaseError as error:
                logger.warning("old answers could not be deleted: %s", error.problems[0].sentence)


async def _found(wanted: Wanted) -> Found:
    """What there is under the key, if that is known before the caller's deadline."""
    done, _ = await asyncio.wait({wanted.found}, timeout=deadline(current.get()) - time.monotonic())
    if not done:
        raise QueryTimeout(QUERY_TIMEOUT.at(reason="the Idempotency-Key could not be looked up before the deadline"))
    return wanted.found.result()


def _kept(row: asyncpg.Record, fingerprint: bytes) -> Answer:
    if row["fingerprint"] != fingerprint:
        raise KeyRefused(KEY_REUSED.at(), 422)
    return Answer(row["status"], tuple((name, value) for name, value in row["headers"]), row["body"])
