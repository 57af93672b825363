"""A peer that speaks HTTP by hand, so that it can do what no decent server does."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.ports import free_port


@dataclass
class Asked:
    """One request as it came over the wire. connection: the number of its connection, from 1."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """What a behaviour may do with the connection of a request."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: "Peer" = field(repr=False)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def closed_by_caller(self) -> None:
        """Returns when the caller has closed the connection."""
        while await self.reader.read(1024):
            pass

    def cut(self) -> None:
        """End the connection with a reset."""
        self.writer.transport.abort()

    async def hang(self) -> None:
        """Say nothing until the caller closes."""
        await self.closed_by_caller()
        self.peer.abandoned += 1


Behaviour = Callable[[Asked, Wire], Awaitable[None]]


def answer(
    value: object = None, status: int = 200, headers: dict[str, str] | None = None, *, raw: bytes | None = None
) -> bytes:
    """The bytes of a JSON answer. raw: the body as it is."""
    body = json.dumps(value).encode() if raw is None else raw
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", "content-type: application/json"]
    lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(value: object = None, status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """Always the same answer."""

    async def behave(_: Asked, wire: Wire) -> None:
        await wire.send(answer(value, status, headers))

    return behave


async def hanging(_: Asked, wire: Wire) -> None:
    await wire.hang()


async def cutting(_: Asked, wire: Wire) -> None:
    wire.cut()


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """A behaviour per request, the last for all further ones."""
    left = list(behaviours)

    async def behave(asked: Asked, wire: Wire) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(asked, wire)

    return behave


class Peer:
    """Listens on loopback, keeps what it was asked, and behaves as told.

    abandoned: connections on which it hung until the caller closed them. connections: how many were opened.
    """

    def __init__(self, behaviour: Behaviour, path: str = "", tls: ssl.SSLContext | None = None) -> None:
        """path: of a Unix socket to listen on instead."""
        self._tls = tls
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.abandoned = 0
        self.connections = 0
        self._path = path
        # One that nobody else is given while it is stopped.
        self._port = 0 if path else free_port()
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    @property
    def address(self) -> str:
        return f"unix:{self._path}" if self._path else f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen; again on the same port after `stop`."""
        if self._path:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)

    async def stop(self) -> None:
        """As when the process is killed: no connection survives, none is taken."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop_connections()

    async def drop_connections(self) -> None:
        """Close every connection, as a server does with those that are idle."""
        tasks = [task for task in self._open.values() if task is not None]
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._open[writer] = asyncio.current_task()
        try:
            while (asked := await self._read(number, reader)) is not None:
                self.asked.append(asked)
                await self.behaviour(asked, Wire(reader, writer, self))
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._open[writer]
            writer.close()

    async def _read(self, number: int, reader: asyncio.StreamReader) -> Asked | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Asked(number, method, target, headers, body)
