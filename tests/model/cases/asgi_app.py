"""An application that cases point at; no case of its own."""

from collections.abc import Awaitable, Callable


async def app(
    scope: dict[str, object], receive: Callable[[], Awaitable[object]], send: Callable[[object], Awaitable[None]]
) -> None:
    raise RuntimeError(f"never called: {scope}, {receive}, {send}")
