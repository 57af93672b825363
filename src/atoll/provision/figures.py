"""Asks PostgreSQL and NATS for figures, and answers Prometheus with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec

from atoll.engines.engine import HttpGet
from atoll.engines.figures import (
    ACTIVITY,
    DATABASES,
    JSZ,
    SERVER,
    VARZ,
    Activity,
    Jsz,
    Statistics,
    Varz,
    nats_figures,
    postgres_figures,
)
from atoll.provision.http import ask
from atoll.wire.exposition import MEDIA_TYPE, Figure

PATIENCE = 2.0
"""Seconds in which an engine must have answered: Prometheus waits for all of them together."""
_LONGEST_REQUEST = 16_384
_MOST_AT_ONCE = 8
_SLOWEST = 5.0

Page = Callable[[], Awaitable[str]]


class PostgresFigures:
    """Asks the server with this DSN, by one connection that is kept. dsn: of who may see all databases."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._turn = asyncio.Lock()

    async def read(self) -> list[Figure]:
        """What it says; that it is down, if it says nothing in time."""
        async with self._turn:
            try:
                async with asyncio.timeout(PATIENCE):
                    return postgres_figures(await self._ask())
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self.close()
                return postgres_figures(None)

    async def _ask(self) -> Statistics:
        if self._connection is None or self._connection.is_closed():
            settings = {"application_name": "atoll figures"}
            self._connection = await asyncpg.connect(self._dsn, server_settings=settings)
        connection = self._connection
        databases = [tuple(row) for row in await connection.fetch(DATABASES)]
        activity = [Activity(*row) for row in await connection.fetch(ACTIVITY)]
        server = await connection.fetchrow(SERVER)
        assert server is not None
        return Statistics(databases, activity, *server)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def nats_read(host: str, port: int) -> list[Figure]:
    """What the broker's monitor says; that it is down, if it says nothing in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            varz = await ask(HttpGet(VARZ, port, host))
            jsz = await ask(HttpGet(JSZ, port, host))
        return nats_figures(msgspec.json.decode(varz.body, type=Varz), msgspec.json.decode(jsz.body, type=Jsz))
    except (OSError, TimeoutError, msgspec.DecodeError):
        return nats_figures(None, None)


@asynccontextmanager
async def answering(host: str, port: int, pages: Mapping[str, Page]) -> AsyncIterator[None]:
    """GET of each path is answered with its page, of a few askers at once, until the block ends. Raises OSError."""
    places = asyncio.Semaphore(_MOST_AT_ONCE)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with places, asyncio.timeout(_SLOWEST):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(head, pages))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, host, port, limit=_LONGEST_REQUEST)
    try:
        yield
    finally:
        server.close()


async def _answer(head: bytes, pages: Mapping[str, Page]) -> bytes:
    """To a request such as "GET /metrics HTTP/1.1"."""
    method, _, rest = head.decode("latin-1").partition(" ")
    page = pages.get(rest.partition(" ")[0].partition("?")[0])
    if page is None or method != "GET":
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    try:
        status, body = "200 OK", (await page()).encode()
    except OSError as error:
        status, body = "503 Service Unavailable", f"{error}\n".encode()
    lines = (f"HTTP/1.1 {status}", f"content-type: {MEDIA_TYPE}", f"content-length: {len(body)}", "connection: close")
    return "\r\n".join((*lines, "", "")).encode() + body
