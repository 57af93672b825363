"""A request and the answer owed for it, between the connection it came by and the application that answers."""

import asyncio
from http import HTTPStatus
from typing import Protocol

import msgspec

from atoll.runtime.refusals import Refusal


class Answering(Protocol):
    """What answers go out by. One for an exchange whose turn is over comes too late, and is dropped."""

    __slots__ = ()

    def answer(self, exchange: "Exchange", head: bytes, body: bytes, lengthless: bool = False) -> None:
        """Write the whole answer.

        head: status line and headers without date, length and persistence, each with its line end.
        lengthless: the answer can have no body (204, 304), so it has no length either.
        """
        ...

    def begin(self, exchange: "Exchange", head: bytes) -> None:
        """Write the head of an answer whose length nobody knows yet."""
        ...

    def push(self, exchange: "Exchange", data: bytes) -> None:
        """Write a piece of the body, whether or not the peer can take it."""
        ...

    async def write(self, exchange: "Exchange", data: bytes) -> None:
        """Write a piece, and return when the peer can take more, or has gone."""
        ...

    def end(self, exchange: "Exchange") -> None:
        """The answer is whole."""
        ...


class Exchange(msgspec.Struct, eq=False):
    """One request and the answer owed for it.

    started: time.monotonic_ns() when it was complete. old: it came by HTTP/1.0.
    refusal: what is wrong with it already. task: who works on it, `cut` if the peer goes first.
    gone: the peer went; no answer is owed any more.
    """

    connection: Answering
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

    def cut(self) -> None:
        """Cancel the work on it, once it has begun: a task that is cancelled before never comes to its `finally`."""
        if self.task is not None:
            asyncio.get_running_loop().call_soon(self.task.cancel)


class Application(Protocol):
    """What answers the requests of a listener."""

    def serve(self, exchange: Exchange) -> None:
        """Answer it, now or later, by one of the connection's methods. Must not raise."""
        ...

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        """Answer at once with a problem document. Must not raise."""
        ...


def status_line(status: int) -> bytes:
    """ "HTTP/1.1 200 OK" with its line end."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())
