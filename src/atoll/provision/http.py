"""One small HTTP request to an engine of ours, over TCP or a Unix socket."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from atoll.engines.engine import HttpGet

_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """status: 0 if what answered does not speak HTTP."""

    status: int
    body: str


async def ask(where: HttpGet, *, method: str = "GET", body: bytes = b"") -> Reply:
    """Ask once, on a connection of its own. Raises OSError if nothing listens there; there is no time limit."""
    if where.socket is None:
        reader, writer = await asyncio.open_connection(where.host, where.port)
    else:
        reader, writer = await asyncio.open_unix_connection(str(where.socket))
    try:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head_sent = f"{method} {where.path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n{length}\r\n"
        writer.write(head_sent.encode() + body)
        head, _, said = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        said = b"".join(_chunks(said))
    # Such as: HTTP/1.1 503 Service Unavailable
    first = head.split(b"\r\n", 1)[0].split()
    status = int(first[1]) if len(first) > 1 and first[1].isdigit() else 0
    return Reply(status, said.decode(errors="replace"))


def _chunks(body: bytes) -> Iterator[bytes]:
    while body:
        size, _, body = body.partition(b"\r\n")
        if not _HEXADECIMAL.fullmatch(size):
            return
        length = int(size, 16)
        yield body[:length]
        body = body[length + 2 :]
