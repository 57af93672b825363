"""The events of a system: topics, consumers, dead letters, and events as they come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import nats.errors
from nats.aio.msg import Msg

from atoll.errors import BROKER_UNREACHABLE, AtollError
from atoll.runtime.events.broker import Connection, Denied, Lost, NoStream, Refused
from atoll.runtime.events.deadletters import DeadLetter, dead, redrive
from atoll.runtime.events.inspect import TopicState, admin_connection, overview
from atoll.supervisor.administrator import Login
from atoll.wire import subjects
from atoll.wire.cloudevents import read

MOST_LETTERS = 200
"""Dead letters that are shown, and sent again at once."""

_WAITING = 1_000
"""Events that wait to be shown to one page; the oldest go."""

_LONGEST = 4_096
"""Bytes of an event that are shown."""

_TROUBLES = (OSError, TimeoutError, nats.errors.Error, Lost, Denied, NoStream, Refused)


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as it came. payload: its beginning."""

    topic: str
    id: str
    key: str
    time: datetime
    trace: str
    payload: str

    @property
    def nanoseconds(self) -> int:
        return int(self.time.timestamp() * 1e9)


@dataclass(frozen=True, slots=True)
class Broker:
    """Each question is a connection of its own. login: raises AtollError BROKER_UNREACHABLE where there is none."""

    system: str
    login: Callable[[], Login]

    async def look(self) -> tuple[list[TopicState], list[DeadLetter]]:
        """Topics with their consumers, and the oldest dead letters. Raises AtollError BROKER_UNREACHABLE."""
        async with self._connected() as connection:
            return await overview(connection, self.system), await self._dead(connection)

    async def redrive(self, numbers: frozenset[int] | None) -> int:
        """Send these dead letters again, or all that are shown; how many. Raises AtollError BROKER_UNREACHABLE."""
        async with self._connected() as connection:
            letters = await self._dead(connection)
            chosen = [each for each in letters if numbers is None or each.sequence in numbers]
            return await redrive(connection, self.system, chosen)

    async def follow(self) -> AsyncIterator[Seen | None]:
        """Events from now on; None now and then, though nothing came. Raises AtollError BROKER_UNREACHABLE."""
        waiting: asyncio.Queue[Seen] = asyncio.Queue(_WAITING)

        async def take(message: Msg) -> None:
            if waiting.full():
                waiting.get_nowait()
            waiting.put_nowait(_seen(message))

        async with self._connected() as connection:
            await connection.subscribe(subjects.subject(self.system, "*"), take)
            await connection.flush()
            while connection.is_open:
                try:
                    yield await asyncio.wait_for(waiting.get(), 1.0)
                except TimeoutError:
                    yield None

    async def _dead(self, connection: Connection) -> list[DeadLetter]:
        try:
            return await dead(connection, self.system, limit=MOST_LETTERS)
        except Refused:
            return []  # nothing was ever given up: there is no stream of them

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        who = self.login()
        try:
            async with admin_connection(who.url, who.user, who.password) as connection:
                yield connection
        except _TROUBLES as error:
            raise BROKER_UNREACHABLE.error(reason=str(error) or type(error).__name__) from error


def reason_of(error: AtollError) -> str:
    return error.problems[0].sentence


def _seen(message: Msg) -> Seen:
    known = read(message.headers or {}, fallback_id="", stored=datetime.now(UTC))
    payload = message.data[:_LONGEST].decode(errors="replace")
    topic = message.subject.rpartition(".")[2]
    return Seen(topic, known.id, known.key, known.time, known.traceparent[3:35], payload)
