"""Which files of a project have changed."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import watchfiles

_SETTLE = 50
_STEP = 20
MOST_FOLDERS = 2_000


async def watch(folders: Iterable[str], is_relevant: Callable[[str], bool]) -> AsyncIterator[frozenset[str]]:
    """The absolute paths of files that were changed, added or removed together, until cancelled.

    What an editor writes within 50 ms is one change. Of the folders below those given, hidden ones and node_modules
    are left out, for the state of the system is in one of them; at most 2,000 are watched.
    """
    stop = asyncio.Event()
    try:
        async for changes in watchfiles.awatch(
            *_expanded(folders),
            watch_filter=lambda _, path: is_relevant(path),
            debounce=_SETTLE,
            step=_STEP,
            stop_event=stop,
            recursive=False,
            ignore_permission_denied=True,
        ):
            yield frozenset(path for _, path in changes)
    finally:
        stop.set()


def _expanded(folders: Iterable[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for folder in folders:
        for place, below, _ in os.walk(folder):
            below[:] = [name for name in below if not name.startswith((".", "__pycache__", "node_modules"))]
            found[Path(place)] = None
            if len(found) >= MOST_FOLDERS:
                return list(found)
    return list(found)
