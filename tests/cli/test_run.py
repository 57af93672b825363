"""What `atoll run` says while the system runs."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from atoll.cli.run import show_all


async def lines() -> AsyncIterator[str]:
    for each in ("one", "two", "three"):
        yield each


async def test_the_system_goes_on_while_nobody_reads_what_it_says() -> None:
    is_read, shown = threading.Event(), list[str]()

    def show(line: str) -> None:
        assert is_read.wait(5.0)
        shown.append(line)

    with ThreadPoolExecutor(1) as screen:
        showing = asyncio.create_task(show_all(lines(), show, screen, pytest.fail))
        # Given that nobody reads, other work is done
        await asyncio.sleep(0.05)
        assert not is_read.is_set()
        assert shown == []
        # When somebody does, then everything is there, and in order
        is_read.set()
        await showing
    assert shown == ["one", "two", "three"]


async def test_the_system_stops_when_nobody_can_read_any_more() -> None:
    stopped: list[str] = []

    def show(_: str) -> None:
        raise BrokenPipeError

    with ThreadPoolExecutor(1) as screen:
        await show_all(lines(), show, screen, lambda: stopped.append("stop"))
    assert stopped == ["stop"]
