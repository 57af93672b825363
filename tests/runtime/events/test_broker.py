"""The connection to NATS."""

import asyncio
import contextlib
import gc
import secrets
import socket
import struct
from typing import cast

import pytest

from atoll.errors import EventError
from atoll.runtime.events.broker import Broker, Connection, Lost, NoStream, Refused, stored
from atoll.runtime.events.deadletters import dead
from atoll.wire import subjects
from tests.ports import free_port
from tests.runtime.events.parts import Running
from tests.runtime.servers import NatsServer
from tests.standing_still import standing_still
from tests.waiting import eventually

GREETING = b'INFO {"server_id":"x","version":"2.11.0","max_payload":1048576}\r\n'


async def test_headers_come_back_as_they_were_whatever_is_in_them(running: Running) -> None:
    # Given headers of every kind, one with line breaks that would begin a command of their own
    await running.prepare(running.source("note"))
    connection = await running.connection()
    headers = {
        "ce-id": "1",
        "atoll-reason": "größer als 5 €: nein",
        "Odd": " spaces and : colons ",
    }
    subject = subjects.dead_subject(running.system, "order-placed", "orders-note")
    stored(await (await connection.publish(subject, b"\r\n\x00payload", headers)))
    injected = {"ce-id": "2", "atoll-reason": "first\r\nPUB evt.other 0\r\n\r\n"}
    stored(await (await connection.publish(subject, b"", injected)))
    # Then they are read as written, and the line breaks are gone
    first, second = await dead(connection, running.system)
    assert (first.reason, first.headers["Odd"]) == ("größer als 5 €: nein", "spaces and : colons")
    assert first.payload == b"\r\n\x00payload"
    assert second.event_id == "2"
    assert "\n" not in second.reason


async def test_a_subject_without_a_stream_and_a_request_that_fails_are_told_apart(running: Running) -> None:
    connection = await running.connection()
    with pytest.raises(NoStream):
        stored(await (await connection.publish(f"nobody.{secrets.token_hex(4)}", b"", {})))
    with pytest.raises(Refused, match="stream not found") as refused:
        await connection.request("$JS.API.STREAM.INFO.nothing")
    assert refused.value.code == 10059


async def test_a_loss_ends_what_was_under_way_and_a_new_connection_follows(running: Running) -> None:
    broker = await running.broker()
    connection = await broker.connection(5.0)
    # Given a request that nobody answers
    waiting = await connection.publish(subjects.inbox("admin") + ".silent", b"", {})
    await connection.subscribe(subjects.inbox("admin") + ".silent", ignore)
    silent = await connection.publish(subjects.inbox("admin") + ".silent", b"", {})
    with contextlib.suppress(NoStream):
        stored(await waiting)
    # When the broker ends
    running.server.kill()
    try:
        with pytest.raises(Lost):
            await asyncio.wait_for(silent, 5.0)
        with pytest.raises(Lost):
            await connection.publish("evt.x.y", b"", {})
    finally:
        running.server.start()
    # Then there is another connection
    await eventually(lambda: broker.is_connected)
    assert await broker.connection() is not connection


async def ignore(_: object) -> None:
    return None


async def test_a_broker_that_is_not_there_yet_is_waited_for() -> None:
    broker = Broker(f"nats://127.0.0.1:{free_port()}", "admin", "x", "test")
    broker.start()
    with pytest.raises(EventError, match=r"ATL3303.*Connection refused"):
        await broker.connection(1.0)
    assert not broker.is_connected
    await broker.close()


async def test_what_is_no_broker_yet_is_tried_until_it_is_one(nats_server: NatsServer) -> None:
    # Given an address that answers with anything at all, hangs up before and after its greeting, and at last is NATS
    nonsense = [b"x" * 200_000, b"", b"INFO []\r\n", b"INFO {\r\n", GREETING]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if nonsense:
            writer.write(nonsense.pop(0))
        else:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", nats_server.port)
            await asyncio.gather(passed(inner_reader, writer), passed(reader, inner_writer))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        broker = Broker(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "admin", nats_server.password, "test")
        broker.start()
        connection = await broker.connection(20.0)
        # Then it is found, and works
        assert nonsense == []
        assert await connection.request("$JS.API.INFO")
        await broker.close()


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


