"""Bytes of one connection become requests, or a reason to refuse them."""

import asyncio
import time
from collections.abc import Callable, Mapping

import httptools

from atoll.runtime.exchanges import Answering, Exchange
from atoll.runtime.refusals import (
    BAD_FRAMING,
    BAD_HOST,
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    TARGET_TOO_LONG,
    Refusal,
    too_large,
)

LONGEST_TARGET = 8_192
LARGEST_HEAD = 32_768
"""Bytes of all names and values; each header counts 4 more."""

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
_SPELLINGS: Mapping[bytes, bytes] = {spelt: name for name in WATCHED for spelt in (name, name.title())}
"""As nearly everybody writes them; whoever does not costs a little more."""


UNREADABLE = (httptools.HttpParserError, httptools.HttpParserUpgrade)
"""What the parser raises."""


class Receiver(asyncio.Protocol, Answering):
    """The half of a connection that receives: the parser's callbacks, and what the parser does not check.

    receiving: part of a request is here. expects: its peer waits for "100 Continue" before it sends the body.
    deaf: nothing more is read.
    """

    __slots__ = (
        "_body",
        "_body_limit",
        "_careful",
        "_feed",
        "_final",
        "_headers",
        "_in_body",
        "_parser",
        "_received",
        "_refusal",
        "_size",
        "_target",
        "deaf",
        "expects",
        "receiving",
    )

    def __init__(self, body_limit: int) -> None:
        self._body_limit = body_limit
        self._parser = httptools.HttpRequestParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._size = self._received = 0
        self._in_body = self._final = self._careful = False
        self._refusal: Refusal | None = None
        self.receiving = self.expects = self.deaf = False

    def accept(self, exchange: Exchange) -> None:
        """Called with each request, in their order; the last one may be one to refuse."""
        raise NotImplementedError

    def feed_carefully(self, data: bytes) -> None:
        """Take what arrived, and count it: it is more than a head may be, or a further piece of a request."""
        unfinished = self._headers if self.receiving else None
        self._careful = True
        try:
            self._feed(data)
        except UNREADABLE as error:
            self.unreadable(error)
        self._careful = False
        if self.receiving and self._headers is unfinished and not self.deaf:
            self._bound(len(data))

    def unreadable(self, error: Exception) -> None:
        """The parser gave up."""
        if isinstance(error, httptools.HttpParserUpgrade):
            self.deaf = True  # the request is served as it is; what follows would be another protocol
        elif self._refusal is None and self._final and not self.receiving:
            self.deaf = True  # the last request said that it is the last: what follows it is nobody's
        else:
            self.refuse(self._refusal or BAD_REQUEST)

    def refuse(self, refusal: Refusal) -> None:
        """Have the request that is being received refused in its turn, and hear no more."""
        self.deaf = True
        self.receiving = self.expects = False
        method = self._parser.get_method() if self._target else b""
        now = time.monotonic_ns()
        self.accept(Exchange(self, method, self._target, self._headers, b"", False, now, refusal=refusal))

    def forget_parser(self) -> None:
        """It holds our callbacks: else both wait for the garbage collector."""
        self.deaf = True
        del self._parser
        del self._feed

    # The parser calls these.

    def on_url(self, url: bytes) -> None:
        if not self.receiving:
            self.receiving = True
        self._target += url
        if len(self._target) > LONGEST_TARGET:
            self._stop(TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._careful or self._in_body:
            self._size += len(name) + len(value) + 4
            if self._size > LARGEST_HEAD:
                self._stop(HEADERS_TOO_LARGE)
            if self._in_body:
                return  # a trailer; none means anything here
        known = _SPELLINGS.get(name)
        if known is None:
            if len(name) not in _LENGTHS:
                return
            known = name.lower()
            if known not in WATCHED:
                return
        headers = self._headers
        headers[known] = headers[known] + b"," + value if known in headers else value

    def on_headers_complete(self) -> None:
        self._in_body = True
        headers = self._headers
        if b"content-length" in headers and int(headers[b"content-length"]) > self._body_limit:
            self._stop(too_large(self._body_limit))
        if b"expect" in headers and headers[b"expect"].lower() == b"100-continue":
            self.expects = True

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        if len(self._body) > self._body_limit:
            self._stop(too_large(self._body_limit))

    def on_message_complete(self) -> None:
        parser, headers, body = self._parser, self._headers, self._body
        keep_alive = parser.should_keep_alive()
        exchange = Exchange(
            self,
            parser.get_method(),
            self._target,
            headers,
            body if type(body) is bytes else bytes(body),
            keep_alive,
            time.monotonic_ns(),
        )
        host = headers.get(b"host")
        if (
            not keep_alive
            or host is None
            or b"," in host
            or b"connection" in headers
            or b"transfer-encoding" in headers
            or b"upgrade" in headers
        ):
            self._check(exchange, parser.get_http_version())
        self._target, self._headers, self._body = b"", {}, b""
        self._size = self._received = 0
        self.receiving = self._in_body = self.expects = False
        self._final = not exchange.keep_alive
        self.accept(exchange)

    def _check(self, exchange: Exchange, version: str) -> None:
        """Refuse what the parser lets pass and no two servers must read differently."""
        exchange.refusal = _framing(exchange.headers, version)
        exchange.old = version == "1.0"
        if exchange.refusal is not None or b"upgrade" in exchange.headers:
            exchange.keep_alive = False
            self.deaf = True

    def _stop(self, refusal: Refusal) -> None:
        """Out of a callback: end the parsing, for nothing of the request is worth reading."""
        self._refusal = refusal
        raise ValueError(refusal.kind)

    def _bound(self, more: int) -> None:
        """Refuse a head or body that grows without a callback: the parser tells of a header when it is whole."""
        self._received += more
        if self._received > 2 * LARGEST_HEAD + (8 * self._body_limit if self._in_body else 0):
            self.refuse(too_large(self._body_limit) if self._in_body else HEADERS_TOO_LARGE)


def _framing(headers: dict[bytes, bytes], version: str) -> Refusal | None:
    """What the parser lets pass and no two servers must read differently."""
    host = headers.get(b"host")
    if (host is None and version != "1.0") or (host is not None and b"," in host):
        return BAD_HOST
    encoding = headers.get(b"transfer-encoding")
    if encoding is not None and (version != "1.1" or encoding.lower() != b"chunked"):
        return BAD_FRAMING
    return None
