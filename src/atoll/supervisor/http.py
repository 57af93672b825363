"""One small HTTP request to an engine of ours, over TCP or a Unix socket."""

import asyncio
from dataclasses import dataclass

from atoll.engines.engine import HttpGet


@dataclass(frozen=True, slots=True)
class Reply:
    """status: 0 if what answered does not speak HTTP. body: as it was sent, sizes of chunks included."""

    status: int
    body: str


async def ask(where: HttpGet, *, method: str = "GET") -> Reply:
    """Ask once, on a connection of its own. Raises OSError if nothing listens there; there is no time limit."""
    if where.socket is None:
        reader, writer = await asyncio.open_connection(where.host, where.port)
    else:
        reader, writer = await asyncio.open_unix_connection(str(where.socket))
    try:
        writer.write(f"{method} {where.path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).decode(errors="replace").partition("\r\n\r\n")
    finally:
        writer.close()
    # Such as: HTTP/1.1 503 Service Unavailable
    first = head.split("\r\n", 1)[0].split()
    return Reply(int(first[1]) if len(first) > 1 and first[1].isdigit() else 0, body)
