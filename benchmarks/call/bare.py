"""The bare client: uvloop, httptools and msgspec, a connection a call at a time, nothing else."""

import asyncio
import contextlib
from typing import cast

import httptools
import msgspec

from benchmarks.call.client import Call, Calls, main
from benchmarks.endpoint.messages import NewOrder, Order

ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(Order).decode
HEAD = b"POST /orders/42 HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._answer is not None:
            self._answer.set_result(self._body)

    async def ask(self, order: NewOrder) -> Order:
        body = ENCODE(order)
        self._body = b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(HEAD % (len(body), body))
        return DECODE(await self._answer)


@contextlib.asynccontextmanager
async def connected(port: int) -> Calls:
    loop = asyncio.get_running_loop()
    idle: list[Connection] = []
    made: list[Connection] = []

    async def call(order: NewOrder) -> Order:
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
            made.append(connection)
        order_made = await connection.ask(order)
        idle.append(connection)
        return order_made

    typed: Call = call
    yield typed
    for connection in made:
        connection.transport.abort()


if __name__ == "__main__":
    main(connected)
