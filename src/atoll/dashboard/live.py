"""What a page is sent while it is open: server-sent events, a piece of it each."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response, StreamingResponse

MOST = 64
"""Pages that are open at a time; a further one stands still, and is told so."""

QUIET = 15.0
"""Seconds after which something is sent, though there is nothing to say: or who has left would not be noticed."""


class Live:
    """The streams of all pages, until `stop`."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        self._open = 0

    def stop(self) -> None:
        """End every stream: the process does not wait for pages that somebody forgot to close."""
        self._stopping.set()

    def answer(self, pieces: AsyncIterator[str]) -> Response:
        """pieces: of server-sent events, as `event` makes them."""
        if self._open >= MOST:
            return PlainTextResponse(f"{MOST} pages are open already\n", 503, {"retry-after": "30"})
        return StreamingResponse(self._counted(pieces), media_type="text/event-stream")

    async def _counted(self, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
        self._open += 1
        try:
            yield "retry: 2000\n\n"
            async for piece in pieces:
                yield piece
        finally:
            self._open -= 1

    async def changes(self, render: Callable[[], str], every: float) -> AsyncIterator[str]:
        """The whole of a piece, whenever it is another. render: blocks, and is called in a thread."""
        before, silent = "", 0.0
        while not self._stopping.is_set():
            now = await run_in_threadpool(render)
            silent = 0.0 if now != before else silent + every
            if now != before:
                yield event(now)
            elif silent >= QUIET:
                silent = 0.0
                yield ": nothing new\n\n"
            before = now
            await self.pause(every)

    @property
    def is_over(self) -> bool:
        return self._stopping.is_set()

    async def pause(self, seconds: float) -> bool:
        """Wait so long; False if it is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()


def event(data: str, id: str = "") -> str:  # noqa: A002
    """One server-sent event. id: what the page says when it comes again."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return (f"id: {id}\n" if id else "") + lines + "\n"
