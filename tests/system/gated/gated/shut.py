"""An application that starts as long as nobody says otherwise: where there is a file `shut`, it is down for good."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gated import echo


async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] == "lifespan" and Path("shut").exists():
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "shut for good"})
        return
    await echo.app(scope, receive, send)
