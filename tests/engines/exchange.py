"""Both ends of HTTP for tests of the gateway: a client that keeps its connection, a backend that tells what it got."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass(frozen=True)
class Seen:
    """A request as a backend saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """One keep-alive connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/1.1"]
        named = {"host": "gateway", **(headers or {})}
        if body and "transfer-encoding" not in named:
            named["content-length"] = str(len(body))
        lines += [f"{name}: {value}" for name, value in named.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        first, headers = await read_head(self.reader)
        return int(first.split()[1]), headers

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        async with asyncio.timeout(10):
            with suppress(ConnectionError):  # a body that is refused early is not read to its end
                await self.send(method, path, headers, body)
            status, received = await self.head()
            return Answer(status, received, b"" if method == "HEAD" else await read_body(self.reader, received))


@asynccontextmanager
async def connection(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def request(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One request on a connection of its own."""
    async with connection(port) as opened:
        return await opened.request(method, path, headers, body)


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk of a body; b"" is its end."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        parts = []
        while part := await read_chunk(reader):
            parts.append(part)
        return b"".join(parts)
    return await reader.readexactly(int(headers.get("content-length", 0)))


@dataclass
class Backend:
    """A replica. It answers what it saw as JSON, except below these paths:

    …/events  server-sent events, one for each item put into `events`, until an empty one.
    …/silent  nothing, ever.
    /health   200 or 503, as `healthy` says.
    An upgrade to WebSocket is accepted, and what comes then is sent back as it is.
    """

    name: str
    port: int = 0
    healthy: bool = True
    requests: list[Seen] = field(default_factory=list)
    events: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def kill(self) -> None:
        """As SIGKILL would: nobody listens, and every connection is cut."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def killed(self) -> None:
        """Kill it, until its connections are gone: what is sent to them before may have been read."""
        self.kill()
        for writer in list(self._writers):
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._answer(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = await read_head(reader)
        method, path, _ = first.split()
        body = await read_body(reader, headers)
        if path == "/health":
            writer.write(f"HTTP/1.1 {200 if self.healthy else 503} x\r\ncontent-length: 0\r\n\r\n".encode())
            return
        self.requests.append(Seen(method, path, headers, body))
        if headers.get("upgrade") == "websocket":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
            while piece := await reader.read(2**16):
                writer.write(piece)
            raise ConnectionError
        if path.endswith("/silent"):
            await reader.read()
            raise ConnectionError
        if path.endswith("/events"):
            await self._send_events(writer)
            return
        told = json.dumps({"backend": self.name, "method": method, "path": path, "headers": headers, "size": len(body)})
        head = f"HTTP/1.1 200 OK\r\nserver: secret/1.0\r\ncontent-length: {len(told)}\r\n\r\n"
        writer.write(head.encode() + (b"" if method == "HEAD" else told.encode()))

    async def _send_events(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while event := await self.events.get():
            text = f"data: {event}\n\n".encode()
            writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")


@asynccontextmanager
async def backends(*names: str) -> AsyncIterator[list[Backend]]:
    made = [Backend(name) for name in names]
    for each in made:
        await each.start()
    try:
        yield made
    finally:
        for each in made:
            each.kill()
