"""What the tests of events share: a service's parts on real engines, put together by hand."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from atoll.errors import Problem
from atoll.model.keeping import remembered
from atoll.model.launch import ConsumerOf, Preparation, StreamOf
from atoll.model.references import Literal
from atoll.model.resources import Topic, Transaction
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.broker import Broker, Connection
from atoll.runtime.events.consumer import Consumer
from atoll.runtime.events.handling import handler_of
from atoll.runtime.events.leader import Duty, Leader
from atoll.runtime.events.outbox import Outbox
from atoll.runtime.events.outgoing import Writer
from atoll.runtime.events.publisher import StreamPublisher
from atoll.runtime.events.relay import Relay
from atoll.runtime.events.schedule import Scheduled, Scheduler
from atoll.runtime.prepare import prepare
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder
from atoll.wire import subjects
from atoll.wire.codec import decoder
from tests.runtime.servers import NatsServer
from tests.waiting import eventually


class Placed(msgspec.Struct, frozen=True):
    """An event of the tests."""

    order: str
    number: int


placed = Topic("order-placed", Placed, key="order")

TABLE = "CREATE TABLE IF NOT EXISTS handled (at bigserial, consumer text, id text, orders text, number int)"

END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def cancel_itself() -> None:
    """End the very task that this runs in."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


def new_telemetry(replica: str = "orders-1") -> Telemetry:
    return Telemetry(Recorder(), Metrics(), "orders", replica)


class Orders:
    """A service that notes in its database which events it handled.

    fail: called before each event is noted; may raise.
    """

    def __init__(self, database: PostgresDatabase | None, fail: Callable[[Placed], None] = lambda _: None) -> None:
        self._database = database
        self._fail = fail
        self.seen: list[Placed] = []
        self.batches: list[int] = []

    async def note(self, event: Placed, tx: Transaction) -> None:
        self.seen.append(event)
        await tx.execute("INSERT INTO handled (orders, number) VALUES ($1, $2)", event.order, event.number)
        self._fail(event)

    async def note_all(self, events: list[Placed], tx: Transaction) -> None:
        self.batches.append(len(events))
        for event in events:
            await self.note(event, tx)

    async def bare(self, event: Placed) -> None:
        self.seen.append(event)
        self._fail(event)


@dataclass
class Running:
    """One system's engines, and the parts of its services that a test started; ends them all.

    system: a name of this test's own, so that its streams are.
    """

    dsn: str
    server: NatsServer
    user: str = "admin"
    password: str = ""
    system: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")
    stream: StreamOf = field(default_factory=lambda: StreamOf(placed.name))
    telemetry: Telemetry = field(default_factory=new_telemetry)
    _ends: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def source(self, method: str, **more: float) -> ConsumerOf:
        durable = subjects.durable("orders", method)
        defaults = {"backoff_first": 0.02, "backoff_most": 0.1, "ack_wait": 1.5}
        return msgspec.convert(
            {
                "topic": placed.name,
                "method": method,
                "stream": subjects.stream(self.system, placed.name),
                "durable": durable,
                **defaults,
                **more,
            },
            ConsumerOf,
        )

    async def prepare(self, *consumers: ConsumerOf) -> None:
        """Tables, streams and consumers, as a preparation makes them, which is repeated until it succeeds."""
        preparation = Preparation(
            system=self.system,
            service="orders",
            dsn=Literal(self.dsn),
            url=self.server.url,
            user="admin",
            password=Literal(self.server.password),
            streams=(self.stream,),
            consumes=consumers,
        )
        problems: list[Problem] = []

        async def is_prepared() -> bool:
            problems[:] = await prepare([preparation], value_of)
            return not problems

        await eventually(is_prepared, f"{self.system} is prepared", every=0.5, why=lambda: str(problems))

    async def broker(self, name: str = "orders-1") -> Broker:
        broker = Broker(self.server.url, self.user, self.password or self.server.password, name)
        broker.start()
        self._ends.append(broker.close)
        return broker

    async def connection(self) -> Connection:
        """The admin's own."""
        broker = Broker(self.server.url, "admin", self.server.password, "test")
        broker.start()
        self._ends.append(broker.close)
        return await broker.connection(5.0)

    def writer(self) -> Writer:
        return Writer(self.system, "orders", [placed], self.telemetry)

    async def leader(
        self, name: str, *, broker: Broker | None = None, schedules: Sequence[Scheduled] = (), database: bool = True
    ) -> Leader:
        duties: list[Duty] = []
        if broker is not None:
            duties.append(Relay(self.system, broker, self.telemetry, remembered(self.stream.seconds)))
        if schedules:
            duties.append(Scheduler(schedules, await self.database(None) if database else None, self.telemetry))
        leader = Leader(self.dsn, name, *duties)
        leader.start()
        self._ends.append(leader.stop)
        return leader

    async def database(self, leader: Leader | None = None) -> PostgresDatabase:
        """Its transactions publish through the outbox, and wake this leader."""
        outbox = Outbox(self.writer(), leader.wake if leader is not None else lambda: None)
        database = await PostgresDatabase.open(self.dsn, 10, "orders", self.telemetry, outbox)
        self._ends.append(database.close)
        await database.execute(TABLE)
        return database

    async def publisher(self, broker: Broker | None = None) -> StreamPublisher:
        return StreamPublisher(self.system, broker or await self.broker(), self.writer())

    async def consumer(
        self,
        orders: Orders,
        source: ConsumerOf,
        *,
        database: PostgresDatabase | None,
        broker: Broker | None = None,
        batch: bool = False,
    ) -> Consumer:
        handler = handler_of(orders, source.method, database, batch=batch)
        broker = broker or await self.broker()
        consumer = Consumer(source, self.system, handler, decoder(Placed), broker, self.telemetry)
        consumer.start()
        self._ends.append(lambda: consumer.stop(1.0))
        return consumer

    async def end(self) -> None:
        while self._ends:
            await self._ends.pop()()


def value_of(source: object) -> str:
    assert isinstance(source, Literal)
    return source.value


async def handled(database: PostgresDatabase) -> list[tuple[str, int]]:
    """What committed, in order."""

    class Row(msgspec.Struct):
        orders: str
        number: int

    rows = await database.all(Row, "SELECT orders, number FROM handled ORDER BY at")
    return [(row.orders, row.number) for row in rows]


async def publish(database: PostgresDatabase, *events: Placed) -> None:
    async with database.transaction() as tx:
        for event in events:
            await tx.publish(placed, event)
