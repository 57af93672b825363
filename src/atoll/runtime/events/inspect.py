"""What the broker knows of a system's topics and consumers, for those who look from outside."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import msgspec
import nats.errors

from atoll.errors import BROKER_UNREACHABLE, EventError
from atoll.runtime.events.broker import Connection, Refused
from atoll.wire import subjects

_MOST = 1_000  # streams of one system, consumers of one stream; more are not shown
_NO_STREAM = 10059  # JetStream's code


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """A durable consumer. waiting: events it has not been given yet. in_hand: given and not answered.

    redelivered: of those, given more than once. dead: its dead letters.
    """

    name: str
    waiting: int
    in_hand: int
    redelivered: int
    dead: int


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic's stream. first, last: when its oldest and newest event were stored, None for an empty one."""

    topic: str
    messages: int
    bytes: int
    first: datetime | None
    last: datetime | None
    consumers: tuple[ConsumerState, ...]


@asynccontextmanager
async def admin_connection(url: str, user: str, password: str) -> AsyncIterator[Connection]:
    """A connection for a command, as a user who may do everything. Raises EventError BROKER_UNREACHABLE."""
    connection = Connection(subjects.inbox(user or "admin"))
    try:
        await connection.open(url, user, password, "atoll")
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise EventError(BROKER_UNREACHABLE.at(reason=str(error) or type(error).__name__)) from error
    try:
        yield connection
    finally:
        # A page that is left is cancelled again at every wait; what the client began has to end all the same.
        await asyncio.shield(connection.close())


async def overview(connection: Connection, system: str) -> list[TopicState]:
    """All topics of the system by name. Raises Lost, TimeoutError, Refused."""
    dead = await _dead_by_subject(connection, system)
    found: list[TopicState] = []
    request = msgspec.json.encode({"subject": subjects.subject(system, "*")})
    for stream in msgspec.json.decode(await connection.request("$JS.API.STREAM.LIST", request), type=_Streams).streams[
        :_MOST
    ]:
        topic = stream.config.name.removeprefix(f"{system}-")
        consumers = [
            ConsumerState(
                each.name,
                each.num_pending,
                each.num_ack_pending,
                each.num_redelivered,
                dead.get(subjects.dead_subject(system, topic, each.name), 0),
            )
            for each in await _consumers(connection, stream.config.name)
        ]
        state = stream.state
        empty = state.messages == 0
        found.append(
            TopicState(
                topic,
                state.messages,
                state.bytes,
                None if empty else state.first_ts,
                None if empty else state.last_ts,
                tuple(sorted(consumers, key=lambda each: each.name)),
            )
        )
    return sorted(found, key=lambda each: each.topic)


class _StreamConfig(msgspec.Struct):
    name: str


class _StreamState(msgspec.Struct):
    messages: int = 0
    bytes: int = 0
    first_ts: datetime | None = None
    last_ts: datetime | None = None
    subjects: dict[str, int] = {}


class _Stream(msgspec.Struct):
    config: _StreamConfig
    state: _StreamState


class _Streams(msgspec.Struct):
    streams: list[_Stream] = []


class _Consumer(msgspec.Struct):
    name: str
    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0


class _Consumers(msgspec.Struct):
    consumers: list[_Consumer] = []


async def _consumers(connection: Connection, stream: str) -> Sequence[_Consumer]:
    answer = await connection.request(f"$JS.API.CONSUMER.LIST.{stream}")
    return msgspec.json.decode(answer, type=_Consumers).consumers


async def _dead_by_subject(connection: Connection, system: str) -> dict[str, int]:
    request = msgspec.json.encode({"subjects_filter": f"dead.{system}.>"})
    try:
        answer = await connection.request(f"$JS.API.STREAM.INFO.{subjects.dead_stream(system)}", request)
    except Refused as error:
        if error.code == _NO_STREAM:
            return {}
        raise
    return msgspec.json.decode(answer, type=_Stream).state.subjects
