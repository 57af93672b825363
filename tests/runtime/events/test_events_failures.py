"""What is promised is kept when something ends badly: nothing is lost, nothing has its effect twice."""

import asyncio
import logging
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from atoll.engines import nats
from atoll.errors import EventError
from atoll.model.keeping import LEAST_SECONDS, MOST_SECONDS, remembered
from atoll.runtime.context import Context, current, new_trace_id
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.deadletters import dead
from atoll.runtime.events.relay import HORIZON
from atoll.runtime.events.streams import DUPLICATES
from atoll.wire import subjects
from tests.runtime.events.parts import END_SESSIONS, Orders, Placed, Running, handled, placed, publish
from tests.runtime.events.worker import Job
from tests.runtime.servers import NatsServer, PostgresServer, engine_folder
from tests.standing_still import standing_still
from tests.waiting import eventually


async def is_written(database: PostgresDatabase, count: int) -> bool:
    return await database.value(int, "SELECT count(*) FROM handled") == count


async def is_published(database: PostgresDatabase) -> bool:
    return await database.value(int, "SELECT count(*) FROM atoll.outbox WHERE published_at IS NULL") == 0


def assert_exactly_once(rows: list[tuple[str, int]], count: int) -> None:
    numbers = sorted(number for _, number in rows)
    assert numbers == list(range(count))


async def publish_all(database: PostgresDatabase, count: int, pause: float) -> None:
    for number in range(count):
        await publish(database, Placed(f"k{number % 5}", number))
        await asyncio.sleep(pause)


def test_the_bounds_that_protect_each_other_do() -> None:
    sync_interval = nats.Broker(1, 2, "").sync_interval
    assert sync_interval < HORIZON / 10
    assert HORIZON < DUPLICATES < LEAST_SECONDS
    assert remembered(MOST_SECONDS) > MOST_SECONDS


async def test_the_broker_is_killed_and_started_again_under_traffic(running: Running) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker)
    publishing = asyncio.create_task(publish_all(database, 200, 0.005))
    for handled_before in (20, 60):
        await eventually(lambda least=handled_before: len(orders.seen) > least)  # type: ignore[misc]
        running.server.kill()
        running.server.start()
    await publishing
    await eventually(lambda: is_written(database, 200), within=30.0)
    assert_exactly_once(await handled(database), 200)


async def test_while_the_broker_is_away_events_wait_in_the_outbox_and_requests_go_on(running: Running) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await running.consumer(orders, source, database=database, broker=broker)
    running.server.kill()
    try:
        await publish_all(database, 30, 0.0)
        assert await database.value(int, "SELECT count(*) FROM atoll.outbox WHERE published_at IS NULL") == 30
        await eventually(lambda: not broker.is_connected)
    finally:
        running.server.start()
    await eventually(lambda: is_written(database, 30), within=30.0)
    for key in range(5):
        numbers = [number for name, number in await handled(database) if name == f"k{key}"]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("whole", [True, False], ids=["the whole store", "the messages alone"])
async def test_the_broker_comes_back_with_a_store_older_than_what_it_confirmed(running: Running, whole: bool) -> None:
    # Given events that are handled, and a copy of the broker's store
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    first = await running.consumer(orders, source, database=database, broker=broker)
    for number in range(20):
        await publish(database, Placed("a", number))
    await eventually(lambda: is_written(database, 20))
    store = running.server.folder / "store"
    copy = running.server.folder / "copy"
    shutil.copytree(store, copy)
    # and more events since, some handled, others only confirmed by the broker
    for number in range(20, 40):
        await publish(database, Placed("a", number))
    await eventually(lambda: is_written(database, 40))
    await first.drain()
    await first.stop(1.0)
    for number in range(40, 60):
        await publish(database, Placed("a", number))
    await eventually(lambda: is_published(database))
    # When the broker is killed and comes back with the copy, as after a loss of power
    running.server.kill()
    if whole:
        shutil.rmtree(store)
        copy.rename(store)
    else:
        # The consumer remembers more than the stream does.
        messages = Path("jetstream", "$G", "streams", source.stream, "msgs")
        shutil.rmtree(store / messages)
        (copy / messages).rename(store / messages)
        shutil.rmtree(copy)
    running.server.start()
    await running.consumer(orders, source, database=database, broker=broker)
    # Then what it lost is there again, nothing is handled twice, and the order is kept
    await eventually(lambda: is_written(database, 60), within=30.0)
    assert [number for _, number in await handled(database)] == list(range(60))
    # and new events go on
    await publish(database, Placed("a", 60))
    await eventually(lambda: is_written(database, 61))


