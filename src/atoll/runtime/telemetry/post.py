"""Posts one body after the other to one place, over a connection that is kept."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

_PATIENCE = 10.0
_LONGEST_ANSWER = 65_536


class Answer(NamedTuple):
    """What the other side said. retry_after: seconds; 0 if it did not say."""

    status: int
    retry_after: float = 0.0


class Post:
    """An endpoint such as "http://127.0.0.1:4318" or "https://otlp.example.org/tenant".

    headers: sent with each request.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        url = urlsplit(endpoint)
        self._tls = url.scheme == "https"
        self._host = url.hostname or "127.0.0.1"
        self._port = url.port or (443 if self._tls else 4318)
        self._path = url.path.rstrip("/")
        said = {"host": url.netloc.rpartition("@")[2], "content-type": "application/x-protobuf", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, path: str, body: bytes) -> Answer:
        """Raises OSError, also when there is no answer within ten seconds."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._send(path, body)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError | EOFError | ValueError | asyncio.LimitOverrunError):
                raise OSError(f"no answer: {error!r}") from error
            raise

    async def _send(self, path: str, body: bytes) -> Answer:
        if self._writer is None or self._reader is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls or None)
        head = f"POST {self._path}{path} HTTP/1.1\r\n{self._head}content-length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode("latin-1") + body)
        await self._writer.drain()
        return await self._answer(self._reader)

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) <= _LONGEST_ANSWER and headers.get("connection", "").lower() != "close":
            await reader.readexactly(int(length))
        else:
            self.close()
        wait = headers.get("retry-after", "")
        return Answer(int(line.split(" ")[1]), float(wait) if wait.isdigit() else 0.0)

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.close()
        self._reader = self._writer = None
