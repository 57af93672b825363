"""The connections of one listener together: how many, how old, and their end."""

import asyncio
import time
from email.utils import formatdate
from typing import Protocol

MOST_CONNECTIONS = 10_000
"""Of one listener; further ones are closed at once."""

IDLE_WHILE_DRAINING = 0.5
"""Seconds that an idle connection gets for one more request, whose answer then says that it is the last."""

_TICK = 1.0


class Open(Protocol):
    """What a connection offers to whoever looks after all of them."""

    def expire(self, now: float) -> None:
        """End what has waited too long. now: seconds of time.monotonic()."""
        ...

    def close_if_idle(self) -> None: ...

    def abort(self) -> None: ...


class Connections:
    """The connections of one listener, and what they share.

    draining: each answer is its connection's last.
    """

    def __init__(self, body_limit: int) -> None:
        self.body_limit = body_limit
        self.draining = False
        self.now = 0.0
        self.date = b""
        self._all: set[Open] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: Open) -> bool:
        """False where it is one too many."""
        if len(self._all) >= MOST_CONNECTIONS:
            return False
        self._all.add(connection)
        self._empty.clear()
        if self._timer is None:
            self._look_at_clock()
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        return True

    def remove(self, connection: Open) -> None:
        self._all.discard(connection)
        if not self._all:
            self._empty.set()

    def _look_at_clock(self) -> None:
        self.now = time.monotonic()
        self.date = b"date: %b\r\n" % formatdate(usegmt=True).encode()

    def _tick(self) -> None:
        """Once a second: a coarse clock, the Date header, and the end of those who keep us waiting."""
        self._look_at_clock()
        for connection in list(self._all):
            connection.expire(self.now)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_TICK, self._tick) if self._all else None

    async def drain(self) -> None:
        """Answer what is there, and return when the last connection is closed. May be cancelled."""
        self.draining = True
        loop = asyncio.get_running_loop()
        # A client may be writing to an idle connection at this very moment: closing it now would fail that request.
        idle = loop.call_later(IDLE_WHILE_DRAINING, self._close_idle)
        try:
            await self._empty.wait()
        finally:
            idle.cancel()

    def _close_idle(self) -> None:
        for connection in list(self._all):
            connection.close_if_idle()

    def abort(self) -> None:
        """Close every connection, whatever it is doing."""
        for connection in list(self._all):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
