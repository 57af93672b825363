"""The traffic of a storm: a bank that can fail, buyers who need it, and visitors who don't and are timed."""

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import Self

from tests.runtime.peer import Asked, Behaviour, Peer, Wire, answering
from tests.runtime.raw import Peer as Connection

BUYERS = 30
PAUSE = 0.3
"""Seconds between two purchases of a buyer."""
VISITS = 100
VISIT_EVERY = 0.01
"""Seconds; a window is a second of visits."""
TURN = 0.004
"""Seconds that a process keeps a processor while others wait for it: a tick of Linux' clock."""

GOOD = answering("paid")


class Bank(Peer):
    """A bank on loopback. times: of every request that reached it."""

    def __init__(self) -> None:
        super().__init__(self._behave)
        self.now: Behaviour = GOOD
        self.times: list[float] = []

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2]

    async def _behave(self, asked: Asked, wire: Wire) -> None:
        self.times.append(time.monotonic())
        await self.now(asked, wire)

    def busiest(self, since: float) -> int:
        """Most requests of any one second since then."""
        seconds = Counter(int(at - since) for at in self.times if at >= since)
        return max(seconds.values(), default=0)


class Client:
    """Somebody at the gateway, with a connection that is opened again when it was lost."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection | None = None

    async def ask(self, path: str) -> int:
        """The status; 0 where no answer came."""
        try:
            if self._connection is None:
                self._connection = await Connection.connect(self._address)
            return (await self._connection.ask("GET", path)).status
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            await self.close()
            return 0

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.__aexit__()
            self._connection = None


@dataclass(frozen=True, slots=True)
class Purchase:
    """began: seconds of time.monotonic(). took: seconds."""

    began: float
    took: float
    status: int


class Buyers:
    """Buy what needs the bank, each three times a second at the most."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._tasks: list[asyncio.Task[None]] = []
        self.purchases: list[Purchase] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._buy()) for _ in range(BUYERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _buy(self) -> None:
        client = Client(self._address)
        await asyncio.sleep(random.uniform(0, PAUSE))
        try:
            while True:
                began = time.monotonic()
                status = await client.ask("/buy")
                self.purchases.append(Purchase(began, time.monotonic() - began, status))
                await asyncio.sleep(PAUSE)
        finally:
            await client.close()

    def since(self, began: float) -> list[Purchase]:
        """Those that began then or later, and are over."""
        return [each for each in self.purchases if each.began >= began]

    async def sells(self, since: float, within: float) -> float:
        """Seconds from then until somebody was sold something."""
        async with asyncio.timeout(within):
            while not any(each.status == 200 for each in self.since(since)):  # noqa: ASYNC110  a figure is waited for
                await asyncio.sleep(0.01)
        return time.monotonic() - since


async def window(address: str, paths: tuple[str, ...], every: float = VISIT_EVERY) -> dict[str, float]:
    """p99 in seconds of a hundred visits of each path, one `every` so many seconds. All answers are good."""
    found = await asyncio.gather(*(_visit(address, path, every) for path in paths))
    return dict(zip(paths, found, strict=True))


def slower(stormy: list[dict[str, float]], calm: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """The paths whose p99 the storm made worse than it may, with both."""
    now, before = _medians(stormy), _medians(calm)
    # Whatever is ready waits a turn of each that was ready before: by that two p99 of the same may differ.
    turns = TURN * max(2.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    return {path: (now[path], was) for path, was in before.items() if now[path] > max(1.5 * was, was + turns)}


def _medians(windows: list[dict[str, float]]) -> dict[str, float]:
    return {path: statistics.median(each[path] for each in windows) for path in windows[0]}


async def _visit(address: str, path: str, every: float) -> float:
    client, taken = Client(address), []
    assert await client.ask(path) == 200
    due = time.monotonic()
    for _ in range(VISITS):
        due += every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        assert await client.ask(path) == 200
        taken.append(time.monotonic() - began)
    await client.close()
    return sorted(taken)[int(VISITS * 0.99) - 1]
