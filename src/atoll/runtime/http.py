"""HTTP/1.1 on one connection: requests in, answers out, in their order."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, cast

import httptools
import msgspec

from atoll.runtime.connections import Connections
from atoll.runtime.refusals import (
    BAD_FRAMING,
    BAD_HOST,
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    TARGET_TOO_LONG,
    TOO_LARGE,
    TOO_SLOW,
    Refusal,
)

LONGEST_TARGET = 8_192
LARGEST_HEAD = 32_768
"""Bytes of all names and values; each header counts 4 more."""

MOST_QUEUED = 16
"""Pipelined requests that wait on one connection before it is no longer read."""

IDLE = 75.0
"""Seconds that a connection may stand open without a request."""

SLOWEST = 15.0
"""Seconds in which a whole request has to arrive: against clients that hold connections by dripping bytes."""

LINGER = 2.0
"""Seconds that a refused client is still listened to; closing at once would take the answer back from its socket."""

WATCHED = frozenset(
    (
        b"host",
        b"expect",
        b"upgrade",
        b"baggage",
        b"connection",
        b"tracestate",
        b"traceparent",
        b"content-type",
        b"content-length",
        b"idempotency-key",
        b"x-atoll-subject",
        b"x-atoll-scopes",
        b"content-encoding",
        b"transfer-encoding",
        b"x-envoy-expected-rq-timeout-ms",
    )
)
"""The headers that anybody here reads; all others are counted and forgotten."""
_LENGTHS = frozenset(map(len, WATCHED))
_UNUSUAL = frozenset((b"connection", b"transfer-encoding", b"upgrade"))


class Exchange(msgspec.Struct, eq=False):
    """One request and the answer owed for it.

    started: time.monotonic_ns() when it was complete. old: it came by HTTP/1.0.
    refusal: what is wrong with it already. task: who works on it, cancelled if the peer goes first.
    gone: the peer went; no answer is owed any more.
    """

    connection: "Connection"
    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    started: int
    old: bool = False
    refusal: Refusal | None = None
    task: asyncio.Task[None] | None = None
    gone: bool = False


class Connection(asyncio.Protocol):
    """receiving → queued → current → answered, one request after the other.

    Pipelined requests wait in a queue and run one at a time: an order that two POSTs on a connection can rely on.
    After a refusal nothing more is heard (`_deaf`); the answers before it are still given, in their order.
    """

    __slots__ = (
        "_advancing",
        "_application",
        "_body",
        "_burst",
        "_continue",
        "_current",
        "_deaf",
        "_feed",
        "_headers",
        "_held",
        "_in_body",
        "_parser",
        "_paused",
        "_queue",
        "_received",
        "_receiving",
        "_refusal",
        "_shared",
        "_since",
        "_size",
        "_target",
        "_transport",
        "_writable",
    )

    _transport: asyncio.Transport

    def __init__(self, application: "Application", shared: Connections) -> None:
        self._application = application
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._size = self._received = self._burst = 0
        self._receiving = self._in_body = self._deaf = self._continue = False
        self._paused = self._held = self._advancing = False
        self._refusal: Refusal | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._writable: asyncio.Future[None] | None = None
        self._since = shared.now

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._shared.add(self):
            self._transport.abort()
        self._since = self._shared.now

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._shared.remove(self)
        self._queue.clear()
        self.resume_writing()
        exchange, self._current = self._current, None
        if exchange is not None:
            exchange.gone = True
            if exchange.task is not None:
                exchange.task.cancel()
        # The parser holds our callbacks and we hold the parser: without this both wait for the garbage collector.
        del self._parser
        self._feed = _forget

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        unfinished = self._headers if self._receiving else None
        self._burst = 0
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the request is served as it is; what follows would be another protocol
        except httptools.HttpParserError:
            self._unreadable()
        if self._headers is unfinished and self._receiving and not self._deaf:
            self._bound(len(data))
        if self._queue and self._current is None:
            asyncio.get_running_loop().call_soon(self._next)

    def eof_received(self) -> bool:
        return False  # the transport closes: who does not listen any more needs no answer

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._next()

    # The parser calls these.

    def on_url(self, url: bytes) -> None:
        if not self._receiving:
            self._receiving = True
            self._since = self._shared.now
        self._target += url
        if len(self._target) > LONGEST_TARGET:
            self._stop(TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + 4
        if self._size > LARGEST_HEAD:
            self._stop(HEADERS_TOO_LARGE)
        if len(name) in _LENGTHS and not self._in_body:
            name = name.lower()
            if name in WATCHED:
                headers = self._headers
                headers[name] = headers[name] + b"," + value if name in headers else value

    def on_headers_complete(self) -> None:
        self._in_body = True
        headers = self._headers
        if int(headers.get(b"content-length", 0)) > self._shared.body_limit:
            self._stop(TOO_LARGE)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._continue = True
            self._invite()

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        if len(self._body) > self._shared.body_limit:
            self._stop(TOO_LARGE)

    def on_message_complete(self) -> None:
        parser, headers = self._parser, self._headers
        keep_alive = parser.should_keep_alive()
        exchange = Exchange(
            self, parser.get_method(), self._target, headers, bytes(self._body), keep_alive, time.monotonic_ns()
        )
        host = headers.get(b"host")
        if not keep_alive or host is None or b"," in host or headers.keys() & _UNUSUAL:
            self._check(exchange, parser.get_http_version())
        self._target, self._headers, self._body = b"", {}, b""
        self._size = self._received = 0
        self._receiving = self._in_body = self._continue = False
        self._accept(exchange)

    def _check(self, exchange: Exchange, version: str) -> None:
        """Refuse what the parser lets pass and no two servers must read differently."""
        exchange.refusal = _framing(exchange.headers, version)
        exchange.old = version == "1.0"
        if exchange.refusal is not None or b"upgrade" in exchange.headers:
            exchange.keep_alive = False
            self._deaf = True

    def _stop(self, refusal: Refusal) -> None:
        """Out of a callback: end the parsing, for nothing of the request is worth reading."""
        self._refusal = refusal
        raise ValueError(refusal.kind)

    def _unreadable(self) -> None:
        """The parser gave up."""
        last = self._queue[-1] if self._queue else self._current
        if self._refusal is None and last is not None and not last.keep_alive:
            self._deaf = True  # the last request said that it is the last: what follows it is nobody's
        else:
            self._refuse(self._refusal or BAD_REQUEST)

    def _bound(self, more: int) -> None:
        """Refuse a head or body that grows without a callback: the parser tells of a header when it is whole."""
        self._received += more
        if self._received > 2 * LARGEST_HEAD + (8 * self._shared.body_limit if self._in_body else 0):
            self._refuse(TOO_LARGE if self._in_body else HEADERS_TOO_LARGE)

    # Requests.

    def _refuse(self, refusal: Refusal) -> None:
        """Answer the request that is being received, in its turn, and hear no more."""
        self._deaf = True
        self._receiving = False
        method = self._parser.get_method() if self._target else b""
        self._accept(
            Exchange(self, method, self._target, self._headers, b"", False, time.monotonic_ns(), refusal=refusal)
        )

    def _accept(self, exchange: Exchange) -> None:
        self._since = self._shared.now
        if self._current is None and not self._queue and self._burst < MOST_QUEUED:
            self._burst += 1
            self._start(exchange)
            return
        self._queue.append(exchange)
        if len(self._queue) == MOST_QUEUED:
            self._held = True
            self._transport.pause_reading()

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        if exchange.refusal is None:
            self._application.serve(exchange)
        else:
            self._application.refuse(exchange, exchange.refusal)

    def _next(self) -> None:
        """After an answer: a few requests of the queue, or reading on."""
        if self._advancing:
            return
        self._advancing = True
        for _ in range(MOST_QUEUED):
            if self._current is not None or self._paused or not self._queue:
                break
            self._start(self._queue.popleft())
        self._advancing = False
        if self._current is not None or self._paused:
            return
        if self._queue:
            # Others wait too: answers that need no waiting must not keep the loop for a whole pipeline.
            asyncio.get_running_loop().call_soon(self._next)
            return
        if self._held and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()
        self._invite()

    def _invite(self) -> None:
        """Answer `Expect: 100-continue`, once everything before is answered."""
        if self._continue and self._current is None and not self._queue:
            self._continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Answers. One for an exchange that is not the current one comes too late, and is nobody's.

    def answer(self, exchange: Exchange, head: bytes, body: bytes, *, lengthless: bool = False) -> None:
        """Write the whole answer.

        head: status line and headers without date, length and persistence, each with its line end.
        lengthless: the answer can have no body (204, 304), so it has no length either.
        """
        if exchange is not self._current:
            return
        if lengthless:
            data = self._head(exchange, head) + b"\r\n"
        else:
            sent = b"" if exchange.method == b"HEAD" else body
            data = b"%bcontent-length: %d\r\n\r\n%b" % (self._head(exchange, head), len(body), sent)
        self._transport.write(data)
        self._finish()

    def begin(self, exchange: Exchange, head: bytes) -> None:
        """Write the head of an answer whose length nobody knows yet."""
        if exchange is not self._current:
            return
        if exchange.old:
            exchange.keep_alive = False  # the end of the connection is the end of the body
            self._transport.write(self._head(exchange, head) + b"\r\n")
        else:
            self._transport.write(self._head(exchange, head) + b"transfer-encoding: chunked\r\n\r\n")

    def push(self, exchange: Exchange, data: bytes) -> None:
        """Write a piece of the body, whether or not the peer can take it."""
        if exchange is self._current:
            self._transport.write(data if exchange.old else b"%x\r\n%b\r\n" % (len(data), data))

    async def write(self, exchange: Exchange, data: bytes) -> None:
        """Write a piece, and return when the peer can take more, or has gone."""
        self.push(exchange, data)
        while self._paused and exchange is self._current:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable

    def end(self, exchange: Exchange) -> None:
        """The answer is whole."""
        if exchange is self._current:
            if not exchange.old:
                self._transport.write(b"0\r\n\r\n")
            self._finish()

    def _head(self, exchange: Exchange, head: bytes) -> bytes:
        if not exchange.keep_alive:
            return b"%b%bconnection: close\r\n" % (head, self._shared.date)
        if self._shared.draining and not self._queue:
            exchange.keep_alive = False
            return self._head(exchange, head)
        if exchange.old:
            return b"%b%bconnection: keep-alive\r\n" % (head, self._shared.date)
        return head + self._shared.date

    def _finish(self) -> None:
        exchange, self._current = self._current, None
        self._since = self._shared.now
        if exchange is not None and not exchange.keep_alive:
            self._queue.clear()
            self._close()
        elif self._queue or self._continue:
            self._next()

    # The end.

    def _close(self) -> None:
        if self._deaf and self._transport.can_write_eof():
            # The peer may still be sending: a close would reset the connection and take the answer with it.
            self._transport.write_eof()
            if self._held:
                self._transport.resume_reading()
        else:
            self._transport.close()
        self._deaf = True

    def close_if_idle(self) -> None:
        if self._current is None and not self._receiving:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def expire(self, now: float) -> None:
        """End what has waited too long. now: seconds of time.monotonic()."""
        waited = now - self._since
        if self._current is not None or self._queue:
            return
        if self._deaf:
            if waited > LINGER:
                self._transport.abort()
        elif self._receiving:
            if waited > SLOWEST:
                self._refuse(TOO_SLOW)
        elif waited > IDLE:
            # A peer that leaves its answer unread would keep a mere close waiting.
            self._transport.abort()


class Application(Protocol):
    """What answers the requests of a listener."""

    def serve(self, exchange: Exchange) -> None:
        """Answer it, now or later, by one of the connection's methods. Must not raise."""
        ...

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        """Answer at once with a problem document. Must not raise."""
        ...


def _forget(data: bytes) -> None:
    """What a closed connection does with what arrives."""


def _framing(headers: dict[bytes, bytes], version: str) -> Refusal | None:
    """What the parser lets pass and no two servers must read differently."""
    host = headers.get(b"host")
    if (host is None and version != "1.0") or (host is not None and b"," in host):
        return BAD_HOST
    encoding = headers.get(b"transfer-encoding")
    if encoding is not None and (version != "1.1" or encoding.lower() != b"chunked"):
        return BAD_FRAMING
    return None


def status_line(status: int) -> bytes:
    """ "HTTP/1.1 200 OK" with its line end."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())
