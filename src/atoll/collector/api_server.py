"""Asks the API server of the cluster that the collector itself runs in."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httptools

_WITHIN = 10.0
"""Seconds for a connection and for the head of an answer."""

_LARGEST = 32 * 2**20
"""Bytes of an answer that is read as a whole."""

_BUFFER = 2**16
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Body:
    """Of an answer, as it comes. status: of the answer."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._has_head = self._is_over = False

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    async def begin(self) -> None:
        """Until its head is there. Raises OSError."""
        while not self._has_head:
            await self._more()

    async def read(self) -> bytes:
        """The next part; b"" at its end. Raises OSError if the connection ends before."""
        while not self._parts and not self._is_over:
            await self._more()
        found = b"".join(self._parts)
        self._parts.clear()
        return found

    async def whole(self) -> bytes:
        """Raises OSError."""
        found = b""
        while part := await self.read():
            found += part
            if len(found) > _LARGEST:
                raise OSError(f"an answer is larger than {_LARGEST} bytes")
        return found

    async def _more(self) -> None:
        data = await self._reader.read(_BUFFER)
        if not data:
            raise ConnectionResetError("the API server ended the connection")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise OSError(f"the API server speaks no HTTP: {error}") from error

    # --- called by the parser

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self._is_over = True


@dataclass(frozen=True, slots=True)
class ApiServer:
    """host, port: where it is. tls: None for none. token: who we are there; another one every hour."""

    host: str
    port: int
    token: Callable[[], str]
    tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def ask(self, path: str) -> AsyncIterator[Body]:
        """GET it, on a connection of its own. Raises OSError, TimeoutError, also for an answer that is no success."""
        async with asyncio.timeout(_WITHIN):
            reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls, limit=_BUFFER)
        try:
            async with asyncio.timeout(_WITHIN):
                head = f"GET {path} HTTP/1.1\r\nhost: {self.host}\r\nauthorization: Bearer {self.token()}\r\n\r\n"
                writer.write(head.encode())
                body = Body(reader)
                await body.begin()
                if body.status >= 400:
                    said = (await body.whole())[:200].decode(errors="replace")
                    raise OSError(f"GET {path}: {body.status} {said}")
            yield body
        finally:
            # Not closed with courtesy: an answer that never ends would have to be read for that.
            writer.transport.abort()

    async def get(self, path: str) -> bytes:
        """A whole answer. Raises OSError, TimeoutError."""
        async with self.ask(path) as body, asyncio.timeout(_WITHIN):
            return await body.whole()


def in_cluster(host: str, port: int, folder: Path = _ACCOUNT) -> ApiServer:
    """As a pod reaches it."""
    tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    return ApiServer(host, port, lambda: (folder / "token").read_text().strip(), tls)
