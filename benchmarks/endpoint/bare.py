"""The bare loop: uvloop, httptools, msgspec and one task a request, nothing else."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import cast

import httptools
import msgspec
import uvloop

from benchmarks.endpoint.messages import NewOrder, Order, answer

ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(NewOrder).decode


async def place(order: NewOrder) -> Order:
    return answer("42", order)


Handler = Callable[[NewOrder], Coroutine[object, object, Order]]
ROUTES: dict[tuple[str, str], Handler] = {("POST", "/orders/42"): place}


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._body = b""
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        pass

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        handler = ROUTES[self._parser.get_method().decode(), self._url.decode()]
        self._loop.create_task(self._handle(handler, self._body))

    async def _handle(self, handler: Handler, body: bytes) -> None:
        answered = ENCODE(await handler(DECODE(body)))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answered)
        self._transport.write(head + answered)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(Connection, "127.0.0.1", port)
    await listening.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
