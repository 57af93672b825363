"""A consumer's workers come and go, and leave no event behind."""

import asyncio
import random
from collections.abc import Sequence
from typing import cast

import msgspec
import pytest
from nats.aio.msg import Msg

from atoll.model.launch import ConsumerOf
from atoll.runtime.events.broker import Connection
from atoll.runtime.events.handling import Handler
from atoll.runtime.events.incoming import Incoming
from atoll.runtime.events.work import Work
from atoll.wire.codec import decoder
from tests.runtime.events.parts import cancel_itself, new_telemetry
from tests.waiting import eventually

SOURCE = ConsumerOf(topic="numbers", method="note", stream="a-numbers", durable="a-note")


class Settled:
    """Notes what is acknowledged, and what is left to come again."""

    def __init__(self) -> None:
        self.numbers: list[object] = []
        self.left: list[object] = []

    async def acknowledge(self, messages: Sequence[Incoming]) -> None:
        self.numbers += [message.event for message in messages]

    async def bury(self, message: Incoming, reason: str) -> bool:
        raise AssertionError(f"{message.event}: {reason}")

    def forget(self, message: Incoming) -> None:
        if message.event not in self.numbers:
            self.left.append(message.event)


def event(number: int, key: str = "") -> Incoming:
    reply = f"$JS.ACK.a-numbers.a-note.1.{number}.{number}.1764100000000000000.0"
    message = Msg(
        _client=None,  # type: ignore[arg-type]
        subject="evt.a.numbers",
        reply=reply,
        data=b"%d" % number,
        headers={"ce-partitionkey": key},
    )
    return Incoming(message, "numbers", decoder(int), cast(Connection, None))


@pytest.mark.parametrize("batch", [False, True], ids=["each", "batch"])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_an_event_that_comes_in_the_moment_in_which_the_workers_end_is_handled(
    concurrency: int, batch: bool
) -> None:
    # Given a handler that never waits: one worker does all that is there, and the others end with it
    async def note(_: object) -> None:
        if coming:
            # When the next comes before anybody has seen that they ended
            asyncio.get_running_loop().call_soon(work.add, coming.pop())

    settled = Settled()
    source = msgspec.structs.replace(SOURCE, concurrency=concurrency)
    work = Work(source, Handler(note, None, batch=batch), settled, new_telemetry())
    coming = [event(concurrency)]
    for number in range(concurrency):
        work.add(event(number))
    # Then it is handled as well
    await eventually(lambda: settled.numbers == list(range(concurrency + 1)), why=lambda: str(settled.numbers))


async def test_a_worker_that_ends_among_the_events_of_a_batch_leaves_all_that_it_has_left() -> None:
    # Given a handler that fails for several, and for one cancels the very task that it runs in
    async def note(numbers: object) -> None:
        if numbers == [1]:
            await cancel_itself()
        if numbers != [0] and numbers != [4]:
            raise ValueError(numbers)

    settled = Settled()
    work = Work(SOURCE, Handler(note, None, batch=True), settled, new_telemetry())
    for number in range(4):
        work.add(event(number, f"key {number}"))
    await eventually(lambda: settled.left == [1, 2, 3], why=lambda: str(settled.left))
    # Then their keys go on
    work.add(event(4, "key 3"))
    await eventually(lambda: settled.numbers == [0, 4], within=5, why=lambda: str(settled.numbers))


@pytest.mark.parametrize("batch", [False, True], ids=["each", "batch"])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_in_a_storm_every_event_is_settled_or_left_once_and_keys_keep_their_order(
    concurrency: int, batch: bool
) -> None:
    chance, count = random.Random(1), 3_000

    async def note(_: object) -> None:
        # Given a handler that is mostly quick, sometimes waits, sometimes fails, and now and then ends its worker
        luck = chance.random()
        if luck < 0.2:
            await asyncio.sleep(0)
        if luck < 0.05:
            raise ValueError
        if luck > 0.998:
            await cancel_itself()

    settled = Settled()
    source = msgspec.structs.replace(
        SOURCE, concurrency=concurrency, attempts=1_000, backoff_first=0.001, backoff_most=0.002
    )
    work = Work(source, Handler(note, None, batch=batch), settled, new_telemetry())
    # When events come in bursts, with a key and without
    keys = {number: chance.choice(("", "a", "b", "c")) for number in range(count)}
    for number, key in keys.items():
        work.add(event(number, key))
        if chance.random() < 0.05:
            await asyncio.sleep(0)
    # Then nothing is forgotten, and nothing handled twice
    await eventually(lambda: len(settled.numbers) + len(settled.left) == count, within=10)
    assert sorted(map(str, settled.numbers + settled.left)) == sorted(map(str, range(count)))
    for key in ("a", "b", "c"):
        numbers = [number for number in settled.numbers if isinstance(number, int) and keys[number] == key]
        assert numbers == sorted(numbers)
    assert work.drop() == []
    async with asyncio.timeout(5):
        await work.drain()