class Deaf(asyncio.Protocol):
    """A peer that lets us in as NATS does, and then reads no more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        if b"PING" in data:
            self.transport.write(b"PONG\r\n")
            self.transport.pause_reading()

    def reset(self) -> None:
        peer: socket.socket = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def test_a_connection_that_is_reset_while_much_is_buffered_ends_without_a_stray_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # What other tests left behind is told now.
    gc.collect()
    caplog.clear()
    # Given a peer that reads no more, and more to send than the sockets between us hold
    deaf = Deaf()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: deaf, "127.0.0.1", 0) as server:
        connection = Connection(subjects.inbox("admin"))
        await connection.open(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "admin", "x", "test")
        while connection._client.pending_data_size < 2**20:
            await connection.send("greetings", bytes(2**18))
            await asyncio.sleep(0)
        # When the peer resets the connection
        deaf.reset()
        # Then it is lost, and none of its tasks fails where nobody sees it
        await asyncio.wait_for(connection.lost.wait(), 5.0)
        await connection.close()
    del connection
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("answered", [True, False], ids=["published", "sent"])
async def test_who_waits_for_room_in_the_buffer_learns_that_the_connection_is_lost(answered: bool) -> None:
    # Given a peer that reads no more, and a batch that fills the buffer without a pause
    deaf = Deaf()

    async def send_all(connection: Connection) -> None:
        for _ in range(80):
            if answered:
                await connection.publish("greetings", bytes(2**19), {"ce-id": "1"})
            else:
                await connection.send("greetings", bytes(2**19))

    async with await asyncio.get_running_loop().create_server(lambda: deaf, "127.0.0.1", 0) as server:
        connection = Connection(subjects.inbox("admin"))
        await connection.open(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "admin", "x", "test")
        sending = asyncio.create_task(send_all(connection))
        queue = connection._client._flush_queue
        assert queue is not None
        try:
            await eventually(lambda: queue.qsize() > 0, "the second to be written waits, while the first can't be")
            # When another gives up waiting, then it may at once
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(send_all(connection), 0.1)
            # and when the peer resets the connection, then who waits still is told
            assert not sending.done()
            deaf.reset()
            with pytest.raises(Lost):
                await asyncio.wait_for(sending, 5.0)
        finally:
            sending.cancel()
            await connection.close()


async def test_a_connection_that_has_just_ended_is_not_given_to_anybody(nats_server: NatsServer) -> None:
    # Given a connection that ends, and those concerned have had no turn yet to see it
    broker = Broker(nats_server.url, "admin", nats_server.password, "test")
    broker.start()
    connection = await broker.connection(5.0)
    ending = asyncio.create_task(connection._client.close())
    await asyncio.sleep(0)
    assert not connection.lost.is_set()
    assert not connection.is_open
    # Then the next is waited for
    following = await broker.connection(5.0)
    assert following is not connection
    assert await following.request("$JS.API.INFO")
    await ending
    await broker.close()


async def test_an_answer_that_nobody_waits_for_any_more_ends_nothing(nats_server: NatsServer) -> None:
    connection = Connection(subjects.inbox("admin"))
    await connection.open(nats_server.url, "admin", nats_server.password, "test")
    with standing_still(nats_server.pid), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connection.flush()
    await connection.flush()
    assert await connection.request("$JS.API.INFO")
    assert connection.is_open
    await connection.close()


async def test_an_address_that_is_none_is_said_and_tried_on(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker("nats://broker:notaport", "admin", "x", "test")
    broker.start()
    with pytest.raises(EventError, match=r"ATL3303.*invalid connect url"):
        await broker.connection(1.0)
    assert broker._keeper is not None
    assert not broker._keeper.done()
    await broker.close()
    assert "can't be reached: nats: invalid connect url option; trying again" in caplog.text


async def test_a_wrong_password_is_said(nats_server: NatsServer) -> None:
    broker = Broker(nats_server.url, "admin", "wrong", "test")
    broker.start()
    with pytest.raises(EventError, match=r"(?i)authorization violation"):
        await broker.connection(1.0)
    await broker.close()


async def test_closing_in_the_middle_of_connecting_ends_at_once(nats_server: NatsServer) -> None:
    for _ in range(20):
        broker = Broker(nats_server.url, "admin", nats_server.password, "test")
        broker.start()
        await asyncio.sleep(0)
        await asyncio.wait_for(broker.close(), 5.0)


async def test_what_is_sent_before_a_close_arrives(nats_server: NatsServer) -> None:
    async def open_one() -> Connection:
        connection = Connection(subjects.inbox("admin"))
        await connection.open(nats_server.url, "admin", nats_server.password, "test")
        return connection

    received: list[bytes] = []

    async def receive(message: object) -> None:
        received.append(getattr(message, "data", b""))

    listening, sending = await open_one(), await open_one()
    await listening.subscribe("greetings", receive)
    await listening.flush()
    for number in range(1_000):
        await sending.send("greetings", b"%d" % number)
    await sending.close()
    await eventually(lambda: len(received) == 1_000)
    await listening.close()
