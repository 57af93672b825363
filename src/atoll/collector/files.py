"""Follows the log files of a folder, so that each line is stored once, whatever is killed in between."""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from atoll.collector import following
from atoll.collector.arrivals import LogIn, Position
from atoll.collector.lines import parsed
from atoll.collector.refusals import Refused
from atoll.collector.writer import Writer

LOOK_EVERY = 0.25
"""Seconds between two looks at the files."""

_AT_ONCE = 2**20
"""Bytes of one file that are read at a time, and of a line that has no end."""

_LEFT_OUT = frozenset({"access.log", "collector.log"})
"""The gateway's requests are spans; and what the collector says of a line that it can't store must be none itself."""

logger = logging.getLogger("atoll.collector")


class Follower(Protocol):
    """Brings lines to the store until cancelled."""

    async def run(self) -> None: ...


class Files:
    """Follows every NAME.log, of the process NAME. At its limit a file becomes NAME.log.1, and is read to its end."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        self._folder, self._writer = folder, writer
        self._positions: dict[str, Position] = {}

    async def run(self) -> None:
        """Until cancelled."""
        self._positions = await self._writer.positions()
        while True:
            read = 0
            for file in sorted(self._folder.glob("*.log")):
                if file.name not in _LEFT_OUT:
                    read += await self._follow(file)
            if not read:
                await asyncio.sleep(LOOK_EVERY)

    async def _follow(self, file: Path) -> int:
        """Store what was added to the file. Returns how many bytes."""
        name = f"file:{file.stem}"
        known = self._positions.get(name)
        try:
            read = self._read(file, known)
        except OSError as error:
            logger.info("%s can't be read now: %s", file.name, error)  # it is being renamed, most of the time
            return 0
        if read is None:
            return 0
        place, start, chunk = read
        position = Position(name, place, str(start + len(chunk)))
        lines = list(_lines(chunk, file.stem))
        try:
            await following.store(self._writer, lines, position, len(chunk))
        except Refused as refused:
            logger.info("%s waits to be stored: %s", file.name, refused.reason)
            return 0
        self._positions[name] = position
        return len(chunk)

    def _read(self, file: Path, known: Position | None) -> tuple[str, int, bytes] | None:
        """Which file, from where, and whole lines; None if there are none yet."""
        # Opened once: in the next moment another file may have the name.
        with file.open("rb") as opened:
            place, at = _place(opened), 0
            if known and known.place == place:
                at = int(known.position)
            elif known and (rest := _rest(file, known)):
                return rest
            start, chunk = _chunk(opened, at)
        return (place, start, chunk) if chunk else None


def _rest(file: Path, known: Position) -> tuple[str, int, bytes] | None:
    """What was not read of the file that had the name before; nothing more will be written to it."""
    with suppress(FileNotFoundError), file.with_name(file.name + ".1").open("rb") as older:
        if _place(older) == known.place:
            start, chunk = _chunk(older, int(known.position), is_done=True)
            return (known.place, start, chunk) if chunk else None
    return None


def _place(file: BinaryIO) -> str:
    found = os.fstat(file.fileno())
    return f"{found.st_dev}:{found.st_ino}"


def _chunk(file: BinaryIO, start: int, *, is_done: bool = False) -> tuple[int, bytes]:
    """From where, and up to the last end of a line; from the beginning, if somebody has cut the file.

    is_done: nothing more will be written, so the last line needs no end.
    """
    if file.seek(0, os.SEEK_END) < start:
        start = 0
    file.seek(start)
    data = file.read(_AT_ONCE)
    is_whole = len(data) < _AT_ONCE
    end = data.rfind(b"\n") + 1
    return start, data if (is_done and is_whole) or not (end or is_whole) else data[:end]


def _lines(chunk: bytes, process: str) -> Iterator[LogIn]:
    """process: "users-2" is a replica of users; an engine is its own."""
    service, dash, number = process.rpartition("-")
    service = service if dash and number.isdigit() else process
    now = time.time_ns()
    # Alone a newline ends a line: splitlines() also takes for one what a text may hold, such as U+2028.
    for line in chunk.decode(errors="replace").split("\n"):
        if line.strip():
            yield parsed(line, service, process, now)
