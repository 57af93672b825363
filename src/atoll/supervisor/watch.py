"""Which files of a project have changed."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Set
from contextlib import suppress
from pathlib import Path

import watchfiles

_SETTLE = 50
_STEP = 20
_BOTH = 0.5
"""Seconds in which what was seen, but not told yet, is told."""
_AGAIN = 0.02
MOST_FOLDERS = 2_000


async def watch(
    folders: Callable[[], Set[str]],
    is_relevant: Callable[[str], bool],
    changed: Callable[[frozenset[str]], Awaitable[None]],
) -> None:
    """Tell of the absolute paths of files that were changed, added or removed together, until cancelled.

    What an editor writes within 50 ms is one change, and so is all that changes while one is told. folders: may be
    others after each change. Of those below them, hidden ones and node_modules are left out, for the state of the
    system is in one of them; at most 2,000 are watched.
    """
    seen: set[str] = set()
    came = asyncio.Event()

    async def follow(watched: Set[str]) -> None:
        while True:
            # Of a folder that goes in the moment in which it would be watched: then those that are left.
            with suppress(FileNotFoundError):
                async for changes in watchfiles.awatch(
                    *_expanded(watched),
                    watch_filter=lambda _, path: is_relevant(path),
                    debounce=_SETTLE,
                    step=_STEP,
                    recursive=False,
                    ignore_permission_denied=True,
                ):
                    seen.update(path for _, path in changes)
                    came.set()
            await asyncio.sleep(_AGAIN)

    async with asyncio.TaskGroup() as group:
        watched = folders()
        following = group.create_task(follow(watched))
        while True:
            await came.wait()
            came.clear()
            paths = frozenset(seen)
            seen.clear()
            await changed(paths)
            if (now := folders()) != watched:
                # Both for a while: what changed until the newer one began is known to the older one alone.
                watched, older, following = now, following, group.create_task(follow(now))
                await asyncio.sleep(_BOTH)
                older.cancel()


def _expanded(folders: Iterable[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for folder in folders:
        for place, below, _ in os.walk(folder):
            below[:] = [name for name in below if not name.startswith((".", "__pycache__", "node_modules"))]
            found[Path(place)] = None
            if len(found) >= MOST_FOLDERS:
                return list(found)
    return list(found)
