"""A consumer whose connection is lost again before it could say what it has no use for."""

import asyncio
import contextlib

from atoll.runtime.events.broker import Broker
from tests.runtime.events.parts import Orders, Placed, Running, placed
from tests.waiting import eventually


class Line:
    """Passes bytes on to a port and back, for as many connections as are made. received: what came back, in all.

    faulty: the number of the connection that ends at its first question about the consumer.
    """

    def __init__(self, port: int, faulty: int) -> None:
        self._port, self._faulty = port, faulty
        self.connections = 0
        self.received = b""
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        ends_at = b"CONSUMER.INFO" if self.connections == self._faulty else b"\0"
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        self.writers += [writer, forth]
        answers = asyncio.create_task(self._answers(back, writer))
        with contextlib.suppress(OSError):
            while (data := await reader.read(65_536)) and ends_at not in data:
                forth.write(data)
        answers.cancel()
        writer.transport.abort()
        forth.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                self.received += data
                writer.write(data)

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Patient(Orders):
    """Waits in the first event."""

    proceed: asyncio.Event

    async def bare(self, event: Placed) -> None:
        await super().bare(event)
        if event.number == 1:
            await self.proceed.wait()


async def test_what_waits_comes_again_at_once_also_where_a_second_loss_follows_the_first(running: Running) -> None:
    # Given one event at work and two that wait for it
    source = running.source("bare", concurrency=1, ack_wait=60.0)
    await running.prepare(source)
    line = Line(int(running.server.url.rpartition(":")[2]), faulty=2)
    server = await asyncio.start_server(line, "127.0.0.1", 0)
    orders = Patient(None)
    orders.proceed = asyncio.Event()
    publisher = await running.publisher()
    for number in (1, 2, 3):
        await publisher.publish(placed, Placed("a", number))
    address = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    broker = Broker(address, running.user, running.server.password, "orders-1")
    broker.start()
    consumer = await running.consumer(orders, source, database=None, broker=broker)
    await eventually(lambda: line.received.count(b'"number":') == 3)
    # When the connection is lost, and the next one too, before it has given any of them back
    line.cut()
    await eventually(lambda: line.connections == 3)
    orders.proceed.set()
    # Then the others come again, without waiting until the broker misses an answer
    await eventually(lambda: {event.number for event in orders.seen} == {1, 2, 3}, within=10)
    await consumer.stop(1.0)
    await broker.close()
    server.close()
