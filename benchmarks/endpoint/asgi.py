"""A bare ASGI application, for uvicorn and granian: no routing, no framework."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from benchmarks.endpoint.messages import NewOrder, answer

ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(NewOrder).decode

Message = dict[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answered = ENCODE(answer("42", DECODE(body)))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answered))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answered})
