"""What a page is sent while it is open: server-sent events, a piece of it each."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response, StreamingResponse

MOST = 64
"""Pages that are open at a time; a further one stands still, and is told so."""

QUIET = 15.0
"""Seconds after which something is sent, though there is nothing to say: or who has left would not be noticed."""

KEPT = 64
"""Pieces that are shared at a time; the one longest known goes."""

RESTS = 4.0
"""Times as long as a piece took to make, for which it is not made again: it costs a fifth of a processor at most."""

STALE = 15.0
"""Seconds after its time for which a piece is still shown to whoever does not wait for the next one."""

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Piece:
    """until: the time at which it is made again."""

    text: Markup | None = None
    until: float = 0.0
    making: threading.Lock = field(default_factory=threading.Lock)


class Shared(Generic[K]):
    """A piece of a page, made once for all who look at the same, and again after `every` seconds if somebody looks.

    One of them makes it; the others are given the last one meanwhile. So it does not matter how many pages are open,
    nor how many were left while they were made.
    """

    def __init__(self, make: Callable[[K], Markup], every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._every, self._clock = make, every, clock
        self._pieces: dict[K, _Piece] = {}
        self._lock = threading.Lock()

    def __call__(self, key: K) -> Markup:
        """Blocks while it is made, where there is none that may be shown. Raises what making it raises."""
        piece = self._piece(key)
        now = self._clock()
        if piece.text is not None and now < piece.until:
            return piece.text
        if not piece.making.acquire(blocking=piece.text is None or now > piece.until + STALE):
            assert piece.text is not None
            return piece.text
        try:
            began = self._clock()
            if piece.text is None or began >= piece.until:
                piece.text = self._make(key)
                took = self._clock() - began
                piece.until = began + took + max(self._every, RESTS * took)
            return piece.text
        finally:
            piece.making.release()

    def _piece(self, key: K) -> _Piece:
        with self._lock:
            found = self._pieces.get(key)
            if found is None:
                if len(self._pieces) >= KEPT:
                    del self._pieces[next(iter(self._pieces))]
                found = self._pieces[key] = _Piece()
            return found


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
