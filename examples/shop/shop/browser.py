"""A very small browser: one kept connection, cookies and redirects; as much as a customer needs to buy a mug."""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import httptools
from msgspec import Struct

MOST_REDIRECTS = 5
MOST_REASON = 200  # characters of a page that is a failure
MOST_BYTES = 4 * 1024 * 1024  # of one page; more ends the visit


class Page(Struct, frozen=True):
    """What a browser shows. path: where it is, after redirects."""

    status: int
    path: str
    text: str


class Answer(Struct, frozen=True):
    """One request as the customer felt it.

    status: 0 if no answer came. seconds: until its last byte. reason: why it failed, as it was said, "" if it did not.
    """

    method: str
    path: str
    status: int
    seconds: float
    reason: str = ""


class Browser:
    """One customer's browser. Use it as an async context manager, or its connection stays open."""

    def __init__(self, base_url: str, timeout: float, note: Callable[[Answer], None]) -> None:
        """note: is told of every request. timeout: seconds for one request, connecting included."""
        self._url = urlsplit(base_url)
        self._timeout = timeout
        self._note = note
        self._cookies: dict[str, str] = {}
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def get(self, path: str) -> Page:
        """Go to a page.

        Raises OSError or TimeoutError if no answer comes.
        """
        return await self._visit("GET", path, None)

    async def post(self, path: str, form: Mapping[str, str]) -> Page:
        """Send a form, and go where the answer leads. Raises as `get` does; the form may have arrived nevertheless."""
        return await self._visit("POST", path, form)

    async def _visit(self, method: str, path: str, form: Mapping[str, str] | None) -> Page:
        for _ in range(MOST_REDIRECTS):
            started, status, reason = time.perf_counter(), 0, "given up"
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._ask(method, path, form)
                status, reason = answer.status, answer.reason
            except (OSError, TimeoutError) as error:
                reason = f"{type(error).__name__} {error}".rstrip()
                raise
            finally:
                self._note(Answer(method, path, status, time.perf_counter() - started, reason))
                if not status:
                    self._close()
            if status not in (302, 303, 307):
                return Page(status, path, answer.body.decode(errors="replace"))
            method, path, form = "GET", answer.location, None
        raise OSError(f"{path} leads from one page to the next without an end")

    async def _ask(self, method: str, path: str, form: Mapping[str, str] | None) -> "_Answering":
        body = urlencode(form).encode() if form is not None else b""
        head = [f"{method} {path} HTTP/1.1", f"host: {self._url.netloc}", "accept: text/html"]
        if self._cookies:
            head.append("cookie: " + "; ".join(f"{name}={value}" for name, value in self._cookies.items()))
        if form is not None:
            head += ["content-type: application/x-www-form-urlencoded", f"content-length: {len(body)}"]
        reader, writer = await self._connection()
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        answering = _Answering()
        while not answering.is_complete:
            data = await reader.read(65_536)
            if not data:
                raise ConnectionError("the connection ended before the answer did")
            answering.parser.feed_data(data)
        self._take(answering.cookies)
        if not answering.keeps_connection:
            self._close()
        return answering

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream and (self._stream[0].at_eof() or self._stream[1].is_closing()):
            self._close()
        if not self._stream:
            secure = self._url.scheme == "https"
            port = self._url.port or (443 if secure else 80)
            context = ssl.create_default_context() if secure else None
            self._stream = await asyncio.open_connection(self._url.hostname, port, ssl=context)
        return self._stream

    def _take(self, cookies: list[str]) -> None:
        for cookie in cookies:
            pair, *attributes = cookie.split(";")
            name, _, value = pair.strip().partition("=")
            if any(attribute.strip().lower() == "max-age=0" for attribute in attributes):
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = value

    def _close(self) -> None:
        if self._stream:
            self._stream[1].close()
            self._stream = None


class _Parser(Protocol):
    def feed_data(self, data: bytes) -> None: ...
    def get_status_code(self) -> int: ...
    def should_keep_alive(self) -> bool: ...


class _Answering:
    """Collects one answer; its methods are what the parser calls."""

    def __init__(self) -> None:
        self.parser: _Parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.keeps_connection = False
        self.location = ""
        self.cookies: list[str] = []
        self.body = bytearray()
        self.is_complete = False

    @property
    def reason(self) -> str:
        """The first words of an answer that is the shop's own fault."""
        if self.status < 500:
            return ""
        text = self.body.decode(errors="replace")
        words = re.sub(r"<[^>]*>", " ", text.partition("<main")[2].partition(">")[2] or text)
        return " ".join(words.split())[:MOST_REASON]

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self.location = value.decode()
        elif name.lower() == b"set-cookie":
            self.cookies.append(value.decode())

    def on_body(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > MOST_BYTES:
            raise OSError(f"the page is longer than {MOST_BYTES} bytes")

    def on_message_complete(self) -> None:
        # Asked here, for the parser forgets it as soon as the message is over.
        self.status, self.keeps_connection = self.parser.get_status_code(), self.parser.should_keep_alive()
        self.is_complete = True
