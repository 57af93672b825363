"""An application without a framework: it tells the headers that it got, and takes its time where it is asked to."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any


async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"].endswith("/slow"):
        await asyncio.sleep(5)
    body = json.dumps([[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
