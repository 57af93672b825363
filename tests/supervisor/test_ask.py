import asyncio

import pytest

from atoll.engines.engine import HttpGet
from atoll.provision.http import ask
from tests.ports import free_port


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 503, ""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
            200,
            "a\r\n0123456789",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n cut", 200, "ok"),
        (b"220 mail ESMTP\r\n", 0, ""),
        (b"", 0, ""),
    ],
)
async def test_an_answer_is_read_however_its_length_is_told(sent: bytes, status: int, body: str) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        reply = await ask(HttpGet("/path", port=server.sockets[0].getsockname()[1]), method="POST")
    assert (reply.status, reply.body) == (status, body)
    assert asked[0].startswith(b"POST /path HTTP/1.1\r\n")


async def test_where_nobody_listens_it_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError):
        await ask(HttpGet("/path", port=free_port()))
