"""A service listened to on a real socket, and a peer that writes the bytes it likes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from atoll.model.service import read_implementation
from atoll.runtime.faults import Faults
from atoll.runtime.listener import Listener
from atoll.runtime.server import Claims, Server
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder

WITHIN = 5.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, address: str) -> Self:
        if address.startswith("unix:"):
            return cls(*await asyncio.open_unix_connection(address.removeprefix("unix:")))
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        async with asyncio.timeout(WITHIN):
            head = await self.reader.readuntil(b"\r\n\r\n")
        line, *rows = head.decode().split("\r\n")[:-2]
        return int(line.split()[1]), {
            name.lower(): value.strip() for name, _, value in (r.partition(":") for r in rows)
        }

    async def answer(self, *, method: str = "GET") -> Answer:
        """The next answer, with its body."""
        status, headers = await self.head()
        async with asyncio.timeout(WITHIN):
            if method == "HEAD" or status in (100, 204):
                return Answer(status, headers, b"")
            if headers.get("transfer-encoding") == "chunked":
                return Answer(status, headers, b"".join([chunk async for chunk in self.chunks()]))
            if "content-length" in headers:
                return Answer(status, headers, await self.reader.readexactly(int(headers["content-length"])))
            return Answer(status, headers, await self.reader.read())

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces of a chunked body, up to its end."""
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def closed(self) -> bool:
        """Whether the other side closes without another byte."""
        async with asyncio.timeout(WITHIN):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    async def ask(self, method: str, target: str, body: object = None, **headers: str) -> Answer:
        await self.send(request(method, target, body, **headers))
        return await self.answer(method=method)


def request(method: str, target: str, body: object = None, **headers: str) -> bytes:
    """The bytes of a request. body: bytes as they are, anything else as JSON; headers: x_name="value"."""
    lines = [f"{method} {target} HTTP/1.1"]
    given = {"host": "test"} | {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    if body is not None:
        given = {"content-length": str(len(data)), "content-type": "application/json"} | given
    lines += [f"{name}: {value}" for name, value in given.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


class Served:
    """A service that is listened to."""

    def __init__(self, server: Server, listener: Listener, telemetry: Telemetry) -> None:
        self.server, self.listener, self.telemetry = server, listener, telemetry

    @property
    def address(self) -> str:
        return self.listener.address

    async def peer(self) -> Peer:
        return await Peer.connect(self.address)

    async def ask(self, method: str, target: str, body: object = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        async with await self.peer() as peer:
            return await peer.ask(method, target, body, **headers)


@contextlib.asynccontextmanager
async def served(
    service: object,
    *,
    address: str = "127.0.0.1:0",
    concurrency: int = 100,
    patience: float = 3.0,
    body_limit: int = 1_000_000,
    claims: Claims | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[Served]:
    """The service on a free port, until the end of the block."""
    telemetry = Telemetry(Recorder(), Metrics(), "test", "test-1")
    implementation, problems = read_implementation(type(service))
    assert problems == []
    server = Server(
        implementation.contracts,
        service,
        telemetry,
        concurrency=concurrency,
        patience=patience,
        claims=claims,
        faults=faults,
    )
    listener = Listener(address, server, body_limit)
    await listener.open()
    try:
        yield Served(server, listener, telemetry)
    finally:
        await server.stop(1.0)
        listener.abort()
