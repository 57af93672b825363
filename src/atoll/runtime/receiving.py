"""Bytes of one connection become requests, or a reason to refuse them."""

import time
from collections.abc import Callable

import httptools

from atoll.runtime.exchanges import Answering, Exchange
from atoll.runtime.refusals import (
    BAD_FRAMING,
    BAD_HOST,
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    TARGET_TOO_LONG,
    TOO_LARGE,
    Refusal,
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
_UNUSUAL = frozenset((b"connection", b"transfer-encoding", b"upgrade"))


class Receiver:
    """The parser's callbacks, and what it does not check.

    accept: called with each request, in their order; the last one may be one to refuse.
    receiving: part of a request is here. expects: its peer waits for "100 Continue" before it sends the body.
    deaf: nothing more is read.
    """

    __slots__ = (
        "_accept",
        "_body",
        "_body_limit",
        "_connection",
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

    def __init__(self, connection: Answering, accept: Callable[[Exchange], None], body_limit: int) -> None:
        self._connection = connection
        self._accept = accept
        self._body_limit = body_limit
        self._parser = httptools.HttpRequestParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._size = self._received = 0
        self._in_body = self._final = False
        self._refusal: Refusal | None = None
        self.receiving = self.expects = self.deaf = False

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        unfinished = self._headers if self.receiving else None
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            self.deaf = True  # the request is served as it is; what follows would be another protocol
        except httptools.HttpParserError:
            if self._refusal is None and self._final and not self.receiving:
                self.deaf = True  # the last request said that it is the last: what follows it is nobody's
            else:
                self.refuse(self._refusal or BAD_REQUEST)
        if self._headers is unfinished and self.receiving and not self.deaf:
            self._bound(len(data))

    def refuse(self, refusal: Refusal) -> None:
        """Have the request that is being received refused in its turn, and hear no more."""
        self.deaf = True
        self.receiving = self.expects = False
        method = self._parser.get_method() if self._target else b""
        self._accept(
            Exchange(
                self._connection,
                method,
                self._target,
                self._headers,
                b"",
                False,
                time.monotonic_ns(),
                refusal=refusal,
            )
        )

    def close(self) -> None:
        """Let go of the parser, which holds our callbacks: else both wait for the garbage collector."""
        self.deaf = True
        del self._parser
        del self._feed
        del self._accept
        del self._connection

    # The parser calls these.

    def on_url(self, url: bytes) -> None:
        if not self.receiving:
            self.receiving = True
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
        if int(headers.get(b"content-length", 0)) > self._body_limit:
            self._stop(TOO_LARGE)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self.expects = True

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        if len(self._body) > self._body_limit:
            self._stop(TOO_LARGE)

    def on_message_complete(self) -> None:
        parser, headers = self._parser, self._headers
        keep_alive = parser.should_keep_alive()
        exchange = Exchange(
            self._connection,
            parser.get_method(),
            self._target,
            headers,
            bytes(self._body),
            keep_alive,
            time.monotonic_ns(),
        )
        host = headers.get(b"host")
        if not keep_alive or host is None or b"," in host or headers.keys() & _UNUSUAL:
            self._check(exchange, parser.get_http_version())
        self._target, self._headers, self._body = b"", {}, b""
        self._size = self._received = 0
        self.receiving = self._in_body = self.expects = False
        self._final = not exchange.keep_alive
        self._accept(exchange)

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
            self.refuse(TOO_LARGE if self._in_body else HEADERS_TOO_LARGE)


def _framing(headers: dict[bytes, bytes], version: str) -> Refusal | None:
    """What the parser lets pass and no two servers must read differently."""
    host = headers.get(b"host")
    if (host is None and version != "1.0") or (host is not None and b"," in host):
        return BAD_HOST
    encoding = headers.get(b"transfer-encoding")
    if encoding is not None and (version != "1.1" or encoding.lower() != b"chunked"):
        return BAD_FRAMING
    return None
