"""The one connection that holds the locks of all idempotency keys at work in a process."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import asyncpg

from atoll.errors import DatabaseError
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.database.errors import translated
from atoll.runtime.database.pool import Connection
from atoll.runtime.database.tables import FIND_ANSWERS

TIME = 5.0
"""Seconds for a statement about locks; then their connection is cut, which gives all of them back."""

_LOCK = "SELECT pg_try_advisory_lock(key) AS locked FROM unnest($1::bigint[]) AS key"
_UNLOCK = "SELECT pg_advisory_unlock(key) FROM unnest($1::bigint[]) AS key"

logger = logging.getLogger("atoll.idempotency")


@dataclass(frozen=True, slots=True)
class Found:
    """locked: whether the lock was free. answer: the row that is kept under the key, None for none."""

    locked: bool
    answer: asyncpg.Record | None


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A key that a request wants to run under: wanted → found → released."""

    scope: str
    key: str
    lock: int
    found: "asyncio.Future[Found]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ClaimConnection:
    """Locks, looks up and unlocks in rounds: what comes in while one round is under way shares the next.

    A request that is cancelled leaves its key to the rounds, so that there is never a lock of which nobody knows.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._wanted: list[Wanted] = []
        self._released: list[Wanted] = []
        self._held: Counter[int] = Counter()
        self._rounds: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many keys wait for the next round."""
        return len(self._wanted)

    def want(self, wanted: Wanted) -> None:
        """Try to lock the key, then look for its answer: `wanted.found` tells both, or a DatabaseError."""
        self._wanted.append(wanted)
        self._go_on()

    def release(self, wanted: Wanted) -> None:
        """Unlock the key if it was locked, or as soon as it is."""
        self._released.append(wanted)
        self._go_on()

    async def close(self) -> None:
        """Finish the round, then give all locks back."""
        if self._rounds is not None:
            await self._rounds
        if self._connection is not None:
            self._connection.terminate()

    def _go_on(self) -> None:
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.get_running_loop().create_task(self._run(), name="idempotency keys")

    async def _run(self) -> None:
        while self._wanted or self._released:
            wanted, self._wanted = self._wanted, []
            try:
                if wanted:
                    await self._look_up(wanted)
                # Those that were given up before their own round come later.
                done = [each for each in self._released if each.found.done()]
                self._released = [each for each in self._released if not each.found.done()]
                await self._unlock([each.lock for each in done if _is_locked(each)])
            except DatabaseError as error:
                logger.warning("idempotency keys: %s", error.problems[0].sentence)
                for each in wanted:
                    if not each.found.done():
                        each.found.set_exception(error)
                        each.found.exception()  # Nobody may be left to ask for it.

    async def _look_up(self, wanted: Sequence[Wanted]) -> None:
        connection = await self._connected()
        with self._certain(connection):
            # First the lock, then the answer: in one statement, whose snapshot is older than its locks, an answer that
            # is kept in between would be missed.
            locks = [each.lock for each in wanted]
            tried = [bool(row["locked"]) for row in await connection.fetch(_LOCK, locks, timeout=TIME)]
            names = [each.scope for each in wanted], [each.key for each in wanted]
            rows = await connection.fetch(FIND_ANSWERS, *names, timeout=TIME)
        answers = {(row["scope"], row["key"]): row for row in rows}
        for each, locked in zip(wanted, tried, strict=True):
            self._held[each.lock] += locked
            each.found.set_result(Found(locked, answers.get((each.scope, each.key))))

    async def _unlock(self, locks: Sequence[int]) -> None:
        self._held -= Counter(locks)
        connection = self._connection
        if locks and connection is not None and not connection.is_closed():
            with self._certain(connection):
                await connection.execute(_UNLOCK, locks, timeout=TIME)

    async def _connected(self) -> Connection:
        """The connection; a new one takes the locks of the old again, as far as nobody else has."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._database.connect(time.monotonic() + TIME)
            with self._certain(self._connection):
                await self._connection.fetch(_LOCK, list(self._held.elements()), timeout=TIME)
        return self._connection

    @contextmanager
    def _certain(self, connection: Connection) -> Iterator[None]:
        """If anything fails inside, the connection is cut, so that it is known which locks it holds: none."""
        try:
            with translated(self._database.service):
                yield
        except BaseException:
            connection.terminate()
            raise


def _is_locked(wanted: Wanted) -> bool:
    return wanted.found.exception() is None and wanted.found.result().locked
