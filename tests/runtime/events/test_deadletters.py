"""Events that fail: tried again, given up, looked at, sent again."""

import asyncio
import time

import asyncpg
import pytest

from atoll.errors import BROKER_UNREACHABLE, EventError
from atoll.model.resources import Transaction
from atoll.runtime.events.deadletters import dead, discard, redrive
from atoll.runtime.events.inspect import admin_connection, overview
from atoll.wire import subjects
from tests.runtime.events.parts import END_SESSIONS, Orders, Placed, Running, handled, placed, publish
from tests.waiting import eventually


class Failing:
    """Fails for some events so many times."""

    def __init__(self, **times: int) -> None:
        self._left = times
        self.at: list[float] = []

    def __call__(self, event: Placed) -> None:
        self.at.append(time.monotonic())
        if self._left.get(event.order, 0) > 0:
            self._left[event.order] -= 1
            raise ValueError(f"no stock for {event.order}")


async def test_an_event_whose_handler_fails_once_comes_again_after_its_backoff(running: Running) -> None:
    # Given a handler that fails the first time
    source = running.source("note", backoff_first=1.0, backoff_most=1.0)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    failing = Failing(a=1)
    orders = Orders(database, failing)
    await running.consumer(orders, source, database=database, broker=broker)
    # When an event is published
    await publish(database, Placed("a", 1))
    # Then it is tried twice, and what the first try wrote is gone
    await eventually(lambda: len(orders.seen) == 2)
    await eventually(lambda: is_written(running, 1))
    assert await handled(database) == [("a", 1)]


async def is_written(running: Running, count: int) -> bool:
    connection = await asyncpg.connect(running.dsn)
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM handled") == count)
    finally:
        await connection.close()


async def test_while_an_event_waits_for_its_next_try_later_ones_of_its_key_wait_and_other_keys_do_not(
    running: Running,
) -> None:
    source = running.source("note", attempts=1_000)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    # Given a handler that fails for one key as long as events of the other come, and once more
    others: list[Placed] = []
    still_failing = [True]

    def fail(event: Placed) -> None:
        if event.order == "b":
            others.append(event)
        elif still_failing[0]:
            still_failing[0] = len(others) < 3
            raise ValueError("not yet")

    orders = Orders(database, fail)
    await running.consumer(orders, source, database=database, broker=broker)
    await publish(database, *(Placed(key, number) for number in range(3) for key in "ab"))
    await eventually(lambda: is_written(running, 6))
    written = await handled(database)
    assert [number for key, number in written if key == "a"] == [0, 1, 2]
    assert written[:3] == [("b", 0), ("b", 1), ("b", 2)]


async def test_after_the_last_attempt_an_event_is_a_dead_letter_and_the_next_of_its_key_is_handled(
    running: Running,
) -> None:
    source = running.source("note", attempts=3)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database, Failing(a=3))
    await running.consumer(orders, source, database=database, broker=broker)
    await publish(database, Placed("a", 1), Placed("a", 2))
    await eventually(lambda: is_written(running, 1))
    assert await handled(database) == [("a", 2)]
    (letter,) = await dead(await running.connection(), running.system)
    assert (letter.topic, letter.consumer, letter.key, letter.attempts) == ("order-placed", "orders-note", "a", 3)
    assert letter.payload == b'{"order":"a","number":1}'
    assert letter.reason == "failed 3 times, at last with ValueError: no stock for a"
    assert 'messaging_dead_letters_total{messaging_consumer_group_name="orders-note"' in (
        running.telemetry.metrics.render()
    )


async def test_a_redriven_letter_goes_to_the_consumer_that_failed_alone_and_is_taken_away(running: Running) -> None:
    # Given two consumers of a topic, one of which has given up an event
    source, other = running.source("note", attempts=2), running.source("bare")
    await running.prepare(source, other)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders, others = Orders(database, Failing(a=2)), Orders(None)
    await running.consumer(orders, source, database=database, broker=broker)
    await running.consumer(others, other, database=None, broker=broker)
    await publish(database, Placed("a", 1))
    connection = await running.connection()
    await eventually(lambda: has_letters(running, 1))
    # When the letter is sent again, even twice at once
    letters = await dead(connection, running.system)
    assert await redrive(connection, running.system, letters) == 1
    assert await redrive(connection, running.system, letters) == 1
    # Then the one that failed handles it, once, and the other does not see it again
    await eventually(lambda: is_written(running, 1))
    await publish(database, Placed("b", 2))
    await eventually(lambda: others.seen[-1:] == [Placed("b", 2)])
    await eventually(lambda: is_written(running, 2))
    assert await handled(database) == [("a", 1), ("b", 2)]
    assert others.seen == [Placed("a", 1), Placed("b", 2)]
    assert await dead(connection, running.system) == []


async def test_a_letter_that_is_sent_again_and_given_up_again_is_a_letter_again(running: Running) -> None:
    source = running.source("note", attempts=2)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    await running.consumer(Orders(database, Failing(a=4)), source, database=database, broker=broker)
    await publish(database, Placed("a", 1))
    connection = await running.connection()
    await eventually(lambda: has_letters(running, 1))
    (first,) = await dead(connection, running.system)
    assert await redrive(connection, running.system, [first]) == 1
    await eventually(lambda: has_letters(running, 1))
    (second,) = await dead(connection, running.system)
    assert second.sequence > first.sequence
    assert second.event_id == first.event_id
    # And when it is sent once more, then it is handled
    assert await redrive(connection, running.system, [second]) == 1
    await eventually(lambda: is_written(running, 1))
    assert await dead(connection, running.system) == []


