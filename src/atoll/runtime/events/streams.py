"""The streams and consumers of a system, made as they are declared."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from atoll.model.keeping import DEAD_BYTES, DEAD_SECONDS
from atoll.model.launch import ConsumerOf, StreamOf
from atoll.runtime.events.broker import Connection, Refused
from atoll.wire import subjects

DUPLICATES = 120.0
"""Seconds in which a stream recognises an id; longer than the outbox keeps rows for publishing again."""

YOUNG = timedelta(hours=1)
"""A stream that is not older belongs to a system that is being deployed."""

_MOST_IN_HAND = 8_192  # messages of one consumer without an answer, all replicas together
_NANOSECONDS = 1_000_000_000
_NO_STREAM, _NO_CONSUMER, _NO_ROOM = 10059, 10014, 10047
_MOST_NAMED = 10

Change = Literal["CREATE", "UPDATE"]
Settings = Mapping[str, object]


def stream_settings(system: str, stream: StreamOf) -> Settings:
    """The stream of a topic. The oldest events go first, when they are too old or too many."""
    return {
        "name": subjects.stream(system, stream.topic),
        "subjects": list(subjects.stream_subjects(system, stream.topic)),
        **_bounds(stream.seconds, stream.most_bytes),
    }


def dead_settings(system: str) -> Settings:
    """The stream of the dead letters of all topics."""
    name = subjects.dead_stream(system)
    return {"name": name, "subjects": [f"dead.{system}.>"], **_bounds(DEAD_SECONDS, DEAD_BYTES)}


def _bounds(age: float, most_bytes: int) -> Settings:
    return {
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": int(age * _NANOSECONDS),
        "max_bytes": most_bytes,
        "duplicate_window": int(DUPLICATES * _NANOSECONDS),
    }


def consumer_settings(system: str, consumer: ConsumerOf) -> Settings:
    """The durable consumer of a handler. Where it begins is decided when it is made: `begins`.

    Neither backoff nor a bound of deliveries: both are the process's own business, who knows why a try failed.
    """
    return {
        "durable_name": consumer.durable,
        "name": consumer.durable,
        "filter_subjects": [
            subjects.subject(system, consumer.topic),
            subjects.redrive_subject(system, consumer.topic, consumer.durable),
        ],
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "ack_wait": int(consumer.ack_wait * _NANOSECONDS),
        "max_deliver": -1,
        "max_ack_pending": _MOST_IN_HAND,
    }


async def ensure_stream(connection: Connection, settings: Settings) -> None:
    """Make the stream, or bring it to these settings; its messages stay. Raises Refused, Lost, TimeoutError."""
    try:
        await _bring_stream(connection, settings)
    except Refused as error:
        if error.code == _NO_ROOM:
            raise Refused(f"{error}; {await _promised(connection)}", error.code) from error
        raise


async def _bring_stream(connection: Connection, settings: Settings) -> None:
    name = settings["name"]
    try:
        present = await connection.request(f"$JS.API.STREAM.INFO.{name}")
    except Refused as error:
        if error.code != _NO_STREAM:
            raise
        await connection.request(f"$JS.API.STREAM.CREATE.{name}", msgspec.json.encode(settings))
        return
    if _differs(present, settings):
        await connection.request(f"$JS.API.STREAM.UPDATE.{name}", msgspec.json.encode(settings))


async def _promised(connection: Connection) -> str:
    """Which streams have the broker's room; those of topics that nobody declares any more are among them."""
    found = msgspec.json.decode(await connection.request("$JS.API.STREAM.LIST"), type=_Streams)
    sizes = {each.config.name: each.config.max_bytes for each in found.streams or ()}
    names = sorted(sizes, key=lambda each: -sizes[each])[:_MOST_NAMED]
    more = ", …" if found.total > len(names) else ""
    room = f"{sum(sizes.values()) >> 20:,} MiB are promised to {found.total} streams"
    return f"{room}: {', '.join(names)}{more}" if names else room


async def ensure_consumer(connection: Connection, stream: str, settings: Settings) -> None:
    """Make the consumer, or bring it to these settings; its position stays. Raises Refused, Lost, TimeoutError."""
    name = settings["durable_name"]
    try:
        present = await connection.request(f"$JS.API.CONSUMER.INFO.{stream}.{name}")
    except Refused as error:
        if error.code != _NO_CONSUMER:
            raise
        known = msgspec.json.decode(await connection.request(f"$JS.API.STREAM.INFO.{stream}"), type=_Stream)
        policy: object = begins(known.ts - known.created)
    else:
        if not _differs(present, settings):
            return
        policy = msgspec.json.decode(present, type=_Present).config.get("deliver_policy")  # it can't be changed
    request = {"stream_name": stream, "config": {**settings, "deliver_policy": policy}}
    await connection.request(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", msgspec.json.encode(request))


def begins(age: timedelta) -> Literal["all", "new"]:
    """Where a new consumer begins: with the events published from now on, or with all of a young stream.

    The parts of a new system come up in any order, so who publishes may be quicker than the consumers are made.
    age: of the stream.
    """
    return "all" if age < YOUNG else "new"


class _Stream(msgspec.Struct):
    """created, ts: when it was made, and when the broker said so; both by the broker's clock."""

    created: datetime
    ts: datetime


class _Config(msgspec.Struct):
    name: str
    max_bytes: int


class _Named(msgspec.Struct):
    config: _Config


class _Streams(msgspec.Struct):
    """total: of all; streams: at most 256 of them."""

    total: int
    streams: list[_Named] | None = None


class _Present(msgspec.Struct):
    config: dict[str, object]


def _differs(present: bytes, settings: Settings) -> bool:
    config = msgspec.json.decode(present, type=_Present).config
    return any(config.get(name) != value for name, value in settings.items())
