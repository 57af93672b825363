"""Waiting for what others bring about and no event tells of: other processes, engines, the system itself."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 40.0


class NotInTime(Exception):
    """What was waited for did not happen, with what is known of the reason."""


def until(
    found: Callable[[], T],
    what: str = "something is found",
    *,
    within: float = PATIENCE,
    every: float = 0.02,
    why: Callable[[], str] = str,
) -> T:
    """Wait until something is found, or so; returns it.

    within, every: seconds. why: asked for the reason when it was not. Raises NotInTime.
    """
    deadline = time.monotonic() + within
    while not (value := found()):
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {within:g} s: {what}\n{why()}".rstrip())
        time.sleep(every)
    return value


async def eventually(
    found: Callable[[], object],
    what: str = "something is found",
    *,
    within: float = PATIENCE,
    every: float = 0.01,
    why: Callable[[], str] = str,
) -> None:
    """The same for a test whose own loop has to go on meanwhile. found: may be a coroutine function."""
    deadline = time.monotonic() + within
    while not await _value(found()):
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {within:g} s: {what}\n{why()}".rstrip())
        await asyncio.sleep(every)


async def _value(found: object) -> object:
    return await found if inspect.isawaitable(found) else found
