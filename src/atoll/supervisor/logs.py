"""The lines of all processes as they come, for whoever listens."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

import msgspec

LAST_LINES = 40
MOST_WAITING = 10_000


class Line(msgspec.Struct, frozen=True):
    """One line of a process, as it was written."""

    process: str
    text: str


class LogHub:
    """Keeps the last lines of each process, and passes all to its listeners.

    A listener that is too slow loses the oldest of its 10,000 waiting lines.
    """

    def __init__(self) -> None:
        self._last: dict[str, deque[str]] = {}
        self._listeners: set[asyncio.Queue[Line]] = set()

    def write(self, process: str, text: str) -> None:
        """What a process said: one line, or several."""
        for line in text.splitlines():
            self._write(process, line)

    def _write(self, process: str, text: str) -> None:
        self._last.setdefault(process, deque(maxlen=LAST_LINES)).append(text)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(Line(process, text))

    def writer(self, process: str) -> Callable[[str], None]:
        """What takes the lines of a new process of this name."""
        self._last.pop(process, None)
        return lambda line: self._write(process, line)

    def last(self, process: str) -> tuple[str, ...]:
        return tuple(self._last.get(process, ()))

    async def follow(self) -> AsyncIterator[Line]:
        """Every line from now on."""
        queue: asyncio.Queue[Line] = asyncio.Queue(MOST_WAITING)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)


class _Record(msgspec.Struct):
    message: str = ""
    error: str = ""
    level: str = ""


def last_words(lines: Iterable[str]) -> str:
    """The one line that says best why a process ended; "" if there is none.

    A numbered problem, an error in a JSON line, the end of a traceback: whichever came last.
    """
    for line in reversed([each for each in lines if each.strip()]):
        if line.startswith("{"):
            with suppress(msgspec.DecodeError, RecursionError):
                record = msgspec.json.decode(line, type=_Record)
                if record.error.strip():
                    return record.error.strip().rpartition("\n")[2]
                if record.level in ("error", "critical"):
                    return record.message.partition("\n")[0]
                continue
        if line.startswith("ATL") or not line.startswith(" "):
            return line.strip()
    return ""
