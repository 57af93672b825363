"""HTTP/1.1 on one connection: requests in, answers out, in their order."""

import asyncio
from collections import deque
from typing import cast

from atoll.runtime.connections import Connections
from atoll.runtime.exchanges import Application, Exchange
from atoll.runtime.receiving import LARGEST_HEAD, UNREADABLE, Receiver
from atoll.runtime.refusals import TOO_SLOW

MOST_QUEUED = 16
"""Pipelined requests that wait on one connection before it is no longer read."""

IDLE = 75.0
"""Seconds that a connection may stand open without a request."""

SLOWEST = 15.0
"""Seconds in which a whole request has to arrive: against clients that hold connections by dripping bytes."""

LINGER = 2.0
"""Seconds that a refused client is still listened to; closing at once would take the answer back from its socket."""


class Connection(Receiver):
    """receiving → queued → current → answered, one request after the other.

    Pipelined requests wait in a queue and run one at a time: an order that two POSTs on a connection can rely on.
    After a refusal nothing more is heard; the answers before it are still given, in their order.
    """

    __slots__ = (
        "_advancing",
        "_application",
        "_burst",
        "_current",
        "_held",
        "_paused",
        "_queue",
        "_shared",
        "_since",
        "_transport",
        "_writable",
    )

    _transport: asyncio.Transport

    def __init__(self, application: Application, shared: Connections) -> None:
        super().__init__(shared.body_limit)
        self._application = application
        self._shared = shared
        self._burst = 0
        self._paused = self._held = self._advancing = False
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
            exchange.cut()
        self.forget_parser()

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        self._burst = 0
        if self.receiving or len(data) > LARGEST_HEAD:
            self.feed_carefully(data)
        else:
            self._since = self._shared.now
            try:
                self._feed(data)
            except UNREADABLE as error:
                self.unreadable(error)
        if self.expects:
            self._invite()
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

    # Requests.

    def accept(self, exchange: Exchange) -> None:
        self._since = self._shared.now
        if self._current is None and not self._queue and self._burst < MOST_QUEUED:
            self._burst += 1
            self._current = exchange
            if exchange.refusal is None:
                self._application.serve(exchange)
            else:
                self._application.refuse(exchange, exchange.refusal)
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
        if self.expects and self._current is None and not self._queue:
            self.expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Answers. One for an exchange that is not the current one comes too late, and is nobody's.

    def answer(self, exchange: Exchange, head: bytes, body: bytes, lengthless: bool = False) -> None:
        if exchange is not self._current:
            return
        shared = self._shared
        if not exchange.keep_alive or exchange.old or shared.draining or exchange.method == b"HEAD" or lengthless:
            self._answer_unusually(exchange, head, body, lengthless)
            return
        self._transport.write(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, shared.date, len(body), body))
        self._current = None
        self._since = shared.now
        if self._queue or self.expects:
            self._next()

    def _answer_unusually(self, exchange: Exchange, head: bytes, body: bytes, lengthless: bool) -> None:
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
        elif self._queue or self.expects:
            self._next()

    # The end.

    def _close(self) -> None:
        if self.deaf and self._transport.can_write_eof():
            # The peer may still be sending: a close would reset the connection and take the answer with it.
            self._transport.write_eof()
            if self._held:
                self._transport.resume_reading()
        else:
            self._transport.close()
        self.deaf = True

    def close_if_idle(self) -> None:
        if self._current is None and not self.receiving:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def expire(self, now: float) -> None:
        """End what has waited too long. now: seconds of time.monotonic()."""
        waited = now - self._since
        if self._current is not None or (self._queue and not self._paused):
            return
        if self._queue:
            # The next may begin when the answers before it are read, which nobody does.
            if waited > IDLE:
                self._transport.abort()
        elif self.deaf:
            if waited > LINGER:
                self._transport.abort()
        elif self.receiving:
            if waited > SLOWEST:
                self.refuse(TOO_SLOW)
        elif waited > IDLE:
            # A peer that leaves its answer unread would keep a mere close waiting.
            self._transport.abort()
