"""A program that builds ends with whoever has it build."""

import asyncio
import os
from collections.abc import Callable

import psutil
import pytest

from atoll.kubernetes import build

SAYS_MUCH = "trap 'head -c 1000000 /dev/zero; exit 3' TERM; echo $$; while :; do sleep 0.01; done"
HEARS_NOTHING = "trap '' TERM; echo $$; while :; do sleep 0.01; done"


async def started(script: str, hear: Callable[[str], None]) -> "asyncio.Task[tuple[int, list[str]]]":
    """With the number of its process as its first line."""
    begun = asyncio.Event()

    def told(line: str) -> None:
        begun.set()
        hear(line)

    task = asyncio.create_task(build.run(["/bin/sh", "-c", script], {"PATH": os.environ["PATH"]}, told))
    await begun.wait()
    return task


@pytest.mark.parametrize("script", [SAYS_MUCH, HEARS_NOTHING], ids=["says much", "hears nothing"])
async def test_a_builder_ends_when_it_is_cancelled(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_ENDS_WITHIN", 0.5)
    said: list[str] = []
    async with asyncio.timeout(10):
        task = await started(script, said.append)
        # When whoever has it build gives up, and it says more at its end than a pipe takes, or ignores that
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not psutil.pid_exists(int(said[0]))


async def test_a_builder_ends_when_what_it_says_can_not_be_shown() -> None:
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        raise BrokenPipeError

    async with asyncio.timeout(10):
        with pytest.raises(BrokenPipeError):
            await (await started(SAYS_MUCH, hear))
    assert not psutil.pid_exists(int(said[0]))