async def has_letters(running: Running, count: int) -> bool:
    return len(await dead(await running.connection(), running.system)) == count


async def test_what_can_not_be_read_is_a_dead_letter_at_once(running: Running) -> None:
    source = running.source("note")
    await running.prepare(source)
    database = await running.database()
    orders = Orders(database)
    await running.consumer(orders, source, database=database)
    # When somebody else publishes nonsense, without any header
    connection = await running.connection()
    subject = subjects.subject(running.system, "order-placed")
    await connection.publish(subject, b'{"order": 7}', {})
    await connection.publish(subject, b"\xff\x00 not JSON", {"ce-id": "nonsense"})
    await connection.publish(subject, b'{"order":"a","number":1}', {})
    await eventually(lambda: has_letters(running, 2))
    # Then it is put away with the reason, and what can be read is handled, known by its place in the stream
    letters = sorted(await dead(connection, running.system), key=lambda each: each.sequence)
    assert "its value can't be read: $.order: Expected `str`, got `int`" in letters[0].reason
    assert letters[1].event_id == "nonsense"
    await eventually(lambda: is_written(running, 1))
    assert orders.seen == [Placed("a", 1)]


async def test_of_a_batch_that_fails_each_event_is_tried_alone(running: Running) -> None:
    source = running.source("note_all", attempts=3)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    await publish(database, *(Placed(f"k{number}", number) for number in range(50)))
    orders = Orders(database, Failing(k7=99))
    await running.consumer(orders, source, database=database, broker=broker, batch=True)
    await eventually(lambda: is_written(running, 49))
    assert sorted(number for _, number in await handled(database)) == [n for n in range(50) if n != 7]
    await eventually(lambda: has_letters(running, 1))


async def test_a_handler_that_takes_too_long_is_cut_and_tried_again(running: Running) -> None:
    source = running.source("note", deadline=0.5)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))

    class Sleepy(Orders):
        async def note(self, event: Placed, tx: Transaction) -> None:
            await super().note(event, tx)
            if len(self.seen) == 1:
                await asyncio.Event().wait()

    orders = Sleepy(database)
    await running.consumer(orders, source, database=database, broker=broker)
    await publish(database, Placed("a", 1))
    errors: list[str] = []

    def is_done() -> bool:
        errors.extend(span.error for span in running.telemetry.recorder.take() if span.kind == "consumer")
        return errors[-1:] == [""]

    await eventually(is_done, "one try succeeds")
    assert errors[0] == "TimeoutError"
    assert await handled(database) == [("a", 1)]


async def test_a_handler_that_takes_longer_than_the_broker_waits_is_not_given_to_another_replica(
    running: Running,
) -> None:
    source = running.source("note", ack_wait=1.5)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))

    class Slow(Orders):
        async def note(self, event: Placed, tx: Transaction) -> None:
            await super().note(event, tx)
            await asyncio.sleep(3.5)

    first, second = Slow(database), Slow(database)
    await running.consumer(first, source, database=database, broker=broker)
    await running.consumer(second, source, database=database)
    await publish(database, Placed("a", 1))
    await eventually(lambda: is_written(running, 1))
    assert len(first.seen) + len(second.seen) == 1


async def test_while_the_database_is_away_tries_are_not_counted(
    running: Running, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    # Given a consumer that gives up at the first failure, and a database that lets nobody in
    source = running.source("note", attempts=1, deadline=1.0)
    await running.prepare(source)
    database = await running.database()
    orders = Orders(database)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    await admin.execute(END_SESSIONS)
    await running.consumer(orders, source, database=database)
    publisher = await running.publisher()
    # When events come
    await publisher.publish(placed, Placed("a", 1))
    await eventually(lambda: 'error_type="DatabaseUnreachable"' in running.telemetry.metrics.render())
    # Then they are handled when it is back
    await admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    await eventually(lambda: is_written(running, 1))
    assert await dead(await running.connection(), running.system) == []


async def test_letters_can_be_chosen_and_thrown_away(running: Running) -> None:
    source, other = running.source("note", attempts=1), running.source("bare", attempts=1)
    await running.prepare(source, other)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    await running.consumer(Orders(database, Failing(a=9)), source, database=database, broker=broker)
    await running.consumer(Orders(None, Failing(a=9)), other, database=None, broker=broker)
    await publish(database, Placed("a", 1))
    await eventually(lambda: has_letters(running, 2))
    async with admin_connection(running.server.url, "admin", running.server.password) as connection:
        (letter,) = await dead(connection, running.system, consumer="orders-bare")
        assert letter.consumer == "orders-bare"

        async def is_in_hand_no_more() -> bool:
            (topic,) = await overview(connection, running.system)
            return (topic.topic, topic.messages) == ("order-placed", 1) and [
                (each.name, each.waiting, each.in_hand, each.dead) for each in topic.consumers
            ] == [("orders-bare", 0, 0, 1), ("orders-note", 0, 0, 1)]

        await eventually(is_in_hand_no_more, "the broker has an answer to the events themselves as well")
        await discard(connection, running.system, letter)
        await discard(connection, running.system, letter)
        assert [each.consumer for each in await dead(connection, running.system)] == ["orders-note"]


async def test_a_broker_that_can_not_be_reached_is_said_with_its_reason() -> None:
    with pytest.raises(EventError, match=BROKER_UNREACHABLE.code):
        await look_at_nothing()


async def look_at_nothing() -> None:
    async with admin_connection("nats://127.0.0.1:1", "admin", "x"):
        pass
