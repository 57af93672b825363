"""Events that a stream dropped before a consumer was given them are found and counted."""

import logging

import msgspec
import pytest
from msgspec.structs import replace

from atoll.model.launch import ConsumerOf, StreamOf
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.losses import TOLD_EVERY, Losses, Position, missed
from tests.runtime.events.parts import Orders, Placed, Running, new_telemetry, placed, publish
from tests.waiting import eventually


def missed_in(rendered: str) -> int:
    (line,) = [each for each in rendered.splitlines() if each.startswith("messaging_consumer_missed_total{")]
    return int(float(line.rpartition(" ")[2]))


@pytest.mark.parametrize(
    ("delivered", "first", "expected"),
    [
        (0, 1, 0),  # nothing has gone
        (0, 0, 0),  # nothing was ever published
        (10, 11, 0),  # all that has gone had been given
        (10, 4, 0),
        (10, 12, 1),
        (0, 501, 500),
    ],
)
def test_who_looks_for_the_first_time_sees_what_went_since_the_last_that_was_given(
    delivered: int, first: int, expected: int
) -> None:
    assert missed(None, Position(delivered, delivered, first, 600, 100)) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Position(100, 100, 50, 300, 200), 0),  # nothing happened
        (Position(160, 160, 90, 300, 140), 0),  # it was given more, and what went it had
        (Position(160, 160, 140, 300, 140), 0),  # what went was given in time: sixty more, none between
        (Position(100, 100, 121, 300, 180), 20),  # it stands still, and twenty went
        (Position(100, 100, 121, 400, 280), 20),  # and a hundred more came
        (Position(160, 140, 141, 300, 140), 20),  # it was given forty of sixty: twenty went before
        (Position(160, 150, 200, 300, 101), 49),  # ten of the sixty went, and 39 behind them
        (Position(160, 190, 141, 300, 140), 0),  # thirty came again at the same time: nobody can say
        (Position(20, 20, 10, 40, 20), 0),  # the broker came back with an older store
    ],
)
def test_between_two_looks_what_was_neither_given_nor_is_there_is_missed(now: Position, expected: int) -> None:
    assert missed(Position(100, 100, 50, 300, 200), now) == expected


def test_what_was_sent_again_to_another_consumer_is_not_missed_when_it_goes() -> None:
    # Of a quiet topic, which keeps nothing else any more
    assert missed(Position(100, 100, 50, 110, 0), Position(100, 100, 111, 110, 0)) == 0


def test_what_was_counted_is_not_counted_again() -> None:
    still = [Position(10, 10, first, 60, 61 - max(first, 11)) for first in (1, 21, 41, 41)]
    looks = [*still, Position(60, 30, 41, 60, 0)]
    assert [missed(before, now) for before, now in zip([None, *looks], looks, strict=False)] == [0, 10, 20, 0, 0]


def test_a_steady_loss_is_told_once_a_minute_with_all_of_it(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = new_telemetry()
    losses = Losses(ConsumerOf("order-placed", "note", "shop-order-placed", "orders-note"), telemetry)
    with caplog.at_level(logging.ERROR, "atoll.events"):
        for step in range(4):
            losses.look(Position(0, 0, 1 + 10 * step, 100, 100 - 10 * step), step * TOLD_EVERY / 2)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "10 events of 'order-placed' are lost for orders-note",
        "20 events of 'order-placed' are lost for orders-note",
    ]
    assert missed_in(telemetry.metrics.render()) == 30


async def test_a_consumer_that_comes_back_when_its_stream_was_full_says_how_many_it_will_never_have(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a consumer that had two events, and ended
    running.stream = StreamOf(placed.name, most_bytes=8_000)
    source = running.source("note")
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    before = Orders(database)
    consumer = await running.consumer(before, source, database=database, broker=broker)
    await publish(database, Placed("a", 0), Placed("a", 1))
    await eventually(lambda: len(before.seen) == 2)
    await consumer.drain()
    await consumer.stop(1.0)
    # When more is published than the topic keeps
    await publish(database, *(Placed("a", number) for number in range(2, 200)))
    await eventually(lambda: all_are_published(database))
    after = Orders(database)
    with caplog.at_level(logging.ERROR, "atoll.events"):
        await running.consumer(after, source, database=database, broker=broker)
        await eventually(lambda: bool(after.seen) and after.seen[-1].number == 199)
    # Then what it was not given is what it says it missed
    lost = 200 - 2 - len(after.seen)
    assert lost > 100
    assert missed_in(running.telemetry.metrics.render()) == lost
    assert f"{lost} events of 'order-placed' are lost for orders-note" in caplog.text


async def test_a_consumer_that_stands_still_counts_what_goes_meanwhile(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atoll.runtime.events.consumer._LOOK_EVERY", 0.1)
    running.stream = StreamOf(placed.name, most_bytes=200_000)
    source = replace(running.source("note"), concurrency=1, attempts=1_000)
    await running.prepare(source)
    broker = await running.broker()
    database = await running.database(await running.leader("a", broker=broker))
    orders = Orders(database, refused)
    await running.consumer(orders, source, database=database, broker=broker)
    # It has room for some in hand, and fails with the first of them for ever
    await publish(database, *(Placed("a", number) for number in range(1_500)))
    await eventually(lambda: all_are_published(database))
    state = msgspec.json.decode(await (await running.connection()).request(f"$JS.API.STREAM.INFO.{source.stream}"))[
        "state"
    ]
    consumer = msgspec.json.decode(
        await (await running.connection()).request(f"$JS.API.CONSUMER.INFO.{source.stream}.{source.durable}")
    )
    lost = state["first_seq"] - 1 - consumer["delivered"]["stream_seq"]
    assert lost > 100
    await eventually(lambda: missed_in(running.telemetry.metrics.render()) >= lost)
    assert missed_in(running.telemetry.metrics.render()) == lost


def refused(event: Placed) -> None:
    raise ValueError(f"no stock for {event.order}")


async def all_are_published(database: PostgresDatabase) -> bool:
    return await database.value(int, "SELECT count(*) FROM atoll.outbox WHERE published_at IS NULL") == 0
