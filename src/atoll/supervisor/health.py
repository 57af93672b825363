"""Follows one process until its end: when it becomes ready, and when it ceases to be."""

import asyncio
from collections.abc import Callable

from atoll.engines.engine import Readiness
from atoll.supervisor.probe import LEAVING, probe
from atoll.supervisor.process import Process
from atoll.supervisor.state import BecameReady, BecameUnhealthy, Observation

STARTING = 0.02
UNHEALTHY = 0.2
READY = 1.0
_SILENT = ("not answering", "refusing connections", LEAVING)


async def follow(process: Process, readiness: Readiness, see: Callable[[Observation], None]) -> None:
    """Ask until the process has ended; only what is new is seen.

    Often until it is ready the first time, for a start should be quick; then once a second.
    """
    ended = asyncio.create_task(process.wait())
    try:
        was_ready, last = False, "?"
        while not ended.done():
            reason = await probe(readiness)
            if ended.done():
                return
            if reason != last:
                see(_observed(process, reason))
            was_ready, last = was_ready or not reason, reason
            pause = READY if not reason else UNHEALTHY if was_ready else STARTING
            await asyncio.wait([ended], timeout=pause)
    finally:
        ended.cancel()


def _observed(process: Process, reason: str) -> Observation:
    if not reason:
        return BecameReady(process.name, process.pid)
    return BecameUnhealthy(process.name, process.pid, reason, silent=reason.startswith(_SILENT))
