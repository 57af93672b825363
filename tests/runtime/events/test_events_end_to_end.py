"""From a transaction that publishes to a transaction that handles, on a healthy system."""

import asyncio

import asyncpg
import msgspec
import pytest

from atoll.errors import EventError
from atoll.model.resources import Event, Topic, Transaction
from atoll.runtime.context import NOBODY, Context, CurrentCaller, Identity, current
from atoll.runtime.database.database import PostgresDatabase
from tests.runtime.events.parts import Orders, Placed, Running, handled, placed, publish
from tests.waiting import eventually


class Waiting(msgspec.Struct):
    count: int


async def test_an_event_published_in_a_transaction_is_handled_once(running: Running) -> None:
    # Given a consumer, and a leader that relays the outbox
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker)
    # When a transaction publishes an event
    await publish(database, Placed("a", 1))
    # Then it is handled, once
    await eventually(lambda: bool(orders.seen))
    await eventually(lambda: is_idle(running))
    assert await handled(database) == [("a", 1)]
    assert orders.seen == [Placed("a", 1)]


async def test_what_a_new_system_publishes_before_its_consumers_are_made_is_handled(running: Running) -> None:
    # Given a publisher and a consumer that run before anything is prepared, as in a cluster that starts all at once
    source = running.source("note")
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker)
    # When events are published, then the stream is made, then more are, and the consumer last
    await publish(database, Placed("a", 1))
    await running.prepare()
    await eventually(lambda: is_published(database))
    await publish(database, Placed("a", 2))
    await eventually(lambda: is_published(database))
    await running.prepare(source)
    # Then none of them is lost
    await eventually(lambda: len(orders.seen) >= 2)
    assert await handled(database) == [("a", 1), ("a", 2)]


async def is_published(database: PostgresDatabase) -> bool:
    waiting = await database.all(Waiting, "SELECT count(*) AS count FROM atoll.outbox WHERE published_at IS NULL")
    return waiting == [Waiting(0)]


async def is_idle(running: Running, method: str = "note") -> bool:
    """Whether the broker has an answer to every message of the consumer, and the lag says so."""
    connection = await running.connection()
    source = running.source(method)
    state = await connection.request(f"$JS.API.CONSUMER.INFO.{source.stream}.{source.durable}")
    return b'"num_ack_pending":0,' in state and b'"num_pending":0,' in state


async def test_a_transaction_that_fails_publishes_nothing(running: Running) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker)
    with pytest.raises(ZeroDivisionError):
        await publish_and_fail(database)
    await publish(database, Placed("a", 2))
    await eventually(lambda: bool(orders.seen))
    assert orders.seen == [Placed("a", 2)]


async def publish_and_fail(database: PostgresDatabase) -> None:
    async with database.transaction() as tx:
        await tx.publish(placed, Placed("a", 1))
        raise ZeroDivisionError


async def test_events_of_one_key_arrive_in_the_order_of_their_transactions(running: Running) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker)
    for number in range(0, 60, 3):
        await publish(database, *(Placed(key, number + step) for step in range(3) for key in "abc"))
    await eventually(lambda: len(orders.seen) == 180)
    for key in "abc":
        assert [event.number for event in orders.seen if event.order == key] == list(range(60))


async def test_the_trace_goes_on_from_who_publishes_to_who_handles(running: Running) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker)
    await publish(database, Placed("a", 1))
    await eventually(lambda: bool(orders.seen))
    await eventually(lambda: is_idle(running))
    spans = {span.kind: span for span in running.telemetry.recorder.take() if span.kind in ("producer", "consumer")}
    producer, consumer = spans["producer"], spans["consumer"]
    assert (producer.name, consumer.name) == ("publish order-placed", "process order-placed")
    assert (consumer.trace_id, consumer.parent_id) == (producer.trace_id, producer.span_id)
    page = running.telemetry.metrics.render()
    assert "messaging_process_duration_seconds_count" in page


class Asking(Orders):
    """Notes for whom events are handled."""

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self.callers: list[tuple[str, frozenset[str]]] = []

    async def note_all(self, events: list[Placed], tx: Transaction) -> None:
        caller = CurrentCaller()
        self.callers.append((caller.subject, caller.scopes))
        await super().note_all(events, tx)


async def test_who_caused_an_event_is_its_handlers_caller(running: Running) -> None:
    source = running.source("note_all")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    ada = Identity("ada", frozenset(("orders:write",)))
    orders = Asking(database)

    async def published(caller: Identity, *numbers: int) -> None:
        token = current.set(Context(1, caller=caller))
        async with database.transaction() as tx:
            for number in numbers:
                await tx.publish(placed, Placed(str(number), number))
        current.reset(token)

    await running.consumer(orders, source, database=database, broker=broker, batch=True)
    await published(ada, 1, 2)
    await eventually(lambda: len(orders.seen) == 2)
    assert set(orders.callers) == {("ada", frozenset(("orders:write",)))}
    orders.callers.clear()
    await published(NOBODY, 3)
    await eventually(lambda: len(orders.seen) == 3)
    assert orders.callers == [("", frozenset())]


