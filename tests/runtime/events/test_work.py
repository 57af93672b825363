"""A consumer's workers come and go, and leave no event behind."""

import asyncio
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
from tests.runtime.events.parts import new_telemetry
from tests.waiting import eventually

SOURCE = ConsumerOf(topic="numbers", method="note", stream="a-numbers", durable="a-note")


class Settled:
    """Notes what is acknowledged."""

    def __init__(self) -> None:
        self.numbers: list[object] = []

    async def acknowledge(self, messages: Sequence[Incoming]) -> None:
        self.numbers += [message.event for message in messages]

    async def bury(self, message: Incoming, reason: str) -> bool:
        raise AssertionError(f"{message.event}: {reason}")

    def forget(self, message: Incoming) -> None:
        raise AssertionError(message.event)


def event(number: int) -> Incoming:
    reply = f"$JS.ACK.a-numbers.a-note.1.{number}.{number}.1764100000000000000.0"
    message = Msg(_client=None, subject="evt.a.numbers", reply=reply, data=b"%d" % number)  # type: ignore[arg-type]
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
