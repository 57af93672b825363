"""One HTTP/1.1 connection to a replica."""

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

import httptools

from atoll.runtime.discovery import Endpoint

LARGEST_HEAD = 65_536
"""Bytes of status line and headers, those of early hints included."""

C = TypeVar("C", bound="Connection")


class BrokenAnswer(Exception):
    """What came is no HTTP answer, or a larger one than is taken; the connection is of no further use."""


class _Callbacks:
    """What the parser calls: the list's own append for the body costs nothing of ours."""

    __slots__ = ("on_body", "on_headers_complete", "on_message_begin", "on_message_complete")

    def __init__(self, connection: "Connection") -> None:
        self.on_message_begin = connection.begin
        self.on_headers_complete = connection.head
        self.on_body = connection.parts.append
        self.on_message_complete = connection.complete


class Connection(asyncio.Protocol):
    """Sends a request, receives its answer, one at a time; whoever takes it from the pool puts it back.

    fresh -send-> waiting -complete-> done -take-> idle -send-> ...; any -lost-> closed

    status, headers, parts: of the answer, valid once `send`'s future is done, until the next `send`.
    answers: how many were received; a connection that gave some may have been closed by the peer meanwhile.
    received: bytes of the present answer; 0 means that nothing at all came back.
    idle_since: seconds of the monotonic clock, set by the pool.
    """

    __slots__ = (
        "_feed",
        "_future",
        "_head",
        "_keep_alive",
        "_limit",
        "_loop",
        "_status",
        "_transport",
        "_write",
        "answers",
        "closed",
        "idle_since",
        "parts",
        "received",
        "status",
    )

    def __init__(self, limit: int) -> None:
        """limit: most bytes of an answer."""
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._future: asyncio.Future[None] | None = None
        self.parts: list[bytes] = []
        self._head = b""
        self.status = 0
        self.answers = 0
        self.received = 0
        self.idle_since = 0.0
        self.closed = False
        parser = httptools.HttpResponseParser(_Callbacks(self))
        self._feed: Callable[[bytes], None] = parser.feed_data
        self._status: Callable[[], int] = parser.get_status_code
        self._keep_alive: Callable[[], bool] = parser.should_keep_alive

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Write the request. The future is done when the answer is whole.

        It raises BrokenAnswer, or ConnectionError when the connection ended before.
        Must not be called on a closed connection: then nothing would have been sent.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._future = future
        self.received = self.status = 0
        if self.parts:
            self.parts.clear()
        self._head = b""
        self._write(request)
        return future

    def take_body(self) -> bytes:
        """The bytes of the body that came since the last time."""
        parts = self.parts
        if not parts:
            return b""
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return body

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Of the answer, in their order, as they were written. Few callers look, so they are read only now."""
        head, rest = b"HTTP/1.1 1", self._head
        while head.startswith(b"HTTP/1.1 1"):
            head, _, rest = rest.partition(b"\r\n\r\n")
        pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        return [(name, value.strip(b" \t")) for name, _, value in pairs]

    def abort(self) -> None:
        """Close at once. An answer that is still owed could otherwise be taken for that of the next request."""
        self.closed = True
        self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._future is None:
            # Nothing was asked: a farewell such as 408 before the peer closes.
            self.abort()
        elif self.received > self._limit:
            self._break(f"the answer is larger than {self._limit} bytes")
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self.status < 200:
            self._head += data
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(f"the answer is not HTTP: {error}")
        else:
            if self.status < 200 and len(self._head) > LARGEST_HEAD:
                self._break(f"the answer's head is larger than {LARGEST_HEAD} bytes")

    def eof_received(self) -> None:
        # The transport closes itself, and tells so a moment later: until then nobody may be given this connection.
        self.closed = True
        if self._future is not None and self.status and self._ends_with_connection():
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail(exc if isinstance(exc, ConnectionError) else ConnectionResetError("closed by the peer"))
        # The parser holds this object: without these lines only the garbage collector would free both.
        del self._feed, self._status, self._keep_alive

    # What the parser calls.

    def begin(self) -> None:
        if self._future is None:
            # The parser stops here, so that nothing of it mixes with the answer before.
            raise BrokenAnswer("more than the one answer that was owed")
        self.status = 0

    def head(self) -> None:
        self.status = self._status()

    def complete(self) -> None:
        if self.status < 200:
            # 100 Continue and 103 Early Hints come before the answer.
            return
        if not self._keep_alive():
            # Not by and by: who answers before the request is whole may never read the rest.
            self.abort()
        self.answers += 1
        future, self._future = self._future, None
        # It was cancelled, or its deadline passed.
        if future is not None and not future.done():
            future.set_result(None)

    def _finish(self) -> None:
        future, self._future = self._future, None
        if future is not None and not future.done():
            future.set_result(None)

    def _fail(self, error: Exception) -> None:
        future, self._future = self._future, None
        if future is not None and not future.done():
            future.set_exception(error)

    def _break(self, reason: str) -> None:
        self._fail(BrokenAnswer(reason))
        self.abort()

    def _ends_with_connection(self) -> bool:
        """Whether the body has neither length nor chunks (RFC 9112, 6.3): then the end of the connection ends it."""
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers())


class StreamConnection(Connection):
    """Receives one answer piece by piece, then is closed.

    `send`'s future is done when the head is there; `more` waits for what follows.
    """

    __slots__ = ("_error", "_paused", "ended")

    def __init__(self, limit: int) -> None:
        """limit: bytes that wait to be taken before the peer is made to wait."""
        super().__init__(limit)
        self._error: Exception | None = None
        self._paused = False
        self.ended = False

    def more(self) -> asyncio.Future[None]:
        """Done when `parts` holds something, or the stream `ended`; raises ConnectionError, BrokenAnswer."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self.parts or self.ended:
            future.set_result(None)
        elif self._error is not None:
            future.set_exception(self._error)
        else:
            self._future = future
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
        return future

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._parse(data)
        if self.parts:
            self._finish()
            if not self._paused and sum(map(len, self.parts)) > self._limit:
                self._paused = True
                self._transport.pause_reading()

    def eof_received(self) -> None:
        self.closed = True
        if self.status and self._ends_with_connection():
            self.ended = True
            self._finish()

    def begin(self) -> None:
        self.status = 0

    def head(self) -> None:
        self.status = self._status()
        if self.status >= 200:
            self._finish()

    def complete(self) -> None:
        if self.status >= 200:
            self.ended = True
            self._finish()

    def _fail(self, error: Exception) -> None:
        if not self.ended:
            self._error = error
        super()._fail(error)


async def connect(endpoint: Endpoint, make: Callable[[], C], tls: ssl.SSLContext | None, timeout: float) -> C:
    """Open a connection. Raises OSError, TimeoutError among them, and ssl.SSLError; nothing was sent then."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        if endpoint.path:
            _, connection = await loop.create_unix_connection(make, endpoint.path)
        else:
            secure = tls if endpoint.server else None
            name = endpoint.server or None
            _, connection = await loop.create_connection(
                make, endpoint.host, endpoint.port, ssl=secure, server_hostname=name
            )
    return connection
