"""What nobody expects of a handler keeps neither its key nor its consumer."""

import asyncio
import logging

import msgspec
import pytest

from atoll.model.resources import Transaction
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.consumer import Consumer
from atoll.runtime.events.deadletters import dead
from atoll.runtime.events.handling import handler_of
from atoll.runtime.events.schedule import Scheduled, Scheduler
from atoll.wire import subjects
from atoll.wire.codec import decoder
from tests.runtime.events.parts import Orders, Placed, Running, cancel_itself, handled, new_telemetry, placed, publish
from tests.waiting import eventually

MOST = 2**20
"""Bytes of a message that the broker takes, headers included."""


async def wait_for_what_was_cancelled() -> None:
    """As where a task that several share was cancelled, or a library gave up a future."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


class Waiting(Orders):
    """Waits for something cancelled before it notes anything, so many times."""

    times = 1

    async def _wait(self) -> None:
        if self.times:
            self.times -= 1
            await wait_for_what_was_cancelled()

    async def note(self, event: Placed, tx: Transaction) -> None:
        await self._wait()
        await super().note(event, tx)

    async def note_all(self, events: list[Placed], tx: Transaction) -> None:
        await self._wait()
        await super().note_all(events, tx)


@pytest.mark.parametrize("method", ["note", "note_all"])
async def test_a_handler_that_waits_for_what_was_cancelled_failed(
    running: Running, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    source = running.source(method)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    await publish(database, Placed("a", 1), Placed("a", 2))
    await running.consumer(Waiting(database), source, database=database, broker=broker, batch=method == "note_all")
    await eventually(lambda: is_handled(database, 1, 2))
    assert "CancelledError" in caplog.text


async def is_handled(database: PostgresDatabase, *numbers: int) -> bool:
    return [number for _, number in await handled(database)] == list(numbers)


async def test_one_that_always_does_is_given_up(running: Running) -> None:
    source = running.source("note", attempts=2)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    waiting = Waiting(database)
    waiting.times = 2
    await publish(database, Placed("a", 1), Placed("a", 2))
    await running.consumer(waiting, source, database=database, broker=broker)
    await eventually(lambda: is_handled(database, 2))
    (letter,) = await dead(await running.connection(), running.system)
    assert letter.reason == "failed 2 times, at last with CancelledError"


async def test_what_a_worker_can_not_survive_leaves_its_events_to_come_again(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a handler that cancels the very task that it runs in, once
    class Harmful(Orders):
        async def note(self, event: Placed, tx: Transaction) -> None:
            if event.number == 1 and not self.seen:
                self.seen.append(event)
                await cancel_itself()
            await super().note(event, tx)

    source = running.source("note", ack_wait=1.0)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    harmful = Harmful(database)
    await publish(database, Placed("a", 1), Placed("a", 2))
    await running.consumer(harmful, source, database=database, broker=broker)
    # Then both are handled, and it was told
    await eventually(lambda: len(harmful.seen) == 3)
    await publish(database, Placed("a", 3))

    async def all_are_handled() -> bool:
        return sorted(number for _, number in await handled(database)) == [1, 2, 3]

    await eventually(all_are_handled)
    assert "leaves 1 events to come again" in caplog.text


async def test_a_reason_with_half_a_character_stands_in_the_dead_letter(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A report with half a character in what was logged can't be sent by a test process of several.
    monkeypatch.setattr(logging.getLogger("atoll.events"), "propagate", False)

    def fail(event: Placed) -> None:
        if event.number == 1:
            raise ValueError("\ud83d is no\nemoji")

    source = running.source("note", attempts=1)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    await publish(database, Placed("a", 1), Placed("a", 2))
    await running.consumer(Orders(database, fail), source, database=database, broker=broker)
    await eventually(lambda: is_handled(database, 2))
    (letter,) = await dead(await running.connection(), running.system)
    assert letter.reason == "failed 1 times, at last with ValueError: ? is no emoji"


async def test_an_event_whose_value_can_not_be_made_is_a_dead_letter(running: Running) -> None:
    # Given a type with code of its own, which fails for some values
    def decode(data: bytes) -> object:
        event = decoder(Placed)(data)
        assert isinstance(event, Placed)
        return {2: event}[event.number]

    source = running.source("bare", concurrency=1)
    await running.prepare(source)
    broker, orders = await running.broker(), Orders(None)
    publisher = await running.publisher(broker)
    # When such values come, and another behind them
    for number in (1, 1, 2):
        await publisher.publish(placed, Placed("a", number))
    handler = handler_of(orders, source.method, None, batch=False)
    consumer = Consumer(source, running.system, handler, decode, broker, running.telemetry)
    consumer.start()
    # Then the others are handled, and these can be looked at
    await eventually(lambda: orders.seen == [Placed("a", 2)])
    letters = await dead(await running.connection(), running.system)
    await consumer.stop(1.0)
    assert [letter.reason for letter in letters] == ["its value can't be made: KeyError: 1"] * 2


async def test_an_event_too_large_for_a_dead_letter_is_told_and_stays_in_its_stream(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    # Given an event of another program's that leaves no room for a reason beside it
    source = running.source("bare", attempts=1)
    await running.prepare(source)
    connection = await running.connection()
    headers = {"ce-id": "large-1", "ce-partitionkey": "a"}
    size = MOST - len("NATS/1.0\r\nce-id: large-1\r\nce-partitionkey: a\r\n\r\n")
    large = msgspec.json.encode(Placed("a", 1)).ljust(size)
    subject = subjects.subject(running.system, placed.name)
    await (await connection.publish(subject, large, headers))
    await (await connection.publish(subject, msgspec.json.encode(Placed("a", 2)), {"ce-partitionkey": "a"}))
    # When its handler gives it up
    orders = Orders(None, lambda event: 1 / (event.number - 1))  # type: ignore[arg-type]
    broker = await running.broker()
    began = await broker.connection()
    with caplog.at_level(logging.ERROR):
        await running.consumer(orders, source, database=None, broker=broker)
        # Then the next of its key is handled, the connection is the same, and where the event is was said
        await eventually(lambda: [event.number for event in orders.seen] == [1, 2])
    assert await broker.connection() is began
    assert f"it stays in the stream {source.stream}, as number 1, until it is too old" in caplog.text
    assert "messaging_dead_letters_total{" in running.telemetry.metrics.render()
    assert await dead(connection, running.system) == []


async def test_a_schedule_that_waits_for_what_was_cancelled_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def tidy() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            await wait_for_what_was_cancelled()

    telemetry = new_telemetry()
    task = asyncio.create_task(Scheduler([Scheduled("tidy", 0.05, tidy)], None, telemetry).run())
    await eventually(lambda: runs >= 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "tidy failed" in caplog.text
    spans = [span for span in telemetry.recorder.take() if span.name == "every tidy"]
    assert [span.error for span in spans[:2]] == ["CancelledError", ""]