async def test_rows_are_kept_for_the_horizon_and_then_deleted(
    running: Running, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    broker = await running.broker()
    leader = await running.leader("a", broker=broker)
    database = await running.database(leader)
    await publish(database, *(Placed("a", number) for number in range(10)))
    await eventually(lambda: is_published(database))
    assert await database.value(int, "SELECT count(*) FROM atoll.outbox") == 10
    await admin.execute(
        "UPDATE atoll.outbox SET published_at = published_at - make_interval(secs => $1) WHERE id <= 4", HORIZON
    )
    await eventually(lambda: has_rows(database, 6))


async def has_rows(database: PostgresDatabase, count: int) -> bool:
    return await database.value(int, "SELECT count(*) FROM atoll.outbox") == count


async def test_the_sessions_of_the_database_are_ended_while_events_are_handled(
    running: Running, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await publish(database, *(Placed(f"k{number % 5}", number) for number in range(300)))
    await running.consumer(orders, source, database=database, broker=broker)
    for handled_before in (30, 120, 200):
        await eventually(lambda least=handled_before: len(orders.seen) > least)  # type: ignore[misc]
        await admin.execute(END_SESSIONS)
    await eventually(lambda: is_written(database, 300), within=30.0)
    assert_exactly_once(await handled(database), 300)


async def test_the_database_is_killed_and_started_again(running: Running, postgres_server: PostgresServer) -> None:
    # Given a consumer that gives an event up at its first failure that counts
    source = running.source("note", attempts=1, deadline=8.0)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    await publish(database, *(Placed(f"k{number % 5}", number) for number in range(200)))
    await running.consumer(orders, source, database=database, broker=broker)
    await eventually(lambda: len(orders.seen) > 20)
    # When PostgreSQL is killed for a while
    postgres_server.kill()
    await eventually(lambda: 'error_type="DatabaseUnreachable"' in running.telemetry.metrics.render())
    postgres_server.start()  # in this thread: it ends with the thread that started it
    # Then everything is handled once, and nothing was given up
    await eventually(lambda: is_written(database, 200), within=30.0)
    assert_exactly_once(await handled(database), 200)
    assert await dead(await running.connection(), running.system) == []


async def start_worker(running: Running, source: object, die_at: int) -> asyncio.subprocess.Process:
    job = {
        "dsn": running.dsn,
        "url": running.server.url,
        "password": running.server.password,
        "system": running.system,
        "source": source,
        "die_at": die_at,
    }
    text = msgspec.json.encode(msgspec.convert(msgspec.to_builtins(job), Job)).decode()
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.runtime.events.worker", text)


async def test_a_process_that_dies_in_a_handler_loses_nothing_and_repeats_nothing(running: Running) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    await publish(database, *(Placed(f"k{number % 5}", number) for number in range(60)))
    # Given a process that dies while it handles the 30th event
    process = await start_worker(running, source, die_at=30)
    assert await process.wait() == -signal.SIGKILL
    assert not await is_written(database, 60)
    # When another one takes its place
    process = await start_worker(running, source, die_at=-1)
    try:
        await eventually(lambda: is_written(database, 60), within=30.0)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert_exactly_once(await handled(database), 60)


async def test_two_replicas_share_the_events_and_one_of_them_relays(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a leader that does not look at the outbox by itself while this test lasts
    monkeypatch.setattr("atoll.runtime.events.relay._LOOK_EVERY", 600.0)
    source = running.source("note")
    await running.prepare(source)
    brokers = [await running.broker(name) for name in ("orders-1", "orders-2")]
    leaders = [await running.leader(f"orders-{n}", broker=broker) for n, broker in enumerate(brokers, 1)]
    databases = [await running.database(leader) for leader in leaders]
    both = [Orders(database) for database in databases]
    for orders, broker, database in zip(both, brokers, databases, strict=True):
        await running.consumer(orders, source, database=database, broker=broker)
    await eventually(lambda: leaders[0].leads or leaders[1].leads)
    # When both publish, also the one that does not lead, then their events arrive
    for number in range(0, 40, 2):
        await publish(databases[0], Placed(f"k{number}", number))
        await publish(databases[1], Placed(f"k{number + 1}", number + 1))
        await eventually(lambda least=number + 2: is_written(databases[0], least))  # type: ignore[misc]
    assert [leader.leads for leader in leaders].count(True) == 1
    # When the leader's process ends, the other one leads
    leading = leaders[0] if leaders[0].leads else leaders[1]
    other = leaders[1] if leading is leaders[0] else leaders[0]
    await leading.stop()
    await publish(databases[0], Placed("z", 40))
    await eventually(lambda: other.leads)
    await eventually(lambda: is_written(databases[0], 41))
    assert_exactly_once(await handled(databases[0]), 41)


async def test_a_service_may_do_only_what_it_declares(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Given a broker with a user who may publish and consume as its service declares
    folder = engine_folder(tmp_path_factory.mktemp("restricted"), "restricted")
    password = "a-password-of-its-own"
    probe = Running(dsn, None, system="shop")  # type: ignore[arg-type]
    source = probe.source("note", attempts=1)
    account = nats.Account(
        "orders",
        password,
        subjects.publishable("shop", ["order-placed"], [("order-placed", source.durable)]),
        (nats.Consumer(source.stream, source.durable),),
    )
    server = NatsServer(folder, (account,))
    server.start()
    running = Running(dsn, server, user="orders", password=password, system="shop")
    try:
        await running.prepare(source)
        broker = await running.broker()
        database = await running.database(await running.leader("a", broker=broker))
        orders = Orders(database, lambda event: 1 / (event.number - 2))  # type: ignore[arg-type]
        await running.consumer(orders, source, database=database, broker=broker)
        # Then all of it works: publishing, consuming, acknowledging, dead letters
        await publish(database, *(Placed("a", number) for number in range(4)))
        await eventually(lambda: is_written(database, 3))
        (letter,) = await dead(await running.connection(), "shop")
        assert letter.reason.endswith("ZeroDivisionError: division by zero")
        # and what it does not declare is refused at once, with the reason
        other = Running(dsn, server, user="orders", password=password, system="other")
        publisher = await other.publisher(broker)
        began = time.monotonic()
        with pytest.raises(EventError, match="ATL3304"):
            await publisher.publish(placed, Placed("a", 1))
        assert time.monotonic() - began < 3.0
    finally:
        await running.end()
        server.stop()
        shutil.rmtree(folder)


async def test_a_publisher_gives_up_at_the_callers_deadline_and_says_what_is_not_known(running: Running) -> None:
    publisher = await running.publisher()
    await publisher.publish(placed, Placed("a", 1))
    running.server.kill()
    try:
        current.set(Context(new_trace_id(), deadline=time.monotonic() + 0.5))
        began = time.monotonic()
        with pytest.raises(EventError, match=r"ATL330[34]"):
            await publisher.publish(placed, Placed("a", 2))
        assert time.monotonic() - began < 2.0
    finally:
        current.set(None)
        running.server.start()
    await eventually(lambda: True)
    assert await publisher.publish(placed, Placed("a", 3)) >= 2


async def test_the_broker_is_killed_while_the_relay_waits_for_room_to_send(
    running: Running, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await running.prepare(running.source("note"))
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    client = (await broker.connection(5.0))._client
    # Given a broker that reads no more, and a batch that is larger than the buffer
    with standing_still(running.server.pid):
        await admin.execute(
            "INSERT INTO atoll.outbox (event_id, topic, key, headers, payload) "
            "SELECT n::text, $1, '', '{}', convert_to(repeat('x', 990000), 'UTF8') FROM generate_series(1, 30) AS n",
            placed.name,
        )
        await eventually(lambda: client._unsent, "the relay waits")
        running.server.kill()
    running.server.start()
    # Then all of it is published to the next
    await eventually(lambda: is_published(database))


async def test_a_stop_does_not_wait_for_a_broker_that_answers_no_more(running: Running) -> None:
    # Given a consumer that has handled some, and has one at work and more in hand
    source = replace(running.source("bare"), concurrency=1)
    await running.prepare(source)
    broker = await running.broker()
    publisher = await running.publisher(broker)
    orders = Orders(None, fail_from(2))
    consumer = await running.consumer(orders, source, database=None, broker=broker)
    for number in range(5):
        await publisher.publish(placed, Placed("a", number))
    await eventually(lambda: len(orders.seen) > 2)
    # When the broker stands still, and the service ends
    with standing_still(running.server.pid):
        began = time.monotonic()
        await consumer.drain()
        await consumer.stop(0.1)
        await broker.close()
        # Each of four steps has a second; waiting for one answer takes five.
        assert time.monotonic() - began < 7.0


def fail_from(first: int) -> Callable[[Placed], None]:
    def fail(event: Placed) -> None:
        if event.number >= first:
            raise ValueError(f"no stock for {event.order}")

    return fail


@pytest.mark.timeout(30)
async def test_a_consumer_that_meets_a_connection_as_it_ends_leaves_the_others_their_turn(running: Running) -> None:
    source = running.source("bare")
    await running.prepare(source)
    broker = await running.broker()
    connection = await broker.connection(5.0)
    # Given a connection that ends, and those concerned have had no turn yet to see it
    ending = asyncio.create_task(connection._client.close())
    await asyncio.sleep(0)
    assert not connection.lost.is_set()
    # When a consumer begins
    orders = Orders(None)
    await running.consumer(orders, source, database=None, broker=broker)
    # Then it goes on with the next
    await (await running.publisher(broker)).publish(placed, Placed("a", 1))
    await eventually(lambda: len(orders.seen) == 1)
    await ending


async def test_a_database_that_does_not_answer_costs_the_lead_and_is_not_taken_for_the_broker(
    running: Running,
    admin: "asyncpg.Connection[asyncpg.Record]",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("atoll.runtime.events.leader._WITHIN", 0.5)
    caplog.set_level(logging.INFO, "atoll.events")
    leader = await running.leader("a", broker=await running.broker())
    await eventually(lambda: leader.leads)
    # When somebody holds the outbox
    async with admin.transaction():
        await admin.execute("LOCK TABLE atoll.outbox IN ACCESS EXCLUSIVE MODE")
        # Then it is the database that does not answer
        await eventually(lambda: "a gives up the lead: TimeoutError" in caplog.text)
    assert "the outbox waits" not in caplog.text
    await eventually(lambda: leader.leads)


async def test_a_topic_without_a_stream_does_not_hold_up_the_others(
    running: Running, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database)
    # Given rows of a topic whose stream is gone, more than a batch
    await admin.execute(
        "INSERT INTO atoll.outbox (event_id, topic, key, headers, payload) "
        "SELECT n::text, 'gone', '', '{}', '' FROM generate_series(1, 600) AS n"
    )
    await running.consumer(orders, source, database=database, broker=broker)
    await publish(database, Placed("a", 0))
    await eventually(lambda: is_written(database, 1))
    waiting = await database.value(int, "SELECT count(*) FROM atoll.outbox WHERE published_at IS NULL")
    assert waiting == 600
    await eventually(lambda: "messaging_outbox_pending" in running.telemetry.metrics.render())
