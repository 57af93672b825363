"""What must be there before services start: tables, migrations, streams, consumers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import nats.errors

from atoll.errors import PREPARATION_FAILED, AtollError, Problem
from atoll.model.launch import Preparation
from atoll.model.references import Source
from atoll.runtime.database.migrations import migrate
from atoll.runtime.database.tables import make_tables
from atoll.runtime.events import streams
from atoll.runtime.events.broker import Connection, Denied, Lost, NoStream, Refused
from atoll.runtime.events.tables import EVENT_TABLES
from atoll.wire import subjects

Resolve = Callable[[Source], str]
"""The value behind a reference: a file's content, a variable's value."""

_CONNECT_WITHIN = 10.0  # seconds
_TABLES_WITHIN = 600.0  # seconds; somebody may look at a table that is to be changed
_BROKER_TROUBLES = (OSError, TimeoutError, nats.errors.Error, Lost, Denied, NoStream, Refused)


@dataclass(frozen=True, slots=True)
class _Address:
    """Of a broker, and as whom to speak with it. Preparations that share it share a connection."""

    url: str
    user: str
    password: str


async def prepare(preparations: Sequence[Preparation], resolve: Resolve) -> list[Problem]:
    """Make what is missing; what is there stays. All services beside each other.

    Returns everything that went wrong, by service in the order given; nothing if all can start. May be run again, also
    beside another one.
    """
    databases = [_prepare_database(each, resolve) for each in preparations if each.dsn is not None]
    brokers: dict[_Address, list[Preparation]] = {}
    for each in preparations:
        if each.url:
            password = resolve(each.password) if each.password is not None else ""
            brokers.setdefault(_Address(each.url, each.user, password), []).append(each)
    found = await asyncio.gather(*databases, *(_prepare_broker(address, each) for address, each in brokers.items()))
    return [problem for problems in found for problem in problems]


async def _prepare_database(preparation: Preparation, resolve: Resolve) -> list[Problem]:
    service = preparation.service
    assert preparation.dsn is not None
    try:
        connection = await asyncpg.connect(resolve(preparation.dsn), timeout=_CONNECT_WITHIN)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        return [_failed(service, "its database can't be reached", error)]
    try:
        async with asyncio.timeout(_TABLES_WITHIN):
            await make_tables(connection, service, EVENT_TABLES)
        # Without a bound: it may move a large table (decision 0008).
        if preparation.migrations:
            await migrate(connection, service, Path(preparation.migrations))
    except AtollError as error:
        return list(error.problems)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [_failed(service, "its tables can't be made", error)]
    finally:
        connection.terminate()
    return []


async def _prepare_broker(address: _Address, preparations: Sequence[Preparation]) -> list[Problem]:
    """The streams of all these services, each once, then their consumers."""
    connection = Connection(subjects.inbox(address.user))
    try:
        await connection.open(address.url, address.user, address.password, "prepare")
    except _BROKER_TROUBLES as error:
        return [_failed(each.service, f"NATS at {address.url} can't be reached", error) for each in preparations]
    try:
        made = await asyncio.gather(*_streams(connection, preparations))
        consumers = [
            _attempt(
                each.service,
                f"the consumer {consumer.durable}",
                streams.ensure_consumer(connection, consumer.stream, streams.consumer_settings(each.system, consumer)),
            )
            for each in preparations
            for consumer in each.consumes
        ]
        made += await asyncio.gather(*consumers)
    finally:
        await connection.close()
    return [problem for problem in made if problem is not None]


def _streams(connection: Connection, preparations: Sequence[Preparation]) -> Iterable[Awaitable[Problem | None]]:
    """One attempt for each stream; the first service that has the topic answers for it."""
    wanted: dict[object, tuple[str, streams.Settings]] = {}
    for each in preparations:
        kept = [streams.stream_settings(each.system, stream) for stream in each.streams]
        for settings in (*kept, *([streams.dead_settings(each.system)] if each.consumes else [])):
            wanted.setdefault(settings["name"], (each.service, settings))
    for name, (service, settings) in wanted.items():
        yield _attempt(service, f"the stream {name}", streams.ensure_stream(connection, settings))


async def _attempt(service: str, what: str, doing: Awaitable[None]) -> Problem | None:
    try:
        await doing
    except _BROKER_TROUBLES as error:
        return _failed(service, f"{what} can't be made", error)
    return None


def _failed(service: str, what: str, error: Exception) -> Problem:
    reason = " ".join(str(error).split()) or type(error).__name__
    return PREPARATION_FAILED.at(service=service, reason=f"{what}: {reason}")
