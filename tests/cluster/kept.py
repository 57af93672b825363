"""A client that keeps its one connection as long as it is told nothing else, and is entitled to an answer on it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

EVERY = 0.3
"""Seconds between two requests: often enough to be told before a gateway leaves that it should come by another way."""
PATIENCE = 10.0


@dataclass
class Kept:
    """What became of its requests. connections: how many it has opened; failed: in words."""

    answered: int = 0
    connections: int = 0
    failed: list[str] = field(default_factory=list)


@asynccontextmanager
async def kept_connection(url: str, path: str = "/") -> AsyncIterator[Kept]:
    """It asks while the block runs."""
    made, closing = Kept(), asyncio.Event()
    where = urlsplit(url).netloc
    asking = asyncio.create_task(_ask_on(where, path, made, closing))
    try:
        yield made
    finally:
        closing.set()
        await asking


async def _ask_on(where: str, path: str, made: Kept, closing: asyncio.Event) -> None:
    client = HTTPConnection(where, timeout=PATIENCE)
    while not closing.is_set():
        began = time.time()
        try:
            await asyncio.to_thread(_ask, client, path, made)
        except (OSError, HTTPException) as error:
            made.failed.append(f"{began:.3f} after {time.time() - began:.2f} s: {type(error).__name__} {error}")
            client.close()
        await asyncio.sleep(EVERY)
    client.close()


def _ask(client: HTTPConnection, path: str, made: Kept) -> None:
    if client.sock is None:  # at first, and after an answer with `connection: close`
        client.connect()
        made.connections += 1
    client.request("GET", path)
    with client.getresponse() as answer:
        answer.read()
        if answer.status == 200:
            made.answered += 1
        else:
            made.failed.append(f"{answer.status} at {time.time():.3f}")