class Knowing(Orders):
    """Asks what is known of an event."""

    async def note_knowing(self, event: Placed, tx: Transaction, about: Event) -> None:
        self.about = about
        await super().note(event, tx)


async def test_a_handler_may_ask_what_is_known_of_the_event(running: Running) -> None:
    source = running.source("note_knowing")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Knowing(database)
    await running.consumer(orders, source, database=database, broker=broker)
    await publish(database, Placed("é:%", 1))
    await eventually(lambda: bool(orders.seen))
    assert (orders.about.topic, orders.about.key, orders.about.attempt) == ("order-placed", "é:%", 1)
    assert len(orders.about.id) == 36


async def test_a_batch_shares_a_transaction(running: Running) -> None:
    # Given many events in the stream before the consumer starts
    source = running.source("note_all")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    await publish(database, *(Placed(f"k{number % 7}", number) for number in range(300)))
    # When it starts
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker, batch=True)
    await eventually(lambda: len(orders.seen) == 300)
    # Then far fewer transactions were made than there were events, and each key kept its order
    assert len(orders.batches) < 60
    await eventually(lambda: is_idle(running, "note_all"))
    rows = await handled(database)
    assert len(rows) == 300
    for key in {key for key, _ in rows}:
        numbers = [number for name, number in rows if name == key]
        assert numbers == sorted(numbers)


async def test_an_idempotent_handler_needs_no_database(running: Running) -> None:
    source = running.source("bare")
    await running.prepare(source)
    broker = await running.broker()
    orders = Orders(None)
    await running.consumer(orders, source, database=None, broker=broker)
    publisher = await running.publisher(broker)
    assert await publisher.publish(placed, Placed("a", 1)) == 1
    await eventually(lambda: orders.seen == [Placed("a", 1)])


async def test_publishing_again_under_the_same_id_stores_nothing_twice(running: Running) -> None:
    publisher = await running.publisher()
    first = await publisher.publish(placed, Placed("a", 1), event_id="payment-7")
    assert await publisher.publish(placed, Placed("a", 1), event_id="payment-7") == first


async def test_a_topic_that_is_not_declared_is_an_error(running: Running) -> None:
    other = Topic("other", Placed)
    publisher = await running.publisher()
    with pytest.raises(EventError, match="orders publishes 'other', but does not declare it"):
        await publisher.publish(other, Placed("a", 1))
    database = await running.database()
    with pytest.raises(EventError, match="ATL3301"):
        async with database.transaction() as tx:
            await tx.publish(other, Placed("a", 1))


async def test_a_value_of_another_type_is_an_error(running: Running) -> None:
    publisher = await running.publisher()
    with pytest.raises(EventError, match="a str is no Placed"):
        await publisher.publish(placed, "a")  # type: ignore[misc]


async def test_an_event_too_large_for_the_broker_is_refused_before_it_is_stored(running: Running) -> None:
    database = await running.database()
    with pytest.raises(EventError, match="1,000,000 are allowed"):
        await publish(database, Placed("a" * 1_000_001, 1))


async def test_stopping_finishes_what_is_at_work_and_gives_back_the_rest(running: Running) -> None:
    # Given a consumer for one event at a time whose handler has just begun with the first of three
    source = running.source("note", concurrency=1, ack_wait=30.0)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    began, go = asyncio.Event(), asyncio.Event()

    class Slow(Orders):
        async def note(self, event: Placed, tx: Transaction) -> None:
            began.set()
            await go.wait()
            await super().note(event, tx)

    slow = Slow(database)
    consumer = await running.consumer(slow, source, database=database, broker=broker)
    await publish(database, *(Placed("a", number) for number in range(3)))
    await began.wait()
    # When it is stopped
    draining = asyncio.create_task(consumer.drain())
    await asyncio.sleep(0)
    go.set()
    await draining
    await consumer.stop(1.0)
    # Then the first is done, and another replica gets the others at once, in order
    assert await handled(database) == [("a", 0)]
    orders = Orders(database)
    await running.consumer(orders, source, database=database)
    await eventually(lambda: [event.number for event in orders.seen] == [1, 2], within=5.0)


async def test_many_events_of_one_transaction_are_one_statement(
    running: Running, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    database = await running.database()
    await publish(database, *(Placed("a", number) for number in range(2_500)))
    rows = await admin.fetch("SELECT payload FROM atoll.outbox ORDER BY id")
    assert [row["payload"] for row in rows] == [b'{"order":"a","number":%d}' % number for number in range(2_500)]
    assert await admin.fetchval("SELECT count(DISTINCT xmin::text) FROM atoll.outbox") == 1
