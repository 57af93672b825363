"""A bounded number of connections that statements and transactions take turns with."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import asyncpg

from atoll.errors import DATABASE_UNREACHABLE, QUERY_TIMEOUT, DatabaseUnreachable, QueryTimeout
from atoll.runtime.database.errors import place_outside

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect: TypeAlias = Callable[[float], Awaitable[Connection]]
"""Opens a connection until a time of time.monotonic(); raises DatabaseUnreachable."""

MOST_WAITING = 1_024
"""Calls that wait for a connection; one more fails at once."""
SETTLING = 5.0
"""Seconds that a connection may take to end what was cut short on it; then it is cut itself."""

_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

logger = logging.getLogger("atoll.database")


class Pool:
    """Connections to one database; the one used last is taken first, so that few are warm rather than many lukewarm.

    asyncpg's own pool costs 50 µs of CPU for each use, 100 with its reset, as much as the query itself:
    decision 0006. A connection goes: opened → used → idle → used → (doubtful → settled → idle | closed).
    """

    def __init__(self, connect: Connect, size: int, service: str) -> None:
        self._connect = connect
        self._size = size
        self._service = service
        self._all: set[Connection] = set()
        self._opening = 0
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._settling: set[asyncio.Task[None]] = set()
        self._closing = False
        self._empty = asyncio.Event()

    @property
    def used(self) -> int:
        """How many connections are at work, those that settle included."""
        return len(self._all) - len(self._idle)

    @property
    def idle(self) -> int:
        """How many wait for a call; those that the server has closed are not counted."""
        return sum(not connection.is_closed() for connection in self._idle)

    @property
    def waiting(self) -> int:
        """How many calls wait for a connection."""
        return len(self._waiting)

    def take_idle(self) -> "Connection | None":
        """One that is there already; None if there is none. Whoever takes one gives it back."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._forget(connection)
        return None

    async def take(self, until: float) -> Connection:
        """An idle one, or a new one, or the next that is given back. until: in seconds of time.monotonic().

        Raises QueryTimeout when none is free by then; DatabaseUnreachable when none can be opened, or MOST_WAITING
        wait already.
        """
        while True:
            if self._closing:
                raise self._unreachable("this process is stopping")
            connection = self.take_idle()
            if connection is None and len(self._all) + self._opening < self._size:
                return await self._open(until)
            if connection is None:
                connection = await self._wait(until)
            if connection is not None and not connection.is_closed():
                return connection
            if connection is not None:
                self._forget(connection)

    def give(self, connection: Connection) -> None:
        """Back after everything on it has ended well: no transaction, no changed setting, no lock."""
        if connection.is_closed():
            self._forget(connection)
        elif self._closing:
            connection.terminate()
            self._forget(connection)
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def give_doubtful(self, connection: Connection) -> None:
        """Back when something was cut short on it, or its session was changed: it settles before it is used again."""
        task = asyncio.get_running_loop().create_task(self._settle(connection), name="settle connection")
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def adopt(self, connection: Connection) -> None:
        """Take over a connection that was opened before there was a call for one."""
        self._all.add(connection)
        self.give(connection)

    async def close(self, grace: float) -> None:
        """Take no more calls, wait for those at work, then cut them. grace: seconds."""
        self._closing = True
        while self._waiting:
            self._hand_over(None)
        while (connection := self.take_idle()) is not None:
            await self._close_politely(connection)
            self._forget(connection)
        with suppress(TimeoutError):
            if self._all or self._opening:
                await asyncio.wait_for(self._empty.wait(), grace)
        for connection in list(self._all):
            connection.terminate()
            self._forget(connection)
        for task in list(self._settling):
            task.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def _open(self, until: float) -> Connection:
        self._opening += 1
        try:
            connection = await self._connect(until)
        except BaseException:
            self._opening -= 1
            self._room()
            raise
        self._opening -= 1
        self._all.add(connection)
        return connection

    async def _wait(self, until: float) -> "Connection | None":
        """The next connection that is given back; None if there may be room for a new one."""
        if len(self._waiting) >= MOST_WAITING:
            raise self._unreachable(f"{MOST_WAITING} calls wait for one of its {self._size} connections")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Connection | None] = loop.create_future()
        self._waiting.append(future)
        timer = loop.call_later(max(until - time.monotonic(), 0.0), _time_out, future)
        try:
            return await future
        except TimeoutError:
            reason = f"the call waited for one of the {self._size} connections of {self._service}, all at work"
            raise QueryTimeout(QUERY_TIMEOUT.at(place_outside(), reason=reason)) from None
        except asyncio.CancelledError:
            # Cancelled in the moment between being handed a connection and taking it.
            if future.done() and not future.cancelled() and future.exception() is None:
                given = future.result()
                self._room() if given is None else self.give(given)
            raise
        finally:
            timer.cancel()
            # Asked first: remove() of what is not there would make a text of the future for an error nobody reads.
            if future in self._waiting:
                self._waiting.remove(future)

    def _hand_over(self, connection: "Connection | None") -> bool:
        """To whoever has waited longest; whether anybody did."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False

    def _room(self) -> None:
        """There is room for a connection: let the next one who waits open it."""
        self._hand_over(None)
        if self._closing and not self._all and not self._opening:
            self._empty.set()

    def _forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._room()

    async def _settle(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(SETTLING):
                # asyncpg first waits for the cancellation that it has asked for. Outside a transaction it is a notice.
                await connection.execute("ROLLBACK")
                await connection.execute(connection.get_reset_query())
        except _LOST as error:
            logger.debug("a connection of %s was dropped: %s", self._service, error)
            connection.terminate()
        except BaseException:
            connection.terminate()
            raise
        finally:
            self.give(connection)

    async def _close_politely(self, connection: Connection) -> None:
        with suppress(*_LOST):
            await connection.close(timeout=1.0)

    def _unreachable(self, reason: str) -> DatabaseUnreachable:
        return DatabaseUnreachable(DATABASE_UNREACHABLE.at(service=self._service, reason=reason))


def _time_out(future: "asyncio.Future[Connection | None]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())
